"""The page of what waits for another person's word: what it says to whom, and what it lets them do."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.errors import ApproverIsRequester
from mes.platform.accounts.roles import Role
from mes.production import approvals
from mes.production.decision_models import Approval
from mes.production.models import Unit, UnitStatus
from tests.factories import make_user
from tests.production.test_approvals import asked, dropped  # noqa: F401  # fixtures: one kind, and one request of Sue's

pytestmark = pytest.mark.django_db

PAGE = "/approvals/"
QUERIES = 5  # three of them for session, user and what the user may do


def sign_in(role: Role, name: str) -> Client:
    client = Client()
    client.force_login(make_user(role, username=name))
    return client


def read(client: Client) -> str:
    answer = client.get(PAGE)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, approval: Approval, action: str, **form: str) -> str:
    """Return the page after an act."""
    answer = client.post(f"{PAGE}{approval.pk}/{action}/", form)
    assert answer.status_code == 302
    return read(client)


def test_nothing_waits(dropped: list[str]) -> None:  # noqa: F811
    page = read(sign_in(Role.OPERATOR, "op"))
    assert "Nothing waits for approval" in page and "ask for it on the page of the unit" in page


def test_it_says_what_was_asked_by_whom_why_and_until_when(asked: Approval) -> None:  # noqa: F811
    page = read(sign_in(Role.OPERATOR, "op"))
    for text in ("Undo a scrap", "Finish SN-", "It is good.", "Asked by sue", "until "):
        assert text in page, text
    assert "It waits for somebody of Quality." in page
    assert "/approve/" not in page and "/refuse/" not in page and "/withdraw/" not in page


def test_quality_approves_what_another_asked(asked: Approval) -> None:  # noqa: F811
    client = sign_in(Role.QUALITY, "quinn")
    page = read(client)
    assert "/approve/" in page and "/refuse/" in page and "/withdraw/" not in page
    page = act(client, asked, "approve")
    assert "Approved, and carried out." in page and "Decided" in page and "quinn" in page
    assert Unit.objects.get().status == UnitStatus.DONE


def test_to_refuse_wants_a_reason_beside_its_button(asked: Approval) -> None:  # noqa: F811
    client = sign_in(Role.QUALITY, "quinn")
    page = act(client, asked, "refuse", reason=" ")
    assert f'id="act-refuse-{asked.pk}" name="decide" open' in page and "field-problem" in page
    assert Approval.objects.get().status == "REQUESTED"
    page = act(client, asked, "refuse", reason="Cracked")
    assert "Refused" in page and "Cracked" in page
    assert Unit.objects.get().status == UnitStatus.QUEUED


def test_whoever_asked_cannot_approve_and_is_told(asked: Approval) -> None:  # noqa: F811
    client = sign_in(Role.ADMIN, "sue")
    page = read(client)
    assert "You asked for this: somebody else must approve it." in page and "/approve/" not in page
    page = act(client, asked, "approve")
    assert str(ApproverIsRequester.message) in page
    assert Approval.objects.get().status == "REQUESTED"
    assert "Withdrawn" in act(client, asked, "withdraw")
    assert Approval.objects.get().status == "WITHDRAWN"


@pytest.mark.parametrize(
    ("role", "action"), [(Role.OPERATOR, "approve"), (Role.SUPERVISOR, "refuse"), (Role.QUALITY, "withdraw")]
)
def test_who_may_not_is_refused(asked: Approval, role: Role, action: str) -> None:  # noqa: F811
    assert sign_in(role, "other").post(f"{PAGE}{asked.pk}/{action}/", {"reason": "x"}).status_code == 403
    assert Approval.objects.get().status == "REQUESTED"


def test_what_a_rule_forbids_by_now_is_said_beside_the_button(asked: Approval) -> None:  # noqa: F811
    Unit.objects.update(status=UnitStatus.SCRAPPED)
    page = act(sign_in(Role.QUALITY, "quinn"), asked, "approve")
    assert f'id="act-approve-{asked.pk}" name="decide" open' in page and "is scrapped" in page


def test_what_waited_too_long_cannot_be_decided(asked: Approval) -> None:  # noqa: F811
    client = sign_in(Role.QUALITY, "quinn")
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "Nothing waits for approval" in read(client)
    assert "Expired" in act(client, asked, "approve", reason="")
    assert client.post(f"{PAGE}{2**59}/approve/").status_code == 302  # there is none: said on the page
    assert client.get(PAGE).status_code == 200


def test_the_page_takes_as_many_statements_for_one_as_for_many(asked: Approval) -> None:  # noqa: F811
    client = sign_in(Role.QUALITY, "quinn")
    client.get(PAGE)
    for count in (1, 20):
        for number in range(count):
            unit = Unit.objects.create(
                sn=f"MORE-{count}-{number}", run=asked.run, work_order=asked.unit.work_order, current_step_no=10
            )
            approvals.request(type=asked.type, reason="x", by="sue", unit=unit, run=unit.run)
        with CaptureQueriesContext(connection) as queries:
            client.get(PAGE)
        assert len(queries) == QUERIES, [query["sql"] for query in queries]


def test_the_live_part_is_quiet_until_something_changes(asked: Approval) -> None:  # noqa: F811
    client = sign_in(Role.QUALITY, "quinn")
    part = client.get(PAGE, headers={"HX-Request": "true"}).content.decode()
    address = part.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
    approvals.refuse(approval_id=asked.pk, by="quinn", reason="no")
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 200
