"""What was written stays: the database refuses to change it, and where it was made to, a seal tells."""

import threading
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction

from mes.platform.audit import seals
from mes.platform.audit.models import AuditEntry, AuditSeal
from tests.factories import make_line

TABLE = "mes_auditentry"
LAST = f"WHERE id = (SELECT max(id) FROM {TABLE})"


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


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
        execute(
            "INSERT INTO mes_auditentry (received_at, entity, row_id, entity_id, root_entity, root_id, name, action, "
            "actor, actor_kind, via, request_id, reason, transaction) "
            "VALUES ('2190-01-01Z', 'lines', 1, '', '', '', '', 'CREATE', '', 'SYSTEM', 'TASK', '', '', 1)"
        )
    before = AuditEntry.objects.count()
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(statement)
    assert AuditEntry.objects.count() == before


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
    assert "1 seals hold" in text and "Nothing was written" in text
    assert AuditSeal.objects.latest("id").digest in text


def test_a_dropped_month_leaves_its_seals(sealed: AuditSeal) -> None:
    execute(f"DROP TABLE {seals.list_months(TABLE)[sealed.month]}")
    assert seals.verify() is not None
    assert seals.mark_dropped() == 1
    assert seals.verify() is None
    sealed.refresh_from_db()
    assert sealed.dropped_at is not None


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
