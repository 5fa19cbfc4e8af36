"""Least times: a unit that would enter too early is refused or held, a lot that was used too early is told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.models import Track
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.platform.outbox import processor
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.hold_models import Hold
from mes.production.models import Unit
from mes.time_rules import handlers, services, sweep
from mes.time_rules.display import look_at
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from mes.time_rules.queries import list_open
from mes.time_rules.sentences import describe_rule
from tests.execution.support import assert_done, assert_refused, track_in, track_out
from tests.factories import api_client, make_plant, make_user
from tests.time_rules.support import at, end, handle, make_rule, start, statuses, the_clock, usage_event

pytestmark = pytest.mark.django_db

WAIT = {
    "duration_minutes": None,
    "warning_minutes": 0,
    "min_minutes": 30,
    "start_condition": {"operationKind": ["PRINT"], "result": ["PASS"]},
    "end_condition": {"operationKind": ["REFLOW"]},
}


def make_wait(**fields: Any) -> TimeRuleDefinition:
    """Make a rule: PRINT passed → REFLOW not entered before 30 minutes."""
    return make_rule("WAIT", **{**WAIT, **fields})


def printed() -> Any:
    """Make a plant whose SN-1 was printed just now."""
    make_plant()
    admin = api_client()
    assert_done(track_in(admin), 201)
    assert_done(track_out(admin))
    return admin


def aged(minutes: float) -> None:
    """Have the print end so long ago."""
    then = timezone.now() - timedelta(minutes=minutes)
    Track.objects.update(in_at=then, out_at=then)


# --- the clocks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "ended", "status"),
    [
        ({}, 29.9, "EARLY"),
        ({}, 30, "COMPLETED"),
        ({}, 100000, "COMPLETED"),
        ({"duration_minutes": 60}, 29, "EARLY"),
        ({"duration_minutes": 60}, 60, "COMPLETED"),
        ({"duration_minutes": 60}, 61, "EXPIRED"),
    ],
)
@pytest.mark.parametrize("order", ["as it happened", "the end first"])
def test_the_end_decides(fields: dict[str, Any], ended: float, status: str, order: str) -> None:
    conditions = {"start_condition": {"operationKind": ["REFLOW"]}, "end_condition": {"operationKind": ["WASH"]}}
    make_rule(**{**WAIT, **conditions, **fields})
    events = [start(at(0)), end(at(ended))]
    for event in events if order == "as it happened" else reversed(events):
        handle(event)
    assert statuses() == [status]


def test_too_early_is_told_and_dealt_with() -> None:
    quinn = make_user(Role.QUALITY)
    make_rule(**{**WAIT, "start_condition": {}, "end_condition": {}})
    handle(start(at(0)), end(at(10)))
    assert "too early for SN-1" in Notification.objects.get(recipient=quinn).text
    clock = the_clock()
    assert (clock.earliest_at, clock.expires_at) == (at(30), None)
    look = look_at(clock, now=at(50))
    assert (look.label, look.detail) == ("Too early", "20 min too early")
    assert list(list_open()) == [clock]
    services.acknowledge(instance_id=clock.pk, reason="baked since", by="quinn")
    assert list(list_open()) == []


def test_what_must_wait_counts_down_and_then_nobody_has_to_do_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = make_rule(**{**WAIT, "start_condition": {}, "end_condition": {}})
    now = timezone.now()
    handle(start(now))
    looks = [look_at(the_clock(), now=now + timedelta(minutes=minutes)) for minutes in (10, 40)]
    assert [(look.label, look.detail) for look in looks] == [("Must wait", "20 min left"), ("May go on", "")]
    assert len(list_open()) == 1
    TimeRuleInstance.objects.update(earliest_at=now - timedelta(minutes=1))
    assert (list(list_open()), sweep.sweep()["expired"]) == ([], 0)
    assert describe_rule(rule) == (
        "A unit that left any step must not enter any step before 30 minutes are over. It may be waived."
    )


# --- BLOCK -------------------------------------------------------------------------------------------------


def test_a_unit_may_not_enter_before_its_least_time_though_no_clock_was_started_yet() -> None:
    admin = printed()
    rule = make_wait(action="BLOCK")
    out_at = Track.objects.get().out_at
    assert out_at is not None
    details = assert_refused(track_in(admin, station="REF-01"), "TIME_TOO_EARLY")
    assert details["earliestAt"] == (out_at + timedelta(minutes=30)).isoformat()
    permit = assert_done(admin.post("/api/stations/REF-01/permit", {"sn": "SN-1"}))
    assert [reason["code"] for reason in permit["reasons"]] == ["TIME_TOO_EARLY"]
    assert not TimeRuleInstance.objects.exists()
    rule.action = "NOTIFY"
    rule.save()
    assert assert_done(admin.post("/api/stations/REF-01/permit", {"sn": "SN-1"}))["allowed"]
    rule.action = "BLOCK"
    rule.save()
    aged(31)
    assert_done(track_in(admin, station="REF-01"), 201)


def test_the_most_specific_rule_of_a_code_decides_and_a_waiver_lifts_it() -> None:
    admin = printed()
    make_wait(action="BLOCK")
    shorter = make_wait(action="BLOCK", min_minutes=5, scope="LINE", scope_value="SMT-A")
    aged(6)
    assert assert_done(admin.post("/api/stations/REF-01/permit", {"sn": "SN-1"}))["allowed"]
    shorter.delete()
    assert_refused(track_in(admin, station="REF-01"), "TIME_TOO_EARLY")
    MesEvent.objects.update(status="PENDING", completed_at=None, next_attempt_at=timezone.now() - timedelta(hours=1))
    processor.process_due()
    clock = TimeRuleInstance.objects.get()
    assert_done(admin.post(f"/api/time-rules/instances/{clock.pk}/waive", {"reason": "fast-drying"}))
    assert_done(track_in(admin, station="REF-01"), 201)


def test_a_waiver_lifts_the_clock_of_its_rule_alone() -> None:
    admin = printed()
    make_wait(action="BLOCK", is_waivable=False)
    other = make_rule("OTHER", **{**WAIT, "min_minutes": 5})
    aged(6)
    MesEvent.objects.update(status="PENDING", completed_at=None, next_attempt_at=timezone.now() - timedelta(hours=1))
    processor.process_due()
    clocks = {clock.definition_code: clock for clock in TimeRuleInstance.objects.all()}
    assert clocks["WAIT"].start_key == clocks["OTHER"].start_key
    services.waive(instance_id=clocks[other.code].pk, reason="fast-drying", by="quinn")
    assert_refused(track_in(admin, station="REF-01"), "TIME_TOO_EARLY")


# --- HOLD --------------------------------------------------------------------------------------------------


def test_a_unit_that_was_too_early_is_held_once() -> None:
    admin = printed()
    make_wait(action="HOLD")
    assert_done(track_in(admin, station="REF-01"), 201)
    MesEvent.objects.update(status="PENDING", completed_at=None, next_attempt_at=timezone.now() - timedelta(hours=1))
    while processor.process_due():
        pass
    assert statuses() == ["EARLY"]
    unit = Unit.objects.get(sn="SN-1")
    assert (unit.status, "Rule WAIT" in unit.hold_reason, "too early" in unit.hold_reason) == ("ON_HOLD", True, True)
    assert Hold.objects.get().source == "TIME"
    handle(*MesEvent.objects.filter(event_type__in=["TRACK_IN", "TRACK_OUT"]))
    assert Hold.objects.count() == 1


def test_a_set_of_units_is_held_with_the_statements_of_one() -> None:
    make_plant(units=6)
    make_rule(**{**WAIT, "action": "HOLD", "start_condition": {}, "end_condition": {}})

    def count(*sns: str) -> int:
        events = [each for sn in sns for each in (start(at(0), sn=sn), end(at(10), sn=sn))]
        with CaptureQueriesContext(connection) as seen:
            handlers.handle(events)
        assert set(Unit.objects.filter(sn__in=sns).values_list("status", flat=True)) == {"ON_HOLD"}
        return sum("mes_unit" in each["sql"] for each in seen)  # people are told of each unit

    count("SN-1")
    assert 0 < count("SN-2") == count("SN-3", "SN-4", "SN-5", "SN-6")


def test_the_sweep_holds_units_whose_time_is_over() -> None:
    make_plant()
    make_rule(action="HOLD", duration_minutes=10, warning_minutes=0)
    make_rule("OTHER", duration_minutes=10, warning_minutes=0)
    handle(start(timezone.now() - timedelta(minutes=20)))
    TimeRuleInstance.objects.update(status="ACTIVE", expired_at=None)
    Hold.objects.all().delete() if not Unit.objects.filter(status="ON_HOLD").exists() else None
    assert sweep.sweep()["expired"] == 2
    assert Unit.objects.get(sn="SN-1").status == "ON_HOLD"


def hold_while_somebody_has_the_unit() -> bool:
    """Handle an end that is too early while another transaction has the unit, then wants its clocks; return whether
    the handler waited for the unit before it took the clocks.
    """
    make_plant()
    make_rule(**{**WAIT, "action": "HOLD", "start_condition": {}, "end_condition": {}})
    events = [start(at(0)), end(at(10))]

    def work() -> None:
        try:
            with transaction.atomic():
                handlers.lock_units(events)
                handlers.handle(events)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Unit.objects.select_for_update().get(sn="SN-1")
            handling = pool.submit(work)
            with pytest.raises(TimeoutError):
                handling.result(timeout=0.5)  # it waits for the unit
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('time rules UNIT SN-1', 0))")
                [is_free] = cursor.fetchone()
        handling.result(timeout=30)
    assert Unit.objects.get(sn="SN-1").status == "ON_HOLD"
    return bool(is_free)


def test_the_unit_is_locked_before_its_clocks(transactional_db: None) -> None:
    assert hold_while_somebody_has_the_unit()


def test_control_without_locking_first_the_clocks_are_taken_before_the_unit(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "lock_units", lambda events: None)
    assert not hold_while_somebody_has_the_unit()


# --- solder paste ------------------------------------------------------------------------------------------


def test_paste_that_was_issued_before_it_was_thawed_long_enough() -> None:
    preset = TimeRuleDefinition.objects.get(code="SOLDER_PASTE_THAW_4H")
    assert not preset.is_active
    preset.is_active = True
    preset.save()
    TimeRuleDefinition.objects.exclude(pk=preset.pk).delete()
    for number, (lot, minutes) in enumerate((("LOT-1", 239), ("LOT-2", 240))):
        thawed = usage_event(EventType.SOLDER_PASTE_THAW, at(0), lot=lot, usage=100 + number)
        handle(thawed, usage_event(EventType.SOLDER_PASTE_USAGE_CREATE, at(minutes), lot=lot, usage=number))
    assert (statuses("LOT-1"), statuses("LOT-2")) == (["EARLY"], ["COMPLETED"])


def test_a_thaw_is_told_once_by_status_and_use() -> None:
    make_plant()
    admin = api_client()
    now = timezone.now()
    thawed = (now - timedelta(hours=2)).isoformat()
    envelope = {"eventTime": now.isoformat(), "source": "AUTO", "lotId": "L-1"}
    fit = {**envelope, "eventId": "1", "status": "COMPLIANT", "thawedAt": thawed}
    assert_done(admin.post("/api/integration/solder-paste-status", fit), 201)
    issue = {**envelope, "eventId": "2", "issuedAt": now.isoformat(), "thawedAt": thawed, "lineCode": "SMT-A"}
    assert_done(admin.post("/api/integration/solder-paste-usage", issue), 201)
    events = MesEvent.objects.filter(event_type="SOLDER_PASTE_THAW")
    assert [event.occurred_at.isoformat() for event in events] == [thawed]


# --- what may be said --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"durationMinutes": None}, "durationMinutes"),
        ({"durationMinutes": None, "minMinutes": 10, "warningMinutes": 5}, "warningMinutes"),
        ({"minMinutes": 480}, "minMinutes"),
        ({"minMinutes": 0}, "minMinutes"),
        ({"action": "BLOCK"}, "action"),
        ({"action": "BLOCK", "minMinutes": 5, "endEvent": "TRACK_OUT"}, "action"),
        ({"action": "SCRAP"}, "action"),
    ],
)
def test_rules_that_contradict_themselves(fields: dict[str, Any], field: str) -> None:
    body = {
        "code": "R", "name": "R", "durationMinutes": 480, "startEvent": "TRACK_OUT", "endEvent": "TRACK_IN",
        "endCondition": {"operationKind": ["WASH"]}, **fields,
    }  # fmt: skip
    details = assert_refused(api_client().post("/api/time-rules", body), "VALIDATION_ERROR", 400)
    assert list(details) == [field]


def test_lots_are_neither_refused_nor_held() -> None:
    body = {
        "code": "R", "name": "R", "minMinutes": 10, "action": "HOLD", "startEvent": "SOLDER_PASTE_THAW",
        "endEvent": "SOLDER_PASTE_USAGE_CREATE",
    }  # fmt: skip
    admin = api_client()
    assert list(assert_refused(admin.post("/api/time-rules", body), "VALIDATION_ERROR", 400)) == ["action"]
    made = assert_done(admin.post("/api/time-rules", {**body, "action": "NOTIFY"}), 201)
    assert (made["minMinutes"], made["durationMinutes"]) == (10, None)
    assert "A lot of solder paste that was thawed must not be taken into use before 10 minutes" in made["sentence"]
