"""The id of a request goes with what it brought: to events, messages, machine events, and the worker's log lines."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.test import Client
from django.utils import timezone

from ingest.models import IngestEvent
from integration.models import FailedMessage, IntegrationMessage, SettledMessage
from mes.platform import request_ids
from mes.platform.accounts.roles import Role
from mes.platform.outbox import emit, processor
from mes.platform.outbox.models import EventType, MesEvent
from tests.factories import api_client, make_plant, make_user
from tests.ingest.support import final_test, make_ingest_plant, printed
from tests.integration.helpers import into_oven, make_event, reading

pytestmark = pytest.mark.django_db
DEVICE_DATA = "/api/integration/device-data"


def post(address: str, body: Any, request_id: str) -> Any:
    return api_client(Role.ADMIN).post(address, body, HTTP_X_REQUEST_ID=request_id)


def listen(monkeypatch: pytest.MonkeyPatch, handler: Callable[[MesEvent], None]) -> None:
    """Have a handler want all events that come."""
    for event_type in EventType:
        monkeypatch.setitem(emit.handlers, event_type.value, [handler])


def work_off() -> None:
    """Have all events handled that are there."""
    MesEvent.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    processor.process_due()


def test_events_of_a_move_carry_it() -> None:
    make_plant()
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}, "move-1")
    assert set(MesEvent.objects.values_list("request_id", flat=True)) == {"move-1"}
    api_client(Role.ADMIN).post("/api/stations/SMT-01/track-out", {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"})
    made = MesEvent.objects.exclude(request_id="move-1").values_list("request_id", flat=True)
    assert made and all(len(request_id) == 32 for request_id in made)


def test_events_of_an_alarm_carry_it() -> None:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    assert post(DEVICE_DATA, make_event("evt-1", data=[reading(260)]), "alarm-1").status_code == 201
    assert MesEvent.objects.get(event_type="DATA_ALARM").request_id == "alarm-1"


def test_what_comes_of_no_request_carries_none() -> None:
    assert request_ids.current() == "" or Client().get("/healthz")["X-Request-ID"]
    request_ids.take("")
    MesEvent.objects.create(event_type="TRACK_IN", idempotency_key="k", occurred_at=timezone.now())
    assert MesEvent.objects.get().request_id == ""


def test_the_worker_s_log_lines_name_it_and_only_while_it_handles_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    def handle(event: MesEvent) -> None:
        seen.append((structlog.contextvars.get_contextvars()["request_id"], request_ids.current()))

    make_plant()
    listen(monkeypatch, handle)
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}, "move-1")
    request_ids.begin("the worker's own")
    work_off()
    assert seen and set(seen) == {("move-1", "move-1")}
    assert structlog.contextvars.get_contextvars()["request_id"] == request_ids.current() == "the worker's own"


def test_the_line_of_a_failure_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    monkeypatch.setattr(processor, "_log", lambda error, event_id: named.append(request_ids.current()))

    def fail(event: MesEvent) -> None:
        raise ValueError

    make_plant()
    listen(monkeypatch, fail)
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}, "move-1")
    request_ids.take("")
    work_off()
    assert set(named) == {"move-1"}


def test_what_a_handler_emits_carries_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(event: MesEvent) -> None:
        if event.event_type == EventType.TRACK_IN:
            emit.emit(emit.NewEvent(EventType.OUTBOUND_FEEDBACK, "told", "RUN", "1", timezone.now()))

    make_plant()
    listen(monkeypatch, tell)
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}, "move-1")
    work_off()
    assert MesEvent.objects.get(idempotency_key="told").request_id == "move-1"


def test_a_set_of_events_names_the_request_that_all_of_them_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    handler = emit.SetHandler(lambda events: seen.append(request_ids.current()))
    make_plant(units=3)
    monkeypatch.setitem(emit.handlers, EventType.TRACK_IN, [handler])
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}, "move-1")
    work_off()
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-2"}, "move-2")
    post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-3"}, "move-3")
    request_ids.take("")
    work_off()
    assert seen == ["move-1", ""]


def test_messages_keep_it() -> None:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    good, bad = make_event("evt-1"), make_event("evt-2", runNo="RUN-9")
    post(DEVICE_DATA, good, "first")
    post(DEVICE_DATA, good, "again")
    post(DEVICE_DATA, bad, "refused")
    post(DEVICE_DATA, bad, "refused-again")
    assert FailedMessage.objects.get().request_id == "refused-again"
    assert SettledMessage.objects.get(status="DUPLICATE").request_id == "again"
    listed = api_client(Role.ADMIN).get("/api/integration/messages?requestId=again").json()["data"]["items"]
    assert [(message["status"], message["requestId"]) for message in listed] == [("DUPLICATE", "again")]


def test_a_message_that_is_replayed_keeps_the_first_request() -> None:
    make_plant()
    client = api_client(Role.ADMIN)
    post(DEVICE_DATA, make_event("evt-1"), "too-early")
    into_oven(client)
    message = FailedMessage.objects.get()
    answer = post(f"/api/integration/messages/{message.pk}/replay", {}, "replay")
    assert answer.status_code == 200
    assert IntegrationMessage.objects.get(pk=message.pk).request_id == "too-early"


def test_machine_events_keep_it() -> None:
    plant = make_ingest_plant()
    post("/api/ingest/events", printed(plant.sns[0]), "applied")
    post("/api/ingest/events", final_test(plant.sns[1]), "waits")
    post("/api/ingest/events", printed("NOBODY"), "refused")
    kept = dict(IngestEvent.objects.values_list("request_id", "status"))
    assert kept == {"applied": "APPLIED", "waits": "WAITING", "refused": "REJECTED"}
    listed = api_client(Role.ADMIN).get("/api/ingest/events?requestId=waits").json()["data"]["items"]
    assert [event["status"] for event in listed] == ["WAITING"]


@pytest.mark.parametrize("model", ["mes_mesevent", "integration_integrationmessage", "ingest_ingestevent"])
def test_the_admin_site_finds_it(model: str) -> None:
    make_plant()
    plant = make_ingest_plant(run_no="RUN-2")
    into_oven(api_client(Role.ADMIN))
    post(DEVICE_DATA, make_event("evt-1", data=[reading(260)]), "wanted-1")
    post(DEVICE_DATA, make_event("evt-2", runNo="RUN-9"), "wanted-1")
    post("/api/ingest/events", printed(plant.sns[0]), "wanted-1")
    post("/api/ingest/events", printed(plant.sns[1]), "other-1")
    client = Client()
    client.force_login(make_user(Role.ADMIN, is_superuser=True))
    page = client.get(f"/admin/{model.replace('_', '/', 1)}/?q=wanted-1")
    rows = page.context["cl"].result_list
    assert rows and {row.request_id for row in rows} == {"wanted-1"}
    assert "wanted-1" in client.get(f"/admin/{model.replace('_', '/', 1)}/{rows[0].pk}/change/").content.decode()
