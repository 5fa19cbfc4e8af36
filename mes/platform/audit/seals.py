"""Sealing the audit, and seeing whether it is still what it was sealed as.

A seal covers the entries of a month between two ids: SHA-256 of the seal before it and of the entries, by id. Whoever
can switch the database's triggers off can rewrite entries, and be found out; who can also rewrite all later seals is
found out by a digest that was noted elsewhere, as each is in the log of the worker.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.database.partitions import list_months, next_month
from mes.platform.database.table_changes import change_tables

logger = structlog.get_logger(__name__)

TABLE = AuditEntry._meta.db_table
STEP = 10_000  # entries of one statement: a month of millions is not held in memory
_ADVISORY_LOCK = 0x4C4B_5345_414C  # one seals at a time

# An entry as a text: the same for ever, whatever the session's time zone is. Who has the triggers off can give an id
# twice, at different times: the key of a page is that of the table.
_ROWS = f"""
    SELECT id, received_at,
           jsonb_build_array(id, to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entity, row_id,
                             entity_id, root_entity, root_id, name, action, before, after, actor, actor_kind, via,
                             request_id, reason, transaction)::text
      FROM {TABLE}
     WHERE id BETWEEN %s AND %s AND received_at >= %s AND received_at < %s AND (id, received_at) > (%s, %s)
     ORDER BY id, received_at LIMIT %s
"""
_MONTHS = f"""
    SELECT date_trunc('month', received_at AT TIME ZONE 'UTC')::date AS month, min(id), max(id) FROM {TABLE}
     WHERE id > %s AND id <= %s GROUP BY 1 ORDER BY 1
"""
# In one statement: a month that is dropped meanwhile is in both numbers or in none.
_COUNTS = f"""
    SELECT (SELECT COALESCE(sum(count), 0) FROM {AuditSeal._meta.db_table} WHERE dropped_at IS NULL),
           (SELECT count(*) FROM {TABLE} WHERE id <= (SELECT max(last_id) FROM {AuditSeal._meta.db_table}))
"""


@dataclass(frozen=True)
class Fault:
    """The first thing in which the audit is not as it was sealed."""

    seal: AuditSeal | None
    text: str


def seal() -> list[AuditSeal]:
    """Seal what was written since the last seal; return the new seals, by month.

    The last id is read under a lock in which nobody is writing, so that no smaller one is committed later. Raises
    OperationalError when writers could not be waited for.
    """
    last_id = change_tables(_read_last_id, locks=())
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
            cursor.execute(_MONTHS, [_sealed_up_to(), last_id])
            months = cursor.fetchall()
        made = [_seal_month(month, first, last) for month, first, last in months]
    for one in made:
        logger.info("audit sealed", seal=one.pk, last_id=one.last_id, count=one.count, digest=one.digest)
    return made


def _read_last_id(cursor: CursorWrapper) -> int:
    cursor.execute(f"LOCK TABLE {TABLE} IN SHARE MODE")
    cursor.execute(f"SELECT COALESCE(max(id), 0) FROM {TABLE}")
    return int(cursor.fetchone()[0])


def _sealed_up_to() -> int:
    return max(AuditSeal.objects.values_list("last_id", flat=True), default=0)


def _seal_month(month: date, first_id: int, last_id: int) -> AuditSeal:
    before = AuditSeal.objects.order_by("-id").first()
    count, digest = _digest_of(month, first_id, last_id, before.digest if before else "")
    return AuditSeal.objects.create(
        month=month, first_id=first_id, last_id=last_id, count=count, digest=digest, sealed_at=timezone.now()
    )


def _digest_of(month: date, first_id: int, last_id: int, before: str) -> tuple[int, str]:
    """Return how many entries there are, and their digest."""
    count, digest = 0, hashlib.sha256(before.encode())
    for text in _entries(month, first_id, last_id):
        count += 1
        digest.update(hashlib.sha256(text.encode()).digest())
    return count, digest.hexdigest()


def _entries(month: date, first_id: int, last_id: int) -> Iterator[str]:
    start, end = _bounds(month)
    last = (first_id - 1, start)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_ROWS, [first_id, last_id, start, end, *last, STEP])
            rows = cursor.fetchall()
            yield from (text for _id, _at, text in rows)
            if len(rows) < STEP:
                return
            last = rows[-1][:2]


def _bounds(month: date) -> tuple[datetime, datetime]:
    """Return when a month begins, and when the next one does."""
    start, end = (datetime(day.year, day.month, 1, tzinfo=UTC) for day in (month, next_month(month)))
    return start, end


def verify() -> Fault | None:
    """Return the first thing that is not as it was sealed; None when all is. Of dropped months nothing may be left."""
    before: AuditSeal | None = None
    for one in AuditSeal.objects.order_by("id").iterator():
        if text := _find_in(one, before):
            return Fault(one, text)
        before = one
    return _find_between()


def _find_in(one: AuditSeal, before: AuditSeal | None) -> str | None:
    if one.dropped_at is not None:
        return _find_in_dropped(one)
    count, digest = _digest_of(one.month, one.first_id, one.last_id, before.digest if before else "")
    if (count, digest) == (one.count, one.digest):
        return None
    if AuditSeal.objects.filter(pk=one.pk).exclude(dropped_at=None).exists():  # while its entries were read
        return _find_in_dropped(one)
    if count != one.count:
        return f"{one.count} entries were sealed, {count} are there"
    return "an entry, or the seal before, is not as it was sealed"


def _find_in_dropped(one: AuditSeal) -> str | None:
    """Find what shows that the month of a seal was not dropped, but the seal switched off."""
    start, end = _bounds(one.month)
    if one.month in list_months(TABLE):
        return "it is marked as dropped, but the table of its month is there"
    if AuditEntry.objects.filter(at__gte=start, at__lt=end).exists():
        return "it is marked as dropped, but entries of its month are there"
    if AuditSeal.objects.filter(month=one.month, dropped_at=None).exists():
        return "it is marked as dropped, but another seal of its month is not"
    return None


def _find_between() -> Fault | None:
    """Find entries of a sealed range that no seal counted: they were added later."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS)
        counted, there = cursor.fetchone()
    return Fault(None, f"{counted} entries were sealed, {there} are there") if there != counted else None


def mark_dropped(month: date) -> None:
    """Note on the seals of a month that the retention drops it, in the transaction that does so."""
    AuditSeal.objects.filter(month=month, dropped_at=None).update(dropped_at=timezone.now())
