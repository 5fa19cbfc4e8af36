"""Tables partitioned by month of `received_at`, the server's clock.

A device's clock of 1970 must not choose the partition. Months are made ahead by an hourly task; the default
partition catches what the task missed, so that an insert never fails, and is emptied when the month is made.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date
from typing import Any

import structlog
from django.db import connection, migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from mes.platform.database.table_changes import change_tables
from mes.platform.sweeps import Sweep, SweepIncomplete

logger = structlog.get_logger(__name__)

PARTITIONED_TABLES = (
    "execution_datavalue",
    "execution_materialuse",
    "integration_devicedatarecord",
    "integration_settledmessage",
    "ingest_settledingestevent",
    "ingest_ingesteventunit",
    "mes_countreport",
    "mes_auditentry",
)
MONTHS_AHEAD = 3
# Tables whose rows triggers keep from being changed or deleted. Only a row's month is chosen anew, here.
UNCHANGEABLE_TABLES = ("mes_auditentry",)


class CreatePartitionedModel(migrations.CreateModel):
    """Like `CreateModel`, but the table is `PARTITION BY RANGE (received_at)` with a default partition.

    The primary key becomes (id, received_at), because PostgreSQL wants the partition key in it; the id comes from
    a sequence, because identity columns of partitioned tables need PostgreSQL 17.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        table = to_state.apps.get_model(app_label, self.name)._meta.db_table
        schema_editor.execute(
            f"""
            ALTER TABLE {table} DROP CONSTRAINT {table}_pkey;
            ALTER TABLE {table} RENAME TO {table}_plain;
            CREATE TABLE {table} (LIKE {table}_plain INCLUDING ALL EXCLUDING IDENTITY)
                PARTITION BY RANGE (received_at);
            DROP TABLE {table}_plain;
            CREATE SEQUENCE {table}_id_seq AS bigint OWNED BY {table}.id;
            ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq');
            ALTER TABLE {table} ADD PRIMARY KEY (id, received_at);
            CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
            """
        )

    def describe(self) -> str:
        return f"Create partitioned model {self.name}"


def next_month(first: date) -> date:
    """Return the first day of the month after one, given by its first day."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def months_from(day: date, number: int) -> Iterator[date]:
    """Yield the first days of so many months, from the month of `day` on."""
    first = day.replace(day=1)
    for _ in range(number):
        yield first
        first = next_month(first)


def make_months(tables: Iterable[str] = PARTITIONED_TABLES, *, ahead: int = MONTHS_AHEAD) -> list[str]:
    """Make the partitions of this month and of `ahead` more, where missing; return the names of the new ones.

    Rows that fell into the default partition meanwhile come into their month, those of an earlier month when none of
    another are left there. Raises SweepIncomplete when all others are made, where months could not be.
    """
    made = []
    with Sweep("partitions") as sweep:
        for table in tables:
            for first in months_from(timezone.now().date(), ahead + 1):
                with sweep.row(_name_of(table, first)):
                    made += make_month(table, first)
            with sweep.row(f"{table}_default"):
                if left := _only_month(f"{table}_default"):
                    made += make_month(table, left)
    return made


def make_month(table: str, first: date) -> list[str]:
    """Make the partition of a month, given by its first day, where it is missing; return its name if it was made.

    Who reads the default partition waits for a moment, and who writes, too, where rows may come that belong there.
    Raises OperationalError where the default partition is in use for longer (`mes.platform.database.table_changes`).
    """
    default = f"{table}_default"
    if _exists(_name_of(table, first)):
        return []
    if _only_month(default) == first:
        return change_tables(lambda cursor: _make_default_the_month(cursor, table, first), locks=[table, default])
    return change_tables(lambda cursor: _attach_month(cursor, table, first), locks=[default])


def _only_month(table: str) -> date | None:
    """Return the first day of the month of which all rows of a table are; None where there are none, or of several."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT date_trunc('month', min(received_at), 'UTC'), date_trunc('month', max(received_at), 'UTC') "
            f"FROM {table}"
        )
        first, last = cursor.fetchone()
    return first.astimezone(UTC).date() if first is not None and first == last else None


def _make_default_the_month(cursor: CursorWrapper, table: str, first: date) -> list[str]:
    """Have the default partition be the month, and make another: moving a million rows would lock for many seconds.

    Raises IntegrityError where a row of another month has come since it was looked at; it is moved the next time.
    """
    name = _name_of(table, first)
    cursor.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
    if _exists(name):  # another worker was quicker
        return []
    cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_default")
    cursor.execute(f"ALTER TABLE {table}_default RENAME TO {name}")
    for index in _indexes_of(cursor, name):  # whose names the next default partition gets
        if index.startswith(f"{table}_default"):  # not one whose long name was cut: PostgreSQL numbers the next
            cursor.execute(f"ALTER INDEX {index} RENAME TO {index.replace(f'{table}_default', name, 1)}")
    cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {_bounds(first)}")  # reads it once
    cursor.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    _refuse_truncation(cursor, table, f"{table}_default")
    return [name]


def _indexes_of(cursor: CursorWrapper, table: str) -> list[str]:
    cursor.execute(
        "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid WHERE indrelid = to_regclass(%s)",
        [table],
    )
    return [row[0] for row in cursor.fetchall()]


def _bounds(first: date) -> str:
    return f"FROM ('{first} 00:00+00') TO ('{next_month(first)} 00:00+00')"


def _attach_month(cursor: CursorWrapper, table: str, first: date) -> list[str]:
    """Attach a partition that is filled from the default partition first: PostgreSQL refuses it otherwise.

    The table is locked for writing, or a row on its way to the default partition would be refused there; not so for a
    month that is ahead of every clock, in which no row comes. The default partition is locked by attaching at the
    latest; it is asked for before rows are moved in vain.
    """
    name = _name_of(table, first)
    start, end = f"'{first} 00:00+00'", f"'{next_month(first)} 00:00+00'"
    is_ahead = first > next_month(timezone.now().date().replace(day=1))
    cursor.execute(f"LOCK TABLE ONLY {table} IN SHARE {'UPDATE' if is_ahead else 'ROW'} EXCLUSIVE MODE")
    if _exists(name):  # another worker was quicker
        return []
    cursor.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
    cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    with rows_may_go(cursor, table):
        cursor.execute(
            f"WITH moved AS (DELETE FROM {table}_default WHERE received_at >= {start} AND received_at < {end} "
            f"RETURNING *) INSERT INTO {name} SELECT * FROM moved"
        )
    cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {_bounds(first)}")
    _refuse_truncation(cursor, table, name)
    return [name]


def _refuse_truncation(cursor: CursorWrapper, table: str, partition: str) -> None:
    """Keep a partition as its table is: triggers for each row come with the table, those of statements do not."""
    if table in UNCHANGEABLE_TABLES:
        cursor.execute(
            f"CREATE TRIGGER untruncatable BEFORE TRUNCATE ON {partition} FOR EACH STATEMENT "
            "EXECUTE FUNCTION mes_refuse_rewriting()"
        )


@contextmanager
def rows_may_go(cursor: CursorWrapper, table: str) -> Iterator[None]:
    """Let rows of a table's default partition be deleted, also of one whose rows are kept as they were written.

    Who else writes there waits until the transaction ends.
    """
    if table not in UNCHANGEABLE_TABLES:
        yield
        return
    cursor.execute(f"ALTER TABLE {table}_default DISABLE TRIGGER USER")
    yield
    cursor.execute(f"ALTER TABLE {table}_default ENABLE TRIGGER USER")


def _name_of(table: str, first: date) -> str:
    return f"{table}_{first:%Y_%m}"


def _exists(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [table])
        return cursor.fetchone()[0] is not None


def list_months(table: str) -> dict[date, str]:
    """Return the partitions of a table by the first day of their month, oldest first; not the default partition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(%s) ORDER BY c.relname",
            [table],
        )
        names = [row[0] for row in cursor.fetchall()]
    found = {name: re.fullmatch(rf"{re.escape(table)}_(\d{{4}})_(\d{{2}})", name) for name in names}
    return {date(int(match[1]), int(match[2]), 1): name for name, match in found.items() if match}


def make_months_after_migration(**kwargs: Any) -> None:
    """Make the partitions of the coming months after a migration, for the tables that exist by then.

    A month that cannot be made now keeps nothing from starting: rows go to the default partition, and the worker makes
    it at night.
    """
    existing = set(connection.introspection.table_names())
    try:
        make_months([table for table in PARTITIONED_TABLES if table in existing])
    except SweepIncomplete as error:
        logger.warning("partitions are missing", problems=str(error))
