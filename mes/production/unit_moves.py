"""Units that leave a run: each leaves one row, by which it counts there for ever as what it was made.

What counts in one run as made is made by no other run of production.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.utils import timezone

from mes.errors import ProductMismatch
from mes.plant.models import BomItem
from mes.production.decision_models import CountedAs, UnitMove, UnitMoveAct
from mes.production.models import Run, RunKind, Unit, UnitStatus, WorkOrder
from mes.production.run_counts import counts_changed

_COUNTED = {UnitStatus.DONE.value: CountedAs.DONE, UnitStatus.SCRAPPED.value: CountedAs.SCRAPPED}


def find_made(units: Sequence[Unit], run: Run) -> dict[int, str]:
    """Return those of these units that were made already and are no part of what a run makes, by id, with what they
    were made as.

    They count for ever in the runs that made them. In a run of production, which makes new ones, they would count
    twice; there is none for other runs. One statement, none for no units.
    """
    if run.kind != RunKind.PRODUCTION or not units:
        return {}
    own = WorkOrder.objects.filter(pk=run.work_order_id).values("product_code")
    parts = BomItem.objects.filter(parent__code__in=own).order_by().values("child__code")
    made = UnitMove.objects.filter(unit__in=units, counted_as=CountedAs.DONE).order_by()
    made = made.exclude(from_run__work_order__product_code__in=parts)
    return dict(made.values_list("unit_id", "from_run__work_order__product_code"))


def check_not_made(unit: Unit, run: Run, made: Mapping[int, str]) -> None:
    """Raise ProductMismatch for a unit that is `made` already."""
    if unit.pk in made:
        own = WorkOrder.objects.values_list("product_code", flat=True).get(pk=run.work_order_id)
        raise ProductMismatch(sn=unit.sn, product=made[unit.pk], run=run.run_no, run_product=own)


def has_made_units(run: Run) -> bool:
    """Whether units are in a run that were made before: they came into it for the kind that it is of."""
    return UnitMove.objects.filter(unit__run=run, counted_as=CountedAs.DONE).exists()


def record_moves(
    units: Sequence[Unit],
    *,
    act: UnitMoveAct,
    to_run: Run | None,
    by: str,
    reason: str = "",
    ended_at: Mapping[int, datetime] | None = None,
) -> None:
    """Note that locked units leave their runs, before they do: their run, status and step are those before.

    A unit that was done there, held or not, or scrapped, counts there still; `ended_at` says since when, by unit id.
    One statement for any number of units, and those of `counts_changed` where they count: one that was held from done
    is done there from now on.
    """
    now = timezone.now()
    counts_changed({unit.run_id for unit in units if unit.standing in _COUNTED}, reason=reason, by=by)
    UnitMove.objects.bulk_create(
        UnitMove(
            unit=unit,
            from_run_id=unit.run_id or 0,  # a unit in no run leaves none: the database refuses it
            to_run=to_run,
            act=act,
            status=unit.status,
            step_no=unit.current_step_no,
            counted_as=_COUNTED.get(unit.standing, ""),
            ended_at=(ended_at or {}).get(unit.pk),
            reason=reason,
            moved_by=by,
            moved_at=now,
        )
        for unit in units
    )
