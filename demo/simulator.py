"""Orders for the demo line, one after another, and the boards of their runs fed to it at a steady rate."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from operator import attrgetter, itemgetter
from typing import Any

from demo import plant, preparing, set_up
from demo.acts import Acts, Opening
from demo.client import Client, Refused, Stopped
from demo.hand import HandWork
from demo.line import Agenda, Batch, Board, Line
from demo.machines import Instrument
from demo.mail import Tally
from demo.mischief import Mischief
from demo.outgoing import Outgoing
from demo.signing import Signers

BURST = 12  # boards that run through at full speed, so that there is something to see at once
MOST_ON_LINE = 15  # boards; a line that stands is not fed
RUN_PREFIX = "RUN-CTRL-"
TRY_PREFIX = "TRY-"  # runs that wait for somebody to prepare and authorize them
TRY_BOARDS = 10
PAUSE_WHEN_REFUSED = 15.0  # seconds
SHORTEST_PAUSE = 0.02  # seconds before the feeder looks again during the burst
PROGRESS_SECONDS = 60.0
LOOK_SECONDS = 10.0  # between looks at what people have done meanwhile
INSPECT_TAKTS = 4.0  # until a finished lot is inspected


def say(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{datetime.now():%H:%M:%S}  {text}", flush=True)  # noqa: DTZ005 - the terminal's local time


class Simulator:
    """Makes order after order until there are enough of them (None: without end)."""

    def __init__(
        self,
        client: Client,
        *,
        rate: float,
        boards: int,
        orders: int | None = None,
        burst: int = BURST,
        instrument: Instrument | None = None,
        mischief: Mischief | None = None,
        has_technician: bool = False,
        signer: Client | None = None,
        offers_runs: bool = False,
        acts: Sequence[Sequence[str]] = (),
        signers: Signers | None = None,
        say: Callable[[str], None] = say,
    ) -> None:
        """`rate` is in boards per minute, `boards` the size of an order.

        `signer` acts for the person who signs first articles. With `offers_runs` boards wait at the hand station, and
        a run always waits for somebody to prepare it; once that person has authorized it, the line makes it. `acts` are
        played with each order, in turn (`demo.acts`).
        """
        self.batches: list[Batch] = []
        self._client = client
        self._signer = signer or client
        self._signers = signers or Signers()
        self._offers_runs = offers_runs
        self._takt = 60 / rate
        self._boards = boards
        self._orders_left = orders
        self._burst_left = burst
        self._say = say
        self._agenda = Agenda(client)
        mischief = mischief or Mischief()
        instrument = instrument or Instrument(runaway_chance=mischief.chances.runaway)
        self._line = Line(
            client,
            self._agenda,
            instrument,
            mischief,
            has_technician=has_technician,
            say=say,
            on_batch_over=self._close,
        )
        instrument.on_runaway = self._note_runaway
        self._turns = cycle([set(names) for names in acts] or [set[str]()])
        self._queued = deque[Opening]()
        self._is_feeding = False
        self._acts = Acts(
            client,
            self._line,
            after=self._agenda.after,
            queue=self._queue,
            say=say,
            takt=self._takt,
            checks=bool(acts),
            signers=self._signers,
        )
        self._outgoing = Outgoing(self._signer, self._signers, say)
        self._hand_work = HandWork(client, say, shifts=plant.SHIFTS)
        self._lots: list[Batch] = []  # runs that others inspect before they are closed
        self._tell_at = time.monotonic() + PROGRESS_SECONDS
        self._opening: deque[Callable[[], object]] = deque()
        self._last_stamp = ""

    def run(self) -> None:
        """Work until the last order is through, or for ever. Raises Stopped."""
        self._acts.end_holds()
        self._take_over()
        self._acts.take_over()
        self._feed_again(0)
        self._agenda.meanwhile(LOOK_SECONDS, self._look_around)
        try:
            self._agenda.run()
            self._acts.end_stop()
        except Stopped:
            self._acts.end_stop()
            self._line.mail.flush()
            raise
        finally:
            self._line.counting.flush()

    @property
    def tally(self) -> Tally:
        """What was sent, and how it was answered."""
        return self._line.mail.tally

    def _tell(self) -> None:
        """Say from time to time what was sent so far."""
        if time.monotonic() >= self._tell_at:
            self._say(str(self.tally))
            self._tell_at = time.monotonic() + PROGRESS_SECONDS

    def _note_runaway(self, what: str) -> None:
        self.tally.on_purpose["drift"] += 1
        self._say(f"{what} drifts away on purpose")

    # --- feeding --------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Put the next board on the line and come back when the one after it is due."""
        self._tell()
        self._is_feeding = False
        self._acts.check_machine()
        if self._line.board_count >= MOST_ON_LINE or self._line.is_blocked:
            self._feed_again(SHORTEST_PAUSE if self._burst_left else self._takt / 4)
            return
        batch = next((batch for batch in self.batches if batch.pending), None)
        if batch is None:
            self._offer_run()
            if self._adopt_runs():
                self._feed_again(0)
            elif self._orders_left != 0 or self._opening or self._queued:
                self._feed_again(0 if self._open_next() else PAUSE_WHEN_REFUSED)
            return
        board = Board(batch.pending.popleft(), batch, self._next_takt(), panel=batch.panel)
        if batch.panel is not None:
            batch.panel.boards.append(board)
        batch.on_line += 1
        self._line.put(board, plant.STEPS[0].step_no)
        self._acts.on_fed(batch)
        self._feed_again(board.takt)

    def _feed_again(self, seconds: float) -> None:
        self._is_feeding = True
        self._agenda.after(seconds, self._feed)

    def _queue(self, opening: Opening) -> None:
        """Have a run made once those before it are fed."""
        self._queued.append(opening)
        if not self._is_feeding:
            self._feed_again(0)

    def _next_takt(self) -> float:
        if self._burst_left > 0:
            self._burst_left -= 1
            return 0.0
        return self._takt

    # --- orders and runs ------------------------------------------------------------------------------------

    def _open_next(self) -> bool:
        """Make the next order and its run; False when the server refuses, and the rest is tried later."""
        if not self._opening:
            self._opening = deque(self._next_steps())
        while self._opening:
            try:
                self._opening[0]()
            except Refused as refusal:
                if not refusal.repeated:
                    self._say(f"The next run cannot be opened: {refusal} {refusal.details or ''}")
                    return False
            self._opening.popleft()
        return True

    def _next_steps(self) -> list[Callable[[], object]]:
        """Return what opens the run whose turn it is."""
        if self._queued:
            return self._steps_of(self._queued.popleft())
        self._orders_left = None if self._orders_left is None else self._orders_left - 1
        opening = self._next_order(self._next_stamp())
        self._acts.want(opening.batch.run_no, next(self._turns))
        return self._steps_of(opening)

    def _steps_of(self, opening: Opening) -> list[Callable[[], object]]:
        """Return what is to be done before the first board of a run; each may be tried again."""
        run = opening.batch.run_no
        return [
            *opening.make,
            *set_up.steps(self._client, run),
            *preparing.steps(self._client, self._signer, run_no=run, sn=opening.sample, signers=self._signers),
            lambda: self._authorize(run),
            lambda: self._begin_with(opening),
        ]

    def _next_order(self, stamp: str) -> Opening:
        order, run = f"WO-CTRL-{stamp}", f"{RUN_PREFIX}{stamp}"
        sns = [f"CB-{stamp}-{number:03}" for number in range(1, self._boards + 1)]
        due = datetime.now(UTC).date().isoformat()
        received = {"woNo": order, "productCode": plant.PRODUCT, "plannedQty": self._boards, "dueDate": due}
        wanted = {"lineCode": plant.LINE, "planQty": self._boards, "runNo": run}
        post = self._client.post
        make = [
            lambda: post("integration", "work-orders", body=received),
            lambda: post("work-orders", order, "release", body={"lineCode": plant.LINE}),
            lambda: post("work-orders", order, "runs", body=wanted),
            lambda: post("runs", run, "units", body={"sns": sns}),
        ]
        return Opening(Batch.of(run, sns), sns[0], make)

    def _authorize(self, run_no: str) -> None:
        """Authorize a run; what only grew old meanwhile is reported again for the next try."""
        try:
            self._client.post("runs", run_no, "authorize", body={"action": "AUTHORIZE"})
        except Refused as refusal:
            if refusal.code == "READINESS_CHECK_FAILED":
                now = datetime.now(UTC).isoformat()
                preparing.report_program(self._client, f"{run_no}-program-{now}", now)
            raise

    # --- runs for somebody else to start ----------------------------------------------------------------------

    def _offer_run(self) -> None:
        """Have a run wait for somebody who wants to prepare one."""
        if not self._offers_runs or any(self._list_try_runs("PREP")):
            return
        stamp = self._next_stamp()
        order, run = f"WO-TRY-{stamp}", f"{TRY_PREFIX}{stamp}"
        received = {"woNo": order, "productCode": plant.PRODUCT, "plannedQty": TRY_BOARDS}
        wanted = {"lineCode": plant.LINE, "planQty": TRY_BOARDS, "runNo": run}
        sns = [f"TB-{stamp}-{number:02}" for number in range(1, TRY_BOARDS + 1)]
        try:
            self._client.post("integration", "work-orders", body=received)
            self._client.post("work-orders", order, "release", body={"lineCode": plant.LINE})
            self._client.post("work-orders", order, "runs", body=wanted)
            self._client.post("runs", run, "units", body={"sns": sns})
            self._say(f"{run} waits for somebody to prepare it: see “Next runs”")
        except Refused as refusal:
            self._say(f"No run can be offered: {refusal}")

    def _adopt_runs(self) -> bool:
        """Begin with the runs that somebody has prepared and authorized; return whether there are any."""
        if not self._offers_runs:
            return False
        known = {batch.run_no for batch in self.batches}
        runs = [run for run in self._list_try_runs("AUTHORIZED") if run["runNo"] not in known]
        for run in runs:
            opening = self._prepared(run["runNo"], self._list_waiting(run["runNo"]))
            self._begin(opening.batch, opening.boards)
        return bool(runs)

    def _list_waiting(self, run_no: str) -> list[tuple[str, int]]:
        """Return the boards of a run that wait, each with its step: the sample of a first article is further on."""
        units = self._client.items("runs", run_no, "units", query={"status": "QUEUED"})
        return sorted((unit["sn"], unit["stepNo"]) for unit in units)

    def _list_try_runs(self, status: str) -> list[dict[str, Any]]:
        runs = self._client.items("runs", query={"status": status, "lineCode": plant.LINE})
        return [run for run in runs if run["runNo"].startswith(TRY_PREFIX)]

    def _begin_with(self, opening: Opening) -> None:
        """Begin with a run; the sample of its first article has passed the first step."""
        sample, first = opening.sample, plant.STEPS[0].step_no
        if sample not in opening.batch.pending:
            self._begin(opening.batch, opening.boards)
            return
        unit = self._client.get("stations", "resolve-unit", sample)
        if unit["currentStepNo"] == first:
            self._begin(opening.batch, opening.boards)
            return
        opening.batch.pending.remove(sample)
        self._begin(opening.batch, lambda: self._put_sample(opening, unit["currentStepNo"]))

    def _put_sample(self, opening: Opening, step_no: int) -> None:
        batch = opening.batch
        board = Board(opening.sample, batch, self._takt, panel=batch.panel)
        if batch.panel is not None:
            batch.panel.boards.append(board)
        batch.on_line += 1
        opening.boards()
        self._line.put(board, step_no)

    def _begin(self, batch: Batch, put_boards: Callable[[], None] = lambda: None) -> None:
        self._make_active(batch.run_no)
        self.batches.append(batch)
        self._say(f"{batch.run_no} begins: {batch.size} boards of {plant.PRODUCT}")
        put_boards()

    def _make_active(self, run_no: str) -> None:
        """Have the line know which run it makes: what machines say without a number of a run belongs to it."""
        try:
            self._client.post("lines", plant.LINE, "active-run", body={"runNo": run_no})
        except Refused as refusal:
            self._say(f"{run_no} is not the active run of {plant.LINE}: {refusal}")

    def _next_stamp(self) -> str:
        """Return the time as a part of numbers, another one each time."""
        stamp = self._last_stamp
        while stamp == self._last_stamp:
            stamp = f"{datetime.now(UTC):%y%m%d-%H%M%S}"
            self._client.wait(0 if stamp != self._last_stamp else 0.1)
        self._last_stamp = stamp
        return stamp

    def _close(self, batch: Batch) -> None:
        """Close a run that is over, unless boards of it still wait for people or nothing of it has arrived."""
        if self._acts.is_holding(batch.run_no):
            self._agenda.after(max(self._takt, SHORTEST_PAUSE), lambda: self._close(batch))
            return
        try:
            if self._client.get("runs", batch.run_no, "close-check")["leadsTo"] == "CANCELLED":
                self._say(f"{batch.run_no} stays open: nothing of it has arrived yet")
                return
            self._client.post("runs", batch.run_no, "close", body={"reason": f"{batch.done} of {batch.size} boards"})
        except Refused as refusal:
            if refusal.code == "OQC_REQUIRED" and batch not in self._lots:
                self._draw(batch)
            elif batch not in self._lots:
                self._say(f"{batch.run_no} stays open: {refusal}")
        else:
            self._say(f"{batch.run_no} is closed: {batch.done} of {batch.size} boards done")
            self._say(str(self.tally))
            self._acts.on_closed(batch)

    def _draw(self, batch: Batch) -> None:
        """Have the sample of a finished run drawn. Who has started a run by hand is left to inspect it, too."""
        inspection = self._outgoing.find(batch.run_no)
        if inspection is None:
            return
        self._lots.append(batch)
        if batch.run_no.startswith(TRY_PREFIX):
            self._say(f"{batch.run_no} waits for somebody to inspect it: see “Outgoing inspection”")
        else:
            self._agenda.after(self._takt * INSPECT_TAKTS, lambda: self._inspect(batch))

    def _inspect(self, batch: Batch) -> None:
        """Inspect a lot, unless somebody else does; then its run is closed, or made again."""
        inspection = self._outgoing.find_untouched(batch.run_no)
        if inspection is None:
            self._say(f"{batch.run_no} is inspected by somebody else")
            return
        try:
            if self._outgoing.inspect(inspection, is_bad=self._acts.is_rejected(batch.run_no)) == "FAILED":
                self._queue_rework(batch.run_no)
                self._lots.remove(batch)
        except Refused as refusal:
            self._say(f"{batch.run_no} is not inspected: {refusal} {refusal.details or ''}")
        self._close_lot(batch)

    def _queue_rework(self, run_no: str) -> None:
        """Have a rejected lot made again."""
        rework_run = self._outgoing.send_to_rework(run_no)
        self._queue(self._prepared(rework_run, self._list_waiting(rework_run)))

    def _close_lot(self, batch: Batch) -> None:
        """Close the run of a lot that has passed."""
        if batch in self._lots and self._outgoing.is_decided(batch.run_no):
            self._lots.remove(batch)
            self._close(batch)

    def _look_around(self) -> None:
        """See what people have done: decided about boards, named a sample, inspected a lot."""
        self._agenda.meanwhile(LOOK_SECONDS, self._look_around)
        try:
            self._line.look_after_stuck()
            for batch in list(self._lots):
                self._close_lot(batch)
            for sn in preparing.run_samples(self._client, TRY_PREFIX) if self._offers_runs else ():
                self._say(f"{sn} is printed as a first article")
            if self._offers_runs:
                self._hand_work.look()
        except Refused as refusal:
            self._say(f"What people did is not gone on with: {refusal}")

    # --- after a restart ------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Go on with the boards of earlier simulators, older runs first, without another burst."""
        found: dict[str, Batch | None] = {}
        for step_no, place in self._line.places.items():
            queue = self._client.get("stations", place.step.station, "queue")
            for unit in queue["inStation"]:
                batch = self._known(found, unit["runNo"])
                if batch is not None and unit["unitStatus"] == "IN_STATION":
                    self._resume(unit["sn"], batch, step_no)
            for unit in sorted(queue["waiting"], key=itemgetter("sn")):
                batch = self._known(found, unit["runNo"])
                if batch is not None:
                    self._await(unit["sn"], batch, step_no)
        for batch in sorted((one for one in found.values() if one is not None), key=attrgetter("run_no")):
            batch.stuck = batch.size - batch.done - batch.scrapped - batch.on_line - len(batch.pending)
            self._say(f"{batch.run_no} goes on: {batch.done} of {batch.size} boards are done")
            self.batches.append(batch)
            self._burst_left = 0
        self._queue_prepared()
        self._take_over_lots()

    def _take_over_lots(self) -> None:
        """Inspect the lots that another simulator had drawn when it ended; what somebody has begun is left to them."""
        for inspection in self._outgoing.list_open():
            run_no, size = inspection["runNo"], inspection["lotSize"]
            if run_no.startswith((RUN_PREFIX, TRY_PREFIX)):
                self._lots.append(Batch(run_no, size, deque(), done=size))
                if run_no.startswith(RUN_PREFIX) and inspection["status"] == "CREATED":
                    self._agenda.after(self._takt * INSPECT_TAKTS, partial(self._inspect, self._lots[-1]))

    def _queue_prepared(self) -> None:
        """Have runs made that another simulator had split off, or made for later, when it ended."""
        for run in self._client.items("runs", query={"status": "PREP", "lineCode": plant.LINE}):
            if run["runNo"].startswith(RUN_PREFIX):
                waiting = self._list_waiting(run["runNo"])
                if waiting:
                    self._queue(self._prepared(run["runNo"], waiting))

    def _prepared(self, run_no: str, waiting: list[tuple[str, int]]) -> Opening:
        batch = Batch(run_no, len(waiting), deque())

        def put_boards() -> None:
            for sn, step_no in waiting:
                self._await(sn, batch, step_no)

        return Opening(batch, waiting[0][0], boards=put_boards)

    def _known(self, found: dict[str, Batch | None], run_no: str) -> Batch | None:
        """Return the run that another simulator began; None for somebody else's, or one of another line than ours."""
        if run_no not in found:
            found[run_no] = None
            if run_no.startswith((RUN_PREFIX, TRY_PREFIX)):
                run = self._client.get("runs", run_no)
                counts = run["unitCounts"]
                if plant.is_ours(self._client, run["routeVersion"]["versionNo"]):
                    done, scrapped = counts["DONE"], counts["SCRAPPED"]
                    found[run_no] = Batch(run_no, run["planQty"], deque(), done=done, scrapped=scrapped)
                else:
                    self._say(f"{run_no} was begun before the line was changed; its boards are left to people")
        return found[run_no]

    def _resume(self, sn: str, batch: Batch, step_no: int) -> None:
        """Go on with a board in a station."""
        batch.on_line += 1
        self._line.resume(Board(sn, batch, self._takt, is_taken_over=True), step_no)

    def _await(self, sn: str, batch: Batch, step_no: int) -> None:
        """Go on with a board between two stations, or feed it later if it has not begun."""
        if step_no == plant.STEPS[0].step_no:
            batch.pending.append(sn)
            return
        batch.on_line += 1
        self._line.put(Board(sn, batch, self._takt, is_taken_over=True), step_no)
