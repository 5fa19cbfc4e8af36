"""A client that sends what it is told byte by byte, also what no library would send."""

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
PATIENCE = 30  # seconds for one answer


@dataclass(frozen=True)
class Answer:
    """Status 0: the connection was closed or reset without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a refusal, nothing if there is none."""
        error = self.document.get("error")
        return str(error.get("code", "")) if isinstance(error, dict) else ""

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON; empty where it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def is_overload(self) -> bool:
        """Whether it says, as it must, that the server cannot take this now: by a code and a time."""
        return self.status in (429, 503) and bool(self.code) and self.headers.get("retry-after", "").isdigit()


NOTHING = Answer(0, {}, b"")


class Client:
    """Keeps a connection, and opens another one when it was closed. Not for threads to share."""

    def __init__(self, port: int, *, patience: float = PATIENCE, headers: Mapping[str, str] | None = None) -> None:
        self.port = port
        self.patience = patience
        self.headers = {"Host": f"{HOST}:{port}", **(headers or {})}
        self._socket: socket.socket | None = None

    def ask(
        self, method: str, target: str | bytes, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and return its answer; a kept connection that was closed meanwhile is opened anew."""
        request = _request(method, target, body, {**self.headers, **(headers or {})})
        was_kept = self._socket is not None
        answer = self._exchange(request, method)
        return self._exchange(request, method) if answer is NOTHING and was_kept else answer

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None

    def _exchange(self, request: bytes, method: str) -> Answer:
        try:
            if self._socket is None:
                self._socket = connect(self.port, patience=self.patience)
            self._socket.sendall(request)
            response = http.client.HTTPResponse(self._socket, method=method)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, headers, response.read())
            if response.will_close:
                self.close()
        except (OSError, http.client.HTTPException):
            self.close()
            return NOTHING
        return answer


def connect(port: int, *, patience: float = PATIENCE) -> socket.socket:
    """Open a connection. Raises OSError."""
    connection = socket.create_connection((HOST, port), timeout=patience)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def send_raw(port: int, data: bytes, *, patience: float = 5, half_close: bool = False) -> bytes:
    """Send bytes on a connection of their own; return all that comes until it is closed or nothing comes any more."""
    received = b""
    with contextlib.suppress(OSError), connect(port, patience=patience) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            received += part
    return received


def _request(method: str, target: str | bytes, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    address = target if isinstance(target, bytes) else target.encode("utf-8", "surrogatepass")
    if body is not None:
        headers = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    lines = [f"{name}: {value}".encode("latin-1", "replace") for name, value in headers.items()]
    return b"\r\n".join([method.encode() + b" " + address + b" HTTP/1.1", *lines, b"", body or b""])
