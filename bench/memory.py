"""What a web process keeps: its memory after a million events, beside that after ten thousand.

Most events come in batches; single readings, machine events and people's pages come in between, so that every cache
is asked for what it has not seen. What is shared with other processes is counted in parts (PSS), so that the sum is
what the processes take. Linux only.
"""

import http.client
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import installation, load
from bench.beside import viewed_pages
from bench.case import BenchError, Plant
from bench.cases import CASES
from bench.installation import WebServer

NAME = "memory"
FEW, MANY = 10_000, 1_000_000
MOST_GROWTH = 1.2  # target: memory after MANY events, of that after FEW
SHARES = {"device-data-batch": 2.0, "device-data-single": 0.5, "auto-single": 0.5}  # seconds of a turn, by case
FIRST_ROUND = 100  # after the one whose units the floor writes to
LOOKS = 4  # at each page in a turn
MIB = 1 << 20


@dataclass(frozen=True)
class Reading:
    """Bytes: PSS of each web process, oldest first; what the sessions of the database have for themselves, in all."""

    events: int
    web: tuple[int, ...]
    sessions: int
    session_count: int


@dataclass(frozen=True)
class Result:
    """The memory after few events, on the way, and after many."""

    readings: Sequence[Reading]
    name: str = NAME

    @property
    def growth(self) -> float:
        """How many times what it was a process has become, of the one that grew most."""
        first, last = self.readings[0], self.readings[-1]
        return max(after / before for before, after in zip(first.web, last.web, strict=True))

    def checks(self) -> list[tuple[str, bool]]:
        """Return the target with whether it is reached."""
        return [(f"memory of a web process at most {MOST_GROWTH:.1f} times", self.growth <= MOST_GROWTH)]

    def as_json(self) -> dict[str, Any]:
        targets = [{"target": text, "reached": reached} for text, reached in self.checks()]
        return {**asdict(self), "growth": self.growth, "targets": targets}


def measure(*, quick: bool) -> Result:
    """Set an installation up, send events and read the memory on the way. Raises BenchError where there is no PSS."""
    many = 3 * FEW if quick else MANY
    with installation.database():
        from bench import plant

        built = plant.build()
        with installation.web_server() as web:
            sender = _Sender(built, web)
            readings = []
            for due in (FEW, many // 10, many // 3, many):
                if due < sender.events:
                    continue
                sender.send_until(due)
                readings.append(_read(sender.events, web))
                print(_describe(readings[-1]), flush=True)
    result = Result(readings)
    print("\n".join(f"  {'pass' if reached else 'MISS'}   {text}" for text, reached in result.checks()), flush=True)
    return result


class _Sender:
    """Sends events of all kinds in turns, and looks at pages in between."""

    def __init__(self, plant: Plant, web: WebServer) -> None:
        self.plant, self.web = plant, web
        self.events, self.round_no = 0, FIRST_ROUND
        self._send(0.1)
        self.cookie, *self.paths = viewed_pages(plant)
        self._look()

    def send_until(self, events: int) -> None:
        """Send turns until so many events have been taken in all; short ones where few are asked for."""
        while self.events < events:
            self._send(min(1.0, events / MANY + 0.1))
            self._look()

    def _send(self, share: float) -> None:
        for name, seconds in SHARES.items():
            self.round_no += 1
            case = CASES[name]
            case.prepare(self.round_no, case.connections, int(seconds * share * case.fastest / case.connections) + 1)
            _measured, requests = load.run(
                case, self.plant, self.web.port, round_no=self.round_no, warm_up=0, seconds=seconds * share
            )
            self.events += requests * case.events

    def _look(self) -> None:
        """Look at every page over connections of their own, which reach both processes; each search is another."""
        for turn in range(LOOKS):
            for path in (*self.paths, f"/trace/?q=B2{self.round_no:04}{turn}"):
                connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=30)
                connection.request("GET", path, headers={"Cookie": self.cookie})
                answer = connection.getresponse()
                answer.read()
                connection.close()
                if answer.status != 200:
                    raise BenchError(f"{path} answered {answer.status}.")


def _read(events: int, web: WebServer) -> Reading:
    processes = tuple(_memory(pid, "Pss") for pid in sorted(_children(web.meter.web)))
    sessions = [_memory(pid, "Private_Clean") + _memory(pid, "Private_Dirty") for pid in _sessions(web.meter.database)]
    return Reading(events, processes, sum(sessions), len(sessions))


def _children(parent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            yield int(path.parent.name)


def _sessions(postmaster: int) -> Iterator[int]:
    """Yield the processes of sessions, which say in their title from where they are."""
    for pid in _children(postmaster):
        if b"127.0.0.1" in Path(f"/proc/{pid}/cmdline").read_bytes():
            yield pid


def _memory(pid: int, what: str) -> int:
    """Return a figure of a process in bytes."""
    try:
        found = re.search(rf"^{what}: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError as error:
        raise BenchError(f"The memory of process {pid} cannot be read: {error}.") from error
    assert found is not None
    return int(found[1]) * 1024


def _describe(reading: Reading) -> str:
    web = ", ".join(f"{size / MIB:.1f}" for size in reading.web)
    return (
        f"  {reading.events:>9,} events   web processes {web} MiB   "
        f"{reading.session_count} sessions {reading.sessions / MIB:.1f} MiB"
    )
