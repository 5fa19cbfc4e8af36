"""A worker that is killed while it tells people: each is told once, on each way."""

import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from email import message_from_bytes
from pathlib import Path

import psycopg
import pytest

from demo.erp import Erp, serve
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.platform.outbox.models import MesEvent
from tests import databases
from tests.factories import make_user
from tests.faults.conftest import ask
from tests.platform.notifications.support import announce, make_notice, make_rule
from tests.platform.outbox.support import PROJECT, eventually

pytestmark = pytest.mark.waiting

KEYS = [f"k{number}" for number in range(4)]
PEOPLE = 3
WORKER = """
import threading, django
django.setup()
from mes.platform.outbox.worker import end_with_parent, loop
end_with_parent()
loop(threading.Event(), is_well=lambda: True)
"""


class Gate:
    """Where a receiver has taken something and does not say so yet: the first comer waits there."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        if not self.entered.is_set():
            self.entered.set()
            self.opened.wait(60)


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mails, and notes their ids and whom they are for."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, gate: Gate) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.gate, self.taken = gate, Counter[tuple[str, str]]()


class MailHandler(socketserver.StreamRequestHandler):
    """One connection of SMTP, as far as it is spoken here."""

    server: MailServer

    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.say("354 go on")
                self.take(b"".join(iter(self.rfile.readline, b".\r\n")))
            elif word == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def take(self, raw: bytes) -> None:
        mail = message_from_bytes(raw)
        self.server.taken[str(mail["Message-ID"]), str(mail["To"])] += 1
        self.server.gate.pass_through()
        self.say("250 taken")

    def say(self, text: str) -> None:
        with suppress(OSError):
            self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def mails(gate: Gate) -> Iterator[MailServer]:
    with MailServer(gate) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        gate.opened.set()
        server.shutdown()


@pytest.fixture
def hook(gate: Gate) -> Iterator[tuple[Erp, str]]:
    receiver = Erp("secret")
    take = receiver.take
    receiver.take = lambda *args: (take(*args), gate.pass_through())[0]  # type: ignore[method-assign]
    server = serve(receiver)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield receiver, f"http://127.0.0.1:{server.server_port}/"
    gate.opened.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(transactional_db: None, mails: MailServer, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "mes.settings",
        "DATABASE_URL": databases.own_url(),
        "MES_EVENT_LEASE_SECONDS": "2",
        "MES_EVENT_BACKOFF_SECONDS": "1",
        "MES_WEBHOOK_SECRET": "secret",
        "MES_WEBHOOK_LOCAL": "1",
        "MES_WEBHOOK_TIMEOUT_SECONDS": "30",
        "EMAIL_URL": f"smtp://127.0.0.1:{mails.server_address[1]}",
        "LOG_LEVEL": "CRITICAL",
    }
    workers: list[subprocess.Popen] = []

    def one() -> subprocess.Popen:
        with (tmp_path / "worker.log").open("ab") as output:
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER], cwd=PROJECT, env=environment, stdout=output, stderr=output
            )
        workers.append(worker)
        return worker

    yield one
    for worker in workers:
        worker.kill()
        worker.wait()


def kill(worker: subprocess.Popen) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def not_done() -> int:
    return MesEvent.objects.exclude(status="COMPLETED").count()


@pytest.mark.parametrize("way", ["MAIL", "WEBHOOK"])
def test_a_worker_killed_within_a_delivery(
    start: Callable[[], subprocess.Popen], gate: Gate, mails: MailServer, hook: tuple[Erp, str], way: str
) -> None:
    receiver, url = hook
    people = [make_user(Role.QUALITY, email=f"q{number}@plant.example") for number in range(PEOPLE)]
    make_rule(channels=["APP", way], webhook_url=url if way == "WEBHOOK" else "")
    make_rule(channels=["APP"], persons=tuple(people))
    announce(*(make_notice(key) for key in KEYS))
    worker = start()
    eventually(gate.entered.is_set)
    kill(worker)  # it was taken, and nobody knows
    assert not_done() > 0
    gate.opened.set()
    start()
    eventually(lambda: not_done() == 0, within=60)
    assert Counter(Notification.objects.values_list("recipient", "key")) == {
        (user.pk, key): 1 for user in people for key in KEYS
    }
    if way == "WEBHOOK":
        assert {one.body["key"] for one in receiver.received.values()} == set(KEYS)
        assert sorted(one.deliveries for one in receiver.received.values()) == [1, 1, 1, 2]
        assert receiver.refused == []
    else:
        assert Counter(to for _id, to in mails.taken) == {user.email: len(KEYS) for user in people}
        assert sorted(mails.taken.values())[-2:] == [1, 2], "one is sent twice, under one id"


def test_a_worker_killed_while_it_decides_whom_to_tell(start: Callable[[], subprocess.Popen]) -> None:
    quinn = make_user(Role.QUALITY)
    rule = make_rule(quiet_minutes=5)
    announce(*(make_notice(key) for key in KEYS))
    with psycopg.connect(databases.own_url()) as other:
        other.execute("SELECT FROM mes_notificationrule WHERE id = %s FOR UPDATE", [rule.pk])
        worker = start()
        eventually(lambda: ask(WAITING) == [(1,)])
        kill(worker)
    assert not Notification.objects.exists()
    start()
    eventually(lambda: not_done() == 0, within=60)
    assert list(Notification.objects.values_list("recipient", "key")) == [(quinn.pk, KEYS[0])]
    assert rule.windows.get().more == len(KEYS) - 1


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
