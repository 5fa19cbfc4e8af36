"""Compiling: what is refused, what wins, and what stays as it was."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, close_old_connections, connection, transaction

from mes.errors import RouteNotFound
from mes.plant.models import Operation, StationType
from mes.routing import snapshots
from mes.routing.compilation import (
    build,
    compile_route,
    differs_from_live,
    load_sources,
)
from mes.routing.models import RouteExecutionConfig, RouteVersion, Routing
from mes.specs.models import DataCollectionSpec
from tests.factories import (
    make_config,
    make_group,
    make_operation,
    make_plant,
    make_route,
    make_spec,
    make_station,
)

pytestmark = pytest.mark.django_db

RESULT = {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]}
MAPPING = {"snPath": "payload.sn", "result": RESULT}


def frozen(routing: Routing, step_no: int = 10) -> snapshots.StepSnapshot:
    """Return the step as a compilation would freeze it now."""
    step = build(load_sources(routing))[0].step(step_no)
    assert step is not None
    return step


def problems_of(routing: Routing) -> list[tuple[int | None, str]]:
    version, changed = compile_route(code=routing.code)
    assert (version.status, changed) == ("INVALID", True)
    assert all(problem["message"] for problem in version.errors)
    return [(problem["stepNo"], problem["code"]) for problem in version.errors]


def age(config: RouteExecutionConfig, days: int) -> None:
    moment = config.updated_at - timedelta(days=days)
    RouteExecutionConfig.objects.filter(pk=config.pk).update(updated_at=moment)


@pytest.fixture
def routing() -> Routing:
    """A route of one manual step at a group."""
    routing = make_route(steps=[(10, "PRINT")])
    make_config(routing, station_group=make_group("PRINTERS"))
    return routing


# --- ready, unchanged, refused --------------------------------------------------------------------------------


def test_a_sound_route_is_ready(routing: Routing) -> None:
    version, changed = compile_route(code=routing.code, compiled_by="eva")
    assert (version.version_no, version.status, version.errors, changed) == (1, "READY", [], True)
    assert version.compiled_by == "eva"


def test_an_unchanged_route_keeps_its_version(routing: Routing) -> None:
    first, _changed = compile_route(code=routing.code)
    again, changed = compile_route(code=routing.code, compiled_by="somebody else")
    assert (again, changed) == (first, False)
    assert again.compiled_by == ""


def test_versions_count_up_per_route(routing: Routing) -> None:
    compile_route(code=routing.code)
    make_spec("PRINT", "Pressure")
    assert compile_route(code=routing.code)[0].version_no == 2
    other = make_route("ROUTE-2", steps=[(10, "PRINT")])
    assert compile_route(code=other.code)[0].version_no == 1


def test_going_back_makes_a_new_version(routing: Routing) -> None:
    compile_route(code=routing.code)
    spec = make_spec("PRINT", "Pressure")
    compile_route(code=routing.code)
    spec.delete()
    assert compile_route(code=routing.code)[0].version_no == 3


def test_an_invalid_route_that_stays_so_keeps_its_version() -> None:
    routing = make_route(steps=[])
    first, _changed = compile_route(code=routing.code)
    assert compile_route(code=routing.code) == (first, False)


def test_a_route_that_does_not_exist() -> None:
    with pytest.raises(RouteNotFound):
        compile_route(code="NOTHING")


def test_no_steps() -> None:
    assert problems_of(make_route(steps=[])) == [(None, "NO_STEPS")]


def test_duplicate_steps(routing: Routing) -> None:
    """The database forbids them; the compiler says so all the same, should they come in another way."""
    sources = load_sources(routing)
    doubled = type(sources)(
        sources.routing, [*sources.steps, *sources.steps], sources.configs, sources.specs, sources.station_codes
    )
    assert [(problem["stepNo"], problem["code"]) for problem in build(doubled)[1]] == [(10, "DUPLICATE_STEP")]
    with pytest.raises(IntegrityError), transaction.atomic():
        routing.steps.create(step_no=10, operation=make_operation("TEST"))


def test_a_step_without_station_type() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    Operation.objects.update(default_station_type="")
    assert problems_of(routing) == [(10, "STATION_TYPE_MISSING")]


def test_a_manual_step_without_stations() -> None:
    assert problems_of(make_route(steps=[(10, "PRINT")])) == [(10, "STATIONS_MISSING")]


def test_a_manual_step_with_an_empty_list_of_stations() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_config(routing, allowed_station_codes=[])
    assert problems_of(routing) == [(10, "STATIONS_MISSING")]


def test_a_manual_step_with_allowed_stations_only() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_station("SMT-01")
    make_config(routing, allowed_station_codes=["SMT-01"])
    assert compile_route(code=routing.code)[0].status == "READY"


def test_an_unknown_allowed_station(routing: Routing) -> None:
    make_config(routing, step_no=10, allowed_station_codes=["NOTHING"])
    assert problems_of(routing) == [(10, "STATION_NOT_FOUND")]


@pytest.mark.parametrize("station_type", ["AUTO", "BATCH", "TEST"])
def test_a_machine_without_mapping(station_type: str) -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_config(routing, station_type=station_type)
    assert problems_of(routing) == [(10, "INGEST_MAPPING_MISSING")]


@pytest.mark.parametrize(
    ("station_type", "mapping", "count"),
    [
        ("AUTO", {"snPath": "a["}, 1),
        ("AUTO", {"testResultIdPath": "a"}, 1),
        ("TEST", {}, 1),
        ("BATCH", {"phase": {}, "batchPolicy": "SOME"}, 2),
        ("AUTO", [], 1),
    ],
)
def test_a_mapping_that_cannot_be_used(station_type: str, mapping: Any, count: int) -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_config(routing, station_type=station_type, ingest_mapping=mapping)
    assert problems_of(routing) == [(10, "INGEST_MAPPING_INVALID")] * count


def test_an_unknown_and_an_inactive_spec(routing: Routing) -> None:
    make_spec("PRINT", "Pressure", is_active=False)
    make_spec("TEST", "Voltage")
    make_config(routing, step_no=10, data_spec_names=["Pressure", "Voltage", "Nothing"])
    assert problems_of(routing) == [(10, "DATA_SPEC_NOT_FOUND")] * 3


def test_every_step_is_told() -> None:
    routing = make_route(steps=[(10, "PRINT"), (20, "TEST")])
    assert problems_of(routing) == [(10, "STATIONS_MISSING"), (20, "STATIONS_MISSING")]


# --- which config wins ----------------------------------------------------------------------------------------

FIELDS: dict[str, tuple[str, list[Any]]] = {
    "station_type": ("station_type", ["AUTO", "BATCH", "TEST", "MANUAL"]),
    "allowed_station_codes": ("allowed_stations", [["A"], ["B"], [], ["D"]]),
    "requires_fai": ("requires_fai", [False, True, False, True]),
    "retest_limit": ("retest_limit", [0, 1, 2, 3]),
    "data_spec_names": ("specs", [[], ["S1"], ["S2"], ["S1", "S2"]]),
    "ingest_mapping": ("ingest_mapping", [{"snPath": "a"}, {"snPath": "b"}, {}, {"snPath": "d"}]),
}


def shown(name: str, value: Any) -> Any:
    if name == "data_spec_names":
        return [spec.name for spec in value]
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("field", FIELDS)
def test_narrow_scopes_win_field_by_field(field: str) -> None:
    """From the widest to the narrowest, each new config takes over, also with a false, zero or empty value."""
    routing = make_route(steps=[(10, "PRINT")])
    operation = make_operation("PRINT")
    make_spec(operation, "S1"), make_spec(operation, "S2")
    attribute, values = FIELDS[field]
    places: list[dict[str, Any]] = [
        {},
        {"routing": routing},
        {"operation": operation},
        {"routing": routing, "step_no": 10},
    ]
    base = {} if field == "station_type" else {"station_type": "AUTO"}
    for place, value in zip(places, reversed(values), strict=True):
        make_config(**place, **{**base, field: value})
        assert shown(field, getattr(frozen(routing), attribute)) == value


def test_groups_follow_the_same_order() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    for place, code in (
        ({}, "G1"),
        ({"routing": routing}, "G2"),
        ({"operation": make_operation("PRINT")}, "G3"),
        ({"routing": routing, "step_no": 10}, "G4"),
    ):
        make_config(**place, station_group=make_group(code))
        assert frozen(routing).station_group == code


def test_each_field_finds_its_own_scope() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_config(station_group=make_group("G1"), retest_limit=3, requires_fai=True)
    make_config(operation=make_operation("PRINT"), retest_limit=2)
    make_config(routing, step_no=10, station_type="AUTO", ingest_mapping=MAPPING)
    step = frozen(routing)
    assert (step.station_group, step.retest_limit, step.requires_fai) == ("G1", 2, True)
    assert (step.station_type, step.ingest_mapping) == ("AUTO", MAPPING)


def test_within_a_scope_the_latest_updated_wins_then_the_highest_id() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    first = make_config(routing, retest_limit=1, requires_fai=True)
    second = make_config(routing, retest_limit=2)
    assert frozen(routing).retest_limit == 2
    age(second, days=1)
    assert frozen(routing).retest_limit == 1
    RouteExecutionConfig.objects.update(updated_at=first.updated_at)
    assert (frozen(routing).retest_limit, frozen(routing).requires_fai) == (2, True)


def test_a_step_is_named_by_number_or_by_its_key() -> None:
    routing = make_route(steps=[(10, "PRINT"), (20, "PRINT")])
    routing.steps.filter(step_no=20).update(source_step_key="K-20")
    make_config(routing, source_step_key="K-20", retest_limit=2)
    make_config(routing, step_no=10, retest_limit=1)
    assert [frozen(routing, number).retest_limit for number in (10, 20)] == [1, 2]
    routing.steps.filter(step_no=20).update(step_no=30)
    assert frozen(routing, 30).retest_limit == 2


def test_configs_of_others_do_not_apply(routing: Routing) -> None:
    other = make_route("ROUTE-2", steps=[(10, "PRINT")])
    make_config(other, retest_limit=5)
    make_config(other, step_no=10, retest_limit=5)
    make_config(operation=make_operation("TEST"), retest_limit=5)
    assert frozen(routing).retest_limit == 0


def test_nothing_said_takes_the_default_of_the_operation(routing: Routing) -> None:
    step = frozen(routing)
    assert (step.station_type, step.retest_limit, step.requires_fai) == (StationType.MANUAL, 0, False)
    assert step.allowed_stations is None


# --- bound specs ----------------------------------------------------------------------------------------------


def test_null_binds_all_active_specs_and_an_empty_list_none(routing: Routing) -> None:
    make_spec("PRINT", "B"), make_spec("PRINT", "A"), make_spec("PRINT", "Off", is_active=False)
    make_spec("TEST", "Other")
    assert [spec.name for spec in frozen(routing).specs] == ["A", "B"]
    config = make_config(routing, step_no=10, data_spec_names=[])
    assert frozen(routing).specs == ()
    config.data_spec_names = ["B", "B"]
    config.save()
    assert [spec.name for spec in frozen(routing).specs] == ["B"]


def test_an_empty_list_of_a_narrow_scope_wins_over_names_of_a_wide_one(routing: Routing) -> None:
    make_spec("PRINT", "A")
    make_config(operation=make_operation("PRINT"), data_spec_names=["A"])
    assert [spec.name for spec in frozen(routing).specs] == ["A"]
    make_config(routing, step_no=10, data_spec_names=[])
    assert frozen(routing).specs == ()


# --- frozen ---------------------------------------------------------------------------------------------------


def test_the_snapshot_is_self_contained() -> None:
    plant = make_plant()
    before = RouteVersion.objects.get(pk=plant.version.pk).snapshot
    assert not differs_from_live(plant.version)
    DataCollectionSpec.objects.filter(pk=plant.peak.pk).update(lsl=240, usl=241, target=None, name="Renamed")
    Operation.objects.filter(code="REFLOW").update(name="Renamed", kind="OTHER")
    assert differs_from_live(plant.version)
    version = RouteVersion.objects.get(pk=plant.version.pk)
    assert version.snapshot == before
    step = snapshots.load(version_id=version.pk, digest=version.digest).step(20)
    assert step is not None
    peak = step.spec_index.find("Peak Temperature")
    assert peak is not None
    assert (peak.lsl, peak.target, peak.usl, peak.alarm_action) == (235, 245, 250, "HOLD")
    assert (step.operation_name, step.operation_kind) == ("Reflow", "REFLOW")


def test_the_document_is_read_as_it_was_written() -> None:
    version = make_plant().version
    assert snapshots.to_document(snapshots.from_document(version.snapshot)) == version.snapshot
    again = snapshots.digest_of(RouteVersion.objects.get(pk=version.pk).snapshot, [])
    assert again == version.digest


def test_a_replaced_machine_is_no_drift() -> None:
    plant = make_plant()
    make_station("REF-02", group=plant.groups["OVENS"])
    assert not differs_from_live(plant.version)


def test_a_version_cannot_be_changed() -> None:
    version = make_plant().version
    with pytest.raises(IntegrityError), transaction.atomic():
        RouteVersion.objects.filter(pk=version.pk).update(status="INVALID")
    version.errors = ["x"]
    with pytest.raises(IntegrityError), transaction.atomic():
        version.save()
    version.refresh_from_db()
    assert (version.status, version.errors) == ("READY", [])


def test_compiling_takes_a_fixed_number_of_queries(django_assert_num_queries: Any) -> None:
    long = make_route(steps=[(number, "PRINT") for number in range(10, 510, 10)])
    make_config(long, station_group=make_group())
    with django_assert_num_queries(8):
        compile_route(code=long.code)


@pytest.mark.django_db(transaction=True)
def test_two_compilations_at_once_give_one_version() -> None:
    routing = make_route(steps=[(10, "PRINT")])
    make_config(routing, station_group=make_group())
    barrier = threading.Barrier(4)
    outcomes: list[tuple[int, bool]] = []

    def work() -> None:
        close_old_connections()
        try:
            barrier.wait()
            version, changed = compile_route(code=routing.code)
            outcomes.append((version.version_no, changed))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [(1, False)] * 3 + [(1, True)]
    assert RouteVersion.objects.count() == 1
