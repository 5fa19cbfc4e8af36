"""What the pages of orders show: the orders, late ones first; one order with its runs and what was decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.errors import WorkOrderNotFound
from mes.labels import Action
from mes.platform.database.lookup import get_or_raise
from mes.platform.scans import read_scan
from mes.production.decision_models import Decision
from mes.production.models import (
    OPEN_ORDER_STATUSES,
    OPEN_RUN_STATUSES,
    Run,
    RunKind,
    RunStatus,
    UnitStatus,
    WorkOrder,
    WorkOrderStatus,
)
from mes.production.quantities import Quantities, quantities_of
from mes.production.queries import count_units

PAGE_SIZE = 50
MOST_PAGES = 100
LONGEST = 100  # characters of a filter
LOOKED_THROUGH = 10_000  # ended orders among which a filter without an index of its own looks
SHOWN_DECISIONS = 50
SHOWN_RUNS = 100
OPEN, LATE = "OPEN", "LATE"  # chosen like a status


# --- the list --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """What is asked for; what is empty is any. By itself the open orders."""

    status: str = OPEN
    line: str = ""
    product: str = ""
    kind: str = ""
    q: str = ""
    page: int = 1

    @property
    def is_narrowed(self) -> bool:
        """Whether less is asked for than the list has by itself."""
        return bool(self.line or self.product or self.kind or self.q) or self.status != OPEN

    @property
    def is_of_ended(self) -> bool:
        """Whether orders are asked for that have ended."""
        return self.status in WorkOrderStatus.values and self.status not in OPEN_ORDER_STATUSES


@dataclass(frozen=True)
class OrderRow:
    """An order with its quantities."""

    order: WorkOrder
    quantities: Quantities
    today: date

    @property
    def still_allowed(self) -> int:
        """For how many units more it may have runs."""
        return max(0, self.quantities.allowed - self.quantities.committed)

    @property
    def shares(self) -> list[tuple[str, float]]:
        """What is made, and what else is committed, in per cent of the larger of plan and commitment: (tone, share)."""
        made, committed = self.quantities.made, self.quantities.committed
        whole = max(self.order.planned_qty, committed, made, 1)
        return [
            (tone, 100 * count / whole) for tone, count in (("good", made), ("work", committed - made)) if count > 0
        ]

    @property
    def percent_made(self) -> int:
        """How much of the plan is made; 100 only when all is."""
        return min(100, 100 * self.quantities.made // self.order.planned_qty)

    @property
    def open_runs(self) -> int:
        return sum(run.is_open for run in self.quantities.runs)

    @property
    def held_runs(self) -> int:
        return sum(run.status == RunStatus.ON_HOLD for run in self.quantities.runs)

    @property
    def days_late(self) -> int:
        """Days since it was due; 0 of one that is not late."""
        order = self.order
        is_late = order.due_date is not None and order.status in OPEN_ORDER_STATUSES and order.due_date < self.today
        return (self.today - order.due_date).days if is_late and order.due_date else 0

    @property
    def is_due_today(self) -> bool:
        return self.order.status in OPEN_ORDER_STATUSES and self.order.due_date == self.today


@dataclass(frozen=True)
class OrderPage:
    """A page of orders. `counts` are of the open ones by status, with OPEN and LATE; ended ones are not counted."""

    rows: Sequence[OrderRow]
    counts: Mapping[str, int]
    has_next: bool
    is_cut: bool = False


def list_orders(chosen: Chosen) -> OrderPage:
    """Return a page of orders in five queries: open ones by when they are due, late first; ended ones the newest first;
    those that begin with what is searched for by their numbers.
    """
    today = timezone.localdate()
    rows = WorkOrder.objects.select_related("routing", "line")
    found, is_cut = _narrowed(rows, chosen, today)
    start = (chosen.page - 1) * PAGE_SIZE
    orders = list(found[start : start + PAGE_SIZE + 1])
    shown = orders[:PAGE_SIZE]
    quantities = quantities_of(shown)
    return OrderPage(
        [OrderRow(order, quantities[order.pk], today) for order in shown],
        count_open(today),
        len(orders) > PAGE_SIZE,
        is_cut,
    )


def _narrowed(rows: QuerySet[WorkOrder], chosen: Chosen, today: date) -> tuple[QuerySet[WorkOrder], bool]:
    """Return the orders that are asked for, sorted; and whether only the newest of them were looked at."""
    others = Q(line__code=chosen.line) if chosen.line else Q()
    others &= Q(product_code=chosen.product) if chosen.product else Q()
    others &= Q(kind=chosen.kind) if chosen.kind else Q()
    if chosen.q:
        own = Q() if chosen.status == OPEN else _of_status(chosen.status, today)
        return rows.filter(_begins_with(chosen.q), own, others).order_by("wo_no"), False
    if not chosen.is_of_ended:
        return rows.filter(_of_status(chosen.status, today), others).order_by(
            F("due_date").asc(nulls_last=True), "id"
        ), False
    ended = rows.filter(status=chosen.status).order_by("-id")
    if not others:
        return ended, False
    newest = WorkOrder.objects.filter(status=chosen.status).order_by("-id").values("pk")[:LOOKED_THROUGH]
    return ended.filter(others, pk__in=newest), True


def _of_status(status: str, today: date) -> Q:
    if status == LATE:
        return Q(status__in=OPEN_ORDER_STATUSES, due_date__lt=today)
    if status == OPEN:
        return Q(status__in=OPEN_ORDER_STATUSES)
    # Named twice where it is an open one: the index of the open ones is found by the first.
    is_open = status in OPEN_ORDER_STATUSES
    return Q(status__in=OPEN_ORDER_STATUSES) & Q(status=status) if is_open else Q(status=status)


def _begins_with(text: str) -> Q:
    """Return the condition that an order's number begins with a text as it was typed or scanned, or in capitals."""
    begin = read_scan(text).text[:LONGEST]
    return Q(wo_no__startswith=begin) | Q(wo_no__startswith=begin.upper())


def find_exact(text: str) -> str | None:
    """Return the number of the order that is called exactly so."""
    begin = read_scan(text).text[:LONGEST]
    names = WorkOrder.objects.filter(wo_no__in={begin, begin.upper()}).values_list("wo_no", flat=True)
    found = sorted(names, key=lambda name: name != begin)
    return found[0] if found else None


def count_open(today: date) -> dict[str, int]:
    """Return how many orders are open, by status, and how many of them are late; in one query."""
    rows = (
        WorkOrder.objects.filter(status__in=OPEN_ORDER_STATUSES)
        .order_by()
        .values_list("status")
        .annotate(Count("pk"), late=Count("pk", filter=Q(due_date__lt=today)))
    )
    counts: dict[str, int] = dict.fromkeys((OPEN, LATE, *OPEN_ORDER_STATUSES), 0)
    for status, count, late in rows:
        counts[status] = count
        counts[OPEN] += count
        counts[LATE] += late
    return counts


def list_late(limit: int, *, line_ids: Sequence[int] = ()) -> list[OrderRow]:
    """Return the orders that are late, the latest first, of some lines or of all; in three queries."""
    today = timezone.localdate()
    late = WorkOrder.objects.filter(_of_status(LATE, today)).select_related("line")
    if line_ids:
        late = late.filter(Q(line__in=line_ids) | Q(line=None))
    orders = list(late.order_by(F("due_date").asc(nulls_last=True), "id")[:limit])
    quantities = quantities_of(orders)
    return [OrderRow(order, quantities[order.pk], today) for order in orders]


# --- one order ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunRow:
    """A run of an order with its units by status. Those that it made and that left it are among them."""

    run: Run
    units: Mapping[str, int]

    @property
    def done(self) -> int:
        return self.units[UnitStatus.DONE]

    @property
    def scrapped(self) -> int:
        return self.units[UnitStatus.SCRAPPED]

    @property
    def attention(self) -> int:
        """Units that wait for a decision."""
        return self.units[UnitStatus.ON_HOLD] + self.units[UnitStatus.OUT_FAILED]

    @property
    def under_way(self) -> int:
        """Units in a station or between stations."""
        return self.units[UnitStatus.IN_STATION] + self.units[UnitStatus.QUEUED]

    @property
    def is_open(self) -> bool:
        return self.run.status in OPEN_RUN_STATUSES

    @property
    def percent_done(self) -> int:
        """How much of the plan is done; 100 only when all is."""
        return min(100, 100 * self.done // self.run.plan_qty)

    @property
    def shares(self) -> list[tuple[str, float]]:
        """What the plan is made of so far, as (tone, per cent)."""
        counts = [("good", self.done), ("work", self.units[UnitStatus.IN_STATION]), ("bad", self.attention)]
        return [(tone, min(100.0, 100 * count / self.run.plan_qty)) for tone, count in counts if count]


FIELD_LABELS = {
    "plannedQty": _("Planned"),
    "planQty": _("Planned"),
    "overrunPercent": _("Overrun %"),
    "dueDate": _("Due"),
    "routingCode": _("Route"),
    "productCode": _("Product"),
    "lineCode": _("Line"),
    "shiftCode": _("Shift"),
    "kind": _("Kind"),
    "routeVersionNo": _("Version"),
    "status": _("Status"),
    "splitInto": _("Split into"),
    "splitFrom": _("Split from"),
    "reworkRun": _("Rework run"),
    "reworkOf": _("Rework of"),
    "reworkType": _("Preparations"),
    "faiWaiver": _("First article waived"),
}


@dataclass(frozen=True)
class DecisionRow:
    """Something that was decided about an order or a run, in words."""

    decision: Decision

    @property
    def label(self) -> str:
        """What was decided."""
        act = self.decision.act
        return str(Action(act).label) if act in Action.values else act

    @property
    def run_no(self) -> str:
        """The run that it was about; empty where it was about the order."""
        return self.decision.run.run_no if self.decision.run else ""

    @property
    def from_label(self) -> str:
        return self._label_of(self.decision.from_status)

    @property
    def to_label(self) -> str:
        return self._label_of(self.decision.to_status)

    def _label_of(self, status: str) -> str:
        labels: dict[Any, Any] = dict(RunStatus.choices if self.decision.run else WorkOrderStatus.choices)
        return str(labels.get(status, status))

    @cached_property
    def changes(self) -> list[tuple[str, Any, Any]]:
        """What changed: (field, before, after)."""
        return list(self._changes())

    def _changes(self) -> Iterator[tuple[str, Any, Any]]:
        for name, pair in self.decision.changes.items():
            before, after = pair if isinstance(pair, list) and len(pair) == 2 else ("", pair)
            yield str(FIELD_LABELS.get(name, name)), *(_value_in_words(name, value) for value in (before, after))


def _value_in_words(name: str, value: Any) -> Any:
    if name == "kind":
        return dict(RunKind.choices).get(value, value)
    return "–" if value in (None, "") else value


@dataclass(frozen=True)
class OrderDetail:
    """Everything that the page of an order shows."""

    row: OrderRow
    runs: Sequence[RunRow]
    decisions: Sequence[DecisionRow]
    has_more_runs: bool
    has_more_decisions: bool

    @property
    def order(self) -> WorkOrder:
        return self.row.order

    @property
    def quantities(self) -> Quantities:
        return self.row.quantities

    @property
    def is_open(self) -> bool:
        return self.order.status in OPEN_ORDER_STATUSES


def find_order(wo_no: str) -> WorkOrder:
    """Return an order. Raises WorkOrderNotFound."""
    return get_or_raise(WorkOrder.objects.select_related("routing", "line"), WorkOrderNotFound, wo_no=wo_no)


def get_order(wo_no: str) -> OrderDetail:
    """Load the page of an order in six queries. Raises WorkOrderNotFound."""
    order = find_order(wo_no)
    loaded = Run.objects.select_related("line", "route_version__routing").defer("route_version__snapshot")
    runs = list(loaded.filter(work_order=order).order_by("-id")[: SHOWN_RUNS + 1])
    units = count_units(runs[:SHOWN_RUNS])
    decisions = list(_decisions_of(order)[: SHOWN_DECISIONS + 1])
    return OrderDetail(
        OrderRow(order, quantities_of([order])[order.pk], timezone.localdate()),
        [RunRow(run, units[run.pk]) for run in runs[:SHOWN_RUNS]],
        [DecisionRow(decision) for decision in decisions[:SHOWN_DECISIONS]],
        len(runs) > SHOWN_RUNS,
        len(decisions) > SHOWN_DECISIONS,
    )


def _decisions_of(order: WorkOrder) -> QuerySet[Decision]:
    """Return what was decided about an order and its runs, newest first."""
    own = Decision.objects.filter(work_order=order).order_by().values("pk")
    of_runs = Decision.objects.filter(run__work_order=order).order_by().values("pk")
    # A quarter cheaper than a condition with OR. Where very many were decided, PostgreSQL may still walk them all.
    return Decision.objects.filter(pk__in=own.union(of_runs, all=True)).select_related("run").order_by("-id")
