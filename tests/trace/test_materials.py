"""What a unit's trace and page tell of its materials, and how far it can be traced."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.plant.models import BomItem, Material
from mes.platform.accounts.roles import Role
from tests.execution.materials.support import at, bind_list, make_load, make_lot, make_track, use
from tests.execution.support import assert_done
from tests.factories import Plant, api_client, make_plant, make_user
from trace.units import get_unit_trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> Plant:
    """A board of one part, in the oven while reel A stood in the slot that the list wants it in."""
    plant = make_plant(units=1)
    board = Material.objects.create(code="BOARD-1", name="Board", trace_level=3)
    part = Material.objects.create(code="R-10K", name="Resistor")
    BomItem.objects.create(parent=board, child=part, quantity=1, ref_des=["R1"])
    bind_list(plant.run, {plant.stations["REF-01"]: ["1"]}, at(0), part)
    return plant


def levels(client: Any) -> tuple[int, list[tuple[int, str, str | None]]]:
    told = assert_done(client.get("/api/trace/units/SN-1"))["traceability"]
    assert told["declared"] == 3
    return told["reached"], [(each["level"], each["code"], each["refDes"]) for each in told["missing"]]


def test_a_trace_rises_level_by_level(plant):
    client, station, unit = api_client(), plant.stations["REF-01"], plant.units[0]
    part = Material.objects.get(code="R-10K")
    track = make_track(unit, station, at(0), at(5))
    assert levels(client) == (0, [(1, "NOT_IN_RUN", None)])
    make_load(at(1500), None, station=station, lot=make_lot("LATER", material=part))
    assert levels(client) == (1, [(2, "NOT_IN_UNIT", None)])
    reel = make_lot("A", material=part)
    make_load(at(-60), at(3), station=station, lot=reel)
    other = make_load(at(3), at(60), station=station, lot=make_lot("B", material=None))
    assert levels(client) == (
        2,
        [(3, "ONE_OF_SEVERAL", None), (3, "NO_SUPPLIER_LOT", None)],
    )
    other.delete()
    reel.date_code = "2631"
    reel.save()
    assert levels(client) == (3, [(4, "NOT_REPORTED", "R1")])
    use(track, reel, slot="1", ref_des="R1")
    assert levels(client) == (4, [])
    BomItem.objects.all().delete()
    assert levels(client) == (0, [(1, "NO_BOM", None)])


def test_the_trace_tells_what_it_is_made_of(plant):
    station = plant.stations["REF-01"]
    part = Material.objects.get(code="R-10K")
    track = make_track(plant.units[0], station, at(0), at(5))
    lot = make_lot("A", material=part, supplier_lot="SL-1", date_code="2631")
    load = make_load(at(-60), None, station=station, lot=lot, verify="PASS")
    make_load(at(-60), None, slot="2", station=station, lot=make_lot("NOT LISTED"))
    [told] = assert_done(api_client().get("/api/trace/units/SN-1"))["materials"]
    assert told == {
        "kind": "LOT", "trackId": str(track.pk), "stepNo": 20, "stationCode": "REF-01", "slot": "1",
        "materialCode": "R-10K", "lotId": "A", "supplierLot": "SL-1", "dateCode": "2631", "toolId": None,
        "program": None, "serial": None, "refDes": ["R1"], "certainty": "SINGLE", "verify": "PASS",
        "from": told["from"], "to": None, "loadId": str(load.pk), "via": None,
    }  # fmt: skip


def test_pages_show_it_in_as_many_statements_as_without(plant):
    browser = Client()
    browser.force_login(make_user(Role.QUALITY))
    browser.get("/trace/units/SN-1/")
    with CaptureQueriesContext(connection) as before:
        assert "R-10K" in browser.get("/trace/units/SN-1/").content.decode()
    station = plant.stations["REF-01"]
    for number in range(3):
        make_track(plant.units[0], station, at(10 * number), at(10 * number + 5), attempt=number + 1)
    make_load(at(-60), at(12), station=station, lot=make_lot("A/ü", material=Material.objects.get(code="R-10K")))
    make_load(at(12), None, station=station, lot=make_lot("B"))
    with CaptureQueriesContext(connection) as after:
        page = browser.get("/trace/units/SN-1/").content.decode()
    assert len(before) == len(after)
    assert "A/ü" in page and "one of several" in page and "/where-used/?lotId=A%2F%C3%BC" in page
    with CaptureQueriesContext(connection) as read:
        get_unit_trace(sn="SN-1")
    assert len(read) == 3
    found = browser.get("/where-used/?lotId=A/ü&from=2026-01-01T00:00").content.decode()
    assert "Certainly in 1, perhaps in 0" in found and "/holds/new/?lotId=A%2F%C3%BC" in found
    held = browser.get("/holds/new/?lotId=A/ü").content.decode()
    assert "One unit fits" in held and "What it is made of" in held
    assert "SN-1" in b"".join(browser.get("/where-used/?lotId=A/ü&format=csv")).decode()
    assert browser.get("/where-used/").status_code == 200
    assert "Look for one thing at a time" in browser.get("/where-used/?lotId=A&program=B").content.decode()
    assert browser.get("/where-used/?lotId=NONE&from=x").status_code == 400
    assert browser.get("/where-used/?lotId=NONE").status_code == 404
