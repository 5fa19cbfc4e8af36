"""Sealing the audit, and seeing whether it is still what it was sealed as.

A seal covers the entries of a month between two ids: SHA-256 of the seal before it and of the entries, by id. Whoever
can switch the database's triggers off can rewrite entries, and be found out; who can also rewrite all later seals is
found out by a digest that was noted elsewhere, as each is in the log of the worker.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.database.partitions import list_months
from mes.platform.database.table_changes import change_tables

logger = structlog.get_logger(__name__)

TABLE = AuditEntry._meta.db_table
_ADVISORY_LOCK = 0x4C4B_5345_414C  # one seals at a time

# An entry as a text: the same for ever, whatever the session's time zone is.
_ROWS = f"""
    SELECT jsonb_build_array(id, to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entity, row_id,
                             entity_id, root_entity, root_id, name, action, before, after, actor, actor_kind, via,
                             request_id, reason, transaction)::text
      FROM {TABLE}
     WHERE id BETWEEN %s AND %s AND received_at >= %s AND received_at < %s::timestamptz + interval '1 month'
     ORDER BY id
"""
_MONTHS = f"""
    SELECT date_trunc('month', received_at AT TIME ZONE 'UTC')::date AS month, min(id), max(id) FROM {TABLE}
     WHERE id > %s AND id <= %s GROUP BY 1 ORDER BY 1
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
    start = f"{month} 00:00+00"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ROWS, [first_id, last_id, start, start])
        while rows := cursor.fetchmany(1000):
            yield from (row[0] for row in rows)


def verify() -> Fault | None:
    """Return the first thing that is not as it was sealed; None when all is. Months that were dropped are left out."""
    before: AuditSeal | None = None
    for one in AuditSeal.objects.order_by("id").iterator():
        if one.dropped_at is None:
            count, digest = _digest_of(one.month, one.first_id, one.last_id, before.digest if before else "")
            if count != one.count:
                return Fault(one, f"{one.count} entries were sealed, {count} are there")
            if digest != one.digest:
                return Fault(one, "an entry, or the seal before, is not as it was sealed")
        before = one
    return _find_between()


def _find_between() -> Fault | None:
    """Find entries of a sealed range that no seal counted: they were added later."""
    sealed_up_to = _sealed_up_to()
    counted = sum(AuditSeal.objects.filter(dropped_at=None).values_list("count", flat=True))
    there = AuditEntry.objects.filter(id__lte=sealed_up_to).count()
    return Fault(None, f"{counted} entries were sealed, {there} are there") if there != counted else None


def mark_dropped() -> int:
    """Note on seals that the retention dropped their month; return on how many."""
    kept = set(list_months(TABLE))
    gone = [one for one in AuditSeal.objects.filter(dropped_at=None) if one.month not in kept and not _is_there(one)]
    for one in gone:
        one.dropped_at = timezone.now()
        one.save(update_fields=["dropped_at"])
    return len(gone)


def _is_there(one: AuditSeal) -> bool:
    """Whether the entries of a month that has no partition lie in the default one."""
    return next(_entries(one.month, one.first_id, one.last_id), None) is not None
