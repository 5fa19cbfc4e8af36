"""By the clock: warning of clocks that run out soon, and expiring those that ran out. Any number of workers."""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep
from mes.production import locking
from mes.production.models import Unit
from mes.time_rules import holding, hooks, notifications
from mes.time_rules.models import EntityType, InstanceStatus, TimeRuleAction, TimeRuleInstance
from mes.time_rules.queries import is_over

BATCH = 200
MOST_BATCHES = 500  # of one call; the next minute goes on

Step = Callable[[list[TimeRuleInstance], datetime], None]


def sweep() -> dict[str, int]:
    """Expire and warn; return how many of each. What is decided at the same time elsewhere is left to that.

    Raises SweepIncomplete when all others are done, where clocks failed.
    """
    now = timezone.now()
    to_warn = Q(status=InstanceStatus.ACTIVE, warning_at__lte=now, warned_at=None)
    done = {"expired": 0, "warned": 0}
    with Sweep("time rules") as clocks:
        with clocks.row("expiry"):
            free = is_over(now) & ~Q(definition__action=TimeRuleAction.HOLD)
            done["expired"] = _work_off(free, "expires_at", _expire, now, clocks)
        with clocks.row("holding"):
            holding_rules = is_over(now) & Q(definition__action=TimeRuleAction.HOLD)
            done["expired"] += _work_off(holding_rules, "expires_at", _expire, now, clocks, locks=_lock_units)
        with clocks.row("warnings"):
            done["warned"] = _work_off(to_warn, "warning_at", _warn, now, clocks)
    return done


def _lock_units(due: QuerySet[TimeRuleInstance]) -> Q:
    """Lock the units of due clocks, and return what selects these clocks: a unit is locked before its clocks."""
    found = list(due.values_list("pk", "entity_type", "entity_id"))
    sns = sorted({entity_id for _pk, entity_type, entity_id in found if entity_type == EntityType.UNIT})
    locking.lock_units(Unit.objects.filter(sn__in=sns))
    return Q(pk__in=[pk for pk, *_entity in found])


def _work_off(
    due: Q,
    order: str,
    step: Step,
    now: datetime,
    clocks: Sweep,
    *,
    locks: Callable[[QuerySet[TimeRuleInstance]], Q] | None = None,
) -> int:
    """Take due clocks in batches, each batch with all its effects in one transaction; return how many were done.

    `locks` locks what comes before the clocks of a batch, and returns which these are.
    """
    done = 0
    for batch in clocks.batches(size=BATCH, most=MOST_BATCHES):
        with batch, transaction.atomic():
            rows = TimeRuleInstance.objects.filter(due).exclude(pk__in=batch.excluded)
            if locks is not None:
                rows = rows.filter(locks(rows.order_by(order, "pk")[: batch.size]))
            locked = rows.select_for_update(no_key=True, of=("self",), skip_locked=True)
            instances = list(locked.select_related("definition").order_by(order, "pk")[: batch.size])
            batch.keys = [instance.pk for instance in instances]
            step(instances, now)
        done += batch.done
    return done


def _expire(batch: list[TimeRuleInstance], now: datetime) -> None:
    for instance in batch:
        instance.status, instance.expired_at = InstanceStatus.EXPIRED, now
    TimeRuleInstance.objects.bulk_update(batch, ["status", "expired_at"])
    hooks.tell_expired(batch)
    holding.hold(batch, now=now)
    notifications.tell_expired(batch)


def _warn(batch: list[TimeRuleInstance], now: datetime) -> None:
    for instance in batch:
        instance.warned_at = now
    TimeRuleInstance.objects.bulk_update(batch, ["warned_at"])
    notifications.tell_warned(batch)


TASK = ScheduledTask("time rules", _("Warnings and expiry of clocks"), sweep, cron="* * * * *")
