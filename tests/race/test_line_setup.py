"""Scans at the same time: one current stencil of a line, one line of a stencil, and a clear answer for everyone."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup import print_counts
from mes.line_setup.loads import book, locks, services
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, Tool
from mes.plant.models import Line
from mes.platform.outbox.models import MesEvent
from tests.factories import make_line
from tests.integration.helpers import another, at_once
from tests.line_setup.loads.support import OTHER, PLACER, load_on_line, make_placers, make_reel, there
from tests.line_setup.loads.support import scan as scan_slot

SCANS = 4
T = TypeVar("T")


def scan(client: APIClient, line: str, code: str, **body: Any) -> Callable[[], tuple[int, str]]:
    def make() -> tuple[int, str]:
        answer = another(client).post(f"/api/integration/lines/{line}/stencil/bind", {"stencilId": code, **body})
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    return make


def bound() -> list[tuple[str, str]]:
    rows = Load.objects.filter(ended_at=None).values_list("line__code", "tool__tool_id")
    return sorted((line, str(stencil)) for line, stencil in rows)


@pytest.fixture
def lines(transactional_db: None) -> None:
    make_line("SMT-A")
    make_line("SMT-B")


@pytest.fixture
def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "lock_owners", lambda owners: None)


def test_one_of_two_stencils_wins_the_line(person, lines):
    answers = at_once(*(scan(person, "SMT-A", f"ST-{number}") for number in range(6)))
    assert Counter(answers) == {(201, ""): 1, (409, "LINE_OCCUPIED"): 5}
    assert len(bound()) == 1


def test_one_of_two_lines_wins_the_stencil(person, lines):
    answers = at_once(scan(person, "SMT-A", "ST-1"), scan(person, "SMT-B", "ST-1"), times=3)
    assert Counter(code for _status, code in answers)["BOUND_ELSEWHERE"] == 3
    assert len(bound()) == 1


def test_the_same_scan_at_once_binds_once(person, lines):
    answers = at_once(scan(person, "SMT-A", "ST-1"), times=6)
    assert Counter(answers) == {(201, ""): 1, (200, ""): 5}


def test_crossing_replacements_end_in_some_order(person, lines):
    scan(person, "SMT-A", "ST-1")()
    scan(person, "SMT-B", "ST-2")()
    answers = at_once(scan(person, "SMT-A", "ST-2", replace=True), scan(person, "SMT-B", "ST-1", replace=True), times=4)
    assert {status for status, _code in answers} <= {200, 201}
    both = [("SMT-A", "ST-2"), ("SMT-B", "ST-1")]
    assert bound() == both


@pytest.fixture
def all_before_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody write a load before all have looked for what is in the way; nobody gets there where one waits."""
    write, barrier = book.write, Barrier(SCANS, timeout=30)

    def write_together(*args: Any) -> Any:
        barrier.wait()
        return write(*args)

    monkeypatch.setattr(book, "write", write_together)


def test_control_without_the_lock_the_constraint_still_holds_but_the_answer_is_poor(
    person, lines, without_lock, all_before_writing
):
    answers = at_once(*(scan(person, "SMT-A", f"ST-{number}") for number in range(SCANS)))
    assert len(bound()) == 1
    assert Counter(answers) == {(201, ""): 1, (400, "VALIDATION_ERROR"): SCANS - 1}


def test_control_without_lock_and_constraint_two_stencils_are_bound(
    person,
    lines,
    without_lock,
    all_before_writing,
    without_constraint: Callable[[type, str], AbstractContextManager[None]],
):
    with without_constraint(Load, "load_one_open_per_slot_of_line"):
        at_once(*(scan(person, "SMT-A", f"ST-{number}") for number in range(SCANS)))
        assert len(bound()) == SCANS


# --- slots of stations --------------------------------------------------------------------------------------


@pytest.fixture
def reels(transactional_db: None) -> None:
    make_placers()
    for number in range(SCANS):
        make_reel(f"R-{number}")


def load(client: APIClient, slot: str, lot: str, station: str = PLACER) -> Callable[[], tuple[int, str]]:
    def make() -> tuple[int, str]:
        answer = scan_slot(another(client), slot, lot, station=station)
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    return make


def test_one_of_two_reels_wins_the_slot(person, reels):
    answers = at_once(*(load(person, "F1", f"R-{number}") for number in range(SCANS)))
    assert Counter(answers) == {(201, ""): 1, (409, "SLOT_OCCUPIED"): SCANS - 1}
    assert len(there()) == 1


def test_control_without_the_lock_two_reels_meet_at_the_constraint(person, reels, without_lock, all_before_writing):
    answers = at_once(*(load(person, "F1", f"R-{number}") for number in range(SCANS)))
    assert Counter(answers) == {(201, ""): 1, (400, "VALIDATION_ERROR"): SCANS - 1}


def test_one_of_two_lines_wins_the_reel(person, reels):
    answers = at_once(load(person, "F1", "R-1"), load(person, "F1", "R-1", "SMT-12"), times=2)
    assert Counter(code for status, code in answers if status == 409) == {"BOUND_ELSEWHERE": 2}
    assert len(there()) == 1


@pytest.fixture
def without_lot_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "LOTS", MaterialLot.objects.select_related("material").order_by("pk"))


def test_control_without_locks_a_reel_meets_itself_at_the_constraint(
    person, reels, without_lock, without_lot_lock, all_before_writing
):
    stations = [PLACER, OTHER, "SMT-12", "SHARED"]
    answers = at_once(*(load(person, "F1", "R-1", station) for station in stations))
    assert Counter(answers) == {(201, ""): 1, (400, "VALIDATION_ERROR"): SCANS - 1}


def load_while_it_is_blocked(client: APIClient, *, waits: bool) -> tuple[int, str]:
    """Scan a reel while somebody blocks it and has not committed; return the answer."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            MaterialLot.objects.filter(lot_id="R-1").update(status="BLOCKED", blocked_from="AVAILABLE")
            scanning = pool.submit(_alone, load(client, "F1", "R-1"))
            if waits:
                with pytest.raises(TimeoutError):
                    scanning.result(timeout=0.3)
            else:
                scanning.result(timeout=30)
        return scanning.result(timeout=30)


def test_a_reel_that_is_being_blocked_is_not_loaded(person, reels):
    assert load_while_it_is_blocked(person, waits=True) == (409, "LOT_BLOCKED")


def test_control_without_its_lock_a_blocked_reel_is_loaded(person, reels, without_lot_lock):
    assert load_while_it_is_blocked(person, waits=False) == (201, "")
    assert MaterialLot.objects.get(lot_id="R-1").status == "BLOCKED"


def scan_while_another_line_is_locked(client: APIClient, timeout: float) -> tuple[int, str]:
    """Scan at SMT-B while somebody keeps the lock of SMT-A; raise TimeoutError where that waits for it."""
    line = Line.objects.get(code="SMT-A")
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        locks.lock_owners([locks.owner_of(line_id=line.pk, station_id=None)])
        scanning = pool.submit(_alone, load(client, "F1", "R-1", "SMT-12"))
        try:
            return scanning.result(timeout=timeout)
        finally:
            transaction.set_rollback(True)


def test_no_scan_waits_for_another_line(person, reels):
    assert scan_while_another_line_is_locked(person, timeout=5) == (201, "")


def test_control_with_one_lock_of_the_plant_it_waits(person, reels, monkeypatch):
    lock_set_up = locks.lock_set_up
    monkeypatch.setattr(locks, "lock_owners", lambda owners: lock_set_up(lines=[0]))
    with pytest.raises(TimeoutError):
        scan_while_another_line_is_locked(person, timeout=0.5)


# --- what a stencil is used for -----------------------------------------------------------------------------


def count_while_it_is_cleaned() -> int:
    """Count a print while somebody has cleaned its stencil since, but has not committed; return the stencil's count."""
    stencil = Tool.objects.create(tool_id="ST-1")
    line = make_line("SMT-A")
    printed_at = timezone.now()
    load_on_line("SMT-A", "STENCIL", tool=stencil, at=printed_at)
    payload = {"operationKind": "PRINT", "lineId": line.pk}
    event = MesEvent(event_type="TRACK_OUT", occurred_at=printed_at, payload=payload)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Tool.objects.update(serviced_at=timezone.now(), uses_since_service=0)
            counting = pool.submit(_alone, lambda: print_counts.count_prints([event, event]))
            with pytest.raises(TimeoutError):
                counting.result(timeout=0.3)  # it waits for the stencil
        counting.result(timeout=30)
    stencil.refresh_from_db()
    return stencil.uses_since_service


def _alone(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connection.close()


def test_a_stencil_that_was_cleaned_meanwhile_counts_no_print_from_before(transactional_db: None) -> None:
    assert count_while_it_is_cleaned() == 0


def test_control_without_the_lock_it_counts_them(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_counts, "COUNT", print_counts.COUNT.replace("FOR NO KEY UPDATE", ""))
    assert count_while_it_is_cleaned() == 2
