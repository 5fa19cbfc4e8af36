"""Waiving, acknowledging, being told: who may, once each, and on which lines."""

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.hooks import Hook
from mes.platform.notifications import services as notifications
from mes.platform.notifications.models import Notification
from mes.platform.sweeps import SweepIncomplete
from mes.time_rules import hooks, sweep
from mes.time_rules import notifications as clock_notifications
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from mes.time_rules.queries import list_blocking
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_line, make_plant, make_user
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import (
    at,
    end,
    handle,
    make_rule,
    start,
    statuses,
    the_clock,
    track_event,
    usage_event,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def supervisor(db: None) -> APIClient:
    return api_client(Role.SUPERVISOR)


def address(action: str = "waive", sn: str = "SN-1") -> str:
    return f"/api/time-rules/instances/{the_clock(sn).pk}/{action}"


# --- waiving -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.SUPERVISOR, True),
        (Role.QUALITY, True),
        (Role.ADMIN, True),
        (Role.OPERATOR, False),
        (Role.ENGINEER, False),
        (Role.INTEGRATION, False),
    ],
)
def test_waiving_needs_the_right(wall: SetTime, role: Role, may: bool) -> None:
    make_rule()
    handle(start(at(0)))
    response = api_client(role).post(address(), {"reason": "no-clean flux"})
    if may:
        assert assert_done(response)["status"] == "WAIVED"
        assert the_clock().decided_by
    else:
        assert_refused(response, "PERMISSION_DENIED", 403)
        assert the_clock().status == "ACTIVE"


def test_a_waived_clock_keeps_who_when_and_why_and_stays_waived(wall: SetTime, supervisor: APIClient) -> None:
    make_rule()
    handle(start(at(0)))
    wall(at(10))
    said = assert_done(supervisor.post(address(), {"reason": "no-clean flux"}))
    assert (said["decisionReason"], said["decidedAt"], said["remainingMinutes"]) == (
        "no-clean flux",
        "2026-03-10T06:10:00Z",
        None,
    )
    wall(at(1000))
    assert sweep.sweep() == {"expired": 0, "warned": 0}
    handle(end(at(900)))
    clock = the_clock()
    assert (clock.status, clock.ended_at, clock.decided_at) == ("WAIVED", at(900), at(10))


def test_a_start_after_the_waiver_begins_a_clock_of_its_own_and_one_before_does_not(wall: SetTime) -> None:
    make_rule()
    handle(start(at(0)))
    wall(at(50))
    assert_done(api_client(Role.QUALITY).post(address(), {"reason": "known"}))
    handle(start(at(20)))
    assert the_clock().status == "WAIVED"
    handle(start(at(60)))
    assert list(TimeRuleInstance.objects.order_by("pk").values_list("status", "started_at")) == [
        ("WAIVED", at(0)),
        ("ACTIVE", at(60)),
    ]


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": 5}, {"reason": "x" * 501}])
def test_a_waiver_needs_a_reason(wall: SetTime, supervisor: APIClient, body: dict[str, Any]) -> None:
    make_rule()
    handle(start(at(0)))
    assert_refused(supervisor.post(address(), body), "VALIDATION_ERROR", 400)
    assert the_clock().status == "ACTIVE"


def test_what_may_not_be_waived_or_no_longer_runs_is_refused(wall: SetTime, supervisor: APIClient) -> None:
    make_rule(is_waivable=False)
    handle(start(at(0)))
    assert_refused(supervisor.post(address(), {"reason": "x"}), "TIME_RULE_NOT_WAIVABLE")
    handle(end(at(10)))
    assert_refused(supervisor.post(address(), {"reason": "x"}), "INVALID_TRANSITION")
    for number in ("999999", "x", "9" * 30, "-1"):
        refused = supervisor.post(f"/api/time-rules/instances/{number}/waive", {"reason": "x"})
        assert_refused(refused, "TIME_RULE_INSTANCE_NOT_FOUND", 404)


def test_an_expired_clock_is_acknowledged_once_and_stays_expired(wall: SetTime, supervisor: APIClient) -> None:
    make_rule()
    handle(start(at(0)))
    assert_refused(supervisor.post(address("acknowledge"), {"reason": "x"}), "INVALID_TRANSITION")
    wall(at(300))
    sweep.sweep()
    assert_refused(supervisor.post(address(), {"reason": "x"}), "INVALID_TRANSITION")
    assert assert_done(supervisor.post(address("acknowledge"), {"reason": "thrown away"}))["status"] == "EXPIRED"
    assert_refused(supervisor.post(address("acknowledge"), {"reason": "again"}), "INVALID_TRANSITION")
    assert the_clock().decision_reason == "thrown away"


# --- the list ------------------------------------------------------------------------------------------------


def test_the_list_says_what_the_interface_promises_and_filters(wall: SetTime, supervisor: APIClient) -> None:
    plant = make_plant()
    make_rule()
    handle(start(at(0), run=plant.run), start(at(5), sn="SN-2"), end(at(10), sn="SN-2"))
    wall(at(30))
    [one] = assert_done(supervisor.get("/api/time-rules/instances?runNo=RUN-1"))["items"]
    assert {name: one[name] for name in ("definitionCode", "entityType", "entityId", "status", "lineCode")} == {
        "definitionCode": "RULE",
        "entityType": "UNIT",
        "entityId": "SN-1",
        "status": "ACTIVE",
        "lineCode": "SMT-A",
    }
    assert (one["startedAt"], one["warningAt"], one["expiresAt"], one["completedAt"], one["remainingMinutes"]) == (
        "2026-03-10T06:00:00Z",
        "2026-03-10T09:30:00Z",
        "2026-03-10T10:00:00Z",
        None,
        210,
    )
    [done] = assert_done(supervisor.get("/api/time-rules/instances?status=COMPLETED"))["items"]
    assert (done["entityId"], done["completedAt"], done["remainingMinutes"]) == ("SN-2", "2026-03-10T06:10:00Z", None)
    assert assert_done(supervisor.get("/api/time-rules/instances?entityId=SN-2&status=ACTIVE"))["items"] == []


def test_the_list_takes_one_query(wall: SetTime, supervisor: APIClient, django_assert_num_queries: Any) -> None:
    plant = make_plant(units=5)
    make_rule()
    handle(*(start(at(0), sn=sn, run=plant.run) for sn in plant.sns))
    supervisor.get("/api/time-rules/instances")
    with django_assert_num_queries(1):
        assert len(assert_done(supervisor.get("/api/time-rules/instances"))["items"]) == 5


# --- being told ----------------------------------------------------------------------------------------------


def told(user: Any) -> list[tuple[str, str]]:
    return list(Notification.objects.filter(recipient=user).order_by("pk").values_list("severity", "text"))


def test_one_warning_and_one_expiry_each_exactly_once(wall: SetTime) -> None:
    people = {role: make_user(role) for role in Role}
    plant = make_plant()
    make_rule()
    handle(start(at(0), run=plant.run))
    for minute in (209, 210, 211, 240, 241, 242, 500):
        wall(at(minute))
        sweep.sweep()
        sweep.sweep()
    expected = [
        ("WARNING", "Rule RULE runs out soon for SN-1 (SMT-A)."),
        ("ALERT", "Rule RULE ran out for SN-1 (SMT-A)."),
    ]
    assert {role: told(user) for role, user in people.items()} == {
        role: expected if role in (Role.SUPERVISOR, Role.QUALITY) else [] for role in Role
    }


def test_an_expiry_that_is_taken_back_is_told_too(wall: SetTime) -> None:
    user = make_user(Role.QUALITY)
    make_rule()
    handle(start(at(0)))
    wall(at(300))
    sweep.sweep()
    handle(end(at(239)))
    assert [severity for severity, _text in told(user)] == ["ALERT", "INFO"]


def test_clocks_that_run_out_together_make_one_notification(wall: SetTime) -> None:
    user = make_user(Role.QUALITY)
    plant = make_plant(units=5)
    make_rule()
    handle(*(start(at(0), sn=sn, run=plant.run) for sn in plant.sns))
    wall(at(300))
    sweep.sweep()
    assert told(user) == [("ALERT", "Rule RULE ran out for 5: SN-1, SN-2, SN-3 … (SMT-A).")]


def test_people_are_told_of_the_lines_they_follow_or_of_all(wall: SetTime) -> None:
    here, there, everywhere = (make_user(Role.SUPERVISOR) for _ in range(3))
    gone = make_user(Role.SUPERVISOR, is_active=False)
    make_line("SMT-B")
    notifications.follow(here, line_codes=["SMT-A", "NO-SUCH"])
    notifications.follow(there, line_codes=["SMT-B"])
    plant = make_plant()
    make_rule(warning_minutes=0)
    handle(start(at(0), run=plant.run), start(at(0), sn="NO-LINE"))
    wall(at(300))
    sweep.sweep()
    assert [len(told(user)) for user in (here, there, everywhere, gone)] == [2, 1, 2, 0]


def test_a_rule_says_which_roles_are_told(wall: SetTime) -> None:
    operator, quality = make_user(Role.OPERATOR), make_user(Role.QUALITY)
    make_rule(notified_roles=["OPERATOR"])
    handle(start(at(0)))
    wall(at(300))
    sweep.sweep()
    assert (len(told(operator)), len(told(quality))) == (1, 0)


def test_a_rule_that_tells_a_role_there_is_not_or_cannot_be_told_of_still_expires(
    wall: SetTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles and names in the table may be older than this release: nobody is told, and the others are."""
    person = make_user(Role.SUPERVISOR)
    rules = [make_rule(code, start_condition={"operationKind": [code]}) for code in ("WASH", "REFLOW", "TEST")]
    TimeRuleDefinition.objects.update(notified_roles=["SUPERVISOR"])
    TimeRuleDefinition.objects.filter(pk=rules[1].pk).update(notified_roles=["SUPERVISOR", "HEAD_OF_NOTHING"])
    handle(*(track_event("TRACK_OUT", code, at(0), sn=code) for code in ("WASH", "REFLOW", "TEST")))
    text = clock_notifications._text

    def break_one(what: str, group: Any, line: Any) -> str:
        return "\x00" if group[0].definition_code == "TEST" else text(what, group, line)

    monkeypatch.setattr(clock_notifications, "_text", break_one)
    wall(at(300))
    assert sweep.sweep() == {"expired": 3, "warned": 0}
    told = Notification.objects.filter(recipient=person).values_list("text", flat=True)
    assert sorted(text.split()[1] for text in told) == ["REFLOW", "WASH"]


# --- listeners and what blocks -------------------------------------------------------------------------------


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What listeners were told."""
    said: list[tuple[str, str]] = []
    for name in ("clocks_expired", "clocks_released"):
        hook: Hook[Any] = Hook()
        hook.register(lambda clocks, name=name: said.extend((name, clock.entity_id) for clock in clocks))
        monkeypatch.setattr(hooks, name, hook)
    return said


def test_listeners_hear_of_expiry_and_of_its_end(wall: SetTime, heard: list[tuple[str, str]]) -> None:
    make_rule()
    handle(start(at(0)), start(at(0), sn="SN-2"), end(at(300), sn="SN-2"))
    assert heard == [("clocks_expired", "SN-2")]
    wall(at(400))
    sweep.sweep()
    handle(end(at(240)))
    assert heard == [("clocks_expired", "SN-2"), ("clocks_expired", "SN-1"), ("clocks_released", "SN-1")]


def blocking(line_id: int) -> list[str]:
    return [one.entity_id for one in list_blocking(line_id=line_id, now=timezone.now())]


def test_an_expired_clock_blocks_its_line_until_it_ends_or_is_dealt_with(wall: SetTime, supervisor: APIClient) -> None:
    plant = make_plant()
    rule = make_rule()
    handle(start(at(0), run=plant.run))
    wall(at(240))
    assert not blocking(plant.line.pk)
    wall(at(300))
    assert blocking(plant.line.pk), "before the sweep saw it"
    sweep.sweep()
    assert blocking(plant.line.pk) == ["SN-1"]
    assert not blocking(make_line("SMT-B").pk)
    assert_done(supervisor.post(address("acknowledge"), {"reason": "scrapped by hand"}))
    assert not blocking(plant.line.pk)
    TimeRuleDefinition.objects.filter(pk=rule.pk).update(is_waivable=False)  # then only its end frees the line
    assert blocking(plant.line.pk)
    handle(end(at(301)))
    assert not blocking(plant.line.pk)


def test_an_end_frees_the_line_of_every_clock_it_ends(wall: SetTime) -> None:
    """A rule that nobody may waive ran out, and the work began again: one end must free the line of both clocks."""
    plant = make_plant()
    make_rule(is_waivable=False)
    handle(start(at(0), run=plant.run), start(at(500), run=plant.run))
    wall(at(600))
    assert blocking(plant.line.pk) == ["SN-1"]
    handle(end(at(600)))
    assert not blocking(plant.line.pk)


def test_a_lot_blocks_the_line_it_is_bound_to_now(wall: SetTime) -> None:
    from mes.line_setup.models import MaterialLot
    from tests.line_setup.loads.support import load_on_line

    here, there = make_line("SMT-A"), make_line("SMT-B")
    handle(usage_event("SOLDER_PASTE_USAGE_CREATE", at(0), lineId=here.pk, lineCode="SMT-A"))
    wall(at(1500))
    sweep.sweep()
    assert blocking(here.pk)
    lot = MaterialLot.objects.create(lot_id="LOT-1", is_solder_paste=True)
    load_on_line(there.code, "SOLDER_PASTE", lot=lot, at=at(1400))
    assert (len(blocking(here.pk)), len(blocking(there.pk))) == (0, 1)


def test_a_listener_that_fails_for_one_clock_delays_no_other(wall: SetTime, monkeypatch: pytest.MonkeyPatch) -> None:
    def listener(found: Any) -> None:
        if any(one.entity_id == "SN-2" for one in found):
            raise ZeroDivisionError

    hook: Hook[Any] = Hook()
    hook.register(listener)
    monkeypatch.setattr(hooks, "clocks_expired", hook)
    make_rule()
    handle(*(start(at(number), sn=f"SN-{number}") for number in range(5)))
    wall(at(300))
    with pytest.raises(SweepIncomplete, match=f"^{the_clock('SN-2').pk}: ZeroDivisionError"):
        sweep.sweep()
    assert [statuses(f"SN-{number}") for number in range(5)] == [
        ["EXPIRED"],
        ["EXPIRED"],
        ["ACTIVE"],
        *[["EXPIRED"]] * 2,
    ]


def test_a_clock_that_cannot_be_warned_of_delays_no_other(wall: SetTime, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: once those beside it are through, the others go in whole batches again."""
    told: list[int] = []

    def tell_warned(found: Any) -> None:
        if any(one.entity_id == "SN-2" for one in found):
            raise ZeroDivisionError
        told.append(len(found))

    monkeypatch.setattr(sweep.notifications, "tell_warned", tell_warned)
    monkeypatch.setattr(sweep, "BATCH", 3)
    monkeypatch.setattr(sweep, "MOST_BATCHES", 8)
    make_rule()
    handle(*(start(at(number), sn=f"SN-{number}") for number in range(12)))
    wall(at(225))
    with pytest.raises(SweepIncomplete):
        sweep.sweep()
    assert told[0] == 1 and sum(told) == 11  # SN-0 and SN-1 in a half, then the rest
    assert max(told) == 3
    assert TimeRuleInstance.objects.filter(warned_at=None).values_list("entity_id", flat=True).first() == "SN-2"
    assert TimeRuleInstance.objects.filter(warned_at=None).count() == 1


def test_expiry_that_cannot_be_read_does_not_keep_warnings_back(wall: SetTime, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(now: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(sweep, "is_over", fail)
    make_rule()
    handle(start(at(0), sn="SN-1"))
    wall(at(225))
    with pytest.raises(SweepIncomplete, match="expiry: ZeroDivisionError"):
        sweep.sweep()
    assert the_clock("SN-1").warned_at is not None


# --- at scale ------------------------------------------------------------------------------------------------

FILL = """
    INSERT INTO mes_timeruleinstance (definition_id, definition_code, entity_type, entity_id, status, duration_minutes,
        warning_minutes, start_key, started_at, warning_at, expires_at, ended_at, ending, decided_by, decision_reason,
        created_at)
    SELECT %s, 'RULE', 'UNIT', 'OLD-' || n, 'COMPLETED', 240, 30, 'old:' || n, now() - interval '5 hours',
           now() - interval '90 minutes', now() - interval '1 hour', now() - interval '2 hours', 'END', '', '', now()
      FROM generate_series(1, 200000) n
"""


def test_the_sweep_reads_its_indexes_however_many_clocks_have_ended(
    wall: SetTime, django_assert_max_num_queries: Any
) -> None:
    rule = make_rule()
    with connection.cursor() as cursor:
        cursor.execute(FILL, [rule.pk])
        cursor.execute("ANALYZE mes_timeruleinstance")
    handle(*(start(at(0), sn=f"SN-{number}") for number in range(20)))
    due = TimeRuleInstance.objects.filter(status="ACTIVE")
    warned = due.filter(warning_at__lte=at(230), warned_at=None).order_by("warning_at")[:200]
    expired = due.filter(expires_at__lt=at(300)).order_by("expires_at")[:200]
    for rows in (warned, expired):
        assert "Index Scan using time_rule_" in rows.explain() and "Seq Scan" not in rows.explain()
    wall(at(300))
    with django_assert_max_num_queries(20):
        assert sweep.sweep() == {"expired": 20, "warned": 0}
