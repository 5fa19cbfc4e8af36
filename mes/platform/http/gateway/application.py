"""From RSGI, granian's own interface, to WSGI.

Under WSGI a server awaits a body on one of the threads that answer: a few silent clients hold all of them. Here a body
is awaited by the event loop, which holds thousands, and only a whole request takes a thread. In this order:

1. The head says who sends. A device's token that this process knows is recognised at once, all others by a thread.
2. Whose sender is not known may not send a body to the API: Django refuses the head. To a page a stranger may
   send what a form holds, because signing in is one; so to where people sign on at terminals, which is of the API.
3. The body is awaited with a deadline and a least rate (`bodies`).
4. A lane (`lanes`) answers: machines have threads of their own, those who sign in have one, monitoring has three; pages
   have the others. Where too much waits, the answer is 503 before it has waited for long.
5. Files of a whole list have a thread of their own, and are sent as they are read: neither a long one nor a slow client
   takes a thread of the pages, and none is held in memory.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

import structlog
from django.utils.translation import gettext as _

from mes.platform.http.accounting import account_refusal
from mes.platform.http.envelope import encode, error_body
from mes.platform.http.gateway import bodies
from mes.platform.http.gateway.environ import Environ, make_environ
from mes.platform.http.gateway.lanes import Lane, Overloaded
from mes.platform.http.handlers import API_PREFIX
from mes.platform.http.middleware import choose_request_id

logger = structlog.get_logger(__name__)

Application = Callable[[Environ, Any], Iterable[bytes]]
Headers = list[tuple[str, str]]


class Undecided(Exception):
    """Nobody can tell now who sends a body, so it can be neither read nor refused."""


FORM_LIMIT = 64 * 1024  # bytes that a stranger may send to a page
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # these wait for nothing for long: see `monitoring.survey`
SWEEP_SECONDS = 0.25
PART = 64 * 1024  # bytes of a file that are sent at once


@dataclass(frozen=True)
class Senders:
    """How senders are recognised.

    `is_known` says so of a head at once, without asking the database; `find` asks it, in a thread, and answers None
    where nobody can tell now.
    """

    is_known: Callable[[Environ], bool]
    find: Callable[[Environ], bool | None]


@dataclass(frozen=True)
class Rules:
    """What is let in. A body larger than `body_limit` bytes is read away: its length says so to the view.

    `body_seconds` may any body take, `sign_in_paths` are those to which passwords or PINs are sent, where one that is
    refused unchecked is answered after `guess_seconds`, below `file_paths` a query with `format` asks for all of a
    list, and a request that takes longer than `longest` seconds hangs; None: it may. A client that takes no part of a
    file for `part_seconds` is given up. Whoever is known may send `upload_limit` bytes to `upload_paths`: they wait in
    a file.
    """

    body_limit: int
    body_seconds: float
    sign_in_paths: frozenset[str] = frozenset()
    file_paths: tuple[str, ...] = ()
    upload_paths: frozenset[str] = frozenset()
    upload_limit: int = 0
    guess_seconds: float = 1
    part_seconds: float = 30
    longest: float | None = None


READ_AWAY = 4  # times as much as is let in is read of a body that is too large


class Gateway:
    """An application for `granian --interface rsgi`, around one of WSGI.

    `rules` say what is let in, `hang_up` cuts a thread, named by its ident, off from what it waits for.
    """

    def __init__(
        self,
        application: Application,
        senders: Senders,
        rules: Rules,
        hang_up: Callable[[int], None] = lambda ident: None,
    ) -> None:
        self.application = application
        self.senders = senders
        self.rules = rules
        self.hang_up = hang_up
        longest = rules.longest
        self.machines = Lane("machines", threads=4, room=64, longest=longest)
        self.pages = Lane("pages", threads=3, room=32, longest=longest and 5 * longest)  # some print a whole month
        self.sign_ins = Lane("sign-ins", threads=1, room=4, longest=longest)
        self.files = Lane("files", threads=1, room=4, patience=10)  # takes as long as there are rows
        self.probes = Lane("probes", threads=len(PROBES), room=16)
        self.lanes = (self.machines, self.pages, self.sign_ins, self.files, self.probes)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        for lane in self.lanes:
            lane.start()
        loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        for lane in self.lanes:
            lane.stop()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        environ = make_environ(scope)
        try:
            is_known = self.senders.is_known(environ)
            if not is_known and _presents_itself(environ):
                is_known = await self._find(environ)
            environ["wsgi.input"] = await self._input(environ, protocol, is_known)
            lane = self._lane(environ, is_known)
            if lane is self.sign_ins:
                await self._answer_sign_in(environ, protocol)
            elif lane is self.files:
                loop = asyncio.get_running_loop()
                await lane.run(lambda: self._answer_in_parts(environ, protocol, loop))
            else:
                await lane.run(lambda: protocol.response_bytes(*self._answer(environ)))
        except Overloaded:
            if self._lane(environ, is_known=False) is self.sign_ins:
                await asyncio.sleep(self.rules.guess_seconds)
            _refuse(protocol, environ, 503, "OVERLOADED", _("Too much is asked for at once. Send it again."))
        except Undecided:
            _refuse(protocol, environ, 503, "TRY_AGAIN", _("Who sends this cannot be looked up now. Send it again."))
        except bodies.BodyTooLate:
            _refuse(protocol, environ, 408, "BODY_TOO_LATE", _("The body did not come in time. Send it again."))
        except bodies.BodyCutOff:
            _refuse(protocol, environ, 400, "BAD_REQUEST", _("The body was cut off."))
        finally:
            if "wsgi.input" in environ:
                environ["wsgi.input"].close()

    async def _find(self, environ: Environ) -> bool:
        """Ask who sends. Raises Undecided for a body to the API, which Django would take for an empty one, were the
        database back when it asks itself.
        """
        found: list[bool | None] = []
        await self.pages.run(lambda: found.append(self.senders.find(environ)))
        is_decided = found in ([True], [False])
        if not is_decided and environ["PATH_INFO"].startswith(API_PREFIX) and bodies.has_body(environ):
            raise Undecided
        return found == [True]

    async def _input(self, environ: Environ, protocol: Any, is_known: bool) -> IO[bytes]:
        """Return the body, and set its length in the head; nothing where it is left unread."""
        if not bodies.has_body(environ):
            return BytesIO()
        length = bodies.content_length(environ)
        is_upload = is_known and environ["PATH_INFO"] in self.rules.upload_paths
        limit = self.rules.upload_limit if is_upload else self.rules.body_limit if is_known else FORM_LIMIT
        if not is_known and self._is_closed_to_strangers(environ["PATH_INFO"]):
            environ["CONTENT_LENGTH"] = "0"
        elif length is None or length <= limit:
            body, size = await self._read(protocol, length, limit, is_known, is_upload)
            environ["CONTENT_LENGTH"] = str(size)
            if size <= limit:
                return body
            body.close()
        elif is_known:
            with contextlib.suppress(bodies.BodyTooLate, bodies.BodyCutOff):  # it was too large before it was late
                await bodies.read(protocol, length, limit=0, most=READ_AWAY * limit, seconds=self.rules.body_seconds)
        environ["mes.close"] = True
        return BytesIO()

    def _is_closed_to_strangers(self, path: str) -> bool:
        return path.startswith(API_PREFIX) and path not in self.rules.sign_in_paths

    async def _read(
        self, protocol: Any, length: int | None, limit: int, is_known: bool, is_upload: bool
    ) -> tuple[IO[bytes], int]:
        most = READ_AWAY * limit if is_known else limit
        seconds = self.rules.body_seconds
        if is_upload:
            return await bodies.spool(protocol, length, limit=limit, most=most, seconds=seconds)
        body = await bodies.read(protocol, length, limit=limit, most=most, seconds=seconds)
        return BytesIO(body), len(body)

    def _lane(self, environ: Environ, is_known: bool) -> Lane:
        path = environ["PATH_INFO"]
        if is_known and path.startswith(API_PREFIX) and "HTTP_AUTHORIZATION" in environ:
            return self.machines
        if environ["REQUEST_METHOD"] == "POST" and path in self.rules.sign_in_paths:
            return self.sign_ins
        if path.startswith(self.rules.file_paths) and "format=" in environ["QUERY_STRING"]:
            return self.files
        return self.probes if path in PROBES else self.pages

    async def _answer_sign_in(self, environ: Environ, protocol: Any) -> None:
        """Have Django answer whoever sends a password. One that it does not even check is answered after a while:
        guessers that are refused at once only send the next guess at once, and each takes the line's processors.
        """
        answers: list[tuple[int, Headers, bytes]] = []
        await self.sign_ins.run(lambda: answers.append(self._answer(environ)))
        for status, headers, body in answers:
            if status in (429, 503):
                await asyncio.sleep(self.rules.guess_seconds)
            protocol.response_bytes(status, headers, body)

    def _answer(self, environ: Environ) -> tuple[int, Headers, bytes]:
        """Have Django answer, in a thread."""
        answered: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> None:
            answered.append((int(status[:3]), headers))

        result = self.application(environ, start_response)
        try:
            status, headers = answered[-1]
            if "mes.close" in environ:
                headers.append(("Connection", "close"))
            return status, headers, b"".join(result)
        finally:
            with contextlib.suppress(AttributeError):
                result.close()  # type: ignore[attr-defined]

    def _answer_in_parts(self, environ: Environ, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Have Django answer, in a thread, and send what it answers in parts as they come. A client that does not take
        them is waited for, and given up in time: what reads for it holds nothing meanwhile.
        """
        answered: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> None:
            answered.append((int(status[:3]), headers))

        result = self.application(environ, start_response)
        try:
            status, headers = answered[-1]
            if not getattr(result, "streaming", False):
                protocol.response_bytes(status, headers, b"".join(result))
                return
            transport = protocol.response_stream(status, headers)
            for part in _joined(result):
                sent = asyncio.run_coroutine_threadsafe(_send(transport, part), loop)
                try:
                    sent.result(self.rules.part_seconds)
                except Exception as gone:  # it hung up, or takes nothing
                    sent.cancel()
                    logger.info("a file was not taken to its end", path=environ["PATH_INFO"], reason=repr(gone))
                    return
        finally:
            with contextlib.suppress(AttributeError):
                result.close()  # type: ignore[attr-defined]

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        for lane in self.lanes:
            lane.give_up()
            for ident in lane.overdue():
                self.hang_up(ident)
        loop.call_later(SWEEP_SECONDS, self._sweep, loop)


async def _send(transport: Any, part: bytes) -> None:
    await transport.send_bytes(part)


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield parts joined to some 64 KiB each, because each is handed from thread to thread."""
    held, size = [], 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size >= PART:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _presents_itself(environ: Environ) -> bool:
    """Whether there is something to recognise the sender of a body or a machine by."""
    if "HTTP_AUTHORIZATION" in environ:
        return environ["PATH_INFO"].startswith(API_PREFIX)
    return "HTTP_COOKIE" in environ and bodies.has_body(environ)


def _refuse(protocol: Any, environ: Environ, status: int, code: str, message: str) -> None:
    """Answer without Django, which would take a thread. The body may be unread, so the connection is closed."""
    identity = choose_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
    account_refusal(environ["REQUEST_METHOD"], status, identity)
    headers = [("Connection", "close"), ("Cache-Control", "no-store"), ("X-Request-ID", identity)]
    if status == 503:
        headers.append(("Retry-After", "1"))
    if environ["PATH_INFO"].startswith(API_PREFIX):
        body = encode(error_body(code, message, None, identity))
        protocol.response_bytes(status, [("Content-Type", "application/json"), *headers], body)
    else:
        page = f"<!doctype html><title>{status}</title><h1>{status}</h1><p>{message}</p>"
        protocol.response_str(status, [("Content-Type", "text/html; charset=utf-8"), *headers], page)
