"""What stations did in the shift that they are in: for the page of a station, and for what looks at all of a line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import msgspec
from django.utils import timezone

from execution.models import TrackResult
from execution.quality.hold_rules.passes import CLOSED_BY_DECISION
from mes.plant import calendar
from mes.plant.calendar import ShiftTime
from mes.plant.models import Line, Station
from mes.platform.database.prepared import fetch_all
from mes.production.models import RunKind

LAST_UNITS = 10


@dataclass(frozen=True, slots=True)
class LastUnit:
    """A unit that left a station."""

    sn: str
    run_no: str
    step_no: int
    operation_code: str
    attempt: int
    result: str
    out_at: datetime
    is_trial: bool


@dataclass(frozen=True, slots=True)
class ShiftFigures:
    """What a station did in a shift. `shift` is empty where the time is in none; `date` is the day that it began.

    Passes are counted, so a unit that is tested again counts again; trials do not count. A pass that a decision closed
    came in and did not leave. `first_pass_yield` is in per cent, of first attempts in production runs; None before the
    first one.
    `last_units` left last, trials too, newest first, in whatever shift that was.
    """

    date: date
    shift: str
    start: datetime
    end: datetime
    count_in: int
    count_pass: int
    count_fail: int
    first_pass_yield: float | None
    last_units: Sequence[LastUnit]


_DECISIONS = ", ".join(repr(each.value) for each in CLOSED_BY_DECISION)
_LEFT = f"t.out_at < place.until AND t.result_override NOT IN ({_DECISIONS})"
_ENTERED = "t.in_at >= place.start AND t.in_at < place.until"
# Whoever came in during a shift has left since it began, or is inside: what left is found by the index of stations and
# times of leaving, what is inside by that of open tracks. The plan is made once, without knowing what is given: of a
# limit that it does not know it thinks that it leaves a tenth of all tracks, and it would look at all units. For a
# limit, too, each run of what left is found by its key: joined, all runs would be read.
FIGURES = f"""
    SELECT place.station_id, closed.entered + inside.entered, closed.passed, closed.failed, closed.firsts,
           closed.first_passed, latest.units
      FROM unnest(%(station_ids)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
               AS place(station_id, start, until)
      CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE {_ENTERED}) AS entered,
                 count(*) FILTER (WHERE {_LEFT} AND t.result = '{TrackResult.PASS}') AS passed,
                 count(*) FILTER (WHERE {_LEFT} AND t.result = '{TrackResult.FAIL}') AS failed,
                 count(*) FILTER (WHERE {_LEFT} AND t.attempt = 1 AND r.kind = '{RunKind.PRODUCTION}')
                     AS firsts,
                 count(*) FILTER (WHERE {_LEFT} AND t.attempt = 1 AND r.kind = '{RunKind.PRODUCTION}'
                                    AND t.result = '{TrackResult.PASS}') AS first_passed
            FROM execution_track t
            LEFT JOIN LATERAL (SELECT kind FROM mes_run WHERE id = t.run_id LIMIT 1) r ON true
           WHERE t.station_id = place.station_id AND t.out_at >= place.start AND NOT t.is_trial
      ) AS closed
      CROSS JOIN LATERAL (
          SELECT count(*) AS entered FROM execution_track t
           WHERE t.station_id = place.station_id AND t.out_at IS NULL AND NOT t.is_trial AND {_ENTERED}
      ) AS inside
      CROSS JOIN LATERAL (
          SELECT json_agg(json_build_array(u.sn, r.run_no, t.step_no, t.operation_code, t.attempt, t.result, t.out_at,
                                           t.is_trial) ORDER BY t.out_at DESC, t.id DESC)::text AS units
            FROM (SELECT * FROM execution_track t
                   WHERE t.station_id = place.station_id AND t.out_at IS NOT NULL AND %(with_last)s::boolean
                   ORDER BY t.out_at DESC, t.id DESC LIMIT {LAST_UNITS}) AS t
            JOIN mes_unit u ON u.id = t.unit_id
            JOIN mes_run r ON r.id = t.run_id
      ) AS latest
"""
_LATEST = msgspec.json.Decoder(list[tuple[str, str, int, str, int, str, datetime, bool]])


def shift_figures(
    stations: Sequence[Station], at: datetime, *, last_units: int = LAST_UNITS
) -> dict[int, ShiftFigures]:
    """Return what each station did in the shift of its line that `at` is in, by its id: two statements, however many
    stations there are; at most `LAST_UNITS` last units. A station without a line, and one of a line without shifts, is
    told the whole day.
    """
    times = _find_times(stations, at)
    given = {
        "station_ids": list(times),
        "starts": [shift.started_at for shift in times.values()],
        "ends": [shift.ended_at for shift in times.values()],
        "with_last": last_units > 0,
    }
    return {row[0]: _as_figures(times[row[0]], last_units, *row[1:]) for row in fetch_all(FIGURES, given)}


def _find_times(stations: Sequence[Station], at: datetime) -> dict[int, ShiftTime]:
    """Return the shift that each station is in."""
    zone = timezone.get_default_timezone()
    lines = {station.line_id for station in stations if station.line_id is not None}
    shifts_of = dict(Line.objects.filter(pk__in=lines).values_list("pk", "shifts"))
    of_line: dict[int | None, ShiftTime] = {
        line_id: calendar.shift_at(shifts, zone, at) for line_id, shifts in shifts_of.items()
    }
    of_line[None] = calendar.shift_at([], zone, at)
    return {station.pk: of_line[station.line_id] for station in stations}


def _as_figures(
    shift: ShiftTime,
    most: int,
    entered: int,
    passed: int,
    failed: int,
    firsts: int,
    first_passed: int,
    latest: str | None,
) -> ShiftFigures:
    return ShiftFigures(
        date=shift.date,
        shift=shift.code,
        start=shift.started_at,
        end=shift.ended_at,
        count_in=entered,
        count_pass=passed,
        count_fail=failed,
        first_pass_yield=100 * first_passed / firsts if firsts else None,
        last_units=[_as_unit(*columns) for columns in _LATEST.decode(latest)[:most]] if latest else [],
    )


def _as_unit(
    sn: str, run_no: str, step_no: int, operation: str, attempt: int, result: str, out_at: datetime, is_trial: bool
) -> LastUnit:
    return LastUnit(sn, run_no, step_no, operation, attempt, result, out_at.astimezone(UTC), is_trial)
