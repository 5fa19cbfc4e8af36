"""What could mend a refused message: the specs that it may have meant, and the spec that it is about."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import msgspec

from integration import messages
from integration.device_data.body import decode_event
from integration.device_data.resolving import Target, find_targets
from integration.models import FailedMessage
from mes.errors import DomainError
from mes.plant.models import Operation
from mes.routing import snapshots
from mes.routing.snapshots import StepSnapshot
from mes.specs.models import DataCollectionSpec

MISSPELT = "DATA_SPEC_NOT_FOUND"
ABOUT_SPECS = frozenset({MISSPELT, "SPEC_NOT_BOUND", "SPEC_NOT_AUTO", "DATA_TYPE_MISMATCH"})
BY_DEVICES = "AUTO"


@dataclass(frozen=True)
class Name:
    """A spec's name as it was sent, and those that could be meant, nearest first."""

    sent: str
    offered: list[str]


@dataclass(frozen=True)
class Mend:
    """What helps against a refusal that is about specs.

    `names` are those that no spec has; `spec_id` is the spec that the refusal is about, where there is one, and
    `operation_id` the operation at which it would be.
    """

    names: list[Name]
    operation_id: int | None
    spec_id: int | None


def find_mend(message: FailedMessage) -> Mend | None:
    """Return what could mend a refused message of device data; None where its refusal is not about specs, or where
    nobody knows any more which step it is for.
    """
    if message.entity_type != messages.DEVICE_DATA or message.error_code not in ABOUT_SPECS:
        return None
    target = _target(message)
    if target is None:
        return None
    step = snapshots.load(version_id=target.version_id, digest=target.version_digest).step(target.step_no)
    specs = DataCollectionSpec.objects.filter(operation__code=target.operation_code, name=message.subject)
    operation = Operation.objects.filter(code=target.operation_code).values_list("pk", flat=True).first()
    return Mend(_names(message, step), operation, specs.values_list("pk", flat=True).first())


def _target(message: FailedMessage) -> Target | None:
    try:
        event = decode_event(msgspec.json.encode(message.payload), system=message.system).event
    except DomainError:
        return None
    [target] = find_targets([event])
    return None if isinstance(target, DomainError) else target


def _names(message: FailedMessage, step: StepSnapshot | None) -> list[Name]:
    """Return the names that are unknown, each with the specs that devices report at this step."""
    if message.error_code != MISSPELT or step is None:
        return []
    details: dict[str, Any] = (message.error or {}).get("details") or {}
    sent = [name for name in details.get("names") or () if isinstance(name, str)]
    known = [spec.name for spec in step.specs if spec.method == BY_DEVICES]
    return [Name(name, nearest_first(name, known)) for name in sent]


def nearest_first(name: str, known: list[str]) -> list[str]:
    """Return names by how like another they read, upper and lower case alike; equals by the alphabet."""

    def likeness(other: str) -> float:
        return SequenceMatcher(None, name.casefold(), other.casefold()).ratio()

    return sorted(known, key=lambda other: (-likeness(other), other))
