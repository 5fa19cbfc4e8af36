"""Months are made while others read and write: nobody waits for long, and what is in use is tried again."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from integration.models import SettledMessage
from mes.platform.database import partitions, table_changes
from mes.platform.sweeps import SweepIncomplete
from tests.platform.outbox.support import eventually

TABLE = "integration_settledmessage"
FAR = date(2190, 1, 1)
LONGEST_WAIT = 1.5  # seconds, of a machine that has other things to do; a lock is waited for 0.2


@pytest.fixture
def months(transactional_db: None) -> Iterator[None]:
    """Without the months that a test makes, afterwards."""
    before = set(partitions.list_months(TABLE).values())
    yield
    with connection.cursor() as cursor:
        for name in set(partitions.list_months(TABLE).values()) - before:
            cursor.execute(f"DROP TABLE {name}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_changes, "TRIES", 4)
    monkeypatch.setattr(table_changes, "PAUSE", 0.1)


@contextmanager
def in_thread(work: Callable[[], None]) -> Iterator[None]:
    """Run `work` beside the block, with a connection of its own; raise what it raises."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        try:
            yield
        finally:
            future.result(timeout=30)


@contextmanager
def reading(*, seconds: float = 20) -> Iterator[None]:
    """Hold what `pg_dump` holds of the table and all its partitions, until the block ends or for so long."""
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE")
            begun.set()
            ended.wait(seconds)

    with in_thread(read):
        assert begun.wait(10)
        try:
            yield
        finally:
            ended.set()


class Writer:
    """A line that reports all the time, and looks for what it reported. `longest` is how many seconds its slowest
    report took.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.written = 0
        self.stop = threading.Event()

    def write(self) -> None:
        while not self.stop.is_set():
            start = time.monotonic()
            SettledMessage.objects.create(
                received_at=timezone.now(), direction="INBOUND", entity_type="X", dedupe_key="x", status="SUCCESS"
            )
            assert not SettledMessage.objects.filter(dedupe_key="y").exists()  # asks every partition
            self.longest = max(self.longest, time.monotonic() - start)
            self.written += 1
            time.sleep(0.002)


@contextmanager
def writing() -> Iterator[Writer]:
    writer = Writer()
    with in_thread(writer.write):
        eventually(lambda: writer.written > 0)
        try:
            yield writer
        finally:
            writer.stop.set()


def drop_month(first: date) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {partitions.list_months(TABLE)[first]}")


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def test_months_follow_each_other() -> None:
    firsts = [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]
    assert list(partitions.months_from(date(2026, 11, 30), 4)) == firsts


@pytest.fixture(params=["ahead", "missed"])
def missing(request: pytest.FixtureRequest, months: None) -> date:
    """A month that is to be made: one far ahead, or this one, whose rows go to the default partition meanwhile."""
    if request.param == "ahead":
        return FAR
    this_month = timezone.now().date().replace(day=1)
    drop_month(this_month)
    return this_month


def test_no_line_waits_for_a_month_that_waits_for_a_backup(missing: date, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_changes, "LOCK_TIMEOUT", "5s")  # which is not waited for a moment
    with reading(seconds=10), writing() as writer, pytest.raises(OperationalError, match="lock timeout"):
        partitions.make_month(TABLE, missing)
    assert writer.longest < LONGEST_WAIT, "a line waited behind a reader"
    assert partitions.make_month(TABLE, missing) == [f"{TABLE}_{missing:%Y_%m}"]
    assert partitions.make_month(TABLE, missing) == []


def test_a_line_waits_for_a_moment_behind_a_reader_that_nobody_saw(
    missing: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the wait alone; and the control of the test above: without looking first, they do wait."""
    monkeypatch.setattr(table_changes, "_are_kept", lambda tables: False)
    monkeypatch.setattr(table_changes, "LOCK_TIMEOUT", "600ms")
    monkeypatch.setattr(table_changes, "TRIES", 1)
    with reading(seconds=10), writing() as writer, pytest.raises(OperationalError, match="lock timeout"):
        partitions.make_month(TABLE, missing)
    assert 0.5 < writer.longest < 0.6 + LONGEST_WAIT


def test_who_comes_and_goes_is_waited_for(months: None) -> None:
    with writing():
        assert not table_changes._are_kept([f"{TABLE}_default"])
    with reading():
        assert table_changes._are_kept([f"{TABLE}_default"])
    assert not table_changes._are_kept([f"{TABLE}_default"])


def test_it_is_told_which_months_are_missing(months: None) -> None:
    last = max(partitions.list_months(TABLE))
    drop_month(last)
    with reading(), pytest.raises(SweepIncomplete, match=f"^{TABLE}_{last:%Y_%m}: OperationalError: .*lock timeout"):
        partitions.make_months([TABLE])
    assert partitions.make_months([TABLE]) == [f"{TABLE}_{last:%Y_%m}"]


def test_it_is_tried_again_until_a_reader_is_through(months: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_changes, "TRIES", 40)
    with reading(seconds=1):
        assert partitions.make_month(TABLE, FAR) == [f"{TABLE}_2190_01"]


def test_what_arrives_while_a_late_month_is_made_is_kept_in_it(months: None) -> None:
    this_month = timezone.now().date().replace(day=1)
    drop_month(this_month)
    with writing() as writer:
        [name] = partitions.make_month(TABLE, this_month)
        before = writer.written
        eventually(lambda: writer.written > before + 3)
    assert (count(f"{TABLE}_default"), count(name)) == (0, writer.written)


def write_at(*times: datetime) -> None:
    for at in times:
        SettledMessage.objects.create(
            received_at=at, direction="INBOUND", entity_type="X", dedupe_key="x", status="SUCCESS"
        )


def file_of(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filepath(%s::regclass)", [table])
        return str(cursor.fetchone()[0])


def indexes_of(table: str) -> list[str]:
    """What the names of its indexes that are part of the whole table's say besides its own name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid "
            "JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = %s::regclass ORDER BY 1",
            [table],
        )
        return [row[0].replace(table, "") for row in cursor.fetchall()]


def test_of_one_month_the_default_partition_becomes_the_month_and_no_row_is_moved(months: None) -> None:
    now = timezone.now()
    drop_month(now.date().replace(day=1))
    write_at(now, now)
    file, indexes = file_of(f"{TABLE}_default"), indexes_of(f"{TABLE}_default")
    [name] = partitions.make_months([TABLE])
    assert (file_of(name), count(name), count(f"{TABLE}_default")) == (file, 2, 0)
    assert indexes_of(name) == indexes_of(f"{TABLE}_default") == indexes != []
    write_at(now, datetime(2190, 1, 1, tzinfo=UTC))
    assert (count(name), count(f"{TABLE}_default")) == (3, 1)


@pytest.mark.parametrize("table", partitions.PARTITIONED_TABLES)
def test_the_default_partition_of_each_table_can_become_a_month(transactional_db: None, table: str) -> None:
    for month in (FAR, partitions.next_month(FAR)):

        def make(cursor: CursorWrapper, month: date = month) -> list[str]:
            return partitions._make_default_the_month(cursor, table, month)

        assert table_changes.change_tables(make, locks=[]) == [f"{table}_{month:%Y_%m}"]
    assert len(indexes_of(f"{table}_default")) == len(indexes_of(f"{table}_2190_01")) > 0
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {table}_2190_01, {table}_2190_02")


def test_rows_of_several_missed_months_come_into_theirs(months: None) -> None:
    now = timezone.now()
    drop_month(now.date().replace(day=1))
    write_at(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC), now)
    assert partitions.make_months([TABLE]) == [f"{TABLE}_{now:%Y_%m}", f"{TABLE}_2025_03"]
    assert (count(f"{TABLE}_2025_03"), count(f"{TABLE}_default")) == (2, 0)
    assert partitions.make_months([TABLE]) == []


def test_rows_of_two_earlier_months_stay_until_one_is_gone(months: None) -> None:
    write_at(datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))
    assert partitions.make_months([TABLE]) == []
    assert count(f"{TABLE}_default") == 2


def test_two_workers_make_a_month_once(months: None) -> None:
    made: list[str] = []
    with in_thread(lambda: made.extend(partitions.make_month(TABLE, FAR))):
        made += partitions.make_month(TABLE, FAR)
    assert made == [f"{TABLE}_2190_01"]


def test_only_a_lock_is_waited_for(transactional_db: None) -> None:
    tries = []

    def fail(cursor: Any) -> None:
        tries.append(1)
        cursor.execute("SELECT 1 / 0")

    with pytest.raises(DataError):
        table_changes.change_tables(fail, locks=[])
    assert len(tries) == 1
