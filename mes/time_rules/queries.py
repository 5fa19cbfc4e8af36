"""Reading the clocks."""

from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce, Now

from mes.line_setup.loads.models import Load
from mes.time_rules.models import (
    EntityType,
    InstanceStatus,
    TimeRuleInstance,
    TimeRuleMark,
)

# Clocks that need somebody: running, or not in time and neither decided about nor taken back.
OPEN = Q(status=InstanceStatus.ACTIVE) | Q(status__in=[InstanceStatus.EXPIRED, InstanceStatus.EARLY], decided_at=None)
OPEN_STATUSES = Q(status__in=[InstanceStatus.ACTIVE, InstanceStatus.EXPIRED])  # as the index by run says it
# An expired clock stops new work until it ends or somebody decides; of what may not be waived, only its end counts.
BLOCKING = Q(status=InstanceStatus.EXPIRED, ended_at=None) & (Q(decided_at=None) | Q(definition__is_waivable=False))


def is_over(now: datetime) -> Q:
    """Select running clocks whose time is over, swept or not; the last moment is in time (`Clock.is_in_time`)."""
    return Q(status=InstanceStatus.ACTIVE, expires_at__lt=now)


def with_place(instances: QuerySet[TimeRuleInstance]) -> QuerySet[Any]:
    """Add `place_id`, the line where the thing is: of a lot the one it is bound to now, else the clock's own."""
    loads = Load.objects.filter(lot__lot_id=OuterRef("entity_id"), ended_at=None)
    bound = loads.annotate(of_line=Coalesce("line_id", "station__line_id")).values("of_line")[:1]
    on_line = Case(When(entity_type=EntityType.SOLDER_PASTE_LOT, then=Subquery(bound)), output_field=BigIntegerField())
    return instances.annotate(place_id=Coalesce(on_line, F("line_id"), output_field=BigIntegerField()))


def list_open(*, line_id: int | None = None, code: str = "") -> QuerySet[TimeRuleInstance]:
    """Return the clocks that need somebody, the most urgent first."""
    waited_for = Q(expires_at=None, status=InstanceStatus.ACTIVE, earliest_at__lte=Now())  # nobody needs to
    instances = with_place(TimeRuleInstance.objects.filter(OPEN).exclude(waited_for))
    instances = instances.select_related("definition", "run")
    if line_id is not None:
        instances = instances.filter(place_id=line_id)
    if code:
        instances = instances.filter(definition_code=code)
    return instances.order_by("expires_at", "id")


def list_blocking(*, line_id: int, now: datetime) -> QuerySet[TimeRuleInstance]:
    """Return the clocks that ran out and stop new work on a line: of its units, and of the lot that is bound to it.

    A clock whose time is over counts before the sweep has seen it.
    """
    clocks = with_place(TimeRuleInstance.objects.filter(BLOCKING | is_over(now))).filter(place_id=line_id)
    return clocks.select_related("definition", "run").order_by("expires_at", "id")


def count_urgent(run_id: int, *, now: datetime) -> tuple[int, int]:
    """Return how many clocks of a run's units ran out and wait for somebody, and how many are about to run out."""
    ran_out = Q(status=InstanceStatus.EXPIRED) | is_over(now)
    counts = TimeRuleInstance.objects.filter(OPEN, OPEN_STATUSES, run=run_id, entity_type=EntityType.UNIT).aggregate(
        over=Count("pk", filter=ran_out), soon=Count("pk", filter=Q(warning_at__lte=now) & ~ran_out)
    )
    return counts["over"], counts["soon"]


def list_unneeded_marks(cutoff: datetime) -> QuerySet[TimeRuleMark]:
    """Return marks recorded before, of which no clock waits for its end any more: what they say is in the clocks.

    An expired clock waits, too: where its rule is not waivable, only its end frees the line.
    """
    waiting = TimeRuleInstance.objects.filter(
        OPEN_STATUSES, ended_at=None, entity_type=OuterRef("entity_type"), entity_id=OuterRef("entity_id")
    )
    waiting = waiting.exclude(expires_at=None, earliest_at__lt=cutoff)  # no end can be too early any more
    return TimeRuleMark.objects.filter(~Exists(waiting), created_at__lt=cutoff)
