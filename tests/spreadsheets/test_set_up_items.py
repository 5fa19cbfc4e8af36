"""Set-up lists as sheets: the rows of a route on a line are its newest list; every wrong row is told before."""

from typing import Any

import pytest

from mes.line_setup.models import Tool
from mes.line_setup.set_up_lists.models import SetUpList
from mes.platform.accounts.roles import Role
from mes.spreadsheets.models import SheetImport
from tests.factories import Plant, api_client, make_plant
from tests.line_setup.set_up_lists.support import make_list, make_materials, part
from tests.spreadsheets.support import apply, as_csv, checked, export

HEADS = ["routeCode", "lineCode", "stationCode", "slot", "kind", "materialCode", "alternates", "quantityPerUnit"]
HEADS += ["refDes", "toolIds", "program"]


@pytest.fixture
def plant(db: None) -> Plant:
    make_materials("R-10K", "R-10K-B", "C-1U")
    Tool.objects.create(tool_id="ST-1")
    return make_plant(units=0)


@pytest.fixture
def engineer() -> Any:
    return api_client(Role.ENGINEER)


def row(plant: Plant, slot: str, kind: str = "PART", *cells: Any, station: str = "SMT-01") -> list[Any]:
    return [plant.routing.code, "SMT-A", station, slot, kind, *cells]


def content(found: SetUpList) -> dict[str, tuple[Any, ...]]:
    return {
        item.slot: (item.material and item.material.code, item.alternates.count(), item.tools.count(), item.program)
        for item in found.items.all()
    }


def test_a_list_is_made_changed_and_made_anew_where_it_is_released(plant, engineer):
    first = row(plant, "F1", "PART", "R-10K", "R-10K-B", "2.5", "R1;R2", "", "")
    tool, program = row(plant, "T", "TOOL", "", "", "", "", "ST-1", ""), row(plant, "P", "PROGRAM", *[""] * 5, "rev C")
    sheet = checked(engineer, "setup-items", as_csv(HEADS, first, tool, program))
    assert (sheet["errors"], sheet["created"]) == ([], 3)
    assert not SetUpList.objects.exists()
    assert apply(engineer, sheet["id"]).status_code == 200
    made = SetUpList.objects.get()
    wanted = {"F1": ("R-10K", 1, 0, ""), "T": (None, 0, 1, ""), "P": (None, 0, 0, "rev C")}
    assert (made.revision, made.status, content(made)) == (1, "DRAFT", wanted)
    assert made.created_by == SheetImport.objects.get().applied_by != ""
    # Of a draft: an alternate fewer, and a row that is gone.
    sheet = checked(engineer, "setup-items", as_csv(HEADS, [*first[:6], "[]", *first[7:]], program))
    assert (sheet["errors"], sheet["changed"], sheet["deleted"], sheet["unchanged"]) == ([], 1, 1, 1)
    assert apply(engineer, sheet["id"]).status_code == 200
    assert content(SetUpList.objects.get()) == {"F1": ("R-10K", 0, 0, ""), "P": (None, 0, 0, "rev C")}
    assert engineer.post(f"/api/setup-lists/{made.pk}/release").status_code == 200
    same = checked(engineer, "setup-items", export(engineer, "setup-items", "csv"))
    assert (same["errors"], same["differences"], same["unchanged"]) == ([], [], 2)
    sheet = checked(engineer, "setup-items", as_csv(HEADS, first, program))
    assert apply(engineer, sheet["id"]).status_code == 200
    assert [(each.revision, each.status) for each in SetUpList.objects.order_by("pk")] == [
        (1, "RELEASED"),
        (2, "DRAFT"),
    ]
    assert content(SetUpList.objects.get(revision=2))["F1"] == ("R-10K", 1, 0, "")


def test_every_wrong_row_is_told_and_nothing_is_written(plant, engineer):
    rows = [
        row(plant, "1", "PART", "NONE", "", "1", "", "", ""),
        row(plant, "2", "PART", "R-10K", "NO-ALT", "0", "", "", ""),
        row(plant, "3", "TOOL", "", "", "", "", "ST-9", ""),
        row(plant, "4", "PROGRAM", "", "", "", "", "", ""),
        row(plant, "5", "PART", "R-10K", "", "1", "", "", "", station="GONE"),
        row(plant, "6", "PART", "R-10K", "", "x", "", "", ""),
        row(plant, "7", "PART", "R-10K", "", "1", "", "", ""),
        row(plant, "7", "PART", "R-10K", "", "1", "", "", ""),
        row(plant, "8", "PROGRAM", "", "", "", "", "", "rev\x01C"),
        row(plant, "9", "PART", "R-10K", "", "1", "R1;R\x012", "", ""),
    ]
    sheet = checked(engineer, "setup-items", as_csv(HEADS, *rows))
    assert {(each["row"], each["field"]) for each in sheet["errors"]} == {
        (1, "materialCode"),
        (2, "alternates"),
        (2, "quantityPerUnit"),
        (3, "toolIds"),
        (4, "program"),
        (5, "stationCode"),
        (6, "quantityPerUnit"),
        (8, "routeCode"),
        (9, "program"),
        (10, "refDes"),
    }
    assert apply(engineer, sheet["id"]).status_code in (409, 422)
    assert not SetUpList.objects.exists()


def test_a_list_that_somebody_changed_meanwhile_is_not_written_over(plant, engineer):
    make_list(plant, part("F1"), release=False)
    sheet = checked(engineer, "setup-items", as_csv(HEADS, row(plant, "F2", "PART", "C-1U", "", "1", "", "", "")))
    make_list(plant, part("F1"), part("F3"), release=False)
    assert apply(engineer, sheet["id"]).status_code == 409
    assert set(content(SetUpList.objects.get(revision=2))) == {"F1", "F3"}
