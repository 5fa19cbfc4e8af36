"""What goes in time, and what stays whatever its age."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task

from ingest.models import IngestEventUnit, PartialIngestEvent, SettledIngestEvent
from integration.models import FailedMessage, SettledMessage
from mes.plant.models import Line
from mes.platform.database import partitions, retention, table_changes
from mes.platform.database.models import RetentionRun
from mes.platform.database.partitions import PARTITIONED_TABLES
from mes.platform.database.retention import Policy, Rows
from mes.platform.hooks import Hook
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.monitoring import retention_runs
from mes.platform.outbox.models import EventStatus, MesEvent, WorkerHeartbeat
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import SweepIncomplete
from tests.factories import make_line, make_station
from tests.platform.outbox.support import make_event

OLD = date(2025, 2, 1)


def days(number: float) -> timedelta:
    return timedelta(days=number)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE", 0)
    monkeypatch.setattr(table_changes, "PAUSE", 0.05)


@pytest.fixture
def old_month(transactional_db: None) -> Iterator[str]:
    """A month of settled messages long ago."""
    name = f"integration_settledmessage_{OLD:%Y_%m}"
    partitions.make_month("integration_settledmessage", OLD)
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {name}")


def make_message(key: str, at: datetime) -> None:
    SettledMessage.objects.create(
        received_at=at, direction="INBOUND", entity_type="DEVICE_DATA", dedupe_key=key, status="SUCCESS"
    )


def months_of(table: str) -> list[date]:
    return list(partitions.list_months(table))


@contextmanager
def beside(statement: str, *, then: threading.Event | None = None) -> Iterator[threading.Event]:
    """Run a statement in a transaction of another connection, open until the block ends (or `then` is set)."""
    ready, done = threading.Event(), then or threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            ready.set()
            done.wait(20)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    try:
        yield done
    finally:
        done.set()
        thread.join()


# --- what goes ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_only_completed_events_past_their_date_go():
    long_ago = timezone.now() - days(5000)
    for status in EventStatus:
        make_event(f"past {status}", status=status, occurred_at=long_ago, retention_until=timezone.now() - days(1))
    make_event("kept a day more", status="COMPLETED", retention_until=timezone.now() + days(1))
    make_event("kept for ever", status="COMPLETED", occurred_at=long_ago)
    outcome = retention.run()
    assert outcome.rows["completed events"] == 1
    left = set(MesEvent.objects.values_list("idempotency_key", flat=True))
    assert left == {
        "past PENDING",
        "past PROCESSING",
        "past FAILED",
        "past DEAD",
        "kept a day more",
        "kept for ever",
    }


@pytest.mark.django_db
def test_a_key_stays_as_long_as_its_event_could_be_sent_again(settings):
    now = timezone.now()
    lifetime = settings.MES_KEY_LIFETIME
    # An event dated a skew ahead is refused as too old only when the lifetime and the skew have passed.
    for name, age in (("young", lifetime - days(1)), ("edge", lifetime + settings.MES_CLOCK_SKEW)):
        IdempotencyKey.objects.create(channel="c", key=name, digest=b"", answer={}, created_at=now - age)
    IdempotencyKey.objects.create(channel="c", key="old", digest=b"", answer={}, created_at=now - lifetime - days(2))
    retention.run()
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"young", "edge"}


@pytest.mark.django_db
def test_what_the_worker_leaves_behind_goes():
    now = timezone.now()
    for name, age in (("new", 1), ("old", 40)):
        at = now - days(age)
        Task.objects.create(id=name, name=name, func="f", started=at, stopped=at, success=False)
        OrmQ.objects.create(key=name, payload="x", lock=at)
        WorkerHeartbeat.objects.create(name=name, beat_at=now - days(age - 0.5))
    retention.run()
    assert [task.id for task in Task.objects.all()] == ["new"]
    assert [queued.key for queued in OrmQ.objects.all()] == ["new"]
    assert [beat.name for beat in WorkerHeartbeat.objects.all()] == ["new"]


@pytest.mark.django_db
def test_rows_go_in_batches(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(7):
        make_event(str(number), status="COMPLETED", retention_until=timezone.now() - days(1))
    seen: list[int] = []
    delete = retention._delete_batch
    monkeypatch.setattr(
        retention, "_delete_batch", lambda *given: (delete(*given), seen.append(len(given[-1].keys)))[0]
    )
    assert retention.run().rows["completed events"] == 7
    assert [count for count in seen if count] == [3, 3, 1]


# --- months -------------------------------------------------------------------------------------------------


def test_a_month_goes_when_all_of_it_is_old_enough(old_month, settings):
    make_message("a", datetime(2025, 2, 27, tzinfo=UTC))
    make_message("b", timezone.now())
    settings.MES_MESSAGE_RETENTION = timezone.now() - datetime(2025, 2, 28, 23, 59, tzinfo=UTC)
    retention.run()
    assert OLD in months_of("integration_settledmessage")  # its last minute is younger
    settings.MES_MESSAGE_RETENTION = timezone.now() - datetime(2025, 3, 1, 0, 1, tzinfo=UTC)
    assert retention.run().tables["messages"] == [old_month]
    assert OLD not in months_of("integration_settledmessage")
    assert [message.dedupe_key for message in SettledMessage.objects.all()] == ["b"]


def test_without_a_setting_values_and_records_stay_for_ever(transactional_db, settings):
    assert settings.MES_VALUE_RETENTION is settings.MES_DEVICE_RECORD_RETENTION is settings.MES_INGEST_RETENTION is None
    name = f"execution_datavalue_{OLD:%Y_%m}"
    partitions.make_month("execution_datavalue", OLD)
    try:
        retention.run()
        assert OLD in months_of("execution_datavalue")
        settings.MES_VALUE_RETENTION = days(31)
        assert retention.run().tables["values"] == [name]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {name}")


def test_applied_events_and_their_units_go_together(transactional_db, settings):
    settings.MES_INGEST_RETENTION = days(31)
    tables = ("ingest_settledingestevent", "ingest_ingesteventunit")
    names = [name for table in tables for name in partitions.make_month(table, OLD)]
    assert names == [f"{table}_2025_02" for table in tables]
    assert retention.run().tables["ingest"] == names


def make_partial(at: datetime) -> PartialIngestEvent:
    """Make an applied event that left something out, and the row that says so."""
    told = {"received_at": at, "source_system": "X", "dedupe_key": f"{at}", "last_at": at}
    skipped = [{"item": 0, "code": "C"}]
    settled = SettledIngestEvent.objects.create(**told, payload={}, status="APPLIED", skipped=skipped)
    IngestEventUnit.objects.create(received_at=at, unit_id=1, event_id=settled.pk)
    return PartialIngestEvent.objects.create(pk=settled.pk, **told, error_code="C", error={}, is_failing=False)


def test_a_month_stays_while_something_that_was_left_out_in_it_is_open(transactional_db, settings, monkeypatch):
    settings.MES_INGEST_RETENTION = days(31)
    tables = ("ingest_settledingestevent", "ingest_ingesteventunit")
    names = [name for table in tables for name in partitions.make_month(table, OLD)]
    partial = make_partial(datetime(2025, 2, 28, 23, 59, 59, tzinfo=UTC))
    make_partial(datetime(2025, 3, 1, tzinfo=UTC))  # of the month after, which was not made
    ingest = next(each for each in retention.policies if each.name == "ingest")
    assert "ingest" not in retention.run().tables
    assert next(each for each in retention.preview() if each.policy is ingest).tables == ()
    with monkeypatch.context() as patch:  # it is applied in part after the month was chosen
        patch.setattr(retention, "expired_months", lambda policy, cutoff: [OLD] if policy is ingest else [])
        assert "ingest" not in retention.run().tables
    assert SettledIngestEvent.objects.count() == IngestEventUnit.objects.count() == 2
    partial.delete()
    assert retention.run().tables["ingest"] == names
    assert SettledIngestEvent.objects.count() == IngestEventUnit.objects.count() == 1
    PartialIngestEvent.objects.all().delete()
    assert retention.run().rows["ingest"] == 2
    assert not SettledIngestEvent.objects.exists()


def test_failed_messages_are_never_touched(old_month):
    FailedMessage.objects.create(
        received_at=datetime(2020, 1, 1, tzinfo=UTC),
        direction="INBOUND",
        entity_type="DEVICE_DATA",
        status="FAILED",
        digest=b"",
    )
    retention.run()
    assert FailedMessage.objects.count() == 1


@pytest.mark.django_db
def test_old_rows_that_missed_their_month_go_too():
    make_message("stray", datetime(2020, 1, 1, tzinfo=UTC))
    make_message("recent", timezone.now())
    assert retention.run().rows["messages"] == 1
    assert SettledMessage.objects.get().dedupe_key == "recent"


def test_a_month_in_use_waits_for_another_night_and_holds_nobody_up(old_month, monkeypatch):
    monkeypatch.setattr(table_changes, "TRIES", 4)
    monkeypatch.setattr(table_changes, "LOCK_TIMEOUT", "5s")  # which is not waited for a moment
    longest = 0.0
    stop = threading.Event()

    def write() -> None:
        nonlocal longest
        while not stop.is_set():
            start = time.monotonic()
            make_message("line", timezone.now())
            longest = max(longest, time.monotonic() - start)
        connections.close_all()

    writer = threading.Thread(target=write)
    with beside(f"SELECT * FROM {old_month}"):  # a backup reads it
        writer.start()
        outcome = retention.run()
    stop.set()
    writer.join()
    assert "lock timeout" in outcome.errors[f"messages {OLD:%Y-%m}"]
    assert OLD in months_of("integration_settledmessage")
    assert longest < 2, "the line waited behind the drop"
    assert retention.run().tables["messages"] == [old_month]


# --- races and crashes --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_second_run_at_the_same_time_ends_at_once():
    make_event("k", status="COMPLETED", retention_until=timezone.now() - days(1))
    with beside(f"SELECT pg_advisory_xact_lock({retention.ADVISORY_LOCK})"):
        start = time.monotonic()
        outcome = retention.run()
        assert (outcome.is_busy, outcome.rows, MesEvent.objects.count()) == (True, {}, 1)
        assert time.monotonic() - start < 15  # the other would not end
    assert retention.run().rows == {"completed events": 1}


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_changes_is_left_until_it_is_settled():
    event = make_event("k", status="COMPLETED", retention_until=timezone.now() - days(1))
    with beside(f"UPDATE mes_mesevent SET status = 'PENDING', retention_until = NULL WHERE id = {event.pk}"):
        outcome = retention.run()
        assert (outcome.rows, outcome.errors) == ({}, {})
    assert retention.run().rows == {}
    assert MesEvent.objects.get().status == "PENDING"


@pytest.mark.django_db(transaction=True)
def test_a_crash_in_mid_batch_loses_nothing_that_stays_and_the_next_run_goes_on(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(5):
        make_event(str(number), status="COMPLETED", retention_until=timezone.now() - days(1))
    make_event("open", status="DEAD")
    delete = retention._delete_batch
    calls: list[int] = []

    def die_in_the_second(policy, cutoff, batch):
        with transaction.atomic():
            delete(policy, cutoff, batch)
            if batch.keys:  # other tables have nothing to delete
                calls.append(1)
                if len(calls) == 2:
                    raise KeyboardInterrupt

    monkeypatch.setattr(retention, "_delete_batch", die_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        retention.run()
    assert MesEvent.objects.count() == 4  # the batch that was cut off is back
    retention.run()
    assert [event.idempotency_key for event in MesEvent.objects.all()] == ["open"]


@pytest.mark.django_db
def test_a_policy_that_fails_is_noted_and_hinders_no_other(monkeypatch):
    def fail(cutoff):
        raise ValueError("no way")

    policies: Hook[Policy] = Hook()
    policies.register(*retention.policies, Rows("a bad one", "", "MES_TASK_RETENTION", expired=fail))
    monkeypatch.setattr(retention, "policies", policies)
    make_event("k", status="COMPLETED", retention_until=timezone.now() - days(1))
    with pytest.raises(SweepIncomplete, match="a bad one: ValueError: no way"):
        retention_runs.retain()
    run = RetentionRun.objects.get()
    assert run.errors == {"a bad one": "ValueError: no way"}
    assert run.rows == {"completed events": 1}
    assert run.ended_at is not None


@pytest.mark.django_db
def test_a_night_is_cut_into_slices(settings, monkeypatch):
    settings.MES_RETENTION_BUDGET = timedelta(0)
    monkeypatch.setattr(retention, "BATCH", 1)
    for number in range(3):
        make_event(str(number), status="COMPLETED", retention_until=timezone.now() - days(1))
    queued: list[tuple] = []
    monkeypatch.setattr(ScheduledTask, "queue_again", lambda *given: queued.append(given))
    assert retention_runs.retain() == "goes on"
    run = RetentionRun.objects.get()
    assert queued == [(retention_runs.TASK, run.pk, 2)]
    assert run.ended_at is None
    settings.MES_RETENTION_BUDGET = timedelta(minutes=1)
    assert retention_runs.retain(*queued[0][1:]) == "done"
    run.refresh_from_db()
    assert run.ended_at is not None
    assert run.rows["completed events"] == 3
    assert not MesEvent.objects.exists()


# --- what cannot go -----------------------------------------------------------------------------------------


def keep_only(monkeypatch: pytest.MonkeyPatch, *kept: Policy) -> None:
    """Have no other policies."""
    policies: Hook[Policy] = Hook()
    policies.register(*kept)
    monkeypatch.setattr(retention, "policies", policies)


@pytest.mark.django_db
@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_a_row_that_cannot_be_deleted_keeps_no_other(monkeypatch, batch):
    """Something refers to it: one in a batch, on the first night and on each one after."""
    monkeypatch.setattr(retention, "BATCH", batch)
    lines = [make_line(f"L{number:02}") for number in range(20)]
    make_station(line=lines[7])
    expired = lambda cutoff: Line.objects.order_by("code")  # noqa: E731
    keep_only(monkeypatch, Rows("lines", "", "MES_TASK_RETENTION", expired=expired))
    for _night in range(2):
        with pytest.raises(SweepIncomplete, match=f"^lines {lines[7].pk}: ProtectedError"):
            retention_runs.retain()
        assert [line.code for line in Line.objects.all()] == ["L07"]
    first, second = RetentionRun.objects.order_by("pk")
    assert (first.rows, second.rows) == ({"lines": 19}, {})
    assert second.errors.keys() == {f"lines {lines[7].pk}"}


@pytest.mark.django_db
def test_a_bad_row_does_not_end_a_night_of_several_slices(monkeypatch, settings):
    settings.MES_RETENTION_BUDGET = timedelta(0)
    monkeypatch.setattr(retention, "BATCH", 2)
    queued: list[tuple] = []
    monkeypatch.setattr(ScheduledTask, "queue_again", lambda task, *given: queued.append(given))
    lines = [make_line(f"L{number}") for number in range(8)]
    make_station(line=lines[3])
    keep_only(monkeypatch, Rows("lines", "", "MES_TASK_RETENTION", expired=lambda at: Line.objects.order_by("code")))
    given: tuple = ()
    with pytest.raises(SweepIncomplete, match="ProtectedError"):
        for _slice in range(20):
            assert retention_runs.retain(*given) == "goes on"
            given = queued[-1]
            settings.MES_RETENTION_BUDGET = timedelta(0) if len(queued) < 6 else timedelta(minutes=1)
    assert [line.code for line in Line.objects.all()] == ["L3"]
    assert RetentionRun.objects.count() == 1


@pytest.mark.django_db
def test_where_many_rows_cannot_be_deleted_the_policy_has_failed_for_the_night(monkeypatch):
    monkeypatch.setattr(retention, "MOST_BAD", 2)
    for number in range(5):
        make_station(f"S{number}", line=make_line(f"L{number}"))
    keep_only(monkeypatch, Rows("lines", "", "MES_TASK_RETENTION", expired=lambda at: Line.objects.order_by("code")))
    outcome = retention.run()
    assert outcome.errors["lines"].startswith("ProtectedError")
    assert outcome.is_finished


def test_a_month_that_cannot_be_dropped_keeps_no_other(transactional_db, monkeypatch):
    """Somebody made a view of it, say."""
    table = "integration_settledmessage"
    months = [date(2025, month, 1) for month in (2, 3, 4)]
    names = [f"{table}_{month:%Y_%m}" for month in months]
    for month in months:
        partitions.make_month(table, month)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE VIEW of_march AS SELECT * FROM {names[1]}")
    try:
        make_message("late", datetime(2024, 1, 1, tzinfo=UTC))  # lies in the default partition
        outcome = retention.run()
        assert outcome.tables["messages"] == [names[0], names[2]]
        assert outcome.rows["messages"] == 1
        assert list(outcome.errors) == ["messages 2025-03"]
        assert "of_march" in outcome.errors["messages 2025-03"]
        again = retention.run(skip=outcome.errors)  # the rest of the night does not try it again
        assert again.errors == {}
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP VIEW of_march; DROP TABLE {names[1]}")


@pytest.mark.django_db
@pytest.mark.parametrize("make", [partitions.make_months, partitions.make_months_after_migration])
def test_a_table_whose_months_cannot_be_made_keeps_no_other(make):
    """Its default partition is not there, say; the months of the tables before and after it are made."""
    tables = PARTITIONED_TABLES[:3]
    with connection.cursor() as cursor:
        for table in tables:
            for name in partitions.list_months(table).values():
                cursor.execute(f"DROP TABLE {name}")
        cursor.execute(f"DROP TABLE {tables[1]}_default")
    if make is partitions.make_months:
        with pytest.raises(SweepIncomplete, match=f"^{tables[1]}_"):
            make()
    else:
        make()  # the migration ends: the rows have a place, and the worker tries again at night
    assert [len(partitions.list_months(table)) for table in tables] == [4, 0, 4]


# --- looking ahead ------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_goes_and_removes_nothing(old_month, capsys):
    make_message("a", datetime(2025, 2, 27, tzinfo=UTC))
    make_event("k", status="COMPLETED", retention_until=timezone.now() - days(1))
    call_command("retention", dry_run=True)
    said = capsys.readouterr().out
    assert f"would drop {old_month}" in said
    assert "completed events     kept for 30 day(s): 1 row(s) would go" in said
    assert "kept for ever (MES_VALUE_RETENTION_DAYS is empty)" in said
    assert (MesEvent.objects.count(), SettledMessage.objects.count()) == (1, 1)
    call_command("retention")
    said = capsys.readouterr().out
    assert old_month in said
    assert "1 row(s)" in said
    assert (MesEvent.objects.count(), SettledMessage.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_the_command_says_when_something_failed(monkeypatch):
    def fail(cutoff):
        raise ValueError("no way")

    policies: Hook[Policy] = Hook()
    policies.register(*retention.policies, Rows("a bad one", "", "MES_TASK_RETENTION", expired=fail))
    monkeypatch.setattr(retention, "policies", policies)
    with pytest.raises(CommandError, match="a bad one: ValueError: no way"):
        call_command("retention")


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("Europe/Berlin", "2026-01-10T01:00Z", "2026-01-10T02:00Z"),
        ("Europe/Berlin", "2026-03-29T00:30Z", "2026-03-29T01:00Z"),  # the clock jumps from 2 to 3
        ("Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T02:00Z"),  # 2 to 3 happens twice
        ("Asia/Shanghai", "2026-01-10T00:00Z", "2026-01-10T19:00Z"),
    ],
)
def test_it_runs_at_three_in_the_plant(db, monkeypatch, settings, zone, now, expected):
    local = datetime.fromisoformat(now).astimezone(ZoneInfo(zone))
    monkeypatch.setattr("django_q.models.localtime", lambda: local)
    schedule = Schedule.objects.get(name="retention")
    assert schedule.func == "mes.platform.monitoring.retention_runs.retain"
    assert schedule.calculate_next_run() == datetime.fromisoformat(expected)
