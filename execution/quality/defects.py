"""Defects have one home, and are made and withdrawn here, whoever found them: a person at track-out or afterwards, a
machine with a pass, an inspection, a value outside its limits, an inspection of first articles or of a lot.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import msgspec
from django.utils import timezone

from execution.models import Track
from execution.outbox_events import defect_event
from execution.quality.defect_codes.catalogue import NO_CODES, OUT_OF_LIMITS, UNSPECIFIED, Catalogue, Codes, load
from execution.quality.models import Defect, DefectSource, DefectStatus, InspectionResult
from mes.platform.accounts.authentication import OF_TOKENS
from mes.platform.database.prepared import fetch_all
from mes.platform.outbox.emit import emit
from mes.production.models import Unit
from mes.routing.judging import FailedValue

LONGEST_CODE, LONGEST_LOCATION, LONGEST_REMARK = 100, 100, 500

__all__ = ["UNSPECIFIED", "Finder", "Place", "ReportedDefect", "build_defects"]


class ReportedDefect(msgspec.Struct, rename="camel", frozen=True):
    """What somebody, or a machine, saw wrong with a unit. One of which nothing is said is none.

    One that was called falsely is kept as a fact, and says nothing against the unit.
    """

    code: str = ""
    location: str = ""
    remark: str = ""
    quantity: int = 1
    is_false_call: bool = False

    @property
    def says_something(self) -> bool:
        """Whether anything was said."""
        return bool(self.code or self.location or self.remark)


@dataclass(frozen=True, slots=True)
class Finder:
    """Who found defects: `by` is who was signed in, `source_system` what reported them, where that was a machine."""

    source: DefectSource
    by: str = ""
    source_system: str = ""
    inspection: InspectionResult | None = None

    @property
    def is_machine(self) -> bool:
        """Whether what it says is a fact, whose codes nobody can choose."""
        return self.source in (DefectSource.MACHINE, DefectSource.INSPECTION)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a defect was found: a unit in a run at a step; the station and the track, where one is meant."""

    unit_id: int
    run_id: int
    step_no: int
    rework_no: int
    station_id: int | None = None
    track_id: int | None = None

    @classmethod
    def of_track(cls, track: Track, unit: Unit) -> Self:
        """Return the place of a track; `unit` is its unit as it is now."""
        return cls(unit.pk, track.run_id, track.step_no, unit.rework_no, track.station_id, track.pk)


class OpenDefect(msgspec.Struct, array_like=True, frozen=True):
    """An open defect of a unit, as far as leaving a step depends on it.

    `counts`: a board with it is not acceptable, no rework took it along, and no case of what was found is released
    since it was recorded. Of one that has a case of its own that is the case, and of what a person recorded one of a
    defect: who releases a unit from an alarm says nothing about it.
    """

    id: int
    track_id: int | None
    run_id: int
    step_no: int
    code: str
    location: str
    is_of_inspection: bool
    counts: bool

    @property
    def in_words(self) -> str:
        """Code and location."""
        return f"{self.code} {self.location}".strip()


# The sources of cases that are about what was found wrong: who releases one knows it, and lets the unit go on with it.
_CASES_OF_FINDINGS = "'REPORT', 'ALARM', 'DATA', 'INSPECTION', 'DEFECT', 'REPAIR', 'FAI', 'OQC'"
# The open defects of a unit `u`: a JSON array, NULL without any.
OPEN_DEFECTS = f"""
    (SELECT json_agg(json_build_array(
                d.id, d.track_id, d.run_id, d.step_no, d.code, d.location, d.inspection_id IS NOT NULL,
                d.rework_no >= u.rework_no
                AND (SELECT severity FROM execution_defectcode WHERE code = d.code LIMIT 1)
                    IS DISTINCT FROM 'PROCESS_INDICATOR'
                AND NOT EXISTS (SELECT FROM mes_heldunit h
                                 WHERE h.unit_id = u.id AND h."end" = 'RELEASED' AND h.ended_at >= d.created_at
                                   AND (d.hold_id IS NULL OR d.hold_id = h.hold_id)
                                   AND (SELECT c.source IN ({_CASES_OF_FINDINGS})
                                               AND (d.source <> 'HAND' OR c.source = 'DEFECT')
                                          FROM mes_hold c WHERE c.id = h.hold_id LIMIT 1))) ORDER BY d.id)::text
       FROM execution_defect d WHERE d.unit_id = u.id AND d.status = 'OPEN')
"""


_OF_UNITS = f"SELECT u.id, {OPEN_DEFECTS} FROM mes_unit u WHERE u.id = ANY(%(unit_ids)s)"

# The codes of defects that are none of the tree, each found by the index however many defects have it.
UNMAPPED_CODES = """
    WITH RECURSIVE codes (code) AS (
        (SELECT code FROM execution_defect ORDER BY code LIMIT 1)
        UNION ALL
        SELECT (SELECT d.code FROM execution_defect d WHERE d.code > c.code ORDER BY d.code LIMIT 1)
          FROM codes c WHERE c.code IS NOT NULL
    )
    SELECT code FROM codes
     WHERE code IS NOT NULL AND NOT EXISTS (SELECT FROM execution_defectcode k WHERE k.code = codes.code)
"""


def build_defects(
    place: Place, reported: Iterable[ReportedDefect], *, finder: Finder, at: datetime, catalogue: Catalogue
) -> list[Defect]:
    """Return defects, unsaved, one for each that says something; without a code it is UNSPECIFIED. `at` is when they
    were found.

    Of a machine's, `reported_code` is what it said, and `code` what that means by the catalogue.
    """
    return [_build(place, defect, finder, at, catalogue) for defect in reported if defect.says_something]


def _build(place: Place, said: ReportedDefect, finder: Finder, at: datetime, catalogue: Catalogue) -> Defect:
    code = catalogue.resolve(said.code, finder.source_system) if finder.is_machine else said.code or UNSPECIFIED
    defect = _new(place, finder, at)
    defect.code, defect.reported_code = code, said.code if finder.is_machine else ""
    defect.location, defect.quantity, defect.remark = said.location, said.quantity, said.remark
    if said.is_false_call:
        defect.status, defect.settled_by, defect.settled_at = DefectStatus.FALSE_CALL, finder.by[:150], timezone.now()
    return defect


def _new(place: Place, finder: Finder, at: datetime) -> Defect:
    return Defect(
        unit_id=place.unit_id,
        run_id=place.run_id,
        track_id=place.track_id,
        station_id=place.station_id,
        inspection=finder.inspection,
        step_no=place.step_no,
        rework_no=place.rework_no,
        code=UNSPECIFIED,
        source=finder.source,
        source_system=finder.source_system,
        found_by=finder.by,
        found_at=at,
    )


def build_of_values(place: Place, failed: Sequence[FailedValue], *, by: str, at: datetime) -> list[Defect]:
    """Return the defects, unsaved, that failed KEY values are: OUT_OF_LIMITS at the spec, with value and limits."""
    defects = []
    for value in failed:
        defect = _new(place, Finder(DefectSource.VALUE, by), at)
        defect.code, defect.location, defect.remark = OUT_OF_LIMITS, value.spec_name[:100], value.in_words[:500]
        defects.append(defect)
    return defects


def build_unspecified(place: Place, *, finder: Finder, at: datetime) -> Defect:
    """Return the defect, unsaved, of a pass that failed and nobody said why."""
    return _new(place, finder, at)


def check_named(reported: Iterable[ReportedDefect], catalogue: Catalogue) -> None:
    """Raise DefectCodeNotFound for the first code of a person that is unknown or not active."""
    for defect in reported:
        if defect.code:
            catalogue.check_active(defect.code)


def find_counting(reported: Iterable[ReportedDefect], source_system: str, codes: Codes) -> list[str]:
    """Return what a machine says that keeps its unit from passing, in words."""
    said = [defect for defect in reported if defect.says_something and not defect.is_false_call]
    if not said:
        return []
    catalogue = codes()
    meant = {defect: catalogue.resolve(defect.code, source_system) for defect in said}
    return [f"{code} {defect.location}".strip() for defect, code in meant.items() if catalogue.is_defect(code)]


def list_against(defects: Iterable[Defect], catalogue: Catalogue) -> list[Defect]:
    """Return the open ones with which no unit passes: no process indicators."""
    return [each for each in defects if each.status == DefectStatus.OPEN and catalogue.is_defect(each.code)]


def record_found(inspection: InspectionResult, track: Track, unit: Unit) -> None:
    """Make the defects of an inspection that fails a track; an unspecified one where it names none. Its source system
    is the token that reported it.
    """
    assert inspection.status_at is not None  # it was reported
    system = inspection.recorded_by.removeprefix(OF_TOKENS)
    finder = Finder(
        DefectSource.INSPECTION,
        inspection.recorded_by,
        system[:100] if inspection.recorded_by.startswith(OF_TOKENS) else "",
        inspection,
    )
    place, at = Place.of_track(track, unit), inspection.status_at
    said = [
        ReportedDefect(defect["code"], normal_location(defect.get("location") or ""), defect.get("remark") or "")
        for defect in inspection.defects
    ]
    found = build_defects(place, said, finder=finder, at=at, catalogue=load() if said else NO_CODES)
    made = Defect.objects.bulk_create(found or [build_unspecified(place, finder=finder, at=at)])
    emit(defect_event(unit.pk, found=str(made[0].pk), at=at))


def list_standing(open_defects: Iterable[OpenDefect], track: Track) -> list[OpenDefect]:
    """Return the open defects of a unit with which it does not pass this track: none of an earlier pass of its step,
    and none of the inspections of this one, which say by themselves whether it fails.
    """
    return [
        each
        for each in open_defects
        if each.counts
        and not _is_of_earlier_pass(each, track)
        and not (each.is_of_inspection and each.track_id == track.pk)
    ]


def list_passed(open_defects: Iterable[OpenDefect], track: Track) -> list[int]:
    """Return the ids of the open defects that are settled when a track passes: those of earlier passes of its step."""
    return [each.id for each in open_defects if _is_of_earlier_pass(each, track)]


def find_counting_of(unit_ids: Sequence[int]) -> dict[int, list[OpenDefect]]:
    """Return the open defects with which these units are not acceptable, by unit; of those that have some."""
    rows = fetch_all(_OF_UNITS, {"unit_ids": list(unit_ids)})
    found = {unit_id: msgspec.json.decode(text, type=list[OpenDefect]) for unit_id, text in rows if text}
    counting = {unit_id: [each for each in defects if each.counts] for unit_id, defects in found.items()}
    return {unit_id: defects for unit_id, defects in counting.items() if defects}


def _is_of_earlier_pass(defect: OpenDefect, track: Track) -> bool:
    return (defect.run_id, defect.step_no) == (track.run_id, track.step_no) and defect.track_id != track.pk


def withdraw_all(track: Track) -> None:
    """Withdraw the defects that inspections found of a track: a review found nothing wrong with it."""
    found = Defect.objects.filter(track=track, status=DefectStatus.OPEN, inspection__isnull=False)
    found.update(status=DefectStatus.WITHDRAWN, settled_at=timezone.now())


def has_others(track: Track) -> bool:
    """Whether a track has open defects that no inspection found, with which a unit does not pass."""
    others = Defect.objects.filter(track=track, status=DefectStatus.OPEN, inspection=None)
    codes = list(others.values_list("code", flat=True))
    return bool(codes) and any(map(load().is_defect, codes))


def settle_passed(track: Track) -> None:
    """Settle the open defects of earlier passes of a step whose track has passed: no fault was found."""
    earlier = Defect.objects.filter(unit=track.unit_id, run=track.run_id, step_no=track.step_no)
    found = earlier.filter(status=DefectStatus.OPEN).exclude(track=track)
    found.update(status=DefectStatus.NO_FAULT_FOUND, settled_by=track.out_by[:150], settled_at=timezone.now())


def withdraw_found(inspection: InspectionResult) -> None:
    """Withdraw what an earlier report of the same inspection had found: the latest counts."""
    found = inspection.found_defects.filter(status=DefectStatus.OPEN)
    found.update(status=DefectStatus.WITHDRAWN, settled_at=timezone.now())


def normal_location(said: str) -> str:
    """Return a designator as it is kept: in capitals, whatever cannot be seen left out, without blanks at its ends."""
    return "".join(sign for sign in said if sign.isprintable()).strip().upper()[:LONGEST_LOCATION]
