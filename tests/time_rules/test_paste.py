"""Solder paste, the whole way: used, bound, forgotten, taken off; and the return that was reported late."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.platform.outbox.models import EventStatus, MesEvent
from mes.time_rules.queries import list_blocking
from mes.time_rules.sweep import sweep
from tests.execution.support import assert_done
from tests.factories import api_client, make_line, make_user
from tests.time_rules.support import the_clock
from tests.time_rules.test_whole_way import work_off

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def report(client: APIClient, event_id: str, **hours_ago: float) -> dict[str, Any]:
    """Report the use of the lot, with its times so many hours ago."""
    times = {name: (NOW - timedelta(hours=hours)).isoformat() for name, hours in hours_ago.items()}
    body = {"eventId": event_id, "eventTime": NOW.isoformat(), "source": "AUTO", "lotId": "LOT-1", **times}
    return assert_done(client.post("/api/integration/solder-paste-usage", body), 201)


def scan(client: APIClient, action: str) -> dict[str, Any]:
    answer = client.post(f"/api/integration/lines/SMT-A/solder-paste/{action}", {"lotId": "LOT-1"})
    return assert_done(answer, 201 if action == "bind" else 200)


def told() -> list[str]:
    return list(Notification.objects.order_by("pk").values_list("severity", flat=True))


def state(line_id: int) -> tuple[str, bool, bool]:
    """Have the worker do what is there to do; return (status of the clock, it ended, it stops the line)."""
    work_off()
    sweep()
    clock = the_clock("LOT-1")
    return clock.status, clock.ended_at is not None, list_blocking(line_id=line_id, now=timezone.now()).exists()


@pytest.fixture
def line_id() -> int:
    make_user(Role.QUALITY)
    return make_line("SMT-A").pk


@pytest.mark.parametrize(("hours", "status"), [(6.1, "COMPLETED"), (5.9, "EXPIRED")])
def test_paste_forgotten_on_its_line_and_a_late_report_of_its_return(line_id: int, hours: float, status: str) -> None:
    admin = api_client()
    scan(admin, "bind")
    report(admin, "e1", issuedAt=30)  # its time was over six hours ago
    assert state(line_id) == ("EXPIRED", False, True)
    scan(admin, "unbind")
    assert state(line_id) == ("EXPIRED", True, False)
    report(admin, "e2", returnedAt=hours)
    assert state(line_id) == (status, True, False)
    assert the_clock("LOT-1").ended_at == NOW - timedelta(hours=hours)
    assert told() == (["ALERT", "INFO"] if status == "COMPLETED" else ["ALERT"])
    assert the_clock("LOT-1").line_id == line_id
    assert not MesEvent.objects.exclude(status=EventStatus.COMPLETED).exists()


def test_paste_that_is_used_again_after_it_was_not_returned_in_time(line_id: int) -> None:
    """Nobody told of the first return: the next one frees the line of both clocks."""
    admin = api_client()
    scan(admin, "bind")
    report(admin, "e1", issuedAt=30)
    report(admin, "e2", issuedAt=3)
    work_off()
    sweep()
    assert list_blocking(line_id=line_id, now=timezone.now()).count() == 1
    scan(admin, "unbind")
    work_off()
    assert not list_blocking(line_id=line_id, now=timezone.now()).exists()
    scan(admin, "bind")
    assert not list_blocking(line_id=line_id, now=timezone.now()).exists()
