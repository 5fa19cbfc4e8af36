"""A plant that has run for a while, made by SQL: as many values as are asked for, and what a plant has beside them.

    with installation.database():
        from bench import grown, storage
        grown.build(values=10**7, months=12)
        storage.settle()

A unit takes ten steps of five values; everything else follows from how many units there are. Nothing is random, and
only the times depend on the day: they end now. Each table is filled by one statement; what a column is not given it
has from the model, as a row of the product's own. Imported when Django is set up.
"""

import time
from collections.abc import Callable
from datetime import date

from django.db import connection
from django.utils import timezone

from bench.grown import aftermath, production, reports, steering
from bench.grown.filling import Fill, in_turn, run_with
from bench.grown.master_data import make_master_data
from bench.grown.size import READER, Size
from bench.grown.staging import STAGE
from mes.platform.database import partitions

__all__ = ["READER", "Size", "build"]

FILLS: dict[str, Fill] = {
    "orders": production.fill_orders,
    "staging": run_with(STAGE),
    "runs": production.fill_runs,
    "units": production.fill_units,
    "tracks": production.fill_tracks,
    "values": reports.fill_values,
    "device data": reports.fill_records,
    "machine events": in_turn(reports.fill_events, reports.fill_event_units, reports.fill_open_events),
    "keys": reports.fill_keys,
    "inspections, messages, defects": in_turn(reports.fill_inspections, reports.fill_refused_messages),
    "cases": production.fill_cases,
    "dispositions": production.fill_dispositions,
    "carriers": production.fill_carriers,
    "active runs": steering.fill_activations,
    "decisions, holds": in_turn(steering.fill_decisions, steering.fill_holds),
    "moves of units": steering.fill_moves,
    "serial numbers": in_turn(steering.fill_aliases, steering.fill_reference_passes),
    "approvals": steering.fill_approvals,
    "outbox": aftermath.fill_outbox,
    "clocks": aftermath.fill_clocks,
    "checks and first articles": aftermath.fill_checks,
    "counts": aftermath.fill_counts,
    "notifications": aftermath.fill_notifications,
}


def build(*, values: int, months: int = 12, say: Callable[[str], None] = print, is_trusted: bool = True) -> Size:
    """Make the plant in the database that Django is set up on, which has none of it yet.

    Unless it `is_trusted`, foreign keys are checked, which takes longer. Each statement commits. Returns its size.
    """
    size, now = Size(values, months), timezone.now()
    start = size.start(now).date()
    for table in partitions.PARTITIONED_TABLES:
        for month in _months_between(start, now.date()):
            partitions.make_month(table, month)
    make_master_data()
    given = size.parameters(now)
    with connection.cursor() as cursor:
        cursor.execute(f"SET session_replication_role = {'replica' if is_trusted else 'origin'}")
        for name, fill in FILLS.items():
            began = time.perf_counter()
            fill(given)
            say(f"  {name}: {time.perf_counter() - began:.1f} s")
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("DROP TABLE grown_unit, grown_run, grown_step, grown_spec, grown_first, grown_case CASCADE")
    return size


def _months_between(first: date, last: date) -> list[date]:
    number = (last.year - first.year) * 12 + last.month - first.month + 1
    return list(partitions.months_from(first, number))
