"""Inspection results: per track and kind of inspection, the latest by event time counts.

A FAIL on the open track forces its track-out to FAIL, unless a later review says PASS before; where one says so
afterwards, see `reviews`. A FAIL for a closed track puts the unit on hold. Either makes the defects, which a later PASS
withdraws.

That an open track is failed is kept on its own row (`inspection_override`), so that leaving costs no look elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from execution.dispositions import hold
from execution.models import Track, TrackResult
from execution.quality import reviews
from execution.quality.defects import record_found, withdraw_found
from execution.quality.models import InspectionResult, InspectionVerdict
from mes import errors
from mes.plant.models import Station
from mes.production.hold_models import HoldSource
from mes.production.locking import lock_units
from mes.production.models import Run, Unit
from mes.production.names import find_names, named
from mes.production.serial_numbers import check_readable, no_such_unit
from mes.status_reports.history import Report, keep
from mes.status_reports.models import ReportKind, StatusReport


@dataclass(frozen=True)
class Inspected:
    """What became of a report: the track it belongs to, what counts for it now, and the unit's state."""

    report: StatusReport
    inspection: InspectionResult
    unit: Unit
    counts: bool


def report_inspection(
    report: Report,
    *,
    run_no: str | None,
    station_code: str,
    unit_sn: str,
    step_no: int,
    inspection_type: str,
    result: str,
    defects: Sequence[dict[str, Any]] = (),
) -> Inspected:
    """Take an inspection's result for the latest track of unit, station and step, in the named run or in any (inside a
    transaction).

    `defects`: {code, location, remark}. Raises SnIsReference, RunNotFound, UnitNotFound, StationNotFound,
    TrackNotFound.
    """
    unit = next(iter(lock_units(Unit.objects.filter(named([unit_sn])))), None)
    track = _find_track(unit, run_no=run_no, station_code=station_code, unit_sn=unit_sn, step_no=step_no)
    assert unit is not None  # or there were no track
    inspection = InspectionResult.objects.filter(track=track, inspection_type=inspection_type).first()
    inspection = inspection or InspectionResult(track=track, inspection_type=inspection_type)
    changed_fields = inspection.apply_report(
        {"result": result}, at=report.event_time, event_id=report.event_id, status="result"
    )
    if changed_fields:
        inspection.defects, inspection.source = list(defects), report.source
        inspection.operator_id, inspection.recorded_by = report.operator_id, report.recorded_by
        inspection.save()
        withdraw_found(inspection)
        if result == InspectionVerdict.FAIL:
            record_found(inspection, track, unit)
        if track.out_at is None:
            _note_override(track)
        elif result == InspectionVerdict.FAIL:
            _hold(unit, track, inspection)
        else:
            reviews.take(track, unit)
    kept = keep(report, kind=ReportKind.INSPECTION_RESULT, subject=unit.sn)
    return Inspected(kept, inspection, unit, bool(changed_fields))


def _note_override(track: Track) -> None:
    """Note on an open track whether an inspection fails it at present; under the unit's lock."""
    track.inspection_override = InspectionResult.objects.filter(track=track, result=InspectionVerdict.FAIL).exists()
    track.save(update_fields=["inspection_override"])


def _find_track(unit: Unit | None, *, run_no: str | None, station_code: str, unit_sn: str, step_no: int) -> Track:
    check_readable(unit_sn)
    named: dict[str, Any] = {"station__code": station_code, "step_no": step_no}
    if run_no is not None:
        named["run__run_no"] = run_no
    track = Track.objects.filter(unit=unit, **named).order_by("-id").first() if unit else None
    if track is not None:
        return track
    if unit is None:
        find_names([unit_sn]).check_no_reference([unit_sn])
    if run_no is not None and not Run.objects.filter(run_no=run_no).exists():
        raise errors.RunNotFound(code=run_no)
    if unit is None:
        raise no_such_unit(unit_sn)
    if not Station.objects.filter(code=station_code).exists():
        raise errors.StationNotFound(code=station_code)
    raise errors.TrackNotFound(sn=unit_sn, run_no=run_no, station_code=station_code, step_no=step_no)


def _hold(unit: Unit, track: Track, inspection: InspectionResult) -> None:
    """Hold the unit, unless the pass had failed anyway: then it went where a failure leads."""
    if track.result == TrackResult.FAIL:
        return
    names = ", ".join(dict.fromkeys(str(defect["code"]) for defect in inspection.defects))
    reason = _("%(type)s failed after step %(step)d was passed") % {
        "type": inspection.inspection_type,
        "step": track.step_no,
    }
    hold(unit, reason=f"{reason}: {names}"[:500] if names else reason, source=HoldSource.INSPECTION)
