"""Deciding about a unit dismisses the messages that held it."""

import importlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from execution import dispositions, hooks
from execution.models import Disposition
from integration import dismissing
from integration.messages import note_failed_replay
from integration.models import FailedMessage, IntegrationMessage, SettledMessage
from mes import errors
from mes.platform.accounts.roles import Role
from mes.platform.hooks import Hook
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.outbox import schedules
from mes.platform.sweeps import SweepIncomplete
from mes.production.models import Unit
from tests.factories import Plant, api_client, make_plant, make_user
from tests.integration.helpers import EVENTS, into_oven, make_event, moment, reading, track_out

pytestmark = pytest.mark.django_db
LOW = 200.0  # Peak Temperature, KEY 235..250 °C
NEVER_THERE = {"stationCode": "SMT-01"}  # the unit was not in the oven there
INSPECTIONS = "/api/integration/inspection-result"
Committed = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant(units=2)


@pytest.fixture
def client(plant: Plant) -> APIClient:
    return api_client()


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Committed:
    """Return a context at whose end happens what follows a commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def send_reading(client: APIClient, event_id: str = "evt-1", sn: str = "SN-1", value: float = LOW) -> Any:
    return client.post(EVENTS, make_event(event_id, reading(value), unitSn=sn, **NEVER_THERE))


def send_batch(client: APIClient) -> Any:
    events = [make_event(key, reading(LOW), unitSn=sn, **NEVER_THERE) for key, sn in (("b-1", "SN-1"), ("b-2", "SN-2"))]
    return client.post(f"{EVENTS}/batch", {"events": [*events, events[0]]})


def send_inspection(client: APIClient, event_id: str = "evt-1", result: str = "FAIL") -> Any:
    body = {"eventId": event_id, "eventTime": moment(), "source": "AUTO", "runNo": "RUN-1", "stationCode": "REF-01"}
    body |= {"unitSn": "SN-1", "stepNo": 20, "inspectionType": "AOI", "result": result}
    return client.post(INSPECTIONS, body)


def send_conflict(client: APIClient) -> Any:
    """A passing message spends the key; other content under it says that the unit failed."""
    into_oven(client)
    track_out(client, "REF-01", data=[reading(245)])
    assert client.post(EVENTS, make_event("evt-1", reading(246))).status_code == 201
    return client.post(EVENTS, make_event("evt-1", reading(LOW)))


DOORS = {
    "device data": send_reading,
    "a batch": send_batch,
    "an inspection": send_inspection,
    "a conflict": send_conflict,
}


def decide(client: APIClient, decision: str, sn: str = "SN-1") -> None:
    answer = client.post(f"/api/units/{sn}/{decision}", {"reason": "looked at"})
    assert answer.status_code == 200, answer.content


def holding(sn: str) -> FailedMessage:
    return FailedMessage.objects.get(held_unit_ids=[Unit.objects.get(sn=sn).pk])


@pytest.mark.parametrize("door", DOORS)
def test_each_door_names_the_message_that_holds(client: APIClient, door: str) -> None:
    DOORS[door](client)
    message = holding("SN-1")
    hold = Disposition.objects.get(unit__sn="SN-1", action="HOLD")
    assert (hold.about_message_id, hold.about_event_id) == (message.pk, None)
    assert message.error["details"]["held"] == ["SN-1"]
    assert message.status == ("CONFLICT" if door == "a conflict" else "FAILED")
    [told] = [
        item for item in client.get("/api/trace/units/SN-1").json()["data"]["dispositions"] if item["action"] == "HOLD"
    ]
    assert told["aboutMessageId"] == str(message.pk)


@pytest.mark.parametrize("decision", ["release", "rework", "scrap"])
@pytest.mark.parametrize("door", DOORS)
def test_deciding_dismisses_what_held(client: APIClient, committed: Committed, door: str, decision: str) -> None:
    DOORS[door](client)
    send_reading(client, "evt-passing", value=245)  # refused as well, but it holds nobody
    message = holding("SN-1")
    others = set(FailedMessage.objects.exclude(pk=message.pk).values_list("pk", flat=True))
    assert others
    with committed():
        decide(client, decision)
    assert set(FailedMessage.objects.values_list("pk", flat=True)) == others
    settled = SettledMessage.objects.get(pk=message.pk)
    assert (settled.status, settled.error_code) == ("DISMISSED", message.error_code)
    by = Disposition.objects.exclude(action="HOLD").get().decided_by
    assert settled.note == {"dismissedBy": by, "reason": "looked at", "decision": decision.upper()}


def test_a_dismissed_message_that_comes_again_is_a_duplicate_and_holds_nobody(
    client: APIClient, committed: Committed
) -> None:
    body = make_event("evt-1", reading(LOW), **NEVER_THERE)
    client.post(EVENTS, body)
    message = holding("SN-1")
    with committed():
        decide(client, "release")
    again = client.post(EVENTS, body)
    assert (again.status_code, again.json()["data"]["isDuplicate"]) == (200, True), again.content
    assert (Unit.objects.get(sn="SN-1").status, FailedMessage.objects.count()) == ("QUEUED", 0)
    assert IdempotencyKey.objects.get(key="evt-1").record_id == message.pk


def test_dismissing_a_message_releases_nobody(client: APIClient) -> None:
    send_reading(client)
    address = f"/api/integration/messages/{holding('SN-1').pk}/dismiss"
    assert client.post(address, {"reason": "look at the board"}).status_code == 200
    assert Unit.objects.get(sn="SN-1").status == "ON_HOLD"


def test_one_that_holds_two_is_dismissed_with_the_last(client: APIClient, committed: Committed) -> None:
    send_reading(client)
    send_reading(client, "evt-2", "SN-2")
    both = list(Unit.objects.filter(sn__in=["SN-1", "SN-2"]).order_by("pk").values_list("pk", flat=True))
    message = holding("SN-1")
    FailedMessage.objects.filter(pk=message.pk).update(held_unit_ids=both)
    with committed():
        decide(client, "release")
    assert dismissing.dismiss_missed() == 0
    assert FailedMessage.objects.filter(pk=message.pk).exists()
    assert not IdempotencyKey.objects.filter(key="evt-1").exists()  # its key stayed free
    with committed():
        decide(client, "scrap", "SN-2")
    assert SettledMessage.objects.get(pk=message.pk).note["decision"] == "SCRAP"
    assert not FailedMessage.objects.exists()


def test_one_that_was_refused_for_several_reasons_goes_whole(client: APIClient, committed: Committed) -> None:
    body = make_event("evt-1", reading(LOW), **NEVER_THERE)
    client.post(EVENTS, body)
    first = holding("SN-1")
    FailedMessage.objects.filter(pk=first.pk).update(error_code="STATION_NOT_FOUND")  # it was refused so, before
    client.post(EVENTS, body)
    assert FailedMessage.objects.count() == 2
    assert Disposition.objects.filter(action="HOLD").count() == 1
    with committed():
        decide(client, "release")
    assert not FailedMessage.objects.exists()
    assert SettledMessage.objects.filter(status="DISMISSED", note__decision="RELEASE").count() == 2


def test_a_hold_that_another_told_in_the_same_words_keeps_it_open(client: APIClient, committed: Committed) -> None:
    """The one came before a release, while nobody knew the unit, and holds it after another that says the same."""
    Unit.objects.filter(sn="SN-1").update(sn="LATER")
    send_reading(client)
    message = FailedMessage.objects.get()
    Unit.objects.filter(sn="LATER").update(sn="SN-1")
    dispositions.hold_unit(sn="SN-1", reason="a scratch", by="quality")
    decide(client, "release")
    send_reading(client, "evt-2")
    client.post(f"/api/integration/messages/{message.pk}/replay", {})
    assert len(Unit.objects.get(sn="SN-1").hold_reason.split(" · ")) == 1
    assert dismissing.dismiss_missed() == 0
    assert FailedMessage.objects.count() == 2
    with committed():
        decide(client, "release")
    assert not FailedMessage.objects.exists()


def test_what_a_crash_left_is_dismissed_by_the_clock(client: APIClient) -> None:
    send_reading(client)
    send_reading(client, "evt-2", "SN-2")
    decide(client, "release")  # nothing follows: its process died
    message = holding("SN-1")
    [task] = [task for task in schedules.tasks if task.name == "messages"]
    assert task.run() == 1
    assert SettledMessage.objects.get(pk=message.pk).note["decision"] == "RELEASE"
    assert FailedMessage.objects.get() == holding("SN-2")
    assert task.run() == 0


def test_one_that_cannot_be_dismissed_hinders_no_other(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    send_reading(client)
    send_reading(client, "evt-2", "SN-2")
    first = holding("SN-1").pk
    decide(client, "release")
    decide(client, "release", "SN-2")
    dismiss = dismissing._dismiss_decided

    def fail(message_id: int) -> bool:
        if message_id == first:
            raise ValueError("broken")
        return dismiss(message_id)

    monkeypatch.setattr(dismissing, "_dismiss_decided", fail)
    with pytest.raises(SweepIncomplete, match="broken"):  # its task is shown as failed
        dismissing.dismiss_missed()
    assert FailedMessage.objects.get().pk == first


def test_a_hold_by_a_replay_after_the_decision_keeps_it_open(client: APIClient, committed: Committed) -> None:
    """It came before anybody knew its unit, which was held for something else and released since."""
    Unit.objects.filter(sn="SN-1").update(sn="LATER")
    send_reading(client)
    message = FailedMessage.objects.get()
    assert message.held_unit_ids == []
    Unit.objects.filter(sn="LATER").update(sn="SN-1")
    dispositions.hold_unit(sn="SN-1", reason="a scratch", by="quality")
    with committed():
        decide(client, "release")
    client.post(f"/api/integration/messages/{message.pk}/replay", {})
    assert holding("SN-1").pk == message.pk
    assert Disposition.objects.filter(action="HOLD", about_message_id=message.pk).count() == 1
    assert dismissing.dismiss_missed() == 0
    with committed():
        decide(client, "release")
    assert not FailedMessage.objects.exists()


def test_a_unit_that_it_comes_to_hold_meanwhile_keeps_it_open(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay notes one more unit while the sweep dismisses: that waits, and looks again."""
    plant = make_plant(units=2)
    send_reading(api_client())
    message = holding("SN-1")
    monkeypatch.setattr(hooks, "units_decided", Hook())  # the process died
    dispositions.release_unit(sn="SN-1", reason="good", by="quality")

    def sweep() -> int:
        try:
            return dismissing.dismiss_missed()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            note_failed_replay(message, errors.TrackNotFound(), held_unit_ids=[plant.units[1].pk])
            swept = pool.submit(sweep)
            _await_lock()
        assert swept.result(timeout=60) == 0
    assert len(FailedMessage.objects.get(pk=message.pk).held_unit_ids) == 2
    assert not IdempotencyKey.objects.filter(key="evt-1").exists()


def _await_lock() -> None:
    """Wait until another connection waits for a lock in this database."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    end = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
            time.sleep(0.02)
    raise AssertionError("nobody waited")


def test_messages_kept_before_know_whom_they_hold_after_the_upgrade(client: APIClient) -> None:
    send_reading(client)
    send_reading(client, "evt-2", value=245)
    held = holding("SN-1")
    FailedMessage.objects.update(held_unit_ids=[])
    migration = importlib.import_module("integration.migrations.0008_held_units")
    with connection.cursor() as cursor:
        cursor.execute(migration.HOLDING)
    assert holding("SN-1") == held
    assert FailedMessage.objects.filter(held_unit_ids=[]).count() == 1


def test_the_page_of_a_unit_leads_to_the_message_that_held_it(client: APIClient, committed: Committed) -> None:
    send_reading(client)
    send_reading(client, "evt-2", "SN-2")
    message = holding("SN-1")
    browser = Client()
    browser.force_login(make_user(Role.ADMIN))
    address = f"/integration/messages/?message={message.pk}"
    assert f'href="{address}"' in browser.get("/trace/units/SN-1/").content.decode()
    page = browser.get(address).content.decode()
    assert f'id="message-{message.pk}"' in page
    assert f'id="message-{holding("SN-2").pk}"' not in page
    with committed():
        decide(client, "release")
    page = browser.get(address).content.decode()
    assert "The message is refused no longer" in page
    assert "looked at" in page
    for nothing in ("0", "x", "9" * 30, str(message.pk + 1000)):
        assert browser.get(f"/integration/messages/?message={nothing}").status_code == 200
    assert IntegrationMessage.objects.get(pk=message.pk).status == "DISMISSED"
