"""Things that tests need, made with sane defaults: plain functions, every field may be given.

`make_plant()` gives a small plant ready to work; the others make one thing each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from rest_framework.test import APIClient

from mes.plant.models import Line, Operation, OperationKind, Station, StationGroup, StationType
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.production import orders, runs
from mes.production.models import Run, Unit, WorkOrder
from mes.routing.compilation import compile_route
from mes.routing.models import ConfigScope, RouteExecutionConfig, RouteVersion, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec
from tests.remembering import remembered

_numbers = count(1)


# --- people and machines ----------------------------------------------------------------------------------


def make_user(role: Role | str | None = None, *, username: str | None = None, **fields: Any) -> User:
    """Make a person who may sign in (also to the admin site), in the group of the role; password `secret`."""
    username = username or f"{(role or 'nobody').lower()}-{next(_numbers)}"
    user = User.objects.create_user(username, password="secret", **{"is_staff": True, **fields})
    if role is not None:
        user.groups.add(Group.objects.get_or_create(name=Role(role).group_name)[0])
    return user


def make_token(role: Role | str = Role.ADMIN, stations: Iterable[str] = ()) -> str:
    """Issue a token and return its text."""
    return issue_token(name=f"{role}-{next(_numbers)}", role=role, station_codes=stations)[1]


def api_client(role: Role | str = Role.ADMIN, stations: Iterable[str] = ()) -> APIClient:
    """Return a client of the HTTP interface that sends a token of this role."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(role, stations)}")
    return client


# --- plant ------------------------------------------------------------------------------------------------


def make_line(code: str = "SMT-A", **fields: Any) -> Line:
    """Make a line, or return the one of that code."""
    return Line.objects.get_or_create(code=code, defaults={"name": f"Line {code}", "process_type": "SMT", **fields})[0]


def make_group(code: str = "PRINTERS", **fields: Any) -> StationGroup:
    """Make a station group, or return the one of that code."""
    return StationGroup.objects.get_or_create(code=code, defaults={"name": f"Group {code}", **fields})[0]


def make_station(code: str = "SMT-01", **fields: Any) -> Station:
    """Make a station, or return the one of that code: MANUAL, without line and group unless given."""
    defaults = {"name": f"Station {code}", "station_type": StationType.MANUAL, **fields}
    return Station.objects.get_or_create(code=code, defaults=defaults)[0]


def make_operation(code: str = "PRINT", **fields: Any) -> Operation:
    """Make an operation, or return the one of that code. Its kind is its code where that is a kind."""
    kind = code if code in OperationKind.values else OperationKind.OTHER
    return Operation.objects.get_or_create(
        code=code,
        defaults={"name": code.capitalize(), "kind": kind, "default_station_type": StationType.MANUAL, **fields},
    )[0]


def make_spec(
    operation: Operation | str = "REFLOW", name: str = "Peak Temperature", **fields: Any
) -> DataCollectionSpec:
    """Make a spec: KEY, NUMBER, AUTO, each unit, without limits unless given."""
    owner = make_operation(operation) if isinstance(operation, str) else operation
    defaults = {"item_type": "KEY", "data_type": "NUMBER", "method": "AUTO"}
    return DataCollectionSpec.objects.create(operation=owner, name=name, **{**defaults, **fields})


# --- routes -----------------------------------------------------------------------------------------------


def make_route(
    code: str = "ROUTE-1", *, steps: Sequence[tuple[int, str]] = ((10, "PRINT"), (20, "REFLOW")), **fields: Any
) -> Routing:
    """Make a route of these (step number, operation code)."""
    routing = Routing.objects.create(code=code, **{"name": f"Route {code}", "product_code": "BOARD-1", **fields})
    RoutingStep.objects.bulk_create(
        RoutingStep(routing=routing, step_no=step_no, operation=make_operation(operation))
        for step_no, operation in steps
    )
    return routing


def make_config(
    routing: Routing | None = None, *, step_no: int | None = None, operation: Operation | None = None, **fields: Any
) -> RouteExecutionConfig:
    """Make an execution config; what is given decides its scope: a step, an operation, a route, or everywhere."""
    if routing is not None:
        scope = ConfigScope.ROUTE if step_no is None and not fields.get("source_step_key") else ConfigScope.STEP
    else:
        scope = ConfigScope.GLOBAL if operation is None else ConfigScope.OPERATION
    return RouteExecutionConfig.objects.create(
        scope=scope, routing=routing, step_no=step_no, operation=operation, **fields
    )


# --- a whole plant ----------------------------------------------------------------------------------------


@dataclass
class Plant:
    """What `make_plant` made."""

    line: Line
    groups: dict[str, StationGroup]
    stations: dict[str, Station]
    operations: dict[str, Operation]
    peak: DataCollectionSpec
    speed: DataCollectionSpec
    voltage: DataCollectionSpec
    routing: Routing
    version: RouteVersion
    order: WorkOrder
    run: Run
    units: list[Unit]

    @property
    def sns(self) -> list[str]:
        """The serial numbers of the units, in order."""
        return [unit.sn for unit in self.units]


@remembered
def make_plant(*, units: int = 2, authorize: bool = True, plan_qty: int = 100, run_no: str = "RUN-1") -> Plant:
    """Make three MANUAL steps (10 PRINT, 20 REFLOW, 30 TEST) on line SMT-A, compiled, with an authorized run.

    REFLOW: KEY AUTO “Peak Temperature” 235..250 °C, alarm 230..255 HOLD; OBSERVATION AUTO “Conveyor Speed” 55..65
    cm/min. TEST: KEY MANUAL required “Supply Voltage” 3.2..3.4 V. With `units=0`, their first track makes them.
    """
    line = make_line("SMT-A")
    places = {"PRINT": ("PRINTERS", "SMT-01"), "REFLOW": ("OVENS", "REF-01"), "TEST": ("TESTERS", "TST-01")}
    groups = {group: make_group(group) for group, _station in places.values()}
    stations = {code: make_station(code, line=line, group=groups[group]) for group, code in places.values()}
    operations = {code: make_operation(code) for code in places}
    peak, speed, voltage = _make_specs(operations)
    routing = make_route(steps=[(10, "PRINT"), (20, "REFLOW"), (30, "TEST")])
    for step_no, (group, _station) in zip((10, 20, 30), places.values(), strict=True):
        make_config(routing, step_no=step_no, station_type=StationType.MANUAL, station_group=groups[group])
    version, _changed = compile_route(code=routing.code)
    order, run = _make_run(routing, line, plan_qty=plan_qty, run_no=run_no)
    if units:
        runs.register_units(run_no=run_no, sns=[f"SN-{number}" for number in range(1, units + 1)])
    if authorize:
        runs.set_authorization(run_no=run_no, action="AUTHORIZE", by="test")
    return Plant(
        line=line,
        groups=groups,
        stations=stations,
        operations=operations,
        peak=peak,
        speed=speed,
        voltage=voltage,
        routing=routing,
        version=version,
        order=order,
        run=Run.objects.get(pk=run.pk),
        units=list(Unit.objects.filter(run=run).order_by("id")),
    )


def _make_specs(operations: dict[str, Operation]) -> tuple[DataCollectionSpec, DataCollectionSpec, DataCollectionSpec]:
    peak = make_spec(
        operations["REFLOW"],
        "Peak Temperature",
        lsl=235,
        usl=250,
        target=245,
        unit="°C",
        alarm_min=230,
        alarm_max=255,
        alarm_action="HOLD",
    )
    speed = make_spec(operations["REFLOW"], "Conveyor Speed", item_type="OBSERVATION", lsl=55, usl=65, unit="cm/min")
    voltage = make_spec(
        operations["TEST"], "Supply Voltage", method="MANUAL", lsl=3.2, usl=3.4, unit="V", is_required=True
    )
    return peak, speed, voltage


def _make_run(routing: Routing, line: Line, *, plan_qty: int, run_no: str) -> tuple[WorkOrder, Run]:
    wo_no = f"WO-{run_no}"
    orders.receive(
        wo_no=wo_no, product_code=routing.product_code, planned_qty=plan_qty, optional={"routing_code": routing.code}
    )
    order = orders.release(wo_no=wo_no, line_code=line.code)
    run = runs.create(wo_no=wo_no, line_code=line.code, plan_qty=plan_qty, run_no=run_no)
    return order, run
