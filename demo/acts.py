"""What people do with orders, runs and boards while the line runs: a run is split, the line stops, a board comes back,
boards are held and released, machines find defects, a lot is rejected.

Each act is played once while boards of a run are fed, at its share of them, or once the run is closed. What they make
for the line is queued: a run is prepared and fed when its turn comes.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any

from demo import bench, machines, plant
from demo.client import Client, Refused
from demo.holds import Holds
from demo.line import Batch, Board, Line, Panel
from demo.signing import Signers

GOLDEN = "GOLDEN-CTRL-100"
GOLDEN_STATION = "SPI-A1"
SPLIT_SHARE = 6  # one board in so many goes along
STOP_TAKTS = 4.0
STOPS = ("Wrong reel at feeder 12", "Squeegee worn, it is being changed", "Fan of the oven makes a noise")
REWORK_STEP = 60
REWORK_REASON = "The customer's connector was loose: test it again"
EXPERIMENT_BOARDS = 3
PANEL_BOARDS, X_OUT = 4, 3  # the position of the board that its maker crossed out

HELD_STATION, HELD_BOARDS = "SPI-A1", 8  # those fed last go past it at about the time of the hold
HOLD_REASON, RELEASE_REASON = (
    "Paste from the end of a jar: looked at before it goes on",
    "Paste is good, 3 boards X-rayed",
)
STATION_REASON = "Nozzle 4 of the placer is changed, the first board is good"
FOUND = (  # by the optical inspection, on boards in a row; what is decided about each
    (("E17", "U3"), bench.REPAIR),
    (("E23", "R17"), bench.SCRAP),
    (("E99", "U1"), bench.FALSE_CALL),
)

# shares of the boards fed
DURING = {"order": 0.2, "split": 0.35, "defects": 0.4, "hold": 0.45, "stop": 0.55, "experiment": 0.75, "panel": 0.85}
AFTER = "rework"
ALL = (*DURING, AFTER)
# with one order after another
IN_TURN = (("defects", "split"), ("order", "stop"), ("hold", "experiment", AFTER), ("panel",))


@dataclass(frozen=True)
class Opening:
    """A run that the line makes when its turn comes. `make` has what is to be done before it is prepared, `sample` is
    the unit of its first article, `boards` puts boards on the line that do not begin at the first step.
    """

    batch: Batch
    sample: str
    make: list[Callable[[], object]] = field(default_factory=list)
    boards: Callable[[], None] = lambda: None


class Acts:
    """Plays the acts that are wanted of a run."""

    def __init__(
        self,
        client: Client,
        line: Line,
        *,
        after: Callable[[float, Callable[[], None]], None],
        queue: Callable[[Opening], None],
        say: Callable[[str], None],
        takt: float,
        checks: bool = True,
        signers: Signers | None = None,
    ) -> None:
        """`queue` has a run made when its turn comes; with `checks`, a golden board passes a machine each shift."""
        self._client = client
        self._line = line
        self._after = after
        self._queue = queue
        self._say = say
        self._takt = takt
        self._checks = checks
        self._wanted: dict[str, set[str]] = {}  # by run
        self._signers = signers or Signers()
        self._holds = Holds(client, self._signers)
        self._held: dict[str, str] = {}  # the number of a hold, by run
        self._fed_at: deque[datetime] = deque(maxlen=HELD_BOARDS)
        self._to_reject: set[str] = set()  # runs whose lot fails its outgoing inspection
        self._stopped: set[str] = set()  # stations that go on in a while
        line.on_station_stopped = self._note_stopped
        self._stops = 0
        self._checked_shift: datetime | None = None

    def want(self, run_no: str, acts: set[str]) -> None:
        """Have these acts played while a run is made, and after it."""
        self._wanted[run_no] = set(acts)

    def on_fed(self, batch: Batch) -> None:
        """Play what is due, now that a board of a run was fed."""
        self._fed_at.append(datetime.now(UTC))
        wanted = self._wanted.get(batch.run_no, set())
        fed = batch.size - len(batch.pending)
        for act in [act for act, share in DURING.items() if act in wanted and fed >= share * batch.size]:
            wanted.discard(act)
            self._play(act, batch)

    def on_closed(self, batch: Batch) -> None:
        """Play what comes after a run that is closed."""
        if AFTER in self._wanted.pop(batch.run_no, set()) and batch.last_done:
            self._return(batch, batch.last_done)

    def _play(self, act: str, batch: Batch) -> None:
        plays = {
            "order": self._order,
            "defects": self._find_defects,
            "hold": self._hold,
            "split": self._split,
            "stop": self._stop,
            "experiment": self._experiment,
            "panel": self._panel,
        }
        try:
            plays[act](batch)
        except Refused as refusal:
            self._say(f"{batch.run_no}: {act} is refused: {refusal} {refusal.details or ''}")

    # --- orders and runs --------------------------------------------------------------------------------------

    def _order(self, batch: Batch) -> None:
        """Have a second order under way: its run waits while the first one is made."""
        size = max(1, batch.size // 10)
        opening = self._open(f"{batch.run_no}-2", f"{_order_of(batch)}-2", size=size, letter="D")
        for step in opening.make:
            step()
        self._to_reject.add(opening.batch.run_no)
        self._say(f"{opening.batch.run_no} of a second order waits for its turn")
        self._queue(Opening(opening.batch, opening.sample))

    def _split(self, batch: Batch) -> None:
        """Split the last boards that were not fed off into a run of their own."""
        count = min(batch.size // SPLIT_SHARE, len(batch.pending) - 1)
        if count < 1:
            return
        sns = list(batch.pending)[-count:]
        run = f"{batch.run_no}-B"
        wanted = {"planQty": count, "sns": sns, "runNo": run, "reason": "A part of the boards is needed later"}
        self._client.post("runs", batch.run_no, "split", body=wanted)
        for _sn in sns:
            batch.pending.pop()
        batch.size -= count
        self._say(f"{batch.run_no} is split: {count} of its boards go into {run}")
        self._queue(Opening(Batch.of(run, sns), sns[0]))

    def _experiment(self, batch: Batch) -> None:
        """Have a small run of engineers made beside production: it counts in no yield, and the ERP hears nothing."""
        run, order = f"{batch.run_no}-E", f"{_order_of(batch)}-E"
        self._queue(self._open(run, order, size=EXPERIMENT_BOARDS, letter="E", kind="ENGINEERING"))

    def _return(self, batch: Batch, sn: str) -> None:
        """Have a finished board come back: it is tested again in a rework run."""
        run, order = f"{batch.run_no}-R", f"{_order_of(batch)}-R"
        returned = {"sns": [sn], "toStepNo": REWORK_STEP, "reason": REWORK_REASON}
        rework = Batch(run, 1, deque(), on_line=1)
        make = [
            *self._make(run, order, size=1, kind="REWORK"),
            lambda: self._client.post("runs", run, "units", "return", body=returned),
        ]
        self._say(f"{sn} of {batch.run_no} comes back: it goes into {run}")
        self._queue(Opening(rework, sn, make, lambda: self._line.put(Board(sn, rework, self._takt), REWORK_STEP)))

    def _panel(self, batch: Batch) -> None:
        """Have a panel made, one board of which is an X-out; it is parted after the oven."""
        run, order = f"{batch.run_no}-P", f"{_order_of(batch)}-P"
        panel = Panel(f"PANEL-{_stamp_of(batch)}", f"PB-{_stamp_of(batch)}")
        positions = [position for position in range(1, PANEL_BOARDS + 1) if position != X_OUT]
        sns = [f"{panel.number}:{position}" for position in positions]
        boards: list[dict[str, Any]] = [{"position": position} for position in positions]
        registered = {"panels": [{"panelNo": panel.number, "boards": [*boards, {"position": X_OUT, "xOut": True}]}]}
        make = [
            *self._make(run, order, size=len(sns)),
            lambda: self._client.post("runs", run, "panels", body=registered),
        ]
        self._queue(Opening(Batch.of(run, sns, panel=panel), sns[0], make))

    def _open(self, run: str, order: str, *, size: int, letter: str, kind: str = "PRODUCTION") -> Opening:
        sns = [f"{letter}B-{run.removeprefix('RUN-CTRL-')}-{number:02}" for number in range(1, size + 1)]
        make = [
            *self._make(run, order, size=size, kind=kind),
            lambda: self._client.post("runs", run, "units", body={"sns": sns}),
        ]
        return Opening(Batch.of(run, sns), sns[0], make)

    def _make(self, run: str, order: str, *, size: int, kind: str = "PRODUCTION") -> list[Callable[[], object]]:
        """Return what makes an order by hand and its run."""
        post = self._client.post
        wanted = {"woNo": order, "productCode": plant.PRODUCT, "plannedQty": size, "kind": kind}
        return [
            lambda: post("work-orders", body=wanted),
            lambda: post("work-orders", order, "release", body={"lineCode": plant.LINE}),
            lambda: post("work-orders", order, "runs", body={"lineCode": plant.LINE, "planQty": size, "runNo": run}),
        ]

    # --- quality ----------------------------------------------------------------------------------------------

    def is_rejected(self, run_no: str) -> bool:
        """Whether the lot of a run is to fail its outgoing inspection, which it does once."""
        is_meant = run_no in self._to_reject
        self._to_reject.discard(run_no)
        return is_meant

    def is_holding(self, run_no: str) -> bool:
        """Whether boards of a run are held for a while."""
        return run_no in self._held

    def _find_defects(self, _batch: Batch) -> None:
        """Have the optical inspection find defects on boards in a row: one is repaired, one scrapped, one is none."""
        self._line.find_soon(FOUND)

    def _hold(self, batch: Batch) -> None:
        """Hold the boards that went past the paste inspection just now, and release them after a while."""
        condition = {
            "runNo": batch.run_no,
            "stationCode": HELD_STATION,
            "from": self._fed_at[0].isoformat(),
            "to": datetime.now(UTC).isoformat(),
        }
        hold_no, sns = self._holds.hold(condition, HOLD_REASON)
        if not hold_no:
            return
        self._held[batch.run_no] = hold_no
        self._line.set_aside(sns)
        self._say(f"{hold_no} holds {len(sns)} boards of {batch.run_no}: {HOLD_REASON}")
        self._after(self._takt * STOP_TAKTS, lambda: self._release(batch.run_no))

    def _release(self, run_no: str) -> None:
        hold_no = self._held.pop(run_no, "")
        if hold_no:
            self._try(f"{hold_no} is not released", lambda: self._holds.release(hold_no, RELEASE_REASON))
            self._line.take_back()

    def _note_stopped(self, station: str) -> None:
        """A board does not enter a station that stands: if it was a rule that stopped it, it goes on after a while."""
        if station not in self._stopped:
            self._stopped.add(station)
            self._after(self._takt * STOP_TAKTS, lambda: self._let_station_go_on(station))

    def _let_station_go_on(self, station: str) -> None:
        self._stopped.discard(station)
        self._try(f"{station} does not go on", lambda: self._release_rules(stationCode=station))

    def _release_rules(self, **query: str) -> None:
        for hold in self._holds.list_open(scope="STATION", source="RULE", **query):
            if any(hold["code"] == step.station for step in plant.STEPS):
                self._holds.release(hold["holdNo"], STATION_REASON)
                self._say(f"{hold['code']} goes on: {STATION_REASON}")

    def end_holds(self) -> None:
        """Release what this simulator holds, or another one left held."""
        self._try("The rules' stops stay", self._release_rules)
        for hold in self._holds.list_open(scope="UNITS", source="PERSON"):
            if hold["reason"] == HOLD_REASON:
                self._try(
                    f"{hold['holdNo']} is not released", partial(self._holds.release, hold["holdNo"], RELEASE_REASON)
                )

    def _try(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Refused as refusal:
            self._say(f"{what}: {refusal} {refusal.details or ''}")

    # --- the line ---------------------------------------------------------------------------------------------

    def _stop(self, _batch: Batch) -> None:
        """Stop the line for a while, with a reason. What machines report meanwhile comes by itself afterwards."""
        reason = STOPS[self._stops % len(STOPS)]
        self._stops += 1
        self._line.stop(reason)
        self._after(self._takt * STOP_TAKTS, self._go_on)

    def _go_on(self) -> None:
        if self._line.mail.is_line_stopped:  # else somebody else let it go on
            self._line.go_on("Mended and looked at", self._signers)

    def take_over(self) -> None:
        """Let the line go on if another simulator left it stopped; wait if it is somebody else who stopped it."""
        hold = self._client.get("lines", plant.LINE, "status")["hold"]
        if hold is not None:
            self._line.stand()
        if hold is not None and hold["reason"] in STOPS:
            self._go_on()

    def end_stop(self) -> None:
        """Let go on what this simulator has stopped or holds: the program ends."""
        if self._line.mail.is_line_stopped:
            self.take_over()
        self.end_holds()

    # --- a golden board ---------------------------------------------------------------------------------------

    def check_machine(self) -> None:
        """Have a golden board pass the paste inspection, once each shift."""
        began = shift_began(datetime.now().astimezone())
        if not self._checks or began == self._checked_shift:
            return
        self._checked_shift = began
        try:
            self._pass_golden(began)
        except Refused as refusal:
            self._say(f"The golden board is refused: {refusal}")

    def _pass_golden(self, began: datetime) -> None:
        if not any(unit["sn"] == GOLDEN for unit in self._client.items("reference-units")):
            self._client.post("reference-units", body={"sn": GOLDEN, "kind": "GOLDEN", "expectedResult": "PASS"})
        passes = self._client.items("reference-units", GOLDEN, "passes")
        if any(datetime.fromisoformat(one["at"]) >= began for one in passes):
            return
        self._client.post("ingest", "events", body=golden_event())
        self._say(f"{GOLDEN} passed {GOLDEN_STATION}, as it does each shift")


def golden_event() -> dict[str, Any]:
    """Return what the paste inspection says of the golden board: all is as it should be."""
    return machines.good_event(next(step for step in plant.STEPS if step.station == GOLDEN_STATION), GOLDEN)


def shift_began(now: datetime) -> datetime:
    """Return when the shift of a moment began, by the clock of the place."""
    starts = sorted(time.fromisoformat(str(shift["start"])) for shift in plant.SHIFTS)
    begun = [start for start in starts if start <= now.time()]
    day = now.date() if begun else now.date() - timedelta(days=1)
    return datetime.combine(day, begun[-1] if begun else starts[-1], tzinfo=now.tzinfo)


def _order_of(batch: Batch) -> str:
    return batch.run_no.replace("RUN-", "WO-", 1)


def _stamp_of(batch: Batch) -> str:
    return batch.run_no.removeprefix("RUN-CTRL-")
