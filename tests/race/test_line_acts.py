"""Changeovers and stops at one moment with others: a place has one active run, and a stopped line takes nothing in."""

from collections.abc import Callable
from time import sleep
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution import moves
from execution.models import Track
from mes.production import line_acts, locking, station_acts, stops
from mes.production.decision_models import RunActivation
from mes.production.hold_models import Hold
from tests.factories import make_plant, make_run, put_runs
from tests.integration.helpers import another, at_once

Slow = Callable[..., None]


# --- two changeovers ---------------------------------------------------------------------------------------


def change_over_at_once(person: APIClient) -> list[int]:
    plant = make_plant()
    make_run(plant.version, plant.line, run_no="RUN-2")

    def activate(run_no: str) -> Callable[[], int]:
        return lambda: another(person).post("/api/lines/SMT-A/active-run", {"runNo": run_no}).status_code

    return at_once(activate("RUN-1"), activate("RUN-2"))


@pytest.fixture
def begun_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often a changeover found that another one had come between."""
    seen: list[str] = []
    change = line_acts._change

    def counting(*args: Any, **kwargs: Any) -> None:
        try:
            change(*args, **kwargs)
        except locking.Outdated:
            seen.append("outdated")
            raise

    monkeypatch.setattr(line_acts, "_change", counting)
    return seen


def is_a_chain() -> bool:
    first, second = RunActivation.objects.order_by("id")
    return first.active_to == second.active_from and second.active_to is None


def test_of_two_changeovers_at_once_one_follows_the_other(person: APIClient, slow: Slow, begun_anew: list[str]) -> None:
    slow(line_acts, "_begin_at", after=0.2)
    assert change_over_at_once(person) == [200, 200]
    assert is_a_chain()
    assert not begun_anew


def test_control_without_the_lines_lock_the_database_refuses_the_overlap(
    person: APIClient, slow: Slow, begun_anew: list[str], without_locks: None
) -> None:
    slow(line_acts, "_begin_at", after=0.2)
    assert change_over_at_once(person) == [200, 200]  # the one that lost begins anew
    assert is_a_chain()
    assert begun_anew


def test_of_two_runs_that_are_authorized_at_once_one_is_active(person: APIClient) -> None:
    plant = make_plant(authorize=False)
    make_run(plant.version, plant.line, run_no="RUN-2", authorize=False)

    def authorize(run_no: str) -> Callable[[], int]:
        return lambda: another(person).post(f"/api/runs/{run_no}/authorize", {"action": "AUTHORIZE"}).status_code

    assert at_once(authorize("RUN-1"), authorize("RUN-2")) == [200, 200]
    assert RunActivation.objects.count() == 1


# --- a stop while units enter ------------------------------------------------------------------------------


def stop_line() -> None:
    line_acts.hold(line_code="SMT-A", reason="x", by="ann")


def stop_station() -> None:
    station_acts.stop(station_code="SMT-01", reason="x", by="ann")


STOPS = pytest.mark.parametrize("stop_place", [stop_line, stop_station])


def stop_while_one_enters(person: APIClient, stop_place: Callable[[], None]) -> tuple[int, int]:
    """Stop a line or station while SN-1 enters; return how many had entered when that was answered, and at the end."""

    def enter() -> int:
        body = {"runNo": "RUN-1", "sn": "SN-1"}
        return another(person).post("/api/stations/SMT-01/track-in", body).status_code

    def stop() -> int:
        sleep(0.2)
        stop_place()
        return Track.objects.count()

    _entered, at_the_stop = at_once(enter, stop)
    return at_the_stop, Track.objects.count()


def make_running() -> None:
    make_plant()
    put_runs("IN_PROGRESS")


@STOPS
def test_once_a_stop_is_answered_nothing_enters(person: APIClient, slow: Slow, stop_place: Callable[[], None]) -> None:
    make_running()
    slow(moves, "check_may_enter", after=0.6)
    assert stop_while_one_enters(person, stop_place) == (1, 1)
    assert person.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-2"}).status_code == 409


@STOPS
def test_control_without_the_lock_of_its_runs_a_unit_enters_after_a_stop(
    person: APIClient, slow: Slow, monkeypatch: pytest.MonkeyPatch, stop_place: Callable[[], None]
) -> None:
    make_running()
    monkeypatch.setattr(stops, "list_touched", lambda place: [])
    slow(moves, "check_may_enter", after=0.6)
    assert stop_while_one_enters(person, stop_place) == (0, 1)
    assert Hold.objects.exists()
