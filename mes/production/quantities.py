"""How many units an order is for, has made, and has given to its runs.

A unit counts where it was made: in the run in which it was done, held since or not, also when it left that run. Only
runs of their order's kind use it up: an open one by its plan, an ended one by what it made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Count, F, Q

from mes.production.decision_models import CountedAs, UnitMove
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit, UnitStatus, WorkOrder
from mes.production.queries import units_with_tracks

IS_DONE = Q(status=UnitStatus.DONE) | Q(status=UnitStatus.ON_HOLD, held_from=UnitStatus.DONE)


class RunOfOrder(NamedTuple):
    """What of a run counts for its order, and what is shown of it there."""

    run_id: int
    work_order_id: int
    run_no: str
    kind: str
    status: str
    line_code: str
    plan_qty: int
    made: int

    @property
    def is_open(self) -> bool:
        """Whether units may still be made in it."""
        return self.status in OPEN_RUN_STATUSES

    @property
    def committed(self) -> int:
        """How many units of its order it is for, if it is of the order's kind."""
        return self.plan_qty if self.is_open else self.made


@dataclass(frozen=True)
class Quantities:
    """The quantities of one order, and its runs in the order in which they were created."""

    kind: str
    allowed: int
    runs: tuple[RunOfOrder, ...] = ()

    @property
    def counting(self) -> tuple[RunOfOrder, ...]:
        """The runs of the order's kind."""
        return tuple(run for run in self.runs if run.kind == self.kind)

    @property
    def made(self) -> int:
        """How many units were done in the run they were made in."""
        return sum(run.made for run in self.counting)

    @property
    def committed(self) -> int:
        """How many units its runs are for."""
        return sum(run.committed for run in self.counting)

    @property
    def over_planned(self) -> int:
        """By how many units its runs exceed what it allows now."""
        return max(0, self.committed - self.allowed)


def quantities_of(orders: Iterable[WorkOrder]) -> dict[int, Quantities]:
    """Return the quantities of each order, in two queries for any number of them."""
    by_id = {order.pk: order for order in orders}
    rows = list(
        Run.objects.filter(work_order__in=by_id)
        .order_by("id")
        .values_list("id", "work_order_id", "run_no", "kind", "status", "line__code", "plan_qty")
    )
    made = count_made(row[0] for row in rows)
    runs: dict[int, list[RunOfOrder]] = {order_id: [] for order_id in by_id}
    for row in rows:
        runs[row[1]].append(RunOfOrder(*row, made=made[row[0]]))
    return {
        order_id: Quantities(kind=order.kind, allowed=order.allowed_qty, runs=tuple(runs[order_id]))
        for order_id, order in by_id.items()
    }


def quantities_of_order(order: WorkOrder) -> Quantities:
    """Return the quantities of one order."""
    return quantities_of([order])[order.pk]


def count_made(run_ids: Iterable[int]) -> dict[int, int]:
    """Return for each run how many units were done in it, those that left it since included; one query."""
    counts = dict.fromkeys(run_ids, 0)
    if not counts:
        return counts
    here = Unit.objects.filter(IS_DONE, run__in=counts).order_by().values_list("run").annotate(Count("id"))
    left = UnitMove.objects.filter(from_run__in=counts, counted_as=CountedAs.DONE).order_by()
    for run_id, count in here.union(left.values_list("from_run").annotate(Count("id")), all=True):
        counts[run_id] += count
    return counts


def count_in_plan(run: Run) -> int:
    """Return how many units use up the plan of a run: those that are in it but scrapped ones, and those that were done
    in it and left it since. One query.
    """
    here = Unit.objects.filter(run=run).exclude(status=UnitStatus.SCRAPPED).order_by().values("pk")
    left = UnitMove.objects.filter(from_run=run, counted_as=CountedAs.DONE).order_by().values("pk")
    return here.union(left, all=True).count()


def count_under_way(order: WorkOrder) -> int:
    """Return how many units in open runs of the order's kind were begun, and are neither done nor scrapped."""
    units = Unit.objects.filter(run__work_order=order, run__kind=order.kind, run__status__in=OPEN_RUN_STATUSES)
    return units_with_tracks(units.exclude(IS_DONE | Q(status=UnitStatus.SCRAPPED))).count()


def count_finished_now(order: WorkOrder) -> int:
    """Return how many units of an order are made and held by nobody: by these it completes itself."""
    here = Unit.objects.filter(run__work_order=order, run__kind=F("run__work_order__kind"), status=UnitStatus.DONE)
    left = UnitMove.objects.filter(
        from_run__work_order=order, from_run__kind=F("from_run__work_order__kind"), counted_as=CountedAs.DONE
    )
    return here.count() + left.count()
