"""Messages to the ERP under kills and faults, by real workers: the receiver has each once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from demo.erp import Erp, serve
from mes.platform.outbox.models import MesEvent
from tests import databases
from tests.platform.outbox.support import PROJECT, eventually

pytestmark = pytest.mark.waiting

MESSAGES = 60
WORKER = """
import threading, django
django.setup()
from datetime import timedelta
from integration.outbound import delivery
from mes.platform.outbox.worker import end_with_parent, loop
delivery.pause.first = delivery.pause.longest = timedelta(seconds=0.5)
end_with_parent()
loop(threading.Event(), is_well=lambda: True)
"""


@pytest.fixture
def erp() -> Iterator[tuple[Erp, str]]:
    """A receiver that takes a moment, and its address."""
    receiver = Erp("secret", hang=3, retry_after="1")
    take = receiver.take
    receiver.take = lambda *args: (take(*args), time.sleep(0.01))[0]  # type: ignore[method-assign]
    server = serve(receiver)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield receiver, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(transactional_db: None, erp: tuple[Erp, str], tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "mes.settings",
        "DATABASE_URL": databases.own_url(),
        "MES_EVENT_LEASE_SECONDS": "2",
        "MES_EVENT_BACKOFF_SECONDS": "1",
        "MES_ERP_URL": erp[1],
        "MES_ERP_SECRET": "secret",
        "MES_ERP_TIMEOUT_SECONDS": "1",
        "LOG_LEVEL": "CRITICAL",
    }
    workers: list[subprocess.Popen] = []

    def one() -> subprocess.Popen:
        with (tmp_path / "worker.log").open("ab") as output:
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER], cwd=PROJECT, env=environment, stdout=output, stderr=output
                )
            )
        return workers[-1]

    yield one
    for worker in workers:
        worker.kill()
        worker.wait()


def make_messages(count: int) -> None:
    now = timezone.now()
    MesEvent.objects.bulk_create(
        MesEvent(
            event_type="OUTBOUND_FEEDBACK",
            idempotency_key=f"RUN_COMPLETION_V1:R-{number}",
            entity_type="RUN",
            entity_id=f"R-{number}",
            occurred_at=now,
            next_attempt_at=now,
            max_attempts=100,
            payload={"type": "RUN_COMPLETION_V1", "idempotencyKey": f"RUN_COMPLETION_V1:R-{number}"},
        )
        for number in range(count)
    )


def open_messages() -> int:
    return MesEvent.objects.exclude(status="COMPLETED").count()


def test_every_message_takes_effect_once_under_faults_and_kills(start, erp):
    receiver, _address = erp
    chance = random.Random(4)
    receiver.faults = [
        fault for _round in range(3) for fault in ("", "lost", "500", "", "reset", "", "429", "503", "timeout", "")
    ]
    make_messages(MESSAGES)
    killed_at_work = 0
    for _kill in range(5):
        worker = start()
        seen = receiver.requests
        eventually(lambda seen=seen: receiver.requests > seen or not open_messages())
        time.sleep(chance.uniform(0.02, 0.4))
        killed_at_work += open_messages() > 0
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert killed_at_work == 5, "the messages did not last for all the kills"
    start()
    start()
    eventually(lambda: open_messages() == 0, within=120)
    assert len(receiver.received) == MESSAGES
    assert receiver.refused == []
    assert sum(one.deliveries for one in receiver.received.values()) > MESSAGES, "nothing was ever sent again"
    assert MesEvent.objects.filter(attempts__gt=1).exists()


def test_while_the_erp_hangs_other_events_are_on_time(start, erp):
    receiver, _address = erp
    receiver.faults = ["timeout"] * 1000
    make_messages(10)
    start()
    eventually(lambda: receiver.requests > 0)
    for number in range(10):
        now = timezone.now()
        MesEvent.objects.create(
            event_type="TRACK_IN",
            idempotency_key=f"t{number}",
            entity_type="UNIT",
            entity_id="x",
            occurred_at=now,
            next_attempt_at=now,
        )
        time.sleep(0.3)
    others = MesEvent.objects.filter(event_type="TRACK_IN")
    eventually(lambda: others.filter(status="COMPLETED").count() == 10)
    waited = sorted((event.completed_at - event.created_at).total_seconds() for event in others)
    assert waited[len(waited) // 2] < 2.5 and waited[-1] < 5, waited  # ten messages take ten seconds to fail
