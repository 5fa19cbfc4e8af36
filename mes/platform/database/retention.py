"""What may go, and when: one policy per table that grows, and the nightly run that applies them.

Any app registers its policies in `AppConfig.ready()`; CONTRIBUTING.md has the recipe. Each policy names the setting
that says how long its rows are kept; a setting that is None keeps them for ever. Rows go in small batches with pauses,
or a whole month at once where a table is partitioned. A policy selects only what is settled: what is pending, failed,
dead, waiting or rejected stays whatever its age.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import CompositePrimaryKey, QuerySet
from django.utils import timezone

from mes.platform.database.partitions import list_months, next_month, rows_may_go
from mes.platform.database.table_changes import change_tables, limit_lock_wait
from mes.platform.hooks import Hook
from mes.platform.sweeps import Batch, Sweep, describe_error

logger = structlog.get_logger(__name__)

BATCH = 1000  # rows of one transaction
MOST_BAD = 100  # rows of a policy that cannot be deleted; of more, the night goes to finding them
PAUSE = 0.02  # seconds between two of them, in which others have the disk
ROW_LOCK_TIMEOUT = "5s"  # nobody waits behind this one
MOST_COUNTED = 100_000  # a dry run stops counting there
VARIABLES = {"MES_KEY_RETENTION": "MES_KEY_DAYS", "MES_SESSION_RETENTION": "", "MES_HEARTBEAT_RETENTION": ""}
ADVISORY_LOCK = 0x4C4B_5245_5445  # one run at a time


@dataclass(frozen=True)
class Policy:
    """How long the rows of something are kept. `setting` names a Django setting: a timedelta, or None for ever."""

    name: str
    label: Any  # a translated text, for people
    setting: str

    def cutoff(self, now: datetime) -> datetime | None:
        """Return the moment before which rows may go, None when they are kept for ever."""
        kept_for: timedelta | None = getattr(settings, self.setting)
        return None if kept_for is None else now - kept_for


@dataclass(frozen=True)
class Rows(Policy):
    """Rows of an ordinary table. `expired(cutoff)` selects those that may go; it must select nothing that is open.

    They go by Django's `delete()`, so rows that belong to them go along as their models say.
    """

    expired: Callable[[datetime], QuerySet[Any]]


@dataclass(frozen=True)
class Months(Policy):
    """Partitioned tables whose months go together, by dropping them, when all of a month is older than the cut-off.

    `open_in` is a table of what of them is open, a row for each with the same `received_at`: its month stays.
    `dropped` is told of a month, by its first day, in the transaction that removes it. Rows of the default partition,
    too, then go by whole months only, each told of by its table: what is told is gone, and nothing else is.
    """

    tables: tuple[str, ...]
    open_in: str | None = None
    dropped: Callable[[date], None] | None = None


@dataclass
class Outcome:
    """What a run removed, or would remove: numbers of rows and names of dropped tables, by policy."""

    rows: dict[str, int] = field(default_factory=dict)
    tables: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    is_finished: bool = True  # False when the time was spent before the work was done
    is_busy: bool = False  # another run is at work


@dataclass(frozen=True)
class Preview:
    """A policy, and what would go by it now where that was asked.

    `rows` stops counting at MOST_COUNTED; the rows of `tables` are estimated.
    """

    policy: Policy
    kept_for: timedelta | None
    rows: int = 0
    tables: tuple[str, ...] = ()
    size: int = 0  # bytes that dropping the tables frees

    @property
    def variable(self) -> str:
        """The variable of the environment that says how long; empty where there is none."""
        return VARIABLES.get(self.policy.setting, f"{self.policy.setting}_DAYS")

    @property
    def is_capped(self) -> bool:
        return self.rows >= MOST_COUNTED and not self.tables


class _Busy(Exception):
    """Another run holds the lock."""


# Applied every night, in the order of their names.
policies: Hook[Policy] = Hook(key=lambda policy: policy.name)


def list_policies() -> list[Policy]:
    """Return all policies in the order of their names."""
    return sorted(policies, key=lambda policy: policy.name)


# --- running ---------------------------------------------------------------------------------------------------


def run(*, budget: timedelta | None = None, now: datetime | None = None, skip: Collection[str] = ()) -> Outcome:
    """Remove what may go, until nothing is left or the time is spent. Safe to break off and to run again.

    What fails is noted by policy, or by policy and month or row, and hinders nothing else; policies and months named in
    `skip` as they were noted are left out. A second run at the same time ends with `is_busy`.
    """
    now = now or timezone.now()
    until = time.monotonic() + (float("inf") if budget is None else budget.total_seconds())
    outcome = Outcome()
    for policy in list_policies():
        if policy.name in skip:
            continue
        sweep = Sweep(policy.name)
        try:
            _apply(policy, now, until, outcome, sweep, skip)
        except _Busy:
            outcome.is_busy = True
            break
        except Exception as error:
            logger.exception("retention failed", policy=policy.name)
            outcome.errors[policy.name] = describe_error(error)
        outcome.errors |= {_part(policy, key): text for key, text in sweep.failed.items()}
        if time.monotonic() >= until:
            outcome.is_finished = False
            break
    logger.info("retention", rows=outcome.rows, tables=outcome.tables, errors=outcome.errors)
    return outcome


def _part(policy: Policy, key: str) -> str:
    return f"{policy.name} {key}"


def _apply(policy: Policy, now: datetime, until: float, outcome: Outcome, sweep: Sweep, skip: Collection[str]) -> None:
    cutoff = policy.cutoff(now)
    if cutoff is None:
        return
    for rows, tables in _steps(policy, cutoff, sweep, skip):
        if rows:
            outcome.rows[policy.name] = outcome.rows.get(policy.name, 0) + rows
        if tables:
            outcome.tables.setdefault(policy.name, []).extend(tables)
        if time.monotonic() >= until:
            return
        time.sleep(PAUSE)


def _steps(policy: Policy, cutoff: datetime, sweep: Sweep, skip: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield what each transaction removed: a number of rows, or the names of tables."""
    if isinstance(policy, Rows):
        yield from ((rows, []) for rows in _delete_rows(policy, cutoff, sweep))
    elif isinstance(policy, Months):
        parts = {f"{month:%Y-%m}": _drop_month(policy, month) for month in expired_months(policy, cutoff)}
        delete = _delete_late if policy.dropped is None else _delete_late_months
        parts |= {table: delete(policy, table, cutoff) for table in policy.tables}
        for key, steps in parts.items():
            if _part(policy, key) not in skip:
                yield from _guarded(key, steps, sweep)


def _guarded(key: str, steps: Iterator[tuple[int, list[str]]], sweep: Sweep) -> Iterator[tuple[int, list[str]]]:
    """Yield the steps of a month or table; one that fails hinders no other."""
    try:
        yield from steps
    except _Busy:
        raise
    except Exception as error:
        sweep.note(key, error)


def _delete_rows(policy: Rows, cutoff: datetime, sweep: Sweep) -> Iterator[int]:
    """Delete in batches; yield how many rows went. A row that cannot be deleted is left and noted; where many cannot,
    the policy has failed.
    """
    for batch in sweep.batches(size=BATCH, most_bad=MOST_BAD):
        with batch:
            _delete_batch(policy, cutoff, batch)
        if batch.done:
            yield batch.done


def _delete_batch(policy: Rows, cutoff: datetime, batch: Batch) -> None:
    """Delete one batch. The rows are locked while they still are what the policy selects; locked ones are left."""
    with transaction.atomic():
        _take_turn()
        limit_lock_wait(ROW_LOCK_TIMEOUT)
        expired = policy.expired(cutoff).exclude(pk__in=batch.excluded)
        lone = isinstance(expired.model._meta.pk, CompositePrimaryKey)  # Django cannot name the table of one
        chosen = expired.select_for_update(skip_locked=True, of=() if lone else ("self",))
        batch.keys = list(chosen.values_list("pk", flat=True)[: batch.size])
        if batch.keys:
            expired.model._base_manager.filter(pk__in=batch.keys).delete()


def expired_months(policy: Months, cutoff: datetime) -> list[date]:
    """Return the first days of the months that lie before the cut-off as a whole, and hold nothing that is open; oldest
    first.
    """
    found = {month for table in policy.tables for month in list_months(table)}
    return sorted(first for first in found if _end_of(first) <= cutoff and not _is_open(policy, first))


def _is_open(policy: Months, month: date) -> bool:
    """Whether something that was received in a month is open."""
    if policy.open_in is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {policy.open_in} WHERE received_at >= %s AND received_at < %s)",
            [_start_of(month), _end_of(month)],
        )
        return bool(cursor.fetchone()[0])


def _start_of(first: date) -> datetime:
    return datetime.combine(first, datetime.min.time(), tzinfo=UTC)


def _end_of(first: date) -> datetime:
    return _start_of(next_month(first))


def _drop_month(policy: Months, month: date) -> Iterator[tuple[int, list[str]]]:
    """Drop the tables of a month in one transaction; yield their names.

    A month that is in use for long (a backup reads it) goes another night. DETACH … CONCURRENTLY would lock nobody out,
    but PostgreSQL refuses it beside a default partition.
    """
    names = [name for table in policy.tables if (name := list_months(table).get(month))]

    def drop(cursor: CursorWrapper) -> list[str]:
        _take_turn()
        cursor.execute(f"LOCK TABLE ONLY {', '.join(policy.tables)} IN ACCESS EXCLUSIVE MODE")
        if _is_open(policy, month):  # since it was looked for: an event that waited is applied under its old time
            return []
        cursor.execute(f"DROP TABLE {', '.join(names)}")
        if policy.dropped is not None:
            policy.dropped(month)
        return names

    yield 0, change_tables(drop, locks=[*policy.tables, *names])


def _delete_late(policy: Months, whole: str, cutoff: datetime) -> Iterator[tuple[int, list[str]]]:
    """Delete the rows that came in while their month was missing; yield how many of each batch."""
    while rows := _delete_late_batch(policy, whole, cutoff):
        yield rows, []


def _delete_late_batch(policy: Months, whole: str, cutoff: datetime) -> int:
    table = f"{whole}_default"
    settled = f"AND NOT EXISTS (SELECT FROM {policy.open_in} o WHERE o.received_at = t.received_at)"
    with transaction.atomic(), connection.cursor() as cursor:
        _take_turn()
        with rows_may_go(cursor, whole):
            cursor.execute(
                f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM {table} t WHERE t.received_at < %s "
                f"{settled if policy.open_in else ''} LIMIT {BATCH} FOR UPDATE OF t SKIP LOCKED))",
                [cutoff],
            )
            return int(cursor.rowcount)


def _delete_late_months(policy: Months, whole: str, cutoff: datetime) -> Iterator[tuple[int, list[str]]]:
    """Delete the rows of whole months that came in while their month was missing; yield how many of each month."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT date_trunc('month', received_at, 'UTC') FROM {whole}_default WHERE received_at < %s",
            [cutoff],
        )
        months = sorted(start.astimezone(UTC).date() for (start,) in cursor.fetchall())
    for month in months:
        if _end_of(month) <= cutoff:
            yield _delete_late_month(policy, whole, month), []


def _delete_late_month(policy: Months, whole: str, month: date) -> int:
    """Delete a month from the default partition in one transaction; return how many rows it had.

    Readers are locked out, as by dropping a table: who reads a month and writes down what it is does so before, and is
    seen by `dropped`, or finds nothing.
    """
    table = f"{whole}_default"

    def delete(cursor: CursorWrapper) -> int:
        _take_turn()
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        if _is_open(policy, month):
            return 0
        with rows_may_go(cursor, whole):
            cursor.execute(
                f"DELETE FROM {table} WHERE received_at >= %s AND received_at < %s", [_start_of(month), _end_of(month)]
            )
            rows = int(cursor.rowcount)
        if policy.dropped is not None:
            policy.dropped(month)
        return rows

    return change_tables(delete, locks=[table])


def _take_turn() -> None:
    """Hold the run's lock until the transaction ends: it goes with the connection if we are killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        if not cursor.fetchone()[0]:
            raise _Busy


# --- looking ahead -----------------------------------------------------------------------------------------------


def describe() -> list[Preview]:
    """Return the policies with how long they keep, without looking at any table."""
    return [Preview(policy, getattr(settings, policy.setting)) for policy in list_policies()]


def preview(now: datetime | None = None) -> list[Preview]:
    """Return what would go now, by policy, changing nothing."""
    return [_look(policy, policy.cutoff(now or timezone.now())) for policy in list_policies()]


def _look(policy: Policy, cutoff: datetime | None) -> Preview:
    kept_for: timedelta | None = getattr(settings, policy.setting)
    if cutoff is None:
        return Preview(policy, kept_for)
    if isinstance(policy, Rows):
        return Preview(policy, kept_for, rows=policy.expired(cutoff).order_by()[:MOST_COUNTED].count())
    assert isinstance(policy, Months)
    months = expired_months(policy, cutoff)
    names = [name for table in policy.tables for first, name in list_months(table).items() if first in months]
    rows, size = _measure(names)
    return Preview(policy, kept_for, rows, tuple(names), size)


def _measure(names: Iterable[str]) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(sum(GREATEST(c.reltuples, 0)), 0)::bigint, COALESCE(sum(pg_total_relation_size(c.oid)), 0)"
            "::bigint FROM pg_class c WHERE c.oid = ANY (ARRAY(SELECT to_regclass(n) FROM unnest(%s::text[]) n))",
            [list(names)],
        )
        rows, size = cursor.fetchone()
        return int(rows), int(size)
