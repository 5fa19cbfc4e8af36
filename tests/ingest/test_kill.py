"""The web server dies in the middle of a stream of events: what was not answered is sent again, and nothing is lost."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from execution.models import CarrierLoad, CarrierTrack, DataValue, Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.platform.outbox.models import MesEvent
from mes.platform.server import web
from mes.production.models import Run, Unit
from tests import databases
from tests.factories import api_client, make_token
from tests.ingest.support import final_test, inspected, make_ingest_plant, printed, push, reflowed
from tests.platform.outbox.support import free_port

pytestmark = pytest.mark.waiting

PROJECT = Path(__file__).resolve().parents[2]
SENDERS = 4
UNITS = 12
WITHIN = 60  # seconds for a server to answer


@contextlib.contextmanager
def serving(log: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a web server on the tests' database; yield its port and process. All of its group is killed at the end."""
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": databases.own_url(), "SECRET_KEY": settings.SECRET_KEY}
    command = web.command("127.0.0.1", port, processes=1)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + WITHIN
        while not answers(port):
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()[-4000:]
            time.sleep(0.1)
        yield port, process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the server and all it started at once, without a chance to finish anything."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(to(port)) as connection:
        connection.request("GET", "/api/ingest/events")
        return connection.getresponse().status == 401
    return False


def to(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


class Sender(threading.Thread):
    """A machine's outbox: sends in order, and keeps what was not answered."""

    def __init__(self, port: int, token: str, bodies: list[dict[str, Any]]) -> None:
        super().__init__(daemon=True)
        self.port, self.token, self.left, self.answered = port, token, list(bodies), 0
        self.statuses: list[int] = []

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with contextlib.closing(to(self.port)) as connection, contextlib.suppress(OSError, http.client.HTTPException):
            while self.left:
                connection.request("POST", "/api/ingest/events", json.dumps(self.left[0]), headers)
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(answer.status)
                self.left.pop(0)


def stream(sns: list[str]) -> list[list[dict[str, Any]]]:
    """Return what each sender has to send: each for its own units, the inspections ahead of their time."""
    each: list[list[dict[str, Any]]] = []
    for sender in range(SENDERS):
        bodies = []
        for index in range(sender, len(sns), SENDERS):
            sn = sns[index]
            height = {"name": "Paste Height", "value": 100 + index, "unit": "µm"}
            peak = {"name": "Peak Temperature", "value": 252 if index % 5 == 4 else 240 + index % 5}
            bodies += [
                printed(sn, values=[height]),
                inspected(sn, "start"),
                inspected(sn, "end", result="NG" if index % 7 == 6 else "OK"),
                reflowed(f"P-{sn[-2:]}", [sn], values=[peak]),
                final_test(sn, 3.9 if index % 3 == 2 else 3.3),
            ]
            bodies[-5], bodies[-4] = bodies[-4], bodies[-5]  # the inspection begins before the print is reported
        each.append(bodies)
    return each


def state(run_no: str) -> dict[str, Any]:
    """Return everything that the events of a run led to, without ids and times."""

    def named(text: str) -> str:
        return text.removeprefix(run_no)

    units = Unit.objects.filter(run__run_no=run_no).order_by("id")
    tracks = Track.objects.filter(run__run_no=run_no).order_by("unit_id", "id")
    values = DataValue.objects.filter(run__run_no=run_no).order_by("name", "value_number", "id")
    facts = ("step_no", "source", "attempt", "result", "claimed_result", "result_override", "station__code")
    return {
        "units": [(named(u.sn), u.status, u.current_step_no, u.held_from) for u in units],
        "tracks": [(named(sn), *rest) for sn, *rest in tracks.values_list("unit__sn", *facts)],
        "values": list(values.values_list("name", "value_number", "judge", "alarmed", "source")),
        "passes": CarrierTrack.objects.filter(run__run_no=run_no).count(),
        "loads": CarrierLoad.objects.filter(unit__run__run_no=run_no, unloaded_at=None).count(),
        "events": SettledIngestEvent.objects.filter(run__run_no=run_no).count(),
        "refused": sorted(OpenIngestEvent.objects.values_list("error_code", flat=True)),
        "outbox": sorted(
            MesEvent.objects.filter(run_id=Run.objects.get(run_no=run_no).pk).values_list("event_type", flat=True)
        ),
    }


def send_all(port: int, token: str, outboxes: list[list[dict[str, Any]]]) -> list[Sender]:
    """Begin to send; return the senders."""
    senders = [Sender(port, token, bodies) for bodies in outboxes]
    for sender in senders:
        sender.start()
    return senders


def joined(senders: list[Sender]) -> list[list[dict[str, Any]]]:
    """Wait until the senders have sent all or have nobody to send to; return what is left."""
    for sender in senders:
        sender.join(timeout=WITHIN)
        assert all(status < 500 for status in sender.statuses), sender.statuses
    return [sender.left for sender in senders]


def stream_through_a_kill(bodies: list[list[dict[str, Any]]], log: Path) -> None:
    """Send everything to a server that is killed in the middle, and what is left to a new one."""
    token = make_token()
    with serving(log) as (port, process):
        senders = send_all(port, token, bodies)
        deadline = time.monotonic() + WITHIN
        while SettledIngestEvent.objects.count() < UNITS:
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.01)
        kill(process)
        left = joined(senders)
    assert 0 < sum(map(len, left)) < UNITS * 5, "it was not killed in the middle"
    with serving(log) as (port, process):
        assert not any(joined(send_all(port, token, left))), log.read_text()[-4000:]
    catch_up_all()


def catch_up_all() -> None:
    while catch_up():
        pass


@pytest.mark.django_db(transaction=True)
def test_a_killed_server_loses_and_doubles_nothing(tmp_path: Path) -> None:
    killed = make_ingest_plant(units=UNITS, run_no="RUN-K")
    stream_through_a_kill(stream(killed.sns), tmp_path / "web.log")
    disturbed = state("RUN-K")
    OpenIngestEvent.objects.all().delete()

    undisturbed = make_ingest_plant(units=UNITS, run_no="RUN-U")
    client = api_client()
    for body in (body for bodies in stream(undisturbed.sns) for body in bodies):
        push(client, body)
    catch_up_all()
    expected = state("RUN-U")
    for name in expected:
        assert disturbed[name] == expected[name], name
    assert expected["events"] >= UNITS * 3
    assert {status for _sn, status, _step, _held in expected["units"]} == {"DONE", "OUT_FAILED", "QUEUED"}
