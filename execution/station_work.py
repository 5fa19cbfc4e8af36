"""What people do at a station, from a checked body to the answer: for calls, and for entries that come with a key.

An entry is a call with `entryId`. It is handed to the channel of entries, which claims the key in the transaction of
the move (`integration.station_entries`); both ways do the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone

from execution import rules, tracking
from execution.failing_reports import FailingReport, find_failing, judge_fitting
from execution.models import Track, TrackSource
from execution.quality.defect_codes.catalogue import codes_when_asked
from execution.quality.defect_fields import named_defects
from execution.quality.defects import ReportedDefect, find_counting
from mes.plant.models import Station
from mes.production import runs
from mes.production.models import Unit
from mes.production.names import find_units
from mes.routing.judging import Reading, check_shape
from mes.routing.snapshots import StepSnapshot

CHANNEL = "station-entry"


class EntryKind(StrEnum):
    """What an entry does."""

    TRACK_IN = "TRACK_IN"
    TRACK_OUT = "TRACK_OUT"


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a call: its answer, the track, and whether that was opened or closed by it."""

    answer: dict[str, Any]
    track_id: int
    is_new: bool = True


def track_in(body: Mapping[str, Any], *, station_code: str, by: str) -> Done:
    """Track a unit in as a checked body says. `by` is who is signed in. Raises as `tracking.track_in` does."""
    track, unit, created = tracking.track_in(
        run_no=body.get("run_no"),
        sn=body["sn"],
        station_code=station_code,
        wo_no=body.get("wo_no"),
        at=body.get("at"),
        operator=body.get("operator_id") or by,
        by=by,
        may_be_late=body.get("entry_id") is not None,
    )
    answer = {
        "sn": unit.sn,
        "status": unit.status,
        "trackId": str(track.pk),
        "stepNo": track.step_no,
        "attempt": track.attempt,
    }
    return Done(answer, track.pk, created)


def track_out(body: Mapping[str, Any], *, station_code: str, by: str) -> Done:
    """Track a unit out as a checked body says. `by` is who is signed in.

    Raises ValidationFailed for a value that is not exactly one, and as `tracking.track_out` does.
    """
    departure = tracking.track_out(
        run_no=body.get("run_no"),
        sn=body["sn"],
        station_code=station_code,
        result=body["result"],
        at=body.get("at"),
        operator=body.get("operator_id") or by,
        by=by,
        readings=readings_of(body),
        defects=defects_of(body),
        track_id=body.get("track_id"),
        may_be_late=body.get("entry_id") is not None,
    )
    track, unit = departure.track, departure.unit
    answer = {
        "sn": unit.sn,
        "status": unit.status,
        "trackId": str(track.pk),
        "result": track.result,
        "resultOverride": track.result_override or None,
        "inspectionOverride": track.inspection_override,
        "nextStepNo": departure.next_step_no,
        **({"problems": departure.problems} if departure.problems else {}),
    }
    return Done(answer, track.pk)


def defects_of(body: Mapping[str, Any]) -> list[ReportedDefect]:
    """Return what a body says is wrong: the list, and the one by three fields of its own."""
    of_fields = ReportedDefect(
        code=body.get("defect_code") or "",
        location=body.get("defect_location") or "",
        remark=body.get("defect_remark") or "",
    )
    return [defect for defect in (of_fields, *named_defects(body.get("defects"))) if defect.says_something]


def readings_of(body: Mapping[str, Any]) -> list[Reading]:
    """Turn typed values into readings. Raises ValidationFailed unless each has exactly one value."""
    readings = [Reading(**value) for value in body.get("data") or ()]
    check_shape(readings)
    return readings


ACTS: dict[EntryKind, Callable[..., Done]] = {EntryKind.TRACK_IN: track_in, EntryKind.TRACK_OUT: track_out}


# --- what a refused entry says -----------------------------------------------------------------------------


def read_failing(body: Mapping[str, Any], *, station_code: str) -> tuple[str, FailingReport] | None:
    """Return what a refused track-out says against its unit, with the unit's present serial number; None where it says
    nothing against it, or where nobody knows the unit or its run.

    Its values are judged by the limits frozen in the step at which the unit was here last; else in the one that it
    would have been taken in for.
    """
    unit = find_units([body["sn"]], Unit.objects.select_related("run__route_version")).get(body["sn"])
    step = None if unit is None else _find_step(unit, station_code)
    if unit is None or step is None:
        return None
    at: datetime = body.get("at") or timezone.now()
    judged = judge_fitting(readings_of(body), step, source=TrackSource.MANUAL, default_time=at)
    defects = find_counting(defects_of(body), "", codes_when_asked())
    report = find_failing(step.step_no, body["result"], judged, defects)
    return None if report is None else (unit.sn, report)


def _find_step(unit: Unit, station_code: str) -> StepSnapshot | None:
    here = Track.objects.filter(unit=unit, station__code=station_code).select_related("run__route_version")
    track = here.order_by("-id").first()
    if track is not None:
        return runs.snapshot_of(track.run).step_of_track(track.step_no)
    if unit.run is None:
        return None
    steps = runs.snapshot_of(unit.run).steps
    station = Station.objects.filter(code=station_code).select_related("group").first()
    able = [step for step in steps if station is not None and rules.station_may_run(station, step)]
    return _nearest(able or steps, unit.current_step_no)


def _nearest(steps: Sequence[StepSnapshot], step_no: int | None) -> StepSnapshot:
    """Return the step nearest to where a unit stands."""
    return min(steps, key=lambda step: abs(step.step_no - (step_no or 0)))
