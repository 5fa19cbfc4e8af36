"""Every request has an id; control characters reach no view."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path


def echo(request: HttpRequest, text: str = "") -> HttpResponse:
    return HttpResponse(request.request_id)  # type: ignore[attr-defined]


urlpatterns = [path("api/echo/<str:text>", echo), path("echo/<str:text>", echo)]
handler400 = "mes.web.handlers.bad_request"
pytestmark = pytest.mark.urls(__name__)


def test_a_sane_request_id_is_kept(client: Client) -> None:
    response = client.get("/api/echo/x", HTTP_X_REQUEST_ID="line-7.42")
    assert response["X-Request-ID"] == response.text == "line-7.42"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\nb", "é"])
def test_another_request_id_is_replaced(client: Client, given: str) -> None:
    response = client.get("/api/echo/x", HTTP_X_REQUEST_ID=given)
    assert response["X-Request-ID"] == response.text
    assert len(response.text) == 32


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/api/echo/a%00b", "path"),
        ("/api/echo/a%0Ab", "path"),
        ("/api/echo/a%1fb", "path"),
        ("/api/echo/a?q=%00", "q"),
        ("/api/echo/a?q=1&q=%1F", "q"),
        ("/api/echo/a?q%0a=1", "q\ufffd"),
    ],
)
def test_control_characters_are_refused_under_the_api(client: Client, address: str, field: str) -> None:
    response = client.get(address)
    assert response.status_code == 400
    error: dict[str, Any] = response.json()["error"]
    assert (error["code"], list(error["details"])) == ("VALIDATION_ERROR", [field])
    assert error["requestId"] == response["X-Request-ID"]


def test_control_characters_are_refused_with_a_page_elsewhere(client: Client) -> None:
    response = client.get("/echo/a%00b")
    assert response.status_code == 400
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("address", ["/api/echo/a%20b.c+d:e%23%C3%A9?q=%C3%A9%20x&r=%2500", "/api/echo/%ff?q=%ff"])
def test_everything_else_passes(client: Client, address: str) -> None:
    assert client.get(address).status_code == 200


def test_too_many_parameters_are_refused(client: Client) -> None:
    address = "/api/echo/a?" + "&".join(f"a{number}=%01" for number in range(2000))
    response = client.get(address)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_REQUEST")
