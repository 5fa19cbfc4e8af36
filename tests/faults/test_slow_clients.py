"""Silent clients, and a database that hangs, hold up neither the line nor the probe. On the real web server."""

import contextlib
import http.client
import json
import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from execution.models import DataValue
from mes.platform.server import web
from tests.factories import api_client, make_plant, make_token
from tests.integration.helpers import EVENTS, into_oven, make_event
from tests.platform.outbox.support import eventually, free_port, running

pytestmark = pytest.mark.waiting

BODY_SECONDS = 2
SILENT = 24


@pytest.fixture
def port(transactional_db: None, tmp_path: Path) -> Iterator[int]:
    """A web server of two processes, as it is served."""
    number = free_port()
    log = tmp_path / "web.log"
    settings = {"MES_BODY_TIMEOUT_SECONDS": str(BODY_SECONDS), "MES_STATEMENT_TIMEOUT_SECONDS": "1"}
    with running(web.command("127.0.0.1", number)[1:], log, **settings):
        eventually(lambda: ask(number, "/healthz") == 200, log)
        yield number


def ask(port: int, path: str, body: object = None, token: str = "", *, patience: float = 10) -> int:
    """Return the status of an answer, 0 where there is none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=patience)) as client:
        try:
            if body is None:
                client.request("GET", path, headers=headers)
            else:
                client.request("POST", path, json.dumps(body), {**headers, "Content-Type": "application/json"})
            return client.getresponse().status
        except OSError:
            return 0


def be_silent(port: int, path: str, head: str) -> socket.socket:
    """Send the head of a request and one byte of its body, and then nothing."""
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
    client.sendall(b"1\r\n{\r\n" if "chunked" in head else b"{")
    return client


def make_reading() -> dict[str, object]:
    return make_event(uuid.uuid4().hex)


def test_silent_clients_hold_up_nobody_and_are_told_to_go(port: int):
    make_plant()
    into_oven(api_client())
    token = make_token()
    assert ask(port, EVENTS, make_reading(), token) == 201
    announced = "Content-Length: 500\r\nContent-Type: application/json\r\n"
    chunked = "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    heads = [head + key for head in (announced, chunked) for key in ("", f"Authorization: Bearer {token}\r\n")]
    paths = [EVENTS, "/api/ingest/events", "/sign-in/", "/admin/login/"]
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(be_silent(port, paths[number % 4], heads[number // 4 % 4]))
            for number in range(2 * SILENT)
        ]
        began = time.monotonic()
        for _ in range(20):
            assert ask(port, EVENTS, make_reading(), token, patience=1) == 201
            assert ask(port, "/healthz", patience=1) == 200
            assert ask(port, "/sign-in/", patience=1) == 200
        assert time.monotonic() - began < BODY_SECONDS  # while they all were silent
        answers = [client.recv(4096) for client in silent]
    statuses = {answer[9:12] for answer in answers}
    assert statuses <= {b"401", b"408"}
    assert b"408" in statuses
    assert all(b"connection: close" in answer.lower() for answer in answers)
    assert DataValue.objects.count() == 21


def test_a_database_that_hangs_is_given_up_and_the_probe_answers(port: int):
    """The sessions of the web server are stopped, as by a disk that does not answer: they neither work nor end."""
    make_plant()
    into_oven(api_client())
    token = make_token()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: ask(port, EVENTS, make_reading(), token), range(64))) == {201}
        sessions = sessions_of_others()
        for pid in sessions:
            os.kill(pid, signal.SIGSTOP)
        try:
            answers = list(pool.map(lambda _: ask(port, EVENTS, make_reading(), token), range(16)))
            assert set(answers) <= {201, 503}, answers
            assert 503 in answers
            assert ask(port, "/healthz", patience=1) == 200
            assert ask(port, EVENTS, make_reading(), token) == 201  # on a new connection
        finally:
            for pid in sessions:
                os.kill(pid, signal.SIGCONT)


def test_the_web_server_has_a_fixed_number_of_connections(port: int):
    make_plant()
    token = make_token()
    with ThreadPoolExecutor(48) as pool:
        for _ in range(5):
            paths = ["/api/runs", "/readyz", "/sign-in/", "/api/units/SN-1"] * 24
            assert 500 not in set(pool.map(lambda path: ask(port, path, token=token), paths))
    assert len(sessions_of_others()) <= 2 * 8  # machines 4, pages 3, sign-ins 1


def sessions_of_others() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in cursor.fetchall()]
