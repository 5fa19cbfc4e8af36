"""A line whose machines report: printer AUTO, inspection AUTO with phases, oven BATCH, tester TEST."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from mes.plant.models import StationType
from mes.production.models import Run
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, RouteVersion, Routing
from mes.specs.models import DataCollectionSpec
from tests.factories import (
    build_config,
    build_group,
    build_operation,
    build_spec,
    build_station,
    make_config,
    make_group,
    make_line,
    make_route,
    make_run,
    make_station,
    save,
)

_numbers = count(1)
RESULT = {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]}
MEASUREMENTS = {
    "itemsPath": "payload.values",
    "namePath": "name",
    "valuePath": "value",
    "unitPath": "unit",
    "judgePath": "judge",
}
PRINTING = {
    "snPath": "payload.sn",
    "stationCodePath": "payload.station",
    "result": RESULT,
    "measurements": MEASUREMENTS,
}
INSPECTING = {
    **PRINTING,
    "waitSeconds": 60,
    "phase": {"path": "payload.phase", "inValues": ["start"], "outValues": ["end"]},
}
REFLOWING = {
    "carrierCodePath": "payload.carrier",
    "snListPath": "payload.sns",
    "stationCodePath": "payload.station",
    "result": RESULT,
    "measurements": MEASUREMENTS,
}
TESTING = {**PRINTING, "testResultIdPath": "payload.testId", "waitSeconds": 60}


@dataclass
class IngestPlant:
    """What `make_ingest_plant` made."""

    run: Run
    version: RouteVersion
    sns: list[str]
    mappings: dict[int, dict[str, Any]] = field(default_factory=dict)


def make_ingest_plant(
    *,
    units: int = 3,
    run_no: str = "RUN-1",
    authorize: bool = True,
    only: int | None = None,
    ungrouped: int | None = None,
    **mappings: dict[str, Any],
) -> IngestPlant:
    """Make line SMT-A: 10 PRINT (AUTO, PRN-1), 20 AOI (AUTO with phase, waits 60 s, AOI-1), 30 REFLOW (BATCH, OVN-1),
    40 TEST (TEST, waits 60 s, retest limit 1, TST-1).

    PRINT: OBSERVATION “Paste Height” 80..160 µm. REFLOW: KEY, each carrier, “Peak Temperature” 235..250 °C, alarm
    230..255 HOLD. TEST: KEY required “Supply Voltage” 3.2..3.4 V. `mappings` replaces one by its lower-case operation.
    The route has but the step `only`, where that is given; the step `ungrouped` names no stations.
    """
    line = make_line("SMT-A")
    steps = {
        10: ("PRINT", StationType.AUTO, "PRN-1", mappings.get("print", PRINTING)),
        20: ("AOI", StationType.AUTO, "AOI-1", mappings.get("aoi", INSPECTING)),
        30: ("REFLOW", StationType.BATCH, "OVN-1", mappings.get("reflow", REFLOWING)),
        40: ("TEST", StationType.TEST, "TST-1", mappings.get("test", TESTING)),
    }
    steps = {no: step for no, step in steps.items() if only in (None, no)}
    routing = make_route(code=f"ROUTE-{next(_numbers)}", steps=[(no, step[0]) for no, step in steps.items()])
    groups = save([build_group(f"{operation}-GROUP") for operation, *_rest in steps.values()])
    save(
        [
            build_station(station, line=line, group=groups[f"{operation}-GROUP"], station_type=kind)
            for operation, kind, station, _mapping in steps.values()
        ]
    )
    RouteExecutionConfig.objects.bulk_create(
        build_config(
            routing,
            step_no=step_no,
            station_type=kind,
            station_group=None if step_no == ungrouped else groups[f"{operation}-GROUP"],
            ingest_mapping=mapping,
            retest_limit=1 if kind == StationType.TEST else 0,
        )
        for step_no, (operation, kind, _station, mapping) in steps.items()
    )
    _make_specs()
    mapping_by_step = {no: step[3] for no, step in steps.items()}
    return _start_run(routing, run_no=run_no, units=units, mappings=mapping_by_step, authorize=authorize)


def make_two_sided_plant(*, first: dict[str, Any], second: dict[str, Any]) -> IngestPlant:
    """Make line SMT-A with a route that passes the same stations twice: 10 PRINT and 30 PRINT-2 (AUTO, PRN-1), 20 AOI
    and 40 AOI-2 (AUTO, AOI-1), which the mappings `first` and `second` read.
    """
    line = make_line("SMT-A")
    steps = {10: ("PRINT", PRINTING), 20: ("AOI", first), 30: ("PRINT-2", PRINTING), 40: ("AOI-2", second)}
    groups = {}
    for name, station in (("PRINT", "PRN-1"), ("AOI", "AOI-1")):
        groups[name] = make_group(f"{name}-GROUP")
        make_station(station, line=line, group=groups[name], station_type=StationType.AUTO)
    routing = make_route(code="TWO-SIDED", steps=[(no, operation) for no, (operation, _mapping) in steps.items()])
    for step_no, (operation, mapping) in steps.items():
        group = groups[operation.removesuffix("-2")]
        make_config(
            routing, step_no=step_no, station_type=StationType.AUTO, station_group=group, ingest_mapping=mapping
        )
    return _start_run(routing, run_no="RUN-1", units=3, mappings={no: step[1] for no, step in steps.items()})


def _start_run(
    routing: Routing, *, run_no: str, units: int, mappings: dict[int, dict[str, Any]], authorize: bool = True
) -> IngestPlant:
    version, _changed = compile_route(code=routing.code)
    assert version.status == "READY", version.errors
    sns = [f"{run_no}-SN-{number}" for number in range(1, units + 1)]
    run = make_run(version, make_line("SMT-A"), run_no=run_no, sns=sns, plan_qty=1000, authorize=authorize)
    return IngestPlant(run, version, sns, mappings)


def _make_specs() -> None:
    operations = save([build_operation(code) for code in ("PRINT", "REFLOW", "TEST")])
    limits = {"lsl": 235, "usl": 250, "unit": "°C", "alarm_min": 230, "alarm_max": 255, "alarm_action": "HOLD"}
    specs = [
        build_spec(operations["PRINT"], "Paste Height", item_type="OBSERVATION", lsl=80, usl=160, unit="µm"),
        build_spec(operations["REFLOW"], "Peak Temperature", trigger_type="EACH_CARRIER", **limits),
        build_spec(operations["TEST"], "Supply Voltage", lsl=3.2, usl=3.4, unit="V", is_required=True),
    ]
    DataCollectionSpec.objects.bulk_create(specs, ignore_conflicts=True)  # another plant may have made them


def event(kind: str, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an event body with a fresh key."""
    return {
        "dedupeKey": f"key-{next(_numbers)}",
        "sourceSystem": "LINE",
        "eventType": kind,
        "occurredAt": timezone.now().isoformat(),
        "payload": payload,
        **fields,
    }


def printed(sn: str, **payload: Any) -> dict[str, Any]:
    """A print report: in and out at once."""
    return event("AUTO", {"sn": sn, "station": "PRN-1", "result": "OK", "phase": "end", "values": [], **payload})


def inspected(sn: str, phase: str, **payload: Any) -> dict[str, Any]:
    """An inspection report, `start` or `end`."""
    return event("AUTO", {"sn": sn, "station": "AOI-1", "phase": phase, "result": "OK", "values": [], **payload})


def reflowed(carrier: str, sns: list[str] | None = None, **payload: Any) -> dict[str, Any]:
    """An oven report for a carrier."""
    values = [{"name": "Peak Temperature", "value": 245.0}]
    body = {"carrier": carrier, "sns": sns, "station": "OVN-1", "result": "OK", "values": values, **payload}
    return event("BATCH", body)


def final_test(sn: str, volts: Any = 3.3, **payload: Any) -> dict[str, Any]:
    """A test report."""
    values = [{"name": "Supply Voltage", "value": volts, "unit": "V"}]
    test_id = f"test-{next(_numbers)}"
    return event("TEST", {"sn": sn, "station": "TST-1", "result": "OK", "testId": test_id, "values": values, **payload})


def push(client: APIClient, body: dict[str, Any], expect: int | None = None) -> dict[str, Any]:
    """Post an event; return the answer's data or its error."""
    answer = client.post("/api/ingest/events", body)
    if expect is not None:
        assert answer.status_code == expect, answer.content
    assert answer.status_code < 500, answer.content
    return answer.json().get("data") or answer.json()["error"]
