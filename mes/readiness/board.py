"""What the readiness board shows: each item with what was seen, and what a person may do about it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.line_setup.models import SetUpKind
from mes.platform.accounts.roles import Capability
from mes.production.models import Run, RunStatus
from mes.readiness.evaluation import Judged, Outcome
from mes.readiness.models import ItemStatus
from mes.readiness.registry import Check, list_checks

SCANS = {SetUpKind.STENCIL.value: "stencil", SetUpKind.SOLDER_PASTE.value: "solder-paste"}
CONFIRMED_BY_PEOPLE = ("PREP_NOT_CONFIRMED", "PREP_LAPSED")
LOOKS = {ItemStatus.PASSED: ("good", "pass"), ItemStatus.FAILED: ("bad", "fail"), ItemStatus.WAIVED: ("hold", "alarm")}
LABELS: Mapping[str, str | Promise] = {
    "bomItems": gettext_lazy("Parts"),
    "collectedAt": gettext_lazy("Measured"),
    "completedBy": gettext_lazy("Decided by"),
    "confirmedAt": gettext_lazy("Confirmed"),
    "confirmedBy": gettext_lazy("Confirmed by"),
    "definitionCode": gettext_lazy("Rule"),
    "dueAt": gettext_lazy("Due"),
    "entityId": gettext_lazy("Of"),
    "equipmentStatus": gettext_lazy("Status"),
    "expected": gettext_lazy("Expected"),
    "expiresAt": gettext_lazy("Until"),
    "faiStatus": gettext_lazy("Inspection"),
    "lastCleanedAt": gettext_lazy("Last cleaned"),
    "loaded": gettext_lazy("There"),
    "lotStatus": gettext_lazy("Status"),
    "maxUses": gettext_lazy("Most uses"),
    "remark": gettext_lazy("Remark"),
    "report": gettext_lazy("Report"),
    "reportedAt": gettext_lazy("Reported"),
    "reportedBy": gettext_lazy("Reported by"),
    "routeCode": gettext_lazy("Route"),
    "runNo": gettext_lazy("Run"),
    "sampleQty": gettext_lazy("Samples"),
    "slot": gettext_lazy("Slot"),
    "slots": gettext_lazy("Slots"),
    "signedAt": gettext_lazy("Signed"),
    "signedBy": gettext_lazy("Signed by"),
    "startedAt": gettext_lazy("Started"),
    "stationCode": gettext_lazy("Station"),
    "stationGroupCode": gettext_lazy("Station group"),
    "statusAt": gettext_lazy("Status since"),
    "stencilStatus": gettext_lazy("Status"),
    "stirredAt": gettext_lazy("Stirred"),
    "taskNumber": gettext_lazy("Task"),
    "tensionMin": gettext_lazy("Least tension"),
    "tensionValue": gettext_lazy("Tension"),
    "thawedAt": gettext_lazy("Thawed"),
    "usageCount": gettext_lazy("Uses"),
    "value": gettext_lazy("Value"),
    "versionNo": gettext_lazy("Version"),
}


@dataclass(frozen=True)
class Row:
    """One item on the board."""

    judged: Judged
    title: str | Promise
    evidence: Sequence[tuple[str | Promise, Any]]
    page: str  # the name of the page where it is put right; empty: none of its own
    scan: str  # what is scanned to put it right: `stencil`, `solder-paste` or nothing
    may_waive: bool
    may_confirm: bool
    may_take_back: bool

    @property
    def status(self) -> ItemStatus:
        """What it comes to."""
        return self.judged.status

    @property
    def tone(self) -> str:
        """The tone of its status."""
        return LOOKS[self.judged.status][0]

    @property
    def symbol(self) -> str:
        """The symbol of its status."""
        return LOOKS[self.judged.status][1]


@dataclass(frozen=True)
class Board:
    """A run, what it still needs, and what a person may decide."""

    run: Run
    rows: Sequence[Row]
    checked_at: datetime
    may_authorize: bool
    may_revoke: bool

    @property
    def open_rows(self) -> list[Row]:
        """What is not right, waived or not."""
        return [row for row in self.rows if row.status != ItemStatus.PASSED]

    @property
    def passed_rows(self) -> list[Row]:
        """What is right."""
        return [row for row in self.rows if row.status == ItemStatus.PASSED]

    @property
    def failed(self) -> int:
        """How many items keep the run from starting."""
        return sum(1 for row in self.rows if row.status == ItemStatus.FAILED)

    @property
    def waived(self) -> int:
        """How many failed items somebody answers for."""
        return sum(1 for row in self.rows if row.status == ItemStatus.WAIVED)

    @property
    def is_open(self) -> bool:
        """Whether anything may still be decided."""
        return self.run.status in (RunStatus.PREP, RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS)


def build(outcome: Outcome, granted: Collection[str]) -> Board:
    """Return the board of an outcome for somebody with these capabilities; what is wrong comes first."""
    rows = [_row(judged, granted) for judged in outcome.items]
    rows.sort(key=lambda row: (ItemStatus.FAILED, ItemStatus.WAIVED, ItemStatus.PASSED).index(row.status))
    decides = Capability.AUTHORIZE in granted
    return Board(
        run=outcome.run,
        rows=rows,
        checked_at=outcome.facts.now,
        may_authorize=decides and outcome.run.status == RunStatus.PREP,
        may_revoke=decides and outcome.run.status == RunStatus.AUTHORIZED,
    )


def _row(judged: Judged, granted: Collection[str]) -> Row:
    finding, check = judged.finding, _check_of(judged.finding.item_type)
    is_failed = judged.status == ItemStatus.FAILED
    prepares = bool({Capability.BIND, Capability.AUTHORIZE} & set(granted))
    confirmed = bool(finding.evidence.get("confirmedBy")) and finding.evidence.get("isDone") is True
    is_preparation = finding.item_type.startswith("PREP_")
    return Row(
        judged=judged,
        title=finding.key if is_preparation else check.title if check else finding.item_type,
        evidence=_list_evidence(finding.evidence),
        page=check.page if check and finding.code else "",
        scan=SCANS.get(finding.item_type, "") if Capability.BIND in granted else "",
        may_waive=is_failed and finding.waivable and Capability.WAIVE in granted,
        may_confirm=is_failed and finding.code in CONFIRMED_BY_PEOPLE and prepares,
        may_take_back=is_preparation and not finding.code and confirmed and prepares,
    )


def _check_of(item_type: str) -> Check | None:
    return next((check for check in list_checks() if check.item_type == item_type), None)


def _list_evidence(evidence: Mapping[str, Any]) -> list[tuple[str | Promise, Any]]:
    """Return what was seen in words; what people need not know, such as ids, is left out."""
    unit = evidence.get("unit")
    rows: list[tuple[str | Promise, Any]] = []
    for name, value in evidence.items():
        if name not in LABELS or value is None or value == "":
            continue
        moment = parse_datetime(value) if isinstance(value, str) and name.endswith("At") else None
        if name in ("tensionValue", "tensionMin"):
            value = f"{value:g} N/cm"
        elif name == "value" and unit:
            value = f"{value} {unit}"
        elif isinstance(value, bool):
            value = _("yes") if value else _("no")
        rows.append((LABELS[name], moment or value))
    return rows
