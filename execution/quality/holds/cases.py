"""The cases that hold units, and their ends. What holds a unit is opened and ended under the unit's row lock only.

A unit is ON_HOLD exactly while a case holds it; the last one to end frees it. Cases are opened by
`execution.dispositions.put_on_hold`, which every way to hold goes through.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, Max, Min, OuterRef, Q
from django.utils import timezone

from execution import hooks
from execution.deviations.skipping import settle
from execution.models import Disposition, DispositionAction
from execution.quality.holds import records
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import HeldUnit, HeldUnitEnd, Hold, HoldScope, HoldStatus
from mes.production.models import Unit, UnitStatus
from mes.production.run_counts import FINISHED, counts_changed

BETWEEN = " · "  # the reasons of one unit


def in_words(reasons: Iterable[str]) -> str:
    """Return the reasons for which a unit is held in one text, as the unit keeps them."""
    return BETWEEN.join(reasons)[:LONGEST_REASON]


def list_open_cases(units: Iterable[Unit]) -> dict[int, list[HeldUnit]]:
    """Return what holds units at present, with its cases, by unit and the oldest first; one statement. Of locked units
    it stays so. Conditions are not read: one may name ten thousand units, and would come with each of these.
    """
    cases: dict[int, list[HeldUnit]] = {unit.pk: [] for unit in units}
    held = HeldUnit.objects.filter(unit__in=list(cases), ended_at=None)
    for row in held.select_related("hold").defer("hold__condition").order_by("id"):
        cases[row.unit_id].append(row)
    return cases


def find_to_sign(hold_ids: Iterable[int]) -> set[int]:
    """Return which of these holds end by a signature only: those of several units, the ones that are free by now
    included, of units yet to come, and of more than units.
    """
    units = {"first_unit": Min("held_units__unit"), "last_unit": Max("held_units__unit")}
    large = ~Q(scope=HoldScope.UNITS) | Q(catches=True) | Q(to_apply__isnull=False) | Q(last_unit__gt=F("first_unit"))
    found = Hold.objects.order_by().filter(pk__in=hold_ids).annotate(**units).filter(large)
    return set(found.values_list("pk", flat=True))


@dataclass(frozen=True)
class Ended:
    """What the end of cases did: the units that it was about, in their order, and those of them that are free now."""

    units: list[Unit] = field(default_factory=list)
    freed: list[Unit] = field(default_factory=list)


def end_cases(
    units: Sequence[Unit],
    *,
    hold: Hold | None,
    end: HeldUnitEnd = HeldUnitEnd.RELEASED,
    reason: str,
    by: str,
    approved_by: str = "",
    at: datetime | None = None,
) -> Ended:
    """End what holds locked units: one case, or without `hold` all of theirs. A unit that nothing else holds goes back
    to where it was held from, or where its closed track led; of the others the reason says what still holds them.

    A case of units ends with its last unit, unless it waits for others to come. Units that the case does not hold (any
    more) are passed over. Statements are as many for one unit as for thousands, but where a step is skipped. An `end`
    by rework or scrap only ends the rows: where the unit goes is for who reworks or scraps it.
    """
    at = at or timezone.now()
    cases = list_open_cases(units)
    ending = {
        unit.pk: [row for row in cases[unit.pk] if hold is None or row.hold_id == hold.pk]
        for unit in units
        if cases[unit.pk]
    }
    concerned = [unit for unit in units if ending.get(unit.pk)]
    if not concerned:
        return Ended()
    left = {unit.pk: [row for row in cases[unit.pk] if row not in ending[unit.pk]] for unit in concerned}
    freed: list[Unit] = []
    if end == HeldUnitEnd.RELEASED:
        freed = _release(concerned, left, hold=hold, reason=reason, by=by, approved_by=approved_by, at=at)
    _end_rows([row for rows in ending.values() for row in rows], end=end, reason=reason, by=by, at=at)
    return Ended(concerned, freed)


def _release(
    units: Sequence[Unit],
    left: Mapping[int, Sequence[HeldUnit]],
    *,
    hold: Hold | None,
    reason: str,
    by: str,
    approved_by: str,
    at: datetime,
) -> list[Unit]:
    """Write what becomes of locked units of which cases end, and who decided it; return those that nothing holds."""
    decisions, freed = [], []
    for unit in units:
        held_from = ""
        if left[unit.pk]:
            unit.hold_reason = in_words(row.hold.reason for row in left[unit.pk])
        else:
            held_from, unit.status, unit.held_from, unit.hold_reason = unit.held_from, unit.held_from, "", ""
            freed.append(unit)
        decisions.append(
            Disposition(
                unit=unit,
                run_id=unit.run_id,
                action=DispositionAction.RELEASE,
                from_status=UnitStatus.ON_HOLD,
                to_status=unit.status,
                held_from=held_from,
                step_no=unit.current_step_no,
                reason=reason[:LONGEST_REASON],
                decided_by=by[:150],
                approved_by=approved_by[:150],
                decided_at=at,
                hold=hold,
            )
        )
    records.write(decisions, units=units)
    finished = [each.run_id for each in decisions if each.held_from in FINISHED]
    if finished:
        counts_changed(finished, reason=reason[:LONGEST_REASON], by=by[:150])
    settle(freed)
    hooks.announce_decisions([unit.pk for unit in units])
    return freed


def _end_rows(rows: Sequence[HeldUnit], *, end: HeldUnitEnd, reason: str, by: str, at: datetime) -> None:
    """End what holds locked units by these cases, and the cases that hold nothing any more."""
    hold_ids = {row.hold_id for row in rows}
    _lock_cases(hold_ids)
    ended = {"ended_at": at, "ended_by": by[:150], "end_reason": reason[:LONGEST_REASON]}
    HeldUnit.objects.filter(pk__in=[row.pk for row in rows]).update(end=end, **ended)
    _end_empty(hold_ids, ended)


def lock_open(units: Iterable[Unit]) -> None:
    """Lock all that holds locked units, in order: for who decides about one of their cases, and ends the others too."""
    _lock_cases({row.hold_id for rows in list_open_cases(units).values() for row in rows})


def _lock_cases(hold_ids: Iterable[int]) -> None:
    """Lock cases: of two that end the last units of one at once, the later sees what the other ended, and ends it."""
    list(Hold.objects.select_for_update(no_key=True).filter(pk__in=hold_ids).order_by("pk").values_list("pk"))


def _end_empty(hold_ids: Iterable[int], ended: Mapping[str, Any]) -> None:
    """End locked cases that hold no unit any more, and wait for none."""
    still_held = HeldUnit.objects.filter(hold=OuterRef("pk"), ended_at=None)
    done = Hold.objects.filter(scope=HoldScope.UNITS, catches=False, to_apply=None, status=HoldStatus.OPEN)
    done.filter(~Exists(still_held), pk__in=hold_ids).update(status=HoldStatus.RELEASED, **ended)
