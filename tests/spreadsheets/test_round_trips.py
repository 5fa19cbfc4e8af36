"""An export imported as it is changes nothing, whatever stands in the rows."""

import csv
import re
from io import BytesIO, StringIO
from typing import Any

import openpyxl
import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mes.line_setup.models import Tool
from mes.line_setup.set_up_lists.models import SetUpItem, SetUpList
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, Station, StationGroup
from mes.platform.accounts.roles import Role
from mes.platform.http.tables import guarded, unguarded
from mes.routing.models import RouteExecutionConfig, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec
from mes.spreadsheets.catalogue import COLLECTIONS
from mes.spreadsheets.columns import Column, Kind, Source, is_as_written, read_cell, write_cell
from tests.factories import api_client
from tests.spreadsheets.support import checked, export

ODD = [
    "=1+1", "'=1+1", "''=1+1", "007", "a;b", '"', "'x", " x", "x ", "''", "+5V", "-5V rail", "@A", "＝x", "\tx", "a\nb",
    "a\rb", "1,5", "true", "[]", "{}", "null", "_x000D_", "a,b", "工序", "😀", "x" * 200, "\ufeffx", "1e5",
    "sep=;", "#N/A", "\ufffe", "=HYPERLINK(1)", "'-", "'", "'''", "code",
]  # fmt: skip
NO_CHARACTER = re.compile("[\ufffe\uffff]")  # which XML cannot hold
NAMES = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ITEMS = st.lists(st.sampled_from([*ODD[:26], ""]).map(lambda text: text[:100]), max_size=4)
FLOATS = st.sampled_from([None, 0.0, 0.1 + 0.2, 1e-9, 5.1, 1e22, -5.25, 1e300, 123456789.123456789]) | st.floats(
    allow_nan=False, allow_infinity=False
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e6, 1e6) | st.sampled_from(ODD[:20]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ODD[:10]), inner, max_size=3),
    max_leaves=6,
)


def make_odd_plant(names: list[str], floats: list[float | None], items: list[list[str] | None], document: Any) -> None:
    """Make a row or two of each collection with these texts and numbers, past all checks."""

    def name(number: int) -> str:
        return names[number % len(names)][:200]

    group = StationGroup.objects.create(code="=G", name=name(0))
    StationGroup.objects.create(code="007", name=name(1))
    station = Station.objects.create(code="+S;1", name=name(2), group=group, station_type="AUTO")
    Station.objects.create(code="'s", name=name(3), station_type="MANUAL")
    Equipment.objects.create(code="-E", name=name(4), station=station, status=name(5)[:50])
    operation = Operation.objects.create(code="1.0", name=name(6))
    material = Material.objects.create(code='"m"', name=name(7), unit=name(8)[:20])
    child = Material.objects.create(code="1e5", name=name(9), unit="")
    BomItem.objects.create(parent=material, child=child, quantity="0.1234")
    for number, value in enumerate(floats):
        DataCollectionSpec.objects.create(
            operation=operation,
            name=f"{NO_CHARACTER.sub('', name(number))[:90]}{number}",  # rows are known by it
            item_type="KEY",
            data_type="NUMBER",
            method="AUTO",
            lsl=value,
            unit=name(number + 1)[:20],
            trigger_rule=document,
        )
    route = Routing.objects.create(code="@R", name="r")
    Tool.objects.create(tool_id="=T", kind="FIXTURE")
    line = Line.objects.create(code="-L", name="l", process_type="SMT")
    set_up_list = SetUpList.objects.create(route=route, line=line, revision=3)
    item = SetUpItem.objects.create(set_up_list=set_up_list, station=station, slot="=1", material=material)
    item.alternates.add(child)
    SetUpItem.objects.create(set_up_list=set_up_list, station=station, slot="007", kind="PROGRAM", program="+p")
    RoutingStep.objects.create(routing=route, step_no=10, operation=operation, source_step_key=name(3)[:100])
    RoutingStep.objects.create(routing=route, step_no=1_000_000, operation=operation)
    for number, listed in enumerate(items):
        RouteExecutionConfig.objects.create(
            scope="STEP",
            routing=route,
            step_no=10 + number,
            allowed_station_codes=listed,
            data_spec_names=listed,
            requires_fai=[None, True, False][number % 3],
            ingest_mapping=document,
        )
    RouteExecutionConfig.objects.create(scope="STEP", routing=route, source_step_key=name(0)[:100] or "k")
    RouteExecutionConfig.objects.create(scope="GLOBAL", retest_limit=0)
    RouteExecutionConfig.objects.create(scope="GLOBAL", retest_limit=1)  # counts before the older one


@pytest.mark.django_db
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(NAMES, min_size=10, max_size=10),
    floats=st.lists(FLOATS, min_size=1, max_size=4),
    items=st.lists(st.none() | ITEMS, max_size=4),
    document=DOCUMENTS,
)
@example(names=ODD[:10], floats=[0.1 + 0.2, 1e-9, None], items=[None, [], [""], ["[]"]], document={"=1": [0.1 + 0.2]})
@example(names=ODD[10:20], floats=[1e22, -0.0], items=[["a;b", '"', "'=x"], [" x"]], document="=1+1")
@example(
    names=ODD[20:37],
    floats=[5e-324, 1.7976931348623157e308, -1.7976931348623157e308],
    items=[["=1", "-"]],
    document=["x" * 40_000],
)
def test_an_export_imported_as_it_is_has_no_difference(
    db: None, names: list[str], floats: list[float | None], items: list[list[str] | None], document: Any
) -> None:
    with transaction.atomic():
        make_odd_plant(names, floats, items, document)
        client = api_client(Role.ENGINEER)
        for collection in COLLECTIONS:
            for chosen in ("csv", "xlsx"):
                found = checked(client, collection.name, export(client, collection.name, chosen))
                told = (collection.name, chosen, found["errors"], found["differences"])
                assert found["errors"] == [], told
                assert found["differences"] == [], told
                assert found["unchanged"] > 0, told
        transaction.set_rollback(True)


@given(st.text("'=+-@x\t"))
def test_the_guard_is_taken_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t"))


@given(st.lists(st.sampled_from(ODD) | st.text("a;\"' []\n", max_size=4), max_size=4))
def test_a_list_is_read_as_it_was_written(items: list[str]) -> None:
    from rest_framework import serializers

    column = Column("x", Kind.LIST, serializers.ListField(child=serializers.CharField()))
    cell = write_cell(column, items)
    assert is_as_written(column, guarded(cell), items, Source.CSV)
    if all(item == item.strip() for item in items) and not any("\r" in item or "\n" in item for item in items):
        assert read_cell(column, guarded(cell), Source.CSV) == items


@pytest.mark.django_db
def test_an_empty_file_has_the_columns_and_a_workbook_explains_them() -> None:
    client = api_client(Role.ENGINEER)
    for collection in COLLECTIONS:
        names = [column.name for column in collection.columns]
        answer = client.get(f"/api/{collection.name}/export?format=csv&empty=true")
        text = b"".join(answer.streaming_content).decode("utf-8-sig")
        assert list(csv.reader(StringIO(text))) == [names]
        book = openpyxl.load_workbook(
            BytesIO(client.get(f"/api/{collection.name}/export?format=xlsx&empty=true").content)
        )
        heads, columns = book.worksheets
        assert [cell.value for cell in heads[1]] == names
        assert [line[0].value for line in columns.iter_rows(min_row=2)][: len(names)] == names
        texts = {
            number
            for each in heads.column_dimensions.values()
            if each.number_format == "@"
            for number in range(each.min, each.max + 1)
        }
        assert texts == {number for number, column in enumerate(collection.columns, start=1) if column.is_text}


def test_every_column_says_what_to_type() -> None:
    for collection in COLLECTIONS:
        assert {column.name for column in collection.columns} >= set(collection.key)
        assert all(column.explanation for column in collection.columns)
