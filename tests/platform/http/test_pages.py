"""Live parts of pages: what they show already is not sent again, nor drawn."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from mes.platform.http.pages import show_live


def ask(seen: str = "", **headers: str) -> HttpRequest:
    request: Any = RequestFactory().get("/", {"seen": seen}, headers=headers)
    request.htmx = HtmxDetails(request)
    return request


def show(request: HttpRequest, mark: str) -> HttpResponse:
    return show_live(request, "no-page.html", "no-part.html", {}, mark=mark)


def test_what_a_live_part_shows_already_is_not_drawn():
    assert show(ask("7", hx_request="true"), mark="7").status_code == 204


@pytest.mark.parametrize("request_", [ask("7"), ask("6", hx_request="true"), ask(hx_request="true")])
def test_everything_else_is_drawn(request_: HttpRequest):
    with pytest.raises(TemplateDoesNotExist):
        show(request_, mark="7")
