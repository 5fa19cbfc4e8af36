"""The gateway: who may send a body, how long it may take, and which threads answer."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from mes.platform import metrics
from mes.platform.http.gateway import bodies
from mes.platform.http.gateway.application import FORM_LIMIT, PART, Gateway, Rules, Senders
from mes.platform.http.gateway.environ import make_environ

KNOWN = ("authorization", "Bearer known")
GUESSED = ("authorization", "Bearer guessed")
CHUNKED = ("transfer-encoding", "chunked")
LIMIT = 100_000


class Headers:
    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.pairs = pairs

    def items(self) -> list[tuple[str, str]]:
        return list(self.pairs)


@dataclass
class Scope:
    """What granian says of a request."""

    path: str = "/api/readings"
    method: str = "POST"
    query_string: str = ""
    headers: Headers = field(default_factory=Headers)
    client: str = "[::1]:40000"
    server: str = "127.0.0.1:8000"
    scheme: str = "http"
    http_version: str = "1.1"
    authority: str | None = None


class Protocol:
    """A client that sends these parts, one after the other, and then ends, is cut off, or is silent."""

    def __init__(self, *parts: bytes, is_silent: bool = False, is_cut_off: bool = False) -> None:
        self.parts = parts
        self.is_silent = is_silent
        self.is_cut_off = is_cut_off
        self.is_read = False
        self.read = 0  # parts
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    async def __call__(self) -> bytes:
        return b"".join([part async for part in self])

    async def __aiter__(self) -> Any:
        self.is_read = True
        for part in self.parts:
            await asyncio.sleep(0.01)
            self.read += 1
            yield part
        if self.is_silent:
            await asyncio.sleep(60)
        yield b""
        if self.is_cut_off:
            yield b""

    def response_bytes(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.answers.append((status, dict(headers), body))

    def response_str(self, status: int, headers: Iterable[tuple[str, str]], body: str) -> None:
        self.response_bytes(status, headers, body.encode())

    @property
    def code(self) -> str:
        return msgspec.json.decode(self.answers[0][2])["error"]["code"]


class Plant:
    """A gateway whose application answers with what it got, and waits where `block` says so."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Any], bytes, str]] = []
        self.found: list[str] = []
        self.released = threading.Event()
        self.blocks: Callable[[dict[str, Any]], bool] = lambda environ: False
        senders = Senders(is_known=lambda environ: environ.get("HTTP_AUTHORIZATION") == KNOWN[1], find=self.find)
        rules = Rules(
            body_limit=LIMIT,
            body_seconds=0.2,
            sign_in_paths=frozenset({"/sign-in/", "/api/sign-on"}),
            upload_paths=frozenset({"/api/files"}),
            upload_limit=20 * LIMIT,
        )
        self.gateway = Gateway(self.application, senders, rules)
        for lane in self.gateway.lanes:
            lane.patience = 0.3

    def find(self, environ: dict[str, Any]) -> bool:
        self.found.append(environ["PATH_INFO"])
        return environ.get("HTTP_AUTHORIZATION", environ.get("HTTP_COOKIE")) in ("Bearer fresh", "sessionid=open")

    def application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.seen.append((environ, body, threading.current_thread().name))
        if self.blocks(environ):
            self.released.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body[:10]]

    async def send(self, protocol: Protocol, *headers: tuple[str, str], **scope: Any) -> Protocol:
        await self.gateway.__rsgi__(Scope(headers=Headers(*headers), **scope), protocol)
        return protocol

    def run(self, play: Callable[[], Any]) -> Any:
        async def played() -> Any:
            loop = asyncio.get_running_loop()
            self.gateway.__rsgi_init__(loop)
            try:
                return await play()
            finally:
                self.released.set()
                self.gateway.__rsgi_del__(loop)

        return asyncio.run(played())


@pytest.fixture
def plant() -> Iterator[Plant]:
    plant = Plant()
    yield plant
    plant.released.set()


def length(body: bytes) -> tuple[str, str]:
    return ("content-length", str(len(body)))


def test_a_machines_body_reaches_django_in_a_thread_of_the_machines(plant: Plant) -> None:
    protocol = plant.run(lambda: plant.send(Protocol(b"{", b"}"), KNOWN, length(b"{}")))
    environ, body, thread = plant.seen[0]
    assert (body, environ["CONTENT_LENGTH"], thread[:8]) == (b"{}", "2", "machines")
    assert protocol.answers == [(200, {"Content-Type": "text/plain"}, b"{}")]
    assert plant.found == []


def test_a_token_that_this_process_does_not_know_yet_is_looked_up_once_before_its_body(plant: Plant) -> None:
    plant.run(lambda: plant.send(Protocol(b"{}"), ("authorization", "Bearer fresh"), length(b"{}")))
    assert plant.found == ["/api/readings"]
    assert plant.seen[0][1:] == (b"{}", "machines-1") or plant.seen[0][2].startswith("machines")


@pytest.mark.parametrize("head", [(), (GUESSED,), (("cookie", "sessionid=guessed"),)])
@pytest.mark.parametrize("announced", [length(b"{}"), CHUNKED])
def test_the_body_of_a_stranger_is_not_read_for_the_interface(plant: Plant, head, announced) -> None:
    protocol = plant.run(lambda: plant.send(Protocol(b"{}"), *head, announced))
    environ, body, thread = plant.seen[0]
    assert (protocol.is_read, body, environ["CONTENT_LENGTH"]) == (False, b"", "0")
    assert protocol.answers[0][1]["Connection"] == "close"
    assert thread.startswith("pages")


@pytest.mark.parametrize("announced", [length(b"{}"), CHUNKED])
def test_a_body_whose_sender_nobody_can_tell_now_is_to_be_sent_again(plant: Plant, announced) -> None:
    plant.gateway.senders = replace(plant.gateway.senders, find=lambda environ: None)
    protocol = plant.run(lambda: plant.send(Protocol(b"{}"), ("authorization", "Bearer fresh"), announced))
    [(status, headers, _body)] = protocol.answers
    assert (status, protocol.code, headers["Retry-After"], plant.seen) == (503, "TRY_AGAIN", "1", [])
    plant.run(lambda: plant.send(Protocol(), ("authorization", "Bearer fresh"), method="GET"))
    assert plant.seen, "without a body Django itself says what is the matter"


def test_somebody_who_is_signed_in_may_send_to_the_interface(plant: Plant) -> None:
    plant.run(lambda: plant.send(Protocol(b"{}"), ("cookie", "sessionid=open"), length(b"{}")))
    assert plant.seen[0][1] == b"{}"
    assert plant.seen[0][2].startswith("pages")


def test_a_stranger_may_send_a_form_to_a_page_and_no_more(plant: Plant) -> None:
    form = b"a=1"
    plant.run(lambda: plant.send(Protocol(form), length(form), path="/remarks/"))
    assert plant.seen[0][1] == form
    large = Protocol(b"x" * (FORM_LIMIT + 1))
    again = Plant()
    again.run(lambda: again.send(large, length(large.parts[0]), path="/remarks/"))
    assert (large.is_read, again.seen[0][1], large.answers[0][1]["Connection"]) == (False, b"", "close")


def test_passwords_are_sent_to_the_one_thread_of_sign_ins(plant: Plant) -> None:
    plant.run(lambda: plant.send(Protocol(b"a=1"), length(b"a=1"), path="/sign-in/"))
    assert plant.seen[0][2] == "sign-ins-1"


def test_a_stranger_may_send_a_badge_with_its_pin_and_no_more(plant: Plant) -> None:
    plant.run(lambda: plant.send(Protocol(b"{}"), length(b"{}"), path="/api/sign-on"))
    assert plant.seen[0][1:] == (b"{}", "sign-ins-1")
    large = Protocol(b"x" * (FORM_LIMIT + 1))
    again = Plant()
    again.run(lambda: again.send(large, length(large.parts[0]), path="/api/sign-on"))
    assert (large.is_read, again.seen[0][1]) == (False, b"")


def test_what_hashes_is_sent_to_the_one_thread_of_sign_ins() -> None:
    from mes import rsgi

    secret = {"/sign-in/", "/admin/login/", "/account/password/", "/account/pin/", "/api/sign-on"}
    assert rsgi.application.rules.sign_in_paths == secret


@pytest.mark.parametrize(("status", "least"), [("200 OK", 0), ("429 Too Many Requests", 0.4), ("503 Busy", 0.4)])
def test_guesses_that_are_refused_are_answered_after_a_while_and_hold_no_thread(plant: Plant, status, least) -> None:
    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [])
        return [b""]

    plant.gateway.application = answer
    plant.gateway.rules = replace(plant.gateway.rules, guess_seconds=0.4)

    async def play() -> None:
        guesses = [plant.send(Protocol(b"a=1"), length(b"a=1"), path="/sign-in/") for _ in range(5)]
        await asyncio.gather(*guesses)

    began = time.monotonic()
    plant.run(play)
    assert least <= time.monotonic() - began < least + 1  # all at once


def test_guesses_for_which_there_is_no_room_are_answered_after_a_while(plant: Plant) -> None:
    plant.gateway.rules = replace(plant.gateway.rules, guess_seconds=0.4)
    plant.blocks = lambda environ: True

    async def play() -> list[float]:
        async def guess() -> float:
            began = time.monotonic()
            await plant.send(Protocol(b"a=1"), length(b"a=1"), path="/sign-in/")
            return time.monotonic() - began

        guesses = [asyncio.ensure_future(guess()) for _ in range(12)]
        await asyncio.sleep(1.5)
        plant.released.set()
        return list(await asyncio.gather(*guesses))

    assert min(plant.run(play)) >= 0.4


@pytest.mark.parametrize("announced", [length(b"x" * 50), CHUNKED])
@pytest.mark.parametrize("path", ["/api/readings", "/sign-in/"])
def test_a_silent_body_is_given_up_and_takes_no_thread(plant: Plant, announced, path) -> None:
    began = time.monotonic()
    protocol = plant.run(lambda: plant.send(Protocol(b"x", is_silent=True), KNOWN, announced, path=path))
    status, headers, _ = protocol.answers[0]
    assert (status, headers["Connection"], plant.seen) == (408, "close", [])
    assert time.monotonic() - began < 5
    assert path != "/api/readings" or protocol.code == "BODY_TOO_LATE"


def test_a_large_body_that_keeps_coming_has_its_time(plant: Plant, monkeypatch) -> None:
    monkeypatch.setattr(bodies, "LEAST_RATE", 10_000)
    parts = [b"x" * 1000] * 60  # 0.6 s and more, where 0.2 s and 6 s may pass
    plant.run(lambda: plant.send(Protocol(*parts), KNOWN, CHUNKED))
    assert len(plant.seen[0][1]) == 60_000


def test_a_body_that_trickles_is_given_up(plant: Plant) -> None:
    protocol = plant.run(lambda: plant.send(Protocol(*[b"x"] * 500), KNOWN, CHUNKED))
    assert (protocol.answers[0][0], plant.seen) == (408, [])


def test_a_body_that_is_cut_off_is_not_taken_for_whole(plant: Plant) -> None:
    protocol = plant.run(lambda: plant.send(Protocol(b"{}", is_cut_off=True), KNOWN, CHUNKED))
    assert (protocol.answers[0][0], plant.seen) == (400, [])


@pytest.mark.parametrize("announced", [CHUNKED, ("content-length", "300000")])
def test_a_body_that_is_too_large_is_read_away_and_its_length_says_so(plant: Plant, announced) -> None:
    protocol = Protocol(*[b"x" * 50_000] * 6)
    plant.run(lambda: plant.send(protocol, KNOWN, announced))
    environ, body, _ = plant.seen[0]
    assert (int(environ["CONTENT_LENGTH"]) > LIMIT, body) == (True, b"")
    assert protocol.answers[0][1]["Connection"] == "close"
    assert protocol.read == 6


@pytest.mark.parametrize("announced", [CHUNKED, ("content-length", "9000000")])
def test_of_one_that_is_much_too_large_no_more_is_read_than_four_times_the_limit(plant: Plant, announced) -> None:
    protocol = Protocol(*[b"x" * LIMIT] * 50)
    plant.run(lambda: plant.send(protocol, KNOWN, announced))
    assert (plant.seen[0][1], protocol.read) == (b"", 5)


def test_one_that_is_too_large_and_falls_silent_is_answered_for_its_size(plant: Plant) -> None:
    protocol = Protocol(b"x" * 50_000, is_silent=True)
    plant.run(lambda: plant.send(protocol, KNOWN, ("content-length", "300000")))
    assert plant.seen[0][0]["CONTENT_LENGTH"] == "300000"


def test_pages_that_hang_leave_machines_sign_ins_and_the_probe_alone(plant: Plant) -> None:
    plant.blocks = lambda environ: environ["PATH_INFO"] == "/slow/"

    async def play() -> list[Protocol]:
        get: dict[str, Any] = {"method": "GET"}
        slow = [asyncio.ensure_future(plant.send(Protocol(), path="/slow/", **get)) for _ in range(50)]
        await asyncio.sleep(0.1)
        quick = [
            await plant.send(Protocol(b"{}"), KNOWN, length(b"{}")),
            *[await plant.send(Protocol(), path=probe, **get) for probe in ("/healthz", "/readyz", "/metrics")],
            await plant.send(Protocol(b"a=1"), length(b"a=1"), path="/sign-in/"),
        ]
        await asyncio.sleep(1)
        refused = [each.result() for each in slow if each.done()]
        plant.released.set()
        await asyncio.gather(*slow)
        return [*quick, *refused]

    before = refused_by_gateway()
    machine, *probes, sign_in = (outcomes := plant.run(play))[:5]
    refused = outcomes[5:]
    assert [each.answers[0][0] for each in (machine, *probes, sign_in)] == [200] * 5
    assert (
        len(refused) == 50 - plant.gateway.pages.threads
    )  # those beyond the room at once, those within it after a while
    assert {(each.answers[0][0], each.answers[0][1]["Retry-After"]) for each in refused} == {(503, "1")}
    assert refused_by_gateway() == before + len(refused), "Django did not see them; monitoring does"


def refused_by_gateway() -> float:
    labels = {"route": "(gateway)", "method": "GET", "status": "503"}
    return metrics.COUNTED.get_sample_value("linekeeper_http_requests_total", labels) or 0.0


def test_what_hangs_for_too_long_is_hung_up(plant: Plant) -> None:
    cut: list[int] = []
    plant.gateway.machines.longest = 0.3
    plant.gateway.hang_up = lambda ident: (cut.append(ident), plant.released.set())  # type: ignore[assignment,func-returns-value]
    plant.blocks = lambda environ: True
    protocol = plant.run(lambda: plant.send(Protocol(b"{}"), KNOWN, length(b"{}")))
    assert len(set(cut)) == 1
    assert protocol.answers[0][0] == 200


def test_an_application_that_fails_leaves_its_thread_alive(plant: Plant) -> None:
    def fail(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise SystemExit

    plant.gateway.application, whole = fail, plant.gateway.application

    async def play() -> None:
        for _ in range(10):
            await plant.send(Protocol(b"{}"), KNOWN, length(b"{}"))
        plant.gateway.application = whole
        await plant.send(Protocol(b"{}"), KNOWN, length(b"{}"))

    plant.run(play)
    assert len(plant.seen) == 1


def test_the_head_becomes_an_environ() -> None:
    headers = Headers(
        ("host", "mes.example"),
        ("content-type", "application/json"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("accept", "text/html"),
        ("accept", "text/plain"),
        ("x_forwarded_proto", "https"),
        ("x-forwarded-for", "10.0.0.1"),
    )
    environ = make_environ(Scope(path="/api/stations/Prüfung 1/queue", query_string="q=%C3%BC&r=é😀", headers=headers))
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/api/stations/Prüfung 1/queue"
    assert environ["QUERY_STRING"].encode("latin-1").decode() == "q=%C3%BC&r=é😀", "not escaped, as curl sends it"
    assert (environ["HTTP_HOST"], environ["CONTENT_TYPE"]) == ("mes.example", "application/json")
    assert (environ["HTTP_COOKIE"], environ["HTTP_ACCEPT"]) == ("a=1; b=2", "text/html,text/plain")
    assert "HTTP_X_FORWARDED_PROTO" not in environ
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("::1", "127.0.0.1", "8000")


# --- files of whole lists ----------------------------------------------------------------------------------


class Streamed:
    """An answer of Django that streams: parts that are made as they are asked for."""

    streaming = True

    def __init__(self, number: int) -> None:
        self.number = number
        self.made = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for _n in range(self.number):
            self.made += 1
            yield b"x" * PART

    def close(self) -> None:
        self.is_closed = True


class Taker(Protocol):
    """A client that takes so many parts, and then no more."""

    def __init__(self, takes: int = 1000) -> None:
        super().__init__()
        self.takes = takes
        self.taken: list[bytes] = []

    def response_stream(self, status: int, headers: Any) -> "Taker":
        self.answers.append((status, dict(headers), b""))
        return self

    async def send_bytes(self, part: bytes) -> None:
        if len(self.taken) >= self.takes:
            await asyncio.sleep(60)
        self.taken.append(part)


def streaming_plant(streamed: Streamed) -> Plant:
    plant = Plant()
    plant.gateway.rules = replace(plant.gateway.rules, file_paths=("/lists/",), part_seconds=0.2)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        plant.seen.append((environ, b"", threading.current_thread().name))
        start_response("200 OK", [("Content-Type", "text/csv")])
        return streamed

    plant.gateway.application = application
    return plant


def test_a_file_is_sent_as_it_is_made() -> None:
    streamed, taker = Streamed(20), Taker()
    plant = streaming_plant(streamed)
    scope = {"path": "/lists/units/", "method": "GET", "query_string": "format=csv"}
    plant.run(lambda: plant.send(taker, **scope))
    assert plant.seen[0][2] == "files-1"
    assert b"".join(taker.taken) == b"x" * PART * 20 and len(taker.taken) == 20
    assert streamed.is_closed


def test_who_takes_nothing_of_a_file_is_given_up() -> None:
    streamed, taker = Streamed(1000), Taker(takes=3)
    plant = streaming_plant(streamed)
    scope = {"path": "/lists/units/", "method": "GET", "query_string": "format=csv"}
    plant.run(lambda: plant.send(taker, **scope))
    assert streamed.made <= 5 and streamed.is_closed  # no more was made than was taken


def test_a_page_of_a_list_is_a_page(plant: Plant) -> None:
    plant.gateway.rules = replace(plant.gateway.rules, file_paths=("/lists/",))
    plant.run(lambda: plant.send(Protocol(), path="/lists/units/", method="GET", query_string="page=2"))
    plant.run(lambda: plant.send(Protocol(), path="/lists/units/", method="GET", query_string="format=xlsx"))
    assert [thread.partition("-")[0] for _environ, _body, thread in plant.seen] == ["pages", "files"]


@pytest.mark.parametrize("head", [length(b"x" * 20 * LIMIT), CHUNKED], ids=["length", "chunked"])
def test_an_upload_waits_in_a_file_and_is_larger_than_other_bodies(plant: Plant, head: tuple[str, str]) -> None:
    parts = [b"x" * LIMIT] * 20
    plant.run(lambda: plant.send(Protocol(*parts), KNOWN, head, path="/api/files"))
    environ, body, _thread = plant.seen[0]
    assert (body, environ["CONTENT_LENGTH"]) == (b"".join(parts), str(20 * LIMIT))
    assert environ["wsgi.input"].closed and hasattr(environ["wsgi.input"], "rollover")
    plant.run(lambda: plant.send(Protocol(*parts), KNOWN, head))
    environ, body, _thread = plant.seen[1]
    assert (body, int(environ["CONTENT_LENGTH"]) > LIMIT) == (b"", True)


def test_an_upload_of_a_stranger_a_late_one_and_one_too_large_are_not_kept(plant: Plant) -> None:
    parts = [b"x" * LIMIT] * 21
    plant.run(lambda: plant.send(Protocol(*parts[:2]), length(b"x" * 2 * LIMIT), path="/api/files"))
    plant.run(lambda: plant.send(Protocol(*parts), KNOWN, length(b"x" * 21 * LIMIT), path="/api/files"))
    assert [(body, environ["CONTENT_LENGTH"]) for environ, body, _ in plant.seen] == [
        (b"", "0"),
        (b"", str(21 * LIMIT)),
    ]
    late = plant.run(lambda: plant.send(Protocol(is_silent=True), KNOWN, length(b"x"), path="/api/files"))
    assert late.code == "BODY_TOO_LATE"
    cut = plant.run(lambda: plant.send(Protocol(b"x", is_cut_off=True), KNOWN, length(b"xx"), path="/api/files"))
    assert (cut.code, len(plant.seen)) == ("BAD_REQUEST", 2)
