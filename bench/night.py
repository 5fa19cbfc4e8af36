"""What a round of `bench.beside` uses up. Imported when Django is set up."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from bench import months
from bench.outbox import COPY
from mes.platform.database import partitions


def make_old(number: int, *, share: float = 1) -> None:
    """Make what the retention removes: the month before the year, completed events and keys past their time."""
    first = months.past_months()[0] - timedelta(days=1)
    months.fill(first.replace(day=1), share=share)
    _execute("UPDATE mes_mesevent SET retention_until = now() + interval '30 days' WHERE status = 'COMPLETED'")
    _execute("DELETE FROM mes_mesevent WHERE idempotency_key LIKE 'bench-COMPLETED%'")
    _execute(COPY, {"status": "COMPLETED", "number": number})
    _execute("UPDATE mes_mesevent SET retention_until = now() - interval '1 day' WHERE idempotency_key LIKE 'bench-C%'")
    _execute(
        "INSERT INTO mes_idempotencykey (channel, key, digest, record_id, answer, created_at) "
        "SELECT channel, 'past-' || n || key, digest, record_id, answer, now() - interval '5 years' "
        f"FROM (SELECT * FROM mes_idempotencykey LIMIT 1) one, generate_series(1, {number}) n"
    )
    for table in months.FULL:
        _execute(f"VACUUM ANALYZE {table}_{first:%Y_%m}")
    _execute("VACUUM ANALYZE mes_mesevent, mes_idempotencykey")


def drop_last_months() -> None:
    """Have the last month of every table missing, where it is not, as when the hourly task has not run yet."""
    for table in partitions.PARTITIONED_TABLES:
        last = list(partitions.months_from(timezone.now().date(), partitions.MONTHS_AHEAD + 1))[-1]
        _execute(f"DROP TABLE IF EXISTS {table}_{last:%Y_%m}")


def checkpoint() -> None:
    """Begin with the write-ahead log as short as any other round."""
    _execute("CHECKPOINT")


def _execute(statement: str, values: dict[str, Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
