"""Rules as they are typed: by the interface and in the admin site, refused in the same way."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.time_rules.models import TimeRuleDefinition
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_line, make_operation, make_route, make_user
from tests.time_rules.support import (
    at,
    handle,
    make_rule,
    start,
)

pytestmark = pytest.mark.django_db

RULE: dict[str, Any] = {
    "code": "COAT_8H",
    "name": "Coat within 8 hours",
    "durationMinutes": 480,
    "warningMinutes": 30,
    "startEvent": "TRACK_OUT",
    "startCondition": {"operationKind": ["WASH"], "result": "PASS"},
    "endEvent": "TRACK_IN",
    "endCondition": {"operationKind": ["OTHER"], "operationCode": ["COAT"]},
}


@pytest.fixture
def engineer(db: None) -> APIClient:
    make_operation("COAT")
    return api_client(Role.ENGINEER)


def test_a_rule_is_made_read_changed_and_deleted(engineer: APIClient) -> None:
    made = assert_done(engineer.post("/api/time-rules", RULE), 201)
    assert {name: made[name] for name in RULE} == RULE
    assert (made["scope"], made["scopeValue"], made["waivable"], made["isActive"]) == ("GLOBAL", None, True, True)
    assert made["notifiedRoles"] == ["SUPERVISOR", "QUALITY"]
    address = f"/api/time-rules/{made['id']}"
    changed = assert_done(engineer.patch(address, {"durationMinutes": 420, "startCondition": {"result": "FAIL"}}))
    assert (changed["durationMinutes"], changed["startCondition"]) == (420, {"result": "FAIL"})
    assert assert_done(engineer.get(address)) == changed
    assert_done(engineer.delete(address))
    assert_refused(engineer.get(address), "TIME_RULE_NOT_FOUND", 404)


def test_the_presets_are_there(engineer: APIClient) -> None:
    found = assert_done(engineer.get("/api/time-rules"))["items"]
    assert {one["code"]: (one["durationMinutes"], one["warningMinutes"], one["isActive"]) for one in found} == {
        "WASH_4H": (240, 30, True),
        "SOLDER_PASTE_24H": (1440, 120, True),
        "SOLDER_PASTE_THAW_4H": (None, 0, False),
    }


BAD: list[tuple[dict[str, Any], str]] = [
    ({"durationMinutes": 0}, "durationMinutes"),
    ({"durationMinutes": "480"}, "durationMinutes"),
    ({"durationMinutes": 10**9}, "durationMinutes"),
    ({"warningMinutes": 480}, "warningMinutes"),
    ({"warningMinutes": -1}, "warningMinutes"),
    ({"startEvent": "DATA_ALARM"}, "startEvent"),
    ({"endEvent": "SOLDER_PASTE_USAGE_UNBIND", "endCondition": {}}, "endEvent"),
    ({"startCondition": []}, "startCondition"),
    ({"startCondition": {"operationKind": ["SOLDERING"]}}, "startCondition"),
    ({"startCondition": {"kind": ["WASH"]}}, "startCondition"),
    ({"startCondition": {"operationKind": []}}, "startCondition"),
    ({"startCondition": {"operationKind": None}}, "startCondition"),
    ({"startCondition": {"operationKind": {"a": 1}}}, "startCondition"),
    ({"startCondition": {"result": ["OK"]}}, "startCondition"),
    ({"endCondition": {"result": ["PASS"]}}, "endCondition"),  # a TRACK_IN has no result
    ({"endCondition": {"operationCode": ["NOBODY-KNOWS"]}}, "endCondition"),
    ({"startCondition": {"attempt": [0]}}, "startCondition"),
    ({"endEvent": "TRACK_OUT", "endCondition": RULE["startCondition"]}, "endCondition"),
    ({"scope": "LINE"}, "scopeValue"),
    ({"scope": "LINE", "scopeValue": "NO-SUCH"}, "scopeValue"),
    ({"scope": "ROUTING", "scopeValue": "NO-SUCH"}, "scopeValue"),
    ({"scope": "PRODUCT", "scopeValue": "a "}, "scopeValue"),
    ({"scope": "GLOBAL", "scopeValue": "SMT-A"}, "scopeValue"),
    ({"scope": "PLANT"}, "scope"),
    ({"routeOperationKinds": ["WASH", "WASH"]}, "routeOperationKinds"),
    ({"routeOperationKinds": ["SOAP"]}, "routeOperationKinds"),
    ({"notifiedRoles": ["BOSS"]}, "notifiedRoles"),
    ({"priority": 2**40}, "priority"),
    ({"code": "a//b"}, "code"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("change", "field"), BAD, ids=lambda value: str(value)[:60])
def test_what_cannot_be_is_refused_at_its_field(engineer: APIClient, change: dict[str, Any], field: str) -> None:
    details = assert_refused(engineer.post("/api/time-rules", {**RULE, **change}), "VALIDATION_ERROR", 400)
    assert field in {name.split(".")[0] for name in details}, details
    assert not TimeRuleDefinition.objects.filter(name=RULE["name"]).exists()


def test_scope_values_that_exist_are_taken(engineer: APIClient) -> None:
    make_line("SMT-B")
    make_route("ROUTE-B")
    for scope, value in [("LINE", "SMT-B"), ("ROUTING", "ROUTE-B"), ("PRODUCT", "NOT-YET-KNOWN")]:
        assert_done(engineer.post("/api/time-rules", {**RULE, "scope": scope, "scopeValue": value}), 201)
    assert TimeRuleDefinition.objects.filter(code="COAT_8H").count() == 3


def test_the_same_scope_twice_needs_another_priority(engineer: APIClient) -> None:
    assert_done(engineer.post("/api/time-rules", RULE), 201)
    assert_refused(engineer.post("/api/time-rules", RULE), "VALIDATION_ERROR", 400)
    assert_done(engineer.post("/api/time-rules", {**RULE, "priority": 1}), 201)


def test_a_rule_with_clocks_is_not_deleted(engineer: APIClient) -> None:
    rule = make_rule()
    handle(start(at(0)))
    assert_refused(engineer.delete(f"/api/time-rules/{rule.pk}"), "IN_USE")


def test_only_those_who_keep_rules_may_write_them() -> None:
    for role in (Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY, Role.INTEGRATION):
        assert_refused(api_client(role).post("/api/time-rules", RULE), "PERMISSION_DENIED", 403)


def test_a_list_of_rules_takes_one_query(engineer: APIClient, django_assert_num_queries: Any) -> None:
    engineer.get("/api/time-rules")
    with django_assert_num_queries(1):
        engineer.get("/api/time-rules")


# --- admin site ----------------------------------------------------------------------------------------------


@pytest.fixture
def site(db: None) -> Client:
    make_operation("COAT")
    client = Client()
    user: User = make_user(Role.ENGINEER)
    client.force_login(user)
    return client


FORM = {
    "code": "COAT_8H",
    "name": "Coat",
    "duration_minutes": "480",
    "warning_minutes": "30",
    "start_event": "TRACK_OUT",
    "start_condition-operationKind": "WASH",
    "end_event": "TRACK_IN",
    "end_condition-operationKind": "OTHER",
    "scope": "GLOBAL",
    "scope_value": "",
    "route_operation_kinds": "WASH",
    "priority": "0",
    "is_active": "on",
    "is_waivable": "on",
    "notified_roles": "QUALITY",
}


def test_an_engineer_makes_a_rule_in_the_admin_site(site: Client) -> None:
    response = site.post("/admin/mes/timeruledefinition/add/", FORM)
    assert response.status_code == 302, response.context["adminform"].form.errors
    rule = TimeRuleDefinition.objects.get(code="COAT_8H")
    assert (rule.start_condition, rule.route_operation_kinds) == ({"operationKind": ["WASH"]}, ["WASH"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scope": "LINE", "scope_value": "NO-SUCH"}, "scope_value"),
        ({"start_condition-operationKind": "FLYING"}, "start_condition"),
        ({"warning_minutes": "480"}, "warning_minutes"),
        ({"end_event": "SOLDER_PASTE_USAGE_UNBIND", "end_condition-operationKind": ""}, "end_event"),
        ({"start_event": ""}, "start_event"),
        ({"duration_minutes": ""}, "duration_minutes"),
        ({"start_condition-attempt": "{"}, "start_condition"),
        ({"start_condition-operationCode": "NO-SUCH"}, "start_condition"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_admin_site_refuses_alike(site: Client, change: dict[str, str], field: str) -> None:
    response = site.post("/admin/mes/timeruledefinition/add/", {**FORM, **change})
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
