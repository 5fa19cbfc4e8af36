"""Machines that count: boards and parts by job, told now and then beside what they say of each board.

Like real ones, each in its own way: one tells differences, the others what their counters show; one starts again now
and then and counts from zero, one tells some of it late.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from demo.client import Client, Refused
from demo.mail import Tally
from demo.mischief import Mischief

REPORT_SECONDS = 20.0  # of a machine that is busy
LATE_SECONDS = 3 * REPORT_SECONDS
LOSS = 0.002  # of the parts picked

Schedule = Callable[[float, Callable[[], None]], None]


@dataclass(frozen=True)
class Machine:
    """What counts at an operation. `parts` is how many it places on a board."""

    operation: str
    station: str
    equipment: str
    counts_boards: bool = True
    parts: int = 0
    is_delta: bool = False
    may_restart: bool = False
    may_be_late: bool = False


MACHINES = (
    Machine("PRINT", "PRN-A1", "EQ-PRN-A1", is_delta=True),
    Machine("PLACE", "PLC-A1", "EQ-PLC-A1", parts=96, may_restart=True),
    Machine("PLACE", "PLC-A1", "EQ-PLC-A2", counts_boards=False, parts=22, may_be_late=True),
    Machine("AOI", "AOI-A1", "EQ-AOI-A1"),
)


@dataclass(eq=False)
class Counter:
    """The counters of a machine for a run, and what was told of them."""

    machine: Machine
    run_no: str
    told_until: datetime
    numbers: dict[str, int] = field(default_factory=dict)
    is_due: bool = False

    def add(self, **numbers: int) -> None:
        """Count."""
        for name, number in numbers.items():
            self.numbers[name] = self.numbers.get(name, 0) + number


class Counting:
    """Counts what the machines of the line do, and tells the server."""

    def __init__(self, client: Client, schedule: Schedule, mischief: Mischief, tally: Tally) -> None:
        self._client = client
        self._schedule = schedule
        self._mischief = mischief
        self._tally = tally
        self._counters: dict[tuple[str, str], Counter] = {}
        self._late: list[dict[str, Any]] = []

    def enter(self, operation: str, run_no: str, boards: int) -> None:
        """Boards enter a machine."""
        for counter in self._of(operation, run_no):
            if counter.machine.counts_boards:
                counter.add(boardsIn=boards)

    def leave(self, operation: str, run_no: str, boards: int) -> None:
        """Boards leave a machine, with all their parts."""
        for counter in self._of(operation, run_no):
            machine = counter.machine
            if machine.counts_boards:
                counter.add(boardsOut=boards)
            if machine.parts:
                lost = sum(self._mischief.random.random() < LOSS for _part in range(machine.parts * boards))
                counter.add(picked=machine.parts * boards + lost, placed=machine.parts * boards)
            self._make_due(counter)

    def flush(self) -> None:
        """Tell at once what was not told yet: the program ends."""
        for event in list(self._late):
            self._send_late(event)
        for counter in self._counters.values():
            if counter.is_due:
                self._tell(counter, in_time=True)

    def _of(self, operation: str, run_no: str) -> list[Counter]:
        now = datetime.now(UTC)
        return [
            self._counters.setdefault((machine.equipment, run_no), Counter(machine, run_no, told_until=now))
            for machine in MACHINES
            if machine.operation == operation
        ]

    def _make_due(self, counter: Counter) -> None:
        if not counter.is_due:
            counter.is_due = True
            self._schedule(REPORT_SECONDS, lambda: self._tell(counter))

    def _tell(self, counter: Counter, *, in_time: bool = False) -> None:
        if not counter.is_due:
            return
        counter.is_due = False
        now = datetime.now(UTC)
        event = self._event(counter, until=now)
        counter.told_until = now
        if counter.machine.is_delta:
            counter.numbers = dict.fromkeys(counter.numbers, 0)
        if counter.machine.may_be_late and not in_time and self._mischief.happens("late_counts"):
            self._tally.on_purpose["late counts"] += 1
            self._late.append(event)
            self._schedule(LATE_SECONDS, lambda: self._send_late(event))
        else:
            self._send(event)
        if counter.machine.may_restart and self._mischief.happens("restart"):
            self._tally.on_purpose["restarted counter"] += 1
            counter.numbers = dict.fromkeys(counter.numbers, 0)

    def _event(self, counter: Counter, *, until: datetime) -> dict[str, Any]:
        machine = counter.machine
        return {
            "eventId": f"{machine.equipment}-{uuid.uuid4()}",
            "eventTime": until.isoformat(),
            "source": "AUTO",
            "runNo": counter.run_no,
            "stationCode": machine.station,
            "equipmentId": machine.equipment,
            "production": {
                "windowStart": counter.told_until.isoformat(),
                "windowEnd": until.isoformat(),
                "mode": "DELTA" if machine.is_delta else "CUMULATIVE",
                **counter.numbers,
            },
        }

    def _send_late(self, event: dict[str, Any]) -> None:
        if event in self._late:
            self._late.remove(event)
            self._send(event)

    def _send(self, event: dict[str, Any]) -> None:
        self._tally.events += 1
        try:
            self._client.post("integration", "device-data", body=event)
            self._tally.answers["COUNTED"] += 1
        except Refused as refusal:
            self._tally.unexpected[refusal.code] += 1
