"""Two workers handle the start and the end of one clock at once, or a start while its unit is scrapped."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from django.db import OperationalError, connection

from execution import dispositions
from mes.time_rules import handlers, notifications, services, sweep
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
    monkeypatch.setattr(services, "lock_entities", lambda entities: None)
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
    monkeypatch.setattr(services, "lock_entities", lambda entities: None)
    assert "ACTIVE" in race_start_and_scrap()


def race_of_sets() -> list[str]:
    """Handle sets of starts and of ends that name the same units, in opposite orders; return the clocks."""
    make_rule()
    found: list[str] = []
    for number in range(4):
        sns = [f"SN-{number}-{index}" for index in range(6)]
        starts = [start(at(0), sn=sn) for sn in sns]
        ends = [end(at(100), sn=sn) for sn in reversed(sns)]
        at_once(lambda starts=starts: handlers.handle(starts), lambda ends=ends: handlers.handle(ends))
        found += [status for sn in sns for status in statuses(sn)]
    return found


def test_sets_of_starts_and_ends_at_once_finish_the_clocks(transactional_db: None, slow_reading: None) -> None:
    assert race_of_sets() == ["COMPLETED"] * 24


def test_control_without_the_locks_of_a_set_clocks_run_for_ever(
    transactional_db: None, slow_reading: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "lock_entities", lambda entities: None)
    assert "ACTIVE" in race_of_sets()


def test_control_locked_in_the_order_of_their_events_sets_wait_for_each_other(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = services.lock_entities

    def lock_each(entities: Iterable[services.EntityKey]) -> None:
        for number, entity in enumerate(sorted(entities, reverse=bool(crosswise.pop()))):
            lock([entity])
            sleep(0.2 if number == 0 else 0)

    crosswise = [True, False]
    monkeypatch.setattr(services, "lock_entities", lock_each)
    make_rule()
    sets = [[start(at(0), sn=sn) for sn in ("SN-1", "SN-2")], [end(at(1), sn=sn) for sn in ("SN-1", "SN-2")]]
    with pytest.raises(OperationalError, match="deadlock"):
        at_once(*(lambda events=events: handlers.handle(events) for events in sets))


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
