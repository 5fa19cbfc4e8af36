"""The attack itself, in its short form against the whole product; and that it sees what it looks for."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from attack import ledger
from attack.line import Delivered, State
from attack.outcome import Outcome, table
from attack.parts.slow import judge
from execution.models import Track
from integration.models import DeviceDataRecord
from mes.platform.accounts.roles import Role
from tests import databases
from tests.factories import api_client, make_plant
from tests.integration.helpers import EVENTS, into_oven, make_event
from tests.platform.outbox.support import PROJECT

SHORT = ("raw", "slow", "sign-in", "rights", "faults")


@pytest.mark.waiting
def test_a_short_attack_finds_nothing() -> None:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "DJANGO_"))}
    parts = [word for part in SHORT for word in ("--part", part)]
    command = [sys.executable, "-m", "attack", "--short", *parts]
    done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert all(f"{part}: " in done.stdout for part in SHORT), done.stdout


# --- that it would find something ---------------------------------------------------------------------------


@pytest.fixture
def reading(transactional_db: None) -> str:
    """A reading that was acknowledged; its event id."""
    make_plant()
    client = api_client(Role.ADMIN)
    into_oven(client)
    assert client.post(EVENTS, make_event("kept")).status_code == 201
    return "kept"


def accounted(*readings: str) -> Outcome:
    outcome = Outcome("x")
    ledger.check(outcome, [Delivered(readings=list(readings))], databases.own_url())
    return outcome


def test_what_is_there_once_is_neither_lost_nor_doubled(reading: str) -> None:
    outcome = accounted(reading)
    assert (outcome.lost, outcome.doubled, outcome.verdict) == (0, 0, "ok")


def test_an_acknowledged_reading_without_record_or_values_is_lost(reading: str) -> None:
    assert (accounted(reading, "another").lost, accounted(reading, "another").verdict) == (1, "FAULT")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM execution_datavalue")
    assert accounted(reading).lost == 1


def test_a_reading_that_is_kept_twice_is_doubled(reading: str) -> None:
    record = DeviceDataRecord.objects.get()
    record.pk = record.pk + 1
    record.save(force_insert=True)
    assert accounted(reading).doubled == 1


def test_a_machine_event_without_its_track_is_lost(reading: str) -> None:
    outcome = Outcome("x")
    ledger.check(outcome, [Delivered(readings=[reading], events=["bench-1"])], databases.own_url())
    assert (outcome.lost, Track.objects.exists()) == (1, True)


def state(*latencies: float) -> State:
    return State({"single": list(latencies)}, [0.0])


@pytest.mark.parametrize(
    ("now", "is_well"),
    [([0.02] * 100, True), ([0.02] * 98 + [0.1] * 2, False), ([0.01] * 20, False), ([], False)],
)
def test_a_line_that_is_slower_or_stands_is_seen(now: list[float], is_well: bool) -> None:
    outcome = Outcome("x")
    judge(outcome, state(*[0.01] * 100), state(*now), spans=(1, 1))
    assert outcome.is_well is is_well, outcome.faults


def test_the_table_says_what_was_found() -> None:
    outcomes = [Outcome("a", tried=1200, leaks=0), Outcome("b", errors=1), Outcome("c", skipped="no tmpfs")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(outcomes).splitlines()]
    assert [rows[2], rows[3][-1], rows[4][-1]] == [["a", "1,200", "0", "0", "", "", "", "ok"], "FAULT", "skipped"]
