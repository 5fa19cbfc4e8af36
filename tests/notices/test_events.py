"""Where each event that rules tell of comes from: its one place, whom it reaches by line, and what it says."""

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from execution import unit_notices
from execution.outbox_events import alarm_event
from execution.quality.holds import services as holds
from ingest import refusal_notices as ingest_notices
from ingest.models import OpenIngestEvent
from ingest.processing import catch_up
from integration import refusal_notices as message_notices
from integration.models import FailedMessage
from mes.platform.accounts.roles import Role
from mes.platform.monitoring import troubles
from mes.platform.monitoring.models import SystemTrouble
from mes.platform.notifications.models import Notification
from mes.platform.outbox.models import MesEvent
from mes.production import line_acts, run_acts, station_acts
from mes.production.hold_models import Hold
from mes.time_rules import sweep
from tests.execution.oqc.support import inspect, make_lot
from tests.execution.support import assert_done, decide, track_in, track_out
from tests.execution.test_first_article import act as act_on_fai
from tests.execution.test_first_article import begin, make_fai_plant
from tests.factories import Plant, api_client, make_line, make_plant, make_user
from tests.ingest.support import inspected, make_ingest_plant
from tests.integration.helpers import EVENTS, into_oven, make_event, reading
from tests.platform.notifications.support import make_rule, work_off
from tests.platform.outbox.support import make_event as make_outbox_event
from tests.time_rules.support import at, handle, start
from tests.time_rules.support import make_rule as make_time_rule

pytestmark = pytest.mark.django_db

Sue = tuple[User, User, User]


@pytest.fixture
def plant() -> Plant:
    return make_plant()


@pytest.fixture
def admin() -> APIClient:
    return api_client()


def listen(event: str, **fields: Any) -> Sue:
    """Return who is told of all, of SMT-A and of another line."""
    every, here, elsewhere = (make_user() for _each in range(3))
    make_rule(event, persons=(every,))
    make_rule(event, persons=(here,), line=make_line("SMT-A"))
    make_rule(event, persons=(elsewhere,), line=make_line("SMT-Z"))
    return every, here, elsewhere


def texts(*people: User) -> list[list[str]]:
    for _step in ("what happened", "what follows of it", "what is told"):
        work_off()
    return [
        list(Notification.objects.filter(recipient=user).order_by("pk").values_list("text", flat=True))
        for user in people
    ]


def assert_told_once(people: Sue, *parts: str) -> Notification:
    """It reaches who hears of all and of the line, once, and says these parts."""
    every, here, elsewhere = texts(*people)
    assert every == here and elsewhere == []
    [text] = every
    assert all(part in text for part in parts), text
    return Notification.objects.filter(recipient=people[0]).get()


# --- holds -------------------------------------------------------------------------------------------------


HOT = {"scope": "UNITS", "condition": {"runNo": "RUN-1"}, "reason": "Hot oven"}
PLACES: dict[str, Callable[[], Any]] = {
    "Run RUN-1 is on hold: Smell": lambda: run_acts.hold(run_no="RUN-1", by="sue", reason="Smell"),
    "Line SMT-A is stopped: Smell": lambda: line_acts.hold(line_code="SMT-A", by="sue", reason="Smell"),
    "Station SMT-01 is stopped: Smell": lambda: station_acts.stop(station_code="SMT-01", by="sue", reason="Smell"),
}


@pytest.mark.parametrize("text", PLACES)
def test_a_place_that_is_held(plant: Plant, text: str) -> None:
    people = listen("HOLD_OPENED")
    PLACES[text]()
    PLACES[text]()  # it is held already
    notification = assert_told_once(people, text)
    assert notification.address == f"/holds/{Hold.objects.get().hold_no}/"


def test_who_hears_of_a_stopped_line_anyway_hears_once(plant: Plant) -> None:
    sue = make_user(Role.SUPERVISOR)
    make_rule("HOLD_OPENED", persons=(sue,))
    line_acts.hold(line_code="SMT-A", by="sue", reason="Smell")
    assert texts(sue) == [["Line SMT-A is stopped: Smell"]]


def test_a_shared_station_concerns_every_line(plant: Plant) -> None:
    people = listen("HOLD_OPENED")
    type(plant.stations["SMT-01"]).objects.update(line=None)
    station_acts.stop(station_code="SMT-01", by="sue", reason="Smell")
    assert [len(told) for told in texts(*people)] == [1, 1, 1]


def test_a_unit_that_is_held_and_held_again_for_the_same(plant: Plant, admin: APIClient) -> None:
    people = listen("HOLD_OPENED")
    assert_done(decide(admin, "hold", reason="scratched"))
    decide(admin, "hold", reason="scratched")
    assert_told_once(people, "H-", "holds SN-1: scratched")


def test_units_that_are_held_together(plant: Plant, admin: APIClient) -> None:
    people = listen("HOLD_OPENED")
    assert_done(admin.post("/api/holds", HOT), 201)
    assert_told_once(people, "holds 2 units (SN-1, SN-2): Hot oven")


def test_more_units_than_are_held_at_once(plant: Plant, admin: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "LARGEST_AT_ONCE", 1)
    people = listen("HOLD_OPENED")
    assert_done(admin.post("/api/holds", HOT), 202)
    assert_told_once(people, "holds 2 units (SN-1, SN-2): Hot oven")


# --- units and values --------------------------------------------------------------------------------------


def test_a_unit_that_fails_and_one_that_passes(plant: Plant, admin: APIClient) -> None:
    people = listen("UNIT_FAILED")
    for sn, result in (("SN-1", "FAIL"), ("SN-2", "PASS")):
        assert_done(track_in(admin, sn=sn), 201)
        assert_done(track_out(admin, sn=sn, result=result))
    notification = assert_told_once(people, "Unit SN-1 failed at SMT-01 (step 10, PRINT).")
    assert notification.address == "/trace/units/SN-1/"


def test_without_a_rule_moves_leave_nothing_to_do(plant: Plant, admin: APIClient) -> None:
    make_rule("UNIT_FAILED", is_active=False)
    make_rule("HOLD_OPENED")
    assert_done(track_in(admin), 201)
    assert_done(track_out(admin, result="FAIL"))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT bool_or({unit_notices.FAILED.interest}) FROM mes_mesevent e")
        assert cursor.fetchone() == (False,)
    assert not MesEvent.objects.filter(event_type="NOTICE").exists()


def test_a_value_outside_its_alarm_band(plant: Plant, admin: APIClient) -> None:
    people = listen("DATA_ALARM")
    into_oven(admin)
    hot = make_event("hot", reading(300))
    for status in (201, 200):
        assert_done(admin.post(EVENTS, hot), status)
    assert_told_once(people, "Alarm: Peak Temperature is 300 °C at SN-1; 230 to 255 is normal.")


def test_alarms_of_a_long_key_are_told_apart() -> None:
    value: Any = MagicMock()
    keys = {alarm_event(value, key=f"{'k' * 250}:{index}", sn="SN-1", run_id=1).key for index in range(2)}
    assert {len(key) for key in keys} == {200}
    assert len(keys) == 2


def test_what_cannot_be_described_keeps_nothing_else_from_happening(plant: Plant, admin: APIClient) -> None:
    people = listen("UNIT_FAILED")
    now = timezone.now()
    MesEvent.objects.create(
        event_type="TRACK_OUT", idempotency_key="odd", entity_type="UNIT", entity_id="?", occurred_at=now,
        payload={"result": "FAIL", "stationId": 1, "operationKind": "OTHER"},
    )  # fmt: skip
    assert_done(track_in(admin), 201)
    assert_done(track_out(admin, result="FAIL"))
    assert_told_once(people, "Unit SN-1 failed")
    unit_notices.tell_failed([MesEvent.objects.get(idempotency_key="odd")])


# --- clocks ------------------------------------------------------------------------------------------------


def test_clocks_that_run_out_soon_and_that_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told by the time rule anyway is told once."""
    monkeypatch.setattr(timezone, "now", lambda: at(0))
    line, quinn = make_line("SMT-A"), make_user(Role.QUALITY)
    warned, expired = listen("CLOCK_WARNING"), listen("CLOCK_EXPIRED")
    for event in ("CLOCK_WARNING", "CLOCK_EXPIRED"):
        make_rule(event, persons=(quinn,))
    make_time_rule(notified_roles=[Role.QUALITY])
    for sn in ("SN-1", "SN-2"):
        handle(start(at(0), sn=sn, lineId=line.pk))
    monkeypatch.setattr(timezone, "now", lambda: at(220))
    assert sweep.sweep() == {"expired": 0, "warned": 2}
    monkeypatch.setattr(timezone, "now", lambda: at(300))
    assert sweep.sweep() == {"expired": 2, "warned": 0}
    assert_told_once(warned, "runs out soon for 2: SN-1, SN-2 (SMT-A)")
    assert_told_once(expired, "ran out for 2: SN-1, SN-2 (SMT-A)")
    assert len(texts(quinn)[0]) == 2


# --- refusals ----------------------------------------------------------------------------------------------


def test_a_message_that_is_refused_and_refused_again(plant: Plant, admin: APIClient) -> None:
    people = listen("EVENT_REJECTED")
    body = make_event("lost", runNo="RUN-9")
    for _time in range(3):
        assert admin.post(EVENTS, body).status_code == 404
    assert_told_once(people, "A message (DEVICE_DATA lost of", "RUN-9")


def test_a_message_that_names_a_line_which_no_line_can_be(plant: Plant, admin: APIClient) -> None:
    every, here, elsewhere = listen("EVENT_REJECTED")
    body = make_event("lost", lineCode="A\x00", stationCode=["A"])
    assert admin.post(EVENTS, body).status_code == 400
    assert admin.post(f"{EVENTS}/batch", {"events": [body | {"eventId": "other"}]}).status_code == 200
    assert [len(told) for told in texts(every, here, elsewhere)] == [2, 0, 0]


def test_a_machine_event_that_is_refused_and_refused_again(plant: Plant, admin: APIClient) -> None:
    people = listen("EVENT_REJECTED")
    body = {
        "sourceSystem": "AOI", "eventType": "AUTO", "dedupeKey": "K-1", "stationCode": "SMT-01", "sn": "SN-1",
        "occurredAt": timezone.now().isoformat(), "payload": {},
    }  # fmt: skip
    for _time in range(3):
        assert admin.post("/api/ingest/events", body).status_code in (409, 422)
    assert_told_once(people, "A machine event (AUTO of AOI) was refused")


def test_a_machine_event_of_no_station_is_of_the_line_of_its_run(plant: Plant, admin: APIClient) -> None:
    people = listen("EVENT_REJECTED")
    body = {
        "sourceSystem": "AOI", "eventType": "AUTO", "dedupeKey": "K-1", "stationCode": "NONE", "sn": "SN-1",
        "occurredAt": timezone.now().isoformat(), "payload": {},
    }  # fmt: skip
    admin.post("/api/ingest/events", body)
    assert OpenIngestEvent.objects.get().station_id is None
    assert_told_once(people, "was refused")


def test_a_machine_event_that_waits_is_told_of_once_it_is_refused(admin: APIClient) -> None:
    sue, plant = make_user(), make_ingest_plant()
    make_rule("EVENT_REJECTED", persons=(sue,))
    admin.post("/api/ingest/events", inspected(plant.sns[0], "end"))
    assert OpenIngestEvent.objects.get().status == "WAITING"
    assert texts(sue) == [[]]
    OpenIngestEvent.objects.update(wait_until=timezone.now())
    catch_up()
    assert len(texts(sue)[0]) == 1


def test_a_machine_event_that_is_malformed(admin: APIClient) -> None:
    every, here, elsewhere = listen("EVENT_REJECTED")
    for _time in range(3):
        admin.post("/api/ingest/events", "{", content_type="application/json")
    [[text], *others] = texts(every, here, elsewhere)
    assert "was refused" in text
    assert others == [[], []], "nothing says of which line it is"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("notices", "address"),
    [(ingest_notices, "/api/ingest/events"), (message_notices, EVENTS)],
    ids=["machine event", "message"],
)
def test_what_is_kept_is_told_though_a_server_died_between(
    monkeypatch: pytest.MonkeyPatch, notices: Any, address: str
) -> None:
    sue = make_user()
    make_rule("EVENT_REJECTED", persons=(sue,))
    client = api_client()
    client.raise_request_exception = False
    with monkeypatch.context() as dying:
        dying.setattr(notices, "announce_wanted", lambda _notices: 1 / 0)
        assert client.post(address, "{", content_type="application/json").status_code == 500
    assert not OpenIngestEvent.objects.exists() and not FailedMessage.objects.exists()
    for _time in range(2):
        assert client.post(address, "{", content_type="application/json").status_code == 400
    assert len(texts(sue)[0]) == 1


# --- what is decided ---------------------------------------------------------------------------------------


def test_a_first_article_that_fails() -> None:
    make_fai_plant()
    people, inspector = listen("FAI_FAILED"), api_client(Role.QUALITY)
    assert_done(act_on_fai(inspector, begin(inspector), "complete", decision="FAIL", remark="Tombstones"))
    assert_told_once(people, "The first article of run RUN-2 failed. Tombstones")


@pytest.mark.parametrize("bad", [0, 1])
def test_an_outgoing_inspection(plant: Plant, admin: APIClient, bad: int) -> None:
    people = listen("OQC_FAILED")
    inspect(admin, make_lot(plant, "RUN-8"), bad=bad)
    if bad:
        assert_told_once(people, "Run RUN-8: Outgoing inspection", "1 of")
    else:
        assert texts(*people) == [[], [], []]


# --- the system --------------------------------------------------------------------------------------------


def test_work_that_is_given_up_and_given_up_again() -> None:
    every = make_user(Role.ADMIN)
    make_rule("OUTBOX_DEAD", roles=[Role.ADMIN])
    event = make_outbox_event("gone", event_type="HOLD_APPLY", max_attempts=1, payload={"nothing": "known"})
    [told] = texts(every)
    assert len(told) == 1 and "Units are held or decided about together" in told[0]
    MesEvent.objects.filter(pk=event.pk).update(status="PENDING", attempts=0)
    assert len(texts(every)[0]) == 2, "somebody tried it again in vain"


def test_what_tells_people_of_dead_work_tells_nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    every = make_user(Role.ADMIN)
    make_rule("OUTBOX_DEAD", roles=[Role.ADMIN])
    MesEvent.objects.all().delete()
    make_outbox_event("n", event_type="NOTICE", max_attempts=1, payload={"ruleId": 1})
    work_off()
    assert MesEvent.objects.get().status == "DEAD"
    assert texts(every) == [[]]


def ok(**bad: Any) -> Callable[[], dict[str, Any]]:
    checks = {"worker": {"ok": True}, "space": {"ok": True}, "tasks": {"ok": True}}
    return lambda: checks | bad


def test_trouble_is_told_as_it_begins() -> None:
    every = make_user(Role.ADMIN)
    make_rule("SYSTEM_TROUBLE", roles=[Role.ADMIN])
    failing = ok(tasks={"ok": False, "failed": [{"name": "retention"}]})
    assert [troubles.watch(failing) for _minute in range(3)] == [1, 1, 1]
    assert texts(every) == [["Scheduled tasks fail: retention"]]
    assert troubles.watch(ok()) == 0
    assert not SystemTrouble.objects.exists()
    troubles.watch(failing)
    troubles.watch(ok(space={"ok": False}, tasks={"ok": False}))
    assert texts(every)[0][1:] == ["Scheduled tasks fail: retention", "There is little room left on a disk"]


def test_a_check_that_is_slow_once_is_no_trouble() -> None:
    slow = iter([{"worker": {"ok": False, "error": "TimeoutError"}}, {"worker": {"ok": True}}])
    assert troubles.watch(lambda: next(slow)) == 0
    for_ever = {"worker": {"ok": False, "error": "TimeoutError"}}
    assert troubles.find_troubles(lambda: for_ever) == {"worker": "No worker has shown itself lately: no answer"}
