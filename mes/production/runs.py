"""Runs: bound to a frozen route version, filled with units, authorized, started by their first track."""

from collections.abc import Container, Sequence, Set
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.errors import (
    DomainError,
    InvalidTransition,
    LineNotFound,
    RouteAmbiguous,
    RouteVersionNotReady,
    RunClosed,
    RunInOqc,
    RunNotFound,
    RunOnHold,
    RunQuantityExceeded,
    UnitOnHold,
    UnitRunMismatch,
    UnitScrapped,
    ValidationFailed,
)
from mes.labels import Action, Entity
from mes.plant.models import Line
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.validators import check_new_code
from mes.production import active_runs, decisions, hooks, locking, orders, transitions, unit_moves
from mes.production.models import Run, RunStatus, Unit, UnitStatus, WorkOrder, WorkOrderStatus
from mes.production.names import find_names, is_taken, lock_alone
from mes.production.quantities import count_in_plan
from mes.production.serial_numbers import check_new
from mes.routing import snapshots
from mes.routing.models import RouteSource, RouteVersion, Routing, VersionStatus

TAKES_RUNS = (WorkOrderStatus.RELEASED, WorkOrderStatus.IN_PROGRESS)


def create(
    *,
    wo_no: str,
    line_code: str,
    plan_qty: int,
    run_no: str | None = None,
    shift_code: str | None = None,
    kind: str | None = None,
) -> Run:
    """Create a run of a released order, by default of its kind, bound to the route version that applies now.

    Raises WorkOrderNotFound, LineNotFound, InvalidTransition, OrderQuantityExceeded, RouteVersionNotReady,
    RouteAmbiguous.
    """
    line = get_or_raise(Line.objects, LineNotFound, code=line_code)
    with transaction.atomic():
        order = orders.lock(wo_no=wo_no)
        if order.status not in TAKES_RUNS:
            raise InvalidTransition(
                action=Action.CREATE_A_RUN, entity=Entity.WORK_ORDER, state=WorkOrderStatus(order.status)
            )
        number = choose_run_no(order, run_no)
        check_shift(line, shift_code)
        orders.check_may_commit(order, kind=kind or order.kind, more=plan_qty)
        return make(
            run_no=number,
            work_order=order,
            line=line,
            route_version=choose_version(order),
            plan_qty=plan_qty,
            kind=kind or order.kind,
            shift_code=shift_code or "",
        )


def make(**fields: Any) -> Run:
    """Write a run with these fields, and tell whoever does something with each new one (inside a transaction)."""
    run = Run.objects.create(**fields)
    for listener in hooks.run_placed:
        listener(run)
    return run


def choose_run_no(order: WorkOrder, run_no: str | None) -> str:
    """Return the number of a new run of a locked order: the one given, or the next of the order's.

    Raises ValidationFailed for one that is taken, or that nothing may be called.
    """
    number = run_no or _next_run_no(order)
    check_new_code("runNo", number)
    if len(number) > 100:
        raise ValidationFailed({"runNo": _("Give a run number; one made from the order's would be too long.")})
    if Run.objects.filter(run_no=number).exists():
        raise ValidationFailed({"runNo": _("This run number is taken.")})
    return number


def check_shift(line: Line, shift_code: str | None) -> None:
    """Raise ValidationFailed for a shift that a line has not; a line without shifts takes any."""
    shifts = {shift["code"] for shift in line.shifts}
    if shift_code and shifts and shift_code not in shifts:
        raise ValidationFailed({"shiftCode": _("The line has no such shift.")})


def _next_run_no(order: WorkOrder) -> str:
    count = order.runs.count() + 1
    while Run.objects.filter(run_no=f"{order.wo_no}-{count:02}").exists():
        count += 1
    return f"{order.wo_no}-{count:02}"


def choose_version(order: WorkOrder, *, at: datetime | None = None) -> RouteVersion:
    """Return the latest READY version of the order's route, or of the one route of its product effective now.

    Of several routes, MES goes before ERP, then the latest effective, then the latest updated.
    """
    routing = order.routing or _choose_route(order.product_code, at or timezone.now())
    version = routing.versions.filter(status=VersionStatus.READY).order_by("-version_no").first()
    if version is None:
        reason = _("route “%(route)s” has no READY version; compile it first.") % {"route": routing.code}
        raise RouteVersionNotReady(reason=reason, route=routing.code)
    return version


def _choose_route(product_code: str, at: datetime) -> Routing:
    effective = Routing.objects.filter(
        Q(effective_from=None) | Q(effective_from__lte=at),
        Q(effective_to=None) | Q(effective_to__gt=at),
        product_code=product_code,
        is_active=True,
    )
    routes = list(effective.order_by(F("effective_from").desc(nulls_last=True), "-updated_at"))
    routes.sort(key=lambda route: route.source_system != RouteSource.MES)
    if not routes:
        reason = _("no active route of product “%(product)s” is effective now.") % {"product": product_code}
        raise RouteVersionNotReady(reason=reason, product=product_code)
    first, others = routes[0], routes[1:]
    if others and _rank(first) == _rank(others[0]):
        alike = [route.code for route in routes if _rank(route) == _rank(first)]
        raise RouteAmbiguous(product=product_code, routes=", ".join(alike))
    return first


def _rank(route: Routing) -> tuple[str, datetime | None, datetime]:
    return (route.source_system, route.effective_from, route.updated_at)


def lock(*, run_no: str) -> Run:
    """Return the run locked for a change of its state (inside a transaction). Raises RunNotFound.

    Its version is read after the lock: joined, a run that was given another one meanwhile would not be found.
    """
    runs = Run.objects.select_for_update(of=("self",), no_key=True).select_related("work_order", "line")
    run = get_or_raise(runs, RunNotFound, run_no=run_no)
    run.route_version = RouteVersion.objects.defer("snapshot", "errors").get(pk=run.route_version_id)
    return run


def set_authorization(*, run_no: str, action: str, by: str, reason: str = "") -> Run:
    """`AUTHORIZE` or `REVOKE` a run. Authorizing passes every gate, and makes it the active run of a line without one.

    Raises RunNotFound, InvalidTransition.
    """
    try:
        return _set_authorization(run_no=run_no, action=action, by=by, reason=reason)
    except DomainError as refusal:
        if refusal.keep is not None:
            refusal.keep()
        raise


def _set_authorization(*, run_no: str, action: str, by: str, reason: str) -> Run:
    with transaction.atomic():
        run = lock(run_no=run_no)
        before, status = run.status, transitions.RUN.next_state(Action(action.lower()), run.status)
        if action == "AUTHORIZE":
            for gate in hooks.authorization_gates:
                gate(run, by)
        run.status = status
        run.authorized_at = timezone.now() if action == "AUTHORIZE" else None
        run.authorized_by = by if action == "AUTHORIZE" else ""
        run.status_by, run.status_reason = by, reason
        give_reason(reason)
        run.save(update_fields=["status", "authorized_at", "authorized_by", "status_by", "status_reason"])
        if action == "AUTHORIZE":
            active_runs.begin_where_none(run, by=by)
        decisions.record(run, Action(action.lower()), by=by, reason=reason, from_status=before, to_status=status)
        return run


@locking.atomically
def register_units(*, run_no: str, sns: Sequence[str]) -> tuple[Run, list[str]]:
    """Register units beforehand; return (run, SNs that were new). Registering again changes nothing.

    An earlier serial number stands for the unit that had it. Raises RunNotFound, RunClosed, RunOnHold, RunInOqc,
    UnitRunMismatch, ProductMismatch, RunQuantityExceeded, SnUnreadable, SnMaskMismatch, SnIsReference.
    """
    run = lock(run_no=run_no)
    return run, register_in(run, sns)


def register_in(
    run: Run, sns: Sequence[str], *, unlabelled: Set[str] = frozenset(), will_name: bool = False
) -> list[str]:
    """Register units in a locked run as `register_units` does, in a transaction that is restarted when it raises
    Outdated; return the SNs that were new. `unlabelled` are those of boards that have no label yet: no mask holds. With
    `will_name`, the caller gives units further names.
    """
    check_open(run)
    check_lot_moves(run)
    names = find_names(sns)
    names.check_no_reference(sns)
    sns = [names.present.get(sn, sn) for sn in sns]
    known = set(Unit.objects.filter(sn__in=sns, run=run).values_list("sn", flat=True))
    wanted = [sn for sn in dict.fromkeys(sns) if sn not in known]
    places = {sn: f"sns.{index}" for index, sn in enumerate(sns)}
    for sn in wanted:
        check_new_code(places[sn], sn, unless=Unit.objects.filter(sn=sn).exists)
    check_quantity(run, more=len(wanted))
    without_run = locking.lock_units(Unit.objects.filter(sn__in=wanted, run=None))
    if will_name:
        lock_alone()
    add_units(run, wanted, held={unit.pk for unit in without_run}, unlabelled=unlabelled)
    if not run.units_registered:
        run.units_registered = True
        run.save(update_fields=["units_registered"])
    return wanted


def add_units(run: Run, sns: Sequence[str], *, held: Container[int], unlabelled: Set[str] = frozenset()) -> None:
    """Put units into a run whose row is locked: known ones that are in no run (their run ended before they were made),
    which are `held`, and new ones. Raises Outdated when one of them is not held; SnUnreadable, SnMaskMismatch for new
    ones that the route does not take.

    Another transaction may put the same serial number into another run at this moment: the unique constraint decides,
    and the loser gets UnitRunMismatch.
    """
    known = check_may_add(run, sns, held=held, unlabelled=unlabelled)
    first_step_no = snapshot_of(run).first_step_no
    place = {"run": run, "work_order_id": run.work_order_id, "current_step_no": first_step_no}
    if known:
        Unit.objects.filter(pk__in=[unit.pk for unit in known]).update(**place)
    # In one order, or two runs that register the same serial numbers would deadlock.
    fresh = [Unit(sn=sn, **place) for sn in sorted(set(sns) - {unit.sn for unit in known})]
    try:
        Unit.objects.bulk_create(fresh, ignore_conflicts=True)
    except IntegrityError as error:
        if is_taken(error):  # relabelled so, or registered as a reference unit, at this moment
            raise locking.Outdated from error
        raise
    for unit in Unit.objects.filter(sn__in=sns).exclude(run=run).order_by("id")[:1]:  # made meanwhile
        _check_may_join(unit, run, held)


def check_may_add(
    run: Run, sns: Sequence[str], *, held: Container[int] | None, unlabelled: Set[str] = frozenset()
) -> list[Unit]:
    """Return those of these units that are known already, of which none is in the run; raise as `add_units` does.

    Without `held` it is only asked.
    """
    known = list(Unit.objects.filter(sn__in=sns).exclude(run=run).order_by("id"))
    made = unit_moves.find_made(known, run)
    for unit in known:
        _check_may_join(unit, run, held)
        unit_moves.check_not_made(unit, run, made)
    fresh = sorted(set(sns) - {unit.sn for unit in known})
    check_new([sn for sn in fresh if sn not in unlabelled], snapshot_of(run).sn_masks)
    check_new([sn for sn in fresh if sn in unlabelled], ())
    return known


def _check_may_join(unit: Unit, run: Run, held: Container[int] | None) -> None:
    """Raise why a unit of another run, or of none, cannot be put into a run: what was decided holds in every run."""
    if unit.run_id is not None:
        raise UnitRunMismatch(sn=unit.sn, run=run.run_no)
    if unit.status == UnitStatus.SCRAPPED:
        raise UnitScrapped(sn=unit.sn)
    if unit.status == UnitStatus.ON_HOLD:
        raise UnitOnHold(sn=unit.sn, reason=unit.hold_reason)
    if held is not None and unit.pk not in held:
        raise locking.Outdated


def snapshot_of(run: Run) -> snapshots.RouteSnapshot:
    """Return the frozen route of a run (with its route version loaded)."""
    return snapshots.load(version_id=run.route_version_id, digest=run.route_version.digest)


def check_open(run: Run) -> None:
    """Raise RunClosed or RunOnHold unless units may be added to the run."""
    if run.status == RunStatus.ON_HOLD:
        raise RunOnHold(run=run.run_no)
    if run.status not in (RunStatus.PREP, RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS):
        raise RunClosed(run=run.run_no)


def check_lot_moves(run: Run) -> None:
    """Raise RunInOqc for a run in its outgoing inspection: its lot stands still, nothing joins, leaves or goes back."""
    if run.is_in_oqc:
        raise RunInOqc(run=run.run_no)


def check_quantity(run: Run, *, more: int) -> None:
    """Raise RunQuantityExceeded when `more` units would exceed the plan. Scrapped units do not use it up."""
    if more and (count := count_in_plan(run) + more) > run.plan_qty:
        raise RunQuantityExceeded(run=run.run_no, plan=run.plan_qty, count=count)


def start(run: Run, *, at: datetime) -> None:
    """Start an authorized run with its first track; anything else is left as it is (a conditional update).

    It starts with that track, but not before it was authorized: clocks differ, and reports come late.
    """
    if run.status != RunStatus.AUTHORIZED:
        return
    started_at = Greatest(Value(at), F("authorized_at"))
    authorized = Run.objects.filter(pk=run.pk, status=RunStatus.AUTHORIZED)
    if authorized.update(status=RunStatus.IN_PROGRESS, started_at=started_at):
        run.status = RunStatus.IN_PROGRESS
        orders.start(run.work_order_id)


def note_first_article(run: Run, *, is_failed: bool) -> None:
    """Note on a locked run whether its first article failed, and none passed and was signed since."""
    if run.is_first_article_failed != is_failed:
        run.is_first_article_failed = is_failed
        run.save(update_fields=["is_first_article_failed"])
