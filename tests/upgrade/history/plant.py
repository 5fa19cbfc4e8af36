"""The master data: lines, stations, specs, and routes with every kind of mapping and config."""

from typing import Any

from .calls import Interface

SHIFTS = [
    {"code": "EARLY", "start": "06:00", "end": "14:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "LATE", "start": "14:00", "end": "22:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "NIGHT", "start": "22:00", "end": "06:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
]
CHECKS = ["ROUTE", "EQUIPMENT", "MATERIAL", "STENCIL", "SOLDER_PASTE", "TIME_RULE", "PREP_FEEDER_LIST"]
RESULT = {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]}
MEASUREMENTS = {
    "itemsPath": "payload.values",
    "namePath": "name",
    "valuePath": "value",
    "unitPath": "unit",
    "judgePath": "judge",
}
PHASE = {"path": "payload.phase", "inValues": ["start", 1], "outValues": ["end", 2]}

# Operation: its kind, the type of its stations, and the stations on each line.
OPERATIONS = {
    "H-PRINT": ("PRINT", "MANUAL", ("H-PRN-1",)),
    "H-REFLOW": ("REFLOW", "MANUAL", ("H-REF-1",)),
    "H-WASH": ("WASH", "MANUAL", ("H-WSH-1",)),
    "H-TEST": ("TEST", "MANUAL", ("H-TST-1", "H-TST-2")),
    "MARK": ("OTHER", "AUTO", ("MRK-1",)),
    "M-AOI": ("AOI", "AUTO", ("AOI-1",)),
    "M-REFLOW": ("REFLOW", "BATCH", ("OVN-1",)),
    "M-WASH": ("OTHER", "AUTO", ("WSH-1",)),
    "BAKE": ("OTHER", "BATCH", ("BAK-1",)),
    "ICT": ("TEST", "BATCH", ("ICT-1",)),
    "M-FCT": ("TEST", "TEST", ("FCT-1",)),
    "PACK": ("PACK", "MANUAL", ("PCK-1",)),
    "ODD": ("OTHER", "AUTO", ("ODD-1",)),
    "ODD-TEST": ("OTHER", "TEST", ("ODD-2",)),
    "ODD-BATCH": ("OTHER", "BATCH", ("ODD-3",)),
}
PANEL_MAPPINGS: dict[int, dict[str, Any]] = {
    10: {
        "eventType": "AUTO",
        "snPath": "payload.board",
        "stationCodePath": "payload.machine",
        "lineCodePath": "payload.line",
        "occurredAtPath": "payload.time || occurredAt",
        "result": {"path": "payload.result", "passValues": ["OK", True, 1], "failValues": ["NG", False, 0, 0.5, None]},
        "measurements": {**MEASUREMENTS, "unitFactors": {"mm": {"µm": 1000}, "nm": {"µm": 0.001}}},
        "dataSpecMap": {"Tiefe": "Mark Depth"},
    },
    20: {
        "unitsPath": "payload.images[]",
        "snPath": "sn",
        "stationCodePath": "payload.machine",
        "result": {"path": "verdict || payload.verdict", "passValues": ["GOOD"], "failValues": ["BAD"]},
        "measurements": {"itemsPath": "values", "namePath": "name", "valuePath": "value"},
        "phase": PHASE,
        "waitSeconds": 3600,
    },
    30: {
        "carrierCodePath": "payload.carrier",
        "snListPath": "payload.boards",
        "batchPolicy": "PARTIAL",
        "stationCodePath": "payload.machine",
        "result": RESULT,
        "measurements": MEASUREMENTS,
        "waitSeconds": 3600,
    },
    40: {
        "snPath": "payload.board",
        "transactionIdPath": "payload.transaction",
        "stationCodePath": "payload.machine",
        "phase": PHASE,
        "waitSeconds": 1800,
    },
    50: {
        "carrierCodePath": "payload.carrier",
        "unitsPath": "payload.boards",
        "snPath": "sn",
        "positionPath": "pos",
        "batchPolicy": "ALL_OR_NOTHING",
        "stationCodePath": "payload.machine",
        "result": {**RESULT, "path": "result"},
        "measurements": {**MEASUREMENTS, "itemsPath": "values"},
    },
    60: {
        "testResultIdPath": "payload.testId",
        "snPath": "payload.board",
        "stationCodePath": "payload.machine",
        "result": RESULT,
        "measurements": MEASUREMENTS,
        "waitSeconds": 600,
    },
}
# Accepted and READY by the version before, though nothing can be read by them.
STRANGE_MAPPINGS: dict[int, dict[str, Any]] = {
    20: {
        "snPath": "payload.board",
        "stationCodePath": "payload.machine",
        "lineCodePath": "length(payload.line)",
        "dataSpecMap": {},
        "waitSeconds": 0,
    },
    30: {"snPath": "length(payload.board)", "result": {"path": "payload.none", "passValues": [], "failValues": []}},
    40: {"testResultIdPath": "length(payload.none)", "measurements": {**MEASUREMENTS, "unitFactors": {}}},
    50: {},
}


def make(admin: Interface) -> None:
    """Make all of it, but for the later versions of routes."""
    _make_lines(admin)
    for code, (kind, station_type, stations) in OPERATIONS.items():
        operation = {"code": code, "name": code.capitalize(), "kind": kind, "defaultStationType": station_type}
        admin.post("operations", operation)
        admin.post("station-groups", {"code": f"{code}-GROUP", "name": f"Stations of {code}"})
        for station in stations:
            described = {"code": station, "name": f"Station {station}", "stationType": station_type}
            admin.post("stations", {**described, "lineCode": "SMT-1", "groupCode": f"{code}-GROUP"})
            machine = {"code": f"EQ-{station}", "name": f"Machine {station}", "stationCode": station}
            admin.post("equipment", {**machine, "status": "normal"})
    _make_specs(admin)
    _make_board(admin)
    _make_panel(admin)
    _make_strange(admin)
    _make_invalid(admin)
    _make_erp(admin)
    _make_ready(admin)


def compile_route(admin: Interface, code: str, status: str = "READY") -> int:
    """Compile a route; return the number of its version, which has this status."""
    answer = admin.post(f"routes/{code}/compile")
    assert answer["status"] == status, answer
    return int(answer["versionNo"])


def configure(admin: Interface, route: str, step_no: int, **fields: Any) -> None:
    """Say how a step runs."""
    admin.post(f"routes/{route}/execution-config", {"scope": "STEP", "stepNo": step_no, **fields})


def _make_lines(admin: Interface) -> None:
    admin.post("lines", {"code": "SMT-1", "name": "SMT line 1", "processType": "SMT", "shifts": SHIFTS})
    second = {"code": "SMT-2", "name": "SMT line 2", "processType": "SMT", "readinessChecks": CHECKS}
    admin.post("lines", second)
    admin.post("lines", {"code": "DIP 1+ü", "name": "Through-hole", "processType": "DIP", "readinessChecks": []})
    for code in ("BOARD", "BOARD-2", "PANEL-BOARD", "PCB", "IC-1"):
        admin.post("materials", {"code": code, "name": f"Material {code}", "unit": "pcs"})
    admin.post("bom-items", {"parentCode": "BOARD-2", "childCode": "PCB", "quantity": 1})
    admin.post("bom-items", {"parentCode": "BOARD-2", "childCode": "IC-1", "quantity": 4})


def _make_specs(admin: Interface) -> None:
    def spec(operation: str, name: str, item_type: str = "KEY", **fields: Any) -> None:
        described = {"operationCode": operation, "name": name, "itemType": item_type, "dataType": "NUMBER"}
        admin.post("data-collection-specs", {**described, "method": "AUTO", "isRequired": False, **fields})

    peak = {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"}
    hold = {"min": 230, "max": 255, "action": "HOLD"}
    spec("H-REFLOW", "Peak Temperature", limits=peak, alarm=hold)
    spec("H-REFLOW", "Conveyor Speed", "OBSERVATION", limits={"lsl": 55, "usl": 65, "unit": "cm/min"})
    spec("H-REFLOW", "O2", "OBSERVATION", alarm={"max": 1000, "action": "ALARM_ONLY"})
    spec("H-REFLOW", "Profile", "OBSERVATION", dataType="JSON", triggerType="TIME", triggerRule={"everySeconds": 60})
    spec("H-TEST", "Supply Voltage", method="MANUAL", limits={"lsl": 3.2, "usl": 3.4, "unit": "V"}, isRequired=True)
    spec("H-TEST", "Firmware", "OBSERVATION", dataType="TEXT")
    spec("MARK", "Mark Depth", "OBSERVATION", limits={"lsl": 20, "usl": 60, "unit": "µm"}, triggerType="EACH_UNIT")
    spec("M-AOI", "Defects", limits={"usl": 0}, triggerType="EACH_UNIT", isRequired=True)
    spec("M-REFLOW", "Peak Temperature", limits=peak, alarm=hold, triggerType="EACH_CARRIER", isRequired=True)
    spec("M-REFLOW", "Board Temperature", "OBSERVATION", limits={"usl": 250, "unit": "°C"})
    spec("ICT", "Resistance R1", limits={"lsl": 9.9, "usl": 10.1, "unit": "kOhm"})
    spec("M-FCT", "Supply Voltage", limits={"lsl": 3.2, "usl": 3.4, "unit": "V"}, isRequired=True)
    spec("PACK", "Label Checked", dataType="BOOLEAN", method="MANUAL", isRequired=True)
    spec("PACK", "Packer", "OBSERVATION", dataType="TEXT", method="MANUAL")
    spec("PACK", "Photos", "OBSERVATION", dataType="JSON", method="MANUAL")
    spec("H-PRINT", "Program Name", "OBSERVATION", dataType="TEXT", triggerType="EVENT")
    spec("H-PRINT", "Retired", "OBSERVATION", isActive=False)


def _make_board(admin: Interface) -> None:
    """A route by hand."""
    steps = [(10, "H-PRINT"), (20, "H-REFLOW"), (30, "H-WASH"), (40, "H-TEST")]
    route = {"code": "BOARD", "name": "Board by hand", "sourceSystem": "MES", "productCode": "BOARD"}
    admin.post("routes", {**route, "steps": [{"stepNo": no, "operationCode": code} for no, code in steps]})
    for no, code in steps:
        configure(admin, "BOARD", no, stationType="MANUAL", stationGroupCode=f"{code}-GROUP")
    configure(admin, "BOARD", 40, allowedStationCodes=["H-TST-1"], retestLimit=1)
    configure(admin, "BOARD", 20, dataSpecNames=["Peak Temperature", "Conveyor Speed", "O2", "Profile"])
    compile_route(admin, "BOARD")


def _make_panel(admin: Interface) -> None:
    """A route by machines, with all that a mapping may say."""
    steps = [(10, "MARK"), (20, "M-AOI"), (30, "M-REFLOW"), (40, "M-WASH"), (50, "ICT"), (60, "M-FCT"), (70, "PACK")]
    route = {"code": "PANEL", "name": "Panel by machines", "sourceSystem": "MES", "productCode": "PANEL-BOARD"}
    admin.post("routes", {**route, "steps": [{"stepNo": no, "operationCode": code} for no, code in steps]})
    for no, code in steps:
        fields: dict[str, Any] = {"stationGroupCode": f"{code}-GROUP"}
        if no in PANEL_MAPPINGS:
            fields |= {"stationType": OPERATIONS[code][1], "ingestMapping": PANEL_MAPPINGS[no]}
        configure(admin, "PANEL", no, **fields)
    configure(admin, "PANEL", 60, retestLimit=1)
    compile_route(admin, "PANEL")


def _make_strange(admin: Interface) -> None:
    """Routes whose mappings are accepted, though events that they read cannot be applied, or not where they belong."""
    steps = [(10, "H-PRINT"), (20, "ODD"), (30, "ODD"), (40, "ODD-TEST"), (50, "ODD-BATCH"), (60, "MARK")]
    route = {"code": "STRANGE", "name": "Strange mappings", "sourceSystem": "MES", "productCode": "STRANGE"}
    admin.post("routes", {**route, "steps": [{"stepNo": no, "operationCode": code} for no, code in steps]})
    configure(admin, "STRANGE", 10, stationGroupCode="H-PRINT-GROUP")
    for no, mapping in STRANGE_MAPPINGS.items():
        configure(admin, "STRANGE", no, ingestMapping=mapping)
    configure(admin, "STRANGE", 60, ingestMapping=PANEL_MAPPINGS[10])
    compile_route(admin, "STRANGE")
    steps = [(5, "H-PRINT"), (10, "ODD"), (20, "H-REFLOW"), (30, "MARK")]
    route = {"code": "TURNING", "name": "Waiting and not", "sourceSystem": "MES", "productCode": "TURNING"}
    admin.post("routes", {**route, "steps": [{"stepNo": no, "operationCode": code} for no, code in steps]})
    configure(admin, "TURNING", 5, stationGroupCode="H-PRINT-GROUP")
    configure(admin, "TURNING", 10, ingestMapping={"snPath": "payload.board"})
    configure(admin, "TURNING", 20, stationGroupCode="H-REFLOW-GROUP")
    configure(
        admin,
        "TURNING",
        30,
        ingestMapping={"snPath": "payload.board", "stationCodePath": "payload.machine", "waitSeconds": 14400},
    )
    compile_route(admin, "TURNING")
    _make_baking(admin)


def _make_baking(admin: Interface) -> None:
    """A route with a batch that names nothing but its carrier."""
    steps = [{"stepNo": 10, "operationCode": "H-PRINT"}, {"stepNo": 20, "operationCode": "BAKE"}]
    steps.append({"stepNo": 30, "operationCode": "H-WASH"})
    route = {"code": "BAKING", "name": "Baked on carriers", "sourceSystem": "MES", "productCode": "BAKING"}
    admin.post("routes", {**route, "steps": steps})
    configure(admin, "BAKING", 10, stationGroupCode="H-PRINT-GROUP")
    configure(admin, "BAKING", 20, ingestMapping={"carrierCodePath": "payload.tray"})
    configure(admin, "BAKING", 30, stationGroupCode="H-WASH-GROUP")
    compile_route(admin, "BAKING")


def _make_invalid(admin: Interface) -> None:
    """A route that cannot be compiled, for every reason that a compilation knows."""
    admin.post("operations", {"code": "UNTYPED", "name": "Of no type", "kind": "OTHER"})
    for code, untyped in (("EMPTY", []), ("UNTYPED", [{"stepNo": 1, "operationCode": "UNTYPED"}])):
        admin.post("routes", {"code": code, "name": "Not to be made", "sourceSystem": "MES", "steps": untyped})
        compile_route(admin, code, "INVALID")
    steps = [(10, "MARK"), (20, "H-WASH"), (30, "ODD"), (40, "H-PRINT")]
    route = {"code": "INVALID", "name": "Invalid", "sourceSystem": "MES", "productCode": "INVALID"}
    admin.post("routes", {**route, "steps": [{"stepNo": no, "operationCode": code} for no, code in steps]})
    configure(admin, "INVALID", 20, stationType="MANUAL", allowedStationCodes=[])
    configure(admin, "INVALID", 30, ingestMapping={"snPath": "payload.board", "phase": PHASE})
    configure(admin, "INVALID", 40, stationType="MANUAL")
    admin.post("routes/INVALID/execution-config", {"scope": "ROUTE", "stationType": "TEST"})
    compile_route(admin, "INVALID", "INVALID")


def _make_erp(admin: Interface) -> None:
    """An imported route, configured in every scope."""
    steps = [
        {"stepNo": 100, "operationCode": "H-PRINT", "sourceStepKey": "0100/A"},
        {"stepNo": 200, "operationCode": "H-TEST", "sourceStepKey": "0200/B"},
    ]
    route = {"code": "ERP-4711", "name": "From the ERP", "sourceSystem": "ERP", "sourceKey": "RT-4711"}
    admin.post("routes", {**route, "productCode": "BOARD-3", "steps": steps, "effectiveFrom": "2020-01-01T00:00:00Z"})
    by_key = {"scope": "STEP", "sourceStepKey": "0200/B", "stationType": "MANUAL", "dataSpecNames": []}
    admin.post("routes/ERP-4711/execution-config", by_key)
    admin.post("routes/ERP-4711/execution-config", {"scope": "ROUTE", "retestLimit": 2})
    operation = {"scope": "OPERATION", "operationCode": "H-TEST", "stationGroupCode": "H-TEST-GROUP"}
    admin.post("execution-configs", operation)
    wide = {"scope": "GLOBAL", "requiresFAI": False, "allowedStationCodes": ["H-PRN-1", "H-TST-1", "H-TST-2"]}
    globally = admin.post("execution-configs", wide)
    compile_route(admin, "ERP-4711")
    admin.patch(f"execution-configs/{globally['id']}", {"allowedStationCodes": None})  # else it would bind every route


def _make_ready(admin: Interface) -> None:
    """A route with a first article, for the line that checks everything."""
    items = [{"itemName": "Paste height", "itemSpec": "120 µm"}, {"itemName": "Polarity of D1"}]
    admin.post("fai-templates", {"code": "FAI-1", "name": "First article", "items": items})
    for station, operation in (("R-PRN-2", "H-PRINT"), ("R-TST-2", "H-TEST")):
        described = {"code": station, "name": f"Station {station}", "stationType": "MANUAL", "lineCode": "SMT-2"}
        admin.post("stations", {**described, "groupCode": f"{operation}-GROUP"})
        machine = {"code": f"EQ-{station}", "name": f"Machine {station}", "stationCode": station}
        admin.post("equipment", {**machine, "status": "normal"})
    steps = [{"stepNo": 10, "operationCode": "H-PRINT"}, {"stepNo": 20, "operationCode": "H-TEST"}]
    route = {"code": "READY", "name": "With a first article", "sourceSystem": "MES", "productCode": "BOARD-2"}
    admin.post("routes", {**route, "steps": steps, "faiTemplateCode": "FAI-1"})
    configure(admin, "READY", 10, stationGroupCode="H-PRINT-GROUP", requiresFAI=True)
    configure(admin, "READY", 20, stationGroupCode="H-TEST-GROUP")
    compile_route(admin, "READY")
    plain = {"code": "PLAIN", "name": "Without one", "sourceSystem": "MES", "productCode": "BOARD-2", "isActive": False}
    admin.post("routes", {**plain, "steps": steps})
    configure(admin, "PLAIN", 10, stationGroupCode="H-PRINT-GROUP")
    configure(admin, "PLAIN", 20, stationGroupCode="H-TEST-GROUP")
    compile_route(admin, "PLAIN")
    _make_policies(admin)
    rule = {"startEvent": "TRACK_OUT", "endEvent": "TRACK_IN", "scope": "ROUTING", "scopeValue": "BOARD"}
    condition = {"startCondition": {"operationKind": ["PRINT"]}, "endCondition": {"operationKind": ["REFLOW"]}}
    long = {"code": "REFLOW_SOON", "name": "Solder soon", "durationMinutes": 60, "warningMinutes": 20}
    admin.post("time-rules", {**long, **rule, **condition, "notifiedRoles": ["SUPERVISOR", "QUALITY", "ADMIN"]})
    strict = {"code": "TEST_SOON", "name": "Test soon", "durationMinutes": 120, "warningMinutes": 10}
    condition = {"startCondition": {"operationKind": ["WASH"]}, "endCondition": {"operationKind": ["TEST"]}}
    admin.post("time-rules", {**strict, **rule, **condition, "waivable": False, "restarts": True})


def _make_policies(admin: Interface) -> None:
    feeders = {"code": "PREP_FEEDER_LIST", "name": "Feeders", "instruction": "Compare them with the list."}
    admin.post("prep-policies", {**feeders, "lineCode": "SMT-2", "gate": "SOFT", "maxAgeMinutes": 600})
    program = {"code": "PREP_LOADED", "name": "Program", "routeCode": "PLAIN", "gate": "HARD", "confirmMode": "AUTO"}
    device = {"dataSource": "DEVICE", "deviceSpec": {"operationCode": "H-PRINT", "specName": "Program Name"}}
    admin.post("prep-policies", {**program, **device, "expectedText": "BOARD-2", "maxAgeMinutes": 1440})
    kitting = {"code": "PREP_KIT", "name": "Kitting", "routeCode": "PLAIN", "confirmMode": "MANUAL"}
    admin.post("prep-policies", {**kitting, "dataSource": "SYSTEM", "gate": "SOFT"})
