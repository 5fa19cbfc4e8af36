"""Parts with serial numbers in units, and what machines report that they used."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution.materials.models import InstalledSerial, MaterialUse
from execution.quality.holds import batches
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.tools.models import Tool
from mes.plant.models import BomItem, Material
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit
from tests.execution.materials.support import at, make_load, make_lot, make_track
from tests.execution.support import assert_done, assert_refused, nothing_written
from tests.factories import Plant, api_client, make_plant
from tests.integration.helpers import moment

USES = "/api/integration/material-uses"
INSTALL = "/api/stations/TST-01/install"


@pytest.fixture
def plant(db: None) -> Plant:
    """A rack, a case that is done and goes into racks, and a board that is done and goes into cases."""
    return make_assembly()


def make_assembly() -> Plant:
    plant = make_plant(units=3)
    for sn, unit, product, status in zip(
        ("RACK", "CASE", "BOARD"), plant.units, ("P-RACK", "P-CASE", "P-BOARD"), ("QUEUED", "DONE", "DONE"), strict=True
    ):
        order = plant.order
        order.pk, order.wo_no, order.product_code = None, f"WO-{sn}", product
        order._state.adding = True
        order.save()
        Unit.objects.filter(pk=unit.pk).update(sn=sn, work_order=order, status=status)
        Material.objects.create(code=product, name=product)
    material = {each.code: each for each in Material.objects.all()}
    BomItem.objects.create(parent=material["P-RACK"], child=material["P-CASE"], quantity=1)
    Material.objects.create(code="PSU", name="Power supply")
    return plant


@pytest.fixture
def client(plant: Plant) -> APIClient:
    return api_client(Role.OPERATOR)


def install(client: APIClient, serial: str, material: str = "PSU", sn: str = "RACK", **body: Any) -> Any:
    return client.post(INSTALL, {"sn": sn, "serial": serial, "materialCode": material, **body})


def test_a_part_is_in_one_unit_at_a_time_and_may_be_replaced(client):
    made = assert_done(install(client, "PSU-1", refDes="G1"), 201)
    assert (made["sn"], made["serial"], made["refDes"], made["isUnit"]) == ("RACK", "PSU-1", "G1", False)
    assert assert_done(install(client, "PSU-1", refDes="G1"))["id"] == made["id"]
    assert assert_refused(install(client, "PSU-1", sn="CASE"), "UNIT_INSTALLED") == {"serial": "PSU-1", "sn": "RACK"}
    assert_done(install(client, "PSU-1", material="P-CASE", sn="CASE"), 201)  # another maker counts alike
    assert "reason" in assert_refused(install(client, "PSU-2", replaces="PSU-1"), "VALIDATION_ERROR", 400)
    with nothing_written():
        body = {"replaces": "NONE", "reason": "dead"}
        assert "replaces" in assert_refused(install(client, "PSU-2", **body), "VALIDATION_ERROR", 400)
    assert_done(install(client, "PSU-2", replaces="PSU-1", reason="dead"), 201)
    gone = InstalledSerial.objects.get(serial="PSU-1", material__code="PSU")
    assert (gone.removed_at is not None, gone.remove_reason) == (True, "dead")
    told = assert_done(api_client().get("/api/trace/units/RACK"))["materials"]
    assert [(row["kind"], row["serial"], row["certainty"]) for row in told] == [("SERIAL", "PSU-2", "REPORTED")]
    assert_done(install(client, "PSU-1"), 201)


def test_a_unit_that_becomes_a_part_must_be_done_and_fit(client):
    assert_done(install(client, "CASE", "P-CASE"), 201)
    assert_refused(install(client, "BOARD", "P-BOARD"), "BOM_MISMATCH")
    assert_refused(install(client, "BOARD", "P-CASE"), "BOM_MISMATCH")
    Unit.objects.filter(sn="BOARD").update(status="QUEUED")
    assert_refused(install(client, "BOARD", "P-BOARD", sn="CASE"), "CHILD_NOT_DONE")
    Unit.objects.filter(sn="BOARD").update(status="DONE")
    assert_done(install(client, "BOARD", "P-BOARD", sn="CASE"), 201)  # without a bill of materials, anything
    for serial, sn in (("RACK", "BOARD"), ("RACK", "CASE"), ("RACK", "RACK")):
        Unit.objects.filter(sn=serial).update(status="DONE")
        assert_refused(install(client, serial, f"P-{serial}", sn=sn), "UNIT_IN_ITSELF")
    with pytest.raises(IntegrityError), transaction.atomic():
        row = InstalledSerial.objects.get(serial="CASE")
        InstalledSerial.objects.create(
            unit=row.unit, serial="X", child=row.child, material=row.material, station=row.station
        )


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"sn": "NOBODY"}, "UNIT_NOT_FOUND", 404),
        ({"materialCode": "NONE"}, "MATERIAL_NOT_FOUND", 404),
        ({"serial": None}, "VALIDATION_ERROR", 400),
        ({"serial": "x" * 101}, "VALIDATION_ERROR", 400),
        ({"serial": "A\u200bB"}, "VALIDATION_ERROR", 400),
        ({"sn": "CASE"}, "INVALID_TRANSITION", 409),
    ],
)
def test_what_makes_no_sense_is_refused(client, body, code, status):
    Unit.objects.filter(sn="CASE").update(status="SCRAPPED")
    with nothing_written():
        assert_refused(client.post(INSTALL, {"sn": "RACK", "serial": "S", "materialCode": "PSU", **body}), code, status)
    assert not InstalledSerial.objects.exists()


# --- reported ------------------------------------------------------------------------------------------------------


def report(client: APIClient, *uses: dict[str, Any], event_id: str = "evt-1", minutes: float = 1) -> Any:
    return client.post(USES, body_of(*uses, event_id=event_id, minutes=minutes))


def body_of(*uses: dict[str, Any], event_id: str = "evt-1", minutes: float = 1) -> dict[str, Any]:
    body = {"eventId": event_id, "eventTime": moment(minutes=minutes), "source": "AUTO", "stationCode": "REF-01"}
    return {**body, "uses": list(uses)}


def test_reported_uses_are_exact_and_come_once(plant):
    client = api_client(Role.INTEGRATION)
    Tool.objects.create(tool_id="N-1", kind="NOZZLE")
    station, unit = plant.stations["REF-01"], plant.units[0]
    track = make_track(unit, station, at(0), None)
    part = Material.objects.get(code="PSU")
    make_load(at(0), None, station=station, lot=make_lot("LOADED", material=part))
    uses = [
        {"unitSn": "RACK", "lotId": "NEW", "materialCode": "PSU", "slot": "1", "refDes": "G1", "quantity": 1.5},
        {"unitSn": "RACK", "toolId": "N-1"},
        {"unitSn": "RACK", "serial": "S-1", "materialCode": "PSU", "refDes": "G2"},
    ]
    body = body_of(*uses)
    answer = assert_done(client.post(USES, body), 201)
    assert (answer["uses"], answer["isDuplicate"]) == (3, False)
    assert assert_done(client.post(USES, body))["isDuplicate"] is True
    assert MaterialUse.objects.count() == 2
    assert MaterialLot.objects.get(lot_id="NEW").material == part
    told = assert_done(api_client().get("/api/trace/units/RACK"))["materials"]
    assert {(row["lotId"] or row["toolId"] or row["serial"], row["trackId"], row["certainty"]) for row in told} == {
        (name, str(track.pk), "REPORTED") for name in ("NEW", "N-1", "S-1")
    }
    gone = [{**uses[0], "isRemoved": True}, {**uses[2], "isRemoved": True}]
    assert_done(report(client, *gone, event_id="evt-2", minutes=0.5), 201)
    told = assert_done(api_client().get("/api/trace/units/RACK"))["materials"]
    assert [row["toolId"] for row in told] == ["N-1"]


def test_of_two_parts_of_one_serial_number_the_one_of_its_material_is_taken_out(plant):
    """Makers count alike: what a report names is a serial number of a material."""
    client = api_client(Role.INTEGRATION)
    fan = Material.objects.create(code="FAN", name="Fan")
    parts = [{"unitSn": "RACK", "serial": "1", "materialCode": code} for code in ("PSU", "FAN")]
    assert_done(report(client, *parts), 201)
    assert_done(report(client, {**parts[1], "isRemoved": True}, event_id="evt-2", minutes=0.5), 201)
    assert InstalledSerial.objects.get(material=fan).removed_at is not None
    gone_already = {**parts[1], "isRemoved": True}
    assert_refused(report(client, gone_already, event_id="evt-3", minutes=0.4), "VALIDATION_ERROR", 400)
    assert InstalledSerial.objects.get(material__code="PSU").removed_at is None


def test_a_report_locks_all_units_at_once_and_before_its_lots(plant):
    uses = [
        {"unitSn": "RACK", "serial": "CASE", "materialCode": "P-CASE"},
        {"unitSn": "CASE", "serial": "S-1", "materialCode": "PSU"},
        {"unitSn": "BOARD", "serial": "S-2", "materialCode": "PSU"},
        {"unitSn": "RACK", "lotId": "NEW"},
    ]
    with CaptureQueriesContext(connection) as seen:
        assert_done(report(api_client(Role.INTEGRATION), *uses), 201)
    wanted = {
        "assemblies": "mes.assemblies",
        "units": 'FROM "mes_unit" WHERE "mes_unit"."id" IN',
        "lots": 'INSERT INTO "mes_materiallot"',
    }
    found = [
        name
        for each in seen
        for name, text in wanted.items()
        if text in each["sql"] and (name != "units" or "FOR NO KEY UPDATE" in each["sql"])
    ]
    assert found == ["assemblies", "units", "lots"]
    assert InstalledSerial.objects.count() == 3


@pytest.mark.parametrize(
    ("use", "code", "status"),
    [
        ({"lotId": "L-1", "toolId": "T"}, "VALIDATION_ERROR", 400),
        ({}, "VALIDATION_ERROR", 400),
        ({"serial": "S-1"}, "VALIDATION_ERROR", 400),
        ({"lotId": "A\u200bB"}, "VALIDATION_ERROR", 400),
        ({"lotId": " L"}, "VALIDATION_ERROR", 400),
        ({"lotId": "L", "quantity": -1}, "VALIDATION_ERROR", 400),
        ({"lotId": "L", "quantity": 1e300}, "VALIDATION_ERROR", 400),
        ({"lotId": "L", "slot": "\u0000"}, "VALIDATION_ERROR", 400),
        ({"toolId": "NONE"}, "TOOL_NOT_FOUND", 404),
        ({"lotId": "L", "materialCode": "NONE"}, "MATERIAL_NOT_FOUND", 404),
        ({"lotId": "L", "unitSn": "NOBODY"}, "UNIT_NOT_FOUND", 404),
        ({"lotId": "CASE"}, "SCAN_TYPE_MISMATCH", 422),
        ({"serial": "BOARD", "materialCode": "P-BOARD"}, "BOM_MISMATCH", 409),
        ({"serial": "S-9", "materialCode": "PSU", "isRemoved": True}, "VALIDATION_ERROR", 400),
    ],
)
def test_a_report_with_one_fault_keeps_nothing_but_the_message(plant, use, code, status):
    good = {"unitSn": "RACK", "lotId": "GOOD"}
    with nothing_written():
        assert_refused(report(api_client(Role.INTEGRATION), good, {"unitSn": "RACK", **use}), code, status)
    assert not MaterialUse.objects.exists() and not MaterialLot.objects.exists()


def test_a_hold_catches_what_comes_to_have_it(plant):
    quality, machine = api_client(Role.QUALITY), api_client(Role.INTEGRATION)
    make_lot("BAD")
    body = {"scope": "UNITS", "condition": {"lotId": "BAD"}, "reason": "cracked", "catches": True}
    held = assert_done(quality.post("/api/holds", body), 201)
    assert held["counts"]["units"] == 0
    assert_done(install(api_client(Role.OPERATOR), "CASE", "P-CASE"), 201)
    assert_done(report(machine, {"unitSn": "CASE", "lotId": "BAD"}), 201)
    for event in MesEvent.objects.filter(event_type=EventType.HOLD_APPLY):
        batches.handle(event)
    held_now = HeldUnit.objects.filter(hold=Hold.objects.get(), ended_at=None)
    assert set(held_now.values_list("unit__sn", flat=True)) == {"CASE", "RACK"}


# --- at once -------------------------------------------------------------------------------------------------------


def _at_once(*calls: Any) -> list[int]:
    def run(call: Any) -> int:
        try:
            return int(call().status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(run, calls))


def test_of_two_who_install_one_serial_number_one_is_told_where_it_is(transactional_db):
    make_assembly()
    clients = [api_client(Role.OPERATOR) for _number in range(2)]
    calls = [
        lambda client=client, sn=sn: install(client, "PSU-1", sn=sn)
        for client, sn in zip(clients, ("RACK", "CASE"), strict=True)
    ]
    assert _at_once(*calls) == [201, 409]
    assert InstalledSerial.objects.count() == 1


def test_units_that_are_installed_into_each_other_at_once_close_no_circle(transactional_db):
    """Three units in a ring, no two of the calls about the same two: the lock of assemblies alone keeps them apart."""
    make_assembly()
    Unit.objects.update(status="DONE")
    BomItem.objects.all().delete()
    ring = [("RACK", "CASE"), ("CASE", "BOARD"), ("BOARD", "RACK")]
    clients = [api_client(Role.OPERATOR) for _each in ring]
    calls = [
        lambda client=client, inner=inner, outer=outer: install(client, inner, f"P-{inner}", sn=outer)
        for client, (inner, outer) in zip(clients, ring, strict=True)
    ]
    assert _at_once(*calls) == [201, 201, 409]
