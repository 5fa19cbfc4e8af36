"""A run that ends is told to the ERP, by a message written in the transaction that ends it."""

import pytest
from django.db import transaction

from integration.outbound import completion
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import MesEvent
from mes.production.models import Run
from mes.production.queries import count_units
from tests.execution.support import assert_done, assert_refused, track_in, track_out
from tests.factories import api_client
from tests.integration.outbound.conftest import close

pytestmark = pytest.mark.django_db

EVENTS = "/api/integration/outbound/events"


def outbound() -> list[MesEvent]:
    return list(MesEvent.objects.filter(event_type="OUTBOUND_FEEDBACK").order_by("id"))


def completion_of(client, run_no="RUN-1"):
    return client.post(f"/api/integration/outbound/erp/runs/{run_no}/completion")


def test_a_run_that_ends_is_told(admin, erp):
    for station, extra in (
        ("SMT-01", {}),
        ("REF-01", {}),
        ("TST-01", {"data": [{"specName": "Supply Voltage", "valueNumber": 3.3}]}),
    ):
        track_in(admin, station)
        assert_done(track_out(admin, station, **extra))
    close(admin)
    [event] = outbound()
    run = Run.objects.select_related("route_version__routing", "work_order").get()
    said = event.payload
    assert (said["type"], said["idempotencyKey"]) == ("RUN_COMPLETION_V1", "RUN_COMPLETION_V1:RUN-1")
    assert said["businessKey"] == {
        "runNo": "RUN-1",
        "woNo": run.work_order.wo_no,
        "productCode": "BOARD-1",
        "lineCode": "SMT-A",
    }
    assert (said["run"]["status"], said["run"]["reason"], said["run"]["planQty"]) == ("COMPLETED", "done", 100)
    assert said["run"]["endedAt"].endswith("Z") and said["run"]["startedAt"] and said["run"]["authorizedAt"]
    assert said["route"] == {"code": "ROUTE-1", "sourceSystem": "MES", "sourceKey": None, "versionNo": 1}
    assert (said["unitCounts"]["DONE"], said["unitCounts"]["total"]) == (1, 1)
    assert (event.occurred_at, event.entity_id, event.run_id) == (run.ended_at, "RUN-1", run.pk)


def test_a_run_whose_end_is_rolled_back_is_not_told(admin, erp):
    class Stop(Exception):
        pass

    with pytest.raises(Stop), transaction.atomic():
        close(admin)
        assert len(outbound()) == 1
        raise Stop
    assert outbound() == []


def test_a_run_that_cannot_end_is_not_told(admin, erp):
    track_in(admin)
    assert_refused(admin.post("/api/runs/RUN-1/close", {}), "UNITS_NOT_FINISHED")
    assert outbound() == []


def test_without_an_erp_nothing_is_told_and_can_be_told_later(admin, erp, settings):
    address, settings.MES_ERP_URL = settings.MES_ERP_URL, ""
    close(admin)
    assert outbound() == []
    assert_refused(completion_of(admin), "OUTBOUND_OFF")
    settings.MES_ERP_URL = address
    first = assert_done(completion_of(admin), 201)
    assert (first["type"], first["runNo"], first["status"], first["attempts"]) == (
        "RUN_COMPLETION_V1",
        "RUN-1",
        "PENDING",
        0,
    )
    assert assert_done(completion_of(admin), 200)["id"] == first["id"]
    assert len(outbound()) == 1


def test_a_run_that_goes_on_is_not_told(admin, erp):
    assert_refused(completion_of(admin), "INVALID_TRANSITION")
    assert_refused(completion_of(admin, "X"), "RUN_NOT_FOUND", 404)


def test_the_list(admin, erp, django_assert_num_queries):
    close(admin)
    admin.get("/api/lines")
    with django_assert_num_queries(1):
        [item] = assert_done(admin.get(EVENTS))["items"]
    assert (item["runNo"], item["status"], item["maxAttempts"]) == ("RUN-1", "PENDING", 100)
    assert assert_done(admin.get(EVENTS, {"status": "DEAD"}))["items"] == []
    assert len(assert_done(admin.get(EVENTS, {"runNo": "RUN-1"}))["items"]) == 1


@pytest.mark.parametrize("role", Role)
def test_who_may_have_it_told_and_tried_again(admin, erp, role):
    close(admin)
    client = api_client(role)
    told = completion_of(client).status_code
    assert told == (200 if role in (Role.SUPERVISOR, Role.INTEGRATION, Role.ADMIN) else 403)
    retried = client.post(f"{EVENTS}/{outbound()[0].pk}/retry").status_code
    assert retried == (409 if role in (Role.ENGINEER, Role.ADMIN) else 403)


def test_the_message_of_a_run_is_built_in_a_fixed_number_of_queries(admin, erp, django_assert_num_queries):
    run = Run.objects.select_related("work_order", "line", "route_version__routing").get()
    with django_assert_num_queries(1):
        completion.build(run, count_units([run])[run.pk])
