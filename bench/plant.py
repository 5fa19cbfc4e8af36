"""The plant that is measured: units with an open track each at an oven, and others that wait for an AUTO printer.

Imported when Django is set up.
"""

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from bench.case import Plant, number
from execution import tracking
from mes.plant.models import Line, Operation, OperationKind, Station, StationGroup, StationType
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.production import orders, runs
from mes.production.models import Unit
from mes.routing.compilation import compile_route
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec

UNITS = 200
TEMPLATE, PANEL_TEMPLATE = "BENCH-TEMPLATE", "BENCH-PANEL-TEMPLATE"
PANEL = 8  # boards
MAPPING: dict[str, object] = {
    "snPath": "payload.sn",
    "stationCodePath": "payload.station",
    "result": {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]},
    "measurements": {"itemsPath": "payload.values", "namePath": "name", "valuePath": "value", "unitPath": "unit"},
}
PANEL_MAPPING: dict[str, object] = {
    **MAPPING,
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "result": {"path": "result", "passValues": ["OK"], "failValues": ["NG"]},
    "measurements": {"itemsPath": "values", "namePath": "name", "valuePath": "value", "unitPath": "unit"},
    "batchPolicy": "PARTIAL",
}
# Ids that no other number looks like, so that the floor finds them in statements.
FIRST_IDS = {"mes_unit": 7_000_000_000, "execution_track": 8_000_000_000, "ingest_settledingestevent": 9_000_000_000}
FLOOR_UNITS = 50_000


def build() -> Plant:
    """Make the plant through the services that the product uses."""
    line = Line.objects.create(code="BENCH", name="Bench", process_type="SMT")
    routing = Routing.objects.create(code="BENCH", name="Bench", product_code="BOARD")
    for step_no, code in ((10, "REFLOW"), (20, "TEST")):
        make_step(line, routing, step_no, code)
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
    _make_panel_run(line)
    _make_auto_run(line)
    _token, text = issue_token(name="bench", role=Role.ADMIN)  # machines, and whoever tracks by hand
    return Plant(
        token=text,
        session=_sign_in(),
        run_no="BENCH-RUN",
        station_code="BENCH-REFLOW",
        step_no=10,
        spec_name=spec.name,
        good_value=245.1,
        sns=sns,
        auto_station_code="BENCH-PRINT",
        auto_spec_name="Paste Height",
        panel_station_code="BENCH-WASH",
    )


def _sign_in() -> str:
    """Return the session of a person who is signed in."""
    user = get_user_model().objects.create_user("bench")
    user.groups.add(Group.objects.get(name=Role.QUALITY.group_name))
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def make_fresh_units(round_no: int, clients: int, each: int, *, suffix: str = "") -> None:
    """Register units for the numbers of a round; with a suffix, those of a case that does not move them."""
    _make_units(TEMPLATE, f"'{suffix}'", round_no, clients, each)


def make_fresh_panels(round_no: int, clients: int, each: int) -> None:
    """Register the units of panels for the numbers of a round: `B<number>-1` to `-8`."""
    for board in range(1, PANEL + 1):
        _make_units(PANEL_TEMPLATE, f"'-{board}'", round_no, clients, each)


def _make_units(template: str, suffix: str, round_no: int, clients: int, each: int) -> None:
    """Register units like a template; in SQL, since they are many."""
    columns = [str(field.column) for field in Unit._meta.concrete_fields if field.column not in ("id", "sn")]
    names = ", ".join(columns)
    first = number(round_no=round_no, client=0, count=0)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO mes_unit (sn, {names}) "
            f"SELECT 'B' || (%s + client * 1000000000000 + count) || {suffix}, {names} FROM mes_unit, "
            "generate_series(0, %s) AS client, generate_series(0, %s) AS count WHERE sn = %s",
            [first, clients - 1, each - 1, template],
        )
        cursor.execute("ANALYZE mes_unit")


def _make_auto_run(line: Line) -> None:
    """A run whose first step is done by an AUTO printer; its units are made round by round."""
    with connection.cursor() as cursor:
        for table, first in FIRST_IDS.items():
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table, first])
    routing = Routing.objects.create(code="BENCH-AUTO", name="Bench", product_code="PRINTED")
    make_step(line, routing, 10, "PRINT", StationType.AUTO, MAPPING)
    make_step(line, routing, 20, "PACK")
    _make_paste_height("PRINT")
    start_run(line, routing, "BENCH-AUTO", TEMPLATE)
    make_fresh_units(99, 1, FLOOR_UNITS)  # the floor writes to these; their ids follow the template's


def _make_panel_run(line: Line) -> None:
    """A run whose first step is done in panels, by a BATCH machine."""
    routing = Routing.objects.create(code="BENCH-PANEL", name="Bench", product_code="PANEL")
    make_step(line, routing, 10, "WASH", StationType.BATCH, PANEL_MAPPING)
    make_step(line, routing, 20, "SPI")
    _make_paste_height("WASH")
    start_run(line, routing, "BENCH-PANEL", PANEL_TEMPLATE)


def _make_paste_height(operation: str) -> None:
    DataCollectionSpec.objects.create(
        operation=Operation.objects.get(code=operation),
        name="Paste Height",
        item_type="KEY",
        data_type="NUMBER",
        method="AUTO",
        unit="µm",
        lsl=80,
        usl=160,
    )


def start_run(line: Line, routing: Routing, run_no: str, template: str) -> None:
    """Start a run of a route with one unit, which the others are made like."""
    compile_route(code=routing.code)
    orders.receive(wo_no=run_no, product_code=routing.product_code, planned_qty=1_000_000)
    orders.release(wo_no=run_no, line_code=line.code)
    runs.create(wo_no=run_no, line_code=line.code, plan_qty=1_000_000, run_no=run_no)
    runs.register_units(run_no=run_no, sns=[template])
    runs.set_authorization(run_no=run_no, action="AUTHORIZE", by="bench")


def make_step(
    line: Line,
    routing: Routing,
    step_no: int,
    code: str,
    kind: StationType = StationType.MANUAL,
    mapping: dict[str, object] | None = None,
    operation_kind: OperationKind | None = None,
) -> None:
    """Make an operation with a station, and the step of a route that it is done in."""
    group = StationGroup.objects.create(code=f"BENCH-{code}", name=code)
    Station.objects.create(code=f"BENCH-{code}", name=code, station_type=kind, line=line, group=group)
    operation = Operation.objects.create(
        code=code, name=code, kind=operation_kind or OperationKind[code], default_station_type=kind
    )
    RoutingStep.objects.create(routing=routing, step_no=step_no, operation=operation)
    RouteExecutionConfig.objects.create(
        scope=ConfigScope.STEP,
        routing=routing,
        step_no=step_no,
        station_type=kind,
        station_group=group,
        ingest_mapping=mapping,
    )


def _make_open_tracks(line: Line, routing: Routing, sns: list[str]) -> None:
    orders.receive(wo_no="BENCH-WO", product_code=routing.product_code, planned_qty=len(sns))
    orders.release(wo_no="BENCH-WO", line_code=line.code)
    runs.create(wo_no="BENCH-WO", line_code=line.code, plan_qty=len(sns), run_no="BENCH-RUN")
    runs.register_units(run_no="BENCH-RUN", sns=sns)
    runs.set_authorization(run_no="BENCH-RUN", action="AUTHORIZE", by="bench")
    for sn in sns:
        tracking.track_in(run_no="BENCH-RUN", sn=sn, station_code="BENCH-REFLOW", operator="bench")
