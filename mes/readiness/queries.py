"""Reads of checks: the latest, the history, and what failed or was waived in open runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from mes.errors import RunNotFound
from mes.plant.models import Line
from mes.platform.database.lookup import get_or_raise
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus
from mes.readiness.models import ItemStatus, ReadinessCheck, ReadinessItem

NEXT = (RunStatus.PREP, RunStatus.AUTHORIZED)
ITEMS = Prefetch("items", ReadinessItem.objects.select_related("waiver").order_by("id"))


def get_run(run_no: str) -> Run:
    """Return a run with what a check needs. Raises RunNotFound."""
    runs = Run.objects.select_related("work_order", "line", "route_version__routing").defer("route_version__snapshot")
    return get_or_raise(runs, RunNotFound, run_no=run_no)


def list_checks_of(run: Run) -> QuerySet[ReadinessCheck]:
    """Return the checks of a run with their items, newest first."""
    return ReadinessCheck.objects.filter(run=run).select_related("run").prefetch_related(ITEMS).order_by("-id")


def find_latest(run: Run, kind: str = "") -> ReadinessCheck | None:
    """Return the latest check of a run, of this kind if one is named."""
    checks = list_checks_of(run)
    return (checks.filter(kind=kind) if kind else checks).first()


def list_exceptions() -> QuerySet[ReadinessItem]:
    """Return what failed or was waived in the latest check of each open run, newest first."""
    latest = ReadinessCheck.objects.filter(run=OuterRef("pk")).order_by("-id").values("pk")[:1]
    open_runs = Run.objects.filter(status__in=OPEN_RUN_STATUSES).values(latest=Subquery(latest))
    items = ReadinessItem.objects.filter(check_made__in=open_runs, status__in=(ItemStatus.FAILED, ItemStatus.WAIVED))
    return items.select_related("check_made__run__line", "waiver").order_by("-id")


@dataclass(frozen=True)
class NextRun:
    """A run that has not begun, and its latest check."""

    run: Run
    check: ReadinessCheck | None

    @property
    def is_authorized(self) -> bool:
        """Whether it only waits for its first unit."""
        return self.run.status == RunStatus.AUTHORIZED

    @property
    def failed(self) -> list[ReadinessItem]:
        """What keeps it from starting, by its latest check."""
        return [item for item in self.check.items.all() if item.status == ItemStatus.FAILED] if self.check else []


@dataclass(frozen=True)
class LineAhead:
    """A line, the run that is made there now, and those that come next, oldest first."""

    line: Line
    current: Sequence[Run]
    waiting: Sequence[NextRun]


def list_next_runs(limit: int = 200) -> list[NextRun]:
    """Return the runs that have not begun, oldest first by line, each with its latest check; in three queries."""
    latest = ReadinessCheck.objects.filter(run=OuterRef("pk")).order_by("-id").values("pk")[:1]
    rows = Run.objects.filter(status__in=NEXT).select_related("work_order", "line")
    waiting = list(rows.annotate(latest=Subquery(latest)).order_by("line__code", "id")[:limit])
    check_ids = [run.latest for run in waiting if run.latest is not None]
    checks = {check.run_id: check for check in ReadinessCheck.objects.filter(pk__in=check_ids).prefetch_related(ITEMS)}
    return [NextRun(run, checks.get(run.pk)) for run in waiting]


def list_lines_ahead() -> list[LineAhead]:
    """Return every line with what is made there and what comes next, in five queries; idle lines last."""
    waiting: dict[int, list[NextRun]] = {}
    for next_run in list_next_runs():
        waiting.setdefault(next_run.run.line_id, []).append(next_run)
    current: dict[int, list[Run]] = {}
    for run in Run.objects.filter(status=RunStatus.IN_PROGRESS).select_related("work_order").order_by("id"):
        current.setdefault(run.line_id, []).append(run)
    lines = [
        LineAhead(line, current.get(line.pk, []), waiting.get(line.pk, [])) for line in Line.objects.order_by("code")
    ]
    return sorted(lines, key=lambda line_ahead: not line_ahead.waiting)
