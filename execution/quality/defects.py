"""Defects have one home, and are made and withdrawn here, whoever found them: a person at track-out, a machine with a
failed pass, an inspection.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from execution.models import Track
from execution.quality.models import Defect, DefectStatus, InspectionResult

UNSPECIFIED = "UNSPECIFIED"  # the code of a defect that was reported without one


@dataclass(frozen=True, slots=True)
class ReportedDefect:
    """What somebody, or a machine, saw wrong with a unit. One of which nothing is said is none."""

    code: str = ""
    location: str = ""
    remark: str = ""

    @property
    def says_something(self) -> bool:
        """Whether anything was said."""
        return bool(self.code or self.location or self.remark)


def build_defects(
    track: Track, reported: Iterable[ReportedDefect], *, at: datetime, inspection: InspectionResult | None = None
) -> list[Defect]:
    """Return the defects of a track, unsaved; one reported without a code is UNSPECIFIED. `at` is when they were found.

    With an `inspection`, they are what that found.
    """
    return [
        Defect(
            unit_id=track.unit_id,
            run_id=track.run_id,
            track_id=track.pk,
            inspection=inspection,
            step_no=track.step_no,
            code=defect.code or UNSPECIFIED,
            location=defect.location,
            remark=defect.remark,
            found_at=at,
        )
        for defect in reported
        if defect.says_something
    ]


def record_found(inspection: InspectionResult, track: Track) -> None:
    """Make the defects of an inspection that fails a track; one named like the inspection where it names none."""
    assert inspection.status_at is not None  # it was reported
    found = [
        ReportedDefect(defect["code"], defect.get("location") or "", defect.get("remark") or "")
        for defect in inspection.defects or [{"code": inspection.inspection_type}]
    ]
    Defect.objects.bulk_create(build_defects(track, found, at=inspection.status_at, inspection=inspection))


def withdraw_all(track: Track) -> None:
    """Withdraw the defects of a track: a review found nothing wrong with it."""
    Defect.objects.filter(track=track, status=DefectStatus.OPEN).update(status=DefectStatus.WITHDRAWN)


def withdraw_found(inspection: InspectionResult) -> None:
    """Withdraw what an earlier report of the same inspection had found: the latest counts."""
    inspection.found_defects.filter(status=DefectStatus.OPEN).update(status=DefectStatus.WITHDRAWN)
