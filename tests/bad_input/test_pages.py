"""No page and no form of a page or of the admin site breaks, whatever is typed. Addresses are walked, not listed."""

import json
import re
import urllib.parse
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from tests.factories import make_config, make_plant, make_user

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
DEEP = 1200
NASTY = {
    "nothing": "",
    "NUL": "a\0b",
    "control characters": "\x1b[2J\x7f\r\n",
    "a lone surrogate": "\ud800",
    "a number that is too large": "9" * 400,
    "not a number": "NaN",
    "other digits": "٣",
    "markup": "<script>alert(1)</script>\"'{{ 7*7 }}%s",
    "deep JSON": "[" * DEEP + "]" * DEEP,
    "JSON with NUL": '{"a": "\\u0000"}',
    "JSON with a lone surrogate": '{"a": "\\ud800"}',
    "JSON of another kind": '[1, null, {"x": NaN}]',
    "very long": "x" * 5_000,
    "a time of another year": "99999-99-99T99:99",
}
ALONE = ("NUL", "a lone surrogate", "deep JSON", "JSON with NUL", "a number that is too large")
# Django's own pages of a model: its forms are walked by model.
OF_A_MODEL = re.compile(r"^/admin/\w+/\w+/((add|1/(change|delete|history)?)/?)?$")
ARGUMENTS = {
    "code": "SMT-A",
    "run_no": "RUN-1",
    "sn": "SN-1",
    "carrier_no": "PANEL-1",
    "kind": "stencil",
    "action": "bind",
    "key": "plant",
    "app_label": "mes",
}


@cache
def list_fields() -> tuple[str, ...]:
    """Return the name of every field of every form of a page."""
    html = "".join(path.read_text() for path in Path(settings.BASE_DIR, "templates").rglob("*.html"))
    return tuple(sorted(set(re.findall(r'<(?:input|textarea|select|button)\b[^>]*\bname="(\w+)"', html))))


def walk(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    """Yield the address of every page, its parameters filled in."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: ARGUMENTS.get(found[1], "1"), route)


def is_page(address: str) -> bool:
    """Whether an address is of a page that no other test of bad input walks."""
    is_api = address.startswith("/api/") and not address.startswith(("/api/docs", "/api/schema"))
    if address == "/readyz":
        return False  # 503 is its way to say that no worker is there
    return not is_api and not re.search(r"[()\[\]\\]", address) and not OF_A_MODEL.search(address)


PAGES = sorted(set(filter(is_page, walk(get_resolver().url_patterns))))
ADMIN_MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def person(db: None) -> Client:
    """Somebody who may do everything, and sees answers of 500 as such."""
    make_config(operation=make_plant().operations["PRINT"])
    client = Client(raise_request_exception=False)
    client.force_login(make_user(Role.ADMIN, is_superuser=True))
    return client


def send(client: Client, address: str, fields: dict[str, str]) -> Any:
    """Post a form as a browser does; a lone surrogate is sent as its three bytes."""
    return client.post(address, encode(fields), content_type="application/x-www-form-urlencoded")


def encode(fields: dict[str, str]) -> str:
    return urllib.parse.urlencode(fields, errors="surrogatepass")


def test_the_walk_finds_the_pages() -> None:
    assert {"/", "/sign-in/", "/trace/units/SN-1/", "/operations/", "/ingest/preview/", "/api/docs/"} <= set(PAGES)
    assert {"reason", "remark", "to_step_no", "event", "line"} <= set(list_fields())


@pytest.mark.parametrize("address", PAGES)
def test_no_method_breaks_a_page(person: Client, address: str) -> None:
    for method in METHODS:
        answer = person.generic(method, address)
        assert answer.status_code < 500, method


@pytest.mark.parametrize("address", [page for page in PAGES if not page.startswith("/admin/")])
def test_no_value_breaks_a_page(person: Client, address: str) -> None:
    takes = {method: person.generic(method, address).status_code != 405 for method in ("GET", "POST")}
    for name, value in NASTY.items():
        fields = dict.fromkeys(list_fields(), value)
        if takes["GET"] and len(value) < 1000:
            assert person.get(f"{address}?{encode(fields)}").status_code < 500, name
        if takes["POST"]:
            assert send(person, address, fields).status_code < 500, name
    for field in list_fields() if takes["POST"] else ():  # each alone, so that no other field refuses first
        answer = send(person, address, {**dict.fromkeys(list_fields(), "1"), field: NASTY["NUL"]})
        assert answer.status_code < 500, field


def test_no_value_breaks_the_sign_in_of_somebody_who_has_not_signed_in(db: None) -> None:
    client = Client(raise_request_exception=False)
    for name, value in NASTY.items():
        fields = dict.fromkeys(("username", "password", "next"), value)
        assert len(value) > 1000 or client.get(f"/sign-in/?{encode(fields)}").status_code < 500, name
        assert send(client, "/sign-in/", fields).status_code < 500, name
        assert send(client, "/sign-in/", {**fields, "username": "x"}).status_code < 500, name


@pytest.mark.parametrize("model", ADMIN_MODELS, ids=lambda model: model._meta.label)
def test_no_value_breaks_a_form_of_the_admin_site(person: Client, model: Any) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    addresses = [reverse(f"{name}_add")]
    row = model._default_manager.order_by("pk").first()
    if row is not None:
        addresses.append(reverse(f"{name}_change", args=[row.pk]))
    for address in addresses:
        page = person.get(address)
        assert page.status_code < 500
        sound = initial_fields(page)
        if not sound:
            assert send(person, address, NASTY).status_code < 500
            continue
        for what, value in NASTY.items():
            assert send(person, address, {**sound, **dict.fromkeys(typed_fields(page), value)}).status_code < 500, what
        for field in typed_fields(page):  # each alone, so that no other field refuses first
            for what in ALONE:
                assert send(person, address, {**sound, field: NASTY[what]}).status_code < 500, (field, what)
    for query in ("q=%00", "q=%ED%A0%80", "p=9999999999999999999999", "o=x.9", "all=x", "e=1", "nonsense__x=1"):
        assert person.get(f"{reverse(name + '_changelist')}?{query}").status_code < 500, query


def forms_of(page: Any) -> list[Any]:
    """Return the form of a page of the admin site and those of its inlines."""
    context = page.context or {}
    if "adminform" not in context:
        return []
    forms = [context["adminform"].form]
    for inline in context.get("inline_admin_formsets", []):
        forms += [inline.formset.management_form, *inline.formset.forms]
    return forms


def typed_fields(page: Any) -> list[str]:
    return [form.add_prefix(name) for form in forms_of(page) for name in form.fields if "TOTAL" not in name]


def initial_fields(page: Any) -> dict[str, str]:
    """Return what the page's form holds already, as a browser would send it."""
    fields = {}
    for form in forms_of(page):
        for name in form.fields:
            value = form[name].value()
            if isinstance(value, list | dict):
                value = json.dumps(value)
            fields[form.add_prefix(name)] = "" if value is None else str(value)
    return fields


def test_what_is_typed_in_vain_changes_nothing(person: Client) -> None:
    """A NUL in a name is refused at its field, not answered with 500 and not cut off."""
    line = Line.objects.get()
    send(
        person,
        reverse("admin:mes_line_change", args=[line.pk]),
        {"name": "a\0b", "process_type": "SMT", "shifts": "[]"},
    )
    assert Line.objects.get().name == line.name
