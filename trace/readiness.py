"""What a run was authorized by: the check of that moment, with what was waived."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mes.production.models import Run
from mes.readiness.models import CheckStatus, ItemStatus
from trace.unit_reading import read_check
from trace.unit_rows import CheckRow, ItemRow


@dataclass(frozen=True)
class RunReadiness:
    """The check that authorized a run, else its latest one; with its items in order."""

    check: CheckRow
    items: Sequence[ItemRow]

    @property
    def is_authorizing(self) -> bool:
        """Whether the run was authorized by it."""
        return self.check.is_authorization and self.check.status == CheckStatus.PASSED

    @property
    def waived(self) -> list[ItemRow]:
        """What somebody answers for."""
        return [item for item in self.items if item.status == ItemStatus.WAIVED]

    @property
    def failed(self) -> list[ItemRow]:
        """What was not right."""
        return [item for item in self.items if item.status == ItemStatus.FAILED]


def find_readiness(run: Run) -> RunReadiness | None:
    """Return what is known of a run's readiness; None when it was never checked. One query."""
    check = read_check(run.pk)
    return RunReadiness(check, check.items) if check else None


def as_json(readiness: RunReadiness | None) -> list[dict[str, Any]]:
    """Return it in the words of the HTTP interface."""
    if readiness is None:
        return []
    check = readiness.check
    return [
        {
            "checkId": str(check.pk),
            "type": check.kind,
            "status": check.status,
            "isAuthorization": check.is_authorization,
            "checkedAt": check.checked_at,
            "checkedBy": check.checked_by,
            "items": [_item_as_json(item) for item in readiness.items],
        }
    ]


def _item_as_json(item: ItemRow) -> dict[str, Any]:
    waiver = item.waiver
    return {
        "itemType": item.item_type,
        "itemKey": item.item_key,
        "status": item.status,
        "code": item.code or None,
        "reason": item.reason or None,
        "evidence": item.evidence,
        "waiver": {"reason": waiver.reason, "by": waiver.waived_by, "at": waiver.waived_at} if waiver else None,
    }
