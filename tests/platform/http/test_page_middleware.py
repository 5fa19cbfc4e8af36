"""What machines are spared, and that nobody gets in by it."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils.translation import get_language
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability, Role
from mes.urls import urlpatterns as product
from tests.factories import make_token, make_user

BROWSERS_NEED = ["session", "user", "htmx", "csp_nonce", "_messages"]


def tell(request: HttpRequest, **names: str) -> HttpResponse:
    return HttpResponse(" ".join(name for name in BROWSERS_NEED if hasattr(request, name)))


class Deed(APIView):
    capabilities = {"post": (Capability.TRACK,)}

    def get(self, request: Request) -> Response:
        return Response(operator_name(request))

    def post(self, request: Request) -> Response:
        return Response(operator_name(request), status=201)


def language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_language())


urlpatterns = [
    path("api/language", language),
    path("api/tell", tell),
    path("tell", tell),
    path("api/deed", Deed.as_view()),
    *product,
]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def browser() -> Client:
    """A browser in which an administrator is signed in; it has no CSRF token to show."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(Role.ADMIN, username="anna"))
    return client


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_requests_of_machines_are_spared_what_pages_need(client: Client) -> None:
    assert client.get("/api/tell", headers={"Authorization": "Bearer x"}).text == ""


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("/tell", {}),
        ("/tell", {"Authorization": "Bearer x"}),
        ("/api/tell", {}),
        ("/api/tell", {"Authorization": ""}),
    ],
)
def test_all_others_get_it(client: Client, address: str, headers: dict[str, str]) -> None:
    assert client.get(address, headers=headers).text == " ".join(BROWSERS_NEED)


@pytest.mark.parametrize("given", ["Bearer", "Bearer x", "bearer lk_", "Basic YTpi", "x", " x", "Token x"])
def test_a_session_opens_nothing_beside_another_authorization(browser: Client, given: str) -> None:
    headers = {"Authorization": given}
    assert code(browser.post("/api/deed", headers=headers)) == (401, "NOT_AUTHENTICATED")
    assert code(browser.get("/api/deed", headers=headers)) == (401, "NOT_AUTHENTICATED")
    assert code(browser.post("/api/work-orders", headers=headers)) == (401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}])
def test_a_session_needs_its_csrf_token(browser: Client, headers: dict[str, str]) -> None:
    assert browser.get("/api/deed", headers=headers).json()["data"] == "anna"
    assert code(browser.post("/api/deed", headers=headers)) == (403, "PERMISSION_DENIED")


def test_beside_a_session_a_token_is_who_sends(browser: Client) -> None:
    reader = {"Authorization": f"Bearer {make_token(Role.QUALITY)}"}
    assert browser.get("/api/deed", headers=reader).json()["data"].startswith("token:")
    assert code(browser.post("/api/deed", headers=reader)) == (403, "PERMISSION_DENIED")


def test_a_view_that_is_not_of_the_api_keeps_its_csrf_check(browser: Client) -> None:
    assert code(browser.post("/api/tell", headers={"Authorization": "Bearer x"})) == (403, "PERMISSION_DENIED")


def test_answers_to_machines_keep_the_headers_that_matter(client: Client) -> None:
    response = client.get("/api/deed", headers={"Authorization": f"Bearer {make_token()}"}, HTTP_COOKIE="sessionid=x")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "application/json"
    assert not response.cookies


def test_answers_to_browsers_keep_theirs(browser: Client) -> None:
    for address in ("/tell", "/api/deed"):
        response = browser.get(address)
        assert response["X-Frame-Options"] == "DENY"
        assert "default-src 'self'" in response["Content-Security-Policy"]


def test_the_interface_documents_open_with_a_token(client: Client) -> None:
    token = {"Authorization": f"Bearer {make_token()}"}
    assert [client.get(f"/api/{page}/", headers=token).status_code for page in ("schema", "docs")] == [200, 200]


def test_a_machine_is_answered_in_the_plants_language_unless_it_asks_for_another(client: Client, settings: Any) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    machine = {"Authorization": "Bearer x"}
    asked = [{"Accept-Language": "de"}, machine, {**machine, "Accept-Language": "de"}, machine]
    assert [client.get("/api/language", headers=headers).text for headers in asked] == ["de", "en", "de", "en"]
