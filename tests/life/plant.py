"""Two lines with the same stations, a board and a device that holds it, and who works there."""

from dataclasses import dataclass

from rest_framework.test import APIClient

from execution.models import SamplingRule
from mes.plant.models import BomItem, Material, StationType
from mes.platform.accounts.roles import Role
from mes.production.identity_models import ReferenceUnit
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig
from tests.factories import (
    api_client,
    build_config,
    build_group,
    build_line,
    build_operation,
    build_station,
    make_route,
    make_user,
    save,
)

LINES = ("LINE-A", "LINE-B")
SAMPLED = "LINE-B"
BOARD, DEVICE = "BOARD-1", "DEVICE-1"
STEPS = {10: "PRINT", 20: "INSPECT", 30: "TEST"}  # 20 may be left out
DEVICE_STEPS = {10: "ASSEMBLE", 20: "TEST"}
REENTRY_LIMIT = 1
GOLDEN = "GOLDEN-1"
SIGNATURE = {"username": "quinn", "password": "secret", "meaning": "approved"}
MAPPING = {
    "snPath": "payload.sn",
    "stationCodePath": "payload.station",
    "waitSeconds": 60,
    "result": {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]},
    "defects": {
        "itemsPath": "payload.defects",
        "codePath": "code",
        "locationPath": "at",
        "falseCallPath": "isFalse",
    },
}


@dataclass(frozen=True)
class People:
    """Clients of the HTTP interface, by who asks."""

    supervisor: APIClient
    operator: APIClient
    quality: APIClient
    second: APIClient
    erp: APIClient
    machine: APIClient


def station_of(operation: str, line: str) -> str:
    """Return the code of the station for an operation on a line."""
    return f"{operation}-{line[-1]}"


def make() -> People:
    """Make the plant: PRINT is AUTO and waits a minute, the other steps are MANUAL; INSPECT is optional. Two boards of
    each run of the second line are inspected before they leave.
    """
    lines = save([build_line(code) for code in LINES])
    operations = sorted({*STEPS.values(), *DEVICE_STEPS.values()})
    groups = save([build_group(f"{operation}-GROUP") for operation in operations])
    kinds = {operation: StationType.AUTO if operation == "PRINT" else StationType.MANUAL for operation in operations}
    save(
        [
            build_station(
                station_of(operation, line),
                line=lines[line],
                group=groups[f"{operation}-GROUP"],
                station_type=kinds[operation],
            )
            for operation in operations
            for line in LINES
        ]
    )
    save([build_operation(operation) for operation in operations])
    for code, product, steps in (("ROUTE-B", BOARD, STEPS), ("ROUTE-D", DEVICE, DEVICE_STEPS)):
        routing = make_route(code=code, product_code=product, steps=list(steps.items()))
        RouteExecutionConfig.objects.bulk_create(
            build_config(
                routing,
                step_no=step_no,
                station_type=kinds[operation],
                station_group=groups[f"{operation}-GROUP"],
                ingest_mapping=MAPPING if operation == "PRINT" else None,
                retest_limit=1 if operation == "TEST" else 0,
                reentry_limit=REENTRY_LIMIT,
                is_optional=operation == "INSPECT",
            )
            for step_no, operation in steps.items()
        )
        version, _changed = compile_route(code=code)
        assert version.status == "READY", version.errors
    child, parent = (Material.objects.create(code=code, name=code, unit="pcs") for code in (BOARD, DEVICE))
    BomItem.objects.create(parent=parent, child=child, quantity=1)
    ReferenceUnit.objects.create(sn=GOLDEN, kind="GOLDEN", expected_result="PASS")
    SamplingRule.objects.create(code="OQC", name="OQC", line=lines[SAMPLED], scheme="FIXED", n=2)
    make_user(Role.QUALITY, username=SIGNATURE["username"])
    return People(
        supervisor=api_client(Role.SUPERVISOR),
        operator=api_client(Role.OPERATOR),
        quality=api_client(Role.QUALITY),
        second=api_client(Role.QUALITY),
        erp=api_client(Role.INTEGRATION),
        machine=api_client(Role.INTEGRATION),
    )
