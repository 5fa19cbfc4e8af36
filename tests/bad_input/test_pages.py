"""No page and no form of a page or of the admin site breaks, whatever is typed. Addresses are walked, not listed."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.line_setup.models import MaterialLot
from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from tests.bad_input.nasty import ALONE, FORM_VALUES, part_of
from tests.bad_input.pages import ADMIN_MODELS, PAGES, encode, list_fields
from tests.factories import make_config, make_plant, make_user

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


@pytest.fixture(scope="module")
def plant(around_all: None) -> None:
    make_config(operation=make_plant().operations["PRINT"])
    MaterialLot.objects.create(lot_id="R-1")


@pytest.fixture
def person(plant: None, db: None) -> Client:
    """Somebody who may do everything, and sees answers of 500 as such."""
    client = Client(raise_request_exception=False)
    client.force_login(make_user(Role.ADMIN, is_superuser=True))
    return client


def send(client: Client, address: str, fields: dict[str, str]) -> Any:
    """Post a form as a browser does."""
    return client.post(address, encode(fields), content_type="application/x-www-form-urlencoded")


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
    for name, value in part_of(FORM_VALUES, address).items():
        fields = dict.fromkeys(list_fields(), value)
        if takes["GET"] and len(value) < 1000:
            assert person.get(f"{address}?{encode(fields)}").status_code < 500, name
        if takes["POST"]:
            assert send(person, address, fields).status_code < 500, name
    alone = part_of(dict.fromkeys(list_fields(), ""), address) if takes["POST"] else ()
    for field in alone:  # each alone, so that no other field refuses first
        answer = send(person, address, {**dict.fromkeys(list_fields(), "1"), field: FORM_VALUES["NUL"]})
        assert answer.status_code < 500, field


def test_no_value_breaks_the_sign_in_of_somebody_who_has_not_signed_in(db: None) -> None:
    client = Client(raise_request_exception=False)
    for name, value in FORM_VALUES.items():
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
            assert send(person, address, FORM_VALUES).status_code < 500
            continue
        for what, value in part_of(FORM_VALUES, address).items():
            assert send(person, address, {**sound, **dict.fromkeys(typed_fields(page), value)}).status_code < 500, what
        for field in typed_fields(page):  # each alone, so that no other field refuses first
            for what, value in part_of(ALONE, address, field).items():
                assert send(person, address, {**sound, field: value}).status_code < 500, (field, what)
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
