"""What IPC-CFX says of materials and tools: examples of its SDK (`tests/payloads/cfx_materials`), and others."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from integration.connectors import cfx
from integration.connectors.cfx import CfxError, Endpoint, LeftOut, Location, UnknownMessage

PAYLOADS = Path(__file__).parents[1] / "payloads" / "cfx_materials"
HANDLE, STATION = "SMTPlus.Model_21232.SN23123", "PLC-A1"
AT = "2018-10-03T16:03:06.109190-04:00"
ENDPOINTS = {HANDLE: Endpoint(STATION)}

Body = dict[str, Any]


def body_of(example: str) -> Body:
    body: Body = json.loads((PAYLOADS / f"{example}.json").read_text())
    return body


def message(name: str, body: Any, **envelope: Any) -> Body:
    """Return a message as it comes from a broker."""
    head = {"MessageName": f"CFX.Any.{name}", "Version": "1.7", "TimeStamp": "2018-10-03T16:03:06.1091909-04:00"}
    ids = {"UniqueID": "f3b2c8ec-50b7-4c63-9cb3-2ed57c01880f", "Source": HANDLE, "Target": None, "RequestID": None}
    return {**head, **ids, "MessageBody": body, **envelope}


def translate(name: str, body: Any, endpoint: Endpoint | None = None, **envelope: Any) -> list[tuple[str, Body]]:
    """Return channels and bodies of a message, without the envelope that all share."""
    endpoints = ENDPOINTS if endpoint is None else {HANDLE: endpoint}
    bodies = cfx.translate(message(name, body, **envelope), endpoints).bodies
    envelope_fields = ("eventId", "eventTime", "source", "meta")
    return [(channel, {n: v for n, v in said.items() if n not in envelope_fields}) for channel, said in bodies]


def loads(*items: Body, station: str = STATION) -> list[tuple[str, Body]]:
    return [("material-loads", {"stationCode": station, "loads": list(items)})]


def uses(*items: Body, station: str = STATION) -> list[tuple[str, Body]]:
    return [("material-uses", {"stationCode": station, "uses": list(items)})]


def loaded(slot: str, lot: str, part: str, quantity: float, action: str = "LOADED") -> Body:
    return {"action": action, "slot": slot, "lotId": lot, "materialCode": part, "quantity": quantity}


PART = {"lotId": "MAT4566556456", "materialCode": "IPN47788"}
UNITS = [f"PANEL23423432-{position}" for position in (1, 2)]
R = ("R1", "R2", "R3")
OLD_STENCIL, NEW_STENCIL = {"toolId": "UID23432434"}, {"toolId": "UID234344455"}


def lot_events(kind: str) -> list[tuple[str, Body]]:
    return [("lot-events", {"lotId": lot, "kind": kind}) for lot in ("MAT4566556456", "MAT4566553421")]


EXPECTED = {
    "MaterialsLoaded-1": loads(
        loaded("5555646453", "MAT4566556456", "IPN47788", 887),
        loaded("5555646454", "MAT4566554543", "IPN48899", 748),
        loaded("5555646455", "MAT4566553421", "IPN45577", 151),
        loaded("5555646455:2", "MAT4566555547", "IPN45577", 151),
        loaded("5555646456", "MAT4566588751", "IPN45577", 151),
        loaded("5555646457", "MAT4566589856", "IPN45577", 151),
    ),
    "MaterialsUnloaded-1": loads(
        *(
            {"action": "UNLOADED", "lotId": lot}
            for lot in ("MAT4566556456", "MAT4566554543", "MAT4566553421", "MAT4566555547")
        )
    ),
    "MaterialsEmpty-1": loads(
        {"action": "EMPTY", "slot": "3245434554", "lotId": "MAT238908348903", "materialCode": "IPN-1222-55555"},
        {"action": "EMPTY", "slot": "3245435784", "lotId": "MAT238908323434", "materialCode": "IPN-1222-11111"},
    ),
    # Its two locations differ: nothing was spliced in one slot.
    "SplicePointDetected-1": loads(
        {"action": "EMPTY", "slot": "3245434554", "lotId": "MAT238908348903", "materialCode": "IPN-1222-55555"},
        loaded("3245435784", "MAT238908348904", "IPN-1222-55555", 1000),
    ),
    "MaterialsOpened-1": lot_events("OPENED"),
    "MaterialsPlacedInDryStorage-1": lot_events("DRY_IN"),
    "MaterialsRemovedFromDryStorage-1": lot_events("DRY_OUT"),
    "MaterialsSplit-1": [
        ("lot-events", {"lotId": "MAT4566589856", "kind": "SPLIT", "newLotId": "MAT4563453457", "quantity": 151})
    ],
    "MaterialsInstalled-1": uses(
        *(
            {"unitSn": sn, **PART, "slot": "UID384234893", "refDes": ref_des, "quantity": 1}
            for sn in UNITS
            for ref_des in R
        )
    ),
    "MaterialsUninstalled-1": uses(
        *({"unitSn": sn, **PART, "isRemoved": True, "refDes": ref_des, "quantity": 1} for sn in UNITS for ref_des in R)
    ),
    "MaterialsApplied-1": uses(
        *({"unitSn": sn, **PART, "quantity": grams} for sn, grams in zip(UNITS, (3.57, 3.45), strict=True))
    ),
    "MaterialsApplied-2": uses(
        *({"unitSn": sn, **PART, "quantity": grams} for sn, grams in zip(UNITS, (3.57, 3.45), strict=True))
    ),
    "MaterialsUnapplied-1": uses(*({"unitSn": sn, **PART, "isRemoved": True, "quantity": 3.55} for sn in UNITS)),
    "ToolsLoaded-1": loads(
        *({"action": "LOADED", "slot": tool, "toolId": tool} for tool in ("SQ1234567890", "ST1234567890"))
    ),
    "ToolsUnloaded-1": loads(*({"action": "UNLOADED", "toolId": tool} for tool in ("SQ1234567890", "ST1234567890"))),
    "ToolsCleaned-1": [("stencil-status", {"stencilId": "ST1234567890", "lastCleanedAt": AT})],
    "ToolsUsed-1": uses(
        *(
            {"unitSn": sn, "toolId": tool, "refDes": ref_des, "quantity": 1}
            for sn, tool in zip(UNITS, ("UID234213421", "UID234223422"), strict=True)
            for ref_des in R
        )
    ),
    "ToolsUsed-2": uses(*({"unitSn": sn, "toolId": "UID234228874", "quantity": 3} for sn in UNITS)),
    "StencilChanged-1": loads(
        {"action": "UNLOADED", "slot": "STENCIL", **OLD_STENCIL}, {"action": "LOADED", "slot": "STENCIL", **NEW_STENCIL}
    ),
    "SqueegeeChanged-1": loads(
        {"action": "UNLOADED", "slot": "SQUEEGEE", **OLD_STENCIL},
        {"action": "LOADED", "slot": "SQUEEGEE", **NEW_STENCIL},
    ),
}


@pytest.mark.parametrize("example", EXPECTED)
def test_an_example(example: str) -> None:
    assert translate(example.partition("-")[0], body_of(example)) == EXPECTED[example]


def test_each_kind_of_message_has_an_example() -> None:
    without = set(cfx.KINDS) - {example.partition("-")[0] for example in EXPECTED}
    assert without == {"MaterialsChainSplit"}  # the SDK gives none


def test_the_envelope() -> None:
    said = message("MaterialsOpened", body_of("MaterialsOpened-1"), MessageName="CFX.Materials.X.MaterialsOpened")
    bodies = [body for _channel, body in cfx.translate(said, ENDPOINTS).bodies]
    meta = {"format": "IPC-CFX", "messageName": "CFX.Materials.X.MaterialsOpened", "handle": HANDLE}
    shared = {"eventTime": AT, "source": "AUTO", "kind": "OPENED", "meta": meta}
    assert bodies == [
        {**shared, "eventId": said["UniqueID"], "lotId": "MAT4566556456"},
        {**shared, "eventId": f"{said['UniqueID']}:2", "lotId": "MAT4566553421"},
    ]


@pytest.mark.parametrize("unique", [None, "", "00000000-0000-0000-0000-000000000000"])
def test_a_message_without_an_id_is_known_by_what_it_says(unique: str | None) -> None:
    said = message("MaterialsUnloaded", body_of("MaterialsUnloaded-1"), UniqueID=unique)
    other = copy.deepcopy(said)
    other["MessageBody"]["MaterialPackageIdentifiers"].pop()
    ids = [cfx.translate(one, ENDPOINTS).bodies[0].body["eventId"] for one in (said, copy.deepcopy(said), other)]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) < 200


# --- where something is -----------------------------------------------------------------------------------


def located(identifier: str | None, lot: str = "L-1", *, carrier: Any = None, name: str = "S1", **package: Any) -> Body:
    material = {"UniqueIdentifier": lot, "InternalPartNumber": None, "Quantity": 0.0, **package}
    return {
        "LocationIdentifier": identifier,
        "LocationName": name,
        "MaterialPackage": material,
        "CarrierInformation": carrier,
    }


def test_slots_and_stations_are_called_as_it_is_given() -> None:
    endpoint = Endpoint(
        STATION,
        locations={
            "5555646455:2": Location("45B"),
            "5555646457": Location("T1", "PLC-A2"),
            "5555646453": Location("45"),
        },
    )
    assert [
        (body["stationCode"], [load["slot"] for load in body["loads"]])
        for _channel, body in translate("MaterialsLoaded", body_of("MaterialsLoaded-1"), endpoint)
    ] == [(STATION, ["45", "5555646454", "5555646455", "45B", "5555646456"]), ("PLC-A2", ["T1"])]


def test_slots_may_go_by_their_names() -> None:
    body = {"Materials": [located("1", "L-1", name="S1"), located("1", "L-2", name="S2")]}
    found = translate("MaterialsLoaded", body, Endpoint(STATION, slot_by="LocationName"))
    assert found == loads(*({"action": "LOADED", "slot": f"S{n}", "lotId": f"L-{n}"} for n in (1, 2)))


def test_what_is_put_on_a_carrier_elsewhere_is_left_out() -> None:
    body = {"Materials": [located(None, carrier={"UniqueIdentifier": "F-1", "Name": None}), located("9", "L-2")]}
    found = cfx.translate(message("MaterialsLoaded", body), ENDPOINTS)
    assert [part.path for part in found.left_out] == ["MessageBody.Materials[0]"]
    assert [load["lotId"] for load in found.bodies[0].body["loads"]] == ["L-2"]


def test_a_spliced_chain_is_loaded_from_its_front() -> None:
    chain = {"LeadingMaterialPackage": {"UniqueIdentifier": "A", "Quantity": 30.0}}
    body = {"Materials": [located("7", "B", Quantity=200.0, **chain)]}
    first = {"action": "LOADED", "slot": "7", "lotId": "A", "quantity": 30}
    assert translate("MaterialsLoaded", body) == loads(
        first, {"action": "SPLICED", "slot": "7", "lotId": "B", "quantity": 200}
    )


def test_a_chain_that_is_taken_off() -> None:
    removed = {"UniqueIdentifier": "C", "Quantity": 9.0, "SplicedMaterialPackage": {"UniqueIdentifier": "B"}}
    body = {"SplittedMaterialPackage": removed, "RemainingMaterialPackage": {"UniqueIdentifier": "A"}}
    assert translate("MaterialsChainSplit", body) == loads(
        {"action": "UNLOADED", "lotId": "B"}, {"action": "UNLOADED", "lotId": "C", "quantity": 9}
    )


def test_a_splice_point_of_one_slot() -> None:
    new, depleted = located("7", "B", Quantity=1000.0), located("7", "A")
    point = {"action": "SPLICE_POINT", "slot": "7", "lotId": "A"}
    spliced = {"action": "SPLICED", "slot": "7", "lotId": "B", "quantity": 1000}
    body = {"DepletedMaterial": depleted, "NewlyActiveMaterial": new}
    assert translate("SplicePointDetected", body) == loads(spliced, point)
    body = {"DepletedMaterial": {**depleted, "MaterialPackage": None}, "NewlyActiveMaterial": None}
    assert translate("SplicePointDetected", body) == loads({"action": "SPLICE_POINT", "slot": "7"})


def test_a_tray_is_of_its_batch() -> None:
    body = {"Materials": [located("7", "TEMP-1", BatchId="TRAYS-4711")]}
    assert translate("MaterialsLoaded", body) == loads({"action": "LOADED", "slot": "7", "lotId": "TRAYS-4711"})


def test_a_printer_calls_its_slots_as_it_is_given() -> None:
    endpoint = Endpoint("PRN-A1", tool_slots={"SMTSqueegee": "FRONT"})
    body = {"OldSqueegee": None, "NewSqueegee": {"UniqueIdentifier": "SQ-1"}}
    found = translate("SqueegeeChanged", body, endpoint)
    assert found == loads({"action": "LOADED", "slot": "FRONT", "toolId": "SQ-1"}, station="PRN-A1")


# --- what was used ----------------------------------------------------------------------------------------


def installed(*designators: str | None, quantity: float = 0.0, stage: Any = None, **fields: Any) -> Body:
    components = [{"ReferenceDesignator": one, "Stage": stage} for one in designators]
    return {
        "UnitIdentifier": "SN-1",
        "UnitPositionNumber": None,
        "QuantityInstalled": quantity,
        "Material": {"UniqueIdentifier": "L-1"},
        "CarrierLocation": None,
        "InstalledComponents": components,
        **fields,
    }


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (installed("R1", "R2", quantity=2), [{"refDes": "R1", "quantity": 1}, {"refDes": "R2", "quantity": 1}]),
        (installed("R1", "R2", quantity=7), [{"refDes": "R1"}, {"refDes": "R2"}]),
        (installed("R1", quantity=7), [{"refDes": "R1", "quantity": 7}]),
        (installed("R1", "R1", quantity=2), [{"refDes": "R1", "quantity": 2}]),
        (installed(None, None, quantity=2), [{"quantity": 2}]),
        (installed(), [{}]),
    ],
)
def test_how_many_at_a_designator(item: Body, expected: list[Body]) -> None:
    said = {"unitSn": "SN-1", "lotId": "L-1"}
    found = translate("MaterialsInstalled", {"InstalledMaterials": [item]})
    assert found == uses(*({**said, **one} for one in expected))


def test_what_was_rejected_is_left_out() -> None:
    body = {"InstalledMaterials": [installed(NonInstalledComponents=[{"ReferenceDesignator": "R1"}])]}
    found = cfx.translate(message("MaterialsInstalled", body), ENDPOINTS)
    assert not found.bodies
    assert found.left_out == [LeftOut("MessageBody.InstalledMaterials[0]", "nothing of it was installed")]


def test_stages_are_stations() -> None:
    endpoint = Endpoint(STATION, stages={"2": "PLC-A2", "HEAD": "PLC-A3"}, unit_separator=":")
    items = [
        installed("R1", stage={"StageSequence": 2, "StageName": None}, UnitPositionNumber=4),
        installed("R2", stage={"StageSequence": 2, "StageName": "HEAD"}),
        installed("R3"),
    ]
    found = translate("MaterialsInstalled", {"InstalledMaterials": items}, endpoint)
    assert [(body["stationCode"], [(one["unitSn"], one["refDes"]) for one in body["uses"]]) for _c, body in found] == [
        ("PLC-A2", [("SN-1:4", "R1")]),
        ("PLC-A3", [("SN-1", "R2")]),
        (STATION, [("SN-1", "R3")]),
    ]


def test_what_is_not_clean_and_what_no_channel_takes_is_left_out() -> None:
    body = body_of("ToolsCleaned-1")
    body["Tools"].append({**body["Tools"][1], "CleaningState": "NotCleaned"})
    found = cfx.translate(message("ToolsCleaned", body), ENDPOINTS)
    assert [part.path for part in found.left_out] == ["MessageBody.Tools[0]", "MessageBody.Tools[2]"]
    assert len(found.bodies) == 1


def test_nothing_is_said() -> None:
    assert translate("MaterialsInstalled", {"InstalledMaterials": None}) == []
    assert translate("MaterialsEmpty", {"EmptyMaterials": []}) == []


# --- what cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "path"),
    [
        (None, ""),
        ([], ""),
        ({}, "MessageName"),
        (message("MaterialsOpened", None), "MessageBody"),
        (message("MaterialsOpened", {"Materials": 1}), "MessageBody.Materials"),
        (message("MaterialsOpened", {"Materials": [None]}), "MessageBody.Materials[0]"),
        (message("MaterialsOpened", {"Materials": [{}]}), "MessageBody.Materials[0].UniqueIdentifier"),
        (
            message("MaterialsOpened", {"Materials": [{"UniqueIdentifier": 7}]}),
            "MessageBody.Materials[0].UniqueIdentifier",
        ),
        (message("MaterialsOpened", {}, TimeStamp="2018-10-03T16:03:06"), "TimeStamp"),
        (message("MaterialsOpened", {}, TimeStamp="yesterday"), "TimeStamp"),
        (message("MaterialsOpened", {}, TimeStamp=None), "TimeStamp"),
        (message("MaterialsOpened", {"Materials": []}, UniqueID="x" * 181), "UniqueID"),
        (message("MaterialsOpened", {"Materials": []}, UniqueID="a\nb"), "UniqueID"),
        (message("MaterialsOpened", {}, Source=None), "Source"),
        (message("MaterialsOpened", {}, Source="Another.Machine"), "Source"),
        (message("MaterialsLoaded", {"Materials": [located(None)]}), "MessageBody.Materials[0].LocationIdentifier"),
        (message("MaterialsLoaded", {"Materials": [located(" ")]}), "MessageBody.Materials[0].LocationIdentifier"),
        (message("MaterialsLoaded", {"Materials": [located("7", "A"), located("7", "B")]}), "MessageBody.Materials[1]"),
        (
            message("MaterialsLoaded", {"Materials": [located("7", Quantity=float("nan"))]}),
            "MessageBody.Materials[0].MaterialPackage.Quantity",
        ),
        (
            message("MaterialsLoaded", {"Materials": [located("7", Quantity=-1)]}),
            "MessageBody.Materials[0].MaterialPackage.Quantity",
        ),
        (
            message("MaterialsLoaded", {"Materials": [located("7", Quantity="12")]}),
            "MessageBody.Materials[0].MaterialPackage.Quantity",
        ),
        (
            message("MaterialsLoaded", {"Materials": [located("7", carrier={"LaneNumber": "2"})]}),
            "MessageBody.Materials[0].CarrierInformation.LaneNumber",
        ),
        (
            message("MaterialsUnloaded", {"MaterialPackageIdentifiers": [""]}),
            "MessageBody.MaterialPackageIdentifiers[0]",
        ),
        (
            message("MaterialsSplit", {"OriginalMaterialPackage": {"UniqueIdentifier": "A"}}),
            "MessageBody.NewMaterialPackage",
        ),
        (
            message(
                "MaterialsSplit",
                dict.fromkeys(("OriginalMaterialPackage", "NewMaterialPackage"), located("7")["MaterialPackage"]),
            ),
            "MessageBody.NewMaterialPackage",
        ),
        (
            message("MaterialsInstalled", {"InstalledMaterials": [installed(UnitIdentifier=None)]}),
            "MessageBody.InstalledMaterials[0].UnitIdentifier",
        ),
        (
            message("MaterialsInstalled", {"InstalledMaterials": [installed(UnitPositionNumber=1.5)]}),
            "MessageBody.InstalledMaterials[0].UnitPositionNumber",
        ),
        (
            message("MaterialsInstalled", {"InstalledMaterials": [installed(Material=None)]}),
            "MessageBody.InstalledMaterials[0].Material",
        ),
        (
            message("MaterialsUninstalled", {"UninstalledMaterials": [{"UnitIdentifier": "SN-1"}]}),
            "MessageBody.UninstalledMaterials[0].Material",
        ),
        (message("ToolsUsed", {"UsedTools": [{"UnitIdentifier": "SN-1"}]}), "MessageBody.UsedTools[0].Tool"),
        (message("StencilChanged", {"OldStencil": None}), "MessageBody.NewStencil"),
        (message("SplicePointDetected", {}), "MessageBody.DepletedMaterial"),
    ],
)
def test_what_is_missing_is_named(said: Any, path: str) -> None:
    with pytest.raises(CfxError) as refused:
        cfx.translate(said, ENDPOINTS)
    assert refused.value.path == path


@pytest.mark.parametrize("name", ["MaterialsJoined", "StencilCleaned", "MaterialsRestored", "WorkStarted"])
def test_other_messages_are_unknown(name: str) -> None:
    with pytest.raises(UnknownMessage, match=name):
        cfx.translate(message(name, {}), ENDPOINTS)


def test_an_endless_chain_is_refused() -> None:
    package: Body = {"UniqueIdentifier": "A"}
    for _ in range(cfx.LONGEST_CHAIN + 1):
        package = {"UniqueIdentifier": "B", "LeadingMaterialPackage": package}
    with pytest.raises(CfxError, match="in a row"):
        translate("MaterialsLoaded", {"Materials": [{**located("7"), "MaterialPackage": package}]})


def test_where_several_stations_may_be_meant_none_is_taken() -> None:
    endpoint = Endpoint(STATION, locations={"7": Location("7", "PLC-A2")}, stages={"1": STATION})
    with pytest.raises(CfxError, match="PLC-A1, PLC-A2"):
        translate("MaterialsUnloaded", body_of("MaterialsUnloaded-1"), endpoint)
    with pytest.raises(CfxError) as refused:
        item = installed("R1", stage={"StageSequence": 9})
        translate("MaterialsInstalled", {"InstalledMaterials": [item]}, endpoint)
    assert refused.value.path == "MessageBody.InstalledMaterials[0].InstalledComponents[0].Stage"


# --- what is given of the machines ------------------------------------------------------------------------


def test_endpoints_of_a_document() -> None:
    document = {
        "A.B": "PLC-A1",
        "C.D": {
            "station": "PLC-A2",
            "stages": {"1": "PLC-A3"},
            "locations": {"7": "45", "8": {"station": "PLC-A4"}},
            "toolSlots": {"SMTStencil": "TOP"},
            "slotBy": "LocationName",
            "unitSeparator": ":",
        },
    }
    places = {"7": Location("45"), "8": Location(None, "PLC-A4")}
    whole = Endpoint("PLC-A2", {"1": "PLC-A3"}, places, {"SMTStencil": "TOP"}, "LocationName", ":")
    assert cfx.read_endpoints(document) == {"A.B": Endpoint("PLC-A1"), "C.D": whole}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], ""),
        ({"A": None}, "A"),
        ({"A": ""}, "A"),
        ({"A": {}}, "A.station"),
        ({"A": {"station": "S", "slot": "1"}}, "A.slot"),
        ({"A": {"station": "S", "stages": ["x"]}}, "A.stages"),
        ({"A": {"station": "S", "stages": {"1": 2}}}, "A.stages.1"),
        ({"A": {"station": "S", "locations": {"7": 3}}}, "A.locations.7"),
        ({"A": {"station": "S", "slotBy": "Lane"}}, "A.slotBy"),
    ],
)
def test_endpoints_that_cannot_be_read(document: Any, path: str) -> None:
    with pytest.raises(CfxError) as refused:
        cfx.read_endpoints(document)
    assert refused.value.path == path


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endpoints, messages = tmp_path / "endpoints.json", tmp_path / "messages.json"
    endpoints.write_text(json.dumps({HANDLE: STATION}))
    said = [message("ToolsCleaned", body_of("ToolsCleaned-1")), message("WorkStarted", {})]
    messages.write_text("\n".join(json.dumps(one) for one in said))
    assert cfx.main([str(messages), "--endpoints", str(endpoints)]) == 0
    printed, told = capsys.readouterr()
    assert [json.loads(line)["channel"] for line in printed.splitlines()] == ["stencil-status"]
    assert "Tools[0] left out" in told and "WorkStarted" in told

    messages.write_text(json.dumps([message("MaterialsOpened", {"Materials": [{}]}), *said]))
    assert cfx.main([str(messages), "--endpoints", str(endpoints)]) == 1
    printed, told = capsys.readouterr()
    assert len(printed.splitlines()) == 1
    assert "message 1: MessageBody.Materials[0].UniqueIdentifier: is missing" in told
