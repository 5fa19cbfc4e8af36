"""The clocks of a unit, and those of a run that need somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from mes.time_rules.display import Look, look_at
from mes.time_rules.models import EntityType, InstanceStatus, TimeRuleInstance
from mes.time_rules.queries import list_of_entity


@dataclass(frozen=True)
class UnitClock:
    """A clock of a unit as its page shows it."""

    instance: TimeRuleInstance
    look: Look

    @property
    def is_running(self) -> bool:
        """Whether it counts down."""
        return self.instance.status == InstanceStatus.ACTIVE


def list_clocks_of(sn: str) -> Sequence[TimeRuleInstance]:
    """Return every clock of a unit in the order they started, in one query."""
    return list_of_entity(entity_type=EntityType.UNIT, entity_id=sn)


def as_shown(instances: Sequence[TimeRuleInstance]) -> list[UnitClock]:
    """Return clocks with how they look now, the newest first."""
    now = timezone.now()
    return [UnitClock(instance, look_at(instance, now=now)) for instance in reversed(instances)]


def as_json(instance: TimeRuleInstance) -> dict[str, Any]:
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
        "expiresAt": instance.expires_at,
        "completedAt": instance.ended_at if is_done else None,
        "endedAt": instance.ended_at,
        "decidedAt": instance.decided_at,
        "decidedBy": instance.decided_by or None,
        "decisionReason": instance.decision_reason or None,
    }
