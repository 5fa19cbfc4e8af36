"""What a rule would have done is what it does where it is active."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mes.platform.outbox.models import MesEvent
from mes.time_rules import dry_run, handlers
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance, TimeRuleMark
from mes.time_rules.sweep import sweep
from tests.execution.support import make_run as make_plain_run
from tests.factories import api_client, make_plant
from tests.thoroughness import examples
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import at, end, handle, make_rule, start, track_event, usage_event
from tests.time_rules.test_scopes import make_run

NOW = 1000
BODY = {
    "durationMinutes": 240,
    "warningMinutes": 30,
    "startEvent": "TRACK_OUT",
    "startCondition": {"operationKind": ["REFLOW"], "result": ["PASS"]},
    "endEvent": "TRACK_IN",
    "endCondition": {"operationKind": ["WASH"]},
}


def counted(found: dry_run.DryRun) -> Counter[tuple[Any, ...]]:
    return Counter((one.entity_id, one.status, one.started_at, one.ended_at) for one in found.outcomes)


def active_clocks() -> Counter[tuple[Any, ...]]:
    clocks = TimeRuleInstance.objects.values_list("entity_id", "status", "started_at", "ended_at")
    return Counter(tuple(clock) for clock in clocks)


MOVES = st.lists(
    st.tuples(st.integers(0, NOW - 1), st.sampled_from(["start", "fail", "end"]), st.sampled_from(["SN-1", "SN-2"])),
    max_size=12,
    unique_by=lambda move: (move[0], move[2]),
)


@settings(max_examples=examples(40, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, restarts=st.booleans())
@pytest.mark.django_db
def test_a_dry_run_is_what_the_rule_does_where_it_is_active(
    wall: SetTime, moves: list[tuple[int, str, str]], restarts: bool
) -> None:
    for model in (TimeRuleInstance, TimeRuleMark, TimeRuleDefinition, MesEvent):
        model.objects.all().delete()
    wall(at(NOW))
    make = {"start": start, "end": end, "fail": lambda when, **named: start(when, result="FAIL", **named)}
    events = [make[what](at(minute), sn=sn) for minute, what, sn in sorted(moves)]
    tried = TimeRuleDefinition(code="TRIED", name="-", restarts=restarts, **_as_columns(BODY))
    found = dry_run.try_rule(tried, since=at(0), until=at(NOW))
    assert not TimeRuleInstance.objects.exists() and not TimeRuleMark.objects.exists()

    make_rule(restarts=restarts)
    handle(*events)
    sweep()
    assert counted(found) == active_clocks()


def _as_columns(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "duration_minutes": body["durationMinutes"],
        "warning_minutes": body["warningMinutes"],
        "start_event": body["startEvent"],
        "start_condition": body["startCondition"],
        "end_event": body["endEvent"],
        "end_condition": body["endCondition"],
    }


def test_the_answer_says_how_many_and_which(db: None, wall: SetTime) -> None:
    wall(at(NOW))
    for number, minutes in enumerate([100, 200, 300, None]):
        start(at(number), sn=f"SN-{number}")
        if minutes:
            end(at(number + minutes), sn=f"SN-{number}")
    start(at(900), sn="SN-9")
    body = {**BODY, "from": at(-10).isoformat(), "to": at(NOW).isoformat()}
    answer = api_client().post("/api/time-rules/dry-run", body)
    assert answer.status_code == 200, answer.json()
    said = answer.json()["data"]
    assert said["sentence"] == (
        "A unit that passed REFLOW must enter WASH within 240 minutes; people are warned 30 minutes before. "
        "It may be waived."
    )
    assert [said[name] for name in ("clocks", "completed", "expired", "running", "cancelled")] == [5, 2, 2, 1, 0]
    assert said["longestMinutes"] == 300
    assert [one["entityId"] for one in said["examples"][:2]] == ["SN-3", "SN-2"]
    assert said["truncated"] is False
    assert not TimeRuleInstance.objects.exists() and not TimeRuleMark.objects.exists()


def test_a_saved_rule_is_no_rival_of_itself(db: None, wall: SetTime) -> None:
    """Else nothing would come of one that is tried with a lower priority, or for more than its line."""
    wall(at(NOW))
    start(at(0), sn="SN-1")
    rule = make_rule("R", priority=5)
    rule.priority = 0
    assert [one.entity_id for one in dry_run.try_rule(rule, since=at(0), until=at(NOW)).outcomes] == ["SN-1"]


def test_a_rule_of_a_route_asks_where_it_happened_and_a_more_specific_one_goes_before(db: None, wall: SetTime) -> None:
    wall(at(NOW))
    run = make_run(steps=((10, "REFLOW"), (30, "WASH")))
    start(at(0), sn="SN-1", run=run)
    start(at(0), sn="SN-2")
    everywhere = _try(code="R", scope="GLOBAL")
    there = _try(code="R", scope="LINE", scope_value=run.line.code)
    assert (everywhere, there) == ({"SN-1", "SN-2"}, {"SN-1"})
    make_rule("R", scope="LINE", scope_value=run.line.code)
    assert _try(code="R", scope="GLOBAL") == {"SN-2"}
    assert _try(code="R", scope="LINE", scope_value=run.line.code) == {"SN-1"}


def _try(**fields: Any) -> set[str]:
    rule = TimeRuleDefinition(name="-", **_as_columns(BODY), **fields)
    return {one.entity_id for one in dry_run.try_rule(rule, since=at(0), until=at(NOW)).outcomes}


def test_the_clock_of_a_unit_that_was_scrapped_in_time_is_cancelled(db: None) -> None:
    plant = make_plant(units=2)
    client = api_client()
    for sn in ("SN-1", "SN-2"):
        event = track_event("TRACK_OUT", "REFLOW", plant.run.created_at, sn=sn)
        assert event.entity_id == sn
    assert client.post("/api/units/SN-1/scrap", {"reason": "broken in two"}).status_code == 200
    rule = TimeRuleDefinition(code="TRIED", name="-", **_as_columns(BODY))
    now = plant.run.created_at + timedelta(hours=1)
    found = dry_run.try_rule(rule, since=plant.run.created_at - timedelta(hours=1), until=now)
    assert {one.entity_id: one.status for one in found.outcomes} == {"SN-1": "CANCELLED", "SN-2": "ACTIVE"}


def test_a_review_that_takes_the_place_of_a_move_is_heeded(db: None, wall: SetTime) -> None:
    wall(at(NOW))
    passed = start(at(0), track=7)
    track_event("TRACK_OUT", "REFLOW", at(0), track=7, result="FAIL", supersedes=passed.idempotency_key)
    assert _try(code="TRIED") == set()


def test_of_too_many_events_the_newest_are_taken(db: None, wall: SetTime, monkeypatch: pytest.MonkeyPatch) -> None:
    wall(at(NOW))
    monkeypatch.setattr(dry_run, "MOST_EVENTS", 2)
    for minute in (1, 2, 3):
        start(at(minute), sn=f"SN-{minute}")
    rule = TimeRuleDefinition(code="TRIED", name="-", **_as_columns(BODY))
    found = dry_run.try_rule(rule, since=at(0), until=at(NOW))
    assert ({one.entity_id for one in found.outcomes}, found.is_truncated, found.since) == (
        {"SN-2", "SN-3"},
        True,
        at(2),
    )


@pytest.mark.parametrize("part", [1, 2, 3])
def test_events_are_read_in_parts(db: None, wall: SetTime, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    wall(at(NOW))
    for number in range(2):
        start(at(number), sn=f"SN-{number}")
        end(at(500 - number), sn=f"SN-{number}")
    rule = TimeRuleDefinition(code="TRIED", name="-", **_as_columns(BODY))
    at_once = counted(dry_run.try_rule(rule, since=at(0), until=at(NOW)))
    asked: list[int] = []

    def read_marks(events: Any, rules: Any) -> Any:
        asked.append(len(events))
        return handlers.read_marks(events, rules)

    monkeypatch.setattr(dry_run, "read_marks", read_marks)
    monkeypatch.setattr(dry_run, "PART", part)
    monkeypatch.setattr(dry_run, "MOST_EVENTS", 4)
    found = dry_run.try_rule(rule, since=at(0), until=at(NOW))
    assert (counted(found), found.is_truncated, found.since) == (at_once, False, at(0))
    assert (sum(asked), max(asked)) == (4, part)
    monkeypatch.setattr(dry_run, "MOST_EVENTS", 3)
    found = dry_run.try_rule(rule, since=at(0), until=at(NOW))
    assert (found.is_truncated, found.since) == (True, at(1))


def test_solder_paste(db: None, wall: SetTime) -> None:
    wall(at(NOW))
    usage_event("SOLDER_PASTE_USAGE_CREATE", at(0), lot="L-1")
    rule = TimeRuleDefinition(
        code="P",
        name="-",
        duration_minutes=60,
        start_event="SOLDER_PASTE_USAGE_CREATE",
        end_event="SOLDER_PASTE_USAGE_UNBIND",
    )
    [one] = dry_run.try_rule(rule, since=at(-1), until=at(NOW)).outcomes
    assert (one.entity_type, one.entity_id, one.status) == ("SOLDER_PASTE_LOT", "L-1", "EXPIRED")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}, "from"),
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"durationMinutes": 0}, "durationMinutes"),
        ({"durationMinutes": float("1e30")}, "durationMinutes"),
        ({"warningMinutes": 300}, "warningMinutes"),
        ({"startCondition": {"colour": "red"}}, "startCondition"),
        ({"startCondition": {"result": {"a": 1}}}, "startCondition"),
        ({"endEvent": "SOLDER_PASTE_USAGE_UNBIND", "endCondition": {}}, "endEvent"),
        ({"scope": "LINE", "scopeValue": "NO-LINE"}, "scopeValue"),
        ({"changeReason": "because"}, "changeReason"),
        ({"id": "1"}, "id"),
    ],
)
def test_what_is_wrong_is_named(db: None, change: dict[str, Any], place: str) -> None:
    answer = api_client().post("/api/time-rules/dry-run", {**BODY, **change})
    assert answer.status_code == 400 and list(answer.json()["error"]["details"]) == [place], answer.json()


def test_a_rule_like_one_that_is_there_can_be_tried(db: None) -> None:
    make_plain_run(make_plant(units=0), run_no="RUN-2", sns=[])
    rule = api_client().get("/api/time-rules").json()["data"]["items"][0]
    body = {name: value for name, value in rule.items() if name not in ("id", "sentence")}
    assert api_client().post("/api/time-rules/dry-run", body).status_code == 200
