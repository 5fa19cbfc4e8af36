"""A sheet that four apply at once is applied once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.spreadsheets import services
from tests.factories import api_client, make_group
from tests.spreadsheets.support import apply, checked, text

pytestmark = pytest.mark.django_db(transaction=True)


def apply_at_once(slow: Any) -> list[str]:
    """Have four apply one sheet, each slow to write; return what became of it."""
    clients: list[APIClient] = [api_client(Role.ENGINEER) for _number in range(4)]
    make_group("A", name="a")
    found = checked(clients[0], "station-groups", text("code,name", "A,b"))
    slow(services, "make_plan", after=0.3)

    def press(client: APIClient) -> str:
        answer = apply(client, found["id"])
        connections.close_all()
        return "APPLIED" if answer.status_code == 200 else str(answer.json()["error"]["code"])

    with ThreadPoolExecutor(4) as pool:
        return sorted(pool.map(press, clients))


def test_a_sheet_is_applied_once(slow: Any) -> None:
    assert apply_at_once(slow) == ["APPLIED"] + ["INVALID_TRANSITION"] * 3
    assert AuditEntry.objects.filter(entity="station-groups", action="UPDATE").count() == 1


def test_without_locks_it_is_applied_more_than_once(slow: Any, without_locks: None) -> None:
    assert apply_at_once(slow).count("APPLIED") > 1
