"""The end of a run: what keeps it from being closed, where that leads, and what ends with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from mes.errors import DomainError, InvalidTransition, RunOnHold, UnitsNotFinished
from mes.labels import Action
from mes.production import decisions, holds, hooks, locking, transitions, unit_moves
from mes.production.decision_models import UnitMoveAct
from mes.production.hold_models import HoldSource
from mes.production.models import Run, RunStatus, Unit
from mes.production.quantities import count_made
from mes.production.queries import has_track, units_with_tracks
from mes.production.run_counts import FINISHED

MOST_NAMED = 20
CLOSABLE_SOURCES = (HoldSource.PERSON,)  # what others hold, they decide about


@dataclass(frozen=True)
class Closing:
    """What closing a run would do, and the refusals that keep it from that. Short: less was made than planned."""

    leads_to: RunStatus | None
    refusals: tuple[DomainError, ...]
    is_short: bool = False

    @property
    def can_close(self) -> bool:
        """Whether nothing is in the way."""
        return not self.refusals

    @property
    def blockers(self) -> list[dict[str, Any]]:
        """Each refusal as it is shown: its code, how many units it is about, and the first of them."""
        return [
            {"code": each.code, "count": each.details.get("count", 0), "sns": each.details.get("sns", [])}
            for each in self.refusals
        ]


def examine(run: Run) -> Closing:
    """Look whether a run can be closed now. Who closes it has locked it and its units before, and asks this."""
    try:
        leads_to = RunStatus(transitions.RUN.next_state(Action.CLOSE, run.status))
    except InvalidTransition as refusal:
        return Closing(None, (refusal,))
    if not has_track(run):
        leads_to = RunStatus(transitions.RUN.next_state(Action.CANCEL, run.status))
    others = (refusal for check in hooks.closing_checks for refusal in check(run))
    refusals = (*_find_holds(run), *_find_unfinished(run), *others)
    return Closing(leads_to, refusals, is_short=count_made([run.pk])[run.pk] < run.plan_qty)


def _find_holds(run: Run) -> Iterable[DomainError]:
    if any(hold.source not in CLOSABLE_SOURCES for hold in holds.list_open(run=run)):
        yield RunOnHold(run=run.run_no)


def _find_unfinished(run: Run) -> Iterable[DomainError]:
    started = units_with_tracks(_unfinished([run]))
    if count := started.count():
        yield UnitsNotFinished(count=count, sns=list(started.order_by("id").values_list("sn", flat=True)[:MOST_NAMED]))


def _unfinished(runs: Sequence[Run]) -> Any:
    return Unit.objects.filter(run__in=runs).exclude(status__in=FINISHED)


def lock_units(runs: Sequence[Run]) -> None:
    """Lock the units of locked runs that are not finished: a move that is under way ends first, and is counted."""
    locking.lock_units(_unfinished(runs))


def end(
    run: Run,
    status: RunStatus,
    *,
    by: str,
    reason: str,
    act: Action = Action.CLOSE,
    not_made: Sequence[Unit] | None = None,
    changes: dict[str, list[Any]] | None = None,
) -> list[str]:
    """End a run that was examined under its lock and those of its units; return the SNs never made, which leave it: of
    units that are not finished, unless others are named.

    A hold of a unit stays: closing is not releasing. The order is locked by the caller, after this.
    """
    if not_made is None:
        not_made = list(_unfinished([run]).order_by("id"))
    if not_made:
        unit_moves.record_moves(not_made, act=UnitMoveAct.NOT_MADE, to_run=None, by=by, reason=reason)
        leaving = Unit.objects.filter(pk__in=[unit.pk for unit in not_made])
        leaving.update(run=None, current_step_no=None)
    holds.end_hold(run=run, by=by, reason=reason)
    before, run.status, run.held_from = run.status, status, ""
    run.ended_at = timezone.now()
    run.status_by, run.status_reason = by, reason
    decisions.record(run, act, by=by, reason=reason, from_status=before, to_status=status, changes=changes)
    run.save(update_fields=["status", "held_from", "ended_at", "status_by", "status_reason"])
    for listener in hooks.run_ended:
        listener(run)
    return [unit.sn for unit in not_made]
