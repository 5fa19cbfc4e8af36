"""The demo plant: one SMT line that makes a controller board, and what is measured on the way.

`make` creates over the HTTP interface what is missing. It changes nothing that exists, but for a plant of an earlier
release, whose stations were all worked by hand: there it gives the machines to ingest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from demo import quality_rules, readiness
from demo.client import Client, Refused

LINE = "SMT-A"
PRODUCT = "CTRL-100"
ROUTE = "SMT-A-CTRL"
SHIFTS = (
    {"code": "EARLY", "start": "06:00", "end": "14:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "LATE", "start": "14:00", "end": "22:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
    {"code": "NIGHT", "start": "22:00", "end": "06:00", "weekdays": [1, 2, 3, 4, 5, 6, 7]},
)
ZONES = (
    (1, "PreHeat", 165.0, 160.0),
    (2, "Soak", 190.0, 185.0),
    (3, "Reflow", 248.0, 243.0),
    (4, "Cool", 140.0, 135.0),
)
WAIT_SECONDS = 240  # how long an event may wait for one that it overtook
MACHINE_TYPES = ("AUTO", "BATCH", "TEST")


@dataclass(frozen=True)
class Measurement:
    """A data collection spec, and how much its values usually scatter."""

    name: str
    target: float | str | bool
    noise: float = 0.0
    lsl: float | None = None
    usl: float | None = None
    unit: str = ""
    is_key: bool = False
    is_required: bool = False
    is_by_hand: bool = False
    is_of_carrier: bool = False
    alarm_min: float | None = None
    alarm_max: float | None = None
    alarm_action: str = ""
    digits: int = 1

    @property
    def data_type(self) -> str:
        """What kind of value it is."""
        kinds = {bool: "BOOLEAN", str: "TEXT"}
        return kinds.get(type(self.target), "NUMBER")

    @property
    def reported(self) -> str:
        """The name by which machines report it."""
        return self.name.replace(" ", "")

    @property
    def trigger(self) -> str:
        """When it is collected."""
        return "EACH_CARRIER" if self.is_of_carrier else "EACH_UNIT"

    def body(self, operation: str) -> dict[str, Any]:
        """Return the spec as the interface takes it."""
        body: dict[str, Any] = {
            "operationCode": operation,
            "name": self.name,
            "itemType": "KEY" if self.is_key else "OBSERVATION",
            "dataType": self.data_type,
            "method": "MANUAL" if self.is_by_hand else "AUTO",
            "triggerType": self.trigger,
            "isRequired": self.is_required,
            "isActive": True,
        }
        if self.data_type == "NUMBER":
            body["limits"] = {"lsl": self.lsl, "usl": self.usl, "target": self.target, "unit": self.unit}
        if self.alarm_action:
            body["alarm"] = {"min": self.alarm_min, "max": self.alarm_max, "action": self.alarm_action}
        return body


@dataclass(frozen=True)
class Format:
    """How a machine speaks: all that it says stands below `root` of the payload."""

    root: str
    passed: str
    failed: str
    has_phases: bool = False
    lists_findings: bool = False


@dataclass(frozen=True)
class Step:
    """A step of the route with the one station that does it."""

    step_no: int
    operation: str
    kind: str
    operation_name: str
    group: str
    group_name: str
    station: str
    station_name: str
    equipment: str
    equipment_name: str
    measurements: tuple[Measurement, ...]
    station_type: str = "MANUAL"
    format: Format = field(default_factory=lambda: Format("report", "PASS", "FAIL"))
    retest_limit: int = 0

    @property
    def is_by_machine(self) -> bool:
        """Whether a machine reports what it did."""
        return self.station_type in MACHINE_TYPES

    @property
    def mapping(self) -> dict[str, Any] | None:
        """How its events are to be read."""
        if not self.is_by_machine:
            return None
        root = f"payload.{self.format.root}"
        mapping: dict[str, Any] = {
            "stationCodePath": f"{root}.machine",
            "result": {
                "path": f"{root}.verdict",
                "passValues": [self.format.passed],
                "failValues": [self.format.failed],
            },
            "measurements": {
                "itemsPath": f"{root}.values",
                "namePath": "name",
                "valuePath": "value",
                "unitPath": "unit",
            },
            "dataSpecMap": {each.reported: each.name for each in self.measurements if each.reported != each.name},
            "waitSeconds": WAIT_SECONDS,
        }
        if self.format.lists_findings:
            mapping["defects"] = {"itemsPath": f"{root}.findings", "codePath": "code", "locationPath": "part"}
        if self.station_type == "BATCH":
            return mapping | {"carrierCodePath": f"{root}.carrier", "snListPath": f"{root}.boards"}
        mapping["snPath"] = f"{root}.board"
        if self.station_type == "TEST":
            mapping["testResultIdPath"] = f"{root}.testId"
        if self.format.has_phases:
            mapping["phase"] = {"path": f"{root}.phase", "inValues": ["start"], "outValues": ["end"]}
        return mapping

    @property
    def config(self) -> dict[str, Any]:
        """How it runs, as the interface takes it."""
        return {
            "scope": "STEP",
            "stepNo": self.step_no,
            "stationType": self.station_type,
            "stationGroupCode": self.group,
            "retestLimit": self.retest_limit,
            "ingestMapping": self.mapping,
        }


PRINTING = (
    Measurement("Squeegee Pressure", 60.0, 0.7, 50, 70, "N"),
    Measurement("Print Speed", 40.0, 0.2, 35, 45, "mm/s"),
    Measurement("Paste Temperature", 24.0, 0.25, 21, 27, "°C"),
)
PASTE_INSPECTION = (
    Measurement("Paste Volume", 100.0, 6.0, 60, 140, "%", is_key=True, is_required=True),
    Measurement("Paste Height", 120.0, 5.0, 85, 155, "µm", is_key=True, is_required=True),
    Measurement("Paste Offset X", 0.0, 12.0, -80, 80, "µm"),
    Measurement("Paste Offset Y", 0.0, 12.0, -80, 80, "µm"),
)
PLACEMENT = (
    Measurement("Nozzle Vacuum", -72.0, 1.2, -85, -60, "kPa"),
    Measurement("Placement Offset", 18.0, 3.0, None, 50, "µm", is_key=True, is_required=True),
    Measurement("Pick Errors", 0, 0.3, None, 5, "pcs", digits=0),
)
REFLOW = (
    *(
        Measurement(
            f"Zone {zone} {part} Temperature",
            target,
            0.5,
            target - 5,
            target + 5,
            "°C",
            is_key=kind == "Reflow",
            is_of_carrier=True,
        )
        for zone, kind, top, bottom in ZONES
        for part, target in (("Top", top), ("Bottom", bottom))
    ),
    Measurement(
        "Peak Temperature",
        248.0,
        0.5,
        240,
        256,
        "°C",
        is_key=True,
        is_required=True,
        is_of_carrier=True,
        alarm_min=235,
        alarm_max=262,
        alarm_action="HOLD",
    ),
    Measurement("Conveyor Speed", 75.0, 0.15, 73, 77, "cm/min", True, True, is_of_carrier=True, digits=2),
    Measurement(
        "O2", 500.0, 25.0, None, 800, "ppm", is_of_carrier=True, alarm_max=1000, alarm_action="ALARM_ONLY", digits=0
    ),
)
OPTICAL_INSPECTION = (
    Measurement("Defect Count", 0, 0.0, None, 0, "pcs", is_required=True, digits=0),  # each find may be a false call
    Measurement("Inspection Time", 8.2, 0.15, None, None, "s"),
)
WASHING = (
    Measurement("Water Temperature", 60.0, 0.4, 55, 65, "°C"),
    Measurement("Rinse Conductivity", 4.0, 0.5, None, 10, "µS/cm", is_key=True, is_required=True),
)
FUNCTIONAL_TEST = (
    Measurement("3V3 Rail", 3.3, 0.008, 3.234, 3.366, "V", is_key=True, is_required=True, digits=3),
    Measurement("5V Rail", 5.0, 0.012, 4.9, 5.1, "V", is_key=True, is_required=True, digits=3),
    Measurement("Supply Current", 210.0, 4.0, 180, 240, "mA", is_key=True, is_required=True),
    Measurement("CAN Response Time", 3.1, 0.15, None, 5, "ms", digits=2),
    Measurement("Firmware Version", "2.4.1"),
)
FINAL_CHECK = (
    Measurement("LED Check", True, is_required=True, is_by_hand=True),
    Measurement("Earth Resistance", 42.0, 5.0, 0, 100, "mΩ", is_key=True, is_by_hand=True),
)

STEPS = (
    Step(10, "PRINT", "PRINT", "Solder paste printing", "PRINTERS", "Paste printers", "PRN-A1", "Printer A1",
         "EQ-PRN-A1", "Stencil printer", PRINTING, "AUTO", Format("print", "OK", "ERROR")),
    Step(20, "SPI", "SPI", "Solder paste inspection", "SPI", "Paste inspection", "SPI-A1", "Paste inspection A1",
         "EQ-SPI-A1", "Paste inspection machine", PASTE_INSPECTION, "AUTO", Format("paste", "GOOD", "NG")),
    Step(30, "PLACE", "PLACE", "Component placement", "PLACERS", "Placers", "PLC-A1", "Placer A1",
         "EQ-PLC-A1", "Pick and place machine", PLACEMENT, "AUTO", Format("placement", "Complete", "Aborted")),
    Step(40, "REFLOW", "REFLOW", "Reflow soldering", "OVENS", "Reflow ovens", "REF-A1", "Reflow oven A1",
         "EQ-REF-A1", "Reflow oven, four zones", REFLOW, "BATCH", Format("profile", "Succeeded", "Failed")),
    Step(50, "AOI", "AOI", "Optical inspection", "AOI", "Optical inspection", "AOI-A1", "Optical inspection A1",
         "EQ-AOI-A1", "Optical inspection machine", OPTICAL_INSPECTION, "AUTO",
         Format("inspection", "PASS", "FAIL", has_phases=True, lists_findings=True)),
    Step(55, "WASH", "WASH", "Washing", "WASHERS", "Board washers", "WSH-A1", "Washer A1",
         "EQ-WSH-A1", "Aqueous washer", WASHING, "AUTO", Format("wash", "CLEAN", "ABORTED")),
    Step(60, "FCT", "TEST", "Functional test", "TESTERS", "Functional testers", "TST-A1", "Functional test A1",
         "EQ-TST-A1", "Test fixture", FUNCTIONAL_TEST, "TEST", Format("test", "PASSED", "FAILED"), retest_limit=1),
    Step(70, "FINAL", "PACK", "Final check and packing", "PACKING", "Packing places", "PCK-A1", "Packing place A1",
         "EQ-PCK-A1", "Earth tester", FINAL_CHECK),
)  # fmt: skip


def make(client: Client) -> bool:
    """Create what is missing of the plant and compile its route; return whether anything was missing."""
    made = [_make_line(client), *(_make_step(client, step) for step in STEPS), _make_route(client)]
    first = STEPS[0].step_no
    made.append(readiness.make(client, line=LINE, route=ROUTE, product=PRODUCT, first_step=first))
    if any(made) or not any(is_ours(client, version["versionNo"]) for version in _ready_versions(client)):
        version = client.post("routes", ROUTE, "compile")
        if version["status"] != "READY":
            raise RuntimeError(f"Route {ROUTE} cannot be compiled: {version['errors']}")
    return any([*made, quality_rules.make(client, product=PRODUCT)])


def is_ours(client: Client, version_no: int) -> bool:
    """Whether a version of the route has the steps of this line, each done by a station of the same type."""
    snapshot = client.get("routes", ROUTE, "versions", str(version_no))["snapshot"]
    found = [(step["stepNo"], step["operation"]["code"], step["stationType"]) for step in snapshot["steps"]]
    return found == [(step.step_no, step.operation, step.station_type) for step in STEPS]


def _ready_versions(client: Client) -> list[dict[str, Any]]:
    return [version for version in client.items("routes", ROUTE, "versions") if version["status"] == "READY"]


def _make_line(client: Client) -> bool:
    line = {"code": LINE, "name": "SMT line A", "processType": "SMT", "readinessChecks": list(readiness.CHECKS)}
    product = {"code": PRODUCT, "name": "Controller board CTRL-100", "unit": "pcs"}
    return any([_ensure(client, "lines", {**line, "shifts": list(SHIFTS)}), _ensure(client, "materials", product)])


def _make_step(client: Client, step: Step) -> bool:
    """Make the operation of a step with its specs, and the station that does it."""
    group = {"code": step.group, "name": step.group_name}
    operation = {"code": step.operation, "name": step.operation_name, "kind": step.kind}
    station = {"code": step.station, "name": step.station_name, "stationType": step.station_type}
    equipment = {"code": step.equipment, "name": step.equipment_name, "stationCode": step.station, "status": "normal"}
    made = [
        _ensure(client, "station-groups", group),
        _ensure(client, "operations", {**operation, "defaultStationType": step.station_type}),
        _ensure(client, "stations", {**station, "lineCode": LINE, "groupCode": step.group}),
        _ensure(client, "equipment", equipment),
    ]
    known = _specs_of(client, step)
    missing = [measurement for measurement in step.measurements if measurement.name not in known]
    for measurement in missing:
        client.post("data-collection-specs", body=measurement.body(step.operation))
    return any(made) or bool(missing)


def _specs_of(client: Client, step: Step) -> dict[str, dict[str, Any]]:
    specs = client.items("data-collection-specs", query={"operationCode": step.operation})
    return {spec["name"]: spec for spec in specs if spec["operationCode"] == step.operation}


def _make_route(client: Client) -> bool:
    """Make the route and say how each of its steps runs."""
    steps = [{"stepNo": step.step_no, "operationCode": step.operation} for step in STEPS]
    route = {"code": ROUTE, "name": "Controller board", "sourceSystem": "MES", "productCode": PRODUCT}
    made = _ensure(client, "routes", {**route, "isActive": True, "steps": steps})
    configs = {config["stepNo"]: config for config in client.items("routes", ROUTE, "execution-config")}
    earlier = [step for step in STEPS if _is_of_earlier_release(configs.get(step.step_no), step)]
    known = client.get("routes", ROUTE)["steps"]
    if [(step["stepNo"], step["operationCode"]) for step in known] != [(one.step_no, one.operation) for one in STEPS]:
        client.patch("routes", ROUTE, body={"steps": steps})
    for step in earlier:
        _give_to_machine(client, step)  # its config goes last: what was cut off before is done again
    missing = [step for step in STEPS if step.step_no not in configs]
    for step in missing:
        client.post("routes", ROUTE, "execution-config", body=step.config)
    return made or bool(missing) or bool(earlier)


# --- a plant of an earlier release --------------------------------------------------------------------------


def _is_of_earlier_release(config: Mapping[str, Any] | None, step: Step) -> bool:
    """Whether a machine's step is still worked by hand, and never was otherwise."""
    return (
        config is not None
        and step.is_by_machine
        and config["stationType"] == "MANUAL"
        and config["ingestMapping"] is None
    )


def _give_to_machine(client: Client, step: Step) -> None:
    """Change what the earlier release made of a step: what is typed moves to the final check, the machine reports."""
    wanted = {measurement.name: measurement for measurement in step.measurements}
    for name, spec in _specs_of(client, step).items():
        if name in wanted and spec["triggerType"] != wanted[name].trigger:
            client.patch("data-collection-specs", spec["id"], body={"triggerType": wanted[name].trigger})
        if name in {measurement.name for measurement in FINAL_CHECK} and spec["isActive"]:
            client.patch("data-collection-specs", spec["id"], body={"isActive": False})
    client.patch("operations", step.operation, body={"defaultStationType": step.station_type})
    client.patch("stations", step.station, body={"stationType": step.station_type})
    client.post("routes", ROUTE, "execution-config", body=step.config)


def _ensure(client: Client, collection: str, body: Mapping[str, Any]) -> bool:
    """Create a thing unless its code is known; return whether it was created."""
    try:
        client.get(collection, body["code"])
    except Refused as refusal:
        if refusal.status != 404 or not refusal.code.endswith("_NOT_FOUND"):
            raise
    else:
        return False
    client.post(collection, body=body)
    return True
