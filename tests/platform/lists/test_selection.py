"""The rows that are asked for: periods, filters without an index, pages, and all of them in parts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from django.utils.http import urlencode

from execution.data.lists import VALUES
from execution.models import DataValue
from mes.errors import TooManyRows
from mes.platform.accounts.roles import Role
from mes.platform.lists import asked as asking
from mes.platform.lists import export, selection
from mes.platform.lists.ids_by_time import SLACK, ids_between
from mes.platform.lists.listing import Listing
from mes.platform.lists.selection import Selection
from mes.production.lists import UNITS
from mes.production.models import Unit
from mes.specs.lists import SPECS
from tests.factories import Plant, make_plant, make_user
from tests.lists_support import make_values

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=3)


def select(listing: Listing, **query: str) -> Selection:
    asked = asking.read(listing, QueryDict(urlencode(query)), user=None)
    assert not asked.notes
    return Selection(asked, None)


def ids_of(listing: Listing, **query: str) -> list[int]:
    return [row["id"] for row in select(listing, **query).page().rows]


def test_a_period_is_found_by_ids(plant: Plant) -> None:
    """The ids around it hold all of it, whatever stands in the months around; rows may come a little out of order."""
    random = Random(7)
    times = [NOON + timedelta(hours=n) + timedelta(minutes=random.randrange(-30, 30)) for n in range(400)]
    values = make_values(plant, times)
    for first, last in ((0, 400), (10, 20), (399, 400), (100, 100), (250, 260)):
        since, until = NOON + timedelta(hours=first), NOON + timedelta(hours=last)
        low, high = ids_between("execution_datavalue", "received_at", since, until)
        assert low is not None and high is not None
        meant = [value.pk for value in values if since <= value.received_at < until]
        assert all(low <= pk < high for pk in meant)
        assert high - low <= len(meant) + 2 * SLACK.total_seconds() / 3600 + 4
        asked = {"from": since.isoformat(), "to": until.isoformat()}
        rows = select(VALUES, **asked).rows
        assert sorted(rows.values_list("pk", flat=True)) == sorted(meant)
    assert ids_between("execution_datavalue", "received_at", None, None) == (None, None)


def test_nothing_lies_in_a_period_of_an_empty_list(db: None) -> None:
    assert select(VALUES, **{"from": "2026-01-01", "to": "2026-02-01"}).page().count == 0


def test_what_has_no_index_is_looked_for_among_so_many_rows(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    values = make_values(plant, [NOON + timedelta(minutes=n) for n in range(30)])
    failed = [values[3], values[25]]
    DataValue.objects.filter(pk__in=[value.pk for value in failed]).update(judge="FAIL")
    assert ids_of(VALUES, judge="FAIL", period="all") == [failed[1].pk, failed[0].pk]
    monkeypatch.setattr(selection, "LOOKED_THROUGH", 10)
    page = select(VALUES, judge="FAIL", period="all").page()
    assert [row["id"] for row in page.rows] == [failed[1].pk]
    assert page.looked_until == values[19].received_at
    further = ids_of(VALUES, judge="FAIL", to=asking.after(values[4].received_at))
    assert further == [failed[0].pk]
    assert [row["id"] for row in select(VALUES, judge="FAIL", period="all").every()] == [failed[1].pk, failed[0].pk]


@pytest.mark.parametrize("sort", ["received", "-received", "collected", "-collected"])
def test_all_of_it_comes_once_and_in_order(plant: Plant, monkeypatch: pytest.MonkeyPatch, sort: str) -> None:
    monkeypatch.setattr(selection, "BATCH", 3)
    values = make_values(plant, [NOON + timedelta(minutes=n // 4) for n in range(20)])  # four of each time
    every = [row["id"] for row in select(VALUES, sort=sort, spec="Peak Temperature", period="all").every()]
    expected = sorted((value.received_at, value.pk) for value in values)
    assert every == [pk for _at, pk in (expected[::-1] if sort.startswith("-") else expected)]
    assert ids_of(VALUES, sort=sort, spec="Peak Temperature", period="all") == every


def test_what_comes_meanwhile_is_not_followed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "BATCH", 2)
    make_values(plant, [NOON] * 4)
    seen = 0
    for _row in select(VALUES, sort="received", period="all").every():
        seen += 1
        make_values(plant, [NOON])
    assert seen == 4


def test_pages_have_each_row_once(plant: Plant) -> None:
    Unit.objects.bulk_create(Unit(sn=f"P-{n:03}", work_order=plant.order, run=plant.run) for n in range(120))
    pages = [select(UNITS, q="P-", page=str(number)).page() for number in (1, 2, 3)]
    found = [row["sn"] for page in pages for row in page.rows]
    assert found == [f"P-{n:03}" for n in range(120)]  # sorted by what is searched for the beginning of
    assert [page.has_next for page in pages] == [True, True, False]
    assert {page.count for page in pages} == {120}


def test_a_run_s_values_and_a_spec_s(plant: Plant) -> None:
    (mine,) = make_values(plant, [NOON])
    (other,) = make_values(plant, [NOON], spec=plant.speed, unit=plant.units[1], run=None)
    assert ids_of(VALUES, run="RUN-1", period="all") == [mine.pk]
    assert ids_of(VALUES, spec="REFLOW Conveyor Speed", period="all") == [other.pk]
    assert ids_of(VALUES, unit="SN-2", period="all") == [other.pk]
    assert ids_of(VALUES, unit="SN-9", period="all") == []


def test_a_small_list_sorts_by_anything(plant: Plant) -> None:
    names = [row["name"] for row in select(SPECS, sort="-usl").page().rows]
    assert names == ["Peak Temperature", "Conveyor Speed", "Supply Voltage"]


def test_no_more_is_counted_than_is_said(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_COUNTED", 5)
    make_values(plant, [NOON] * 9)
    page = select(VALUES, period="all").page()
    assert (page.count, page.is_counted) == (5, False)


def test_a_workbook_has_an_end(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    make_values(plant, [timezone.now()] * 3)
    monkeypatch.setattr(export, "MOST_ROWS", 2)
    for query in ({"period": "all"}, {"period": "all", "judge": "PASS"}):
        with pytest.raises(TooManyRows):
            export.as_file(select(VALUES, **query), "xlsx")
    client = Client()
    client.force_login(make_user(Role.QUALITY))
    page = client.get("/lists/values/?format=xlsx")
    assert page.status_code == 422 and "more than 2 rows" in page.content.decode()
    assert client.get("/lists/values/?format=csv").status_code == 200
    assert client.get("/lists/values/?format=pdf").status_code == 400


def test_what_people_wrote_is_no_formula(plant: Plant) -> None:
    make_values(plant, [timezone.now()], value_number=None, value_text="=1+1")
    query: Mapping[str, str] = {"columns": "name,value"}
    lines = list(export.as_file(select(VALUES, **query), "csv"))
    assert b"Peak Temperature,'=1+1" in lines[2]
