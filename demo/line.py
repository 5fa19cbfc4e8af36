"""A line of machines, each of which holds a board for its cycle time; several boards are on the line at once.

Everything happens in one thread, by an agenda: boards move in the order of their times, as fast as the server answers.
"""

import heapq
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from demo import machines, oven, plant
from demo.client import Client, Refused

WAITING_CODES = ("EQUIPMENT_UNAVAILABLE",)
RETRY_SECONDS = 5.0
MEASURED_AFTER = 0.8  # of the cycle
CYCLES = {"PRINT": 0.7, "SPI": 0.5, "PLACE": 0.9, "REFLOW": 2.5, "AOI": 0.6, "FCT": 0.9}  # of the time between boards
CAPACITIES = {"REFLOW": 4}  # boards in a machine at once, where more than one

Action = Callable[[], None]
Specs = dict[str, dict[str, Any]]


class Agenda:
    """What is to be done when."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._entries: list[tuple[float, int, Action]] = []
        self._numbers = count()

    def after(self, seconds: float, action: Action) -> None:
        """Do something later; what is due at the same time is done in the order of asking."""
        heapq.heappush(self._entries, (time.monotonic() + seconds, next(self._numbers), action))

    def run(self) -> None:
        """Do everything in its time until nothing is left. Raises Stopped."""
        while self._entries:
            due, _number, action = heapq.heappop(self._entries)
            self._client.wait(due - time.monotonic())
            action()


@dataclass(eq=False)
class Batch:
    """A run in production: the boards still to be fed, and how many have left the line."""

    run_no: str
    size: int
    pending: deque[str]
    on_line: int = 0
    done: int = 0
    stuck: int = 0

    @property
    def is_over(self) -> bool:
        """Whether every board is done, or waits for somebody to decide."""
        return not self.pending and self.on_line == 0


@dataclass(eq=False)
class Board:
    """A board on the line. `takt` is the time in seconds from one board to the next at its pace."""

    sn: str
    batch: Batch
    takt: float
    result: str = "PASS"
    typed: list[dict[str, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Place:
    """A station with the boards that wait for it and those in it."""

    step: plant.Step
    waiting: deque[Board] = field(default_factory=deque)
    inside: set[Board] = field(default_factory=set)
    is_kept_waiting: bool = False
    told: str = ""  # why it waits, as long as it does

    @property
    def has_room(self) -> bool:
        """Whether another board may enter."""
        return len(self.inside) < CAPACITIES.get(self.step.operation, 1)

    def cycle(self, board: Board) -> float:
        """Return how long a board stays, in seconds."""
        return CYCLES[self.step.operation] * board.takt


class Line:
    """Moves boards through the stations. What fails, is held or is refused stays where it is, for people."""

    def __init__(
        self,
        client: Client,
        agenda: Agenda,
        instrument: machines.Instrument,
        *,
        say: Callable[[str], None],
        on_batch_over: Callable[[Batch], None],
    ) -> None:
        self.places = {step.step_no: Place(step) for step in plant.STEPS}
        self._client = client
        self._agenda = agenda
        self._instrument = instrument
        self._say = say
        self._on_batch_over = on_batch_over
        self._specs: dict[tuple[str, int], Specs] = {}

    @property
    def board_count(self) -> int:
        """How many boards are on the line."""
        return sum(len(place.waiting) + len(place.inside) for place in self.places.values())

    @property
    def is_blocked(self) -> bool:
        """Whether boards queue before the first station."""
        return bool(next(iter(self.places.values())).waiting)

    def put(self, board: Board, step_no: int) -> None:
        """Let a board wait for a step."""
        place = self.places[step_no]
        place.waiting.append(board)
        self._fill(place)

    def resume(self, board: Board, step_no: int) -> None:
        """Go on with a board that is in a station already."""
        place = self.places[step_no]
        place.inside.add(board)
        self._agenda.after(place.cycle(board), lambda: self._measure(place, board))

    # --- entering -------------------------------------------------------------------------------------------

    def _fill(self, place: Place) -> None:
        while place.waiting and place.has_room and not place.is_kept_waiting:
            self._enter(place, place.waiting[0])

    def _enter(self, place: Place, board: Board) -> None:
        body = {"runNo": board.batch.run_no, "sn": board.sn}
        try:
            self._client.post("stations", place.step.station, "track-in", body=body)
        except Refused as refusal:
            if refusal.code in WAITING_CODES:
                self._keep_waiting(place, refusal)
                return
            place.waiting.popleft()
            self._lose(board, f"not taken in at {place.step.station}: {refusal}")
            return
        place.waiting.popleft()
        place.inside.add(board)
        place.told = ""
        self._agenda.after(place.cycle(board) * MEASURED_AFTER, lambda: self._measure(place, board))

    def _keep_waiting(self, place: Place, refusal: Refused) -> None:
        if place.told != refusal.message:
            self._say(f"{place.step.station} waits: {refusal}")
        place.told = refusal.message
        place.is_kept_waiting = True
        self._agenda.after(RETRY_SECONDS, lambda: self._try_again(place))

    def _try_again(self, place: Place) -> None:
        place.is_kept_waiting = False
        self._fill(place)

    # --- in the station -------------------------------------------------------------------------------------

    def _measure(self, place: Place, board: Board) -> None:
        """Send what the machine measured, and note its verdict and what will be typed."""
        step = place.step
        board.result, board.typed = "PASS", []
        try:
            specs = self._specs_of(place, board)
            if step.kind == "REFLOW":
                events = self._oven_events(step, board, specs)
            else:
                events = self._machine_events(step, board, specs)
            readings = [reading for event in events for reading in event["data"]]
            board.result = machines.verdict(readings + board.typed, specs)
            for event in events:
                self._client.post("integration", "device-data", body=event)
        except (Refused, oven.ReportError) as error:
            self._say(f"{board.sn} at {step.station}: {error}")
        self._agenda.after(place.cycle(board) * (1 - MEASURED_AFTER), lambda: self._leave(place, board))

    def _specs_of(self, place: Place, board: Board) -> Specs:
        """Return what is collected here, by name. A run keeps its route version, so it is asked for once."""
        key = (board.batch.run_no, place.step.step_no)
        if key not in self._specs:
            answer = self._client.get("stations", place.step.station, "unit", board.sn, "data-specs")
            self._specs[key] = {spec["name"]: spec for spec in answer["specs"]}
        return self._specs[key]

    def _machine_events(self, step: plant.Step, board: Board, specs: Specs) -> list[dict[str, Any]]:
        values = self._instrument.measure(step)
        by_device = {name: spec for name, spec in specs.items() if spec["method"] == "AUTO"}
        by_hand = {name: spec for name, spec in specs.items() if spec["method"] == "MANUAL"}
        board.typed = machines.readings_to_send(values, by_hand)
        data = machines.readings_to_send(values, by_device)
        event = {
            "eventId": f"{step.station}:{uuid.uuid4()}",
            "eventTime": datetime.now(UTC).isoformat(),
            "source": "AUTO",
            "runNo": board.batch.run_no,
            "unitSn": board.sn,
            "stationCode": step.station,
            "stepNo": step.step_no,
            "equipmentId": step.equipment,
            "data": data,
        }
        return [event] if data else []

    def _oven_events(self, step: plant.Step, board: Board, specs: Specs) -> list[dict[str, Any]]:
        """Go the way of a real oven: its report in IPC-CFX becomes events."""
        report = self._instrument.report(step, board.sn)
        units = [{"sn": board.sn, "runNo": board.batch.run_no}]
        at = datetime.now(UTC).isoformat()
        return oven.events_of(report, units, step.station, step.step_no, at, names=oven.reportable(specs.values()))

    # --- leaving --------------------------------------------------------------------------------------------

    def _leave(self, place: Place, board: Board) -> None:
        body: dict[str, Any] = {"runNo": board.batch.run_no, "sn": board.sn, "result": board.result}
        if board.typed:
            body |= {"data": board.typed, "operatorId": "operator"}
        if board.result == "FAIL" and place.step.kind == "AOI":
            code, location = self._instrument.random.choice(machines.DEFECTS)
            body |= {"defectCode": code, "defectLocation": location}
        try:
            answer = self._client.post("stations", place.step.station, "track-out", body=body)
        except Refused as refusal:
            self._go_on_unsure(place, board, refusal)
        else:
            self._go_on(place, board, answer["status"], answer["nextStepNo"], answer["result"])
        place.inside.discard(board)
        self._fill(place)

    def _go_on(self, place: Place, board: Board, status: str, next_step_no: int | None, result: str) -> None:
        if status == "QUEUED" and result == "PASS" and next_step_no in self.places:
            self.put(board, next_step_no)
        elif status == "DONE":
            board.batch.done += 1
            self._count_out(board, "done")
        else:
            states = {"QUEUED": "failed, may be tested again", "OUT_FAILED": "failed", "ON_HOLD": "on hold"}
            self._lose(board, f"{states.get(status, status)} at {place.step.station}")

    def _go_on_unsure(self, place: Place, board: Board, refusal: Refused) -> None:
        """Find out where a board is whose track-out was refused, perhaps because its first answer was lost."""
        unit: dict[str, Any] = {}
        if refusal.repeated and refusal.code == "UNIT_NOT_IN_STATION":
            unit = self._client.get("stations", "resolve-unit", board.sn)
        has_moved = unit.get("status") == "DONE" or unit.get("currentStepNo") not in (None, place.step.step_no)
        if has_moved:
            self._go_on(place, board, unit["status"], unit["currentStepNo"], "PASS")
        else:
            self._lose(board, f"stays in {place.step.station}: {refusal}")

    def _lose(self, board: Board, why: str) -> None:
        board.batch.stuck += 1
        self._count_out(board, why)

    def _count_out(self, board: Board, outcome: str) -> None:
        batch = board.batch
        batch.on_line -= 1
        stuck = f", {batch.stuck} for people to decide" if batch.stuck else ""
        self._say(f"{board.sn}  {outcome}  ({batch.run_no}: {batch.done} of {batch.size} done{stuck})")
        if batch.is_over:
            self._specs = {key: specs for key, specs in self._specs.items() if key[0] != batch.run_no}
            self._on_batch_over(batch)
