"""What is done to the database between measurements. Django is set up before this is imported."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection

from bench.case import BenchError, Case
from bench.processor import NOTHING, Meter, Used


def settle() -> None:
    """Give the planner its statistics, as autovacuum would have after a while."""
    _execute("VACUUM ANALYZE")


@dataclass
class Stretch:
    """How many requests (transactions of the floor) were answered, warm-up included, and what that took per event."""

    requests: int = 0
    used: Used = NOTHING


@contextmanager
def stretch(case: Case, meter: Meter, *, is_floor: bool = False) -> Iterator[Stretch]:
    """Start a stretch with the write-ahead log as short as any other's; check that every answered event is stored, but
    for reads.
    """
    table = case.floor_rows or case.rows if is_floor else case.rows
    before = _count(table) if table else 0
    _execute("CHECKPOINT")
    done, used = Stretch(), meter.read()
    yield done
    promised = done.requests * case.events
    done.used = (meter.read() - used) / promised
    stored = _count(table) - before if table else promised
    if stored != promised:
        raise BenchError(f"{case.name}: {promised} events were answered, {stored} rows are in {table}.")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
