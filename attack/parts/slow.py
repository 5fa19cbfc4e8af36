"""Clients that are slow, silent or half gone, beside the readings of a line."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from attack.client import HOST, connect
from attack.line import SINGLE, Line, State, running
from attack.outcome import Outcome
from attack.target import Target

CONNECTIONS = 24
DEVICES = (SINGLE,) * 4
UNSTEADY = 1.0  # seconds
SLOWER = 3  # times its quiet p99 that a reading may take
ADDRESSES = ("/api/integration/device-data", "/api/ingest/events", "/sign-in/", "/admin/login/")
CHUNKED, LENGTH = "Transfer-Encoding: chunked", "Content-Length: 512"


def _head(address: str, *fields: str) -> bytes:
    kind = "application/json" if address.startswith("/api/") else "application/x-www-form-urlencoded"
    lines = [f"POST {address} HTTP/1.1", f"Host: {HOST}", f"Content-Type: {kind}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def chunked_and_silent(connection: socket.socket, address: str, over: threading.Event) -> None:
    """One byte of a chunked body, then nothing."""
    connection.sendall(_head(address, CHUNKED) + b"1\r\n{\r\n")
    _await_end(connection, over)


def length_and_silent(connection: socket.socket, address: str, over: threading.Event) -> None:
    """A length, then nothing of the body."""
    connection.sendall(_head(address, LENGTH))
    _await_end(connection, over)


def trickle(connection: socket.socket, address: str, over: threading.Event) -> None:
    """A byte of the body each second."""
    connection.sendall(_head(address, LENGTH))
    while not over.wait(1):
        connection.sendall(b"x")


def trickle_of_a_head(connection: socket.socket, address: str, over: threading.Event) -> None:
    """A byte of the head each second."""
    connection.sendall(_head(address, LENGTH)[:-2] + b"X-Slow: ")
    while not over.wait(1):
        connection.sendall(b"x")


def half_closed(connection: socket.socket, address: str, over: threading.Event) -> None:
    """Half of the body, and an end of sending; the other direction stays open."""
    connection.sendall(_head(address, LENGTH) + b'{"half": ')
    connection.shutdown(socket.SHUT_WR)
    _await_end(connection, over)


Kind = Callable[[socket.socket, str, threading.Event], None]
KINDS: dict[str, Kind] = {
    "chunked, one byte and silence": chunked_and_silent,
    "Content-Length and silence": length_and_silent,
    "a byte of the body a second": trickle,
    "a byte of the head a second": trickle_of_a_head,
    "half-closed": half_closed,
}
SHORT = ("chunked, one byte and silence",)


def _await_end(connection: socket.socket, over: threading.Event) -> None:
    """Read what comes until the server closes, or it is over."""
    connection.settimeout(0.5)
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            if not connection.recv(65536):
                return


@contextmanager
def attackers(port: int, kinds: Sequence[Kind], count: int = CONNECTIONS) -> Iterator[Callable[[], int]]:
    """Keep so many connections busy, opened again when they are closed; yields how many were opened so far."""
    over, opened = threading.Event(), [0] * count

    def attack(index: int) -> None:
        kind, address = kinds[index % len(kinds)], ADDRESSES[index // len(kinds) % len(ADDRESSES)]
        while not over.is_set():
            with contextlib.suppress(OSError), connect(port) as connection:
                opened[index] += 1
                kind(connection, address, over)
            over.wait(0.05)

    threads = [threading.Thread(target=attack, args=[index], daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(opened)
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=5)


def judge(outcome: Outcome, quiet: State, now: State, *, spans: tuple[float, float], least: float = 0) -> None:
    """Hold a line against its quiet time: the 99th percentile, and that it did not come to a stand. `spans` in s.

    Under `least` seconds nothing counts as slow: a short attack runs beside other tests, so its figures are not steady.
    """
    bound = max(SLOWER * quiet.p99(), least)
    rates = [quiet.count() / spans[0], now.count() / spans[1]]
    outcome.note = (
        f"readings {rates[0]:.0f} → {rates[1]:.0f}/s, p99 {quiet.p99() * 1000:.0f} → {now.p99() * 1000:.0f} ms"
    )
    outcome.check(now.p99() <= bound, f"p99 {now.p99() * 1000:.0f} ms is more than {bound * 1000:.0f} ms")
    outcome.check(rates[1] >= rates[0] / (10 if least else SLOWER), f"only {rates[1]:.0f} readings/s of {rates[0]:.0f}")


def watch(line: Line, seconds: float) -> State:
    """Return what a line does in so many seconds from now."""
    line.state()
    time.sleep(seconds)
    return line.state()


def run(target: Target) -> Iterator[Outcome]:
    """Each kind by itself, then all at once; of a short attack one of them."""
    chosen, least = (SHORT, UNSTEADY) if target.is_short else (KINDS, 0)
    span = target.seconds / (len(chosen) + 1)
    rounds = {name: [KINDS[name]] for name in chosen}
    if not target.is_short:
        rounds["all of these"] = list(KINDS.values())
    with running(target.port, target.plant, DEVICES, round_no=target.next_round()) as line:
        time.sleep(1)
        quiet = watch(line, span)
        for name, kinds in rounds.items():
            outcome = Outcome(f"slow: {name}")
            with attackers(target.port, kinds) as opened:
                time.sleep(0.5)
                judge(outcome, quiet, watch(line, span), spans=(span, span), least=least)
                outcome.tried = opened()
            yield outcome
        end_line(line, outcome)


def end_line(line: Line, outcome: Outcome) -> None:
    """End a line; what its devices had to complain of goes to the last outcome."""
    delivered = line.end()
    outcome.errors += delivered.errors
    outcome.faults += delivered.refused
    outcome.check(delivered.given_up == 0, f"{delivered.given_up} readings were not taken at all")
