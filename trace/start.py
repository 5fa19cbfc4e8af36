"""What the start page shows beside the lines: what waits for this person, by what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, When
from django.utils import timezone

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
class Start:
    """What waits for a person; None where it is not theirs to see to. Each has one more than is shown, if there is."""

    own_lines: frozenset[int] = frozenset()
    late: Sequence[OrderRow] | None = None
    asked: Sequence[Asked] | None = None
    held: Sequence[Hold] | None = None
    deviating: Sequence[Run] | None = None

    @property
    def facts(self) -> tuple[Any, ...]:
        """What it shows, for a mark."""
        late = [(columns_of(row.order), row.quantities, row.days_late) for row in self.late or ()]
        asked = [(columns_of(each.approval), each.what) for each in self.asked or ()]
        held = [(columns_of(hold), hold.run and hold.run.run_no) for hold in self.held or ()]
        deviating = [columns_of(run) for run in self.deviating or ()]
        return late, asked, held, deviating


def get_start(user: Any, granted: frozenset[Capability]) -> Start:
    """Load it: one query for followed lines; late orders three, requests, holds and deviations one each."""
    own = frozenset(FollowedLine.objects.filter(user=user.pk).values_list("line_id", flat=True))
    plans = not granted.isdisjoint(WorkOrderViewSet.capabilities["runs"])
    approves = [kind.type for kind in approvals.kinds if not granted.isdisjoint(kind.approves)]
    engineers = Capability.ROUTES in granted
    return Start(
        own_lines=own,
        late=list_late(SHOWN + 1, line_ids=sorted(own)) if plans else None,
        asked=_list_asked(approves) if approves else None,
        held=_list_held() if Capability.HOLD in granted else None,
        deviating=_list_deviating() if engineers else None,
    )


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
