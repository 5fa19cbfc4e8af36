"""A year of months that hold rows, made in SQL from what the product itself wrote. Imported when Django is set up.

The rows of a past month are copies of those of this one. They belong to units that are not there: what a page
or a report shows of the plant's own units stays what it was.
"""

from datetime import date

from django.db import connection
from django.utils import timezone

from mes.platform.database.partitions import months_from, next_month

FULL = {  # rows of a month that is dropped while readings come in
    "execution_datavalue": 1_000_000,
    "integration_devicedatarecord": 300_000,
    "ingest_settledingestevent": 100_000,
    "ingest_ingesteventunit": 100_000,
}
OF_NOBODY = 10_000_000_000  # what is added to the ids of units, so that they are nobody's
MODELS = 256  # rows of this month that are copied: no more than one second's readings or events
MONTHS = 12


def past_months(number: int = MONTHS) -> list[date]:
    """Return the first days of so many months before this one, oldest first."""
    this = timezone.now().date().replace(day=1)
    place = this.year * 12 + this.month - 1 - number
    return list(months_from(date(place // 12, place % 12 + 1, 1), number))


def fill(first: date, *, share: float = 1) -> None:
    """Make a month as full as FULL says, or a share of that, by bulk: its indexes are built when it is attached."""
    for table, rows in FULL.items():
        _fill(table, first, max(1, int(rows * share)))


def _fill(table: str, first: date, rows: int) -> None:
    name = f"{table}_{first:%Y_%m}"
    start, end = f"'{first} 00:00+00'::timestamptz", f"'{next_month(first)} 00:00+00'::timestamptz"
    columns = [column for column in _columns(table) if column != "id"]
    values = {"received_at": f"{start} + ({end} - {start}) * (n::float8 / {rows + 1})"}
    values |= {column: f"{column} + {OF_NOBODY} + n / 10" for column in ("unit_id", "track_id", "event_id")}
    if table == "integration_devicedatarecord":
        values["event_id"] = "'past-' || n"
    elif "dedupe_key" in columns:
        values["dedupe_key"] = "'past-' || n"
    chosen = ", ".join(values.get(column, column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(
            f"INSERT INTO {name} ({', '.join(columns)}) "
            f"WITH model AS MATERIALIZED (SELECT row_number() OVER () AS place, m.* "
            f"FROM (SELECT * FROM {table} WHERE received_at >= date_trunc('month', now()) LIMIT {MODELS}) m) "
            f"SELECT {chosen} FROM generate_series(1, {rows}) n JOIN model ON place = n % {MODELS} + 1"
        )
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")


def _columns(table: str) -> list[str]:
    with connection.cursor() as cursor:
        return [column.name for column in connection.introspection.get_table_description(cursor, table)]
