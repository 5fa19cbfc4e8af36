"""By the clock: warning of clocks that run out soon, and expiring those that ran out. Any number of workers."""

from collections.abc import Callable
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mes.time_rules import hooks, notifications
from mes.time_rules.models import InstanceStatus, TimeRuleInstance
from mes.time_rules.queries import is_over

logger = structlog.get_logger(__name__)

BATCH = 200
MOST_BATCHES = 500  # of one call; the next minute goes on

Step = Callable[[list[TimeRuleInstance], datetime], None]


def sweep() -> dict[str, int]:
    """Expire and warn; return how many of each. What is decided at the same time elsewhere is left to that."""
    now = timezone.now()
    expired = _work_off(is_over(now), "expires_at", _expire, now)
    to_warn = Q(status=InstanceStatus.ACTIVE, warning_at__lte=now, warned_at=None)
    warned = _work_off(to_warn, "warning_at", _warn, now)
    return {"expired": expired, "warned": warned}


def _work_off(due: Q, order: str, step: Step, now: datetime) -> int:
    """Take due clocks in batches, each batch with all its effects in one transaction.

    When a batch fails, the clocks go one by one, so that one that always fails delays no other.
    """
    done, size, failed = 0, BATCH, set[int]()
    for _batch in range(MOST_BATCHES):
        taken: list[int] = []
        try:
            with transaction.atomic():
                rows = TimeRuleInstance.objects.filter(due).exclude(pk__in=failed)
                locked = rows.select_for_update(no_key=True, of=("self",), skip_locked=True)
                batch = list(locked.select_related("definition").order_by(order, "pk")[:size])
                taken = [instance.pk for instance in batch]
                step(batch, now)
        except Exception:
            logger.exception("clocks could not be swept", clocks=taken)
            if not taken:
                raise
            if size == 1:
                failed.update(taken)
            size = 1
            continue
        if not taken:
            break
        done += len(taken)
    return done


def _expire(batch: list[TimeRuleInstance], now: datetime) -> None:
    for instance in batch:
        instance.status, instance.expired_at = InstanceStatus.EXPIRED, now
    TimeRuleInstance.objects.bulk_update(batch, ["status", "expired_at"])
    hooks.tell_expired(batch)
    notifications.tell_expired(batch)


def _warn(batch: list[TimeRuleInstance], now: datetime) -> None:
    for instance in batch:
        instance.warned_at = now
    TimeRuleInstance.objects.bulk_update(batch, ["warned_at"])
    notifications.tell_warned(batch)
