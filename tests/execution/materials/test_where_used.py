"""A recall: which boards have a lot, as pages, as files, and as a hold of what was seen."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from openpyxl import load_workbook
from rest_framework.test import APIClient

from execution.materials.models import InstalledSerial
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.tools.models import Tool
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from mes.production.hold_models import HeldUnit
from mes.production.models import Unit
from tests.execution.materials.support import at, make_load, make_lot, make_track, use
from tests.execution.support import assert_done, assert_refused, nothing_written
from tests.factories import Plant, api_client, make_plant

pytestmark = pytest.mark.django_db
WHERE = "/api/where-used"


@pytest.fixture
def plant() -> Plant:
    """Six boards, ten minutes each in the oven; reel A until the third, B from then on, spliced for a while."""
    plant = make_plant(units=6)
    part = Material.objects.create(code="R-10K", name="x")
    station = plant.stations["REF-01"]
    a = make_lot("A", material=part, supplier_lot="SL-1", date_code="2631")
    b = make_lot("B", material=part, supplier_lot="SL-2", date_code="2631")
    make_lot("A/1", material=part, parent=a, split_at=at(0))
    make_load(at(-60), at(25), station=station, lot=a)
    make_load(at(22), None, station=station, lot=b)
    make_load(
        at(-60), at(35), slot="STENCIL", line=plant.line, tool=Tool.objects.create(tool_id="ST-1", kind="STENCIL")
    )
    make_load(at(-60), None, slot="P", station=station, program="TOP-1")
    for number, unit in enumerate(plant.units):
        make_track(unit, station, at(10 * number), at(10 * number + 9))
        make_track(unit, plant.stations["SMT-01"], at(10 * number), at(10 * number + 9), 10, operation_code="PRINT")
    return plant


@pytest.fixture
def quality(plant: Plant) -> APIClient:
    return api_client(Role.QUALITY)


def find(client: APIClient, **query: Any) -> dict[str, Any]:
    return assert_done(client.get(WHERE, query))


def sns(answer: dict[str, Any]) -> dict[str, str]:
    return {item["sn"]: item["certainty"] for item in answer["items"]}


def test_a_lot_is_certain_within_its_load_and_possible_across_a_splice(quality):
    found = find(quality, lotId="A")
    assert sns(found) == {"SN-1": "SINGLE", "SN-2": "SINGLE", "SN-3": "POSSIBLE"}
    assert (found["counts"], found["next"]) == ({"units": 3, "certain": 2, "possible": 1}, None)
    assert found["items"][0] == {
        "sn": "SN-3", "runNo": "RUN-1", "status": "QUEUED", "stationCode": "REF-01", "slot": "1", "lotId": "A",
        "materialCode": "R-10K", "supplierLot": "SL-1", "dateCode": "2631", "toolId": None, "program": None,
        "serial": None, "certainty": "POSSIBLE", "via": None,
    }  # fmt: skip
    assert find(quality, lotId="A/1")["counts"]["units"] == 0


@pytest.mark.parametrize(
    ("asked", "units"),
    [
        ({"materialCode": "R-10K", "supplierLot": "SL-2"}, "3456"),
        ({"materialCode": "R-10K", "dateCode": "2631"}, "123456"),
        ({"materialCode": "R-10K", "dateCode": "2631", "supplierLot": "SL-1"}, "123"),
        ({"materialCode": "R-10K", "dateCode": "9999"}, ""),
        ({"toolId": "ST-1"}, "1234"),
        ({"program": "TOP-1"}, "123456"),
        ({"program": "OTHER"}, ""),
        ({"serial": "NOBODY"}, ""),
        ({"lotId": "B", "stationCode": "REF-01", "from": at(31).isoformat(), "to": at(50).isoformat()}, "45"),
        ({"lotId": "B", "stationCode": "TST-01"}, ""),
    ],
)
def test_it_is_looked_for_by_whatever_names_it(quality, asked, units):
    assert set(sns(find(quality, **asked))) == {f"SN-{number}" for number in units}


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({}, "VALIDATION_ERROR", "lotId"),
        ({"stationCode": "REF-01"}, "VALIDATION_ERROR", "lotId"),
        ({"lotId": "A", "toolId": "ST-1"}, "VALIDATION_ERROR", "toolId"),
        ({"materialCode": "R-10K"}, "VALIDATION_ERROR", "materialCode"),
        ({"lotId": "A", "dateCode": "2631"}, "VALIDATION_ERROR", "dateCode"),
        ({"toolId": "ST-1", "includeSplits": "true"}, "VALIDATION_ERROR", "includeSplits"),
        ({"lotId": "A", "includeSplits": "perhaps"}, "VALIDATION_ERROR", "includeSplits"),
        ({"lotId": "A", "from": at(9).isoformat(), "to": at(9).isoformat()}, "VALIDATION_ERROR", "from"),
        ({"lotId": "A", "from": "yesterday"}, "VALIDATION_ERROR", "from"),
        ({"lotId": "A", "cursor": "x"}, "VALIDATION_ERROR", "cursor"),
        ({"lotId": "A", "pageSize": "0"}, "VALIDATION_ERROR", "pageSize"),
        ({"lotId": "A", "format": "pdf"}, "VALIDATION_ERROR", "format"),
        ({"lot": "A"}, "VALIDATION_ERROR", "lot"),
        ({"lotId": "NONE"}, "LOT_NOT_FOUND", ""),
        ({"toolId": "NONE"}, "TOOL_NOT_FOUND", ""),
        ({"materialCode": "NONE", "dateCode": "1"}, "MATERIAL_NOT_FOUND", ""),
        ({"lotId": "A", "stationCode": "NONE"}, "STATION_NOT_FOUND", ""),
    ],
)
def test_what_names_nothing_is_refused(quality, asked, code, field):
    answer = quality.get(WHERE, asked)
    details = assert_refused(answer, code, 400 if field else 404)
    assert not field or field in details


def test_splits_are_followed_where_they_are_asked_for(plant, quality):
    make_load(
        at(50),
        None,
        slot="9",
        station=plant.stations["REF-01"],
        lot=make_lot("A/1/1", parent=lot("A/1"), split_at=at(1)),
    )
    assert set(sns(find(quality, lotId="A"))) == {"SN-1", "SN-2", "SN-3"}
    assert set(sns(find(quality, lotId="A", includeSplits="true"))) == {"SN-1", "SN-2", "SN-3", "SN-6"}


def lot(lot_id: str) -> Any:
    return MaterialLot.objects.get(lot_id=lot_id)


def test_it_climbs_to_units_that_have_it_inside(plant, quality):
    case, rack = Unit.objects.bulk_create(
        Unit(sn=sn, work_order=plant.order, run=plant.run, current_step_no=10) for sn in ("CASE", "RACK")
    )
    part = Material.objects.get()
    for outer, inner in ((case, plant.units[0]), (rack, case)):
        InstalledSerial.objects.create(
            unit=outer, serial=inner.sn, child=inner, material=part, station=plant.stations["TST-01"]
        )
    found = {item["sn"]: item["via"] for item in find(quality, lotId="A")["items"]}
    assert found == {"SN-1": None, "SN-2": None, "SN-3": None, "CASE": "SN-1", "RACK": "SN-1"}
    assert {item["sn"]: item["via"] for item in find(quality, serial="SN-1")["items"]} == {"CASE": None, "RACK": "CASE"}
    inside = [(row["lotId"], row["via"]) for row in assert_done(quality.get("/api/trace/units/RACK"))["materials"]]
    assert ("A", "SN-1") in inside


def test_pages_follow_each_other_and_files_have_all(plant, quality, django_assert_num_queries):
    seen: list[str] = []
    address: str | None = f"{WHERE}?program=TOP-1&pageSize=4"
    while address:
        page = assert_done(quality.get(address))
        assert page["counts"]["units"] == 6
        seen += [item["sn"] for item in page["items"]]
        address = page["next"]
    assert seen == [f"SN-{number}" for number in (6, 5, 4, 3, 2, 1)]
    csv = b"".join(quality.get(f"{WHERE}?lotId=A&format=csv")).decode().splitlines()
    assert [line.split(",")[0] for line in csv[1:]] == ["SN-3", "SN-2", "SN-1"]
    sheet = load_workbook(BytesIO(quality.get(f"{WHERE}?lotId=A&format=xlsx").content)).active
    assert sheet is not None and [row[0].value for row in list(sheet.rows)[1:]] == ["SN-3", "SN-2", "SN-1"]


def test_what_was_seen_is_held_and_what_comes_to_have_it_is_caught(plant, quality):
    body = {"lotId": "A", "reason": "cracked", "expectedCount": 3}
    Unit.objects.filter(sn="SN-2").update(status="SCRAPPED")
    with nothing_written():
        details = assert_refused(quality.post(f"{WHERE}/hold", {**body, "expectedCount": 2}), "HOLD_COUNT_CHANGED")
    assert details == {"count": 3, "expected": 2}
    held = assert_done(quality.post(f"{WHERE}/hold", body), 201)
    assert held["condition"] == {"lotId": "A"}
    assert set(HeldUnit.objects.values_list("unit__sn", flat=True)) == {"SN-1", "SN-3"}
    for wrong in ({**body, "lotId": None}, {**body, "expectedCount": None}, {**body, "expectedCount": -1}):
        assert_refused(quality.post(f"{WHERE}/hold", wrong), "VALIDATION_ERROR", 400)
    assert api_client(Role.OPERATOR).post(f"{WHERE}/hold", body).status_code == 403


def test_a_board_that_stood_for_days_is_found(plant, quality):
    """What is over a day, or in there still, has an index of its own: the end does not tell that it met a load."""
    station, unit = plant.stations["TST-01"], plant.units[0]
    make_load(at(100), at(101), station=station, lot=make_lot("SHORT"))
    for since, until in ((at(-5000), at(5000 - 2880)), (at(-6000), None)):
        track = make_track(unit, station, since, until, 30)
        assert set(sns(find(quality, lotId="SHORT"))) == {"SN-1"}, (since, until)
        track.delete()
    assert not find(quality, lotId="SHORT")["items"]


def test_what_was_reported_stands_in_the_place_of_what_was_derived(plant, quality):
    track = plant.units[2].tracks.get(station__code="REF-01")
    reported = use(track, lot("B"), slot="1", ref_des="R1")
    assert sns(find(quality, lotId="A")) == {"SN-1": "SINGLE", "SN-2": "SINGLE"}
    assert sns(find(quality, lotId="B"))["SN-3"] == "REPORTED"
    use(track, lot("B"), is_removed=True, used_at=reported.used_at + timedelta(minutes=1))
    assert "SN-3" not in sns(find(quality, lotId="B"))
    assert "SN-3" not in sns(find(quality, lotId="A"))
