"""Units are locked in the order of their ids, after their run, wherever they are locked."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import QuerySet

from execution import carriers
from execution.carriers import Placing
from mes.production import locking, run_acts, runs
from mes.production.models import Run, RunStatus, Unit
from tests.factories import api_client
from tests.ingest.support import make_ingest_plant, push, reflowed

IS_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def register_homeless() -> None:
    runs.register_units(run_no="RUN-1", sns=["A", "Z", "NEW"])


def lock_by_statement() -> None:
    with transaction.atomic():
        locking.lock(["A", "Z"], run_no="RUN-1")


def lock_rows() -> None:
    with transaction.atomic():
        locking.lock_named_units(["A", "Z"])


def put_on_carrier() -> None:
    carriers.load(carrier_no="C-1", placings=[Placing("A", ""), Placing("Z", "")])


def take_off_carrier() -> None:
    carriers.unload(carrier_no="C-0")


def report() -> None:
    push(api_client(), reflowed("", ["A", "Z"]))


def close() -> None:
    run_acts.close(run_no="RUN-1", by="test", reason="done")


PLACES = [register_homeless, lock_by_statement, lock_rows, put_on_carrier, take_off_carrier, report, close]
BEHIND_THEIR_RUN = [register_homeless, lock_by_statement, report, close]


@pytest.fixture
def units(transactional_db: None, request: pytest.FixtureRequest) -> list[Unit]:
    """Two units whose ids and serial numbers are in opposite orders."""
    plant = make_ingest_plant(units=0)
    place = request.node.callspec.params["place"]
    run = None if place is register_homeless else plant.run
    Unit.objects.bulk_create(Unit(sn=sn, work_order=plant.run.work_order, run=run) for sn in ("Z", "A"))
    if place is close:
        Run.objects.update(status=RunStatus.IN_PROGRESS)
    if place is take_off_carrier:
        carriers.load(carrier_no="C-0", placings=[Placing("A", ""), Placing("Z", "")])
    return list(Unit.objects.order_by("id"))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_who_waits_for_a_unit_holds_none_with_a_higher_id(units: list[Unit], place: Callable[[], None]) -> None:
    first, second = units
    with holding(Unit.objects.filter(pk=first.pk), place):
        assert Unit.objects.select_for_update(no_key=True, nowait=True).get(pk=second.pk)


@pytest.mark.parametrize("place", BEHIND_THEIR_RUN, ids=lambda place: place.__name__)
def test_who_waits_for_a_run_holds_none_of_its_units(units: list[Unit], place: Callable[[], None]) -> None:
    with holding(Run.objects.filter(run_no="RUN-1"), place):
        assert len(Unit.objects.select_for_update(no_key=True, nowait=True)) == 2


def test_units_are_locked_in_one_module() -> None:
    """What is not in it is not tried above."""
    base = Path(settings.BASE_DIR)
    lock = re.compile(r"Unit\.objects[^\n]*select_for_update|FROM mes_unit\b[^;]*?\bFOR (?:NO KEY )?UPDATE", re.DOTALL)
    apps = ("mes", "execution", "ingest", "integration", "trace")
    files = [path for app in apps for path in (base / app).rglob("*.py")]
    found = {str(path.relative_to(base)) for path in files if lock.search(path.read_text())}
    assert found == {"mes/production/locking.py"}


@contextmanager
def holding(rows: QuerySet[Unit] | QuerySet[Run], place: Callable[[], None]) -> Iterator[None]:
    """Hold rows while a place works in a thread, and wait until it waits for them; let it end afterwards."""

    def work() -> None:
        try:
            place()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert rows.select_for_update(no_key=True).get()
            working = pool.submit(work)
            wait_until_somebody_waits()
            yield
        working.result(timeout=20)


def wait_until_somebody_waits() -> None:
    end = monotonic() + 20
    while monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction, what was seen once is seen again
            cursor.execute(IS_WAITING)
            if cursor.fetchone()[0]:
                return
        sleep(0.02)
    raise AssertionError("nobody waits")
