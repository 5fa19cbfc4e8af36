"""What the start page shows beside the lines: what waits for this person, by what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, Count, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from execution.models import OqcInspection, ReworkTask
from execution.quality.defect_decisions_api import DECIDES
from execution.quality.defect_review import list_waiting
from execution.quality.oqc.models import OqcStatus
from execution.quality.repair.models import ReworkTaskStatus
from mes.platform.accounts.roles import Capability
from mes.platform.http.pages import columns_of
from mes.platform.notifications.models import FollowedLine
from mes.production import approvals
from mes.production.api import WorkOrderViewSet
from mes.production.decision_models import Approval, ApprovalStatus
from mes.production.hold_models import Hold, HoldScope, HoldStatus
from mes.production.models import OPEN_RUN_STATUSES, Run
from mes.production.order_board import OrderRow, list_late

SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """Something that waits for another person's word."""

    approval: Approval
    what: str


@dataclass(frozen=True)
class Quality:
    """How much waits for whoever looks after quality; 0 too where it is not theirs to see to."""

    to_inspect: int = 0
    under_inspection: int = 0
    to_review: int = 0
    at_bench: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self == Quality()


@dataclass(frozen=True)
class Start:
    """What waits for a person; None where it is not theirs to see to. Each has one more than is shown, if there is."""

    own_lines: frozenset[int] = frozenset()
    late: Sequence[OrderRow] | None = None
    asked: Sequence[Asked] | None = None
    held: Sequence[Hold] | None = None
    deviating: Sequence[Run] | None = None
    quality: Quality = Quality()

    @property
    def facts(self) -> tuple[Any, ...]:
        """What it shows, for a mark."""
        late = [(columns_of(row.order), row.quantities, row.days_late) for row in self.late or ()]
        asked = [(columns_of(each.approval), each.what) for each in self.asked or ()]
        held = [(columns_of(hold), hold.run and hold.run.run_no) for hold in self.held or ()]
        deviating = [columns_of(run) for run in self.deviating or ()]
        return late, asked, held, deviating, self.quality


def get_start(user: Any, granted: frozenset[Capability]) -> Start:
    """Load it: one query for followed lines and what is counted; late orders three, requests, holds and deviations one
    each.
    """
    own, quality = _read_own(user, granted)
    plans = not granted.isdisjoint(WorkOrderViewSet.capabilities["runs"])
    approves = [kind.type for kind in approvals.kinds if not granted.isdisjoint(kind.approves)]
    engineers = Capability.ROUTES in granted
    return Start(
        own_lines=own,
        late=list_late(SHOWN + 1, line_ids=sorted(own)) if plans else None,
        asked=_list_asked(approves) if approves else None,
        held=_list_held() if Capability.HOLD in granted else None,
        deviating=_list_deviating() if engineers else None,
        quality=quality,
    )


def _read_own(user: Any, granted: frozenset[Capability]) -> tuple[frozenset[int], Quality]:
    """Return which lines somebody follows, and how much waits of what is theirs to see to."""
    counted: dict[str, QuerySet[Any]] = {}
    if Capability.OQC in granted:
        counted["to_inspect"] = OqcInspection.objects.filter(status=OqcStatus.CREATED)
        counted["under_inspection"] = OqcInspection.objects.filter(status=OqcStatus.INSPECTING)
    if not granted.isdisjoint(DECIDES):
        counted["to_review"] = list_waiting()
        counted["at_bench"] = ReworkTask.objects.filter(status=ReworkTaskStatus.OPEN)
    lines = FollowedLine.objects.filter(user=OuterRef("pk")).values("line_id")
    columns = {f"waits_{name}": _count(rows) for name, rows in counted.items()}
    [row] = User.objects.filter(pk=user.pk).annotate(own=ArraySubquery(lines), **columns).values("own", *columns)
    return frozenset(row["own"]), Quality(**{name: row[f"waits_{name}"] for name in counted})


def _count(rows: QuerySet[Any]) -> Any:
    grouped = rows.order_by().annotate(one=Value(1)).values("one").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(grouped, output_field=IntegerField()), 0)


def _list_asked(types: Sequence[str]) -> list[Asked]:
    """Return requests of these types that wait, those first that expire first."""
    waiting = Approval.objects.filter(status=ApprovalStatus.REQUESTED, expires_at__gt=timezone.now(), type__in=types)
    found = waiting.select_related("unit__run", "run").order_by("expires_at", "id")[: SHOWN + 1]
    return [Asked(approval, approvals.kind_of(approval).describe(approval)) for approval in found]


def _list_held() -> list[Hold]:
    """Return what stands still: runs, lines and stations before units, then the newest."""
    holds = Hold.objects.filter(status=HoldStatus.OPEN).select_related("run__work_order", "line", "station")
    return list(holds.order_by(Case(When(scope=HoldScope.UNITS, then=1), default=0), "-id")[: SHOWN + 1])


def _list_deviating() -> list[Run]:
    """Return open runs that have deviations, newest first."""
    runs = Run.objects.filter(has_deviations=True, status__in=OPEN_RUN_STATUSES).select_related("work_order", "line")
    return list(runs.order_by("-id")[: SHOWN + 1])
