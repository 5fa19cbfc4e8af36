"""Reports that held units which somebody decided about since: they are work to do no longer.

Who keeps reports (`ingest`, `integration`) names the units that each holds in `held_unit_ids`, hears of decisions by
`hooks.units_decided`, and looks for what a crash left by `settle_missed`. A later hold for the same report takes the
decision back. A decision about one case of a unit is one about the reports that belong to that case alone.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet

from execution.models import FREES_NOTHING, Disposition
from mes.platform.sweeps import Sweep
from mes.production.hold_models import HoldSource
from mes.production.models import UnitStatus

SWEPT = 500

_IS_OF_HELD = Func(
    F("unit_id"),
    OuterRef("held_unit_ids"),
    template="%(expressions)s)",
    arg_joiner=" = ANY(",
    output_field=BooleanField(),
)


def _decided_since() -> Exists:
    """Return the condition of kept reports that any unit which they hold was decided about since `received_at`."""
    freed = Disposition.objects.filter(_IS_OF_HELD).exclude(action__in=FREES_NOTHING)
    freed = freed.filter(Q(hold=None) | Q(hold__source=HoldSource.REPORT) | ~Q(to_status=UnitStatus.ON_HOLD))
    return Exists(freed.filter(decided_at__gte=OuterRef("received_at")))


def settle_missed(sweep: Sweep, reports: QuerySet[Any], settle: Callable[[int], bool]) -> int:
    """Settle, of kept reports that hold units, those that a process left which died between a decision and this; return
    how many. `settle(id)` is done in a transaction of its own, and returns whether it was its time.
    """
    missed = reports.filter(_decided_since(), held_unit_ids__len__gt=0).order_by("last_at", "id")
    settled = 0
    for report_id in list(missed.values_list("pk", flat=True)[:SWEPT]):
        with sweep.row(report_id):
            settled += settle(report_id)
    return settled


def find_decisions(
    held_unit_ids: Collection[int], *, since: datetime, about: Mapping[str, Collection[int]]
) -> dict[int, Disposition]:
    """Return the last decision about each of the units held for a report that was decided about since, by unit.

    `about` is how decisions name the report: `{"about_event_id": ids}` or `{"about_message_id": ids}`, of all rows that
    keep it.
    """
    last: dict[int, Disposition] = {}
    case_ids: dict[int, int | None] = {}
    for disposition in Disposition.objects.filter(unit_id__in=held_unit_ids).order_by("id"):
        unit_id = disposition.unit_id
        if disposition.action not in FREES_NOTHING:
            if disposition.decided_at >= since and _decides(disposition, case_ids.get(unit_id)):
                last[unit_id] = disposition
        elif all(getattr(disposition, name) in report_ids for name, report_ids in about.items()):
            case_ids[unit_id] = disposition.hold_id
            last.pop(unit_id, None)
    return last


def _decides(decision: Disposition, case_id: int | None) -> bool:
    """Whether a decision is one about a report, whose hold belongs to this case: it ended that, or freed the unit."""
    return decision.hold_id in (None, case_id) or decision.to_status != UnitStatus.ON_HOLD


def find_decision(
    held_unit_ids: Collection[int], *, since: datetime, about: Mapping[str, Collection[int]]
) -> Disposition | None:
    """Return the last decision about the units held for a report; None where one of them is not decided about since."""
    held = set(held_unit_ids)
    last = find_decisions(held, since=since, about=about)
    if not held or set(last) != held:
        return None
    return max(last.values(), key=lambda disposition: disposition.pk)


def note_of(decision: Disposition) -> dict[str, Any]:
    """Return what is kept with a report that a decision about its units dismisses."""
    return {"dismissedBy": decision.decided_by, "reason": decision.reason, "decision": decision.action}
