"""The clocks of a unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from mes.time_rules.display import Look, counted_to, look_at
from mes.time_rules.models import InstanceStatus
from trace.unit_rows import ClockRow


@dataclass(frozen=True)
class UnitClock:
    """A clock of a unit as its page shows it."""

    instance: ClockRow
    look: Look
    until: datetime | None

    @property
    def is_running(self) -> bool:
        """Whether it counts down, to `until`."""
        return self.instance.status == InstanceStatus.ACTIVE and self.until is not None


def as_shown(instances: Sequence[ClockRow]) -> list[UnitClock]:
    """Return clocks with how they look now, the newest first."""
    now = timezone.now()
    return [
        UnitClock(instance, look_at(instance, now=now), counted_to(instance, now=now))
        for instance in reversed(instances)
    ]


def as_json(instance: ClockRow) -> dict[str, Any]:
    """Return a clock in the words of the HTTP interface."""
    is_done = instance.status == InstanceStatus.COMPLETED
    return {
        "id": str(instance.pk),
        "definitionCode": instance.definition_code,
        "name": instance.definition.name,
        "runNo": instance.run.run_no if instance.run else None,
        "status": instance.status,
        "startedAt": instance.started_at,
        "warningAt": instance.warning_at,
        "earliestAt": instance.earliest_at,
        "expiresAt": instance.expires_at,
        "completedAt": instance.ended_at if is_done else None,
        "endedAt": instance.ended_at,
        "decidedAt": instance.decided_at,
        "decidedBy": instance.decided_by or None,
        "decisionReason": instance.decision_reason or None,
    }
