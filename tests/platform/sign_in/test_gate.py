"""People without a role: a friendly page, their own account, and nothing else."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import get_resolver

from mes.platform.sign_in.gate import FOR_NO_ROLE
from tests.bad_input.pages import PAGES, walk
from tests.factories import make_plant, make_user

pytestmark = pytest.mark.django_db

OPEN = {"/sign-in/", "/sign-out/", "/favicon.ico", "/healthz", "/readyz", "/metrics"}
OWN = {
    "/account/",
    "/account/password/",
    "/account/second-factor/",
    "/account/second-factor/set-up/",
    "/account/second-factor/codes/",
    "/account/second-factor/off/",
}


@pytest.fixture(scope="module")
def plant(around_all: None) -> None:
    make_plant()


@pytest.fixture
def nobody(plant: None, db: None) -> Client:
    user = make_user(username="nora-smith")
    user.groups.add(Group.objects.create(name="Canteen"))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("address", sorted(set(PAGES) - OPEN - OWN))
def test_every_page_says_that_there_is_no_role_yet(nobody: Client, address: str) -> None:
    for method in ("GET", "POST"):
        answer = nobody.generic(method, address)
        assert answer.status_code == 403, method
        text = answer.content.decode()
        assert "no role yet" in text
        assert "SMT-A" not in text.replace(address, "")


def test_the_page_is_friendly(nobody: Client) -> None:
    page = nobody.get("/").content.decode()
    for text in ("nora", "Ask whoever administers this system", "Sign out", "/account/"):
        assert text in page
    for text in ("/reports/", "/notifications/", "/admin/"):
        assert text not in page


def test_a_live_part_of_a_page_loads_it_again(nobody: Client) -> None:
    answer = nobody.get("/", headers={"hx-request": "true"})
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")


def test_the_own_account_is_open(nobody: Client) -> None:
    assert nobody.get("/account/").status_code == 200
    form = {"old_password": "secret", "new_password1": "a-long-one-97", "new_password2": "a-long-one-97"}
    assert nobody.post("/account/password/", form)["Location"] == "/account/"
    assert "is changed" in nobody.get("/account/").content.decode()
    assert nobody.post("/sign-out/")["Location"] == "/sign-in/"


def test_what_is_open_is_told_here() -> None:
    named = {address: True for address in walk(get_resolver().url_patterns)}
    assert named.keys() >= OPEN | OWN
    assert len(FOR_NO_ROLE) == len(OPEN | OWN)


@pytest.mark.parametrize(
    "password", ["short-1!", "password123", "73528401926473", "nora-smith1"], ids=["short", "common", "numeric", "name"]
)
def test_a_password_that_is_guessed_easily_is_refused(nobody: Client, password: str) -> None:
    answer: Any = nobody.post(
        "/account/password/", {"old_password": "secret", "new_password1": password, "new_password2": password}
    )
    assert answer.status_code == 200
    assert answer.context["form"].errors["new_password2"]


def test_who_may_not_use_the_admin_site_is_told_so(db: None) -> None:
    client = Client()
    client.force_login(make_user("OPERATOR"))
    answer = client.get("/admin/login/")
    assert answer.status_code == 403
    assert "administration" in answer.content.decode()
