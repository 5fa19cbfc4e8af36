"""Answers to people are compressed where it pays, and those to machines are left as they are."""

import gzip
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path

from mes.platform.accounts.roles import Role
from mes.platform.http.compression import LEAST
from mes.urls import urlpatterns as product
from tests.factories import api_client, make_user

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TEXT = "Reflow 1 took 245.3 degrees. "
LONG = TEXT * 100
VARY = "Cookie, Accept-Language, Accept-Encoding"
EVENTS = "text/event-stream"


def show(request: HttpRequest, kind: str) -> HttpResponse | StreamingHttpResponse | JsonResponse:
    match kind:
        case "json":
            return JsonResponse({"text": LONG})
        case "rows":
            return StreamingHttpResponse((f"{number};{TEXT}\r\n" for number in range(100)), content_type="text/csv")
        case "marked":
            return HttpResponse(LONG, headers={"ETag": '"7"', "Vary": "Cookie"})
        case "unchanged":
            return HttpResponse(status=304, headers={"ETag": '"7"'})
        case "compressed":
            return HttpResponse(gzip.compress(LONG.encode()), headers={"Content-Encoding": "gzip"})
        case "large" | "small":
            return HttpResponse("x" * (LEAST if kind == "large" else LEAST - 1))
    return HttpResponse(LONG, content_type=request.GET["type"])


urlpatterns = [path("api/show/<str:kind>", show), path("show/<str:kind>", show), *product]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def browser() -> Client:
    client = Client(headers={"accept-encoding": "gzip, deflate, br"})
    client.force_login(make_user(Role.ADMIN))
    return client


def test_a_page_is_compressed_for_a_browser_that_takes_it(browser: Client):
    plain = browser.get("/show/marked", headers={"accept-encoding": "identity"})
    small = browser.get("/show/marked")
    assert plain.content == gzip.decompress(small.content) == LONG.encode()
    assert (small["Content-Encoding"], small["Content-Length"]) == ("gzip", str(len(small.content)))
    assert ("Content-Encoding" in plain, plain["Content-Length"]) == (False, str(len(LONG)))
    assert (plain["ETag"], small["ETag"]) == ('"7"', 'W/"7"')
    assert plain["Vary"] == small["Vary"] == VARY


@pytest.mark.parametrize("said", ["gzip;q=0", "br, gzip; q=0.0", "gzip;q=0,*", "br", ""])
def test_who_does_not_take_it_gets_the_page_as_it_is(browser: Client, said: str):
    answer = browser.get("/show/marked", headers={"accept-encoding": said})
    assert (answer.content, answer["Vary"]) == (LONG.encode(), VARY)


def test_what_is_small_is_left_as_it_is(browser: Client):
    assert "Content-Encoding" not in browser.get("/show/small")
    assert "Content-Encoding" in browser.get("/show/large")


@pytest.mark.parametrize(
    ("kind", "is_compressed"),
    {
        "text/html; charset=utf-8": True,
        "application/json": True,
        "application/vnd.oai.openapi": True,
        "image/svg+xml": True,
        XLSX: False,
        "image/png": False,
        "font/woff2": False,
        EVENTS: False,
    }.items(),
)
def test_only_what_shrinks_is_compressed(browser: Client, kind: str, is_compressed: bool):
    assert ("Content-Encoding" in browser.get("/show/any", {"type": kind})) is is_compressed


def test_what_is_compressed_already_and_what_has_no_content_stay(browser: Client):
    assert gzip.decompress(browser.get("/show/compressed").content) == LONG.encode()
    unchanged = browser.get("/show/unchanged")
    assert (unchanged.content, unchanged["ETag"], "Content-Encoding" in unchanged) == (b"", '"7"', False)


def test_an_export_stays_a_stream(browser: Client):
    answer: Any = browser.get("/show/rows")
    assert answer.streaming
    assert "Content-Length" not in answer
    content = answer.getvalue()
    assert len(content) < 1000
    assert gzip.decompress(content).decode().count(TEXT) == 100


def test_json_is_compressed_for_people_and_not_for_machines(browser: Client):
    assert browser.get("/api/show/json")["Content-Encoding"] == "gzip"
    answer = api_client(Role.ADMIN).get("/api/show/json", headers={"accept-encoding": "gzip"})
    assert ("Content-Encoding" in answer, "Vary" in answer) == (False, False)
    assert answer.json() == {"text": LONG}


def test_how_long_a_page_is_tells_nothing_to_the_byte(browser: Client):
    assert len({len(browser.get("/show/marked").content) for _ in range(20)}) > 1
