"""Things that tests need, made with sane defaults: plain functions, every field may be given.

`make_plant()` gives a small plant ready to work; the others make one thing each. Hundreds of tests begin with a plant,
so rows are written as the services would write them, many at once, and not through the services.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from django.contrib.auth.models import Group, User
from django.db import connection, models, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes.plant.models import Line, Operation, OperationKind, Station, StationGroup, StationType
from mes.platform.accounts import tokens
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.production import runs
from mes.production.hold_models import HeldUnit, Hold, HoldScope
from mes.production.models import Run, RunStatus, Unit, UnitStatus, WorkOrder, WorkOrderStatus
from mes.readiness.models import CheckKind, CheckStatus, ReadinessCheck
from mes.routing.compilation import Compilation, Sources, build, compile_route
from mes.routing.models import ConfigScope, RouteExecutionConfig, RouteVersion, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec

Coded = TypeVar("Coded", Line, StationGroup, Station, Operation)

OF_PLANT: tuple[type[models.Model], ...] = (
    *(Line, StationGroup, Station, Operation),
    *(DataCollectionSpec, RouteExecutionConfig),
)

_numbers = count(1)


# --- people and machines ----------------------------------------------------------------------------------


def make_user(role: Role | str | None = None, *, username: str | None = None, **fields: Any) -> User:
    """Make a person who may sign in, in the group of the role; password `secret`."""
    username = username or f"{(role or 'nobody').lower()}-{next(_numbers)}"
    user = User.objects.create_user(username, password="secret", **fields)
    if role is not None:
        group = Group.objects.get_or_create(name=Role(role).group_name)[0]
        User.groups.through.objects.create(user=user, group=group)
    return user


def make_token(role: Role | str = Role.ADMIN, stations: Iterable[str] = ()) -> str:
    """Issue a token and return its text."""
    name = f"{role}-{next(_numbers)}"
    if stations:
        return tokens.issue_token(name=name, role=role, station_codes=stations)[1]
    text = f"lk_{secrets.token_urlsafe(32)}"
    prefix = text[: tokens.PREFIX_LENGTH]
    DeviceToken.objects.create(name=name, role=role, token_hash=tokens._hash(text), prefix=prefix)
    return text


def api_client(role: Role | str = Role.ADMIN, stations: Iterable[str] = ()) -> APIClient:
    """Return a client of the HTTP interface that sends a token of this role."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(role, stations)}")
    return client


# --- plant ------------------------------------------------------------------------------------------------


def save(built: Sequence[Coded], *, into_empty: bool = False) -> dict[str, Coded]:
    """Save what is built, but for those whose code is taken; return all as they are in the database, by code."""
    if not built:
        return {}
    codes = [] if into_empty else [thing.code for thing in built]
    known = type(built[0]).objects.in_bulk(codes, field_name="code")
    type(built[0]).objects.bulk_create([thing for thing in built if thing.code not in known])
    return {thing.code: known.get(thing.code, thing) for thing in built}


def build_line(code: str, **fields: Any) -> Line:
    return Line(code=code, **{"name": f"Line {code}", "process_type": "SMT", **fields})


def build_group(code: str, **fields: Any) -> StationGroup:
    return StationGroup(code=code, **{"name": f"Group {code}", **fields})


def build_station(code: str, **fields: Any) -> Station:
    return Station(code=code, **{"name": f"Station {code}", "station_type": StationType.MANUAL, **fields})


def build_operation(code: str, **fields: Any) -> Operation:
    kind = code if code in OperationKind.values else OperationKind.OTHER
    defaults = {"name": code.capitalize(), "kind": kind, "default_station_type": StationType.MANUAL}
    return Operation(code=code, **{**defaults, **fields})


def make_line(code: str = "SMT-A", **fields: Any) -> Line:
    """Make a line, or return the one of that code."""
    return save([build_line(code, **fields)])[code]


def make_group(code: str = "PRINTERS", **fields: Any) -> StationGroup:
    """Make a station group, or return the one of that code."""
    return save([build_group(code, **fields)])[code]


def make_station(code: str = "SMT-01", **fields: Any) -> Station:
    """Make a station, or return the one of that code: MANUAL, without line and group unless given."""
    return save([build_station(code, **fields)])[code]


def make_operation(code: str = "PRINT", **fields: Any) -> Operation:
    """Make an operation, or return the one of that code. Its kind is its code where that is a kind."""
    return save([build_operation(code, **fields)])[code]


def build_spec(operation: Operation, name: str, **fields: Any) -> DataCollectionSpec:
    defaults = {"item_type": "KEY", "data_type": "NUMBER", "method": "AUTO"}
    return DataCollectionSpec(operation=operation, name=name, **{**defaults, **fields})


def make_spec(
    operation: Operation | str = "REFLOW", name: str = "Peak Temperature", **fields: Any
) -> DataCollectionSpec:
    """Make a spec: KEY, NUMBER, AUTO, each unit, without limits unless given."""
    owner = make_operation(operation) if isinstance(operation, str) else operation
    spec = build_spec(owner, name, **fields)
    spec.save()
    return spec


# --- routes -----------------------------------------------------------------------------------------------


def make_route(
    code: str = "ROUTE-1", *, steps: Sequence[tuple[int, str]] = ((10, "PRINT"), (20, "REFLOW")), **fields: Any
) -> Routing:
    """Make a route of these (step number, operation code)."""
    operations = save([build_operation(code) for code in sorted({operation for _step_no, operation in steps})])
    return _write_route(code, steps, operations, **fields)[0]


def _write_route(
    code: str, steps: Sequence[tuple[int, str]], operations: dict[str, Operation], **fields: Any
) -> tuple[Routing, list[RoutingStep]]:
    routing = Routing.objects.create(code=code, **{"name": f"Route {code}", "product_code": "BOARD-1", **fields})
    written = RoutingStep.objects.bulk_create(
        RoutingStep(routing=routing, step_no=step_no, operation=operations[operation]) for step_no, operation in steps
    )
    return routing, written


def build_config(
    routing: Routing | None = None, *, step_no: int | None = None, operation: Operation | None = None, **fields: Any
) -> RouteExecutionConfig:
    if routing is not None:
        scope = ConfigScope.ROUTE if step_no is None and not fields.get("source_step_key") else ConfigScope.STEP
    else:
        scope = ConfigScope.GLOBAL if operation is None else ConfigScope.OPERATION
    return RouteExecutionConfig(scope=scope, routing=routing, step_no=step_no, operation=operation, **fields)


def make_config(
    routing: Routing | None = None, *, step_no: int | None = None, operation: Operation | None = None, **fields: Any
) -> RouteExecutionConfig:
    """Make an execution config; what is given decides its scope: a step, an operation, a route, or everywhere."""
    config = build_config(routing, step_no=step_no, operation=operation, **fields)
    config.save()
    return config


# --- runs -------------------------------------------------------------------------------------------------


def make_run(
    version: RouteVersion,
    line: Line,
    *,
    run_no: str = "RUN-1",
    sns: Sequence[str] = (),
    plan_qty: int = 100,
    order_qty: int = 10_000,
    authorize: bool = True,
) -> Run:
    """Make a run of a route version on a line, a day ago, with its released order, that has room for more runs, and its
    registered units.
    """
    routing, made_at = version.routing, timezone.now() - timedelta(days=1)
    order = WorkOrder.objects.create(
        wo_no=f"WO-{run_no}",
        product_code=routing.product_code,
        planned_qty=order_qty,
        routing=routing,
        line=line,
        status=WorkOrderStatus.RELEASED,
    )
    run = Run(
        run_no=run_no,
        work_order=order,
        line=line,
        route_version=version,
        plan_qty=plan_qty,
        units_registered=bool(sns),
    )
    if authorize:
        run.status, run.status_by = RunStatus.AUTHORIZED, "test"
        run.authorized_at, run.authorized_by = made_at, "test"
    run.save()
    Run.objects.filter(pk=run.pk).update(created_at=made_at)
    if authorize:
        ReadinessCheck.objects.create(
            run=run, kind=CheckKind.FORMAL, status=CheckStatus.PASSED, is_authorization=True, checked_by="test"
        )
    first_step_no = runs.snapshot_of(run).first_step_no
    Unit.objects.bulk_create(
        Unit(sn=sn, run=run, work_order=order, current_step_no=first_step_no) for sn in sorted(sns)
    )
    return run


def put_runs(status: str, **which: Any) -> None:
    """Put runs, by default all, into a status past every rule; held ones were in progress."""
    held_from = RunStatus.IN_PROGRESS if status == RunStatus.ON_HOLD else ""
    Run.objects.filter(**which).update(status=status, held_from=held_from)


def hold_units(*sns: str, held_from: str = UnitStatus.QUEUED, reason: str = "scratched") -> None:
    """Put units on hold past every rule, each by a case of its own, as if they had been in `held_from` before."""
    units = list(Unit.objects.filter(sn__in=sns).order_by("pk"))
    Unit.objects.filter(sn__in=sns).update(status=UnitStatus.ON_HOLD, held_from=held_from, hold_reason=reason)
    cases = Hold.objects.bulk_create(Hold(scope=HoldScope.UNITS, reason=reason, opened_by="test") for _unit in units)
    HeldUnit.objects.bulk_create(
        HeldUnit(hold=case, unit=unit, held_by="test") for case, unit in zip(cases, units, strict=True)
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


def make_plant(
    *, units: int = 2, authorize: bool = True, plan_qty: int = 100, order_qty: int = 10_000, run_no: str = "RUN-1"
) -> Plant:
    """Make three MANUAL steps (10 PRINT, 20 REFLOW, 30 TEST) on line SMT-A, compiled, with an authorized run.

    REFLOW: KEY AUTO “Peak Temperature” 235..250 °C, alarm 230..255 HOLD; OBSERVATION AUTO “Conveyor Speed” 55..65
    cm/min. TEST: KEY MANUAL required “Supply Voltage” 3.2..3.4 V. With `units=0`, their first track makes them.
    """
    with transaction.atomic(savepoint=False):
        return _write_plant(
            units=units, authorize=authorize, plan_qty=plan_qty, order_qty=order_qty, run_no=run_no, empty=_is_empty()
        )


def _is_empty() -> bool:
    """Whether there is nothing yet that a plant could find, or that would count for its route."""
    there = " OR ".join(f'EXISTS (SELECT FROM "{model._meta.db_table}")' for model in OF_PLANT)
    with connection.cursor() as cursor:
        return not cursor.execute(f"SELECT {there}").fetchone()[0]


def _write_plant(*, units: int, run_no: str, empty: bool, **of_run: Any) -> Plant:
    line = save([build_line("SMT-A")], into_empty=empty)["SMT-A"]
    places = {"PRINT": ("PRINTERS", "SMT-01"), "REFLOW": ("OVENS", "REF-01"), "TEST": ("TESTERS", "TST-01")}
    groups = save([build_group(group) for group, _station in places.values()], into_empty=empty)
    built = [build_station(code, line=line, group=groups[group]) for group, code in places.values()]
    stations = save(built, into_empty=empty)
    operations = save([build_operation(code) for code in places], into_empty=empty)
    specs = peak, speed, voltage = _make_specs(operations)
    routing, steps = _write_route("ROUTE-1", [(10, "PRINT"), (20, "REFLOW"), (30, "TEST")], operations)
    configs = RouteExecutionConfig.objects.bulk_create(
        build_config(routing, step_no=step_no, station_type=StationType.MANUAL, station_group=groups[group])
        for step_no, (group, _station) in zip((10, 20, 30), places.values(), strict=True)
    )
    version = _write_version(routing, steps, configs, specs) if empty else compile_route(code=routing.code)[0]
    sns = [f"SN-{number}" for number in range(1, units + 1)]
    run = make_run(version, line, run_no=run_no, sns=sns, **of_run)
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
        order=run.work_order,
        run=run,
        units=list(run.units.order_by("id")),
    )


def _write_version(
    routing: Routing,
    steps: Sequence[RoutingStep],
    configs: Sequence[RouteExecutionConfig],
    specs: Sequence[DataCollectionSpec],
) -> RouteVersion:
    """Write what compiling gives, from what was written just now: nothing is read again."""
    by_operation: dict[int, dict[str, DataCollectionSpec]] = {}
    for spec in sorted(specs, key=lambda spec: spec.name):
        by_operation.setdefault(spec.operation_id, {})[spec.name] = spec
    compiled = Compilation(*build(Sources(routing, steps, configs, by_operation, frozenset())))
    return RouteVersion.objects.create(
        routing=routing,
        version_no=1,
        status=compiled.status,
        errors=compiled.problems,
        snapshot=compiled.document,
        digest=compiled.digest,
    )


def _make_specs(operations: dict[str, Operation]) -> list[DataCollectionSpec]:
    peak = build_spec(
        operations["REFLOW"],
        "Peak Temperature",
        lsl=235.0,
        usl=250.0,
        target=245.0,
        unit="°C",
        alarm_min=230.0,
        alarm_max=255.0,
        alarm_action="HOLD",
    )
    speed = build_spec(
        operations["REFLOW"], "Conveyor Speed", item_type="OBSERVATION", lsl=55.0, usl=65.0, unit="cm/min"
    )
    voltage = build_spec(
        operations["TEST"], "Supply Voltage", method="MANUAL", lsl=3.2, usl=3.4, unit="V", is_required=True
    )
    return DataCollectionSpec.objects.bulk_create([peak, speed, voltage])
