"""Working off bulk actions: each thing in a transaction of its own, in order, and on after a crash.

What became of a thing is read from where it is afterwards, so that one which was settled just before a process died, or
by somebody else meanwhile, counts once and rightly. Of one kind, the oldest action is worked off first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.errors import DomainError
from mes.platform.bulk_actions.models import BulkAction, BulkStatus, BulkVerb
from mes.platform.hooks import Hook
from mes.platform.inbound.sender import Sender
from mes.platform.outbox.schedules import GOES_ON, ScheduledTask
from mes.platform.sweeps import is_connection_lost

logger = structlog.get_logger(__name__)

MOST_ITEMS = 10_000
LEASE = timedelta(seconds=60)  # longer than one thing takes
MOST_STALLS = 3
APPLIED, WAITING, REFUSED, DISMISSED = "applied", "waiting", "refused", "dismissed"


@dataclass(frozen=True)
class BulkKind:
    """Things that are decided about together.

    `work(id, action)` tries one again or dismisses it, in a transaction of its own; it raises the refusal of one that
    stays as it is. `outcome(id)` says what has become of one: APPLIED, WAITING, REFUSED or DISMISSED.
    """

    name: str
    work: Callable[[int, BulkAction], object]
    outcome: Callable[[int], str]


# Worked off by the worker. Registered by whoever keeps what is refused.
kinds: Hook[BulkKind] = Hook(key=lambda kind: kind.name)


def sender_of(action: BulkAction) -> Sender:
    """Return who asked for an action, and for which stations."""
    return Sender(action.by, None if action.stations is None else frozenset(action.stations))


@transaction.atomic
def start(
    kind: str,
    verb: BulkVerb,
    item_ids: Sequence[int],
    *,
    reason: str,
    sender: Sender,
    selection: dict[str, Any],
    as_new: bool = False,
    spec_names: Mapping[str, str] | None = None,
) -> BulkAction:
    """Write an action for these things, at most MOST_ITEMS, and have the worker begin with it at once.

    `spec_names` are names as they were sent, with those that were meant.
    """
    action = BulkAction.objects.create(
        kind=kind,
        verb=verb,
        item_ids=list(item_ids[:MOST_ITEMS]),
        matched=len(item_ids[:MOST_ITEMS]),
        reason=reason,
        by=sender.system,
        stations=None if sender.stations is None else sorted(sender.stations),
        selection=selection,
        as_new=as_new,
        spec_names=dict(spec_names or {}),
    )
    TASK.queue_again()
    return action


def work_off() -> str:
    """Work on the oldest running action of each kind, for as long as one call may take. Safe to be called twice."""
    until = monotonic() + settings.MES_BULK_BUDGET.total_seconds()
    for kind in kinds:
        while (action := _claim(kind.name)) is not None:
            if not _work_on(action, kind, until):
                TASK.queue_again()
                return GOES_ON
    return "done"


TASK = ScheduledTask("bulk actions", _("Decisions about many refused messages"), work_off, cron="* * * * * */30")


@transaction.atomic
def _claim(kind: str) -> BulkAction | None:
    """Lease the oldest running action of a kind; None where there is none, or where another process is at it."""
    running = BulkAction.objects.filter(kind=kind, status=BulkStatus.RUNNING).order_by("id")
    oldest = running.only("pk").first()
    if oldest is None:
        return None
    rows = BulkAction.objects.select_for_update(skip_locked=True)
    action = rows.filter(pk=oldest.pk, status=BulkStatus.RUNNING).first()
    now = timezone.now()
    if action is None or (action.leased_until is not None and action.leased_until > now):
        return None
    if action.leased_until is not None:  # its process died
        action.stalls += 1
    action.leased_until = now + LEASE
    action.save(update_fields=["leased_until", "stalls"])
    return action


def _work_on(action: BulkAction, kind: BulkKind, until: float) -> bool:
    """Work on a leased action; return whether it is through, or another process has it."""
    stalls = action.stalls
    for item_id in action.item_ids[action.done :]:
        if monotonic() > until:
            BulkAction.objects.filter(pk=action.pk, leased_until=action.leased_until).update(leased_until=None)
            return False
        if stalls < MOST_STALLS:
            _try(item_id, action, kind)
        else:
            logger.error("passed over: every process that worked on it died", kind=kind.name, item_id=item_id)
        stalls = 0
        if not _note(action, kind.outcome(item_id)):
            return True
    ended = BulkAction.objects.filter(pk=action.pk, leased_until=action.leased_until)
    ended.update(status=BulkStatus.DONE, ended_at=timezone.now(), leased_until=None)
    return True


def _try(item_id: int, action: BulkAction, kind: BulkKind) -> None:
    try:
        kind.work(item_id, action)
    except DomainError:
        pass  # it is kept with its reason
    except Exception as error:
        if is_connection_lost(error):
            raise
        logger.exception("a bulk action failed at one thing", kind=kind.name, item_id=item_id)


def _note(action: BulkAction, outcome: str) -> bool:
    """Count a thing that is through, and go on leasing; return whether the action is still this process's."""
    leased_until = timezone.now() + LEASE
    own = BulkAction.objects.filter(pk=action.pk, leased_until=action.leased_until)
    counted = own.update(**{outcome: F(outcome) + 1}, done=F("done") + 1, leased_until=leased_until, stalls=0)
    action.leased_until = leased_until
    return bool(counted)
