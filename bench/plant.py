"""The plant that is measured: units with an open track each at an oven. Imported when Django is set up."""

from bench.case import Plant
from execution import tracking
from mes.accounts.roles import Role
from mes.accounts.tokens import issue_token
from mes.plant.models import Line, Operation, OperationKind, Station, StationGroup, StationType
from mes.production import orders, runs
from mes.routing.compiling import compile_route
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec

UNITS = 200


def build() -> Plant:
    """Make the plant through the services that the product uses."""
    line = Line.objects.create(code="BENCH", name="Bench", process_type="SMT")
    routing = Routing.objects.create(code="BENCH", name="Bench", product_code="BOARD")
    for step_no, code in ((10, "REFLOW"), (20, "TEST")):
        _make_step(line, routing, step_no, code)
    spec = DataCollectionSpec.objects.create(
        operation=Operation.objects.get(code="REFLOW"),
        name="Peak Temperature",
        item_type="KEY",
        data_type="NUMBER",
        method="AUTO",
        unit="°C",
        lsl=235,
        target=245,
        usl=250,
        alarm_min=230,
        alarm_max=255,
        alarm_action="HOLD",
    )
    compile_route(code=routing.code)
    sns = [f"BENCH-{number:04}" for number in range(UNITS)]
    _make_open_tracks(line, routing, sns)
    _token, text = issue_token(name="bench", role=Role.INTEGRATION)
    return Plant(
        token=text,
        run_no="BENCH-RUN",
        station_code="BENCH-REFLOW",
        step_no=10,
        spec_name=spec.name,
        good_value=245.1,
        sns=sns,
    )


def _make_step(line: Line, routing: Routing, step_no: int, code: str) -> None:
    group = StationGroup.objects.create(code=f"BENCH-{code}", name=code)
    Station.objects.create(code=f"BENCH-{code}", name=code, station_type=StationType.MANUAL, line=line, group=group)
    operation = Operation.objects.create(
        code=code, name=code, kind=OperationKind[code], default_station_type=StationType.MANUAL
    )
    RoutingStep.objects.create(routing=routing, step_no=step_no, operation=operation)
    RouteExecutionConfig.objects.create(
        scope=ConfigScope.STEP,
        routing=routing,
        step_no=step_no,
        station_type=StationType.MANUAL,
        station_group=group,
    )


def _make_open_tracks(line: Line, routing: Routing, sns: list[str]) -> None:
    orders.receive(wo_no="BENCH-WO", product_code=routing.product_code, planned_qty=len(sns))
    orders.release(wo_no="BENCH-WO", line_code=line.code)
    runs.create(wo_no="BENCH-WO", line_code=line.code, plan_qty=len(sns), run_no="BENCH-RUN")
    runs.register_units(run_no="BENCH-RUN", sns=sns)
    runs.set_authorization(run_no="BENCH-RUN", action="AUTHORIZE", by="bench")
    for sn in sns:
        tracking.track_in(run_no="BENCH-RUN", sn=sn, station_code="BENCH-REFLOW", operator="bench")
