"""A run is split: a part of its plan, with units of it, becomes a run of its own, perhaps on another line."""

from collections.abc import Sequence

from execution.models import Track
from execution.transfers import locks
from execution.transfers.locks import Named, find_named, lock_named, lock_runs
from execution.transfers.services import check_movable, put_into
from mes import errors
from mes.labels import Action
from mes.plant.models import Line
from mes.platform.database.lookup import get_or_raise
from mes.production import decisions, locking, orders, runs
from mes.production.decision_models import UnitMoveAct
from mes.production.models import Run, Unit, UnitStatus
from mes.production.quantities import count_in_plan


@locking.atomically
def split_run(
    *,
    run_no: str,
    plan_qty: int,
    line_code: str | None = None,
    sns: Sequence[str] | None = None,
    new_run_no: str | None = None,
    reason: str,
    by: str,
) -> Run:
    """Split a part of an open run's plan off into a new run in preparation, of the same order, kind and version.

    The named units go along; where none are named, the last untouched ones that the rest has no room for.
    Raises RunNotFound, LineNotFound, RunClosed, RunQuantityTooLow, RunQuantityExceeded, UnitsNotMovable.
    """
    line = None if line_code is None else get_or_raise(Line.objects, errors.LineNotFound, code=line_code)
    source = find_named(lock_runs(numbers=[run_no]), run_no)
    locks.check_open(source)
    rest = source.plan_qty - plan_qty
    count = count_in_plan(source)
    if rest < 1:
        raise errors.RunQuantityTooLow(run=source.run_no, plan=rest, count=max(count, 1))
    named = _lock_untouched(source, count - rest) if sns is None else lock_named(sns)
    check_movable(named, source)
    named.check()
    if count - len(named.units) > rest:
        raise errors.RunQuantityTooLow(run=source.run_no, plan=rest, count=count - len(named.units))
    locks.part_from_carriers(named.units)  # the order, which gives the new run its number, is locked after them
    run = _create(source, plan_qty, line=line, run_no=new_run_no)
    if len(named.units) > plan_qty:
        raise errors.RunQuantityExceeded(run=run.run_no, plan=plan_qty, count=len(named.units))
    old_plan, source.plan_qty = source.plan_qty, rest
    source.save(update_fields=["plan_qty"])
    steps = {unit.pk: unit.current_step_no or 0 for unit in named.units}
    put_into(run, named.units, steps, act=UnitMoveAct.MOVE, reason=reason, by=by)
    changes = {"planQty": [old_plan, rest], "splitInto": [None, run.run_no]}
    decisions.record(source, Action.SPLIT, by=by, reason=reason, changes=changes)
    decisions.record(run, Action.SPLIT, by=by, reason=reason, changes={"splitFrom": [None, source.run_no]})
    return run


def _lock_untouched(source: Run, wanted: int) -> Named:
    """Lock the last units of a locked run that wait at its beginning, as many as wanted, or as there are."""
    if wanted <= 0:
        return Named([], {})
    waiting = Unit.objects.filter(run=source, status=UnitStatus.QUEUED)
    begun = Track.objects.filter(unit__in=waiting).values("unit")
    samples = locks.list_samples_of(source)
    untouched = waiting.exclude(pk__in=begun).exclude(pk__in=samples).order_by("-id")
    ids = list(untouched.values_list("pk", flat=True)[:wanted])
    units = locking.lock_units(Unit.objects.filter(pk__in=ids))
    if any(unit.status != UnitStatus.QUEUED or unit.run_id != source.pk for unit in units):
        raise locking.Outdated  # one was held meanwhile
    return Named([unit.sn for unit in units], {unit.sn: unit for unit in units})


def _create(source: Run, plan_qty: int, *, line: Line | None, run_no: str | None) -> Run:
    """Create the run that is split off. Its order's quantity is committed already, by the run that it comes from."""
    order = orders.lock(wo_no=source.work_order.wo_no)
    stays = line is None or line.pk == source.line_id
    return runs.make(
        run_no=runs.choose_run_no(order, run_no),
        work_order=order,
        line=line or source.line,
        route_version=source.route_version,
        plan_qty=plan_qty,
        kind=source.kind,
        shift_code=source.shift_code if stays else "",
        units_registered=source.units_registered,
    )
