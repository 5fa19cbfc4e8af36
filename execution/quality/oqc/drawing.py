"""Samples are drawn: by hand, or by itself once all units that a run will have are finished.

The run is locked exclusively, and stands still from then on: nothing enters it, joins it or leaves it.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.dispositions import SYSTEM
from execution.quality.oqc import gate, sampling
from execution.quality.oqc.models import (
    OPEN_STATUSES,
    OqcInspection,
    OqcSample,
    OqcStatus,
    SamplingRule,
    SamplingScheme,
)
from execution.quality.oqc.plan import Plan, plan_by_rule
from execution.quality.oqc.rules import OQC
from execution.quality.oqc.selection import find_asking
from mes import errors
from mes.labels import Action
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep
from mes.production import holds, locking, runs
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, Unit, UnitStatus
from mes.production.run_closing import MOST_NAMED
from mes.production.run_counts import FINISHED
from mes.routing.models import RouteVersion

GOING = (RunStatus.PREP, RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS)


@locking.atomically
def create(*, run_no: str, by: str, remark: str = "", sample_qty: int | None = None) -> OqcInspection:
    """Draw the sample of a run whose units are all finished. The rule says how many; where none asks for an inspection,
    `sample_qty` may, else it is every unit.

    Raises RunNotFound, RunClosed, RunOnHold, InvalidTransition, UnitsNotFinished, SamplingDiscontinued,
    ValidationFailed.
    """
    run = runs.lock(run_no=run_no)
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run_no)
    if run.status == RunStatus.ON_HOLD:
        raise errors.RunOnHold(run=run_no)
    present = OqcInspection.objects.filter(run=run, status__in=OPEN_STATUSES).first()
    if present is not None:
        OQC.next_state(Action.DRAW, present.status)
    unfinished = Unit.objects.filter(run=run).exclude(status__in=FINISHED)
    if count := unfinished.count():
        sns = list(unfinished.order_by("id").values_list("sn", flat=True)[:MOST_NAMED])
        raise errors.UnitsNotFinished(count=count, sns=sns)
    return _draw(run, find_asking(run), by=by, remark=remark, sample_qty=sample_qty)


def _draw(
    run: Run, rule: SamplingRule | None, *, by: str, remark: str = "", sample_qty: int | None = None
) -> OqcInspection:
    """Draw the sample of a locked run in which no unit is unfinished."""
    lot = gate.list_done(run)
    if not lot:
        raise errors.ValidationFailed({"runNo": _("No unit of the run is done: there is nothing to inspect.")})
    state = ""
    if rule is not None:
        if sample_qty is not None:
            raise errors.ValidationFailed({"sampleQty": _("The sampling rule says how many.")})
        if rule.scheme == SamplingScheme.ISO2859:
            state = sampling.lock_for_lot(rule, run.work_order.product_code)
    inspection = _build(run, rule, _plan(rule, len(lot), state, sample_qty), lot=lot, state=state)
    inspection.remark, inspection.created_by = remark, by
    inspection.save()
    drawn = sorted(Random(inspection.seed).sample(lot, inspection.sample_qty))
    OqcSample.objects.bulk_create(OqcSample(inspection=inspection, unit_id=unit_id) for unit_id in drawn)
    holds.note_oqc(run, is_open=True)
    return inspection


def _plan(rule: SamplingRule | None, lot_size: int, state: str, sample_qty: int | None) -> Plan:
    if rule is None:
        scheme = SamplingScheme.ALL if sample_qty is None else SamplingScheme.FIXED
        return plan_by_rule(scheme=scheme, lot_size=lot_size, n=sample_qty)
    return plan_by_rule(
        scheme=rule.scheme,
        lot_size=lot_size,
        n=rule.n,
        percent=rule.percent,
        level=rule.level,
        aql=rule.aql,
        state=state,
    )


def _build(run: Run, rule: SamplingRule | None, plan: Plan, *, lot: Sequence[int], state: str) -> OqcInspection:
    """Return the inspection, unsaved, with what its rule says now frozen."""
    return OqcInspection(
        run=run,
        rule=rule,
        scheme=SamplingScheme.ALL if rule is None else rule.scheme,
        level="" if rule is None else rule.level,
        aql="" if rule is None else rule.aql,
        items_asked=[] if rule is None else rule.items,
        state=state,
        letter=plan.letter,
        used_letter=plan.used_letter,
        lot_size=len(lot),
        sample_qty=plan.sample_size,
        ac=plan.ac,
        re=plan.re,
        lower_ac=plan.lower_ac,
        seed=secrets.token_hex(16),
        lot_unit_ids=list(lot),
    )


# --- by itself ---------------------------------------------------------------------------------------------


def draw_where_made(events: Sequence[MesEvent]) -> None:
    """Draw the samples of the runs of which these events tell that a unit is done, where they are all made.

    The worker holds locks of other handlers by then, so it waits for no run: one that somebody holds is left for the
    sweep.
    """
    moved: dict[int, datetime] = {}
    for event in events:
        if event.run_id is not None:
            moved[event.run_id] = max(event.created_at, moved.get(event.run_id, event.created_at))
    due = list(_made_runs().filter(pk__in=moved).values_list("pk", flat=True))
    if not due:
        return
    rows = Run.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    found = list(rows.select_related("work_order", "line").filter(pk__in=due).order_by("pk"))
    made = [(run, rule) for run in found if (rule := _find_asking_of_made(run)) is not None]
    # A draw locks where sampling stands by its rule for its product until the end: of several lots, all in one order.
    for run, rule in sorted(made, key=lambda each: (each[1].pk, each[0].work_order.product_code, each[0].pk)):
        _draw_if_due(run, rule, moved_at=moved[run.pk])


# A unit that is done is one in its run, so the rules are asked here already: without any, the event concerns nobody.
HANDLER = SetHandler(
    draw_where_made,
    interest="(e.payload->>'isFinished')::boolean "
    "AND EXISTS (SELECT FROM execution_samplingrule WHERE is_active AND scheme <> 'NONE')",
)


def sweep() -> None:
    """Draw the samples that no move of a unit led to: of runs whose last unit was scrapped, taken back or skipped a
    step, or that somebody held when it was their turn. May run twice, and in two workers at once.
    """
    if not SamplingRule.objects.filter(is_active=True).exclude(scheme=SamplingScheme.NONE).exists():
        return
    with Sweep("outgoing inspections") as rows:
        for run_id, run_no in list(_made_runs().order_by("pk").values_list("pk", "run_no")):
            with rows.row(run_id), transaction.atomic():
                run = runs.lock(run_no=run_no)
                rule = _find_asking_of_made(run)
                if rule is not None:
                    _draw_if_due(run, rule)


def _made_runs() -> QuerySet[Run]:
    """Return runs in which no unit is unfinished, and one is done."""
    units = Unit.objects.filter(run=OuterRef("pk"))
    going = Run.objects.filter(status__in=GOING, is_in_oqc=False)
    return going.filter(~Exists(units.exclude(status__in=FINISHED)), Exists(units.filter(status=UnitStatus.DONE)))


def _find_asking_of_made(run: Run) -> SamplingRule | None:
    """Return the rule that asks for the inspection of a locked run, all of whose units are made; None else. What was
    read before the lock is read again.
    """
    run.route_version = RouteVersion.objects.defer("snapshot", "errors").get(pk=run.route_version_id)
    if run.status not in GOING or run.is_in_oqc or not _is_made(run):
        return None
    return find_asking(run)


def _draw_if_due(run: Run, rule: SamplingRule, *, moved_at: datetime | None = None) -> None:
    """Draw the sample of a locked run, unless its lot was inspected as it is now."""
    if not _is_due(run, moved_at):
        return
    try:
        _draw(run, rule, by=SYSTEM)
    except errors.SamplingDiscontinued:
        return  # it waits for whoever resumes it


def _is_made(run: Run) -> bool:
    """Whether all units that a run will have, those registered or as many as planned, are done or scrapped."""
    counts: Mapping[str, int] = dict(
        Unit.objects.filter(run=run).order_by().values_list("status").annotate(Count("id"))
    )
    finished = sum(counts.get(status, 0) for status in FINISHED)
    if sum(counts.values()) != finished or not counts.get(UnitStatus.DONE):
        return False
    return run.units_registered or finished >= run.plan_qty


def _is_due(run: Run, moved_at: datetime | None) -> bool:
    """Whether the lot was not inspected as it is now. One that a person cancelled comes again with the next unit that
    is done, or by hand.
    """
    latest = OqcInspection.objects.filter(run=run).order_by("-id").first()
    if latest is None or gate.find_new(latest, gate.list_done(run)):
        return True
    if latest.status != OqcStatus.CANCELLED or latest.completed_at is None or moved_at is None:
        return False
    return moved_at > latest.completed_at


TASK = ScheduledTask("oqc", gettext_lazy("Samples of outgoing inspections"), sweep, cron="* * * * *")
