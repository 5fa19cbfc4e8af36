"""The effective configuration of steps: what compiling freezes, and who says so."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.plant.models import Operation, StationGroup, StationType
from mes.platform.accounts.roles import Role
from mes.routing import snapshots
from mes.routing.compilation import Sources, build, load_sources, resolve
from mes.routing.effective_api import describe_steps
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing, RoutingStep
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_config, make_group, make_operation, make_route, make_spec, make_station

SEED = 20
ROUTE = Routing(pk=1, code="ROUTE-1", name="Board", source_system="MES")
GROUPS = [StationGroup(pk=number, code=f"G-{number}", name="Group") for number in (1, 2)]
NAMES = ["Peak", "Speed", "Oxygen"]
START = datetime(2026, 1, 1, tzinfo=UTC)


# --- it is what compiling freezes -------------------------------------------------------------------------


def random_sources(chance: random.Random) -> Sources:
    """A route of three steps at two operations, their specs, and configs of every scope in each other's way."""
    operations = [
        Operation(
            pk=number, code=f"OP-{number}", name="Work", default_station_type=chance.choice(["", "MANUAL", "AUTO"])
        )
        for number in (1, 2)
    ]
    steps = [
        RoutingStep(
            pk=number,
            routing=ROUTE,
            step_no=number * 10,
            operation=chance.choice(operations),
            source_step_key=chance.choice(["", f"K-{number}"]),
        )
        for number in (1, 2, 3)
    ]
    specs: dict[int, dict[str, DataCollectionSpec]] = {}
    for operation in operations:
        for number, name in enumerate(chance.sample(NAMES, 2)):
            spec = DataCollectionSpec(
                pk=operation.pk * 10 + number, operation=operation, name=name, is_active=chance.random() < 0.7
            )
            specs.setdefault(operation.pk, {})[name] = spec
    configs = [random_config(chance, number, operations) for number in range(1, chance.randint(1, 12))]
    chance.shuffle(configs)
    return Sources(ROUTE, steps, configs, specs, frozenset(["SMT-01"]))


def random_config(chance: random.Random, pk: int, operations: list[Operation]) -> RouteExecutionConfig:
    scope = chance.choice(ConfigScope.values)
    place: dict[str, Any] = {}
    if scope in (ConfigScope.STEP, ConfigScope.ROUTE):
        place["routing"] = ROUTE
    if scope == ConfigScope.STEP:
        place["step_no"] = chance.choice([None, 10, 20, 30])
        place["source_step_key"] = chance.choice(["K-1", "K-3"]) if place["step_no"] is None else ""
    if scope == ConfigScope.OPERATION:
        place["operation"] = chance.choice(operations)
    values = {
        "station_type": chance.choice(StationType.values),
        "station_group": chance.choice(GROUPS),
        "allowed_station_codes": chance.choice([[], ["SMT-01"], ["SMT-01", "NOTHING"]]),
        "requires_fai": chance.random() < 0.5,
        "retest_limit": chance.randint(0, 3),
        "reentry_limit": chance.randint(0, 3),
        "requires_qualification": chance.random() < 0.5,
        "data_spec_names": chance.choice([[], ["Peak"], ["Speed", "Peak", "Speed"]]),
        "ingest_mapping": {"snPath": f"payload.sn{pk}"},
        "work_instructions": chance.choice([[], [{"title": "Plan", "url": f"/plans/{pk}"}]]),
    }
    if scope == ConfigScope.STEP:
        values["is_optional"] = chance.random() < 0.5
    said = {name: value for name, value in values.items() if chance.random() < 0.4}
    updated_at = START + timedelta(days=chance.randint(0, 2))
    return RouteExecutionConfig(pk=pk, scope=scope, updated_at=updated_at, **place, **said)


def counted(sources: Sources, step: RoutingStep, name: str) -> RouteExecutionConfig | None:
    """The config that counts, found in another way than the product's: the best of all that say something here."""
    best = None
    for config in sources.configs:
        key = config.source_step_key
        here = {
            "GLOBAL": True,
            "ROUTE": True,
            "OPERATION": config.operation_id == step.operation_id,
            "STEP": key == step.source_step_key if key else config.step_no == step.step_no,
        }[config.scope]
        if here and getattr(config, name) is not None:
            rank = (-["STEP", "OPERATION", "ROUTE", "GLOBAL"].index(config.scope), config.updated_at, config.pk)
            if best is None or rank > best[0]:
                best = (rank, config)
    return None if best is None else best[1]


def said_values(sources: Sources) -> Iterator[tuple[dict[str, Any], dict[str, Any], RoutingStep]]:
    document = snapshots.to_document(build(sources)[0])
    yield from zip(describe_steps(resolve(sources)), document["steps"], sources.steps, strict=True)


COLUMNS = {
    "stationType": "station_type",
    "stationGroupCode": "station_group",
    "allowedStationCodes": "allowed_station_codes",
    "requiresFAI": "requires_fai",
    "retestLimit": "retest_limit",
    "reentryLimit": "reentry_limit",
    "isOptional": "is_optional",
    "requiresQualification": "requires_qualification",
    "dataSpecNames": "data_spec_names",
    "ingestMapping": "ingest_mapping",
    "workInstructions": "work_instructions",
}


def check_default(sources: Sources, step: RoutingStep, name: str, value: Any) -> None:
    specs = sources.specs[step.operation_id].values()
    defaults = {
        "stationType": step.operation.default_station_type or None,
        "requiresFAI": False,
        "retestLimit": 0,
        "reentryLimit": 3,
        "isOptional": False,
        "requiresQualification": False,
        "dataSpecNames": [spec.name for spec in specs if spec.is_active],
        "workInstructions": [],
    }
    assert value == defaults.get(name), name


def test_it_is_what_compiling_freezes() -> None:
    """1,000 routes: each value is the frozen one, and each origin the config that says it."""
    chance = random.Random(SEED)
    kinds = set()
    for _number in range(1000):
        sources = random_sources(chance)
        for answered, frozen, step in said_values(sources):
            fields = answered["fields"]
            values = {name: field["value"] for name, field in fields.items()}
            assert (answered["stepNo"], answered["operationCode"]) == (frozen["stepNo"], frozen["operation"]["code"])
            assert values == {
                "stationType": frozen["stationType"] or None,
                "stationGroupCode": frozen["stationGroupCode"],
                "allowedStationCodes": frozen["allowedStationCodes"],
                "requiresFAI": frozen["requiresFAI"],
                "retestLimit": frozen["retestLimit"],
                "reentryLimit": frozen.get("reentryLimit", 3),
                "isOptional": frozen.get("isOptional", False),
                "requiresQualification": frozen.get("requiresQualification", False),
                "dataSpecNames": [spec["name"] for spec in frozen["dataSpecs"]],
                "ingestMapping": frozen["ingestMapping"],
                "workInstructions": frozen.get("workInstructions", []),
            }
            for name, column in COLUMNS.items():
                config = counted(sources, step, column)
                if name == "ingestMapping" and values["stationType"] == "MANUAL":
                    config = None
                origin = fields[name]["from"]
                expected = (
                    {"scope": "DEFAULT"} if config is None else {"scope": config.scope, "configId": str(config.pk)}
                )
                assert origin == expected, (name, sources.configs)
                kinds.add((name, origin["scope"]))
                if config is None:
                    check_default(sources, step, name, values[name])
    scopes = [*ConfigScope.values, "DEFAULT"]
    expected = {(name, scope) for name in COLUMNS if name != "isOptional" for scope in scopes}
    assert kinds == expected | {("isOptional", "STEP"), ("isOptional", "DEFAULT")}  # else the routes were too plain


# --- over HTTP --------------------------------------------------------------------------------------------


@pytest.fixture
def routing(db: Any) -> Routing:
    """A route with a printer and an oven, which has a config of its own and one of its operation."""
    routing = make_route()
    make_station("OVEN-1")
    make_spec("REFLOW", "Peak Temperature")
    make_spec("REFLOW", "Old", is_active=False)
    make_config(operation=make_operation("REFLOW"), station_group=make_group("OVENS"), station_type="AUTO")
    make_config(routing, step_no=20, retest_limit=2, ingest_mapping={"snPath": "payload.sn"})
    return routing


def test_each_field_says_where_it_is_from(routing: Routing) -> None:
    answer = api_client(Role.OPERATOR).get("/api/routes/ROUTE-1/effective-config")
    assert answer.status_code == 200
    step, operation = (
        {"scope": scope, "configId": str(RouteExecutionConfig.objects.get(scope=scope).pk)}
        for scope in ("STEP", "OPERATION")
    )
    printing, reflow = answer.json()["data"]["steps"]
    assert printing["fields"]["stationType"] == {"value": "MANUAL", "from": {"scope": "DEFAULT"}}
    assert reflow == {
        "stepNo": 20,
        "operationCode": "REFLOW",
        "fields": {
            "stationType": {"value": "AUTO", "from": operation},
            "stationGroupCode": {"value": "OVENS", "from": operation},
            "allowedStationCodes": {"value": None, "from": {"scope": "DEFAULT"}},
            "requiresFAI": {"value": False, "from": {"scope": "DEFAULT"}},
            "retestLimit": {"value": 2, "from": step},
            "reentryLimit": {"value": 3, "from": {"scope": "DEFAULT"}},
            "isOptional": {"value": False, "from": {"scope": "DEFAULT"}},
            "requiresQualification": {"value": False, "from": {"scope": "DEFAULT"}},
            "dataSpecNames": {"value": ["Peak Temperature"], "from": {"scope": "DEFAULT"}},
            "ingestMapping": {"value": {"snPath": "payload.sn"}, "from": step},
            "workInstructions": {"value": [], "from": {"scope": "DEFAULT"}},
        },
    }


def test_statements_do_not_grow_with_steps(routing: Routing, django_assert_num_queries: Any) -> None:
    make_route("LONG", steps=[(number * 10, "REFLOW") for number in range(1, 31)])
    for code in ("ROUTE-1", "LONG"):
        route = Routing.objects.get(code=code)
        with django_assert_num_queries(3):  # steps, configs, specs
            resolve(load_sources(route))


def test_a_route_that_does_not_exist(db: Any) -> None:
    answer = api_client().get("/api/routes/NOTHING/effective-config")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ROUTE_NOT_FOUND")


def test_nobody_signed_in_reads_nothing(db: Any) -> None:
    assert APIClient().get("/api/routes/ROUTE-1/effective-config").status_code == 401
