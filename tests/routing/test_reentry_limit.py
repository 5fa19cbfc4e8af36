"""How often rework may lead a unit into a step: what a config says, frozen; 3 in what is compiled from now on."""

import copy
from typing import Any

import pytest

from mes.platform.accounts.roles import Role
from mes.routing import drift, snapshots
from mes.routing.compilation import compile_route, differs_from_live
from mes.routing.drift_models import RouteDrift
from mes.routing.models import RouteExecutionConfig, RouteVersion, Routing
from mes.routing.preview import compare_versions
from tests.factories import api_client, make_config, make_route, make_station

pytestmark = pytest.mark.django_db


@pytest.fixture
def routing() -> Routing:
    routing = make_route()
    make_station("ST-1")
    make_config(station_type="MANUAL", allowed_station_codes=["ST-1"])
    compile_route(code="ROUTE-1")
    return routing


def limits_of(version: RouteVersion) -> list[int | None]:
    snapshot = snapshots.from_document(version.snapshot)
    return [snapshot.find_reentry_limit(step) for step in snapshot.steps]


def test_a_config_says_it_and_a_version_keeps_it(routing: Routing) -> None:
    client = api_client(Role.ENGINEER)
    assert limits_of(RouteVersion.objects.get()) == [3, 3]
    body = {"scope": "STEP", "stepNo": 20, "reentryLimit": 3}  # said, it is no default
    answer = client.post("/api/routes/ROUTE-1/execution-config", body)
    assert (answer.status_code, answer.json()["data"]["reentryLimit"]) == (201, 3)
    preview = client.post("/api/routes/ROUTE-1/compile", {"dryRun": True}).json()["data"]
    assert [difference["text"] for difference in preview["differences"]] == ["Step 20: re-entry limit not set → 3"]
    RouteExecutionConfig.objects.filter(scope="STEP").update(reentry_limit=0)
    version, changed = compile_route(code="ROUTE-1")
    assert (changed, limits_of(version)) == (True, [3, 0])
    assert snapshots.to_document(snapshots.from_document(version.snapshot)) == version.snapshot
    for wrong in (-1, 2**15, "many"):
        refused = client.post("/api/routes/ROUTE-1/execution-config", {**body, "reentryLimit": wrong})
        assert (refused.status_code, list(refused.json()["error"]["details"])) == (400, ["reentryLimit"])


def test_an_old_version_has_no_limit_and_no_route_drifts_for_it(routing: Routing) -> None:
    """As the release before compiled it: nobody changed the route, so nothing is told to differ from it."""
    new = RouteVersion.objects.get()
    document: dict[str, Any] = copy.deepcopy(new.snapshot)
    del document["route"]["reentryLimit"]
    old = RouteVersion.objects.create(
        routing=routing,
        version_no=2,
        status="READY",
        snapshot=document,
        digest=snapshots.digest_of(document, []),
    )
    assert limits_of(old) == [None, None]
    assert old.digest == new.digest and not differs_from_live(old)
    RouteDrift.objects.update_or_create(pk=routing.pk)
    drift.look_at(routing.pk)
    assert RouteDrift.objects.get(pk=routing.pk).count == 0
    assert compile_route(code="ROUTE-1") == (old, False)
    RouteExecutionConfig.objects.update(retest_limit=1)
    version, changed = compile_route(code="ROUTE-1")  # its next change brings it
    assert (changed, limits_of(version)) == (True, [3, 3])
    texts = [difference.text for difference in compare_versions(code="ROUTE-1", first="2", second="3")]
    assert "Route: re-entry limit where no config says one none → 3" in texts
