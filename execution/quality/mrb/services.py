"""What a material review board decides about a run that its outgoing inspection holds: release, scrap or rework.

The run is locked first, then all of its units; the order last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution import dispositions
from execution.quality.holds import cases
from execution.readiness_checks.first_article import ITEM_TYPE
from execution.transfers import locks
from execution.transfers.services import put_into
from mes import errors
from mes.errors import DomainError, FaiNotPassed
from mes.labels import Action
from mes.platform.database.authorship import give_reason
from mes.platform.signatures import services as signatures
from mes.platform.signatures.hooks import SignedRecord
from mes.platform.signatures.services import Signing
from mes.production import decisions, holds, locking, orders, run_closing, runs, transitions
from mes.production.decision_models import Decision, UnitMoveAct
from mes.production.hold_models import HoldSource
from mes.production.models import Run, RunKind, RunStatus, Unit, UnitStatus
from mes.production.queries import units_with_tracks
from mes.production.run_closing import MOST_NAMED
from mes.readiness import confirmations
from mes.readiness.services import waive_by_decision

RECORD_TYPE = "MRB"
RELEASE, SCRAP, REWORK = "RELEASE", "SCRAP", "REWORK"
FULL_PREP, REUSE_PREP = "FULL_PREP", "REUSE_PREP"
ACTIONS = {RELEASE: Action.RELEASE, SCRAP: Action.SCRAP, REWORK: Action.CLOSE_FOR_REWORK}
LONGEST_RUN_NO = 100


@dataclass(frozen=True)
class Outcome:
    """What a decision led to: the run, the run its units went into, and why that could not be authorized at once."""

    run: Run
    rework_run: Run | None = None
    refusal: DomainError | None = None


def decide(
    *,
    run_no: str,
    decision: str,
    reason: str,
    by: str,
    rework_type: str = FULL_PREP,
    fai_waiver_reason: str = "",
    signing: Signing | None = None,
) -> Outcome:
    """Carry out a decision. A rework run that reuses the preparations passes the ordinary gate at once; refused there,
    it stays in preparation. With a reason for it, its first article is waived.

    Raises RunNotFound, InvalidTransition, UnitsNotFinished, ValidationFailed.
    """
    run, rework_run = _decide(
        run_no=run_no,
        decision=decision,
        reason=reason,
        by=by,
        rework_type=rework_type,
        fai_waiver_reason=fai_waiver_reason,
        signing=signing,
    )
    if rework_run is None or rework_type != REUSE_PREP:
        return Outcome(run, rework_run)
    try:
        return Outcome(run, runs.set_authorization(run_no=rework_run.run_no, action="AUTHORIZE", by=by, reason=reason))
    except DomainError as refusal:
        return Outcome(run, rework_run, refusal)


@locking.atomically
def _decide(
    *,
    run_no: str,
    decision: str,
    reason: str,
    by: str,
    rework_type: str,
    fai_waiver_reason: str,
    signing: Signing | None,
) -> tuple[Run, Run | None]:
    give_reason(reason)
    run = runs.lock(run_no=run_no)
    action = ACTIONS[decision]
    status = RunStatus(transitions.RUN.next_state(action, run.status))
    if all(hold.source != HoldSource.OQC for hold in holds.list_open(run=run)):
        raise errors.InvalidTransition(action=action, entity=transitions.RUN.entity, state=RunStatus(run.status))
    units = locking.lock_units(Unit.objects.filter(run=run))
    not_made: Sequence[Unit] = ()
    changes: dict[str, list[Any]] = {}
    rework_run = None
    if decision == RELEASE:
        not_made = _find_not_made(run, units)
        _end_cases(units, reason=reason, by=by)
    elif decision == SCRAP:
        dispositions.scrap([unit for unit in units if unit.status != UnitStatus.SCRAPPED], reason=reason, by=by)
    else:
        rework_run = _move_to_rework(run, units, reason=reason, by=by)
        changes = {"reworkRun": [None, rework_run.run_no], "reworkType": [None, rework_type]}
        if rework_type == REUSE_PREP:
            confirmations.copy_done(run, rework_run)
        if fai_waiver_reason:
            changes["faiWaiver"] = [None, fai_waiver_reason]
            waive_by_decision(
                rework_run,
                item_type=ITEM_TYPE,
                item_key=rework_run.run_no,
                code=FaiNotPassed.code,
                reason=fai_waiver_reason,
                by=by,
            )
    run_closing.end(run, status, by=by, reason=reason, act=action, not_made=not_made, changes=changes)
    if rework_run is None:
        orders.complete_if_made(orders.lock(wo_no=run.work_order.wo_no), by=by)
    decided = decisions.list_decisions(run).first()
    assert decided is not None  # it has just been kept
    signatures.record(signing, record_type=RECORD_TYPE, record_id=decided.pk, document=describe(decided))
    return run, rework_run


def _find_not_made(run: Run, units: Sequence[Unit]) -> list[Unit]:
    """Return the locked units of a run that were never begun. Raises UnitsNotFinished for others that are not finished,
    behind what holds them.
    """
    unfinished = [unit for unit in units if unit.standing not in (UnitStatus.DONE, UnitStatus.SCRAPPED)]
    rows = Unit.objects.filter(pk__in=[unit.pk for unit in unfinished])
    started = set(units_with_tracks(rows).values_list("pk", flat=True))
    if started:
        sns = [unit.sn for unit in unfinished if unit.pk in started]
        raise errors.UnitsNotFinished(count=len(sns), sns=sns[:MOST_NAMED])
    return unfinished


def _end_cases(units: Sequence[Unit], *, reason: str, by: str) -> None:
    """End what outgoing inspections hold locked units for; what anything else holds stays held."""
    rows = [row for held in cases.list_open_cases(units).values() for row in held]
    of_oqc = {row.hold_id: row.hold for row in rows if row.hold.source == HoldSource.OQC}
    for _id, hold in sorted(of_oqc.items()):
        cases.end_cases(units, hold=hold, reason=reason, by=by)


def _move_to_rework(run: Run, units: Sequence[Unit], *, reason: str, by: str) -> Run:
    """Move the locked units of a run that are not scrapped into a new run, where they wait at its first step."""
    moving = [unit for unit in units if unit.status != UnitStatus.SCRAPPED]
    if not moving:
        raise errors.ValidationFailed({"decision": _("Every unit of the run is scrapped: there is nothing to rework.")})
    inside = [unit.sn for unit in moving if unit.standing == UnitStatus.IN_STATION]
    if inside:
        raise errors.UnitsNotFinished(count=len(inside), sns=inside[:MOST_NAMED])
    ended_at = locks.find_ended(moving)
    _end_cases(moving, reason=reason, by=by)
    locks.part_from_carriers(moving)  # the order is locked after them
    orders.lock(wo_no=run.work_order.wo_no)
    rework_run = runs.make(
        run_no=_choose_run_no(run),
        work_order=run.work_order,
        line=run.line,
        route_version=run.route_version,
        plan_qty=len(moving),
        kind=RunKind.REWORK,
        units_registered=True,
    )
    steps = dict.fromkeys((unit.pk for unit in moving), runs.snapshot_of(run).first_step_no)
    put_into(rework_run, moving, steps, act=UnitMoveAct.RETURN, reason=reason, by=by, ended_at=ended_at, queue=True)
    changes = {"reworkOf": [None, run.run_no]}
    decisions.record(rework_run, Action.REWORK, by=by, reason=reason, changes=changes)
    return rework_run


def _choose_run_no(run: Run) -> str:
    """Return the number of the next rework run: that of the run, shortened where it would be too long, and a count."""
    count = 1
    while True:
        ending = f"-R{count}"
        run_no = f"{run.run_no[: LONGEST_RUN_NO - len(ending)].rstrip()}{ending}"
        if not Run.objects.filter(run_no=run_no).exists():
            return run_no
        count += 1


# --- signed ------------------------------------------------------------------------------------------------


def describe(decision: Decision) -> dict[str, Any]:
    """Return the document of a decision as it is signed."""
    assert decision.run is not None
    return {
        "id": str(decision.pk),
        "runNo": decision.run.run_no,
        "act": decision.act,
        "fromStatus": decision.from_status,
        "toStatus": decision.to_status,
        "changes": decision.changes,
        "reason": decision.reason,
        "decidedBy": decision.decided_by,
        "decidedAt": decision.decided_at,
    }


def _find(record_id: str) -> Decision | None:
    return Decision.objects.select_related("run").filter(pk=record_id, run__isnull=False).first()


def _read_signed(record_id: str) -> dict[str, Any] | None:
    decision = _find(record_id)
    return None if decision is None else describe(decision)


def _page_of(record_id: str) -> str:
    decision = _find(record_id)
    return "" if decision is None or decision.run is None else reverse("run", args=[decision.run.run_no])


SIGNED = SignedRecord(RECORD_TYPE, gettext_lazy("Decision of the MRB"), _read_signed, _page_of)
