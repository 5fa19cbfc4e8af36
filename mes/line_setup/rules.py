"""What reports about a lot of solder paste say together, in whatever order they arrived. Pure functions."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UsageReport:
    """One report. `event_time` and `event_id` decide which of two reports counts where they differ."""

    event_time: datetime
    event_id: str
    line_code: str | None = None
    run_no: str | None = None
    received_at: datetime | None = None
    thawed_at: datetime | None = None
    issued_at: datetime | None = None
    returned_at: datetime | None = None


@dataclass(slots=True)
class Usage:
    """One use of a lot, as all reports together tell it. `is_reported`: one of them names its issue."""

    issued_at: datetime
    is_reported: bool = False
    line_code: str | None = None
    run_no: str | None = None
    received_at: datetime | None = None
    thawed_at: datetime | None = None
    returned_at: datetime | None = None


MERGED = ("line_code", "run_no", "received_at", "thawed_at", "returned_at")


def merge_usages(
    reports: Iterable[UsageReport], *, unbound_at: Iterable[datetime] = (), issues: Iterable[datetime] = ()
) -> list[Usage]:
    """Return the usages of one lot, the earliest first. The order of the reports plays no part.

    A usage is (lot, issued at). A report that names no issue belongs to the latest issue before its return, or, when
    it tells of none, to the first issue after what it tells; until that issue is reported, it belongs to none. Of
    two reports the later by event time counts. A usage ends when the lot is returned, or unbound from its line (the
    latest issue before it), whichever comes first. `issues` are issues known otherwise.
    """
    reports = list(reports)
    issued = sorted({report.issued_at for report in reports if report.issued_at} | set(issues))
    named = {report.issued_at for report in reports}
    usages = {at: Usage(at, is_reported=at in named) for at in issued}
    for report in sorted(reports, key=lambda report: (report.event_time, report.event_id)):
        at = find_issue(report, issued)
        for name in MERGED if at is not None else ():
            value = getattr(report, name)
            if value is not None:
                setattr(usages[at], name, value)  # type: ignore[index]
    for moment in unbound_at:
        at = _latest_until(issued, moment)
        if at is not None:
            usages[at].returned_at = min(usages[at].returned_at or moment, moment)
    return [usages[at] for at in issued]


def find_issue(report: UsageReport, issued: Sequence[datetime]) -> datetime | None:
    """Return the issue, of those of its lot in ascending order, that a report belongs to."""
    if report.issued_at is not None:
        return report.issued_at
    if report.returned_at is not None:
        return _latest_until(issued, report.returned_at)
    reported_at = max((at for at in (report.received_at, report.thawed_at) if at), default=None)
    if reported_at is None:
        return None
    index = bisect_left(issued, reported_at)
    return issued[index] if index < len(issued) else None


def _latest_until(issued: Sequence[datetime], moment: datetime) -> datetime | None:
    index = bisect_right(issued, moment)
    return issued[index - 1] if index else None
