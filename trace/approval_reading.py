"""What waits for another person's word, and what was decided before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from mes.platform.accounts.roles import Capability
from mes.production.approvals import kind_of
from mes.production.decision_models import Approval, ApprovalStatus

LATEST = 50  # of those decided
URGENT = timedelta(days=1)


@dataclass(frozen=True)
class Request:
    """What somebody asked for; and of the person who looks at it: whether it is theirs, and whether they may decide."""

    approval: Approval
    what: str
    is_own: bool
    may_decide: bool

    @property
    def is_urgent(self) -> bool:
        """Whether little time is left to decide."""
        return self.approval.expires_at - timezone.now() < URGENT


@dataclass(frozen=True)
class Approvals:
    """The open requests, that first which expires first, and the latest that were decided, newest first."""

    open: Sequence[Request]
    decided: Sequence[Request]


def get_approvals(*, name: str, granted: frozenset[Capability]) -> Approvals:
    """Load what the page of approvals shows to the person of this name, in two queries."""
    now = timezone.now()
    rows = Approval.objects.select_related("unit__run", "run")
    waiting = rows.filter(status=ApprovalStatus.REQUESTED, expires_at__gt=now).order_by("expires_at", "id")
    decided = rows.exclude(status=ApprovalStatus.REQUESTED).order_by("-decided_at", "-id")[:LATEST]

    def read(approval: Approval) -> Request:
        kind = kind_of(approval)
        return Request(
            approval=approval,
            what=kind.describe(approval),
            is_own=approval.requested_by == name,
            may_decide=not granted.isdisjoint(kind.approves),
        )

    return Approvals(open=list(map(read, waiting)), decided=list(map(read, decided)))
