"""Lines, stations, and a route of ten steps with its specs."""

from django.contrib.auth.models import Group, User

from bench.grown.size import AUTO_STEPS, LINES, READER, STEPS, VALUES_OF_STEP
from bench.plant import MAPPING
from mes.plant.models import Line, Operation, OperationKind, Station, StationGroup, StationType
from mes.platform.accounts.roles import Role
from mes.production import orders, runs
from mes.routing.compilation import compile_route
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec


def make_master_data() -> None:
    """Lines, stations, a compiled route with specs, and a run of it that others are made like; by the services."""
    reader = User.objects.create_user(READER, password="secret", is_staff=True, is_superuser=True)
    reader.groups.add(Group.objects.get(name=Role.ADMIN.group_name))
    lines = [
        Line.objects.create(code=f"GROWN-{place}", name=f"Line {place}", process_type="SMT") for place in range(LINES)
    ]
    routing = Routing.objects.create(code="GROWN", name="Grown", product_code="GROWN-BOARD")
    for step_no, kind in STEPS.items():
        _make_step(lines, routing, step_no, kind)
    compile_route(code=routing.code)
    orders.receive(wo_no="GROWN-MODEL", product_code=routing.product_code, planned_qty=1)
    orders.release(wo_no="GROWN-MODEL", line_code=lines[0].code)
    runs.create(wo_no="GROWN-MODEL", line_code=lines[0].code, plan_qty=1, run_no="GROWN-MODEL")


def _make_step(lines: list[Line], routing: Routing, step_no: int, kind: str) -> None:
    station_type = StationType.AUTO if step_no in AUTO_STEPS else StationType.MANUAL
    group = StationGroup.objects.create(code=f"GROWN-{kind}", name=kind)
    operation = Operation.objects.create(
        code=f"GROWN-{kind}", name=kind, kind=OperationKind(kind), default_station_type=station_type
    )
    RoutingStep.objects.create(routing=routing, step_no=step_no, operation=operation)
    RouteExecutionConfig.objects.create(
        scope=ConfigScope.STEP,
        routing=routing,
        step_no=step_no,
        station_type=station_type,
        station_group=group,
        ingest_mapping=MAPPING if step_no in AUTO_STEPS else None,
    )
    for line in lines:
        Station.objects.create(code=f"{line.code}-{kind}", name=kind, station_type=station_type, line=line, group=group)
    for place in range(1, VALUES_OF_STEP + 1):
        DataCollectionSpec.objects.create(
            operation=operation,
            name=f"{kind} {place}",
            item_type="KEY",
            data_type="NUMBER",
            method="AUTO",
            unit="mm",
            lsl=80,
            usl=160,
        )
