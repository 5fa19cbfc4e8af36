"""Steps that units may leave out: who may say so, how it is frozen, and what may be entered from where."""

from typing import Any

import pytest
from django.db import IntegrityError

from mes.platform.accounts.roles import Role
from mes.routing import snapshots
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, RouteVersion, Routing
from mes.routing.snapshots import RouteSnapshot, StepSnapshot
from tests.factories import api_client, make_config, make_plant
from tests.integration.helpers import nothing_changes

FIVE = ((10, False), (20, True), (30, True), (40, False), (50, True), (60, False))


def route(steps: Any = FIVE) -> RouteSnapshot:
    """Return a frozen route of these (step number, whether it is optional)."""
    frozen = tuple(
        StepSnapshot(no, "", f"OP-{no}", "", "OTHER", "MANUAL", None, None, False, 0, (), is_optional=optional)
        for no, optional in steps
    )
    return RouteSnapshot("R", "R", "MES", "B", frozen)


@pytest.mark.parametrize(
    ("current", "failed", "enterable"),
    [
        (10, (), [10]),
        (20, (), [20, 30, 40]),
        (20, (20,), [20]),
        (20, (30,), [20, 30]),
        (20, (40,), [20, 30, 40]),
        (30, (), [30, 40]),
        (30, (20,), [30, 40]),
        (30, (30,), [30]),
        (40, (), [40]),
        (50, (), [50, 60]),
        (50, (50,), [50]),
        (60, (), [60]),
        (70, (), []),
        (None, (), []),
    ],
)
def test_what_may_be_entered_from_where(current: int | None, failed: Any, enterable: list[int]) -> None:
    assert [step.step_no for step in route().list_enterable(current, failed)] == enterable


def test_without_optional_steps_only_the_current_one_is_entered() -> None:
    plain = route(tuple((no, False) for no, _optional in FIVE))
    assert not plain.has_optional_steps
    for step in plain.steps:
        assert plain.list_enterable(step.step_no) == (step,)


@pytest.mark.parametrize("current", [10, 20, 30, 40, 50, 60])
def test_what_may_be_entered_is_what_lacks_no_step(current: int) -> None:
    """Three ways to say the same, for every two steps."""
    snapshot = route()
    enterable = [step.step_no for step in snapshot.list_enterable(current)]
    for step in snapshot.steps:
        may_enter = step.step_no in enterable
        assert may_enter == (step.step_no >= current and not snapshot.missing_steps(current, step.step_no))
        assert may_enter == (snapshot.earliest_before(step.step_no) <= current <= step.step_no)


@pytest.mark.parametrize(
    ("current", "target", "needed", "missing"),
    [(10, 60, (), [10, 40]), (20, 40, (), []), (20, 40, (30,), [30]), (20, 60, (20,), [20, 40]), (40, 40, (), [])],
)
def test_missing_steps_leave_optional_ones_out(current: int, target: int, needed: Any, missing: list[int]) -> None:
    assert route().missing_steps(current, target, needed=needed) == missing


# --- configured and frozen ---------------------------------------------------------------------------------


@pytest.fixture
def routing(db: Any) -> Routing:
    """The route of a plant: 10 PRINT, 20 REFLOW, 30 TEST."""
    return make_plant().routing


def set_optional(step_no: int, value: bool | None = True) -> None:
    RouteExecutionConfig.objects.filter(step_no=step_no).update(is_optional=value)


def test_a_step_becomes_optional_over_http_and_in_the_next_version(routing: Routing) -> None:
    client = api_client(Role.ENGINEER)
    answer = client.post("/api/routes/ROUTE-1/execution-config", {"scope": "STEP", "stepNo": 20, "isOptional": True})
    assert (answer.status_code, answer.json()["data"]["isOptional"]) == (200, True)
    preview = client.post("/api/routes/ROUTE-1/compile", {"dryRun": True}).json()["data"]
    assert [difference["text"] for difference in preview["differences"]] == ["Step 20: optional no → yes"]
    [step] = [step for step in client.get("/api/routes/ROUTE-1/effective-config").json()["data"]["steps"]][1:2]
    assert step["fields"]["isOptional"]["value"] is True
    version, changed = compile_route(code="ROUTE-1")
    assert (changed, version.status) == (True, "READY")
    frozen = version.snapshot["steps"]
    assert [step.get("isOptional") for step in frozen] == [None, True, None]
    assert [step.is_optional for step in snapshots.from_document(version.snapshot).steps] == [False, True, False]


@pytest.mark.parametrize("value", [None, False])
def test_a_step_that_is_not_optional_keeps_its_digest(routing: Routing, value: bool | None) -> None:
    set_optional(20, value)
    version, changed = compile_route(code="ROUTE-1")
    assert not changed
    assert all("isOptional" not in step for step in version.snapshot["steps"])
    old = RouteVersion.objects.get()
    assert not any(step.is_optional for step in snapshots.from_document(old.snapshot).steps)


@pytest.mark.parametrize("step_no", [10, 30])
def test_the_ends_are_for_all_units(routing: Routing, step_no: int) -> None:
    set_optional(step_no)
    version, _changed = compile_route(code="ROUTE-1")
    assert version.status == "INVALID"
    assert [(problem["stepNo"], problem["code"]) for problem in version.errors] == [(step_no, "OPTIONAL_AT_END")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("routes/ROUTE-1/execution-config", {"scope": "ROUTE"}),
        ("execution-configs", {"scope": "OPERATION", "operationCode": "TEST"}),
        ("execution-configs", {"scope": "GLOBAL"}),
    ],
)
def test_only_a_single_step_can_be_optional(routing: Routing, path: str, body: dict[str, Any]) -> None:
    client = api_client(Role.ENGINEER)
    with nothing_changes():
        answer = client.post(f"/api/{path}", {**body, "isOptional": True})
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == ["isOptional"]
    config = client.post(f"/api/{path}", {**body, "retestLimit": 1}).json()["data"]
    if path == "execution-configs":
        with nothing_changes():
            answer = client.patch(f"/api/execution-configs/{config['id']}", {"isOptional": True})
        assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["isOptional"])


def test_a_sheet_makes_steps_optional_and_nothing_else(routing: Routing) -> None:
    client = api_client(Role.ENGINEER)
    rows = [
        {"scope": "STEP", "routeCode": "ROUTE-1", "stepNo": 20, "isOptional": True},
        {"scope": "GLOBAL", "isOptional": True},
    ]
    found = client.post("/api/imports/execution-configs", {"rows": rows}).json()["data"]
    assert [(error["row"], error["field"]) for error in found["errors"]] == [(2, "isOptional")]


def test_the_database_keeps_it_to_steps(db: Any) -> None:
    with pytest.raises(IntegrityError):
        make_config(is_optional=True)
