"""Units that are in no run are locked in the order of their ids, as all units are, when a run registers them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from django.db import connection, connections, transaction

from mes.production import runs
from mes.production.models import Unit
from tests.factories import make_plant

IS_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def wait_until_somebody_waits() -> None:
    """Wait until another connection waits for a lock."""
    end = monotonic() + 20
    while monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction, what was seen once is seen again
            cursor.execute(IS_WAITING)
            if cursor.fetchone()[0]:
                return
        sleep(0.02)
    raise AssertionError("nobody waits")


def on_a_connection_of_its_own(work: Callable[[], object]) -> object:
    try:
        return work()
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_registering_waits_for_the_unit_with_the_lowest_id_and_holds_none_after_it() -> None:
    """It locked them by serial number: whoever holds the first by id and wants the second, and it, waited for ever."""
    plant = make_plant(units=0)
    Unit.objects.bulk_create(Unit(sn=sn, work_order=plant.order) for sn in ("Z", "A"))
    first, second = Unit.objects.order_by("id")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Unit.objects.select_for_update(no_key=True).get(pk=first.pk)
            registering = pool.submit(
                on_a_connection_of_its_own, lambda: runs.register_units(run_no="RUN-1", sns=["A", "Z", "NEW"])
            )
            wait_until_somebody_waits()
            Unit.objects.select_for_update(no_key=True, nowait=True).get(pk=second.pk)
        registering.result(timeout=20)
    assert set(Unit.objects.filter(run=plant.run).values_list("sn", flat=True)) == {"A", "NEW", "Z"}
