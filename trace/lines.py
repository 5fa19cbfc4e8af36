"""What the lines do now: current runs, how many units stand where, and the latest moves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet

from execution.models import Track
from mes.plant.models import Line, Station
from mes.platform.database.instances import Columns, instances
from mes.platform.database.prepared import fetch_all
from mes.production.hold_models import Hold, HoldStatus
from mes.production.models import Run, RunStatus, Unit
from trace.runs import RunState, as_run, build_states, select_runs

CURRENT_RUN_STATUSES = (RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS, RunStatus.ON_HOLD)
RUNS_PER_LINE = 3
LATEST_MOVES = 15


@dataclass(frozen=True)
class LineState:
    """A line, its newest current runs, and how many more there are; why it is stopped, and which stations of it are."""

    line: Line
    runs: Sequence[RunState]
    more_runs: int
    stopped: Sequence[str] = ()
    stopped_stations: Sequence[str] = ()

    @property
    def attention(self) -> int:
        """Units of the shown runs that wait for a decision."""
        return sum(state.tally.attention for state in self.runs)


@dataclass(frozen=True)
class Move:
    """The last thing that happened on a track: the unit entered, or left with a result."""

    track: Track

    @property
    def at(self) -> datetime:
        """When it was."""
        return self.track.out_at or self.track.in_at


@dataclass(frozen=True)
class Floor:
    """Everything the start page shows."""

    lines: Sequence[LineState]
    moves: Sequence[Move]


_RANKED = f"""
    (SELECT *, row_number() OVER (PARTITION BY line_id ORDER BY id DESC) AS rank,
            count(*) OVER (PARTITION BY line_id) AS on_line
       FROM mes_run WHERE status IN ({", ".join(f"'{status.value}'" for status in CURRENT_RUN_STATUSES)})) AS r
"""
CURRENT_RUNS = f"{select_runs(_RANKED, 'r.on_line')} WHERE r.rank <= {RUNS_PER_LINE} ORDER BY r.line_id, r.id DESC"
_TRACK = Columns(Track, "t")
MOVES = f"""
    SELECT {_TRACK}, u.sn, s.code
      FROM (SELECT * FROM execution_track ORDER BY id DESC LIMIT {LATEST_MOVES}) AS t
      JOIN mes_unit u ON u.id = t.unit_id
      JOIN mes_station s ON s.id = t.station_id
     ORDER BY t.id DESC
"""


def get_floor(line_ids: Collection[int] = ()) -> Floor:
    """Load the lines of the start page, all or these, in four queries, however many lines, runs and units there are."""
    runs_of: dict[int, list[Run]] = {}
    on_line: dict[int, int] = {}
    for row in fetch_all(CURRENT_RUNS, {}):
        run = as_run(row)
        runs_of.setdefault(run.line_id, []).append(run)
        on_line[run.line_id] = row[-1]
    if line_ids:
        runs_of = {line_id: runs for line_id, runs in runs_of.items() if line_id in line_ids}
    states = build_states([run for runs in runs_of.values() for run in runs])
    lines = [
        LineState(
            line=line,
            runs=[states[run.pk] for run in runs_of.get(line.pk, [])],
            more_runs=on_line.get(line.pk, 0) - len(runs_of.get(line.pk, [])),
            stopped=line.stopped,
            stopped_stations=sorted(set(line.stopped_stations)),
        )
        for line in _lines(line_ids)
    ]
    lines.sort(key=lambda item: not item.runs)  # idle lines last, else in the order of their codes
    return Floor(lines=lines, moves=_list_latest_moves())


def _lines(line_ids: Collection[int]) -> QuerySet[Any]:
    """Return the lines with what stops them, in one query."""
    holds = Hold.objects.filter(status=HoldStatus.OPEN).order_by("id")
    lines = Line.objects.order_by("code").annotate(
        stopped=ArraySubquery(holds.filter(line=OuterRef("pk")).values("reason")),
        stopped_stations=ArraySubquery(holds.filter(station__line=OuterRef("pk")).values("station__code")),
    )
    return lines.filter(pk__in=line_ids) if line_ids else lines


def _list_latest_moves() -> list[Move]:
    return sorted((Move(_as_track(row)) for row in fetch_all(MOVES, {})), key=lambda move: move.at, reverse=True)


def _as_track(row: Sequence[Any]) -> Track:
    track: Track
    (track,) = instances(row, _TRACK)
    sn, station_code = row[-2:]
    track.unit, track.station = Unit(id=track.unit_id, sn=sn), Station(id=track.station_id, code=station_code)
    return track
