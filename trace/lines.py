"""What the lines do now: current runs, how many units stand where, and the latest moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber

from execution.models import Track
from mes.plant.models import Line
from mes.production.models import Run, RunStatus
from trace.runs import RunState, build_states

CURRENT_RUN_STATUSES = (RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS, RunStatus.ON_HOLD)
RUNS_PER_LINE = 3
LATEST_MOVES = 15


@dataclass(frozen=True)
class LineState:
    """A line, its newest current runs, and how many more there are."""

    line: Line
    runs: Sequence[RunState]
    more_runs: int

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


def get_floor() -> Floor:
    """Load the start page in four queries, however many lines, runs and units there are."""
    runs_of: dict[int, list[Run]] = {}
    for run in _list_current_runs():
        runs_of.setdefault(run.line_id, []).append(run)
    states = build_states([run for runs in runs_of.values() for run in runs])
    lines = [
        LineState(
            line=line,
            runs=[states[run.pk] for run in runs_of.get(line.pk, [])],
            more_runs=_count_more(runs_of.get(line.pk, [])),
        )
        for line in Line.objects.order_by("code")
    ]
    lines.sort(key=lambda item: not item.runs)  # idle lines last, else in the order of their codes
    return Floor(lines=lines, moves=_list_latest_moves())


def _list_current_runs() -> list[Run]:
    """The newest current runs of every line; each knows by `on_line` how many its line has."""
    runs = Run.objects.filter(status__in=CURRENT_RUN_STATUSES).select_related("work_order", "route_version")
    numbered = runs.defer("route_version__snapshot").annotate(
        rank=Window(RowNumber(), partition_by=F("line"), order_by=F("id").desc()),
        on_line=Window(Count("id"), partition_by=F("line")),
    )
    return list(numbered.filter(rank__lte=RUNS_PER_LINE).order_by("line_id", "-id"))


def _count_more(runs: Sequence[Run]) -> int:
    return runs[0].on_line - len(runs) if runs else 0  # type: ignore[attr-defined]


def _list_latest_moves() -> list[Move]:
    tracks = Track.objects.select_related("unit", "station", "run__line").order_by("-id")[:LATEST_MOVES]
    return sorted((Move(track) for track in tracks), key=lambda move: move.at, reverse=True)
