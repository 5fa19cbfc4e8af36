"""The examples of the IPC-CFX SDK (`tests/payloads/cfx`), and what other messages of their types may say."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution import carriers, panels
from execution.models import Carrier, CarrierLoad, DataValue, Defect, Track
from ingest.mapping import presets
from ingest.mapping.presets import Preset
from ingest.models import SettledIngestEvent
from mes.production.models import Run, Unit
from tests.factories import make_operation, make_spec
from tests.ingest import test_presets
from tests.ingest.conftest import Send
from tests.ingest.support import push
from tests.ingest.test_presets import preset_of

pytestmark = pytest.mark.django_db
PAYLOADS = Path(__file__).parents[1] / "payloads" / "cfx"
STATION = "MNT-1"
NAMES = {
    "WorkStarted": "CFX.Production.WorkStarted",
    "WorkCompleted": "CFX.Production.WorkCompleted",
    "UnitsProcessed": "CFX.Production.Processing.UnitsProcessed",
    "UnitsInspected": "CFX.Production.TestAndInspection.UnitsInspected",
    "UnitsTested": "CFX.Production.TestAndInspection.UnitsTested",
}
UNITS = ("Units", "UnitProcessData", "InspectedUnits", "TestedUnits")


def make_route_of(preset: Preset, sns: list[str]) -> None:
    """Make a route of the one step that a preset is for; its specs are those that a test makes."""
    test_presets.make_route_of(preset, sns, specs=())


def body_of(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return body


def message(name: str, body: dict[str, Any], *, event_type: str = "AUTO", station: str = STATION) -> dict[str, Any]:
    """Return the event in which a message comes."""
    at = timezone.now().isoformat()
    key = f"{name}-{message.count}"
    message.count += 1
    payload = {"MessageName": NAMES[name.partition("-")[0]], "UniqueID": key, "Source": station, "MessageBody": body}
    return {"dedupeKey": key, "sourceSystem": station, "eventType": event_type, "occurredAt": at, "payload": payload}


message.count = 0  # type: ignore[attr-defined]


def units_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    return next((body[name] for name in UNITS if body.get(name)), [])


def sns_in(body: dict[str, Any]) -> list[str]:
    positions = [
        (unit["UnitIdentifier"], unit.get("PositionNumber") or unit["UnitPositionNumber"]) for unit in units_in(body)
    ]
    return [f"{identifier}-{position}" for identifier, position in positions]


def started_with(body: dict[str, Any], sns: list[str]) -> dict[str, Any]:
    """Return a WorkStarted of the transaction of another message."""
    names = [sn.rpartition("-") for sn in sns]
    units = [{"UnitIdentifier": identifier, "PositionNumber": int(position)} for identifier, _dash, position in names]
    return {"TransactionID": body["TransactionId"], "Lane": 1, "UnitCount": len(units), "Units": units}


def results() -> dict[str, tuple[str, str]]:
    tracks = Track.objects.order_by("id").values_list("unit__sn", "result", "result_override")
    return {sn: (result, override) for sn, result, override in tracks}


# --- as they are ------------------------------------------------------------------------------------------


def test_work_started_and_completed(send: Send) -> None:
    started, completed = body_of("WorkStarted-1"), body_of("WorkCompleted-1")
    make_route_of(preset_of("cfx-work-started"), sns_in(started))
    send(message("WorkStarted-1", started), 201)
    send(message("WorkCompleted-1", completed), 201)
    assert results() == {"CARRIER5566-1": ("PASS", ""), "CARRIER5566-2": ("PASS", "")}


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        ("UnitsProcessed-1", []),
        ("UnitsProcessed-2", []),
        ("UnitsInspected-1", ["PANEL34543535-2"]),
        ("UnitsInspected-3", ["PANEL34543535-2"]),
        ("UnitsTested-1", ["PANEL34543535-1"]),
    ],
)
def test_started_processed_completed(send: Send, name: str, failed: list[str]) -> None:
    body = body_of(name)
    sns = sns_in(body) or ["OVEN-PANEL-1", "OVEN-PANEL-2"]
    make_route_of(preset_of("cfx-work-started"), sns)
    send(message("WorkStarted", started_with(body, sns)), 201)
    send(message(name, body), 201)
    assert set(Unit.objects.values_list("status", flat=True)) == {"IN_STATION"}
    send(message("WorkCompleted", {**body_of("WorkCompleted-1"), "TransactionID": body["TransactionId"]}), 201)
    assert results() == {sn: ("FAIL", "REPORT") if sn in failed else ("PASS", "") for sn in sns}


@pytest.mark.parametrize(
    ("preset", "name", "failed"),
    [
        ("cfx-units-inspected", "UnitsInspected-1", ["PANEL34543535-2"]),
        ("cfx-units-inspected", "UnitsInspected-3", ["PANEL34543535-2"]),
        ("cfx-units-tested", "UnitsTested-1", ["PANEL34543535-1"]),
    ],
)
def test_in_and_out_at_once(send: Send, preset: str, name: str, failed: list[str]) -> None:
    body = body_of(name)
    found = preset_of(preset)
    make_route_of(found, sns_in(body))
    station = found.event["payload"]["Source"]
    send(message(name, body, event_type=found.station_type, station=station), 201)
    assert results() == {sn: ("FAIL" if sn in failed else "PASS", "") for sn in sns_in(body)}


def test_defects_arrive(send: Send) -> None:
    body = body_of("UnitsInspected-1")
    make_route_of(preset_of("cfx-units-inspected"), sns_in(body))
    send(message("UnitsInspected", body, station="AOI-1"), 201)
    found = Defect.objects.order_by("id").values_list("unit__sn", "code", "location", "remark")
    assert list(found) == [
        ("PANEL34543535-2", "ISFSLD112", "R22.1", "Insuffiecient Solder on R22, Lead 1"),
        ("PANEL34543535-2", "TMBSTN211", "R22", "Tombston on R22"),
        ("PANEL34543535-2", "SCR23443", "", "Scratch Detected on PCB substrate"),
    ]


def test_symptoms_of_a_failed_test_are_defects(send: Send) -> None:
    body = body_of("UnitsTested-1")
    make_route_of(preset_of("cfx-units-tested"), sns_in(body))
    send(message("UnitsTested", body, event_type="TEST", station="ICT-1"), 201)
    found = Defect.objects.order_by("id").values_list("unit__sn", "code", "location", "remark")
    words = ("RESFAIL2", "Resistance Value Out of Tolerance")
    assert list(found) == [("PANEL34543535-1", words[0], place, words[1]) for place in ("R22.1", "R22.2")]


def test_a_measurement_that_failed_is_a_defect_of_the_components_that_it_names(send: Send) -> None:
    make_route_of(preset_of("cfx-units-inspected"), ["P-1"])
    failed = {**PASTE, "Result": "Failed", "CRDs": "R1.1,r2.1"}
    told = inspected(inspection("Failed", Measurements=[failed]), result="Failed")
    send(message("UnitsInspected", told, station="AOI-1"), 201)
    found = Defect.objects.order_by("id").values_list("code", "location", "remark", "source")
    assert list(found) == [("OUT_OF_LIMITS", place, "R1.1", "MACHINE") for place in ("R1.1", "R2.1")]


def values() -> list[tuple[str, str, float]]:
    rows = DataValue.objects.order_by("unit__sn", "name")
    return [(row.unit.sn, row.name, round(row.value_number, 6)) for row in rows]


def unmapped() -> int:
    return sum(SettledIngestEvent.objects.values_list("unmapped_count", flat=True))


def test_offsets_of_components_arrive(send: Send) -> None:
    make_spec(make_operation("AOI"), name="R2 DX", unit="µm", usl=30)
    body = body_of("UnitsInspected-3")
    make_route_of(preset_of("cfx-units-inspected"), sns_in(body))
    send(message("UnitsInspected", body, station="AOI-1"), 201)
    assert values() == [("PANEL34543535-1", "R2 DX", 20), ("PANEL34543535-2", "R2 DX", 20)]
    assert unmapped() == 2 * 4 * 6 - 2


PASTE = {
    "$type": "CFX.Structures.SolderPasteInspection.SolderPasteMeasurement, CFX",
    "X": 5.62,
    "EX": 5.6,
    "Y": 8.29,
    "EY": 8.3,
    "Z": 5.01,
    "EZ": 5.0,
    "DX": 0.02,
    "DY": 0.03,
    "Vol": 5.11,
    "EVol": 5.1,
    "Image": None,
    "MeasurementName": "R1.1",
    "TimeRecorded": None,
    "Sequence": 0,
    "Result": "Passed",
    "CRDs": "R1.1",
}


def inspected(*inspections: dict[str, Any], result: str = "Passed", **fields: Any) -> dict[str, Any]:
    unit = {"UnitIdentifier": "P", "UnitPositionNumber": 1, "OverallResult": result, "Inspections": list(inspections)}
    return {"TransactionId": "T-1", "InspectedUnits": [{**unit, **fields}]}


def inspection(result: str = "Passed", *defects: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Result": result, "DefectsFound": list(defects), "Symptoms": None, "Measurements": [], **fields}


def test_values_of_solder_paste_arrive(send: Send) -> None:
    operation = make_operation("AOI")
    make_spec(operation, name="R1.1 Vol", lsl=4, usl=6)
    make_spec(operation, name="R1.1 Z", unit="mm")
    make_route_of(preset_of("cfx-units-inspected"), ["P-1"])
    send(message("UnitsInspected", inspected(inspection(Measurements=[PASTE])), station="AOI-1"), 201)
    assert values() == [("P-1", "R1.1 Vol", 5.11), ("P-1", "R1.1 Z", 5.01)]
    assert unmapped() == 4  # X, Y, DX, DY


def test_values_of_an_oven_go_to_every_unit_of_its_transaction(send: Send) -> None:
    operation = make_operation("AOI")
    make_spec(operation, name="Zone 3 Bottom Temperature", unit="°C", lsl=230, usl=250)
    make_spec(operation, name="ConveyorSpeed")
    body, sns = body_of("UnitsProcessed-1"), ["OVEN-PANEL-1", "OVEN-PANEL-2"]
    make_route_of(preset_of("cfx-work-started"), sns)
    send(message("WorkStarted", started_with(body, sns)), 201)
    send(message("UnitsProcessed", body), 201)
    assert values() == [
        (sn, name, value) for sn in sns for name, value in (("ConveyorSpeed", 60), ("Zone 3 Bottom Temperature", 239.5))
    ]
    readings = sum(len(zone["Readings"]) for zone in body["CommonProcessData"]["ZoneData"])
    assert unmapped() == readings - 1


def test_values_of_a_coating_machine_arrive(send: Send) -> None:
    make_spec(make_operation("AOI"), name="FluidVolume", lsl=0.8, usl=1.2)
    body = body_of("UnitsProcessed-2")
    make_route_of(preset_of("cfx-work-started"), sns_in(body))
    send(message("WorkStarted", started_with(body, sns_in(body))), 201)
    send(message("UnitsProcessed", body), 201)
    assert values() == [("CARRIER55678-1", "FluidVolume", 1.1), ("CARRIER55678-2", "FluidVolume", 1.1)]


# --- what people decided, and what was not done -----------------------------------------------------------

REJECTED, ACCEPTED = {"Verification": "DefectRejected"}, {"Verification": "DefectAccepted"}
CONFIRMED, OPEN = {"Verification": "DefectConfirmed"}, {"Verification": "NotVerifiedYet"}
DEFECT = {"DefectCode": "D1"}


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (inspected(inspection("Failed", DEFECT), result="Failed"), "FAIL"),
        (inspected(inspection("Failed", {**DEFECT, **OPEN}, **OPEN), result="Failed", **OPEN), "FAIL"),
        (inspected(inspection("Failed", {**DEFECT, **REJECTED}), result="Failed"), "PASS"),
        (inspected(inspection("Failed", {**DEFECT, **ACCEPTED}, **OPEN), result="Failed", **OPEN), "PASS"),
        (inspected(inspection("Failed", DEFECT, **REJECTED), result="Failed", **OPEN), "PASS"),
        (inspected(inspection("Failed", DEFECT), result="Failed", **REJECTED), "PASS"),
        (inspected(inspection("Failed", DEFECT, **REJECTED), result="Passed"), "PASS"),
        (inspected(inspection("Failed", {**DEFECT, **REJECTED}, DEFECT), result="Failed"), "FAIL"),
        (inspected(inspection("Failed", {**DEFECT, **REJECTED}, {**DEFECT, **CONFIRMED}), result="Failed"), "FAIL"),
        (inspected(inspection("Failed", DEFECT, **REJECTED), inspection("Failed", DEFECT), result="Failed"), "FAIL"),
        (inspected(inspection("Failed", {**DEFECT, **CONFIRMED}), result="Failed", **REJECTED), "FAIL"),
        (inspected(inspection("Passed"), result="Passed", **CONFIRMED), "FAIL"),
        (inspected(inspection("Passed"), result="Failed"), "FAIL"),
        (inspected(inspection("Passed", **REJECTED), result="Failed"), "FAIL"),
        (inspected(inspection("Error", **REJECTED), result="Failed"), "FAIL"),
        (inspected(inspection("Error"), result="Failed", **REJECTED), "FAIL"),
        (inspected(inspection("Failed", DEFECT, **REJECTED), result="Aborted"), "FAIL"),
        (inspected(result="Failed"), "FAIL"),
        (inspected(result="Passed", Inspections=None), "PASS"),
        (inspected(inspection(Measurements=[{**PASTE, "Result": "Failed"}])), "FAIL"),
        (inspected(inspection("Skipped"), inspection("Passed")), "PASS"),
        (inspected(inspection("Skipped"), inspection("Failed", DEFECT)), "FAIL"),
        (inspected(inspection("Skipped"), result="Failed"), "FAIL"),
        (inspected(inspection("Skipped")), None),
        (inspected(inspection("Skipped"), inspection("Skipped"), result="Skipped"), None),
        (inspected(result="Skipped"), None),
    ],
)
@pytest.mark.parametrize("kind", ["UnitsInspected", "UnitsTested"])
def test_the_verdict_of_a_unit(send: Send, kind: str, body: dict[str, Any], result: str | None) -> None:
    """A false call that a person rejected fails nobody, nor does what was skipped; anything else does."""
    event_type, station = ("AUTO", "AOI-1") if kind == "UnitsInspected" else ("TEST", "ICT-1")
    if kind == "UnitsTested":
        body = json.loads(json.dumps(body).replace("InspectedUnits", "TestedUnits").replace("Inspections", "Tests"))
    make_route_of(preset_of("cfx-units-inspected" if kind == "UnitsInspected" else "cfx-units-tested"), ["P-1"])
    answer = send(message(kind, body, event_type=event_type, station=station), 201)
    assert results() == ({} if result is None else {"P-1": (result, "")})
    assert answer.get("leftOut", 0) == (result is None)
    assert Defect.objects.filter(status="OPEN").exists() == (result == "FAIL")


def test_a_skipped_unit_with_an_open_pass_failed_there(send: Send) -> None:
    make_route_of(preset_of("cfx-work-started"), ["P-1"])
    body = inspected(result="Skipped")
    send(message("WorkStarted", started_with(body, ["P-1"])), 201)
    send(message("UnitsInspected", body), 201)
    assert results() == {"P-1": ("FAIL", "SKIP")}


# --- pallets ----------------------------------------------------------------------------------------------


def load(sns: list[str]) -> None:
    placings = [carriers.Placing(sn, str(position)) for position, sn in enumerate(sns, start=1)]
    carriers.load(carrier_no="CARRIER5566", placings=placings)


@pytest.mark.parametrize("round_trips", [3])
def test_a_pallet_is_used_again(send: Send, round_trips: int) -> None:
    started, completed = body_of("WorkStarted-1"), body_of("WorkCompleted-1")
    sns = [f"SN-{number}" for number in range(2 * round_trips)]
    make_route_of(preset_of("cfx-on-pallets"), sns)
    for index in range(round_trips):
        on_it = sns[2 * index : 2 * index + 2]
        load(on_it)
        transaction = {"TransactionID": f"T-{index}"}
        send(message("WorkStarted", {**started, **transaction}), 201)
        units = [
            {**unit, "UnitPositionNumber": unit["PositionNumber"], "UnitResult": "Succeeded"}
            for unit in started["Units"]
        ]
        processed = {"TransactionId": f"T-{index}", "OverallResult": "Succeeded", "UnitProcessData": units}
        send(message("UnitsProcessed", processed), 201)
        send(message("WorkCompleted", {**completed, **transaction}), 201)
        assert (
            list(Unit.objects.filter(status="DONE").order_by("sn").values_list("sn", flat=True)) == sns[: 2 * index + 2]
        )
        assert not CarrierLoad.objects.filter(unloaded_at=None).exists()
    assert Carrier.objects.count() == 1


def test_two_pallets_in_one_message_are_refused(client: APIClient) -> None:
    make_route_of(preset_of("cfx-on-pallets"), ["SN-1"])
    body = copy.deepcopy(body_of("WorkStarted-1"))
    body["Units"][1]["UnitIdentifier"] = "CARRIER-9"
    assert push(client, message("WorkStarted", body), 422)["code"] == "INGEST_PAYLOAD_INVALID"


def test_the_presets_bring_them_as_examples() -> None:
    brought = {
        one.name.partition(" ")[0]: one.event["payload"]["MessageBody"]
        for preset in presets.list_presets()
        for one in preset.examples
        if one.name.endswith("of the IPC-CFX SDK")
    }
    assert brought == {path.stem: body_of(path.stem) for path in PAYLOADS.glob("*.json")}
    assert len({one.name for one in preset_of("cfx-work-started").examples}) == 7


# --- panels -----------------------------------------------------------------------------------------------


def make_panel(preset: Preset) -> None:
    """Make a run with a panel CARRIER5566, whose first board has a label and whose second has none."""
    make_route_of(preset, [])
    boards = [panels.Board(1, "LABEL-1"), panels.Board(2), panels.Board(3, is_x_out=True)]
    Run.objects.update(units_registered=False)
    panels.register_panels(run_no=Run.objects.get().run_no, panels=[panels.Panel("CARRIER5566", boards)], by="test")


def test_boards_of_a_panel_are_reached_by_their_positions_with_a_label_or_without(send: Send) -> None:
    make_panel(preset_of("cfx-on-pallets"))
    started, completed = body_of("WorkStarted-1"), body_of("WorkCompleted-1")
    send(message("WorkStarted", started), 201)
    assert set(Unit.objects.values_list("sn", "status")) == {
        ("LABEL-1", "IN_STATION"),
        ("CARRIER5566:2", "IN_STATION"),
    }
    send(message("WorkCompleted", completed), 201)
    assert results() == {"LABEL-1": ("PASS", ""), "CARRIER5566:2": ("PASS", "")}


def test_one_board_alone_is_reached_by_its_place_also_after_the_panel_was_parted(send: Send) -> None:
    preset = copy.deepcopy(preset_of("cfx-units-inspected"))
    mapping = json.loads(json.dumps(preset.mapping).replace("join('-'", "join(':'"))
    assert mapping != preset.mapping
    make_panel(replace(preset, mapping=mapping))
    panels.depanel(carrier_no="CARRIER5566", given=[panels.Label("2", "LABEL-2")], by="test")
    body = body_of("UnitsInspected-1")
    [unit, *_others] = body["InspectedUnits"]
    for position in (1, 2):
        one = {**unit, "UnitIdentifier": "CARRIER5566", "UnitPositionNumber": position, "OverallResult": "Passed"}
        said = {**body, "InspectedUnits": [{**one, "Inspections": []}]}
        send(message("UnitsInspected", said, station=test_presets.station_in(preset)), 201)
    assert results() == {"LABEL-1": ("PASS", ""), "LABEL-2": ("PASS", "")}
