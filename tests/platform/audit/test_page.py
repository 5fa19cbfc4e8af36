"""The page *Audit*: changes in words, the history of one thing, who sees what."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from mes.plant.models import BomItem, Material
from mes.platform.accounts.roles import Role
from mes.platform.audit import entries
from mes.platform.audit.models import AuditEntry
from mes.platform.audit.pages import Line, _group
from mes.platform.audit.words import in_text
from mes.platform.notifications.models import FollowedLine
from tests.factories import make_line, make_operation, make_plant, make_spec, make_user
from tests.forms import filled, state_of

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
    spec = make_spec(make_operation("REFLOW"), "Peak Temperature", usl=255.0, unit="°C", is_required=True)
    engineer = Client()
    engineer.force_login(make_user(Role.ENGINEER, username="eve"))
    page = f"/admin/mes/datacollectionspec/{spec.pk}/change/"
    sent = filled(engineer, page, usl="250", change_reason="oven 2 drifts", target="245")
    del sent["is_required"]
    assert engineer.post(page, sent).status_code == 302
    said = sentences(text_of(browser, "?q=Peak+Temperature"))
    for change in ("upper limit 255 → 250 °C", "target – → 245 °C", "required yes → no"):
        told = rf"Data collection spec Peak Temperature: {change} – oven 2 drifts \(eve, \d\d:\d\d\)"
        assert any(re.fullmatch(told, sentence) for sentence in said), (change, said)
    assert any(re.fullmatch(r"Data collection spec Peak Temperature: created \(.*, \d\d:\d\d\)", text) for text in said)
    assert "Peak Temperature" not in text_of(browser, "?q=Nothing")


def sentences(page: str) -> list[str]:
    """Return what the lines of a page say, without their marks."""
    found = re.findall(r'<p class="audit-line">(.*?)</p>', page, re.S)
    return [unescape(re.sub(r"<[^>]+>", "", line)).strip() for line in found]


def test_what_one_request_changed_is_folded(browser: Client) -> None:
    board, *parts = (Material.objects.create(code=code, name=code) for code in ("BOARD", "A", "B", "C"))
    for part in parts:
        BomItem.objects.create(parent=board, child=part, quantity=1)
    page = f"/admin/mes/material/{board.pk}/change/"
    rows = {f"bom_items-{number}-quantity": 5 for number in range(3)}
    assert browser.post(page, filled(browser, page, name="New", **rows)).status_code == 302
    shown = text_of(browser, f"?kind=materials&row={board.pk}")
    group = shown.partition('<li class="audit-group">')[2].partition("</li>")[0]
    before, _fold, folded = group.partition("<details")
    assert sentences(before)[0].startswith("Material New: name BOARD → New (ada, ")
    assert len(sentences(before)) == 3 and len(sentences(folded)) == 1 and "1 more change at once" in folded


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


@pytest.mark.parametrize("name", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
def test_a_name_like_a_time_that_no_zone_has(browser: Client, settings: Any, name: str) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"
    make_line("L-1", name=name)
    assert name in text_of(browser, "?kind=lines")


AT = datetime(2026, 1, 24, 10, tzinfo=UTC)


def heads_of(*changed: dict[str, Any]) -> list[int]:
    """Return how many lines stand under each head; each differs from a change of ada's in what is given."""
    usual = {"at": AT, "request_id": "r", "transaction": 1, "actor": "ada", "actor_kind": "PERSON", "via": "API"}
    lines = [Line(AuditEntry(**(usual | change)), "Line", []) for change in changed]
    return [len(group.lines) for group in _group(lines)]


@pytest.mark.parametrize(
    "other",
    [
        {"actor": "eve"},
        {"actor_kind": "TOKEN"},
        {"via": "PAGE"},
        {"reason": "another"},
        {"at": AT - timedelta(hours=1)},
    ],
)
def test_one_request_id_does_not_join_what_others_did(other: dict[str, Any]) -> None:
    assert heads_of({}, other, {}) == ([1, 1, 1] if "at" not in other else [1, 2])


def test_what_one_did_at_once_stands_under_one_head() -> None:
    assert heads_of({}, {"transaction": 2}, {"at": AT - timedelta(seconds=59)}, {"request_id": "s"}) == [3, 1]
    assert heads_of({"request_id": ""}, {"request_id": "", "transaction": 2}) == [1, 1]


def test_the_history_of_a_renamed_one_is_its_own() -> None:
    roles = [Group.objects.create(name=name) for name in ("first", "second", "third", "fourth")]
    ada = make_user(Role.OPERATOR, username="ada")
    ada.groups.add(roles[0])
    User.objects.filter(pk=ada.pk).update(username="bob")
    ada.groups.add(roles[1])
    new = make_user(Role.OPERATOR, username="ada")
    new.groups.add(roles[2])
    assert added_roles(ada) == {"first", "second"} and added_roles(new) == {"third"}
    pk = ada.pk
    User.objects.get(pk=pk).delete()
    newest = make_user(Role.OPERATOR, username="bob")
    newest.groups.add(roles[3])
    assert added_roles(newest) == {"fourth"}
    ada.pk = pk
    assert added_roles(ada) == {"first", "second"}
    admin = Client()
    admin.force_login(make_user(Role.ADMIN, username="root"))
    page = text_of(admin, f"?kind=users&row={pk}")
    assert "History of User bob" in page and "<del>ada</del> → <ins>bob</ins>" in page
    assert "third" not in page and "fourth" not in page


def added_roles(user: User) -> set[str]:
    """Return the roles of this test that the history of a user says it got; all its own entries must be of it."""
    found = entries.read_changes(AuditEntry.objects.filter(entries.of_row("users", user.pk)))
    assert {change.entry.row_id for change in found if change.entry.entity == "users"} == {user.pk}
    given = [change for change in found if change.entry.entity == "user-roles"]
    assert all((change.entry.before or change.entry.after or {})["user_id"] == user.pk for change in given)
    return {str(change.fields["groupName"][1]) for change in given if change.entry.action == "CREATE"} - {"Operator"}


def test_the_history_without_the_entry_that_began_it() -> None:
    """The retention drops whole months: what is left of the history is shown."""
    user = make_user(Role.OPERATOR, username="ada")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mes_auditentry DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM mes_auditentry WHERE entity = 'users'")
        cursor.execute("ALTER TABLE mes_auditentry ENABLE TRIGGER USER")
    assert [entry.entity for entry in AuditEntry.objects.filter(entries.of_row("users", user.pk))] == ["user-roles"]
    User.objects.filter(pk=user.pk).update(username="bob")
    history = AuditEntry.objects.filter(entries.of_row("users", user.pk))
    assert [entry.entity for entry in history.order_by("id")] == ["user-roles", "users"]


def test_the_administration_logs_what_the_audit_does_not_keep() -> None:
    me = make_user(Role.ADMIN)
    admin = Client()
    admin.force_login(me)
    line = make_line("L-1")
    body = {"user": me.pk, "line": line.pk}
    assert admin.post("/admin/mes/followedline/add/", body).status_code == 302
    followed = FollowedLine.objects.get()
    assert [entry.action_flag for entry in LogEntry.objects.all()] == [1]
    assert admin.post(f"/admin/mes/followedline/{followed.pk}/delete/", {"post": "yes"}).status_code == 302
    assert LogEntry.objects.count() == 2
    assert admin.post(f"/admin/mes/line/{line.pk}/delete/", {"post": "yes", **state_of(line)}).status_code == 302
    assert LogEntry.objects.count() == 2


def test_strangers_sign_in(client: Client) -> None:
    assert client.get("/audit/").status_code == 302


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "–"), (True, "yes"), ("2026-01-24T10:00:00+00:00", "24 Jan 2026 10:00:00"),
        ("2026-99-99T10:00:00+00:00", "2026-99-99T10:00:00+00:00"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ({"a": 1}, '{"a":1}'), ("x" * 200, "x" * 120 + "…"), (1.5, "1.5"),
    ],
)  # fmt: skip
def test_values_in_words(value: object, text: str) -> None:
    assert in_text(value) == text


def test_the_list_calls_a_role_that_somebody_got_by_its_name() -> None:
    amy = make_user(Role.ADMIN, username="amy")
    browser = Client()
    browser.force_login(amy)
    table = browser.get("/lists/audit/?kind=user-roles").content.decode().partition("<tbody>")[2]
    names = re.findall(r'<th scope="row">|<a [^>]*>([^<]*)</a>', table)
    assert "Admin" in names, names
    assert "ID:" not in table and "user: amy; group: Admin" in table
