"""What an applied event left out is open work, until it is applied too, dismissed, or decided about by its unit."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Track
from ingest.models import IngestEvent, OpenIngestEvent, PartialIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.platform.accounts.roles import Role
from mes.platform.bulk_actions import services
from mes.platform.monitoring import open_work
from mes.production.models import Unit
from tests.factories import api_client, make_user
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, event, make_ingest_plant
from tests.ingest.test_causes import EVENTS, counts, read_causes, see, start
from tests.ingest.test_panels import PANEL, panel
from tests.ingest.test_statements import count
from trace.units import get_unit_trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """Return a plant whose oven waits for no board; the first of three stands before it, the others are not printed."""
    plant = make_ingest_plant(reflow={**PANEL, "waitSeconds": 0})
    bring(plant.sns[0])
    return plant


def bring(*sns: str) -> None:
    """Bring boards before the oven; those that are held stay so."""
    Unit.objects.filter(sn__in=sns).update(current_step_no=30)


def decide(client: APIClient, event_id: str, action: str, expect: int = 200, **body: Any) -> dict[str, Any]:
    answer = client.post(f"{EVENTS}/{event_id}/{action}", body)
    assert answer.status_code == expect, answer.content
    return answer.json().get("data") or answer.json()["error"]


def waiting_for_people() -> int:
    """How many applied events the operations page counts."""
    return {kind.name: number for kind, number in open_work.count_all()}["partly applied machine events"]


def status_of(sn: str) -> str:
    return Unit.objects.get(sn=sn).status


def test_it_is_counted_and_a_cause_and_a_repeat_changes_nothing(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    body = panel(plant.sns, "OK", "OK", "NG")
    answer = send(body, 201)
    assert [item.get("failing") for item in answer["skipped"]] == [None, True]
    assert waiting_for_people() == 1
    [cause] = read_causes(client)["items"]
    told = [cause[name] for name in ("code", "subject", "stationCode", "runNo", "stepNo", "count", "failing")]
    assert told == ["STEP_MISMATCH", "", "OVN-1", "RUN-1", 30, 1, 1]
    assert cause["exampleId"] == answer["eventId"]
    assert read_causes(client, status="APPLIED")["items"] == [cause]
    assert read_causes(client, status="REJECTED")["items"] == read_causes(client, stationCode="AOI-1")["items"] == []
    before = PartialIngestEvent.objects.values().get()
    assert (before["sns"], before["held_unit_ids"]) == (plant.sns[1:], [Unit.objects.get(sn=plant.sns[2]).pk])
    assert send(body, 200)["duplicate"]
    assert PartialIngestEvent.objects.values().get() == before


def test_what_leaves_nothing_out_is_no_work(plant: IngestPlant, send: Send) -> None:
    bring(*plant.sns)
    send(panel(plant.sns, "OK", "NG", "OK"), 201)
    assert waiting_for_people() == 0


def test_the_subject_is_the_only_unit(plant: IngestPlant, client: APIClient, send: Send) -> None:
    send(panel(plant.sns[:2], "OK", "OK"), 201)
    assert [(item["subject"], item["failing"]) for item in read_causes(client)["items"]] == [(plant.sns[1], 0)]


def test_it_costs_no_statement(plant: IngestPlant, client: APIClient, send: Send) -> None:
    bring(*plant.sns)
    send(panel(plant.sns[:1], "OK"), 201)
    Unit.objects.update(current_step_no=30, status="QUEUED")
    whole = count(client, panel(plant.sns[:2], "OK", "OK"))
    Unit.objects.filter(sn=plant.sns[1]).update(current_step_no=10)
    Unit.objects.filter(sn=plant.sns[0]).update(current_step_no=30)
    assert count(client, panel(plant.sns[:2], "OK", "OK")) == whole
    assert PartialIngestEvent.objects.count() == 1


def test_it_is_open_when_the_wait_for_it_is_over(db: None, send: Send) -> None:
    plant = make_ingest_plant(reflow=PANEL)
    bring(plant.sns[0])
    answer = send(panel(plant.sns[:2], "OK", "OK"), 202)
    received_at = OpenIngestEvent.objects.get().received_at
    OpenIngestEvent.objects.update(wait_until=timezone.now())
    catch_up()
    partial = PartialIngestEvent.objects.get(pk=answer["eventId"])
    assert (partial.received_at, partial.sns) == (received_at, [plant.sns[1]])


# --- dismissed ---------------------------------------------------------------------------------------------


def test_dismissing_it_keeps_the_event_applied_and_releases_nobody(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    body = panel(plant.sns, "OK", "OK", "NG")
    event_id = send(body, 201)["eventId"]
    shown = decide(client, event_id, "dismiss", reason="thrown away")
    assert (shown["status"], shown["note"]["reason"]) == ("APPLIED", "thrown away")
    assert shown["note"]["dismissedBy"].startswith("token:") and shown["note"]["dismissedAt"]
    assert [item["sn"] for item in shown["skipped"]] == plant.sns[1:]
    assert (waiting_for_people(), read_causes(client)["items"]) == (0, [])
    assert status_of(plant.sns[2]) == "ON_HOLD"
    for action, more in (("dismiss", {"reason": "again"}), ("replay", {})):
        bring(*plant.sns)
        assert decide(client, event_id, action, 409, **more)["code"] == "INVALID_TRANSITION"
    assert send(body, 200)["duplicate"]
    assert IngestEvent.objects.get().note["reason"] == "thrown away"


def test_items_that_nobody_can_read_can_only_be_dismissed(plant: IngestPlant, client: APIClient, send: Send) -> None:
    boards = [{"sn": plant.sns[0], "result": "OK"}, {"sn": "NOREAD", "result": "NG"}]
    event_id = send(event("BATCH", {"station": "OVN-1", "boards": boards}), 201)["eventId"]
    [cause] = read_causes(client)["items"]
    assert (cause["code"], cause["failing"], cause["subject"]) == ("SN_UNREADABLE", 1, "")
    assert decide(client, event_id, "replay", 422)["code"] == "SN_UNREADABLE"
    assert waiting_for_people() == 1
    decide(client, event_id, "dismiss", reason="found it")
    assert waiting_for_people() == 0


def test_a_token_of_other_stations_decides_nothing(plant: IngestPlant, client: APIClient, send: Send) -> None:
    event_id = send(panel(plant.sns[:2], "OK", "OK"), 201)["eventId"]
    elsewhere = api_client("ENGINEER", stations=["AOI-1"])
    assert read_causes(elsewhere)["items"] == []
    for action, body in (("dismiss", {"reason": "x"}), ("replay", {})):
        assert decide(elsewhere, event_id, action, 403, **body)["code"] == "PERMISSION_DENIED"
    assert waiting_for_people() == 1


# --- tried again -------------------------------------------------------------------------------------------


def test_a_replay_ends_it_when_nothing_is_left(plant: IngestPlant, client: APIClient, send: Send) -> None:
    _one, two, three = plant.sns
    event_id = send(panel(plant.sns, "OK", "OK", "OK"), 201)["eventId"]
    assert decide(client, event_id, "replay", 409)["code"] == "STEP_MISMATCH"
    Unit.objects.filter(sn=three).update(status="OUT_FAILED", current_step_no=30)
    bring(two)
    assert [item["sn"] for item in decide(client, event_id, "replay")["skipped"]] == [three]
    [cause] = read_causes(client)["items"]
    assert (cause["code"], cause["subject"]) == ("UNIT_OUT_FAILED", three)
    Unit.objects.filter(sn=three).update(status="QUEUED")
    decide(client, event_id, "replay", reason="repaired")
    assert (waiting_for_people(), Track.objects.count()) == (0, 3)
    assert SettledIngestEvent.objects.get().note["reason"] == "repaired"


# --- decided about as units --------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["release", "rework", "scrap"])
def test_deciding_about_the_unit_that_it_held_settles_it(
    plant: IngestPlant, client: APIClient, send: Send, committed: Any, decision: str
) -> None:
    send(panel(plant.sns[:2], "OK", "NG"), 201)
    with committed():
        assert client.post(f"/api/units/{plant.sns[1]}/{decision}", {"reason": "looked at"}).status_code == 200
    assert waiting_for_people() == 0
    settled = SettledIngestEvent.objects.get()
    assert (settled.status, settled.note["reason"], settled.note["decision"]) == (
        "APPLIED",
        "looked at",
        decision.upper(),
    )
    assert settled.skipped[0]["decision"]["action"] == decision.upper()


def test_the_other_units_stay_open_and_the_decided_one_is_not_tried_again(
    plant: IngestPlant, client: APIClient, send: Send, committed: Any
) -> None:
    one, two, three = plant.sns
    event_id = send(panel([one, two, three], "OK", "NG", "OK"), 201)["eventId"]
    with committed():
        dispositions.release_unit(sn=two, reason="good", by="quality")
    assert PartialIngestEvent.objects.values_list("sns", "held_unit_ids", "is_failing").get() == ([three], [], False)
    bring(two, three)
    answer = decide(client, event_id, "replay")
    assert "skipped" not in answer
    assert (status_of(two), Unit.objects.get(sn=two).current_step_no, waiting_for_people()) == ("QUEUED", 30, 0)
    assert set(Track.objects.values_list("unit__sn", flat=True)) == {one, three}
    assert [item["decision"]["reason"] for item in SettledIngestEvent.objects.get().skipped] == ["good"]


def test_a_decision_about_a_unit_that_it_did_not_hold_settles_nothing(
    plant: IngestPlant, send: Send, committed: Any
) -> None:
    send(panel(plant.sns[:2], "OK", "OK"), 201)
    dispositions.hold_unit(sn=plant.sns[1], reason="look", by="quality")
    with committed():
        dispositions.release_unit(sn=plant.sns[1], reason="good", by="quality")
    assert waiting_for_people() == 1


def test_what_a_crash_left_is_settled_by_the_clock(plant: IngestPlant, send: Send) -> None:
    send(panel(plant.sns[:2], "OK", "NG"), 201)
    assert catch_up() == 0
    dispositions.release_unit(sn=plant.sns[1], reason="good", by="quality")  # nothing follows: its process died
    assert waiting_for_people() == 1
    assert (catch_up(), catch_up(), waiting_for_people()) == (1, 0, 0)


# --- all of a cause ----------------------------------------------------------------------------------------


def test_all_of_a_cause(plant: IngestPlant, client: APIClient, send: Send, committed: Any) -> None:
    one, two, three = plant.sns
    for other in (two, three):
        bring(one)
        Unit.objects.filter(sn=one).update(status="QUEUED")
        send(panel([one, other], "OK", "OK"), 201)
    up_to = read_causes(client)["upTo"]
    bring(two)
    started = start(client, "replay", code="STEP_MISMATCH", upTo=up_to)
    with committed():
        services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 2, 1, 0, 1, 0, 0)
    assert start(client, "dismiss", code="STEP_MISMATCH", status="REJECTED", upTo=up_to)["matched"] == 0
    started = start(client, "dismiss", code="STEP_MISMATCH", status="APPLIED", upTo=up_to, reason="a trial")
    services.work_off()
    assert counts(see(client, started["id"])) == ("DONE", 1, 0, 0, 0, 1, 0)
    assert (waiting_for_people(), IngestEvent.objects.filter(status="APPLIED").count()) == (0, 2)


# --- the page ----------------------------------------------------------------------------------------------


def test_the_page_lists_it_and_decides(plant: IngestPlant, client: APIClient, send: Send) -> None:
    browser = Client()
    browser.force_login(make_user(Role.ADMIN))
    body = panel(plant.sns, "OK", "OK", "NG")
    event_id = send(body, 201)["eventId"]
    for query in ("", "?status=APPLIED", f"?q={plant.sns[2]}", f"?q={plant.sns[0]}", "?code=STEP_MISMATCH"):
        page = browser.get(f"/ingest/events/{query}").content.decode()
        assert f'id="event-{event_id}"' in page and "Applied in part" in page and "1 failing" in page, query
        assert page.count("tone-bad") >= 3 and "FAIL</span>" in page
    for query in ("?status=REJECTED", "?q=nobody", "?station=AOI-1"):
        assert f'id="event-{event_id}"' not in browser.get(f"/ingest/events/{query}").content.decode(), query
    bring(plant.sns[1])
    Unit.objects.filter(sn=plant.sns[2]).update(current_step_no=20)
    answer = browser.post(f"/ingest/events/{event_id}/replay/", follow=True).content.decode()
    assert "Still refused" in answer or "but for what it leaves out" in answer
    answer = browser.post(f"/ingest/events/{event_id}/dismiss/", {"reason": "x"}, follow=True).content.decode()
    assert "It is dismissed." in answer and "Nothing is refused." in answer


def test_the_page_of_a_unit_that_it_held_tells_of_it(plant: IngestPlant, send: Send) -> None:
    send(panel(plant.sns, "OK", "OK", "NG"), 201)
    sns = Unit.objects.order_by("id").values_list("sn", flat=True)
    assert [len(get_unit_trace(sn=sn).events) for sn in sns] == [1, 0, 1]


# --- what there was before ---------------------------------------------------------------------------------


def test_the_migration_finds_what_was_left_out_before(plant: IngestPlant, send: Send) -> None:
    one, two, three = plant.sns
    boards = [{"sn": sn, "result": result} for sn, result in ((one, "OK"), (two, "OK"), (three, "NG"), ("?", "OK"))]
    send(event("BATCH", {"station": "OVN-1", "boards": boards}), 201)
    bring(one)
    send(panel([one, two], "OK", "OK"), 201)
    bring(one)
    send(panel([one], "OK"), 201)
    written = list(PartialIngestEvent.objects.order_by("id").values())
    assert len(written) == 2
    PartialIngestEvent.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("ingest.migrations.0009_left_out").LEFT_OUT)
    assert list(PartialIngestEvent.objects.order_by("id").values()) == written
