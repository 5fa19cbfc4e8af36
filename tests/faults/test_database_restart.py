"""The database goes away under load and comes back: worker and web server go on by themselves."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone
from django_q.signing import SignedPackage

from mes.platform.server import embedded, web
from mes.platform.server.embedded import Cluster
from mes.platform.server.throwaway import make_folder, remove_folder
from tests import databases
from tests.platform.outbox.support import (
    eventually,
    free_port,
    running,
)

pytestmark = pytest.mark.waiting


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Cluster]]:
    """Yield the address of a server of our own, migrated: the tests' own must not go away."""
    folder = make_folder()
    try:
        with embedded.running(folder, durable=True, say=lambda text: None) as url:
            databases.fill(url)
            yield url, embedded._in_use[-1][1]
    finally:
        remove_folder(folder)


class Load:
    """Writes events all the time; what it could not write is not counted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.written = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection = None
        while not self.ended.wait(0.01):
            try:
                connection = connection or psycopg.connect(self.url, autocommit=True)
                connection.execute(
                    "INSERT INTO mes_mesevent (event_type, status, idempotency_key, entity_type, entity_id, payload, "
                    "occurred_at, created_at, attempts, max_attempts, next_attempt_at, error) VALUES "
                    "('TRACK_IN', 'PENDING', %s, 'UNIT', 'x', '{}', now(), now(), 0, 10, now(), '')",
                    [str(uuid.uuid4())],
                )
                self.written += 1
            except psycopg.Error:
                connection = None

    def __enter__(self) -> "Load":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def readyz(port: int) -> tuple[int, dict]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except OSError:
            return 0, {}


def ask(url: str, statement: str, *values: object) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchone()[0] if cursor.description else None


def queue_tick(url: str) -> None:
    """Give django-q2 a tick to do, as its scheduler would half a minute later."""
    task = {"id": uuid.uuid4().hex, "name": "t", "func": "mes.platform.outbox.tasks.tick", "args": (), "kwargs": {}}
    payload = SignedPackage.dumps({**task, "started": timezone.now()})
    ask(url, "INSERT INTO django_q_ormq (key, payload, lock) VALUES ('linekeeper', %s, now())", payload)


def test_worker_and_web_server_go_on_when_the_database_crashed_and_came_back(server, tmp_path: Path):
    url, cluster = server
    port = free_port()
    log = tmp_path / "log"
    given = {"DATABASE_URL": url, "SECRET_KEY": settings.SECRET_KEY, "MES_EVENT_LEASE_SECONDS": "2"}
    web_command = web.command("127.0.0.1", port, processes=1)[1:]
    with running(["manage.py", "worker"], log, **given) as worker, running(web_command, log, **given) as web_server:
        eventually(lambda: readyz(port)[0] == 200, log)
        with Load(url) as load:
            for _crash in range(2):
                time.sleep(1)
                os.kill(cluster.postmaster()[0], signal.SIGQUIT)  # as a crash: it recovers when it starts
                eventually(lambda: cluster.postmaster() is None, log)
                eventually(lambda: readyz(port)[0] == 503, log)
                time.sleep(0.5)
                embedded.keep_alive()
                eventually(lambda: readyz(port)[0] == 200, log)
            before = load.written
            eventually(lambda: load.written > before + 20, log)
        queue_tick(url)
        restarted = ask(url, "SELECT now()")
        left = "SELECT count(*) FROM mes_mesevent WHERE status <> 'COMPLETED'"
        eventually(lambda: ask(url, left) == 0, log)
        assert ask(url, "SELECT count(*) FROM mes_mesevent") >= load.written > 100
        ticked = "SELECT count(*) FROM mes_workerheartbeat WHERE ticked_at > %s"
        eventually(lambda: ask(url, ticked, restarted) == 1, log)
        assert (worker.poll(), web_server.poll()) == (None, None)
        assert readyz(port)[1]["checks"]["worker"]["alive"] == 1


@contextlib.contextmanager
def hanging(cluster: Cluster) -> Iterator[None]:
    """Stop the server and all its processes as a machine does that lacks everything: connections stay open."""
    postmaster = cluster.postmaster()[0]
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for pid in (postmaster, *map(int, children)):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (*map(int, children), postmaster):
            os.kill(pid, signal.SIGCONT)


def get(port: int, address: str) -> tuple[int, str, float]:
    """Return status, body and how many seconds it took."""
    begun = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", address)
        response = connection.getresponse()
        return response.status, response.read().decode(), time.monotonic() - begun


def test_a_database_that_hangs_is_told_soon_and_monitoring_goes_on(server, tmp_path: Path):
    url, cluster = server
    port = free_port()
    log = tmp_path / "log"
    given = {"DATABASE_URL": url, "SECRET_KEY": settings.SECRET_KEY}
    web_command = web.command("127.0.0.1", port, processes=1)[1:]
    with running(["manage.py", "worker"], log, **given), running(web_command, log, **given):
        eventually(lambda: readyz(port)[0] == 200, log)
        time.sleep(1.2)  # what was answered is forgotten
        with hanging(cluster):
            status, body, seconds = get(port, "/readyz")
            assert (status, json.loads(body)["checks"]["database"]) == (503, {"ok": False, "error": "TimeoutError"})
            assert seconds < 2.5
            for address, expected in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
                status, body, seconds = get(port, address)
                assert status == expected and seconds < 2.5, (address, seconds)
            assert 'linekeeper_check_ok{check="database"} 0.0' in body
        eventually(lambda: readyz(port)[0] == 200, log)
        assert 'linekeeper_check_ok{check="writes"} 1.0' in get(port, "/metrics")[1]
