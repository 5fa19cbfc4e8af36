"""A line in the log for each request, on demand."""

from typing import Any

import pytest
from django.test import Client
from structlog.testing import capture_logs

from mes.platform.accounts.roles import Role
from mes.platform.http.accounting import account_refusal
from tests.factories import api_client, make_user

pytestmark = pytest.mark.django_db


def lines_of(settings: Any, *, asked: bool, ask: Any) -> list[dict[str, Any]]:
    settings.MES_REQUEST_LOG = asked
    with capture_logs() as logs:
        ask()
    return [dict(line) for line in logs if line["event"] == "request"]


def test_without_being_asked_nothing_is_logged(settings: Any) -> None:
    assert lines_of(settings, asked=False, ask=lambda: Client().get("/healthz")) == []


def test_a_line_says_who_asked_for_what_and_what_came_of_it(settings: Any) -> None:
    client = api_client(Role.OPERATOR)
    [line] = lines_of(settings, asked=True, ask=lambda: client.get("/api/trace/units/SECRET-1"))
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/trace/units/{sn}", 404)
    assert line["who"].startswith("token:") and line["milliseconds"] > 0
    assert "SECRET" not in str(line)


@pytest.mark.parametrize(("address", "who"), [("/", "jane"), ("/healthz", ""), ("/static/icon.svg", "")])
def test_people_are_named_too(settings: Any, address: str, who: str) -> None:
    client = Client()
    client.force_login(make_user(Role.OPERATOR, username="jane"))
    [line] = lines_of(settings, asked=True, ask=lambda: client.get(address))
    assert line["who"] == who


def test_whoever_has_not_signed_in_is_nobody(settings: Any) -> None:
    [line] = lines_of(settings, asked=True, ask=lambda: Client().get("/nowhere"))
    assert (line["route"], line["status"], line["who"]) == ("(none)", 404, "")


def test_what_the_gateway_refuses_has_a_line_too(settings: Any) -> None:
    [line] = lines_of(settings, asked=True, ask=lambda: account_refusal("POST", 503, "abc"))
    assert (line["route"], line["method"], line["status"], line["request_id"]) == ("(gateway)", "POST", 503, "abc")
    assert lines_of(settings, asked=False, ask=lambda: account_refusal("POST", 503, "abc")) == []
