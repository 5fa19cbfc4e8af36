"""What was written stays: the database refuses to change it, and where it was made to, a seal tells."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from execution.dispositions import hold_unit
from execution.models import Disposition
from mes.platform.audit import seals, tasks
from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.database import partitions, retention
from mes.platform.hooks import Hook
from mes.production_counts.models import RecordSignature
from mes.readiness.models import ReadinessWaiver
from tests.factories import make_line, make_plant

TABLE = "mes_auditentry"
LAST = f"WHERE id = (SELECT max(id) FROM {TABLE})"


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def write_entry(at: str, entry_id: str = f"nextval('{TABLE}_id_seq')") -> None:
    execute(
        f"INSERT INTO {TABLE} (id, received_at, entity, row_id, entity_id, root_entity, root_id, name, action, "
        "actor, actor_kind, via, request_id, reason, transaction) "
        f"VALUES ({entry_id}, '{at}', 'lines', 1, '', '', '', '', 'CREATE', '', 'SYSTEM', 'TASK', '', '', 1)"
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mes_auditentry SET actor = 'nobody'",
        "DELETE FROM mes_auditentry",
        "TRUNCATE mes_auditentry",
        "DELETE FROM ONLY mes_auditentry_default",
    ],
)
def test_entries_are_not_changed(statement: str) -> None:
    make_line("L-1")
    if "default" in statement:
        write_entry("2190-01-01Z")
    before = AuditEntry.objects.count()
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(statement)
    assert AuditEntry.objects.count() == before


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_decisions_waivers_and_signatures_are_not_changed(change: str) -> None:
    plant = make_plant()
    hold_unit(sn="SN-1", reason="scratched", by="ada")
    ReadinessWaiver.objects.create(run=plant.run, item_type="X", reason="known", waived_by="ada")
    RecordSignature.objects.create(line=plant.line, date="2026-01-01", written_by="ada", figures="x")
    for model in (Disposition, ReadinessWaiver, RecordSignature):
        with pytest.raises(IntegrityError, match="kept as it was written"), transaction.atomic():
            execute("SET CONSTRAINTS ALL IMMEDIATE")
            execute(change.format(model._meta.db_table))
        assert model.objects.count() == 1


@pytest.mark.django_db
def test_entries_of_a_month_are_not_truncated() -> None:
    make_line("L-1")
    month = max(seals.list_months(TABLE).values())
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(f"TRUNCATE {month}")


@pytest.fixture
def sealed(db: None) -> AuditSeal:
    for number in range(5):
        make_line(f"L-{number}")
    (made,) = seals.seal()
    return made


def test_a_seal_holds(sealed: AuditSeal) -> None:
    assert sealed.count == AuditEntry.objects.count()
    assert seals.verify() is None
    assert seals.seal() == []
    make_line("L-9")
    (second,) = seals.seal()
    assert (second.first_id, second.count) == (sealed.last_id + 1, 1)
    assert seals.verify() is None


BENT = {
    "a name": f"UPDATE {TABLE} SET actor = 'nobody' {LAST}",
    "a value": f'UPDATE {TABLE} SET after = after || \'{{"name": "x"}}\' {LAST}',
    "a moment": f"UPDATE {TABLE} SET received_at = received_at + interval '1 ms' {LAST}",
    "one gone": f"DELETE FROM {TABLE} WHERE id = (SELECT min(id) FROM {TABLE})",
    "one more": f"INSERT INTO {TABLE} SELECT (e).* FROM (SELECT e FROM {TABLE} e ORDER BY id LIMIT 1) x "
    "ON CONFLICT DO NOTHING",
}


@pytest.mark.parametrize("bent", BENT)
def test_what_was_bent_with_the_triggers_off_is_found(sealed: AuditSeal, bent: str) -> None:
    execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")
    if bent == "one more":
        execute("ALTER TABLE mes_auditseal DISABLE TRIGGER USER")
        execute("DELETE FROM mes_auditseal")  # sealed anew without one, which is then put in between
        execute(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {TABLE} ORDER BY id LIMIT 1")
        execute(f"DELETE FROM {TABLE} WHERE id = (SELECT id FROM kept)")
        seals.seal()
        assert seals.verify() is None
        execute(f"INSERT INTO {TABLE} SELECT * FROM kept")
    else:
        execute(BENT[bent])
    assert seals.verify() is not None
    with pytest.raises(CommandError, match="sealed"):
        call_command("audit_verify", stdout=StringIO())


def test_a_seal_that_was_bent_breaks_the_chain(sealed: AuditSeal) -> None:
    make_line("L-9")
    seals.seal()
    execute("ALTER TABLE mes_auditseal DISABLE TRIGGER USER")
    AuditSeal.objects.filter(pk=sealed.pk).update(digest="0" * 64)
    fault = seals.verify()
    assert fault is not None and fault.seal == sealed


def test_commands(sealed: AuditSeal) -> None:
    out = StringIO()
    call_command("audit_verify", stdout=out)
    make_line("L-9")
    call_command("audit_seal", stdout=out)
    call_command("audit_seal", stdout=out)
    text = out.getvalue()
    assert "Seals that hold: 1." in text and "Nothing was written" in text
    assert AuditSeal.objects.latest("id").digest in text


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM mes_auditseal",
        "TRUNCATE mes_auditseal",
        "UPDATE mes_auditseal SET count = count - 1",
        "UPDATE mes_auditseal SET digest = repeat('0', 64), dropped_at = now()",
    ],
)
def test_seals_are_not_changed(sealed: AuditSeal, statement: str) -> None:
    with pytest.raises(IntegrityError, match="kept as it was sealed"), transaction.atomic():
        execute(statement)
    assert AuditSeal.objects.get() == sealed


def test_that_a_month_was_dropped_is_noted_once(sealed: AuditSeal) -> None:
    execute("UPDATE mes_auditseal SET dropped_at = now()")
    for again in ("NULL", "now() + interval '1 day'"):
        with pytest.raises(IntegrityError), transaction.atomic():
            execute(f"UPDATE mes_auditseal SET dropped_at = {again}")


def test_entries_are_read_in_steps(sealed: AuditSeal, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = sealed.last_id - 4, sealed.last_id
    write_entry(f"{sealed.month}Z", str(first + 1))  # an id twice, on both sides of where a step ends
    whole = seals._digest_of(sealed.month, first, last, "")
    assert whole[0] == 6
    for step, statements in ((1, 7), (2, 4), (6, 2), (7, 1)):
        monkeypatch.setattr(seals, "STEP", step)
        with CaptureQueriesContext(connection) as made:
            assert seals._digest_of(sealed.month, first, last, "") == whole
        assert len(made) == statements


# --- months that are no longer kept -------------------------------------------------------------------------


def test_a_seal_that_is_switched_off_is_found(sealed: AuditSeal) -> None:
    """Somebody deletes the entries of a night and marks their seal; then what is left of the month, too."""
    make_line("L-9")
    (second,) = seals.seal()
    execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")
    AuditEntry.objects.filter(id__lte=sealed.last_id).delete()
    AuditSeal.objects.filter(pk=sealed.pk).update(dropped_at=datetime.now(UTC))
    assert "table of its month is there" in fault_of(sealed)
    execute(f"ALTER TABLE {TABLE} DETACH PARTITION {seals.list_months(TABLE)[sealed.month]}")
    write_entry(f"{sealed.month}Z")
    assert "entries of its month are there" in fault_of(sealed)
    AuditEntry.objects.all().delete()
    assert "another seal of its month is not" in fault_of(sealed)
    seals.mark_dropped(second.month)
    assert seals.verify() is None


def fault_of(seal: AuditSeal) -> str:
    fault = seals.verify()
    assert fault is not None and fault.seal == seal
    return fault.text


def test_a_month_that_the_retention_did_not_drop_is_missed(sealed: AuditSeal) -> None:
    execute(f"DROP TABLE {seals.list_months(TABLE)[sealed.month]}")
    call_command("audit_seal", stdout=StringIO())
    tasks.seal_audit()
    assert "0 are there" in fault_of(sealed)


KEPT_FOR = timedelta(days=400)
IN_2020 = [date(2020, 1, 1), date(2020, 2, 1)]


@pytest.fixture
def old_months(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed: three entries of January 2020 in its table, two of February in the default one, and some of today."""
    settings.MES_AUDIT_RETENTION = KEPT_FOR
    apply_only(monkeypatch, tasks.POLICY)
    partitions.make_month(TABLE, IN_2020[0])
    for at in ("2020-01-01Z", "2020-01-15Z", "2020-01-31 23:59Z", "2020-02-01Z", "2020-02-25Z"):
        write_entry(at)
    make_line("L-1")
    assert len(seals.seal()) == 3


def apply_only(monkeypatch: pytest.MonkeyPatch, policy: retention.Policy) -> None:
    policies: Hook[retention.Policy] = Hook()
    policies.register(policy)
    monkeypatch.setattr(retention, "policies", policies)


def dropped() -> list[date]:
    return sorted(AuditSeal.objects.exclude(dropped_at=None).values_list("month", flat=True))


def test_a_month_and_the_marks_of_its_seals_go_together(old_months: None) -> None:
    outcome = retention.run()
    assert outcome.errors == {}
    assert (outcome.tables, outcome.rows) == ({"audit": [f"{TABLE}_2020_01"]}, {"audit": 2})
    assert dropped() == IN_2020
    assert seals.verify() is None
    out = StringIO()
    call_command("audit_verify", stdout=out)
    assert "Seals that hold: 1." in out.getvalue() and "2020-01, 2020-02" in out.getvalue()


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (datetime(2020, 1, 20, tzinfo=UTC), []),
        (datetime(2020, 2, 20, tzinfo=UTC), IN_2020[:1]),
        (datetime(2020, 3, 1, tzinfo=UTC), IN_2020),
    ],
)
def test_no_part_of_a_month_goes(old_months: None, day: datetime, expected: list[date]) -> None:
    retention.run(now=day + KEPT_FOR)
    assert dropped() == expected
    assert AuditEntry.objects.filter(at__year=2020).count() == {0: 5, 1: 2, 2: 0}[len(expected)]
    assert seals.verify() is None


def test_a_month_stays_where_its_seals_cannot_be_marked(old_months: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(month: date) -> None:
        seals.mark_dropped(month)
        raise RuntimeError("no")

    apply_only(monkeypatch, replace(tasks.POLICY, dropped=fail))
    outcome = retention.run()
    assert list(outcome.errors) == ["audit 2020-01", f"audit {TABLE}"]
    assert dropped() == []
    assert AuditEntry.objects.filter(at__year=2020).count() == 5
    assert seals.verify() is None


def test_a_month_that_is_dropped_while_it_is_verified_is_no_fault(
    old_months: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*given: Any) -> tuple[int, str]:
        retention.run()
        return digest_of(*given)

    digest_of = seals._digest_of
    monkeypatch.setattr(seals, "_digest_of", read)
    assert seals.verify() is None
    assert dropped() == IN_2020


@pytest.fixture
def slow_writer(transactional_db: None) -> Iterator[threading.Event]:
    """Somebody who has written an entry, and commits it when told."""
    written, commit = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                make_line("L-SLOW")
                written.set()
                commit.wait(10)
        finally:
            connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(10)
    yield commit
    commit.set()
    thread.join()


def test_no_smaller_id_is_committed_after_a_seal(slow_writer: threading.Event) -> None:
    make_line("L-QUICK")  # committed with a larger id than that of the slow one
    threading.Timer(0.5, slow_writer.set).start()
    seals.seal()
    assert seals.verify() is None
    assert AuditEntry.objects.filter(entity_id__in=["L-SLOW", "L-QUICK"], id__lte=seals._sealed_up_to()).count() == 2
