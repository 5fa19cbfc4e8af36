"""A line of devices in a process of its own: they send readings and machine events, and send again as devices do.

Run as `python -m attack.line`; the first line of its input is what it is (`Order`), each further one asks for
something: `state`, or `end`. Each is answered by a line. What was acknowledged is kept, so that it can be looked for.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from attack.client import NOTHING, Answer, Client
from attack.installation import PROJECT
from bench.case import MARK, Plant, number
from bench.cases import auto_single, device_data_batch, device_data_single
from bench.measure import percentile

SINGLE, BATCH, AUTO = "single", "batch", "auto"
PAUSES = {SINGLE: 0.01, BATCH: 0.2, AUTO: 0.04}  # seconds between two events of a device
BATCH_SIZE = 20
PATIENCE = 10  # seconds that a device waits for an answer
AGAIN = 0.25  # seconds until a device sends again
GIVE_UP = 90  # seconds after which a line that ends lets go of an event


@dataclass(frozen=True)
class Order:
    """Which devices, and where they send. `round_no` keeps the numbers of two lines apart."""

    port: int
    plant: dict[str, Any]
    devices: Sequence[str]
    round_no: int


@dataclass
class Delivered:
    """What a device had acknowledged. `refused` are answers that no sound event should get."""

    readings: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)  # keys of machine events
    errors: int = 0  # answers of 500
    refused: list[str] = field(default_factory=list)
    given_up: int = 0


class Device(threading.Thread):
    """Sends one event after the other; sends each until it is acknowledged."""

    def __init__(self, order: Order, index: int) -> None:
        super().__init__(daemon=True)
        self.kind = order.devices[index]
        self.client = Client(order.port, patience=PATIENCE, headers={"Authorization": f"Bearer {order.plant['token']}"})
        self.plant = Plant(**order.plant)
        self.next_number = number(round_no=order.round_no, client=index, count=0)
        self.delivered = Delivered()
        self.latencies: list[float] = []
        self.began: float | None = None  # the event that is under way
        self.sent_well_at = 0.0  # when what was acknowledged last was sent
        self.over = threading.Event()
        self.give_up_at = float("inf")
        self._bodies = _bodies(self.kind, self.plant)

    def run(self) -> None:
        """Work until it is over."""
        while not self.over.is_set():
            mark = b"%d" % self.next_number
            body = self._bodies[self.next_number % len(self._bodies)].replace(MARK, mark)
            self.next_number += 1
            self.began = time.perf_counter()
            answer = self._deliver(body)
            if answer is not NOTHING:
                self.latencies.append(time.perf_counter() - self.began)
                self._note(mark.decode(), answer)
            self.began = None
            self.over.wait(PAUSES[self.kind])
        self.client.close()

    def _deliver(self, body: bytes) -> Answer:
        """Send until there is an answer that is final; NOTHING when time is up."""
        while time.monotonic() < self.give_up_at:
            sent_at = time.monotonic()
            answer = self.client.ask("POST", PATHS[self.kind], body)
            if 200 <= answer.status < 300:
                self.sent_well_at = sent_at
                return answer
            if 400 <= answer.status < 500 and answer.status != 429:
                return answer
            if answer.status == 500 or (answer.status == 503 and not answer.is_overload):
                self.delivered.errors += 1
            time.sleep(AGAIN)
        self.delivered.given_up += 1
        return NOTHING

    def _note(self, mark: str, answer: Answer) -> None:
        if answer.status >= 400:
            self.delivered.refused.append(f"{self.kind} {mark}: {answer.status} {answer.body[:200]!r}")
        elif self.kind == SINGLE:
            self.delivered.readings.append(f"bench-{mark}")
        elif self.kind == BATCH:
            results = answer.document["data"]["results"]
            good = [result["eventId"] for result in results if result["status"] in ("CREATED", "DUPLICATE")]
            self.delivered.readings += good
            if len(good) != BATCH_SIZE:
                self.delivered.refused.append(f"batch {mark}: {str(results)[:300]}")
        else:
            self._note_event(mark, answer)

    def _note_event(self, mark: str, answer: Answer) -> None:
        status = answer.document["data"]["status"]
        if status == "APPLIED":
            self.delivered.events.append(f"bench-{mark}")
        else:
            self.delivered.refused.append(f"event {mark}: {status}")


PATHS = {
    SINGLE: device_data_single.CASE.path,
    BATCH: device_data_batch.CASE.path,
    AUTO: auto_single.CASE.path,
}


def _bodies(kind: str, plant: Plant) -> Sequence[bytes]:
    if kind == BATCH:
        mark = MARK.decode()
        events = [
            device_data_single.event(plant, sn, f"bench-{mark}-{index:02}")
            for index, sn in enumerate(plant.sns[:BATCH_SIZE])
        ]
        return [json.dumps({"events": events}).encode()]
    return (device_data_single if kind == SINGLE else auto_single).CASE.bodies(plant)


# --- the line, from outside ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """How a line is. `latencies` in seconds, since the last look, retries included, and of what has been under way for
    more than a second; `sent_well_at` of each device on the system's monotonic clock.
    """

    latencies: dict[str, list[float]]
    sent_well_at: list[float]

    def p99(self, kind: str = SINGLE) -> float:
        """Return the 99th percentile in seconds."""
        return percentile(sorted(self.latencies[kind]), 0.99) if self.latencies[kind] else float("inf")

    def count(self, kind: str = SINGLE) -> int:
        """Return how many were answered."""
        return len(self.latencies[kind])


class Line:
    """The line as its own process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def state(self) -> State:
        """Look at it; the latencies begin anew."""
        return State(**self._ask("state"))

    def end(self) -> Delivered:
        """Let each device end what it has begun; return what was acknowledged."""
        return Delivered(**self._ask("end"))

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))


@contextmanager
def running(port: int, plant: Plant, devices: Sequence[str], *, round_no: int) -> Iterator[Line]:
    """Run a line. Machine events need units: `bench.plant.make_fresh_units(round_no, …)`."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MES_", "DATABASE_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "attack.line"],
        cwd=PROJECT,
        env=given,  # nothing that would make it look like a part of the installation
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(Order(port, asdict(plant), list(devices), round_no))) + "\n")
        process.stdin.flush()
        yield Line(process)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Run the devices, and answer."""
    order = Order(**json.loads(sys.stdin.readline()))
    devices = [Device(order, index) for index in range(len(order.devices))]
    for device in devices:
        device.start()
    for asked in sys.stdin:
        answer = _state(devices) if asked.strip() == "state" else _end(devices)
        print(json.dumps(answer), flush=True)


def _state(devices: Sequence[Device]) -> dict[str, Any]:
    latencies: dict[str, list[float]] = {SINGLE: [], BATCH: [], AUTO: []}
    for device in devices:
        taken, device.latencies = device.latencies, []
        latencies[device.kind] += taken
        waits = 0.0 if (began := device.began) is None else time.perf_counter() - began
        latencies[device.kind] += [waits] if waits > 1 else []
    return {"latencies": latencies, "sent_well_at": [device.sent_well_at for device in devices]}


def _end(devices: Sequence[Device]) -> dict[str, Any]:
    for device in devices:
        device.give_up_at = time.monotonic() + GIVE_UP
        device.over.set()
    whole = Delivered()
    for device in devices:
        device.join()
        whole.readings += device.delivered.readings
        whole.events += device.delivered.events
        whole.refused += device.delivered.refused
        whole.errors += device.delivered.errors
        whole.given_up += device.delivered.given_up
    return asdict(whole)


if __name__ == "__main__":
    main()
