"""The demo's client against a server that stumbles."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from demo.client import Client, Refused, SignInRefused, Stopped, Unreachable, address


class StumblingServer(ThreadingHTTPServer):
    """Answers with what it was given, one after the other; None: it hangs up without an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any] | None] = []
        self.requests: list[tuple[str, str, Any]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Notes each request and gives the next answer."""

    protocol_version = "HTTP/1.1"
    server: StumblingServer

    def do_GET(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, json.loads(body) if body else None))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, content = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[StumblingServer]:
    """A server that runs for the test."""
    with StumblingServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ok(data: Any) -> tuple[int, Any]:
    """The envelope of a success."""
    return 200, {"ok": True, "data": data}


def test_each_part_of_an_address_is_encoded() -> None:
    assert address(("trace", "units", "A/ü#1 ?%.+")) == "/api/trace/units/A%2F%C3%BC%231%20%3F%25.%2B"
    assert address(("runs",), {"lineCode": "a&b"}) == "/api/runs?lineCode=a%26b"


def test_the_envelope_is_opened(server: StumblingServer) -> None:
    server.answers = [ok({"a": 1}), (201, {"ok": True, "data": None})]
    client = Client(server.url, "lk_x")
    assert client.get("lines", "L.1") == {"a": 1}
    assert client.post("lines", body={"code": "é"}) is None
    assert server.requests == [("GET", "/api/lines/L.1", None), ("POST", "/api/lines", {"code": "é"})]


def test_a_refusal_carries_code_and_details(server: StumblingServer) -> None:
    error = {"code": "RUN_ON_HOLD", "message": "On hold.", "details": {"run": "R"}, "requestId": "1"}
    server.answers = [(409, {"ok": False, "error": error})]
    with pytest.raises(Refused) as caught:
        Client(server.url, "lk_x").post("runs", "R", "close")
    refusal = caught.value
    assert (refusal.status, refusal.code, refusal.details) == (409, "RUN_ON_HOLD", {"run": "R"})
    assert not refusal.repeated


def test_what_is_not_an_envelope_is_refused(server: StumblingServer) -> None:
    server.answers = [(404, b"<html>"), (200, b"[1]")]
    client = Client(server.url, "lk_x")
    for code in ("HTTP_404", "HTTP_200"):
        with pytest.raises(Refused, match=code):
            client.get("lines")


def test_a_wrong_token_ends_it(server: StumblingServer) -> None:
    server.answers = [(401, {"ok": False, "error": {"code": "NOT_AUTHENTICATED", "message": "Unknown token."}})]
    with pytest.raises(SignInRefused, match="Unknown token"):
        Client(server.url, "lk_x").get("lines")


def test_a_server_that_is_away_is_asked_again(server: StumblingServer) -> None:
    gone = {"ok": False, "error": {"code": "TRY_AGAIN", "message": "Later."}}
    server.answers = [None, (503, gone), ok("here")]
    assert Client(server.url, "lk_x").get("lines") == "here"
    taken = {"ok": False, "error": {"code": "VALIDATION_ERROR", "message": "Taken."}}
    server.answers = [None, (400, taken)]
    with pytest.raises(Refused) as caught:
        Client(server.url, "lk_x").post("lines", body={})
    assert caught.value.repeated


def test_patience_and_the_stop_end_the_waiting(server: StumblingServer) -> None:
    server.answers = [(503, b"")] * 2
    with pytest.raises(Unreachable, match="status 503"):
        Client(server.url, "lk_x", patience=-1).get("lines")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Client(server.url, "lk_x", stop=stop).get("lines")


def test_lists_are_read_page_by_page(server: StumblingServer) -> None:
    server.answers = [
        ok({"items": [1, 2], "next": f"{server.url}/api/runs?cursor=ab%3D"}),
        ok({"items": [3], "next": None}),
    ]
    assert list(Client(server.url, "lk_x").items("runs")) == [1, 2, 3]
    assert server.requests[1][1] == "/api/runs?cursor=ab%3D"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Client(url, "lk_x")
