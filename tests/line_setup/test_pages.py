"""The set-up page of a line: what it says, what may be done there, and how many queries it takes."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.line_setup import queries
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, SolderPasteUsage, Tool
from mes.platform.accounts.roles import Role
from tests.factories import make_line, make_user

pytestmark = pytest.mark.django_db

PAGE = "/lines/SMT-A/set-up/"


@pytest.fixture
def operator() -> Client:
    make_line("SMT-A")
    make_line("SMT-B")
    return sign_in(Role.OPERATOR)


def sign_in(role: Role) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read(client: Client, url: str = PAGE, **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def post(client: Client, kind: str, action: str, code: str = "X-1", line: str = "SMT-A", **form: Any) -> str:
    url = f"/lines/{line}/set-up/{kind}/{action}/"
    response = client.post(url, {"code": code, **form}, follow=True)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def current() -> tuple[str | None, str | None]:
    set_up = queries.get_set_up(make_line("SMT-A"))
    return set_up.stencil and set_up.stencil.code, set_up.solder_paste and set_up.solder_paste.code


def test_an_empty_line_says_so_and_offers_to_scan(operator):
    page = read(operator)
    for text in ("No stencil is bound", "No solder paste is bound", "Nothing was bound before", "Scan a stencil"):
        assert text in page


def test_the_way_there_is_on_the_page_of_the_lines(operator):
    assert PAGE in read(operator, "/?lines=all")


def test_a_scan_binds(operator):
    page = post(operator, "stencil", "bind", " ST-1 ")
    assert "“ST-1” is bound to the line" in page and "No status reported" in page
    assert "was bound already" in post(operator, "stencil", "bind", "ST-1")
    post(operator, "solder-paste", "bind", "L-1")
    assert current() == ("ST-1", "L-1")


@pytest.mark.parametrize("kind", ["stencil", "solder-paste"])
def test_what_stands_in_the_way_is_asked_about(operator, kind):
    post(operator, kind, "bind", "X-1")
    page = post(operator, kind, "bind", "X-2")
    assert "X-1” is bound to line" in page and "Take it off and bind “X-2” here" in page
    assert "X-2" not in current()
    page = post(operator, kind, "bind", "X-2", replace="1")
    assert "X-2" in current() and "Take it off and bind" not in page


def test_it_is_asked_once_and_on_that_line_alone(operator):
    post(operator, "stencil", "bind", "ST-1")
    operator.post(f"{PAGE}stencil/bind/", {"code": "ST-2"})
    assert "Take it off and bind" not in read(operator, "/lines/SMT-B/set-up/")
    assert "Take it off and bind" in read(operator)
    assert "Take it off and bind" not in read(operator)


def test_taking_off_needs_a_confirmation_and_is_kept(operator):
    post(operator, "stencil", "bind", "ST-1")
    assert "Take “ST-1” off" in read(operator)
    page = post(operator, "stencil", "unbind", "ST-1")
    assert "taken off the line" in page and "No stencil is bound" in page
    assert Load.objects.get().closed_by.operator
    assert "is not bound to line" in post(operator, "stencil", "unbind", "ST-9")


@pytest.mark.parametrize("code", ["", "a//b", "x" * 200, "a\x07b"])
def test_what_is_no_code_is_refused_in_words(operator, code):
    response = operator.post(f"{PAGE}stencil/bind/", {"code": code}, follow=True)
    assert response.status_code in (200, 400)
    assert not Tool.objects.exists()


def test_what_is_wrong_is_said(operator):
    post(operator, "stencil", "bind", "ST-1")
    post(operator, "solder-paste", "bind", "L-1")
    Tool.objects.update(status="MAINTENANCE", tension_min=30, tension_value=25, max_uses=5, uses_since_service=6)
    MaterialLot.objects.update(paste_status="COMPLIANT", expires_at=timezone.now() - timedelta(days=1))
    page = read(operator)
    for text in ("In maintenance", "Tension below 30 N/cm", "Used 6 times", "Past its expiry date", "was not issued"):
        assert text in page, text


def test_a_lot_is_taken_into_use_by_hand(operator):
    post(operator, "solder-paste", "bind", "L-1")
    assert "Take into use" in read(operator)
    page = post(operator, "solder-paste", "issue", "L-1")
    assert "is in use from now on" in page and "was not issued" not in page
    usage = SolderPasteUsage.objects.get()
    assert usage.line == make_line("SMT-A") and usage.returned_at is None
    assert operator.post(f"{PAGE}stencil/issue/", {"code": "ST-1"}).status_code == 404


@pytest.mark.parametrize("role", Role)
def test_who_may_scan_here(operator, role):
    client = sign_in(role)
    allowed = role in (Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN)
    assert ("Scan a stencil" in read(client)) is allowed
    assert client.post(f"{PAGE}stencil/bind/", {"code": "X"}).status_code == (302 if allowed else 403)


def test_nobody_else_sees_it(operator):
    assert Client().get(PAGE).status_code == 302
    assert operator.get("/lines/NONE/set-up/").status_code == 404
    assert operator.post("/lines/NONE/set-up/stencil/bind/", {"code": "X"}).status_code == 404
    for way in ("x/bind", "stencil/x"):
        assert operator.post(f"{PAGE}{way}/", {"code": "X"}).status_code == 404


def test_the_live_part_rests_while_nothing_changes(operator):
    page = read(operator)
    mark = page.split("seen=")[1].split('"')[0]
    assert operator.get(f"{PAGE}?seen={mark}", headers={"HX-Request": "true"}).status_code == 204
    page = post(operator, "stencil", "bind", "ST-1")
    assert operator.get(f"{PAGE}?seen={mark}", headers={"HX-Request": "true"}).status_code == 200
    assert "csrfmiddlewaretoken" in page.partition('id="live"')[2]  # is another one each time
    mark = page.split("seen=")[1].split('"')[0]
    assert operator.get(f"{PAGE}?seen={mark}", headers={"HX-Request": "true"}).status_code == 204


def test_the_number_of_queries_does_not_grow(operator):
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            read(operator)
        return len(captured)

    for kind in ("stencil", "solder-paste"):
        post(operator, kind, "bind", "A")
    few = count()
    for number in range(20):
        for kind in ("stencil", "solder-paste"):
            post(operator, kind, "bind", f"B-{number}", replace="1")
    assert count() == few <= 9
