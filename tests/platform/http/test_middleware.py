"""Every request has an id; control characters reach no view; nothing of a request is left when it is answered."""

import gc
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes import errors


def echo(request: HttpRequest, text: str = "") -> HttpResponse:
    return HttpResponse(request.request_id)  # type: ignore[attr-defined]


class _Answering(APIView):
    """Reads its body, and answers or refuses."""

    authentication_classes: ClassVar[Sequence[Any]] = []
    permission_classes: ClassVar[Sequence[Any]] = []
    seen: ClassVar[list[weakref.ref[HttpRequest]]] = []

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        self.seen.append(weakref.ref(request))
        return super().initialize_request(request, *args, **kwargs)

    def post(self, request: Request) -> Response:
        if request.data.get("refuse"):
            raise errors.ValidationFailed({"refuse": "It was asked for."})
        return Response({"said": request.data})


urlpatterns = [
    path("api/echo/<str:text>", echo),
    path("echo/<str:text>", echo),
    path("api/answering", _Answering.as_view()),
]
handler400 = "mes.platform.http.handlers.bad_request"
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


def test_a_path_that_is_too_long_is_refused(client: Client) -> None:
    assert client.get("/api/echo/" + "é" * 900).status_code == 200
    response = client.get("/api/echo/" + "a" * 1000)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(("body", "status"), [(b'{"value": 1}', 200), (b'{"refuse": true}', 400)])
def test_a_machines_request_is_freed_with_its_body_and_answer_without_a_garbage_collection(
    body: bytes, status: int
) -> None:
    headers = {"Authorization": "Bearer of a machine"}
    handler = WSGIHandler()
    gc.collect()
    gc.disable()
    try:
        response = handler.get_response(
            RequestFactory().post("/api/answering", body, content_type="application/json", headers=headers)
        )
        answer, request = weakref.ref(response), _Answering.seen.pop()
        assert response.status_code == status
        del response
        assert (request(), answer()) == (None, None)
    finally:
        gc.enable()
