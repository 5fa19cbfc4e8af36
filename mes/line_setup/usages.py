"""The usages of solder paste lots: derived from all reports and scans, told to the outbox once each."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mes import errors
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, SolderPasteUsage
from mes.line_setup.queries import line_of_lot
from mes.line_setup.rules import Usage, UsageReport, merge_usages
from mes.plant.models import Line
from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import EventType
from mes.production.models import Run
from mes.status_reports.models import ReportKind, StatusReport

TIMES = {
    "receivedAt": "received_at",
    "thawedAt": "thawed_at",
    "issuedAt": "issued_at",
    "returnedAt": "returned_at",
}
NAMES = {"lineCode": "line_code", "runNo": "run_no"}


def check_names(content: Mapping[str, Any]) -> None:
    """Raise LineNotFound or RunNotFound for a line or run that a report names and that does not exist."""
    line_code, run_no = content.get("lineCode"), content.get("runNo")
    if line_code is not None and not Line.objects.filter(code=line_code).exists():
        raise errors.LineNotFound(code=line_code)
    if run_no is not None and not Run.objects.filter(run_no=run_no).exists():
        raise errors.RunNotFound(code=run_no)


def refresh(lot: MaterialLot) -> list[SolderPasteUsage]:
    """Update the usages of a lot, whose row is locked, from all reports and scans; return them, earliest first.

    An issue and an end that are new become outbox events at their own times. An end that turns out to have been
    earlier becomes another event, because a clock of the lot depends on it.
    """
    usages_by_issue = {usage.issued_at: usage for usage in lot.usages.select_related("line", "run")}
    scans = Load.objects.filter(lot=lot, ended_at__isnull=False).values_list("ended_at", flat=True)
    merged = merge_usages(list_reports(lot), unbound_at=[at for at in scans if at], issues=usages_by_issue)
    lines = {line.code: line for line in Line.objects.filter(code__in={usage.line_code for usage in merged})}
    runs = {run.run_no: run for run in Run.objects.filter(run_no__in={usage.run_no for usage in merged})}
    thawed_before = {usage.thawed_at for usage in usages_by_issue.values()}
    events: list[NewEvent] = []
    usages = []
    for reported in merged:
        usage = usages_by_issue.get(reported.issued_at) or SolderPasteUsage(lot=lot, issued_at=reported.issued_at)
        before, is_new = usage.returned_at, usage.pk is None
        if _merge(usage, reported, lines, runs):
            usage.save()
        events += _events(usage, is_new=is_new, returned_before=before)
        usages.append(usage)
    thawed = {usage.thawed_at for usage in usages} - thawed_before - {None}
    events += [thaw_event(lot, at) for at in sorted(at for at in thawed if at is not None)]
    emit(*events)
    return usages


def list_reports(lot: MaterialLot) -> list[UsageReport]:
    """Return the accepted reports about a lot."""
    reports = StatusReport.objects.filter(kind=ReportKind.SOLDER_PASTE_USAGE, subject=lot.lot_id)
    return [read_report(report.event_time, report.event_id, report.content) for report in reports]


def read_report(event_time: datetime, event_id: str, content: Mapping[str, Any]) -> UsageReport:
    """Return the report that a content tells: names, and times as RFC 3339 text."""
    fields: dict[str, Any] = {name: content.get(key) for key, name in NAMES.items()}
    fields |= {name: _read_time(content.get(key)) for key, name in TIMES.items()}
    return UsageReport(event_time, event_id, **fields)


def _read_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _merge(usage: SolderPasteUsage, reported: Usage, lines: Mapping[str, Line], runs: Mapping[str, Run]) -> bool:
    """Copy what was reported; return whether anything changed. What came from reports that have expired stays."""
    values: dict[str, Any] = {
        "line": lines.get(reported.line_code or ""),
        "run": runs.get(reported.run_no or ""),
        "received_at": reported.received_at,
        "thawed_at": reported.thawed_at,
    }
    values = {name: value for name, value in values.items() if value is not None}
    if reported.is_reported or reported.returned_at is not None:
        values["returned_at"] = reported.returned_at  # perhaps none: a later issue may have taken the return over
    changed = usage.pk is None
    for name, value in values.items():
        if value != getattr(usage, name):
            setattr(usage, name, value)
            changed = True
    return changed


def _events(usage: SolderPasteUsage, *, is_new: bool, returned_before: datetime | None) -> list[NewEvent]:
    events = []
    if is_new:
        events.append(_event(EventType.SOLDER_PASTE_USAGE_CREATE, usage, at=usage.issued_at))
    if usage.returned_at is not None and (returned_before is None or usage.returned_at < returned_before):
        suffix = "" if returned_before is None else f":{usage.returned_at.astimezone(UTC).isoformat()}"
        events.append(_event(EventType.SOLDER_PASTE_USAGE_UNBIND, usage, at=usage.returned_at, suffix=suffix))
    return events


def thaw_event(lot: MaterialLot, at: datetime) -> NewEvent:
    """Return the SOLDER_PASTE_THAW of a lot; told of twice, by its status and its use, it is one."""
    at_utc = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    line = line_of_lot(lot)
    return NewEvent(
        event_type=EventType.SOLDER_PASTE_THAW,
        key=f"solder-paste-thaw:{lot.pk}:{at_utc}",
        entity_type="SOLDER_PASTE_LOT",
        entity_id=lot.lot_id,
        occurred_at=at,
        payload={
            "lotId": lot.lot_id,
            "lineId": line.pk if line else None,
            "lineCode": line.code if line else None,
            "thawedAt": at_utc,
        },
    )


def _event(event_type: EventType, usage: SolderPasteUsage, *, at: datetime, suffix: str = "") -> NewEvent:
    line = usage.line or line_of_lot(usage.lot)
    return NewEvent(
        event_type=event_type,
        key=f"{event_type.value.lower().replace('_', '-')}:{usage.pk}{suffix}",
        entity_type="SOLDER_PASTE_LOT",
        entity_id=usage.lot.lot_id,
        occurred_at=at,
        run_id=usage.run_id,
        payload={
            "lotId": usage.lot.lot_id,
            "usageId": str(usage.pk),
            "lineId": line.pk if line else None,
            "lineCode": line.code if line else None,
            "runNo": usage.run.run_no if usage.run else None,
            "issuedAt": usage.issued_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        },
    )
