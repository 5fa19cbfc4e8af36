"""Many people write at once on a few connections that are kept: each change has its own author and reason."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from rest_framework.test import APIClient

from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.platform.audit.models import AuditEntry
from mes.platform.database import authorship

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, ROUNDS, THREADS = 24, 3, 4


def write_all() -> dict[str, tuple[str, str]]:
    """Have every writer make and change lines of its own; return what each should have signed."""
    clients = []
    for number in range(WRITERS):
        _token, text = issue_token(name=f"writer-{number}", role=Role.ENGINEER)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        clients.append(client)

    def write(job: tuple[int, int]) -> None:
        number, turn = job
        code = f"L-{number}-{turn}"
        body = {"code": code, "name": "x", "processType": "SMT"}
        reason = {"changeReason": f"because of {code}"} if number % 2 else {}
        assert clients[number].post("/api/lines", body | reason).status_code == 201
        # A person at a shell, or a script, on the same connection: nobody has signed this.
        Line.objects.filter(code=code).update(name=f"y-{number}")

    jobs = [(number, turn) for turn in range(ROUNDS) for number in range(WRITERS)]
    with ThreadPoolExecutor(THREADS, initializer=connections.close_all) as pool:
        list(pool.map(write, jobs))
        for _thread in range(THREADS):
            pool.submit(connections.close_all)
    return {
        f"L-{number}-{turn}": (f"token:writer-{number}", f"because of L-{number}-{turn}" if number % 2 else "")
        for number, turn in jobs
    }


def signed() -> dict[str, tuple[str, str]]:
    entries = AuditEntry.objects.filter(entity="lines", action="CREATE")
    return {entry.entity_id: (entry.actor, entry.reason) for entry in entries}


def test_each_change_has_its_own_author() -> None:
    expected = write_all()
    assert signed() == expected
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user")
        owner = cursor.fetchone()[0]
    unsigned = AuditEntry.objects.filter(entity="lines", action="UPDATE")
    assert set(unsigned.values_list("actor", "actor_kind", "reason")) == {(owner, "DATABASE", "")}


def test_an_author_told_to_the_session_signs_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(connection: Any, author: authorship.Authorship) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, false)", [authorship.SETTING, authorship.document(author)])

    monkeypatch.setattr(authorship, "tell", tell)
    write_all()
    unsigned = AuditEntry.objects.filter(entity="lines", action="UPDATE")
    assert unsigned.exclude(actor_kind="DATABASE").exists()


def test_of_eight_with_one_tag_one_wins() -> None:
    _token, text = issue_token(name="engineer", role=Role.ENGINEER)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    client.post("/api/lines", {"code": "L-1", "name": "x", "processType": "SMT"})
    tag = client.get("/api/lines/L-1")["ETag"]

    def change(number: int) -> int:
        mine = APIClient()
        mine.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        try:
            return int(mine.patch("/api/lines/L-1", {"name": str(number)}, headers={"If-Match": tag}).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200] + [409] * 7
