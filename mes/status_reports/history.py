"""Keeping what was reported."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mes.status_reports.models import ReportKind, StatusReport


@dataclass(frozen=True, slots=True)
class Report:
    """A report: who reported what and when. `content` is the body as it was sent, without what every report carries.

    `operator_id` is who is said to have done it, `recorded_by` who was signed in.
    """

    event_id: str
    event_time: datetime
    source: str
    operator_id: str
    content: Mapping[str, Any]
    meta: Any = None
    recorded_by: str = ""


def keep(report: Report, *, kind: ReportKind, subject: str) -> StatusReport:
    """Keep a report as history."""
    return StatusReport.objects.create(
        kind=kind,
        subject=subject,
        event_id=report.event_id,
        event_time=report.event_time,
        source=report.source,
        operator_id=report.operator_id,
        recorded_by=report.recorded_by,
        content=report.content,
        meta=report.meta,
    )
