"""Any events in any order leave what a simple model says: events in the order they occurred."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance, TimeRuleMark
from mes.time_rules.sweep import sweep
from tests.thoroughness import examples
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import (
    at,
    clocks,
    end,
    handle,
    make_rule,
    start,
)

LIMIT = 240
NOW = 1000


def expected(moves: list[tuple[int, str]], *, restarts: bool) -> list[tuple[str, datetime, datetime | None]]:
    """(status, started, ended) of each clock, by walking through what happened minute by minute."""
    found: list[list[Any]] = []
    running = False
    for minute, what in sorted(moves):
        if what == "end":
            for one in found:
                if one[2] is None:
                    one[1:] = ["COMPLETED" if minute - one[0] <= LIMIT else "EXPIRED", minute]
            running = False
        if what == "start" and running and restarts:
            found[-1][1:] = ["COMPLETED" if minute - found[-1][0] <= LIMIT else "EXPIRED", minute]
            running = False
        elif what == "start" and running and minute - found[-1][0] > LIMIT:
            found[-1][1] = "EXPIRED"
            running = False
        if what == "start" and not running:
            found.append([minute, "EXPIRED" if NOW - minute > LIMIT else "ACTIVE", None])
            running = True
    return [(status, at(begun), None if ended is None else at(ended)) for begun, status, ended in found]


MOVES = st.lists(
    st.tuples(st.integers(0, NOW - 1), st.sampled_from(["start", "end"])), max_size=8, unique_by=lambda move: move[0]
)


@settings(max_examples=examples(50, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, data=st.data(), restarts=st.booleans())
@pytest.mark.django_db
def test_every_order_with_repeats_and_sweeps_leaves_the_same_clocks(
    wall: SetTime, moves: list[tuple[int, str]], data: st.DataObject, restarts: bool
) -> None:
    for model in (TimeRuleInstance, TimeRuleMark, TimeRuleDefinition):
        model.objects.all().delete()
    make_rule(restarts=restarts)
    wall(at(NOW))
    events = [(start if what == "start" else end)(at(minute)) for minute, what in moves]
    arrivals = data.draw(st.permutations([*events, *events, None]))
    for event in arrivals:
        sweep() if event is None else handle(event)
    sweep()
    assert [(one.status, one.started_at, one.ended_at) for one in clocks()] == expected(moves, restarts=restarts)
