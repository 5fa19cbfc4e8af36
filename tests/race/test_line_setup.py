"""Scans at the same time: one current stencil of a line, one line of a stencil, and a clear answer for everyone."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier, Event
from time import sleep
from typing import Any, TypeVar

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup import bindings, print_counts
from mes.line_setup.loads import book, hooks, locks, services
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, SetUpKind, Tool
from mes.line_setup.set_up_lists import services as set_up_lists
from mes.plant.models import Line
from mes.platform.outbox.models import MesEvent
from mes.production import locking, runs
from tests.factories import make_line, make_plant
from tests.integration.helpers import another, at_once
from tests.line_setup.loads.support import OTHER, PLACER, load_on_line, make_placers, make_reel, take_out, there
from tests.line_setup.loads.support import scan as scan_slot
from tests.line_setup.set_up_lists.support import make_list, part

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


def take_out_while_another_line_is_locked(client: APIClient, timeout: float) -> int:
    """Take a shared lot out of SMT-12 while somebody keeps the lock of SMT-A, where it is, too; return the status."""
    MaterialLot.objects.get(lot_id="R-1").material.__class__.objects.update(is_shared=True)
    for station in (PLACER, "SMT-12"):
        assert load(client, "F1", "R-1", station)()[0] == 201
    line = Line.objects.get(code="SMT-A")
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        locks.lock_owners([locks.owner_of(line_id=line.pk, station_id=None)])
        taking = pool.submit(_alone, lambda: take_out(another(client), station="SMT-12", lotId="R-1").status_code)
        try:
            return int(taking.result(timeout=timeout))
        finally:
            transaction.set_rollback(True)


def test_a_shared_lot_is_taken_out_of_one_line_alone(person, reels):
    assert take_out_while_another_line_is_locked(person, timeout=5) == 200
    assert there() == [(PLACER, "F1", "R-1", "ACTIVE")]


def test_control_where_all_its_places_are_touched_it_waits(person, reels, monkeypatch):
    everywhere = book.READ_LOADS.replace(
        "CASE WHEN t.slot = '' THEN l.station_id = t.station_id", "CASE WHEN false THEN false"
    )
    monkeypatch.setattr(book, "READ_LOADS", everywhere.replace("ELSE NOT l.is_shared", "ELSE true"))
    with pytest.raises(TimeoutError):
        take_out_while_another_line_is_locked(person, timeout=0.5)


# --- wrong parts --------------------------------------------------------------------------------------------


@pytest.fixture
def two_wrong(person: APIClient, transactional_db: None) -> None:
    """A run on a line whose slot F1 was scanned wrong twice, and of which it is kept how its stations are set up."""
    plant = make_plant(authorize=False)
    make_list(plant, part("F1"))
    set_up_lists.bind_latest(plant.run)
    runs.set_authorization(run_no="RUN-1", action="AUTHORIZE", by="test")
    make_reel("GOOD")
    make_reel("WRONG", "C-100N")
    for _wrong in range(2):
        assert load(person, "F1", "WRONG", "SMT-01")() == (409, "WRONG_PART")


def scan_good_and_wrong(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Scan the good reel once a wrong part was counted, and not yet told; return the answer of the wrong one.

    That waits until the good one was loaded and told, if that can be.
    """
    tell, is_counted, is_loaded = hooks.tell, Event(), Event()

    def tell_in_turn(change: hooks.Change) -> None:
        if change.loads:
            tell(change)
            is_loaded.set()
            sleep(0.2)  # the other waits longer: it is the one that PostgreSQL ends
        else:
            is_counted.set()
            is_loaded.wait(0.3)
            tell(change)

    def load_good() -> tuple[int, str]:
        is_counted.wait(10)
        return load(client, "F1", "GOOD", "SMT-01")()

    monkeypatch.setattr(hooks, "tell", tell_in_turn)
    return at_once(load_good, load(client, "F1", "WRONG", "SMT-01"))[1]


def test_a_wrong_part_is_counted_though_a_good_one_is_loaded(person, two_wrong, monkeypatch):
    assert scan_good_and_wrong(person, monkeypatch) == (409, "WRONG_PART")


def test_control_without_the_lock_of_the_set_up_it_is_ended_by_a_deadlock(person, two_wrong, without_lock, monkeypatch):
    monkeypatch.setattr(locking, "MOST_DEADLOCKS", 0)
    assert scan_good_and_wrong(person, monkeypatch) == (503, "TRY_AGAIN")


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


def is_free_while_it_is_replaced() -> bool:
    """Bind a stencil in the place of one that somebody counts a use of; return whether that one may count of both."""
    make_line("SMT-A")
    old, new = (Tool.objects.create(tool_id=f"ST-{number}", kind="STENCIL") for number in range(2))
    load_on_line("SMT-A", "STENCIL", tool=old)

    def replace() -> None:
        bindings.bind(line_code="SMT-A", kind=SetUpKind.STENCIL, code=new.tool_id, by="test", replace=True)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Tool.objects.select_for_update(no_key=True).get(pk=old.pk)
            replacing = pool.submit(_alone, replace)
            with pytest.raises(TimeoutError):
                replacing.result(timeout=0.3)  # it waits
            is_free = Tool.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=new.pk).exists()
        replacing.result(timeout=30)
    return is_free


def test_stencils_are_locked_in_the_order_of_their_keys(transactional_db: None) -> None:
    assert is_free_while_it_is_replaced()


def test_control_where_they_are_locked_in_another_order_one_is_held(transactional_db: None, monkeypatch) -> None:
    monkeypatch.setattr(services, "TOOLS", services.TOOLS.order_by("-pk"))
    assert not is_free_while_it_is_replaced()


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
