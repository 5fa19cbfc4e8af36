"""What the machines of the demo line measure: noise, slow drift, now and then a fault. Pure but for chance."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from demo import oven, plant

Value = float | str | bool
Finding = tuple[str, str]  # code and designator
KEPT, STIRRED = 0.97, 0.24  # a walk that is pulled back; it wanders about as far as the noise scatters
RUNAWAY, RUNAWAY_BOARDS = 0.6, 9  # of the usual scatter, from board to board; how many boards until it is mended
DEFECTS = (("BRIDGE", "U3"), ("TOMBSTONE", "R17"), ("MISSING", "C42"), ("SKEWED", "U7"))
# What the optical inspection calls what it finds: one as the plant does, some by an alias, one that nobody knows.
FINDINGS = (("SKEWED", "U7"), ("E17", "U3"), ("E23", "R17"), ("E05", "C42"), ("E99", "U1"))


@dataclass(frozen=True)
class Fault:
    """A value that now and then goes wrong. About one board in sixty meets one that fails it."""

    operation: str
    name: str
    value: float
    chance: float


FAULTS = (
    Fault("SPI", "Paste Volume", 54.0, 0.003),
    Fault("SPI", "Paste Offset X", 91.0, 0.005),
    Fault("PLACE", "Pick Errors", 7.0, 0.005),
    Fault("REFLOW", "Zone 3 Top Temperature", 258.5, 0.001),
    Fault("REFLOW", "Zone 3 Top Temperature", 264.0, 0.002),
    Fault("REFLOW", "O2", 1060.0, 0.01),
    Fault("AOI", "Defect Count", 2.0, 0.006),
    Fault("FCT", "3V3 Rail", 3.195, 0.003),
    Fault("FCT", "Supply Current", 251.0, 0.002),
)


@dataclass
class Instrument:
    """Measures what a step collects. Each quantity drifts by itself; now and then one runs away until it is mended."""

    random: Random = field(default_factory=Random)
    faults: Sequence[Fault] = FAULTS
    runaway_chance: float = 0.0  # of each measuring
    on_runaway: Callable[[str], None] = lambda text: None
    _drifts: dict[str, float] = field(default_factory=dict)
    _runaways: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, step: plant.Step) -> dict[str, Value]:
        """Return a value for each measurement of the step, typed ones included."""
        if self.random.random() < self.runaway_chance:
            self._run_away(step)
        values = {measurement.name: self._value(step, measurement) for measurement in step.measurements}
        return self._with_peak(step, values | self._faults(step))

    def find(self, step: plant.Step, values: Mapping[str, Value]) -> list[Finding]:
        """Return what an inspection sees, as many as it has counted."""
        count = int(values["Defect Count"]) if step.format.lists_findings else 0
        return self.random.sample(FINDINGS, min(count, len(FINDINGS)))

    def report(self, step: plant.Step, sn: str) -> dict[str, Any]:
        """Return what the oven reports about a board: an IPC-CFX message in its envelope."""
        values = self.measure(step)
        process = {
            "$type": "CFX.Structures.SolderReflow.ReflowProcessData, CFX",
            "ConveyorSpeed": values["Conveyor Speed"],
            "ConveyorSpeedSetpoint": _target(step, "Conveyor Speed"),
            "ZoneData": [_zone(step, values, stage, kind) for stage, kind, _top, _bottom in plant.ZONES],
        }
        body = {
            "TransactionId": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            "OverallResult": "Succeeded",
            "CommonProcessData": process,
            "UnitProcessData": [{"UnitIdentifier": sn, "UnitPositionNumber": 1, "UnitResult": "Succeeded"}],
        }
        return {
            "MessageName": "CFX.Production.Processing.UnitsProcessed",
            "Version": "2.1",
            "TimeStamp": datetime.now(UTC).isoformat(),
            "UniqueID": str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            "Source": "Demo.Oven.REF-A1",
            "MessageBody": body,
        }

    def _value(self, step: plant.Step, measurement: plant.Measurement) -> Value:
        target = measurement.target
        if isinstance(target, bool | str):
            return target
        place = f"{step.operation} {measurement.name}"
        drift = self._drifts[place] = KEPT * self._drifts.get(place, 0.0) + self.random.gauss(0, STIRRED)
        runaway = self._runaways.get(place)
        drift += runaway.pop() if runaway else 0.0
        value = target + measurement.noise * (self.random.gauss(0, 1) + drift)
        if target >= 0 and (measurement.lsl is None or measurement.lsl >= 0):
            value = abs(value)  # a quantity that cannot be negative
        return round(value, measurement.digits)

    def _run_away(self, step: plant.Step) -> None:
        """Let a quantity go further with each board, for some boards."""
        numbers = [each for each in step.measurements if each.data_type == "NUMBER" and each.noise]
        if not numbers:
            return
        measurement = self.random.choice(numbers)
        self._runaways[f"{step.operation} {measurement.name}"] = [
            RUNAWAY * board for board in range(RUNAWAY_BOARDS, 0, -1)
        ]
        self.on_runaway(f"{measurement.name} at {step.station}")

    def _with_peak(self, step: plant.Step, values: dict[str, Value]) -> dict[str, Value]:
        """The peak is the highest temperature of a zone."""
        zones = [value for name, value in values.items() if name.startswith("Zone") and name.endswith("Temperature")]
        return values | {"Peak Temperature": max(zones)} if "Peak Temperature" in values and zones else values

    def _faults(self, step: plant.Step) -> dict[str, Value]:
        chances = [fault for fault in self.faults if fault.operation == step.operation]
        return {fault.name: fault.value for fault in chances if self.random.random() < fault.chance}


def is_failed(step: plant.Step, values: Mapping[str, Value]) -> bool:
    """Whether a key value lies outside its limits, as a machine judges itself."""
    return any(
        each.is_key and not _is_within(values[each.name], {"lsl": each.lsl, "usl": each.usl})
        for each in step.measurements
        if each.name in values
    )


def is_held(step: plant.Step, values: Mapping[str, Value]) -> bool:
    """Whether a value lies outside an alarm band that puts units on hold."""
    return any(
        each.alarm_action == "HOLD"
        and not _is_within(values[each.name], {"lsl": each.alarm_min, "usl": each.alarm_max})
        for each in step.measurements
        if each.name in values
    )


def payload_of(
    step: plant.Step, values: Mapping[str, Value], *, failed: bool, **fields: Any
) -> dict[str, dict[str, Any]]:
    """Return what a machine says, in its own words; `fields` name boards, carrier, phase or test."""
    speech = step.format
    return {
        speech.root: {
            "machine": step.station,
            **fields,
            "verdict": speech.failed if failed else speech.passed,
            "values": [
                {"name": each.reported, "value": values[each.name], **({"unit": each.unit} if each.unit else {})}
                for each in step.measurements
                if each.name in values
            ],
        }
    }


def good_event(step: plant.Step, sn: str) -> dict[str, Any]:
    """Return what a machine says of a board at which all is as it should be."""
    values = {measurement.name: measurement.target for measurement in step.measurements}
    return {
        "dedupeKey": str(uuid.uuid4()),
        "sourceSystem": step.station,
        "eventType": step.station_type,
        "occurredAt": datetime.now(UTC).isoformat(),
        "payload": payload_of(step, values, failed=False, board=sn),
    }


def list_findings(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return what an inspection found, in its own words."""
    return [{"code": code, "part": part} for code, part in findings]


def readings_to_send(values: Mapping[str, Value], specs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the values of these specs in the form of the interface; others are left out."""
    fields = {"NUMBER": "valueNumber", "TEXT": "valueText", "BOOLEAN": "valueBoolean"}
    return [
        {"specName": name, fields[spec["dataType"]]: values[name]}
        for name, spec in specs.items()
        if name in values and spec["dataType"] == _type_of(values[name])
    ]


def verdict(readings: list[dict[str, Any]], specs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return FAIL if a key value lies outside its limits, as a machine judges itself."""
    failed = [
        reading
        for reading in readings
        if specs[reading["specName"]]["itemType"] == "KEY"
        and not _is_within(reading.get("valueNumber"), specs[reading["specName"]]["limits"])
    ]
    return "FAIL" if failed else "PASS"


def _type_of(value: Value) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    return "TEXT" if isinstance(value, str) else "NUMBER"


def _is_within(number: Value | None, limits: Mapping[str, Any] | None) -> bool:
    low, high = (limits or {}).get("lsl"), (limits or {}).get("usl")
    if isinstance(number, str):
        return True
    return number is None or ((low is None or number >= low) and (high is None or number <= high))


def _target(step: plant.Step, name: str) -> Value:
    return next(measurement.target for measurement in step.measurements if measurement.name == name)


def _zone(step: plant.Step, values: Mapping[str, Value], stage: int, kind: str) -> dict[str, Any]:
    """Return one zone of an oven report: set points and readings of its parts."""
    parts = [(part, "Temperature", f"Zone {stage} {part} Temperature") for part in ("Top", "Bottom")]
    if kind == "Reflow":
        parts.append((oven.WHOLE_ZONE, "O2", "O2"))
    return {
        "Zone": {"ReflowZoneType": kind, "StageSequence": stage, "StageName": f"Zone{stage}", "StageType": "Work"},
        "Setpoints": [
            {"SubZone": part, "SetpointType": quantity, "Setpoint": _target(step, name)}
            for part, quantity, name in parts
        ],
        "Readings": [
            {"SubZone": part, "ReadingType": quantity, "ReadingValue": values[name]} for part, quantity, name in parts
        ],
    }
