"""Where a spec is used: what a change of it reaches."""

from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.production.models import Run, RunStatus
from mes.readiness.models import PrepPolicy
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, RouteVersion
from mes.routing.spec_bindings import versions_with
from mes.specs.models import DataCollectionSpec
from tests.factories import Plant, api_client, make_config, make_operation, make_plant, make_route, make_run, make_spec

pytestmark = pytest.mark.django_db

LIMITS = {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"}


def usage(spec: DataCollectionSpec, client: APIClient | None = None) -> dict[str, Any]:
    response = (client or api_client(Role.OPERATOR)).get(f"/api/data-collection-specs/{spec.pk}/usage")
    assert response.status_code == 200, response.json()
    return response.json()["data"]


def bindings(spec: DataCollectionSpec) -> list[tuple[str, int, str]]:
    return [(at["code"], at["stepNo"], at["bound"]) for at in usage(spec)["routes"]]


def test_usage_names_routes_versions_open_runs_and_preparations() -> None:
    plant = make_plant()
    policy = PrepPolicy.objects.create(
        code="PREP_OVEN",
        name="Oven is hot",
        line=plant.line,
        data_source="DEVICE",
        confirm_mode="AUTO",
        spec=plant.peak,
        max_age_minutes=5,
    )
    assert usage(plant.peak) == {
        "routes": [{"code": "ROUTE-1", "stepNo": 20, "bound": "ALL_ACTIVE"}],
        "versions": [{"routeCode": "ROUTE-1", "versionNo": 1, "isLatest": True, "limits": LIMITS}],
        "runs": [{"runNo": "RUN-1", "status": "AUTHORIZED", "versionNo": 1}],
        "prepPolicies": [
            {
                "id": str(policy.pk),
                "code": "PREP_OVEN",
                "name": "Oven is hot",
                "lineCode": "SMT-A",
                "routeCode": None,
            }
        ],
    }


def test_versions_keep_the_limits_they_froze_and_the_latest_is_told() -> None:
    plant = make_plant()
    DataCollectionSpec.objects.filter(pk=plant.peak.pk).update(usl=248)
    second, _changed = compile_route(code="ROUTE-1")
    make_run(second, plant.line, run_no="RUN-2")
    Run.objects.filter(run_no="RUN-1").update(status=RunStatus.COMPLETED)
    told = usage(plant.peak)
    assert [(v["versionNo"], v["isLatest"], v["limits"]["usl"]) for v in told["versions"]] == [
        (2, True, 248),
        (1, False, 250),
    ]
    assert [(run["runNo"], run["versionNo"]) for run in told["runs"]] == [("RUN-2", 2)]


def test_a_version_that_cannot_be_used_is_not_told_but_keeps_the_spec_from_being_deleted() -> None:
    make_spec("REFLOW", "Peak")
    spec = DataCollectionSpec.objects.get()
    make_route(steps=[(10, "REFLOW")])  # without stations: INVALID
    assert compile_route(code="ROUTE-1")[0].status == "INVALID"
    assert usage(spec)["versions"] == []
    assert api_client(Role.ENGINEER).delete(f"/api/data-collection-specs/{spec.pk}").status_code == 409


def test_a_later_version_that_cannot_be_used_is_the_latest_all_the_same() -> None:
    plant = make_plant()
    RouteExecutionConfig.objects.filter(step_no=10).delete()
    assert compile_route(code="ROUTE-1")[0].status == "INVALID"
    assert [(v["versionNo"], v["isLatest"]) for v in usage(plant.peak)["versions"]] == [(1, False)]


def test_names_of_the_narrowest_config_count() -> None:
    plant = make_plant()
    make_config(plant.routing, data_spec_names=["Conveyor Speed"])
    assert (bindings(plant.peak), bindings(plant.speed)) == ([], [("ROUTE-1", 20, "NAMED")])
    make_config(operation=plant.operations["REFLOW"], data_spec_names=["Peak Temperature"])
    assert (bindings(plant.peak), bindings(plant.speed)) == ([("ROUTE-1", 20, "NAMED")], [])
    RouteExecutionConfig.objects.filter(scope="STEP", step_no=20).update(data_spec_names=[])
    assert (bindings(plant.peak), bindings(plant.speed)) == ([], [])


def test_what_is_told_of_routes_is_what_compiling_binds() -> None:
    plant = make_plant()
    other = make_route("ROUTE-2", steps=[(10, "REFLOW"), (20, "TEST"), (30, "REFLOW")])
    make_config(other, station_type="MANUAL", station_group=plant.groups["OVENS"])
    make_config(other, step_no=10, data_spec_names=["Conveyor Speed"])
    for spec in (plant.peak, plant.speed, plant.voltage):
        for route in ("ROUTE-1", "ROUTE-2"):
            steps = compile_route(code=route)[0].snapshot["steps"]
            bound = [s["stepNo"] for s in steps if str(spec.pk) in [one["id"] for one in s["dataSpecs"]]]
            assert [at[1] for at in bindings(spec) if at[0] == route] == bound


def test_an_inactive_spec_is_bound_only_where_it_is_named() -> None:
    plant = make_plant()
    DataCollectionSpec.objects.filter(pk=plant.peak.pk).update(is_active=False)
    assert bindings(plant.peak) == []
    make_config(operation=plant.operations["REFLOW"], data_spec_names=["Peak Temperature"])
    assert bindings(plant.peak) == [("ROUTE-1", 20, "NAMED")]  # where compiling says that it is not active


def test_a_spec_that_nobody_uses_is_used_nowhere() -> None:
    make_operation("WAVE")
    assert usage(make_spec("WAVE", "Solder pot")) == {"routes": [], "versions": [], "runs": [], "prepPolicies": []}


@pytest.mark.parametrize("id", ["0", "x", "99999999999999999999", "1e3"])
def test_there_is_no_such_spec(id: str) -> None:
    response = api_client().get(f"/api/data-collection-specs/{id}/usage")
    assert response.status_code == 404, response.content


def _more_versions(plant: Plant, number: int) -> None:
    first = plant.version
    RouteVersion.objects.bulk_create(
        RouteVersion(routing=plant.routing, version_no=no, status="READY", snapshot=first.snapshot, digest=str(no))
        for no in range(2, number + 2)
    )


def test_usage_takes_as_many_statements_for_many_versions_and_routes(django_assert_num_queries: Any) -> None:
    plant = make_plant()
    client = api_client(Role.OPERATOR)
    usage(plant.peak, client)
    _more_versions(plant, 4)
    with django_assert_num_queries(7):  # the spec, two of routes, two of versions, one each of runs and policies
        assert len(usage(plant.peak, client)["versions"]) == 5
    for number in range(2, 40):
        make_route(f"ROUTE-{number}", steps=[(10, "REFLOW")])
    with django_assert_num_queries(7):
        assert len(usage(plant.peak, client)["routes"]) == 39


def test_versions_are_found_by_their_index() -> None:
    """Only the index of specs answers where no other way is left: in a table of one row, any would do."""
    plant = make_plant()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        plan = versions_with(plant.peak).order_by().explain()
    assert "route_version_by_spec" in plan
