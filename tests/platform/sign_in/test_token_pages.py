"""Tokens in the administration: made, shown once, told in words, revoked after a question."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import find_token, issue_token
from mes.platform.audit.models import AuditEntry
from tests.factories import make_station, make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/mes/devicetoken/"


@pytest.fixture
def administrator() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def form_of(**fields: Any) -> dict[str, Any]:
    return {"name": "oven", "role": "INTEGRATION", "expires_at_0": "", "expires_at_1": "", **fields}


def test_a_token_is_made_shown_once_and_revoked_for_a_reason(
    administrator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    station = make_station("S1")
    assert "sends machine events" in administrator.get(f"{LIST}add/").text
    made = administrator.post(f"{LIST}add/", form_of(limited_to=[station.pk]))
    token = DeviceToken.objects.get()
    [text] = set(re.findall(r"lk_[\w-]{43}", made.text))
    assert "no-store" in made.headers["Cache-Control"]
    assert find_token(text) is not None
    assert token.created_by is not None
    listed = administrator.get(LIST)
    shown = administrator.get(f"{LIST}{token.pk}/change/").text
    assert text not in listed.text + shown
    assert token.token_hash not in listed.text + shown
    for told in (token.prefix, "S1", "sends machine events", "Good"):
        assert told in shown
    assert administrator.post(f"{LIST}{token.pk}/change/", {"name": "other"}).status_code == 403

    revoke = f"{LIST}{token.pk}/revoke/"
    assert revoke in shown
    assert "refused everywhere within 30 seconds" in administrator.get(revoke).text
    assert administrator.post(revoke, {"change_reason": ""}).status_code == 200, "asked why"
    assert find_token(text) is not None
    with django_capture_on_commit_callbacks(execute=True):
        assert administrator.post(revoke, {"change_reason": "the oven is sold"}).status_code == 302
    assert find_token(text) is None
    entry = AuditEntry.objects.get(entity="tokens", action="UPDATE")
    assert (entry.reason, entry.actor) == ("the oven is sold", "root")
    found = {state: administrator.get(LIST, {"state": state}).context["cl"] for state in ("good", "ended", "revoked")}
    assert {state: listed.result_count for state, listed in found.items()} == {"good": 0, "ended": 0, "revoked": 1}
    assert revoke not in administrator.get(f"{LIST}{token.pk}/change/").text
    assert administrator.get(f"{LIST}{token.pk + 9}/revoke/").status_code == 404


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "expires_at"),
        ({"expires_at_0": "9999-12-31", "expires_at_1": "23:59"}, "expires_at"),
        ({"role": "KING"}, "role"),
        ({"limited_to": ["9999999"]}, "limited_to"),
        ({"name": ""}, "name"),
        ({"name": "taken"}, "name"),
    ],
)
def test_what_is_wrong_with_a_token_is_told_at_its_field(
    administrator: Client, fields: dict[str, Any], wrong: str
) -> None:
    issue_token(name="taken", role=Role.OPERATOR)
    answer = administrator.post(f"{LIST}add/", form_of(**fields))
    assert answer.status_code == 200
    assert wrong in answer.context["adminform"].form.errors
    assert DeviceToken.objects.count() == 1


def test_an_engineer_revokes_nothing() -> None:
    token, text = issue_token(name="oven", role=Role.OPERATOR)
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    assert client.post(f"{LIST}{token.pk}/revoke/", {"change_reason": "because"}).status_code == 403
    assert find_token(text) is not None
