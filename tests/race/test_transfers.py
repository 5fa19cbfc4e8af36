"""Units go from run to run while something else wants the runs or the units: one of the two comes second."""

from collections.abc import Callable, Mapping
from time import sleep
from typing import Any

import pytest
from django.db.models import Sum
from django.db.utils import OperationalError

from execution import dispositions
from execution.transfers import locks, services, splits
from mes.production import locking
from mes.production.decision_models import Approval, UnitMove
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, Unit, UnitStatus
from tests.factories import api_client, make_plant, make_run, put_runs
from tests.integration.helpers import another, at_once

MOVE = {"sns": ["SN-1"], "toRunNo": "RUN-2", "reason": "Oven down"}


def later(call: Callable[[], Any], seconds: float = 0.3) -> Callable[[], Any]:
    """Return a call that begins so much later."""

    def wait() -> Any:
        sleep(seconds)
        return call()

    return wait


# --- a run is closed while a unit goes into it -------------------------------------------------------------


def close_against_move(person: Any, slow: Any) -> list[int]:
    plant = make_plant()
    make_run(plant.version, plant.line, run_no="RUN-2")
    put_runs(RunStatus.IN_PROGRESS)
    slow(services, "put_into", before=1)
    return at_once(
        lambda: another(person).post("/api/runs/RUN-1/units/move", MOVE).status_code,
        later(lambda: another(person).post("/api/runs/RUN-2/close", {"reason": "Not needed"}).status_code),
    )


def is_left_behind() -> bool:
    """Whether a unit that is not finished is in a run that has ended."""
    unfinished = Unit.objects.exclude(run=None).exclude(status__in=[UnitStatus.DONE, UnitStatus.SCRAPPED])
    return unfinished.exclude(run__status__in=OPEN_RUN_STATUSES).exists()


def test_no_unit_goes_into_a_run_that_is_closed_at_that_moment(person: Any, slow: Any) -> None:
    assert close_against_move(person, slow) == [200, 200]
    assert not is_left_behind()
    assert Unit.objects.get(sn="SN-1").run_id is None  # it came, and left as not made


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_it_is_left_behind(person: Any, slow: Any) -> None:
    close_against_move(person, slow)
    assert is_left_behind()


# --- two splits --------------------------------------------------------------------------------------------


def split_twice(person: Any, slow: Any) -> list[int]:
    make_plant(units=10, plan_qty=10)
    slow(splits, "_create", before=0.5)

    def split(run_no: str) -> Callable[[], int]:
        body = {"planQty": 6, "runNo": run_no, "reason": "Friday"}
        return lambda: another(person).post("/api/runs/RUN-1/split", body).status_code

    return at_once(split("RUN-2"), split("RUN-3"))


def planned() -> int:
    return Run.objects.aggregate(plan=Sum("plan_qty"))["plan"]


def test_of_two_splits_that_want_the_same_units_one_gets_them(person: Any, slow: Any) -> None:
    assert sorted(split_twice(person, slow)) == [201, 409]
    assert planned() == 10
    assert UnitMove.objects.count() == 6


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_both_split_the_same(person: Any, slow: Any) -> None:
    assert split_twice(person, slow) == [201, 201]
    assert planned() == 16


# --- a scrap is undone while its replacement is registered -------------------------------------------------


def undo_against_replacement(person: Any, slow: Any) -> list[int]:
    make_plant(units=2, plan_qty=2)
    assert person.post("/api/units/SN-1/scrap", {"reason": "cracked"}).status_code == 200
    assert person.post("/api/units/SN-1/unscrap", {"reason": "wrong board"}).status_code == 202
    approval, quality = Approval.objects.get(), api_client("QUALITY")
    slow(dispositions, "undo_scrap", before=1)
    return at_once(
        lambda: quality.post(f"/api/approvals/{approval.pk}/approve", {}).status_code,
        later(lambda: another(person).post("/api/runs/RUN-1/units", {"sns": ["SN-3"]}).status_code),
    )


def count_live() -> int:
    return Unit.objects.exclude(status=UnitStatus.SCRAPPED).count()


def test_of_a_unit_and_its_replacement_one_gets_the_place(person: Any, slow: Any) -> None:
    assert undo_against_replacement(person, slow) == [200, 409]
    assert count_live() == 2


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_both_get_it(person: Any, slow: Any) -> None:
    assert undo_against_replacement(person, slow) == [200, 201]
    assert count_live() == 3


# --- crosswise ---------------------------------------------------------------------------------------------

MOVERS, EACH = 12, 100


def move_crosswise(each: int) -> list[int | None]:
    """Have twelve people move so many units each, half of them from RUN-1 to RUN-2, half back; return how many went,
    None for a move that lost a deadlock.
    """
    plant = make_plant(units=0, plan_qty=10_000)
    make_run(plant.version, plant.line, run_no="RUN-2", plan_qty=10_000)
    runs = list(Run.objects.order_by("id"))
    units = [
        Unit(sn=f"M{mover}-{number}", run=runs[mover % 2], work_order=runs[mover % 2].work_order, current_step_no=10)
        for number in range(each)
        for mover in range(MOVERS)
    ]
    Unit.objects.bulk_create(units)

    def move(mover: int) -> Callable[[], int | None]:
        def go() -> int | None:
            source, target = runs[mover % 2].run_no, runs[1 - mover % 2].run_no
            sns = [f"M{mover}-{number}" for number in range(each)]
            try:
                moved = services.move_units(run_no=source, sns=sns, to_run_no=target, reason="Crosswise", by="ann")
            except OperationalError:
                return None
            return len(moved)

        return go

    return list(at_once(*(move(mover) for mover in range(MOVERS))))


@pytest.fixture
def deadlocks_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "MOST_DEADLOCKS", 0)


@pytest.mark.usefixtures("transactional_db", "deadlocks_are_seen")
def test_units_that_are_moved_crosswise_wait_for_each_other_in_one_order() -> None:
    assert move_crosswise(EACH) == [EACH] * MOVERS
    here = {mover: Unit.objects.filter(sn__startswith=f"M{mover}-").values_list("run__run_no") for mover in range(2)}
    assert {mover: set(rows) for mover, rows in here.items()} == {0: {("RUN-2",)}, 1: {("RUN-1",)}}


@pytest.mark.usefixtures("transactional_db", "deadlocks_are_seen")
def test_control_locked_as_they_are_named_they_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def lock_as_named(*, numbers: list[str], ids: Any = ()) -> Mapping[int, Run]:
        for run_no in numbers:
            list(Run.objects.filter(run_no=run_no).select_for_update(no_key=True))
            sleep(0.1)
        return original(numbers=numbers, ids=ids)

    original = locks.lock_runs
    monkeypatch.setattr(services, "lock_runs", lock_as_named)
    assert None in move_crosswise(1)
