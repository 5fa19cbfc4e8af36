"""What every list of the product must be: found by walking them, so that a new one is tested without being named."""

import csv
import io
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.lists import asked as asking
from mes.platform.lists.asked import Asked
from mes.platform.lists.ids_by_time import _SEARCH
from mes.platform.lists.listing import FilterKind, Listing, lists
from mes.platform.lists.selection import Selection
from tests.bad_input.nasty import FORM_VALUES
from tests.bad_input.pages import encode
from tests.factories import Plant, make_plant, make_user
from tests.lists_support import make_rows

pytestmark = pytest.mark.django_db
NAMES = ["units", "runs", "orders", "values", "messages", "events", "specs", "routes", "audit", "holds"]
NAMES += ["notification-rules", "qualifications", "material-lots", "tools", "check-records"]


@pytest.fixture
def plant() -> Plant:
    return make_plant()


@pytest.fixture
def person() -> Client:
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    return client


def listing_of(name: str) -> Listing:
    return next(listing for listing in lists if listing.name == name)


def rows_of(page: Any) -> list[list[str]]:
    """Return the texts of the table on a page."""
    body = page.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in body.split("<tr>")[1:]
    ]


def statements_of(person: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        page = person.get(address)
    assert page.status_code == 200
    return len(captured)


def test_there_are_the_lists() -> None:
    assert sorted(listing.name for listing in lists) == sorted(NAMES)


# Of a page: the person, the views, what filters suggest, the period's ids, the page's ids, their count, the rows.
STATEMENTS = {
    "units": 8,
    "runs": 8,
    "orders": 8,
    "values": 11,
    "messages": 8,
    "events": 9,
    "specs": 8,
    "routes": 7,
    "audit": 10,
    "holds": 7,
    "notification-rules": 8,
    "qualifications": 8,
    "tools": 7,
    "material-lots": 7,
    "check-records": 9,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_takes_as_many_statements_for_50_rows_as_for_5(person: Client, plant: Plant, name: str) -> None:
    make_rows(plant, 5)
    every = ",".join(column.key for column in listing_of(name).columns)
    narrowed = {"audit": "&kind=runs"}.get(name, "")
    address = f"/lists/{name}/?columns={every}{narrowed}"
    person.get(address)
    few = statements_of(person, address)
    shown = len(rows_of(person.get(address)))
    make_rows(plant, 60, first=5)
    assert len(rows_of(person.get(address))) == 50 > shown >= 5
    assert statements_of(person, address) == few == STATEMENTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_it_sorts_by_what_an_index_begins_with(name: str) -> None:
    """But where people keep few: sorted otherwise, a page would read all of the table."""
    listing = listing_of(name)
    if listing.is_small:
        return
    model = listing.rows(make_user(Role.ADMIN)).model
    starts = [columns for table in _tables(model._meta.db_table) for columns in _indexes(table)]
    for column in listing.columns:
        if not column.sort:
            continue
        field = str(model._meta.get_field(column.sort).column)
        needed = next((each for each in listing.filters if each.key == column.sort_needs), None)
        begins = [field] if needed is None else [f"{needed.key}_id", field]
        assert any(columns[: len(begins)] == begins for columns in starts), column.key
        assert not model._meta.get_field(column.sort).null, "what has no value has no place to go on from"


def _tables(name: str) -> list[str]:
    return {
        "integration_message": ["integration_settledmessage"],
        "ingest_event": ["ingest_settledingestevent"],
    }.get(name, [name])


def _indexes(table: str) -> list[list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array(SELECT a.attname FROM unnest(i.indkey) WITH ORDINALITY AS k (no, place) "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.no ORDER BY place) "
            "FROM pg_index i WHERE indrelid = to_regclass(%s) AND indpred IS NULL",
            [table],
        )
        return [list(row[0]) for row in cursor.fetchall()]


@pytest.mark.parametrize("name", NAMES)
def test_all_of_it_as_a_file(person: Client, plant: Plant, name: str) -> None:
    make_rows(plant, 5)
    listing = listing_of(name)
    answer = person.get(f"/lists/{name}/?format=csv&period=all")
    assert answer["Content-Type"].startswith("text/csv") and "attachment" in answer["Content-Disposition"]
    lines = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert lines[0] == [str(column.label) for column in listing.shown]
    expected = listing.rows(User.objects.get()).count()
    assert len(lines) - 1 == expected
    if name in ("values", "audit"):
        assert person.get(f"/lists/{name}/?format=xlsx&period=all").content.startswith(b"PK")


@pytest.mark.parametrize("name", NAMES)
def test_no_address_breaks_a_list(person: Client, plant: Plant, name: str) -> None:
    make_rows(plant, 3)
    listing, user = listing_of(name), User.objects.get()
    keys = [
        *(each.key for each in listing.filters),
        "sort",
        "columns",
        "period",
        "from",
        "to",
        "page",
        "view",
        "format",
    ]
    for what, value in FORM_VALUES.items():
        if len(value) < 1000:
            assert person.get(f"/lists/{name}/?{encode(dict.fromkeys(keys, value))}").status_code < 500, what
        for key in keys:  # each alone, so that no other is told of first
            asked = asking.read(listing, QueryDict(encode({key: value})), user=user)
            assert asked.notes or Selection(asked, user).page() is not None, (what, key)
    for key in ("sort", "columns", "nonsense", "period", "from", "page"):
        page = person.get(f"/lists/{name}/?{encode({key: 'x&y'})}").content.decode()
        told = "list-notes" in page
        assert told or (listing.period is None and key in ("period", "from")), key


@pytest.mark.parametrize("name", NAMES)
def test_each_filter_and_each_order_may_be_asked_for(person: Client, plant: Plant, name: str) -> None:
    make_rows(plant, 3)
    listing = listing_of(name)
    user = User.objects.get()
    for each in listing.filters:
        values = {
            FilterKind.CHOICE: [str(value) for value, _label in each.choices_for(user)][:3],
            FilterKind.YES_NO: ["yes", "no"],
            FilterKind.NUMBER: ["20"],
        }.get(each.kind, ["L-0001", "S"])
        for value in values:
            answered = ask(listing, {each.key: value, "period": "all"})
            assert not answered.notes, (each.key, value)
    for column in listing.columns:
        if column.sort:
            needs = {column.sort_needs: "Peak Temperature"} if column.sort_needs else {}
            for sign in ("", "-"):
                answered = ask(listing, {"sort": sign + column.key, **needs})
                assert not answered.notes and answered.sort == column, column.key
                assert answered.is_descending == bool(sign)


def ask(listing: Listing, query: dict[str, str]) -> Asked:
    """Ask for a page, and return how it was understood."""
    user = User.objects.get()
    asked = asking.read(listing, QueryDict(encode(query)), user=user)
    Selection(asked, user).page()
    return asked


def test_the_plans_of_the_big_ones_use_indexes(plant: Plant) -> None:
    """Ids by time are found by halving: no table is read."""
    make_rows(plant, 50)
    for table, column in (("execution_datavalue", "received_at"), ("integration_message", "received_at")):
        statement = _SEARCH.format(table=table, column=column).replace("%(moments)s", "%s")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", [[timezone.now()]])
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan" not in plan and "->  Sort" not in plan, plan


@pytest.mark.parametrize("name", ["specs", "routes"])
def test_links_to_the_administration_are_for_those_whom_their_role_lets_in(plant: Plant, name: str) -> None:
    for role, fields, shown in ((Role.ENGINEER, {}, True), (Role.OPERATOR, {"is_staff": True}, False)):
        client = Client()
        client.force_login(make_user(role, **fields))
        table = client.get(f"/lists/{name}/").content.decode().partition("<tbody>")[2]
        assert ("/admin/mes/" in table) is shown, role
