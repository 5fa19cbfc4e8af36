"""A small client of the HTTP interface. Standard library only."""

import http.client
import json
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

RETRY_STATUSES = (429, 502, 503, 504)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts
TIMEOUT = 10.0  # seconds for one answer


class Refused(Exception):
    """The server answered that it will not. `repeated`: an earlier attempt, whose answer was lost, may have worked."""

    def __init__(self, status: int, code: str, message: str, details: Any = None, *, repeated: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.repeated = repeated


class SignInRefused(Exception):
    """The server does not accept the token."""


class Unreachable(Exception):
    """The server did not answer for longer than our patience."""


class Stopped(Exception):
    """The program was asked to end."""


class Client:
    """Speaks to one server over one connection, which is kept open. Not for several threads at once."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        patience: float = math.inf,
        stop: threading.Event | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """Take the server's address; wait at most `patience` seconds for it, or until `stop` is set."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"The address must look like http://127.0.0.1:8000, not {url!r}.")
        self.url = url.rstrip("/")
        self.stop = stop or threading.Event()
        self._prefix = parts.path.rstrip("/")
        self._patience = patience
        self._say = say
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=TIMEOUT)

    def get(self, *path: str, query: Mapping[str, str] | None = None) -> Any:
        """Read what is at /api/…; each part of the path is percent-encoded."""
        return self._call("GET", address(path, query))

    def post(self, *path: str, body: Any = None) -> Any:
        """Send a body to /api/…"""
        return self._call("POST", address(path), {} if body is None else body)

    def patch(self, *path: str, body: Any) -> Any:
        """Change what is at /api/…"""
        return self._call("PATCH", address(path), body)

    def items(self, *path: str, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """Yield all items of a list, page by page."""
        target: str | None = address(path, query)
        while target:
            page = self._call("GET", target)
            yield from page["items"]
            following = urlsplit(page["next"] or "")
            target = f"{following.path.removeprefix(self._prefix)}?{following.query}" if page["next"] else None

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as the stop is asked for."""
        if self.stop.wait(max(0.0, seconds)):
            raise Stopped

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def _call(self, method: str, target: str, body: Any = None) -> Any:
        """Ask until there is an answer, however long the server is away."""
        deadline = time.monotonic() + self._patience
        pause, repeated = FIRST_PAUSE, False
        while True:
            try:
                status, content = self._send(method, target, body)
                if status not in RETRY_STATUSES or _is_locked(content):
                    return self._unwrap(status, content, repeated=repeated)
                trouble = f"status {status}"
            except (OSError, http.client.HTTPException) as error:
                self.close()
                trouble, repeated = str(error) or type(error).__name__, True
            if time.monotonic() > deadline:
                raise Unreachable(f"{self.url} does not answer ({trouble}).")
            if pause == LONGEST_PAUSE / 2:
                self._say(f"{self.url} does not answer ({trouble}); trying again until it does.")
            self.wait(pause)
            pause = _longer(pause)

    def _send(self, method: str, target: str, body: Any) -> tuple[int, bytes]:
        headers, content = self.headers, None
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
            content = json.dumps(body, allow_nan=False).encode()
        self._connection.request(method, self._prefix + target, content, headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def _unwrap(self, status: int, content: bytes, *, repeated: bool) -> Any:
        """Return the data of the envelope, or raise its error."""
        try:
            envelope = json.loads(content)
        except ValueError:
            envelope = None
        if not isinstance(envelope, dict):
            envelope = {}
        if status < 400 and envelope.get("ok"):
            return envelope.get("data")
        error = envelope.get("error") or {"code": f"HTTP_{status}", "message": "This is not an answer of Linekeeper."}
        if status == 401:
            raise SignInRefused(error["message"])
        raise Refused(status, error["code"], error["message"], error.get("details"), repeated=repeated)


def as_person(url: str, session: str, *, patience: float = math.inf) -> Client:
    """Return a client that acts as the person whose session this is, as their browser does."""
    client = Client(url, "", patience=patience)
    proof = secrets.token_hex(16)  # against forged requests: the cookie and the header must agree
    cookies = f"sessionid={session}; csrftoken={proof}"
    client.headers = {"Accept": "application/json", "Cookie": cookies, "X-CSRFToken": proof}
    return client


def address(path: tuple[str, ...], query: Mapping[str, str] | None = None) -> str:
    """Return the path of an address; each part is percent-encoded and may hold any character."""
    target = "/api/" + "/".join(quote(part, safe="") for part in path)
    return f"{target}?{urlencode(query)}" if query else target


def _is_locked(content: bytes) -> bool:
    """Whether somebody may not sign for a while: all else goes on meanwhile."""
    return b'"SIGN_ON_LOCKED"' in content


def _longer(pause: float) -> float:
    """Return the next pause: doubled, by way of half the longest."""
    return LONGEST_PAUSE if pause >= LONGEST_PAUSE / 2 else min(pause * 2, LONGEST_PAUSE / 2)
