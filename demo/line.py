"""A line of machines, each of which holds a board for its cycle time; several boards are on the line at once.

Everything happens in one thread, by an agenda: boards move in the order of their times, as fast as the server answers.
Machines report by events, and go on by their own verdict when an event is late; people track in and out.
"""

import heapq
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from demo import bench, machines, plant
from demo.bench import Bench
from demo.client import Client, Refused
from demo.counts import Counting
from demo.mail import LINE_STOPPED, STATION_STOPPED, Letter, Mail
from demo.mischief import Mischief
from demo.signing import SUPERVISOR, Signers

WAITING_CODES = ("EQUIPMENT_UNAVAILABLE", LINE_STOPPED, STATION_STOPPED, "RUN_ON_HOLD", "RUN_IN_OQC", "FAI_NOT_PASSED")
BEHIND_CODES = ("STEP_MISMATCH", "STATION_MISMATCH", "UNIT_ALREADY_IN_STATION", "UNIT_NOT_IN_STATION")
RETRY_SECONDS = 5.0
PARTING_TRIES = 20
SCRAP_SHARE = 0.3  # of what the technician looks at
DECIDE_TAKTS = 6.0  # until somebody looks at a board that was to fail: the others in a row have failed by then
MOST_LOOKED_AT = 20  # boards at once of those that people are to decide about
PATIENCE = 240.0  # seconds for which a board waits at a hand station for late events
CYCLES = {  # of the takt
    "PRINT": 0.7,
    "SPI": 0.5,
    "PLACE": 0.9,
    "REFLOW": 2.5,
    "AOI": 0.6,
    "WASH": 0.7,
    "FCT": 0.7,
    "FINAL": 0.6,
}
CAPACITIES = {"REFLOW": 2}  # boards, or carriers, in a machine at once, where more than one
CARRIERS = tuple(f"PALLET-{number:02}" for number in range(1, 13))
FEWEST_ON_CARRIER, MOST_ON_CARRIER = 2, 4

Action = Callable[[], None]
Specs = dict[str, dict[str, Any]]


class Agenda:
    """What is to be done when."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._entries: list[tuple[float, int, Action, bool]] = []
        self._numbers = count()
        self._waited_for = 0

    def after(self, seconds: float, action: Action) -> None:
        """Do something later; what is due at the same time is done in the order of asking."""
        self._add(seconds, action, is_waited_for=True)

    def meanwhile(self, seconds: float, action: Action) -> None:
        """Do something later, if there still is something else to do then."""
        self._add(seconds, action, is_waited_for=False)

    def _add(self, seconds: float, action: Action, *, is_waited_for: bool) -> None:
        self._waited_for += is_waited_for
        heapq.heappush(self._entries, (time.monotonic() + seconds, next(self._numbers), action, is_waited_for))

    def run(self) -> None:
        """Do everything in its time until nothing is left that is waited for. Raises Stopped."""
        while self._waited_for:
            due, _number, action, is_waited_for = heapq.heappop(self._entries)
            self._client.wait(due - time.monotonic())
            self._waited_for -= is_waited_for
            action()


@dataclass(eq=False)
class Panel:
    """A panel that is parted after the oven; then its boards get labels."""

    number: str
    label: str  # how those of its boards begin
    boards: list["Board"] = field(default_factory=list)


@dataclass(eq=False)
class Batch:
    """A run in production: the boards still to be fed, and what became of those that left the line."""

    run_no: str
    size: int
    pending: deque[str]
    on_line: int = 0
    done: int = 0
    scrapped: int = 0
    stuck: int = 0
    panel: Panel | None = None
    last_done: str = ""

    @classmethod
    def of(cls, run_no: str, sns: Sequence[str], *, panel: Panel | None = None) -> "Batch":
        """Return a run all of whose boards are still to be fed."""
        return cls(run_no, len(sns), deque(sns), panel=panel)

    @property
    def is_over(self) -> bool:
        """Whether every board is done or scrapped, or waits for somebody to decide."""
        return not self.pending and self.on_line == 0


@dataclass(eq=False)
class Board:
    """A board on the line. `takt` is the time in seconds from one board to the next at its pace."""

    sn: str
    batch: Batch
    takt: float
    is_behind: bool = False  # an event of it is on its way, or waits for one that is
    last_key: str = ""  # of its last event
    is_taken_over: bool = False  # from another simulator, whose last events may be lost
    panel: Panel | None = None  # until it is parted
    tests: int = 0
    repairs: int = 0
    arrived_at: float = 0.0
    fate: str = ""  # what somebody decides about it once it has failed


@dataclass(eq=False)
class Load:
    """What is in a machine together: one board, or the boards of a carrier."""

    boards: tuple[Board, ...]
    carrier: str | None = None
    is_listed: bool = False  # the machine itself names the boards of the carrier

    @property
    def takt(self) -> float:
        """The pace of its boards."""
        return self.boards[0].takt

    @property
    def is_behind(self) -> bool:
        """Whether an event of one of them is still on its way."""
        return any(board.is_behind for board in self.boards)


@dataclass(eq=False)
class Place:
    """A station with the boards that wait for it and those in it."""

    step: plant.Step
    waiting: deque[Board] = field(default_factory=deque)
    inside: set[Load] = field(default_factory=set)
    is_kept_waiting: bool = False
    told: str = ""  # why it waits, as long as it does
    wanted: int = MOST_ON_CARRIER

    @property
    def has_room(self) -> bool:
        """Whether another board or carrier may enter."""
        return len(self.inside) < CAPACITIES.get(self.step.operation, 1)

    @property
    def is_batch(self) -> bool:
        """Whether boards enter on carriers."""
        return self.step.station_type == "BATCH"

    @property
    def board_count(self) -> int:
        """How many boards are here."""
        return len(self.waiting) + sum(len(load.boards) for load in self.inside)

    def cycle(self, load: Load) -> float:
        """Return how long a load stays, in seconds."""
        return CYCLES[self.step.operation] * load.takt


class Line:
    """Moves boards through the stations. What fails or is held is for people, or for the technician if there is one."""

    def __init__(
        self,
        client: Client,
        agenda: Agenda,
        instrument: machines.Instrument,
        mischief: Mischief,
        *,
        has_technician: bool = False,
        say: Callable[[str], None],
        on_batch_over: Callable[[Batch], None],
    ) -> None:
        self.places = {step.step_no: Place(step) for step in plant.STEPS}
        self.mail = Mail(client, agenda.after, mischief, say)
        self.counting = Counting(client, agenda.meanwhile, mischief, self.mail.tally)
        self._client = client
        self._agenda = agenda
        self._instrument = instrument
        self._has_technician = has_technician
        self._say = say
        self._on_batch_over = on_batch_over
        self._carriers = deque(CARRIERS)
        self._specs: dict[str, Specs] = {}
        self._kept: set[Board] = set()  # an event of each was refused because the line stood
        self._bench = Bench(client)
        self._to_find: deque[tuple[machines.Finding, str]] = deque()  # by the next inspections, and what is decided
        self._held: set[str] = set()  # boards that somebody holds for a while
        self._aside: list[Board] = []  # those of them that would have gone on
        self._stuck: deque[tuple[Board, str]] = deque()  # with the reason
        self.on_station_stopped: Callable[[str], None] = lambda station: None

    @property
    def board_count(self) -> int:
        """How many boards are on the line."""
        return sum(place.board_count for place in self.places.values())

    @property
    def is_blocked(self) -> bool:
        """Whether boards queue before the first station, or the line stands."""
        return self.mail.is_line_stopped or bool(next(iter(self.places.values())).waiting)

    def put(self, board: Board, step_no: int) -> None:
        """Let a board wait for a step."""
        place = self.places[step_no]
        board.arrived_at = time.monotonic()
        place.waiting.append(board)
        self._fill(place)

    def find_soon(self, found: Sequence[tuple[machines.Finding, str]]) -> None:
        """Have the optical inspection find these on the next boards, one on each; somebody decides so about them."""
        self._to_find.extend(found)

    def resume(self, board: Board, step_no: int) -> None:
        """Go on with a board that is in a station already."""
        place, load = self.places[step_no], Load((board,))
        place.inside.add(load)
        self._agenda.after(place.cycle(load), lambda: self._leave(place, load))

    # --- standing -------------------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """Stop the line: boards leave the machines they are in, and none enters one."""
        self._client.post("lines", plant.LINE, "hold", body={"reason": reason})
        self._say(f"{plant.LINE} is stopped: {reason}")
        self.stand()

    def go_on(self, reason: str, signers: Signers) -> None:
        """Let the line go on, signed. The events that were refused meanwhile are applied by now."""
        address, body = ("lines", plant.LINE, "resume"), {"reason": reason}
        signers.post(self._client, *address, body=body, who=SUPERVISOR, meaning="Line may go on")
        self._go_on_after_stop()

    def stand(self) -> None:
        """Wait until the line goes on, whoever lets it."""
        self.mail.is_line_stopped = True
        self._agenda.after(RETRY_SECONDS, self._look_whether_it_stands)

    def _look_whether_it_stands(self) -> None:
        if not self.mail.is_line_stopped:
            return
        if self._client.get("lines", plant.LINE, "status")["hold"] is None:
            self._go_on_after_stop()
        else:
            self._agenda.after(RETRY_SECONDS, self._look_whether_it_stands)

    def _go_on_after_stop(self) -> None:
        self._say(f"{plant.LINE} goes on")
        self.mail.is_line_stopped = False
        for board in self._kept:
            board.is_behind = False
        self._kept.clear()
        self._fill_all()

    # --- boards that are held for a while, or wait for people -------------------------------------------------

    def set_aside(self, sns: Sequence[str]) -> None:
        """Boards that somebody holds wait until they are released, wherever they are."""
        self._held.update(sns)

    def take_back(self) -> None:
        """Go on with the boards that were held."""
        self._held.clear()
        aside, self._aside = self._aside, []
        for board in aside:
            self._rejoin(board, time.monotonic() + PATIENCE)

    def _rejoin(self, board: Board, deadline: float) -> None:
        """Go on with a board where it is, once its events have come."""
        if board.is_behind and time.monotonic() < deadline:
            self._agenda.after(max(board.takt, 0.02), lambda: self._rejoin(board, deadline))
        else:
            self._go_where_it_is(board, self._client.get("stations", "resolve-unit", board.sn))

    def look_after_stuck(self) -> None:
        """Go on with boards about which people have decided meanwhile."""
        for _number in range(min(len(self._stuck), MOST_LOOKED_AT)):
            board, why = self._stuck.popleft()
            unit = self._client.get("stations", "resolve-unit", board.sn)
            if not self._has_been_decided(board, unit):
                self._stuck.append((board, why))
                continue
            board.is_behind, board.tests = False, 0
            board.batch.stuck -= 1
            board.batch.on_line += 1
            if unit["status"] == "SCRAPPED":
                board.batch.scrapped += 1
                self._count_out(board, "scrapped")
            else:
                self._go_where_it_is(board, unit)

    def _has_been_decided(self, board: Board, unit: dict[str, Any]) -> bool:
        if unit["status"] in ("DONE", "SCRAPPED"):
            return True
        place = self.places.get(unit["currentStepNo"])
        if unit["status"] != "QUEUED" or place is None:
            return False
        permit = self._client.post("stations", place.step.station, "permit", body={"sn": board.sn})
        return all(reason["code"] in WAITING_CODES for reason in permit["reasons"])

    # --- entering -------------------------------------------------------------------------------------------

    def _fill(self, place: Place) -> None:
        while place.waiting and place.has_room and self._may_enter(place) and self._is_ready(place):
            if place.step.is_by_machine:
                self._enter_machine(place)
            else:
                self._enter_by_hand(place, place.waiting[0])

    def _may_enter(self, place: Place) -> bool:
        return not place.is_kept_waiting and not self.mail.is_line_stopped

    def _is_ready(self, place: Place) -> bool:
        """Whether a carrier is full, or nothing comes that could fill it."""
        if not place.is_batch:
            return True
        batch = place.waiting[0].batch
        here = sum(board.batch is batch for board in place.waiting)
        is_full = here >= place.wanted and place.waiting[0].panel is None
        return bool(self._carriers) and (is_full or not self._is_coming(place, batch))

    def _is_coming(self, place: Place, batch: Batch) -> bool:
        before = [other for step_no, other in self.places.items() if step_no < place.step.step_no]
        boards = [board for other in before for board in other.waiting]
        boards += [board for other in before for load in other.inside for board in load.boards]
        return bool(batch.pending) or any(board.batch is batch for board in boards)

    def _enter_machine(self, place: Place) -> None:
        self._let_go_on(place)
        if not place.waiting or not self._is_permitted(place):
            return
        load = self._load_carrier(place) if place.is_batch else Load((place.waiting.popleft(),))
        place.inside.add(load)
        self.counting.enter(place.step.operation, load.boards[0].batch.run_no, len(load.boards))
        if place.step.format.has_phases:
            self._report(place, load, {}, phase="start")
        self._agenda.after(place.cycle(load), lambda: self._leave(place, load))

    def _is_permitted(self, place: Place) -> bool:
        """Whether the boards that come next may run here. Where not, the machine stands still, and asks again after a
        while; a board that is not to run at all is looked at by people.
        """
        for board in self._next_boards(place):
            permit = self._client.post("stations", place.step.station, "permit", body={"sn": board.sn})
            if permit["allowed"] or self._is_only_late(board, permit):
                continue
            first = permit["reasons"][0]
            reasons = "; ".join(reason["message"] for reason in permit["reasons"])
            codes = {reason["code"] for reason in permit["reasons"]}
            if codes.isdisjoint(WAITING_CODES):
                place.waiting.remove(board)
                if permit["action"] == "PASS_THROUGH":
                    self._go_where_it_is(board, self._client.get("stations", "resolve-unit", board.sn))
                else:
                    self._lose(board, f"may not run at {place.step.station}: {reasons}")
            elif LINE_STOPPED in codes and not self.mail.is_line_stopped:  # somebody else has stopped it
                self._say(f"{place.step.station} stands still: {first['message']}")
                self.stand()
            else:
                self._keep_waiting(place, reasons, codes)
            return False
        place.told = ""
        return True

    def _next_boards(self, place: Place) -> list[Board]:
        """Return the boards that enter together next."""
        first = place.waiting[0]
        if not place.is_batch:
            return [first]
        boards = [board for board in place.waiting if board.batch is first.batch and board.panel is first.panel]
        return boards[: place.wanted] if first.panel is None else boards

    def _is_only_late(self, board: Board, permit: dict[str, Any]) -> bool:
        """Whether a board may not run only because an event of it is on its way still: it was where it had to be."""
        behind = (*BEHIND_CODES, "UNIT_NOT_FOUND")
        return board.is_behind and all(reason["code"] in behind for reason in permit["reasons"])

    def _let_go_on(self, place: Place) -> None:
        """Send on boards of an earlier simulator whose events arrived after all."""
        for board in [board for board in place.waiting if board.is_taken_over]:
            unit = self._client.get("stations", "resolve-unit", board.sn)
            if (unit["status"], unit["currentStepNo"]) != ("QUEUED", place.step.step_no):
                place.waiting.remove(board)
                self._go_where_it_is(board, unit)

    def _load_carrier(self, place: Place) -> Load:
        """Put waiting boards of one run on a carrier; every other time the oven reads them itself."""
        panel, boards = place.waiting[0].panel, self._next_boards(place)
        for board in boards:
            place.waiting.remove(board)
        if panel is not None:
            return Load(tuple(boards), panel.number, is_listed=True)
        random = self._instrument.random
        place.wanted = random.randint(FEWEST_ON_CARRIER, MOST_ON_CARRIER)
        is_listed = random.random() < 0.5
        carrier = self._carriers.popleft()
        if not is_listed:
            units = [{"sn": board.sn, "position": str(position)} for position, board in enumerate(boards, 1)]
            self._unload(carrier)  # it is empty, whatever an earlier simulator or a late event of the oven left on it
            self._client.post("carriers", carrier, "load", body={"units": units})
        return Load(tuple(boards), carrier, is_listed=is_listed)

    def _free(self, load: Load) -> None:
        panel = load.boards[0].panel
        if panel is not None and load.carrier == panel.number:
            self._part(panel, tries=PARTING_TRIES)
        elif load.carrier is not None:
            self._unload(load.carrier)
            self._carriers.append(load.carrier)

    def _part(self, panel: Panel, *, tries: int) -> None:
        """Part a panel and label its boards, once the oven's event has come."""
        if tries and any(board.is_behind for board in panel.boards):
            self._agenda.after(max(panel.boards[0].takt, 0.02), lambda: self._part(panel, tries=tries - 1))
            return
        loads = self._client.get("trace", "carriers", panel.number)["carrierLoads"]
        carried = sorted(load["position"] for load in loads if load["unloadedAt"] is None)
        labels = {f"{panel.number}:{position}": f"{panel.label}-{position}" for position in carried}
        given = [{"position": int(position), "sn": f"{panel.label}-{position}"} for position in carried]
        try:
            self._client.post("carriers", panel.number, "depanel", body={"boards": given})
        except Refused as refusal:
            if not refusal.repeated:
                self._say(f"{panel.number} is not parted: {refusal} {refusal.details or ''}")
                labels = {}
        for board in panel.boards:
            board.sn, board.panel = labels.get(board.sn, board.sn), None
        self._say(f"The boards of {panel.number} go on as {', '.join(board.sn for board in panel.boards)}")

    def _unload(self, carrier: str) -> None:
        try:
            self._client.post("carriers", carrier, "unload", body={})
        except Refused as refusal:  # nobody has named this carrier yet
            if refusal.code != "CARRIER_NOT_FOUND":
                self._say(f"{carrier} is not unloaded: {refusal}")

    def _enter_by_hand(self, place: Place, board: Board) -> None:
        try:  # the run of the board is known
            self._client.post("stations", place.step.station, "track-in", body={"sn": board.sn})
        except Refused as refusal:
            if refusal.code in WAITING_CODES:
                self._keep_waiting(place, str(refusal), {refusal.code})
                return
            place.waiting.popleft()
            if board.is_behind and refusal.code in BEHIND_CODES and time.monotonic() < board.arrived_at + PATIENCE:
                self._agenda.after(max(board.takt / 2, 0.02), lambda: self._put_again(place, board))
                return
            self._lose(board, f"not taken in at {place.step.station}: {refusal}")
            return
        place.waiting.popleft()
        load = Load((board,))
        board.is_behind = False
        place.inside.add(load)
        place.told = ""
        self._agenda.after(place.cycle(load), lambda: self._leave(place, load))

    def _put_again(self, place: Place, board: Board) -> None:
        place.waiting.append(board)
        self._fill(place)

    def _keep_waiting(self, place: Place, why: str, codes: set[str]) -> None:
        if place.told != why:
            self._say(f"{place.step.station} waits: {why}")
        if STATION_STOPPED in codes:
            self.on_station_stopped(place.step.station)
        place.told = why
        place.is_kept_waiting = True
        self._agenda.after(RETRY_SECONDS, lambda: self._try_again(place))

    def _try_again(self, place: Place) -> None:
        place.is_kept_waiting = False
        self._fill(place)

    # --- leaving a machine ----------------------------------------------------------------------------------

    def _leave(self, place: Place, load: Load) -> None:
        if place.step.is_by_machine:
            self._leave_machine(place, load)
        else:
            self._leave_by_hand(place, load.boards[0])
        place.inside.discard(load)
        self._fill_all()

    def _fill_all(self) -> None:
        for place in self.places.values():
            self._fill(place)

    def _leave_machine(self, place: Place, load: Load) -> None:
        """Report what the machine did, and go on by its verdict, or by the answer if there is one at once."""
        step = place.step
        values = self._instrument.measure(step)
        findings = self._find(step, load.boards[0], values)
        failed, held = bool(findings) or machines.is_failed(step, values), machines.is_held(step, values)
        for board in load.boards:
            board.tests += step.station_type == "TEST"
        fields: dict[str, Any] = {"phase": "end"} if step.format.has_phases else {}
        if step.format.lists_findings:
            fields["findings"] = machines.list_findings(findings)
        told = self._report(place, load, values, failed=failed, is_clean=not failed and not held, **fields)
        self._free(load)
        self.counting.leave(step.operation, load.boards[0].batch.run_no, len(load.boards))
        if told is not None and "refused" in told:
            for board in load.boards:
                self._go_where_it_is(board, self._client.get("stations", "resolve-unit", board.sn))
            return
        for board in load.boards:
            status = told.get("unitStatus") if told else None
            if told and len(load.boards) > 1:  # the answer for several units names no status
                status = None
            self._go_on(place, board, status or self._expected_status(step, board, failed=failed, held=held), failed)

    def _find(self, step: plant.Step, board: Board, values: dict[str, machines.Value]) -> list[machines.Finding]:
        """Return what an inspection finds on a board, which it has counted."""
        if not (step.format.lists_findings and self._to_find and not board.repairs):
            return self._instrument.find(step, values)
        finding, board.fate = self._to_find.popleft()
        values["Defect Count"] = 1
        return [finding]

    def _expected_status(self, step: plant.Step, board: Board, *, failed: bool, held: bool) -> str:
        if held:
            return "ON_HOLD"
        is_tested_again = step.station_type == "TEST" and board.tests <= step.retest_limit
        return "OUT_FAILED" if failed and not is_tested_again else "QUEUED"

    def _report(
        self,
        place: Place,
        load: Load,
        values: dict[str, machines.Value],
        *,
        failed: bool = False,
        is_clean: bool = False,
        **fields: Any,
    ) -> dict[str, Any] | None:
        """Send an event; return the answer, {"refused": …}, or None while the event is on its way or waits."""
        step, answers = place.step, list[dict[str, Any]]()
        is_clean = is_clean and not load.is_behind
        if load.carrier is not None and not load.is_listed:
            is_clean = False  # what is on a carrier counts when the event arrives
            load.is_listed = load.is_behind or self.mail.is_line_stopped or self.mail.is_cut_off(step.station)
        event = self._event(step, load, values, failed=failed, **fields)
        for board in load.boards:
            board.last_key = event["dedupeKey"]
        letter = Letter(
            step,
            event,
            on_answer=lambda answer: self._take_answer(load, event["dedupeKey"], answer, answers),
            on_refusal=lambda refusal: self._take_refusal(step.station, load, event["dedupeKey"], refusal, answers),
        )
        is_sent = self.mail.send(letter, takt=load.takt, is_clean=is_clean)
        if not is_sent:
            for board in load.boards:
                board.is_behind = True
            return None
        return None if not answers or answers[0].get("status") == "WAITING" else answers[0]

    def _take_answer(self, load: Load, key: str, answer: dict[str, Any], answers: list[dict[str, Any]]) -> None:
        """Note the answer. A late event says nothing of those sent after it, which may wait still."""
        answers.append(answer)
        for board in load.boards:
            if board.last_key == key:
                board.is_behind = answer["status"] == "WAITING"

    def _take_refusal(
        self, station: str, load: Load, key: str, refusal: Refused, answers: list[dict[str, Any]]
    ) -> None:
        """Note a refusal. What came while the line or the station stands is applied by itself later: boards go on by
        the verdict.
        """
        if refusal.code == STATION_STOPPED:
            self.on_station_stopped(station)
        elif refusal.code != LINE_STOPPED:
            answers.append({"refused": refusal.code})
            return
        for board in load.boards:
            if board.last_key == key:
                board.is_behind = True
                self._kept.add(board)
        if refusal.code == LINE_STOPPED and not self.mail.is_line_stopped:  # somebody else has stopped it
            self._say(f"{plant.LINE} is stopped")
            self.stand()

    def _event(
        self, step: plant.Step, load: Load, values: dict[str, machines.Value], *, failed: bool, **fields: Any
    ) -> dict[str, Any]:
        if load.carrier is not None:
            fields["carrier"] = load.carrier
            if load.is_listed:
                fields["boards"] = [board.sn for board in load.boards]
        else:
            fields["board"] = load.boards[0].sn
        key = uuid.UUID(int=self._instrument.random.getrandbits(128), version=4)
        if step.station_type == "TEST":
            fields["testId"] = f"T-{key}"
        return {
            "dedupeKey": str(key),
            "sourceSystem": step.station,
            "eventType": step.station_type,
            "occurredAt": datetime.now(UTC).isoformat(),
            "payload": machines.payload_of(step, values, failed=failed, **fields),
        }

    # --- leaving a hand station -----------------------------------------------------------------------------

    def _leave_by_hand(self, place: Place, board: Board) -> None:
        step = place.step
        body: dict[str, Any] = {"sn": board.sn}
        try:
            specs = self._specs_of(place, board)
            typed = machines.readings_to_send(self._instrument.measure(step), specs)
            result = machines.verdict(typed, specs)
            body |= {"result": result, "data": typed, "operatorId": "operator"}
            if result == "FAIL":
                code, location = self._instrument.random.choice(machines.DEFECTS)
                body |= {"defectCode": code, "defectLocation": location}
            answer = self._client.post("stations", step.station, "track-out", body=body)
        except Refused as refusal:
            self._go_on_unsure(place, board, refusal)
        else:
            self._go_on(place, board, answer["status"], answer["result"] == "FAIL")

    def _specs_of(self, place: Place, board: Board) -> Specs:
        """Return what is typed here, by name. A run keeps its route version, so it is asked for once."""
        key = board.batch.run_no
        if key not in self._specs:
            answer = self._client.get("stations", place.step.station, "unit", board.sn, "data-specs")
            self._specs[key] = {spec["name"]: spec for spec in answer["specs"]}
        return self._specs[key]

    def _go_on_unsure(self, place: Place, board: Board, refusal: Refused) -> None:
        """Find out where a board is whose track-out was refused, perhaps because its first answer was lost."""
        unit: dict[str, Any] = {}
        if refusal.repeated and refusal.code == "UNIT_NOT_IN_STATION":
            unit = self._client.get("stations", "resolve-unit", board.sn)
        has_moved = unit.get("status") == "DONE" or unit.get("currentStepNo") not in (None, place.step.step_no)
        if has_moved:
            self._go_where_it_is(board, unit)
        else:
            self._lose(board, f"stays in {place.step.station}: {refusal}")

    # --- where to -------------------------------------------------------------------------------------------

    def _go_on(self, place: Place, board: Board, status: str, failed: bool) -> None:
        step_nos = list(self.places)
        following = step_nos[step_nos.index(place.step.step_no) + 1 :]
        if status == "QUEUED" and not failed and following:
            board.tests = 0
            self.put(board, following[0])
        elif status == "QUEUED" and failed:
            self.put(board, place.step.step_no)  # it is tested again
        elif status == "DONE":
            board.batch.done += 1
            board.batch.last_done = board.sn
            self._count_out(board, "done")
        else:
            states = {"OUT_FAILED": "failed", "ON_HOLD": "on hold"}
            self._lose(board, f"{states.get(status, status)} at {place.step.station}")

    def _go_where_it_is(self, board: Board, unit: dict[str, Any]) -> None:
        """Go on with a board where the server has it."""
        if unit["status"] == "QUEUED" and unit["currentStepNo"] in self.places:
            self.put(board, unit["currentStepNo"])
        elif unit["status"] == "IN_STATION" and unit["currentStepNo"] in self.places:
            self.resume(board, unit["currentStepNo"])
        elif unit["status"] == "DONE":
            board.batch.done += 1
            board.batch.last_done = board.sn
            self._count_out(board, "done")
        else:
            self._lose(board, f"{unit['status']} at step {unit['currentStepNo']}")

    def _lose(self, board: Board, why: str) -> None:
        self._agenda.after(0, self._fill_all)  # a carrier may have waited for it
        if board.sn in self._held:
            self._aside.append(board)
        elif self._has_technician or board.fate:
            self._say(f"{board.sn}  {why}; the technician looks at it")
            takts = DECIDE_TAKTS if board.fate else 1.0
            self._agenda.after(board.takt * takts, lambda: self._decide(board, time.monotonic() + PATIENCE))
        else:
            self._leave_to_people(board, why)

    def _leave_to_people(self, board: Board, why: str) -> None:
        board.batch.stuck += 1
        self._stuck.append((board, why))
        self._count_out(board, why)

    def _count_out(self, board: Board, outcome: str) -> None:
        batch = board.batch
        batch.on_line -= 1
        others = f", {batch.scrapped} scrapped" if batch.scrapped else ""
        others += f", {batch.stuck} for people to decide" if batch.stuck else ""
        self._say(f"{board.sn}  {outcome}  ({batch.run_no}: {batch.done} of {batch.size} done{others})")
        if batch.is_over:
            self._specs.pop(batch.run_no, None)
            self._on_batch_over(batch)

    # --- the technician -------------------------------------------------------------------------------------

    def _decide(self, board: Board, deadline: float) -> None:
        """Repair a board and send it back, release it, or scrap it."""
        unit = self._client.get("stations", "resolve-unit", board.sn)
        is_settled = unit["status"] in ("OUT_FAILED", "ON_HOLD", "SCRAPPED", "DONE")
        if not is_settled and board.is_behind and time.monotonic() < deadline:
            self._agenda.after(max(board.takt, 0.02), lambda: self._decide(board, deadline))
            return
        board.is_behind, board.tests = False, 0
        if board.sn in self._held:
            self._aside.append(board)
            return
        if unit["status"] in ("OUT_FAILED", "ON_HOLD", "QUEUED"):
            try:
                unit = self._see_to(board, unit)
            except Refused as refusal:
                self._leave_to_people(board, f"the technician may not: {refusal}")
                return
        if unit["status"] == "SCRAPPED":
            board.batch.scrapped += 1
            self._count_out(board, "scrapped")
        else:
            self._go_where_it_is(board, unit)

    def _see_to(self, board: Board, unit: dict[str, Any]) -> dict[str, Any]:
        """Decide about a board and do what that asks for; return where it is then."""
        if unit["status"] == "QUEUED":  # somebody has sent it to the bench
            self._bench.end_repair(board.sn)
        else:
            fate, board.fate = board.fate, ""
            board.repairs += 1
            is_scrap = board.repairs > 1 or self._instrument.random.random() < SCRAP_SHARE
            self._bench.decide(board.sn, fate or (bench.SCRAP if is_scrap else bench.REPAIR))
        found: dict[str, Any] = self._client.get("stations", "resolve-unit", board.sn)
        return found
