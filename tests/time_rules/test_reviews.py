"""A TRACK_OUT that a review puts in the place of another: what only that one started or ended counts no more."""

from typing import Any

import pytest

from mes.platform.outbox.models import EventType, MesEvent
from tests.time_rules.support import at, clocks, handle, make_rule, track_event

pytestmark = pytest.mark.django_db
AFTER_PASS: dict[str, Any] = {"start_condition": {"operationKind": ["REFLOW"], "result": ["PASS"]}}
AFTER_FAIL: dict[str, Any] = {"start_condition": {"operationKind": ["REFLOW"], "result": ["FAIL"]}}
AFTER_ANY: dict[str, Any] = {"start_condition": {"operationKind": ["REFLOW"]}}


def left_and_reviewed() -> tuple[MesEvent, MesEvent]:
    """A board that left as FAIL, and what a review made of that."""
    left = track_event(EventType.TRACK_OUT, "REFLOW", at(0), track=7, result="FAIL")
    again = track_event(EventType.TRACK_OUT, "REFLOW", at(0), track=7, supersedes=left.idempotency_key)
    return left, again


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_clock_of_a_pass_begins_when_the_board_left(order):
    make_rule(**AFTER_PASS)
    events = left_and_reviewed()
    for index in order:
        handle(events[index])
    assert [clock.started_at for clock in clocks()] == [at(0)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_clock_of_a_fail_that_was_none_is_cancelled(order):
    make_rule(**AFTER_FAIL)
    events = left_and_reviewed()
    for index in (*order, *order):
        handle(events[index])
    assert {clock.status for clock in clocks()} <= {"CANCELLED"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_rule_that_asks_for_no_result_has_one_clock(order):
    make_rule(**AFTER_ANY)
    events = left_and_reviewed()
    for index in order:
        handle(events[index])
    assert len(clocks()) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_end_that_was_none_ends_nothing(order):
    make_rule(
        start_event=EventType.TRACK_IN,
        start_condition={"operationKind": ["REFLOW"]},
        end_event=EventType.TRACK_OUT,
        end_condition={"operationKind": ["REFLOW"], "result": ["FAIL"]},
    )
    handle(track_event(EventType.TRACK_IN, "REFLOW", at(-10), track=7))
    events = left_and_reviewed()
    for index in order:
        handle(events[index])
    assert [clock.ended_at for clock in clocks()] == [None]
