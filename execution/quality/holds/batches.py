"""What is done to many units of a hold: by the worker, in batches in the order of their ids, each a transaction.

A batch is a row that goes with the transaction that does it, which also writes the event of the next: a worker that
dies within one leaves it as if it had not begun. One follows the other as an event of its own, so that what else
happens has its turn between, and nobody waits for more than the units of one batch.
"""

from collections.abc import Sequence

import structlog
from django.db.models import Exists, OuterRef
from django.utils import timezone

from execution import dispositions
from execution.quality.holds import cases
from execution.quality.holds.models import HoldBatch
from mes.errors import DomainError
from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import EventType, MesEvent
from mes.production import locking
from mes.production.hold_models import HeldUnit, HeldUnitEnd, Hold, HoldDecision, HoldStatus
from mes.production.models import Unit

logger = structlog.get_logger(__name__)

BATCH = 500


def plan(hold: Hold, unit_ids: Sequence[int], *, decision: HoldDecision | None = None, is_caught: bool = False) -> None:
    """Have units, in the order of their ids, held by a hold or decided about, after the commit."""
    rows = HoldBatch.objects.bulk_create(
        HoldBatch(hold=hold, decision=decision, is_caught=is_caught, unit_ids=list(unit_ids[start : start + BATCH]))
        for start in range(0, len(unit_ids), BATCH)
    )
    for first in rows if is_caught else rows[:1]:
        _emit(first)


def list_waiting(hold: Hold) -> set[int]:
    """Return the units that the worker is yet to hold."""
    batches = HoldBatch.objects.filter(hold=hold, decision=None)
    return {unit_id for unit_ids in batches.values_list("unit_ids", flat=True) for unit_id in unit_ids}


def forget(hold: Hold) -> None:
    """Hold nothing more of what a locked hold was yet to hold."""
    HoldBatch.objects.filter(hold=hold, decision=None).delete()


def _emit(batch: HoldBatch) -> None:
    emit(
        NewEvent(
            event_type=EventType.HOLD_APPLY,
            key=f"hold-apply:{batch.pk}",
            entity_type="HOLD",
            entity_id=Hold.number_of(batch.hold_id),
            occurred_at=timezone.now(),
            payload={"batchId": str(batch.pk)},
        )
    )


def handle(event: MesEvent) -> None:
    """Do one batch, in the worker. Twice has the effect of once: what was done has no batch any more."""
    batch = HoldBatch.objects.select_related("decision").filter(pk=event.payload["batchId"]).first()
    if batch is None:
        return
    units = _lock(batch)
    if batch.decision is not None and batch.decision.end != HeldUnitEnd.RELEASED:
        cases.lock_open(units)
    hold = Hold.objects.select_for_update(no_key=True).get(pk=batch.hold_id)
    if not HoldBatch.objects.filter(pk=batch.pk).exists():  # the hold was released before it was done
        return
    if batch.decision is not None:
        still_held = set(_held(hold, units))
        _carry_out_what_may(batch.decision, [unit for unit in units if unit.pk in still_held])
    elif hold.status == HoldStatus.OPEN:
        hold_locked(hold, units, by=dispositions.SYSTEM if batch.is_caught else hold.opened_by)
    batch.delete()
    if not batch.is_caught:
        _go_on(hold, batch)


def _lock(batch: HoldBatch) -> list[Unit]:
    units = Unit.objects.filter(pk__in=batch.unit_ids)
    if batch.decision is None or batch.decision.end != HeldUnitEnd.REWORK:
        return locking.lock_units(units)
    return lock_with_runs(list(units.values_list("sn", flat=True)))


def lock_with_runs(sns: Sequence[str]) -> list[Unit]:
    """Return units by their present serial numbers, locked with their runs, in the order of their ids."""
    locked = locking.lock(sns)
    units = list(Unit.objects.select_related("run__route_version").filter(sn__in=sns).order_by("pk"))
    locked.check(unit_ids=[unit.pk for unit in units], run_ids=[unit.run_id for unit in units if unit.run_id])
    return units


def _held(hold: Hold, units: Sequence[Unit]) -> list[int]:
    rows = HeldUnit.objects.filter(hold=hold, ended_at=None, unit__in=[unit.pk for unit in units])
    return list(rows.values_list("unit_id", flat=True))


def hold_locked(hold: Hold, units: Sequence[Unit], *, by: str) -> None:
    """Have an open hold hold locked units, as far as it does not; a scrapped one is held by nothing."""
    held = set(_held(hold, units))
    dispositions.hold_together((unit for unit in units if unit.pk not in held), hold, by=by)


def carry_out(decision: HoldDecision, units: Sequence[Unit]) -> None:
    """Do what was decided to locked units of a hold; those that are reworked have their runs locked, too."""
    if not units:
        return
    if decision.end == HeldUnitEnd.REWORK:
        reason, by = decision.reason, decision.decided_by
        dispositions.rework(units, reason=reason, by=by, to_step_no=decision.to_step_no, hold=decision.hold)
    elif decision.end == HeldUnitEnd.SCRAP:
        dispositions.scrap(units, reason=decision.reason, by=decision.decided_by)
    else:
        cases.end_cases(units, hold=decision.hold, reason=decision.reason, by=decision.decided_by)


def _carry_out_what_may(decision: HoldDecision, units: Sequence[Unit]) -> None:
    """Do what was decided, long after it was answered, as far as it may be done: what is refused by now stays held, and
    keeps nothing else from being done.
    """
    try:
        carry_out(decision, units)
    except DomainError:  # before anything was written
        for unit in units:
            try:
                carry_out(decision, [unit])
            except DomainError as refusal:
                logger.warning("a unit stays held", sn=unit.sn, hold=decision.hold.hold_no, code=refusal.code)


def _go_on(hold: Hold, done: HoldBatch) -> None:
    """Note how far a locked hold is, and have its next batch done, if there is one."""
    following = HoldBatch.objects.filter(hold=hold, decision=done.decision, is_caught=False).order_by("pk").first()
    if following is not None:
        _emit(following)
    if done.decision is not None:
        return
    hold.applied_up_to = done.unit_ids[-1]
    if following is None:
        hold.to_apply = None
    hold.save(update_fields=["applied_up_to", "to_apply"])
    if following is None:
        _end_if_empty(hold)


def _end_if_empty(hold: Hold) -> None:
    """End a locked hold all of whose units were decided about while it was still being carried out."""
    held = HeldUnit.objects.filter(hold=OuterRef("pk"), ended_at=None)
    empty = Hold.objects.filter(~Exists(held), pk=hold.pk, catches=False, status=HoldStatus.OPEN)
    empty.update(status=HoldStatus.RELEASED, ended_by=dispositions.SYSTEM, ended_at=timezone.now())
