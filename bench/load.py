"""A load generator that costs little: one process, raw sockets, ready-made requests, one in flight on each."""

import gc
import resource
import selectors
import socket
from collections.abc import Sequence
from time import perf_counter

from bench.case import MARK, BenchError, Case, Plant, number
from bench.measure import Measurement, percentile

PATIENCE = 30  # seconds for one answer


class Connection:
    """A keep-alive connection that sends the case's requests one after the other."""

    def __init__(self, case: Case, requests: Sequence[bytes], port: int, *, first: int, offset: int) -> None:
        self.case = case
        self.requests = requests
        self.next_number = first
        self.turn = offset
        self.received = b""
        self.missing = -1  # bytes of the answer, once its length is known
        self.sent_at = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        """Send the next request."""
        request = self.requests[self.turn % len(self.requests)].replace(MARK, b"%d" % self.next_number)
        self.turn += 1
        self.next_number += 1
        self.sent_at = perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what came; return whether the answer is complete. Raises BenchError."""
        part = self.socket.recv(262144)
        if not part:
            raise BenchError(f"The server closed the connection after {self.received[:500]!r}.")
        self.received = self.received + part if self.received else part
        if self.missing < 0:
            self.missing = _length(self.received)
        if self.missing < 0 or len(self.received) < self.missing:
            return False
        answer, self.received, self.missing = self.received, b"", -1
        if int(answer[9:12]) != self.case.status or not self.case.is_right(answer):
            raise BenchError(f"{self.case.name} was answered {answer[:1500]!r}")
        return True


def _length(received: bytes) -> int:
    """Return the length of the whole answer, -1 while that cannot be told."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return -1
    head = received[:end].lower()
    start = head.find(b"content-length:")
    if start >= 0:
        return end + 4 + int(head[start + 15 :].split(b"\r\n", 1)[0])
    if b"transfer-encoding: chunked" not in head:
        raise BenchError(f"An answer without a length: {head!r}")
    return _end_of_chunks(received, end + 4)


def _end_of_chunks(received: bytes, at: int) -> int:
    """Return where the last chunk ends, -1 while it has not come."""
    while (end := received.find(b"\r\n", at)) >= 0:
        size = int(received[at:end], 16)
        at = end + 2 + size + 2
        if size == 0:
            return at
    return -1


def make_requests(case: Case, plant: Plant) -> list[bytes]:
    """Return the case's requests as they go over the wire, with MARK in them."""
    sender = f"Cookie: sessionid={plant.session}" if case.by_session else f"Authorization: Bearer {plant.token}"
    head = "".join(f"{line}\r\n" for line in ("Host: 127.0.0.1", sender, *map(": ".join, case.headers.items())))
    if case.is_read:
        return [f"GET {path} HTTP/1.1\r\n{head}\r\n".encode() for path, _body in case.examples(plant)]
    head += "Content-Type: application/json\r\n"
    return [
        f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for path, body in case.examples(plant)
    ]


def run(
    case: Case, plant: Plant, port: int, *, round_no: int, warm_up: float, seconds: float
) -> tuple[Measurement, int]:
    """Measure a case; return the measurement and how many requests were answered, those of the warm-up included."""
    requests = make_requests(case, plant)
    connections = [
        Connection(case, requests, port, first=number(round_no=round_no, client=client, count=0), offset=client * 17)
        for client in range(case.connections)
    ]
    try:
        gc.disable()  # a pause here would count as the server's
        return _drive(case, connections, warm_up, seconds)
    finally:
        gc.enable()
        for connection in connections:
            connection.socket.close()


def _drive(case: Case, connections: Sequence[Connection], warm_up: float, seconds: float) -> tuple[Measurement, int]:
    latencies: list[float] = []
    answered = _serve(connections, warm_up)
    cpu = _user_cpu()
    started = perf_counter()
    measured = _serve(connections, seconds, latencies)
    took = perf_counter() - started
    cpu = _user_cpu() - cpu
    latencies.sort()
    return (
        Measurement(
            rate=measured * case.events / took,
            average=sum(latencies) / len(latencies),
            p50=percentile(latencies, 0.5),
            p99=percentile(latencies, 0.99),
            client_cpu=cpu / took,
            longest=latencies[-1],
        ),
        answered + measured,
    )


def _serve(connections: Sequence[Connection], seconds: float, latencies: list[float] | None = None) -> int:
    """Keep every connection busy for so long, then let the requests in flight end; return how many were answered."""
    latencies = [] if latencies is None else latencies
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    deadline = perf_counter() + seconds
    busy = len(connections)
    while busy:
        ready = selector.select(PATIENCE)
        if not ready:
            raise BenchError(f"No answer for {PATIENCE} seconds.")
        for key, _events in ready:
            connection = key.data
            if connection.receive():
                now = perf_counter()
                latencies.append(now - connection.sent_at)
                if now < deadline:
                    connection.send()
                else:
                    busy -= 1
    selector.close()
    return len(latencies)


def _user_cpu() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime
