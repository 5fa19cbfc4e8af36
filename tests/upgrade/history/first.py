"""A small installation of the first schema, for the test that takes a database over from the very beginning.

It has one of each: orders and runs at work, done and not begun, units in every state, versions that were superseded or
cannot be compiled, readings applied, repeated and refused, machine events applied, waiting and rejected, events of the
outbox worked off and not.
"""

from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from ..answers import api_client, of_api, write_answers
from ..cases import EVENTS
from ..clock import Clock
from ..installation import FIRST_DUMP, FIRST_RECORD
from .calls import Interface, make_token, scheduled
from .dumping import write_dump
from .hand import VOLTS, enter, go_through, leave, make_run
from .reports import DATA, measured, reading

STEPS = {10: "PRINT", 20: "REFLOW", 30: "TEST"}
STATIONS = {"PRINT": "PRN-1", "REFLOW": "H-REF-1", "TEST": "TST-1"}  # `measured` names the oven
SHIFTS = [{"code": "DAY", "start": "06:00", "end": "18:00", "weekdays": [1, 2, 3, 4, 5]}]
UNITS = ("D-1", "D-2", "O-QUEUED", "O-IN", "O-FAILED", "O-HELD", "O-REWORKED", "O-SCRAPPED", "O-ALARM", "FLY-1")
UNITS += ("A-DONE", "A-WAITED", "A-QUEUED")
RUNS = ("DONE", "OPEN", "FLYING", "PREPARED", "AUTO")
MAPPING = {
    "snPath": "payload.board",
    "stationCodePath": "payload.machine",
    "result": {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]},
    "measurements": {"itemsPath": "payload.values", "namePath": "name", "valuePath": "value", "unitPath": "unit"},
    "waitSeconds": 14400,
}


def make() -> None:
    """Make the database, dump it, and write down what it answers."""
    with Clock().in_use() as clock:
        clock.set(timezone.now() - timedelta(hours=6))
        call_command("migrate", verbosity=0)
        admin = Interface(make_token("Admin", "ADMIN"))
        sent: list[dict[str, Any]] = []
        make_plant(admin)
        oven = Interface(make_token("Oven", "INTEGRATION", "H-REF-1"), sent)
        make_done(admin, oven, clock)
        scheduled("tick")()
        make_open(admin, oven, clock)
        _make_not_begun(admin, oven)
        line = Interface(make_token("Line", "INTEGRATION"), sent)
        make_machine_events(admin, line)
        clock.stop(timezone.now())
        write_dump(FIRST_DUMP)
        tokens = {"admin": admin.token, "oven": oven.token, "line": line.token}
        client = api_client(admin.token)
        asked = {address: of_api(client.get(address)) for address in _questions()}
        assert {answer["status"] for answer in asked.values()} == {200}, asked
        write_answers({"at": clock.now().isoformat(), "tokens": tokens, "sent": sent, "asked": asked}, FIRST_RECORD)


def _questions() -> list[str]:
    collections = ("lines", "stations", "equipment", "operations", "materials", "data-collection-specs", "routes")
    collections += ("work-orders", "runs", DATA, "integration/messages", EVENTS)
    questions = [f"/api/{collection}?pageSize=200" for collection in collections]
    questions += [f"/api/runs/{run_no}" for run_no in RUNS]
    questions += [f"/api/trace/units/{sn}" for sn in UNITS]
    for route, versions in (("BOARD", 2), ("ERP-BOARD", 1), ("INVALID", 1), ("AUTO", 1)):
        questions += [f"/api/routes/{route}/execution-config", f"/api/routes/{route}/versions"]
        questions += [f"/api/routes/{route}/versions/{number}" for number in range(1, versions + 1)]
    questions += [f"/api/stations/{station}/queue" for station in STATIONS.values()]
    return questions


def make_plant(admin: Interface) -> None:
    admin.post("lines", {"code": "SMT-1", "name": "Line 1 (ü)", "processType": "SMT", "shifts": SHIFTS})
    admin.post("materials", {"code": "BOARD", "name": "A board", "unit": "pcs"})
    for kind, station in STATIONS.items():
        admin.post("operations", {"code": kind, "name": kind.title(), "kind": kind, "defaultStationType": "MANUAL"})
        admin.post("station-groups", {"code": f"{kind}-GROUP", "name": f"Stations of {kind}"})
        described = {"code": station, "name": f"Station {station}", "stationType": "MANUAL", "lineCode": "SMT-1"}
        admin.post("stations", {**described, "groupCode": f"{kind}-GROUP"})
        machine = {"code": f"EQ-{station}", "name": f"Machine {station}", "stationCode": station}
        admin.post("equipment", {**machine, "status": "normal"})
    peak = _make_specs(admin)
    _make_route(admin, "BOARD", {"sourceSystem": "MES", "productCode": "BOARD"})
    compiled = admin.post("routes/BOARD/compile")
    assert (compiled["versionNo"], compiled["status"]) == (1, "READY"), compiled
    make_run(admin, "DONE", "BOARD", ["D-1", "D-2", "D-NEVER"], shiftCode="DAY")
    admin.patch(f"data-collection-specs/{peak['id']}", {"limits": {"lsl": 236, "usl": 249, "unit": "°C"}})
    assert admin.post("routes/BOARD/compile")["versionNo"] == 2
    imported = {"sourceSystem": "ERP", "sourceKey": "RT-1", "productCode": "BOARD-2"}
    _make_route(admin, "ERP-BOARD", {**imported, "effectiveFrom": "2020-01-01T00:00:00Z"})
    assert admin.post("routes/ERP-BOARD/compile")["status"] == "READY"
    admin.post("routes", {"code": "INVALID", "name": "Without a step", "sourceSystem": "MES", "steps": []})
    assert admin.post("routes/INVALID/compile")["status"] == "INVALID"


def _make_route(admin: Interface, code: str, fields: dict[str, Any]) -> None:
    steps = [{"stepNo": no, "operationCode": kind} for no, kind in STEPS.items()]
    admin.post("routes", {"code": code, "name": f"Route {code}", "steps": steps, **fields})
    for no, kind in STEPS.items():
        config = {"scope": "STEP", "stepNo": no, "stationType": "MANUAL", "stationGroupCode": f"{kind}-GROUP"}
        admin.post(f"routes/{code}/execution-config", {**config, "retestLimit": 1 if kind == "TEST" else 0})


def _make_specs(admin: Interface) -> dict[str, Any]:
    """Make a spec of every kind of value; return the one that is changed later."""

    def spec(operation: str, name: str, item_type: str = "KEY", **fields: Any) -> dict[str, Any]:
        described = {"operationCode": operation, "name": name, "itemType": item_type, "dataType": "NUMBER"}
        return dict(admin.post("data-collection-specs", {**described, "method": "AUTO", "isRequired": False, **fields}))

    peak = {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"}
    spec("REFLOW", "Conveyor Speed", "OBSERVATION", limits={"lsl": 55, "usl": 65, "unit": "cm/min"})
    spec("REFLOW", "Profile", "OBSERVATION", dataType="JSON")
    spec("TEST", "Supply Voltage", method="MANUAL", limits={"lsl": 3.2, "usl": 3.4, "unit": "V"}, isRequired=True)
    spec("TEST", "Firmware", "OBSERVATION", dataType="TEXT", method="MANUAL")
    spec("TEST", "Label Checked", "OBSERVATION", dataType="BOOLEAN", method="MANUAL")
    return spec("REFLOW", "Peak Temperature", limits=peak, alarm={"min": 230, "max": 255, "action": "HOLD"})


def make_done(admin: Interface, oven: Interface, clock: Clock) -> None:
    """A closed run of the first version."""
    for sn in ("D-1", "D-2"):
        go_through(admin, "PRN-1", sn, "DONE")
        enter(admin, "H-REF-1", sn, "DONE")
        clock.forward(minutes=3)
        body = measured(sn, reading(244.5), reading(60.5, "Conveyor Speed"), run_no="DONE", meta={"fw": "1.0"})
        oven.send(DATA, body)
        oven.post(DATA, body)  # recognised
        leave(admin, "H-REF-1", sn, "DONE")
    voltage = {"specName": "Firmware", "valueText": "2.4.1"}
    go_through(
        admin, "TST-1", "D-1", "DONE", data=[*VOLTS, voltage, {"specName": "Label Checked", "valueBoolean": True}]
    )
    enter(admin, "TST-1", "D-2", "DONE")
    leave(admin, "TST-1", "D-2", "DONE", "FAIL", data=VOLTS, defectCode="D7", defectLocation="R22", defectRemark="cold")
    go_through(admin, "TST-1", "D-2", "DONE", data=VOLTS)  # the second attempt
    admin.post("runs/DONE/close", {"reason": "all made"})


def make_open(admin: Interface, oven: Interface, clock: Clock) -> None:
    """A run of the second version in which units stand everywhere."""
    sns = [sn for sn in UNITS if sn.startswith("O-")]
    make_run(admin, "OPEN", "BOARD", [*sns, "O-NEVER"])
    for sn in sns:
        go_through(admin, "PRN-1", sn, "OPEN")
    for sn in sns[1:]:
        enter(admin, "H-REF-1", sn, "OPEN")
    clock.forward(minutes=2)
    oven.send(DATA, measured("O-IN", reading({"zones": [150, 245.5]}, "Profile", "valueJson"), run_no="OPEN"))
    oven.send(DATA, measured("O-FAILED", reading(249.5), run_no="OPEN"))
    leave(admin, "H-REF-1", "O-FAILED", "OPEN")  # the value overrides it
    oven.send(DATA, measured("O-ALARM", reading(260.5), run_no="OPEN"))  # holds it in the station
    for sn in ("O-HELD", "O-REWORKED", "O-SCRAPPED"):
        leave(admin, "H-REF-1", sn, "OPEN", "PASS" if sn == "O-HELD" else "FAIL")
    admin.post("units/O-HELD/hold", {"reason": "looks odd"})
    admin.post("units/O-REWORKED/rework", {"reason": "print again", "toStepNo": 10})
    admin.post("units/O-SCRAPPED/scrap", {"reason": "burnt"})


def _make_not_begun(admin: Interface, oven: Interface) -> None:
    """What waits: a run that units enter on the fly, one that is only prepared, readings that could not be applied."""
    make_run(admin, "FLYING", "ERP-BOARD", [])
    enter(admin, "PRN-1", "FLY-1", "FLYING")
    make_run(admin, "PREPARED", "BOARD", [], authorize=False)
    early = measured("O-QUEUED", reading(245.0), run_no="OPEN")
    oven.send(DATA, early, code="TRACK_NOT_FOUND")
    oven.send(DATA, {**early, "eventId": "nobody", "unitSn": "NOBODY"}, code="UNIT_NOT_FOUND")
    oven.send_raw(DATA, b'{"eventId": "cut off", ')


def make_machine_events(admin: Interface, line: Interface) -> None:
    """A route of two machines: what the second reports before the first waits, what nobody knows is rejected."""
    for kind in ("MARK", "PACK"):
        admin.post("operations", {"code": kind, "name": kind, "kind": "OTHER", "defaultStationType": "AUTO"})
        admin.post("station-groups", {"code": f"{kind}-GROUP", "name": kind})
        station = {"code": f"{kind}-1", "name": kind, "stationType": "AUTO", "lineCode": "SMT-1"}
        admin.post("stations", {**station, "groupCode": f"{kind}-GROUP"})
    depth = {"operationCode": "MARK", "name": "Mark Depth", "itemType": "KEY", "dataType": "NUMBER", "method": "AUTO"}
    admin.post("data-collection-specs", {**depth, "isRequired": False, "limits": {"lsl": 20, "usl": 60, "unit": "µm"}})
    steps = [{"stepNo": 10, "operationCode": "MARK"}, {"stepNo": 20, "operationCode": "PACK"}]
    route = {"code": "AUTO", "name": "By machines", "sourceSystem": "MES", "productCode": "PANEL", "steps": steps}
    admin.post("routes", route)
    for step, kind in ((10, "MARK"), (20, "PACK")):
        config = {"scope": "STEP", "stepNo": step, "stationType": "AUTO", "stationGroupCode": f"{kind}-GROUP"}
        admin.post("routes/AUTO/execution-config", {**config, "ingestMapping": MAPPING})
    assert admin.post("routes/AUTO/compile")["status"] == "READY"
    make_run(admin, "AUTO", "AUTO", ["A-DONE", "A-WAITED", "A-QUEUED"])
    values = [{"name": "Mark Depth", "value": 40.5, "unit": "µm"}]
    line.send(EVENTS, event("mark-done", "A-DONE", "MARK-1", values=values))
    line.send(EVENTS, event("pack-done", "A-DONE", "PACK-1"))
    line.send(EVENTS, event("pack-waits", "A-WAITED", "PACK-1"))
    line.send(EVENTS, event("nobody", "A-NOBODY", "MARK-1"), code="UNIT_NOT_FOUND")


def event(key: str, sn: str, machine: str, **payload: Any) -> dict[str, Any]:
    """Return the body of a machine's event."""
    body = {"board": sn, "machine": machine, "result": "OK", **payload}
    head = {"dedupeKey": key, "sourceSystem": "LINE", "eventType": "AUTO", "occurredAt": timezone.now().isoformat()}
    return {**head, "payload": body}
