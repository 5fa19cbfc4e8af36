"""The form of a time rule: what it offers, what it says, and that it writes only what was changed."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.plant.models import Line, Operation
from mes.platform.accounts.roles import Role
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance
from tests.factories import make_user
from tests.forms import state_of
from tests.time_rules.support import make_rule

ADD = "/admin/mes/timeruledefinition/add/"
TYPED: dict[str, Any] = {
    "code": "COAT_8H",
    "name": "Coat within 8 hours",
    "duration_minutes": "480",
    "warning_minutes": "30",
    "is_active": "on",
    "start_event": "TRACK_OUT",
    "start_condition-operationKind": ["WASH"],
    "start_condition-result": ["PASS"],
    "end_event": "TRACK_IN",
    "end_condition-operationCode": ["COATING"],
    "end_condition-attempt": "1, 2",
    "scope": "LINE",
    "scope_value": "SMT-A",
    "route_operation_kinds": ["WASH"],
    "priority": "0",
    "is_waivable": "on",
    "notified_roles": ["QUALITY"],
}
SENTENCE = (
    "A unit that passed WASH must enter COATING in attempt 1 or 2 within 480 minutes; people are warned 30 minutes "
    "before. On line SMT-A. On routes with WASH. It may be waived."
)


@pytest.fixture
def engineer(db: None, client: Client) -> Client:
    """An engineer; there are a line and an operation."""
    Line.objects.create(code="SMT-A", name="Line A")
    Operation.objects.create(code="COATING", name="Coating", kind="OTHER")
    client.force_login(make_user(Role.ENGINEER))
    return client


def test_a_rule_is_made_by_ticks(engineer: Client) -> None:
    assert engineer.post(ADD, TYPED).status_code == 302
    rule = TimeRuleDefinition.objects.get(code="COAT_8H")
    assert rule.start_condition == {"operationKind": ["WASH"], "result": ["PASS"]}
    assert rule.end_condition == {"operationCode": ["COATING"], "attempt": [1, 2]}
    assert SENTENCE in engineer.get("/admin/mes/timeruledefinition/").content.decode()


def test_it_says_the_rule_while_one_types_and_writes_nothing(engineer: Client) -> None:
    address = "/admin/mes/timeruledefinition/try/"
    assert SENTENCE in engineer.post(address, TYPED).content.decode()
    tried = engineer.post(address, {**TYPED, "_try": "1"}).content.decode()
    assert "no clock would have started" in tried
    assert not TimeRuleDefinition.objects.filter(code="COAT_8H").exists() and not TimeRuleInstance.objects.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start_event": "SOLDER_PASTE_USAGE_CREATE"}, "This event has no field “operationKind”"),
        ({"end_condition-operationCode": ["NO-SUCH"]}, "There is no operation “NO-SUCH”."),
        ({"end_condition-attempt": "often"}, "Attempt: “often” is not a whole number from 1."),
        ({"end_condition-attempt": "9" * 50}, "Attempt: "),
        ({"scope_value": "NO-LINE"}, "There is no line “NO-LINE”."),
        ({"route_operation_kinds": ["FLYING"]}, "Select a valid choice."),
        ({"duration_minutes": ""}, "Give most minutes, least minutes, or both."),
    ],
)
def test_what_is_wrong_is_said_in_both_places(engineer: Client, change: dict[str, Any], said: str) -> None:
    for address in ("/admin/mes/timeruledefinition/try/", ADD):
        answer = engineer.post(address, {**TYPED, **change})
        assert answer.status_code == 200 and said in answer.content.decode(), address
    assert not TimeRuleDefinition.objects.filter(code="COAT_8H").exists()


def test_a_condition_that_is_not_touched_stays_as_it_was_written(engineer: Client) -> None:
    rule = make_rule("COAT_8H", start_condition={"result": "PASS", "operationKind": "WASH"}, name="Old")
    address = f"/admin/mes/timeruledefinition/{rule.pk}/change/"
    page = engineer.get(address).content.decode()
    assert 'name="start_condition-operationKind" value="WASH" checked' in page
    typed = {**TYPED, "end_condition-operationCode": [], "end_condition-attempt": ""}
    typed |= {"end_condition-operationKind": "WASH", "change_reason": "it said nothing"}
    typed |= {"duration_minutes": "240", "scope": "GLOBAL", "scope_value": "", "route_operation_kinds": []}
    answer = engineer.post(address, typed | state_of(rule))
    assert answer.status_code == 302, answer.content.decode()
    rule.refresh_from_db()
    assert (rule.start_condition, rule.name) == ({"result": "PASS", "operationKind": "WASH"}, "Coat within 8 hours")


def test_an_operation_that_is_gone_is_shown(engineer: Client) -> None:
    rule = make_rule("COAT_8H", end_condition={"operationCode": ["GONE"]})
    page = engineer.get(f"/admin/mes/timeruledefinition/{rule.pk}/change/").content.decode()
    assert "GONE (no longer there)" in page


def test_who_may_not_change_rules_tries_none(db: None, client: Client) -> None:
    client.force_login(make_user(Role.SUPERVISOR))
    assert client.post("/admin/mes/timeruledefinition/try/", TYPED).status_code in (302, 403)


def test_a_list_takes_as_many_statements_for_many_rules(engineer: Client) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            engineer.get("/admin/mes/timeruledefinition/")
        return len(queries)

    few = count()
    for number in range(40):
        make_rule(f"RULE-{number}")
    assert count() == few
