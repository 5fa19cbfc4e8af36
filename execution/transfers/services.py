"""Units go from run to run, all or none of those that are named: moved, taken back, returned, split off.

Each locks the runs of both sides in the order of their ids, then the units, then their carriers, and asks every rule by
what it reads then. Statements are as many for one unit as for a thousand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import hooks
from execution.deviations.skipping import settle
from execution.dispositions import hold_done
from execution.quality.repair import tasks
from execution.transfers import locks, rules
from execution.transfers.locks import Named, find_named, lock_named, lock_runs
from execution.transfers.rules import StepRule
from mes import errors
from mes.labels import Action
from mes.production import locking, names, runs, unit_moves
from mes.production.decision_models import UnitMoveAct
from mes.production.models import OPEN_RUN_STATUSES, Run, RunKind, Unit, UnitStatus

LARGEST_TRANSFER = 1000


@dataclass(frozen=True)
class Moved:
    """A unit that went, and the step at which it goes on; None of one that is in no run any more."""

    sn: str
    step_no: int | None


@locking.atomically
def move_units(
    *, run_no: str, sns: Sequence[str], to_run_no: str, to_step_no: int | None = None, reason: str, by: str
) -> list[Moved]:
    """Move units that wait, failed, or are held from one of these into another open run of their product.

    Their status, holds and clocks go along. What was made before goes into no run that makes new ones.
    Raises RunNotFound, RunClosed, UnitsNotMovable, StepRequired, RunQuantityExceeded.
    """
    if run_no == to_run_no:
        raise errors.ValidationFailed({"toRunNo": _("The units are in this run: name another one.")})
    locked = lock_runs(numbers=[run_no, to_run_no])
    source, target = find_named(locked, run_no), find_named(locked, to_run_no)
    locks.check_open(source)
    locks.check_open(target)
    named = lock_named(sns)
    check_movable(named, source)
    product = source.work_order.product_code
    made = {} if source.kind == RunKind.PRODUCTION else unit_moves.find_made(named.units, target)
    for unit in named.units:
        _note(named, unit, rules.check_product, unit, product, target)
        _note(named, unit, unit_moves.check_not_made, unit, target, made)
    steps = _place(named, {source.pk: source}, target, to_step_no)
    runs.check_quantity(target, more=len(steps))
    put_into(target, named.units, steps, act=UnitMoveAct.MOVE, reason=reason, by=by)
    return [Moved(unit.sn, steps[unit.pk]) for unit in named.units]


def check_movable(named: Named, source: Run) -> None:
    """Note the units that are not in a run, that its open first article inspects, or that are not in a status to go."""
    samples = locks.list_samples_of(source)
    for unit in named.units:
        _check_membership(named, unit, source, samples)
        _note(named, unit, rules.check_movable, unit)


def _check_membership(named: Named, unit: Unit, source: Run, samples: set[int]) -> None:
    if unit.run_id != source.pk:
        named.leave_out(unit, errors.UnitRunMismatch(sn=unit.sn, run=source.run_no))
    if unit.pk in samples:
        named.leave_out(unit, errors.UnitIsSample(sn=unit.sn))


@locking.atomically
def take_back(*, run_no: str, sns: Sequence[str], reason: str, by: str) -> list[Moved]:
    """Take units that were not begun out of an open run: they may be registered anywhere.

    Raises RunNotFound, RunClosed, UnitsNotMovable.
    """
    source = find_named(lock_runs(numbers=[run_no]), run_no)
    locks.check_open(source)
    named = lock_named(sns)
    samples, started = locks.list_samples_of(source), locks.find_started(named.units, source)
    for unit in named.units:
        _check_membership(named, unit, source, samples)
        if unit.pk in started:
            named.leave_out(unit, errors.UnitStarted(sn=unit.sn))
        _note(named, unit, rules.check_movable, unit, statuses=(UnitStatus.QUEUED,), action=Action.TAKE_BACK)
    named.check()
    locks.part_from_carriers(named.units)
    unit_moves.record_moves(named.units, act=UnitMoveAct.TAKE_BACK, to_run=None, reason=reason, by=by)
    ids = [unit.pk for unit in named.units]
    Unit.objects.filter(pk__in=ids).update(run=None, current_step_no=None, updated_at=timezone.now())
    return [Moved(unit.sn, None) for unit in named.units]


@locking.atomically
def return_units(
    *, run_no: str, sns: Sequence[str], to_step_no: int | None = None, reason: str, by: str
) -> list[Moved]:
    """Return finished units of ended runs into an open run: for rework, for a second stage, or for engineering.

    They count where they were made for ever; a hold goes along. Raises RunNotFound, RunClosed, UnitsNotMovable,
    RunQuantityExceeded.
    """
    wanted = Unit.objects.filter(names.named(sns), run__isnull=False).order_by()
    locked = lock_runs(numbers=[run_no], ids=wanted.values_list("run_id", flat=True).distinct())
    target = find_named(locked, run_no)
    locks.check_open(target)
    named = lock_named(sns)
    if any(unit.run_id is not None and unit.run_id not in locked for unit in named.units):
        raise locking.Outdated
    parts = locks.list_parts(target.work_order.product_code)
    for unit in named.units:
        _note(named, unit, _check_returnable, unit, locked, target, parts)
    steps = _place_returned(named, locked, target, to_step_no)
    runs.check_quantity(target, more=len(steps))
    ended_at = locks.find_ended(named.units)
    put_into(target, named.units, steps, act=UnitMoveAct.RETURN, reason=reason, by=by, ended_at=ended_at, queue=True)
    return [Moved(unit.sn, steps[unit.pk]) for unit in named.units]


def _check_returnable(unit: Unit, locked: Mapping[int, Run], target: Run, parts: set[str]) -> None:
    """Raise why a unit cannot return into a run."""
    if unit.run_id is None:
        raise errors.UnitRunNotFound(code=unit.sn)
    run = locked[unit.run_id]
    if run.status in OPEN_RUN_STATUSES:
        raise errors.UnitInOpenRun(sn=unit.sn, run=run.run_no)
    if unit.standing != UnitStatus.DONE:
        rules.check_movable(unit, statuses=(), action=Action.RETURN)
    rules.check_returnable(unit, run.work_order.product_code, target, parts=parts)


def _note(named: Named, unit: Unit, check: Callable[..., None], *args: object, **options: object) -> None:
    """Note the refusal of a check as the fault of a unit, unless it has one."""
    if unit.sn in named.faults:
        return
    try:
        check(*args, **options)
    except errors.DomainError as fault:
        named.leave_out(unit, fault)


# --- where they go on, and writing it ----------------------------------------------------------------------


def _place(named: Named, sources: Mapping[int, Run], target: Run, to_step_no: int | None) -> dict[int, int]:
    """Return the step at which each unit goes on. Raises UnitsNotMovable, StepRequired."""
    route = runs.snapshot_of(target)
    step_rules = {pk: StepRule(runs.snapshot_of(run), route, to_step_no) for pk, run in sources.items()}
    if to_step_no is not None:
        return _place_at(named, step_rules, to_step_no)
    named.check()
    steps = {unit.pk: unit.current_step_no for unit in named.units}
    stays = {(unit.run_id, unit.current_step_no) for unit in named.units}
    if not all(step_rules[run_id or 0].stays(step_no) for run_id, step_no in stays):
        raise errors.StepRequired(run=target.run_no)
    return {pk: step_no or 0 for pk, step_no in steps.items()}


def _place_returned(named: Named, locked: Mapping[int, Run], target: Run, to_step_no: int | None) -> dict[int, int]:
    """Return the step at which each finished unit begins: the first, or the named one. Raises UnitsNotMovable."""
    route = runs.snapshot_of(target)
    if to_step_no is None:
        named.check()
        return {unit.pk: route.first_step_no for unit in named.units}
    used = {unit.run_id for unit in named.units if unit.run_id is not None}
    step_rules = {pk: StepRule(runs.snapshot_of(locked[pk]), route, to_step_no, is_finished=True) for pk in used}
    return _place_at(named, step_rules, to_step_no)


def _place_at(named: Named, step_rules: Mapping[int, StepRule], to_step_no: int) -> dict[int, int]:
    results = locks.find_last_results(named.units)
    for unit in named.units:
        _note(named, unit, step_rules[unit.run_id or 0].check_named, unit, results[unit.pk])
    named.check()
    return {unit.pk: to_step_no for unit in named.units}


def put_into(
    target: Run,
    units: Sequence[Unit],
    steps: Mapping[int, int],
    *,
    act: UnitMoveAct,
    reason: str,
    by: str,
    ended_at: Mapping[int, datetime] | None = None,
    queue: bool = False,
) -> None:
    """Put locked units into a locked run, each at its step; with `queue`, they wait there, held or not.

    Open machine events of theirs are tried against that run after the commit.
    """
    if not units:
        return
    locks.part_from_carriers(units)
    unit_moves.record_moves(units, act=act, to_run=target, reason=reason, by=by, ended_at=ended_at)
    columns: dict[str, object] = {
        "run": target,
        "work_order": target.work_order_id,
        "updated_at": timezone.now(),
        "current_step_no": Case(
            *(When(pk__in=[pk for pk, at in steps.items() if at == no], then=no) for no in sorted(set(steps.values())))
        ),
    }
    if queue:
        is_held = When(status=UnitStatus.ON_HOLD, then=Value(UnitStatus.ON_HOLD))
        columns["status"] = Case(is_held, default=Value(UnitStatus.QUEUED))
        columns["held_from"] = Case(When(status=UnitStatus.ON_HOLD, then=Value(UnitStatus.QUEUED)), default=Value(""))
    ids = [unit.pk for unit in units]
    Unit.objects.filter(pk__in=ids).update(**columns)
    if target.has_deviations:
        waiting = [unit for unit in Unit.objects.filter(pk__in=ids).order_by("pk") if unit.standing != UnitStatus.DONE]
        settle(waiting)
        hold_done(waiting)
    tasks.take_along(units, target, steps)
    hooks.announce_transfer(ids)
