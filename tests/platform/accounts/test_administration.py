"""Who is let into the administration, to work or to look, and what everybody else is told."""

import pytest
from django.contrib import admin
from django.test import Client

from mes.platform.accounts.roles import Role
from mes.platform.notifications.rule_models import NotificationRule
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PAGES = ("/admin/", "/admin/mes/line/", "/admin/mes/line/add/", "/admin/sections/plant/", "/admin/auth/user/")


def sign_in(role: Role, **fields: bool) -> Client:
    client = Client()
    client.force_login(make_user(role, **fields))
    return client


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.ADMIN])
def test_engineers_and_administrators_work(role: Role) -> None:
    client = sign_in(role)
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/mes/line/add/").status_code == 200


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.QUALITY])
def test_supervisors_and_quality_look(role: Role) -> None:
    client = sign_in(role)
    assert client.get("/admin/mes/line/").status_code == 200
    assert client.get("/admin/mes/line/add/").status_code == 403
    request = client.get("/admin/").wsgi_request
    for model, page in admin.site._registry.items():
        if model is NotificationRule and role == Role.SUPERVISOR:
            continue  # which they keep
        may = page.has_add_permission(request), page.has_change_permission(request), page.has_delete_permission(request)
        assert may == (False, False, False), model


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.INTEGRATION])
@pytest.mark.parametrize("page", PAGES)
def test_others_are_told_which_roles_it_takes(role: Role, page: str) -> None:
    """Being staff, as Django calls it, opens nothing."""
    answer = sign_in(role, is_staff=True).get(page)
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "Engineer and Admin" in text
    assert "Supervisor and Quality may look" in text
    assert 'class="top"' in text, "the product's page"


@pytest.mark.parametrize("page", [*PAGES, "/api/docs/"])
def test_the_signed_out_are_sent_to_the_products_sign_in_and_come_back(page: str) -> None:
    answer = Client().get(page)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/sign-in/?next={page}")


def test_a_part_that_keeps_itself_up_to_date_makes_its_page_sign_in() -> None:
    answer = Client().get("/admin/", HTTP_HX_REQUEST="true")
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


def test_signing_out_by_the_administration_leads_to_the_sign_in() -> None:
    assert Client().post("/admin/logout/").status_code == 302
    client = sign_in(Role.ENGINEER)
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(("role", "shown"), [(Role.QUALITY, True), (Role.OPERATOR, False)])
def test_the_menu_names_it_to_those_it_is_for(role: Role, shown: bool) -> None:
    assert ('href="/admin/"' in sign_in(role).get("/trace/").content.decode()) == shown


def test_the_document_of_the_api_stays_for_tokens() -> None:
    assert Client().get("/api/schema/").status_code == 401
    assert Client().get("/api/docs/", HTTP_AUTHORIZATION="Bearer nonsense").status_code == 401
