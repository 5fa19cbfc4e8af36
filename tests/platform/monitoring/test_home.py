"""The home of the administration: what needs an engineer now, and everything by subject."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from integration.models import FailedMessage
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.platform.outbox.models import TaskOutcome
from tests.factories import make_user
from tests.platform.outbox.support import make_event

pytestmark = pytest.mark.django_db
HOME = "/admin/"
LIVE = {"HTTP_HX_REQUEST": "true"}
MOST_STATEMENTS = 25


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def make_trouble(number: int) -> None:
    """Make some of everything that needs an engineer."""
    now = timezone.now()
    for one in range(number):
        FailedMessage.objects.create(
            received_at=now - timedelta(days=one),
            last_at=now,
            direction="INBOUND",
            entity_type="DEVICE_DATA",
            status="FAILED",
            dedupe_key=f"k{one}",
            error_code=f"CODE_{one}",
            digest=b"",
        )
        make_event(f"dead-{one}", status="DEAD")
        issue_token(name=f"ends-{one}", role=Role.OPERATOR, expires_at=now + timedelta(days=1))
    for name in Schedule.objects.order_by("name").values_list("name", flat=True)[:number]:
        fields = {"failures": 2, "error": "KeyError: <x>", "failing_since": now, "begun_at": now}
        TaskOutcome.objects.update_or_create(name=name, defaults=fields)


def read(client: Client, **headers: str) -> str:
    answer = client.get(HOME, **headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_kind_has_its_number_and_its_link_and_a_failed_task_its_button() -> None:
    make_trouble(2)
    page = read(sign_in(Role.ADMIN))
    for text in ("Messages that were refused", "Events that were given up", "Scheduled tasks that fail", "CODE_1"):
        assert text in page
    assert "/integration/messages/?code=CODE_1" in page
    assert "KeyError: &lt;x&gt;" in page
    assert "Tokens that end within 14 days" in page
    assert "the first ends" in page
    assert page.count('name="task"') == 2
    assert "Nothing needs an engineer" not in page


def test_the_button_of_a_failed_task_has_the_worker_run_it_and_leads_home() -> None:
    make_trouble(1)
    client = sign_in(Role.ENGINEER)
    name = TaskOutcome.objects.get(failures=2).name
    page = client.post("/operations/tasks/run/", {"task": name, "from": "home"}, follow=True)
    assert page.redirect_chain == [(HOME, 302)]
    assert "The worker runs it now" in page.content.decode()
    assert [row.task["group"] for row in OrmQ.objects.all()] == [name]
    TaskOutcome.objects.filter(name=name).update(failures=0, failing_since=None, succeeded_at=timezone.now())
    assert 'name="task"' not in read(client)


def test_with_nothing_to_do_it_says_what_is_watched() -> None:
    page = read(sign_in(Role.ENGINEER))
    assert "Nothing needs an engineer now" in page
    assert "Messages that were refused" in page


def test_tokens_are_told_to_administrators_only() -> None:
    make_trouble(1)
    assert "ends-0" in read(sign_in(Role.ADMIN))
    page = read(sign_in(Role.ENGINEER))
    assert "ends-0" not in page
    assert "Tokens that end" not in page


def test_it_asks_again_each_minute_and_is_quiet_while_nothing_changes() -> None:
    client = sign_in(Role.ENGINEER)
    page = read(client)
    assert 'hx-trigger="every 60s"' in page
    part = read(client, **LIVE)
    assert "<html" not in part
    seen = part.partition("seen=")[2].partition('"')[0]
    assert client.get(HOME, {"seen": seen}, **LIVE).status_code == 204
    make_event("dead", status="DEAD")
    assert client.get(HOME, {"seen": seen}, **LIVE).status_code == 200


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ENGINEER, Role.SUPERVISOR])
def test_the_number_of_statements_is_small_and_does_not_grow(role: Role) -> None:
    client = sign_in(role)

    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            read(client)
        return len(captured)

    count()
    make_trouble(1)
    few = count()
    for one in range(12):
        make_event(f"more-{one}", status="DEAD", event_type="DATA_ALARM")
    assert count() == few <= MOST_STATEMENTS


def test_subjects_name_their_pages_and_what_may_be_added() -> None:
    page = read(sign_in(Role.ENGINEER))
    for text in ("Specs and routes", "Orders and runs", "Refused messages", "/ingest/preview/", "/api/docs/"):
        assert text in page
    assert "/admin/mes/line/add/" in page
    looking = read(sign_in(Role.QUALITY))
    assert "/admin/mes/line/" in looking
    assert "/add/" not in looking
    assert "/ingest/preview/" not in looking
