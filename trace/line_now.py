"""One line as it is now: what holds it, which run is active on it and at its stations, and the runs that come next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from mes import errors
from mes.plant.models import Line, Station
from mes.platform.database.lookup import get_or_raise
from mes.platform.database.prepared import fetch_all
from mes.production.decision_models import RunActivation
from mes.production.hold_models import Hold, HoldStatus
from mes.production.models import OPEN_RUN_STATUSES, RunStatus
from trace.runs import RunState, as_run, build_states, select_runs

SHOWN_RUNS = 30


@dataclass(frozen=True)
class Active:
    """A run that is the active one of a line, or of a station."""

    activation: RunActivation
    state: RunState
    station: Station | None = None


@dataclass(frozen=True)
class OpenRun:
    """An open run of the line, with what holds it."""

    state: RunState
    holds: Sequence[Hold]
    is_active: bool


@dataclass(frozen=True)
class Stopped:
    """A station of the line that is stopped, and by what: of several holds each by itself."""

    station: Station
    hold: Hold


@dataclass(frozen=True)
class LineNow:
    """Everything the page of a line shows."""

    line: Line
    hold: Hold | None
    other_holds: Sequence[Hold]
    active: Active | None
    at_stations: Sequence[Active]
    open_runs: Sequence[OpenRun]
    more_runs: int
    stations: Sequence[Station]
    stopped: Sequence[Stopped]

    @property
    def active_holds(self) -> Sequence[Hold]:
        """What holds the active run."""
        return next((run.holds for run in self.open_runs if run.is_active), ())

    @property
    def next_runs(self) -> list[OpenRun]:
        """The open runs that are not the active one."""
        return [run for run in self.open_runs if not run.is_active]


_STATUSES = ", ".join(f"'{status.value}'" for status in OPEN_RUN_STATUSES)
# What is being made comes first, then what may begin, then what is prepared; of each the run that was planned first.
_RANKS = " ".join(
    f"WHEN '{status.value}' THEN {rank}"
    for rank, status in enumerate((RunStatus.IN_PROGRESS, RunStatus.ON_HOLD, RunStatus.AUTHORIZED, RunStatus.PREP))
)
RUNS_OF_LINE = f"""
    {select_runs("mes_run r", "count(*) OVER ()")}
     WHERE (r.line_id = ANY(ARRAY[%(line_id)s::bigint]) AND r.status IN ({_STATUSES}))
        OR r.id = ANY(%(active_ids)s::bigint[])
     ORDER BY r.id = ANY(%(active_ids)s::bigint[]) DESC, CASE r.status {_RANKS} END, r.id
     LIMIT {SHOWN_RUNS}
"""


def get_line_now(*, code: str) -> LineNow:
    """Load the page of a line in six queries, however many runs and units there are. Raises LineNotFound."""
    line = get_or_raise(Line.objects, errors.LineNotFound, code=code)
    stations = list(Station.objects.filter(line=line).select_related("line", "group").order_by("code"))
    here = Q(line=line) | Q(station__in=[station.pk for station in stations])
    activations = list(RunActivation.objects.filter(here, active_to=None).order_by("id"))
    active_ids = [activation.run_id for activation in activations]
    rows = fetch_all(RUNS_OF_LINE, {"line_id": line.pk, "active_ids": active_ids})
    states = build_states([as_run(row) for row in rows])
    places = {station.pk: station for station in stations}
    of_these = Q(line=line) | Q(run__in=list(states)) | Q(station__in=list(places))
    holds = list(Hold.objects.filter(of_these, status=HoldStatus.OPEN).order_by("id"))
    active = [
        Active(activation, states[activation.run_id], places.get(activation.station_id or 0))
        for activation in activations
        if activation.run_id in states
    ]
    of_itself = [hold for hold in holds if hold.line_id is not None]
    of_line = next((item for item in active if item.station is None), None)
    return LineNow(
        line=line,
        hold=next(iter(of_itself), None),
        other_holds=of_itself[1:],
        active=of_line,
        at_stations=[item for item in active if item.station is not None],
        open_runs=[
            OpenRun(
                state=state,
                holds=[hold for hold in holds if hold.run_id == run_id],
                is_active=of_line is not None and of_line.state.run.pk == run_id,
            )
            for run_id, state in states.items()
            if state.run.line_id == line.pk  # a station may have a run of another line
        ],
        more_runs=_count_more(rows),
        stations=stations,
        stopped=[Stopped(places[hold.station_id], hold) for hold in holds if hold.station_id is not None],
    )


def _count_more(rows: Sequence[Sequence[Any]]) -> int:
    return int(rows[0][-1]) - len(rows) if rows else 0
