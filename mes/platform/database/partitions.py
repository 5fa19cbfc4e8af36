"""Tables partitioned by month of `received_at`, the server's clock.

A device's clock of 1970 must not choose the partition. Months are made ahead by a daily task; the default
partition catches what the task missed, so that an insert never fails, and is emptied when the month is made.
"""

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import structlog
from django.db import connection, migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

from mes.platform.sweeps import Sweep, SweepIncomplete

logger = structlog.get_logger(__name__)

PARTITIONED_TABLES = (
    "execution_datavalue",
    "integration_devicedatarecord",
    "integration_settledmessage",
    "ingest_settledingestevent",
    "ingest_ingesteventunit",
    "mes_countreport",
)
MONTHS_AHEAD = 3


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


def month_bounds(first: date, months: int) -> Iterable[tuple[date, date]]:
    """Yield (first day, first day of the next month) for `months` months from the month of `first`."""
    year, month = first.year, first.month
    for _ in range(months):
        start = date(year, month, 1)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        yield start, date(year, month, 1)


def make_months(tables: Iterable[str] = PARTITIONED_TABLES, *, ahead: int = MONTHS_AHEAD) -> list[str]:
    """Make the partitions of this month and of `ahead` more, where missing; return the names of the new ones.

    Rows that fell into the default partition meanwhile are moved to their month. Raises SweepIncomplete when all
    others are made, where months could not be.
    """
    made = []
    with Sweep("partitions") as sweep:
        for table in tables:
            for start, end in month_bounds(timezone.now().date(), ahead + 1):
                name = f"{table}_{start:%Y_%m}"
                with sweep.row(name):
                    made += [name] if _make_month(table, name, start, end) else []
    return made


def _make_month(table: str, name: str, start: date, end: date) -> bool:
    """Make one partition, filled from the default partition first: PostgreSQL refuses to attach it otherwise."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return False
        period = f"received_at >= '{start} 00:00+00' AND received_at < '{end} 00:00+00'"
        cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {period} RETURNING *) "
            f"INSERT INTO {name} SELECT * FROM moved"
        )
        cursor.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{start} 00:00+00') TO ('{end} 00:00+00')"
        )
        return True


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
