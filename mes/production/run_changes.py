"""What may change of a run while it is open: its quantity, shift, line, kind and route version."""

from collections.abc import Mapping
from typing import Any

from mes.errors import LineNotFound, RunClosed, RunStarted
from mes.labels import Action
from mes.plant.models import Line
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.production import active_runs, decisions, hooks, locking, newer_version, orders, runs
from mes.production.models import OPEN_RUN_STATUSES, Run, WorkOrder
from mes.production.queries import has_track
from mes.production.run_acts import check_plan_not_too_low
from mes.production.unit_moves import has_made_units

CHANGEABLE = ("plan_qty", "line_code", "shift_code", "kind", "route_version_no")
_SAVED = (
    "plan_qty",
    "kind",
    "line",
    "shift_code",
    "route_version",
    "status",
    "held_from",
    "authorized_at",
    "authorized_by",
    "status_by",
    "status_reason",
)


@locking.atomically
def change(*, run_no: str, wanted: Mapping[str, Any], by: str, reason: str) -> Run:
    """Change what differs of an open run; `wanted` has values of `CHANGEABLE`. What is as it should be changes nothing.

    Line and version may change until its first track or first article, its kind until its first track, and while no
    units are in it that came back. With a new line or version an authorized run falls back to PREP.

    Raises RunNotFound, LineNotFound, RunStarted, RunClosed, RunQuantityTooLow, OrderQuantityExceeded,
    RouteVersionNotFound, RouteVersionNotReady, ValidationFailed.
    """
    give_reason(reason)
    line = get_or_raise(Line.objects, LineNotFound, code=wanted["line_code"]) if "line_code" in wanted else None
    run = runs.lock(run_no=run_no)
    before, told, kind_before, plan_before = run.status, {}, run.kind, run.plan_qty
    if "route_version_no" in wanted:
        number = run.route_version.version_no
        if newer_version.take(run, wanted["route_version_no"]):
            told["routeVersionNo"] = [number, wanted["route_version_no"]]
    if line is not None:
        told |= _move_to(run, line, by=by)
    told |= _set_shift(run, wanted)
    told |= _set_kind(run, wanted.get("kind", run.kind))
    told |= _set_plan(run, wanted.get("plan_qty", run.plan_qty))
    if not told:
        return run
    if run.status not in OPEN_RUN_STATUSES:
        raise RunClosed(run=run_no)
    if told.keys() & {"kind", "planQty"}:
        order = orders.lock(wo_no=run.work_order.wo_no)
        _check_fits(order, _use(order, run.kind, run.plan_qty) - _use(order, kind_before, plan_before))
    if told.keys() & {"lineCode", "routeVersionNo"}:
        run.status_by, run.status_reason = by, reason
    run.save(update_fields=_SAVED)
    if "lineCode" in told:
        for listener in hooks.run_placed:
            listener(run)
    decisions.record(run, Action.CHANGE, by=by, reason=reason, from_status=before, to_status=run.status, changes=told)
    return run


def take_version(*, run_no: str, version_no: int, by: str, reason: str) -> Run:
    """Bind a run to a newer version of its route. Raises as `change` does."""
    return change(run_no=run_no, wanted={"route_version_no": version_no}, by=by, reason=reason)


def _move_to(run: Run, line: Line, *, by: str) -> dict[str, list[Any]]:
    """It is the active run of its line no more, nor of stations there."""
    if line.pk == run.line_id:
        return {}
    if newer_version.has_begun(run):
        raise RunStarted(run=run.run_no)
    told: dict[str, list[Any]] = {"lineCode": [run.line.code, line.code]}
    run.line, run.status_by = line, by
    active_runs.end_all(run)
    newer_version.fall_back(run)
    return told


def _set_shift(run: Run, wanted: Mapping[str, Any]) -> dict[str, list[Any]]:
    """A shift stays with a run that goes to another line, where that has one of this code."""
    shift = (wanted["shift_code"] or "") if "shift_code" in wanted else run.shift_code
    if "shift_code" in wanted or "line_code" in wanted:
        runs.check_shift(run.line, shift)
    if shift == run.shift_code:
        return {}
    told: dict[str, list[Any]] = {"shiftCode": [run.shift_code, shift]}
    run.shift_code = shift
    return told


def _set_kind(run: Run, kind: str) -> dict[str, list[Any]]:
    if kind == run.kind:
        return {}
    if has_track(run) or has_made_units(run):
        raise RunStarted(run=run.run_no)
    told: dict[str, list[Any]] = {"kind": [run.kind, kind]}
    run.kind = kind
    return told


def _set_plan(run: Run, plan_qty: int) -> dict[str, list[Any]]:
    if plan_qty == run.plan_qty:
        return {}
    if plan_qty < run.plan_qty:
        check_plan_not_too_low(run, plan_qty)
    told: dict[str, list[Any]] = {"planQty": [run.plan_qty, plan_qty]}
    run.plan_qty = plan_qty
    return told


def _use(order: WorkOrder, kind: str, plan_qty: int) -> int:
    """Return how many units of an order an open run of this kind and plan is for."""
    return plan_qty if kind == order.kind else 0


def _check_fits(order: WorkOrder, more: int) -> None:
    if more > 0:
        orders.check_may_commit(order, kind=order.kind, more=more)
