"""Two workers handle the start and the end of one clock at once, or a start while its unit is scrapped."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from django.db import connection

from execution import dispositions
from mes.time_rules import notifications, services, sweep
from mes.time_rules.models import TimeRuleInstance
from tests.factories import make_plant
from tests.time_rules.support import (
    at,
    end,
    handle,
    make_rule,
    start,
    statuses,
)

ROUNDS = 12


def at_once(*calls: Callable[[], Any]) -> None:
    """Run calls in threads with connections of their own; raise what one of them raises."""

    def run(call: Callable[[], Any]) -> None:
        try:
            call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(run, call) for call in calls]:
            done.result()


@pytest.fixture
def slow_reading(slow: Callable[..., None]) -> None:
    """Let time pass between reading the marks and writing the clocks."""
    slow(services, "read_clocks", after=0.05)


def race_start_and_end() -> list[str]:
    make_rule()
    found = []
    for number in range(ROUNDS):
        sn = f"SN-{number}"
        events = start(at(0), sn=sn), end(at(100), sn=sn)
        at_once(*(lambda event=event: handle(event) for event in events))
        found += statuses(sn)
    return found


def test_a_start_and_its_end_at_once_finish_the_clock(transactional_db: None, slow_reading: None) -> None:
    assert race_start_and_end() == ["COMPLETED"] * ROUNDS


def test_control_without_the_lock_clocks_run_for_ever(
    transactional_db: None, slow_reading: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "lock_entity", lambda *args: None)
    assert "ACTIVE" in race_start_and_end()


def test_the_same_event_twice_at_once_makes_one_clock(transactional_db: None, slow_reading: None) -> None:
    make_rule()
    for number in range(ROUNDS):
        event = start(at(0), sn=f"SN-{number}")
        at_once(lambda event=event: handle(event), lambda event=event: handle(event))
        assert statuses(f"SN-{number}") == ["ACTIVE"]


def race_start_and_scrap() -> list[str]:
    plant = make_plant(units=ROUNDS)
    make_rule()
    found = []
    for sn in plant.sns:
        event = start(at(0), sn=sn)
        at_once(
            lambda event=event: handle(event),
            lambda sn=sn: dispositions.scrap_unit(sn=sn, reason="broken", by="quality"),
        )
        found += statuses(sn)
    return found


def test_a_start_while_its_unit_is_scrapped_is_cancelled(transactional_db: None, slow_reading: None) -> None:
    assert race_start_and_scrap() == ["CANCELLED"] * ROUNDS


def test_control_without_the_lock_clocks_of_scrapped_units_run(
    transactional_db: None, slow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(services._ClockUpdates, "_end", after=0.1)  # between asking whether the unit is scrapped and writing
    monkeypatch.setattr(services, "lock_entity", lambda *args: None)
    assert "ACTIVE" in race_start_and_scrap()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The clocks that were told to have expired, slowly and in small batches."""
    found: list[int] = []
    monkeypatch.setattr(
        notifications, "tell_expired", lambda clocks: (sleep(0.05), found.extend(one.pk for one in clocks))
    )
    monkeypatch.setattr(sweep, "BATCH", 3)
    return found


def race_sweeps_and_ends() -> int:
    """Return how many clocks ended in time, though some of their ends came late."""
    make_rule()
    names = [f"SN-{number}" for number in range(ROUNDS)]
    handle(*(start(at(0), sn=sn) for sn in names))
    ends = [end(at(100), sn=sn) for sn in names[::2]]
    at_once(sweep.sweep, sweep.sweep, *(lambda event=event: handle(event) for event in ends))
    return len(ends)


def test_two_sweeps_and_late_ends_at_once_tell_each_thing_once(transactional_db: None, told: list[int]) -> None:
    in_time = race_sweeps_and_ends()
    sweep.sweep()
    assert TimeRuleInstance.objects.filter(status="COMPLETED").count() == in_time
    expired = set(TimeRuleInstance.objects.filter(status="EXPIRED").values_list("pk", flat=True))
    assert len(expired) == ROUNDS - in_time
    assert len(told) == len(set(told)) and expired <= set(told)


def test_control_without_row_locks_things_are_told_twice(
    transactional_db: None, told: list[int], without_locks: None
) -> None:
    race_sweeps_and_ends()
    assert len(told) > len(set(told))
