"""A small receiver that plays the ERP: takes messages once, checks their signature, and fails when it is told to.

    python -m demo.erp --port 8099 --secret demo

Then start Linekeeper with `MES_ERP_URL=http://127.0.0.1:8099/runs MES_ERP_SECRET=demo`. `GET /received` lists what it
got; `POST /faults` with `{"fault": "500", "times": 3}` switches a fault on for the next messages.
"""

import argparse
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CLOCK_SKEW = 300  # seconds a signature may be old
LARGEST_BODY = 1024 * 1024

FAULTS = (
    "500",  # an error of the receiver
    "503",  # away, with Retry-After
    "429",  # too many, with Retry-After
    "400",  # refused for good
    "redirect",  # somebody else's address
    "timeout",  # no answer at all
    "reset",  # the connection breaks before anything is taken
    "lost",  # the message is taken and the answer is lost
    "dribble",  # an answer that never ends
)


@dataclass
class Received:
    """One message: taken once, delivered perhaps more often."""

    key: str
    body: dict[str, Any]
    digest: str
    deliveries: int = 1


@dataclass
class Erp:
    """What the receiver knows. Safe to be used by several threads."""

    secret: str
    retry_after: str = "1"
    hang: float = 30.0  # seconds that a time-out takes
    received: dict[str, Received] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    requests: int = 0
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def switch_on(self, fault: str, times: int = 1) -> None:
        """Have the next messages fail."""
        if fault not in FAULTS:
            raise ValueError(f"{fault} is none of {', '.join(FAULTS)}")
        with self.lock:
            self.faults += [fault] * times

    def next_fault(self) -> str:
        """Return the fault of this request, empty for none."""
        with self.lock:
            self.requests += 1
            return self.faults.pop(0) if self.faults else ""

    def take(self, key: str, timestamp: str, signature: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Take a message; return (HTTP status, answer)."""
        problem = self._find_problem(key, timestamp, signature, body)
        if problem:
            with self.lock:
                self.refused.append(problem)
            return 401, {"error": problem}
        digest = hashlib.sha256(body).hexdigest()
        with self.lock:
            known = self.received.get(key)
            if known is None:
                self.received[key] = Received(key, json.loads(body), digest)
                return 201, {"taken": True}
            if known.digest != digest:
                return 409, {"error": "this key was used with other content"}
            known.deliveries += 1
            return 200, {"taken": False}

    def _find_problem(self, key: str, timestamp: str, signature: str, body: bytes) -> str:
        if not key:
            return "no Idempotency-Key"
        if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > CLOCK_SKEW:
            return "the timestamp is missing or far from now"
        expected = hmac.new(self.secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return "" if hmac.compare_digest(signature, f"sha256={expected}") else "the signature is wrong"


class Handler(BaseHTTPRequestHandler):
    """The receiver over HTTP."""

    protocol_version = "HTTP/1.1"
    erp: Erp

    def do_GET(self) -> None:
        """List what was received."""
        with self.erp.lock:
            listed = [{"key": one.key, "deliveries": one.deliveries, "body": one.body} for one in self._received()]
        self._answer(200, {"received": listed, "refused": self.erp.refused, "requests": self.erp.requests})

    def do_POST(self) -> None:
        """Take a message, or switch a fault on."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LARGEST_BODY))
        if self.path == "/faults":
            asked = json.loads(body)
            self.erp.switch_on(asked["fault"], int(asked.get("times", 1)))
            self._answer(200, {"faults": self.erp.faults})
            return
        fault = self.erp.next_fault()
        if fault and fault != "lost":
            self._fail(fault)
            return
        status, answer = self.erp.take(
            self.headers.get("Idempotency-Key", ""),
            self.headers.get("X-Linekeeper-Timestamp", ""),
            self.headers.get("X-Linekeeper-Signature", ""),
            body,
        )
        if fault:
            self._break()
            return
        self._answer(status, answer)

    def _received(self) -> list[Received]:
        return list(self.erp.received.values())

    def _fail(self, fault: str) -> None:
        if fault == "timeout":
            time.sleep(self.erp.hang)
            self._break()
        elif fault == "reset":
            self._break()
        elif fault == "dribble":
            self._dribble()
        elif fault == "redirect":
            self._answer(302, {}, Location=f"http://{self.headers['Host']}/elsewhere")
        elif fault in ("429", "503"):
            self._answer(int(fault), {"error": "later"}, **{"Retry-After": self.erp.retry_after})
        else:
            self._answer(int(fault), {"error": "no"})

    def _dribble(self) -> None:
        """Send a header line, a letter at a time, for as long as somebody listens."""
        until = time.monotonic() + self.erp.hang
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Dribble: ")
            while time.monotonic() < until:
                self.wfile.write(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        self._break()

    def _break(self) -> None:
        """Break the connection: the other side gets a reset."""
        self.close_connection = True
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        except OSError:
            pass

    def _answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `GET /received` tells."""


class Server(ThreadingHTTPServer):
    """Breaks off quietly with those who break off."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a connection that breaks is one of the faults."""


def serve(erp: Erp, *, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Return a server of this receiver, on a free port unless one is given; `serve_forever()` starts it."""
    return Server((host, port), type("ErpHandler", (Handler,), {"erp": erp}))


def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Plays the ERP that is told when runs end.")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--secret", default="demo")
    parser.add_argument("--fault", choices=FAULTS, help="fails the first message so")
    options = parser.parse_args()
    erp = Erp(options.secret)
    if options.fault:
        erp.switch_on(options.fault)
    server = serve(erp, port=options.port)
    print(f"The ERP listens on http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
