"""The page *Audit*: changes in words, the history of one thing, who sees what."""

import pytest
from django.test import Client

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.audit.pages import in_text
from tests.factories import api_client, make_line, make_operation, make_plant, make_spec, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(make_user(Role.ENGINEER, username="ada"))
    return client


def text_of(browser: Client, query: str = "") -> str:
    page = browser.get(f"/audit/{query}")
    assert page.status_code == 200
    return page.content.decode()


def test_a_change_in_words(browser: Client) -> None:
    spec = make_spec(make_operation("REFLOW"), "Peak Temperature", usl=255.0)
    body = {"limits": {"usl": 250}, "changeReason": "oven 2 drifts"}
    assert api_client(Role.ENGINEER).patch(f"/api/data-collection-specs/{spec.pk}", body).status_code == 200
    page = text_of(browser, "?q=Peak+Temperature")
    assert "<del>255.0</del> → <ins>250.0</ins>" in page or "<del>255</del> → <ins>250</ins>" in page
    assert "oven 2 drifts" in page
    assert "upper specification limit: <del>" in page
    assert "Peak Temperature" not in text_of(browser, "?q=Nothing")


def test_the_history_of_a_route_from_the_administration(browser: Client) -> None:
    plant = make_plant()
    answer = browser.get(f"/admin/mes/routing/{plant.routing.pk}/history/")
    assert answer.status_code == 302
    page = browser.get(answer["Location"]).content.decode()
    assert f"History of Route {plant.routing.code}" in page
    assert "Step of a route" in page and "Route version" in page


def test_what_is_asked_for_wrongly_is_told(browser: Client) -> None:
    make_line("L-1")
    for query in ("?since=yesterday", "?until=2026-02-30", "?format=pdf"):
        assert "note tone-bad" in text_of(browser, query)
    for query in ("?row=x&kind=lines", "?row=99999999999999999999", "?before=abc", "?kind=NOPE", "?root=%00"):
        assert browser.get(f"/audit/{query}").status_code in (200, 400)
    assert "No change is like this." in text_of(browser, "?kind=NOPE")


def test_people_are_for_administrators(browser: Client) -> None:
    assert "ada" not in text_of(browser, "?kind=users&q=ada").partition("<main")[2].partition("</form>")[2]
    admin = Client()
    admin.force_login(make_user(Role.ADMIN))
    assert "ada" in text_of(admin, "?kind=users&q=ada").partition("</form>")[2]


def test_older_ones_and_files(browser: Client) -> None:
    for number in range(60):
        make_line(f"L-{number}")
    page = text_of(browser, "?kind=lines")
    assert "L-59" in page and "L-5<" not in page
    before = AuditEntry.objects.filter(entity="lines").order_by("-id")[49].pk
    assert f"before={before}" in page
    assert "L-5<" in text_of(browser, f"?kind=lines&before={before}")
    assert browser.get("/audit/?kind=lines&format=csv")["Content-Type"].startswith("text/csv")


def test_strangers_sign_in(client: Client) -> None:
    assert client.get("/audit/").status_code == 302


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "–"), (True, "yes"), ("2026-01-24T10:00:00+00:00", "24 Jan 2026 10:00:00"),
        ("2026-99-99T10:00:00+00:00", "2026-99-99T10:00:00+00:00"),
        ({"a": 1}, '{"a":1}'), ("x" * 200, "x" * 120 + "…"), (1.5, "1.5"),
    ],
)  # fmt: skip
def test_values_in_words(value: object, text: str) -> None:
    assert in_text(value) == text
