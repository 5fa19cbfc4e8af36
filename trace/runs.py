"""What is known of runs: units by status and step, first-pass yield, and the units themselves, page by page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import prod
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.utils import timezone

from execution.models import CarrierTrackUnit, DataValue, Judge, Track, TrackResult
from execution.quality.defects import UNSPECIFIED
from execution.quality.models import NOT_A_DEFECT, DefectSource
from mes import errors
from mes.plant.models import Line, Station
from mes.platform.database.instances import Columns, instances
from mes.platform.database.prepared import fetch_all
from mes.production.decisions import list_decisions
from mes.production.hold_models import Hold
from mes.production.models import Run, Unit, UnitStatus, WorkOrder
from mes.production.order_board import DecisionRow
from mes.production.queries import find_newer_version
from mes.production.runs import snapshot_of
from mes.routing.models import RouteVersion, Routing
from mes.routing.snapshots import RouteSnapshot, StepSnapshot
from mes.specs.models import ItemType
from mes.time_rules.queries import count_urgent
from trace.readiness import RunReadiness, find_readiness
from trace.reports.production import MachineRow, count_run
from trace.run_deviations import ShownDeviation, list_deviations
from trace.shown_run import find_holds
from trace.values import CLOCKS_DIFFER

PAGE_SIZE = 50
SHOWN_DECISIONS = 20
ATTENTION_FIRST = (
    UnitStatus.ON_HOLD,
    UnitStatus.OUT_FAILED,
    UnitStatus.IN_STATION,
    UnitStatus.QUEUED,
    UnitStatus.DONE,
    UnitStatus.SCRAPPED,
)
LARGEST_STEP_NO = 2**31 - 1


@dataclass
class Tally:
    """Units of a run by status and step, and how many it made and scrapped that left it later.

    A unit counts where it was made (`mes.production.queries.count_units`); where units stand, only those here count.
    """

    counts: dict[tuple[str, int | None], int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def count(self, *statuses: str, step_no: int | None = None) -> int:
        """Return how many units here have one of these statuses (any when none is named), at a step or anywhere."""
        return sum(
            count
            for (status, step), count in self.counts.items()
            if (not statuses or status in statuses) and step_no in (None, step)
        )

    @property
    def total(self) -> int:
        """All units of the run."""
        return self.count() + sum(self.left.values())

    @property
    def here(self) -> int:
        """Those that are in it now."""
        return self.count()

    @property
    def done(self) -> int:
        """Units that passed every step."""
        return self.count(UnitStatus.DONE) + self.left.get(UnitStatus.DONE, 0)

    @property
    def scrapped(self) -> int:
        """Units scrapped."""
        return self.count(UnitStatus.SCRAPPED) + self.left.get(UnitStatus.SCRAPPED, 0)

    @property
    def held(self) -> int:
        """Units on hold."""
        return self.count(UnitStatus.ON_HOLD)

    @property
    def failed(self) -> int:
        """Units that failed and wait for a decision."""
        return self.count(UnitStatus.OUT_FAILED)

    @property
    def attention(self) -> int:
        """Units that wait for a decision."""
        return self.held + self.failed

    @property
    def under_way(self) -> int:
        """Units in a station or between stations."""
        return self.count(UnitStatus.IN_STATION, UnitStatus.QUEUED)

    @property
    def in_station(self) -> int:
        """Units in a station."""
        return self.count(UnitStatus.IN_STATION)


@dataclass(frozen=True)
class FlowNode:
    """A step of the frozen route, with the units that stand at it."""

    step: StepSnapshot
    in_station: int
    waiting: int
    failed: int
    held: int


@dataclass(frozen=True)
class RunState:
    """A run and where its units are."""

    run: Run
    snapshot: RouteSnapshot
    tally: Tally

    @cached_property
    def flow(self) -> list[FlowNode]:
        """The route as a line of steps."""
        count = self.tally.count
        return [
            FlowNode(
                step=step,
                in_station=count(UnitStatus.IN_STATION, step_no=step.step_no),
                waiting=count(UnitStatus.QUEUED, step_no=step.step_no),
                failed=count(UnitStatus.OUT_FAILED, step_no=step.step_no),
                held=count(UnitStatus.ON_HOLD, step_no=step.step_no),
            )
            for step in self.snapshot.steps
        ]

    @property
    def shares(self) -> list[tuple[str, float]]:
        """What the plan is made of so far, as (tone, per cent), for the progress bar."""
        counts = [("good", self.tally.done), ("work", self.tally.in_station), ("bad", self.tally.attention)]
        return [(tone, min(100.0, 100 * count / self.run.plan_qty)) for tone, count in counts if count]

    @property
    def percent_done(self) -> int:
        """How much of the plan is done; 100 only when all is."""
        return min(100, 100 * self.tally.done // self.run.plan_qty)


@dataclass(frozen=True)
class StepYield:
    """First passes of a step: those finished, those of them that passed, and those that passed as it was claimed,
    before reviews and false calls.
    """

    step: StepSnapshot
    finished: int
    passed: int
    passed_as_claimed: int

    @property
    def percent(self) -> float | None:
        """The first-pass yield; None before the first unit."""
        return 100 * self.passed / self.finished if self.finished else None

    @property
    def percent_as_claimed(self) -> float | None:
        """The first-pass yield without what reviews and false calls made of it; None before the first unit."""
        return 100 * self.passed_as_claimed / self.finished if self.finished else None


@dataclass(frozen=True)
class Filter:
    """Which units of a run are shown, and in what order."""

    status: str = ""
    step_no: int | None = None
    order: str = "attention"
    page: int = 1


@dataclass(frozen=True)
class UnitRow:
    """A unit in a list, with its latest pass; `found` is what was said to be wrong at it, beside values and
    inspections.
    """

    unit: Unit
    step: StepSnapshot | None
    last_track: Track | None
    failing: Sequence[DataValue] = ()
    found: str = ""


@dataclass(frozen=True)
class RunPage:
    """Everything the page of a run shows."""

    state: RunState
    yields: Sequence[StepYield]
    units: Sequence[UnitRow]
    chosen: Filter
    matching: int
    clocks_over: int
    clocks_soon: int
    readiness: RunReadiness | None
    counts: Sequence[MachineRow]
    holds: Sequence[Hold]
    deviations: Sequence[ShownDeviation]
    decisions: Sequence[DecisionRow]
    newer_version_no: int | None = None

    @property
    def pages(self) -> int:
        """How many pages the units fill."""
        return max(1, -(-self.matching // PAGE_SIZE))

    @property
    def has_deviation(self) -> bool:
        """Whether one is in force."""
        return any(shown.is_in_force for shown in self.deviations)

    @property
    def statuses(self) -> list[tuple[str, str, int]]:
        """The filter's choices: status, its label, number of units."""
        count = self.state.tally.count
        return [(status.value, str(status.label), count(status)) for status in ATTENTION_FIRST if count(status)]

    @property
    def first_pass_yield(self) -> float | None:
        """The share of units expected to pass every step at the first go: the steps' yields multiplied."""
        return _multiply(item.percent for item in self.yields)

    @property
    def first_pass_yield_as_claimed(self) -> float | None:
        """The same as it was claimed; None where no review or false call changed it."""
        if all(item.passed == item.passed_as_claimed for item in self.yields):
            return None
        return _multiply(item.percent_as_claimed for item in self.yields)


def _multiply(percents: Iterable[float | None]) -> float | None:
    shares = [percent / 100 for percent in percents if percent is not None]
    return 100 * prod(shares) if shares else None


def build_states(runs: Sequence[Run]) -> dict[int, RunState]:
    """Return the state of each run, in one query over their units."""
    tallies = count_by_step(runs)
    return {run.pk: RunState(run=run, snapshot=snapshot_of(run), tally=tallies[run.pk]) for run in runs}


COUNT_BY_STEP = """
    SELECT run_id, status, current_step_no, count(*), false AS has_left FROM mes_unit
     WHERE run_id = ANY(%(run_ids)s::bigint[]) GROUP BY run_id, status, current_step_no
    UNION ALL
    SELECT from_run_id, counted_as, NULL, count(*), true FROM mes_unitmove
     WHERE from_run_id = ANY(%(run_ids)s::bigint[]) AND counted_as <> '' GROUP BY from_run_id, counted_as
"""


def count_by_step(runs: Iterable[Run]) -> dict[int, Tally]:
    """Count the units of runs by status and step, and those that left, in one query, none without runs."""
    tallies = {run.pk: Tally() for run in runs}
    rows = fetch_all(COUNT_BY_STEP, {"run_ids": list(tallies)}) if tallies else ()
    for run_id, status, step_no, count, has_left in rows:
        if has_left:
            tallies[run_id].left[status] = count
        else:
            tallies[run_id].counts[(status, step_no)] = count
    return tallies


_RUN = Columns(Run, "r")
_ORDER, _LINE, _ROUTING = Columns(WorkOrder, "w"), Columns(Line, "l"), Columns(Routing, "o")
_VERSION = Columns(RouteVersion, "v", without=("snapshot",))


def select_runs(rows: str, *more: str) -> str:
    """Return the statement that reads runs `r` with their orders, lines and routes, and what else is asked for.

    `rows` names the runs.
    """
    return f"""
        SELECT {", ".join(map(str, (_RUN, _ORDER, _LINE, _VERSION, _ROUTING, *more)))}
          FROM {rows}
          JOIN mes_workorder w ON w.id = r.work_order_id
          JOIN mes_line l ON l.id = r.line_id
          JOIN mes_routeversion v ON v.id = r.route_version_id
          JOIN mes_routing o ON o.id = v.routing_id
    """


def as_run(row: Sequence[Any]) -> Run:
    """Return the run that a row of `select_runs` begins with."""
    run: Run
    run, run.work_order, run.line, run.route_version, run.route_version.routing = instances(
        row, _RUN, _ORDER, _LINE, _VERSION, _ROUTING
    )
    return run


ONE_RUN = f"{select_runs('mes_run r')} WHERE r.run_no = ANY(ARRAY[%(run_no)s])"
NEWEST_RUNS = f"""
    {select_runs("(SELECT * FROM mes_run ORDER BY id DESC LIMIT %(limit)s) AS r")} ORDER BY r.id DESC
"""


def get_run_page(*, run_no: str, chosen: Filter) -> RunPage:
    """Load the page of a run in at most thirteen queries. Raises RunNotFound. A page after the last
    shows the last.
    """
    rows = fetch_all(ONE_RUN, {"run_no": run_no})
    if not rows:
        raise errors.RunNotFound(code=run_no)
    run = as_run(rows[0])
    state = build_states([run])[run.pk]
    statuses = (chosen.status,) if chosen.status else ()
    matching = state.tally.count(*statuses, step_no=chosen.step_no)
    over, soon = count_urgent(run.pk, now=timezone.now())
    return RunPage(
        state=state,
        yields=_list_yields(state),
        units=_list_units(state, chosen, matching),
        chosen=chosen,
        matching=matching,
        clocks_over=over,
        clocks_soon=soon,
        readiness=find_readiness(run),
        counts=count_run(run),
        holds=find_holds(run),
        deviations=list_deviations(run),
        decisions=list(map(DecisionRow, list_decisions(run).select_related("run")[:SHOWN_DECISIONS])),
        newer_version_no=find_newer_version(run),
    )


def list_recent_runs(limit: int = 10) -> list[RunState]:
    """Return the newest runs, in two queries."""
    newest = list(map(as_run, fetch_all(NEWEST_RUNS, {"limit": limit})))
    states = build_states(newest)
    return [states[run.pk] for run in newest]


YIELDS = """
    SELECT step_no, count(*), count(*) FILTER (WHERE result = 'PASS'),
           count(*) FILTER (WHERE result = 'PASS' AND result_override <> 'REVIEW') FROM execution_track
     WHERE run_id = ANY(ARRAY[%(run_id)s::bigint]) AND attempt = 1 AND out_at IS NOT NULL GROUP BY step_no
"""


def _list_yields(state: RunState) -> list[StepYield]:
    """First-pass yield counts the first attempt of every unit at a step, in one query."""
    rows = fetch_all(YIELDS, {"run_id": state.run.pk})
    counts = {step_no: numbers for step_no, *numbers in rows}
    return [StepYield(step, *counts.get(step.step_no, (0, 0, 0))) for step in state.snapshot.steps]


_UNIT, _TRACK = Columns(Unit, "u"), Columns(Track, "t")
_URGENCY = " ".join(f"WHEN '{status.value}' THEN {rank}" for rank, status in enumerate(ATTENTION_FIRST))
_IN_ORDER = {"attention": f"CASE u.status {_URGENCY} END, u.updated_at DESC, u.id DESC", "newest": "u.id DESC"}
# What failing values are is shown by the values, and that a pass failed by its result.
_FOUND = f"""
    (SELECT string_agg(concat_ws(' · ', d.code, NULLIF(d.location, ''), NULLIF(d.remark, '')), ' | ' ORDER BY d.id)
       FROM execution_defect d
      WHERE d.track_id = t.id AND d.inspection_id IS NULL AND d.source <> '{DefectSource.VALUE}'
        AND d.status NOT IN ({", ".join(f"'{status}'" for status in NOT_A_DEFECT)})
        AND NOT (d.code = '{UNSPECIFIED}' AND d.location = '' AND d.remark = ''))
"""
LATEST_TRACKS = f"""
    SELECT {_TRACK}, CASE WHEN t.result = 'FAIL' THEN {_FOUND} END, s.code
      FROM (SELECT DISTINCT ON (unit_id) * FROM execution_track
             WHERE unit_id = ANY(%(unit_ids)s::bigint[]) ORDER BY unit_id, id DESC) AS t
      JOIN mes_station s ON s.id = t.station_id
"""


def _list_units(state: RunState, chosen: Filter, matching: int) -> list[UnitRow]:
    """One page of units with their latest tracks and what failed them, in at most four queries."""
    last_page = max(1, -(-matching // PAGE_SIZE))
    start = (min(chosen.page, last_page) - 1) * PAGE_SIZE
    values = {"run_id": state.run.pk, "status": chosen.status, "step_no": chosen.step_no, "start": start}
    rows = fetch_all(_select_units(bool(chosen.status), chosen.step_no is not None, chosen.order), values)
    units = [unit for row in rows for unit in instances(row, _UNIT)]
    latest = _list_latest_tracks(units)
    tracks = {track.unit_id: track for track, _found in latest}
    found = {track.pk: said for track, said in latest if said}
    failing = _find_failing(track for track in tracks.values() if track.result == TrackResult.FAIL)
    pairs = ((unit, tracks.get(unit.pk)) for unit in units)
    return [
        UnitRow(
            unit,
            state.snapshot.step(unit.current_step_no),
            track,
            failing.get(track.pk, ()) if track else (),
            found.get(track.pk, "") if track else "",
        )
        for unit, track in pairs
    ]


def _select_units(has_status: bool, has_step: bool, order: str) -> str:
    """Return the statement that reads a page of units: one for each kind of filter, which finds them by index."""
    status = " AND u.status = %(status)s" if has_status else ""
    step = " AND u.current_step_no = %(step_no)s" if has_step else ""
    return f"""
        SELECT {_UNIT} FROM mes_unit u WHERE u.run_id = ANY(ARRAY[%(run_id)s::bigint]){status}{step}
         ORDER BY {_IN_ORDER[order]} LIMIT {PAGE_SIZE} OFFSET %(start)s
    """


def _list_latest_tracks(units: Sequence[Unit]) -> list[tuple[Track, str | None]]:
    rows = fetch_all(LATEST_TRACKS, {"unit_ids": [unit.pk for unit in units]}) if units else ()
    return [(_with_station(row), row[-2]) for row in rows]


def _with_station(row: Sequence[Any]) -> Track:
    track: Track
    (track,) = instances(row, _TRACK)
    track.station = Station(id=track.station_id, code=row[-1])
    return track


def _find_failing(tracks: Iterable[Track]) -> dict[int, list[DataValue]]:
    """Return the KEY values that fail these tracks, own ones and the carriers', by name; two queries.

    Of a spec the value that the verdict goes by (`execution.data.values`): the latest that was judged, of those of one
    instant the worse.
    """
    ids = {track.pk: track for track in tracks}
    if not ids:
        return {}
    parts = CarrierTrackUnit.objects.filter(track__in=ids).values_list("carrier_track", "track")
    by_carrier: dict[int, list[int]] = {}
    for carrier_track_id, track_id in parts:
        by_carrier.setdefault(carrier_track_id, []).append(track_id)
    units = {track.unit_id for track in ids.values()}  # the index of a track's values begins with its unit
    own = Q(unit__in=units, track__in=list(ids)) | Q(carrier_track__in=list(by_carrier))
    since = min(track.created_at for track in ids.values()) - CLOCKS_DIFFER
    judged = DataValue.objects.filter(own, item_type=ItemType.KEY, received_at__gte=since).exclude(judge="")
    is_failed = ExpressionWrapper(Q(judge=Judge.FAIL), BooleanField()).desc()
    latest = judged.order_by("track_id", "carrier_track_id", "spec_id", "-collected_at", is_failed, "-id")
    decisive: dict[tuple[int, int], DataValue] = {}
    for value in latest.distinct("track_id", "carrier_track_id", "spec_id"):
        of_carrier = by_carrier.get(value.carrier_track_id or 0, ())
        for track_id in of_carrier if value.track_id is None else (value.track_id,):
            other = decisive.get((track_id, value.spec_id), value)
            decisive[track_id, value.spec_id] = max(other, value, key=_rank)
    failing: dict[int, list[DataValue]] = {}
    for (track_id, _spec_id), value in sorted(decisive.items(), key=lambda item: item[1].name):
        if value.judge == Judge.FAIL:
            failing.setdefault(track_id, []).append(value)
    return failing


def _rank(value: DataValue) -> tuple[datetime, bool]:
    return value.collected_at, value.judge == Judge.FAIL
