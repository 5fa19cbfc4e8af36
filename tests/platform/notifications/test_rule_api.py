"""Notification rules over HTTP and in the administration: who may, what is refused, trials."""

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.notifications import telling
from mes.platform.notifications.models import Notification
from mes.platform.notifications.rule_models import NotificationRule
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_line, make_user
from tests.forms import filled
from tests.platform.notifications.support import announce, make_notice, make_rule, sent, told, work_off

pytestmark = pytest.mark.django_db

RULES = "/api/notification-rules"
RULE = {"name": "Holds", "event": "HOLD_OPENED", "roles": ["QUALITY"], "channels": ["APP"]}
HOOK = {"channels": ["WEBHOOK"], "roles": [], "webhookUrl": "https://chat.example/hook?key=1"}


@pytest.fixture(autouse=True)
def ways(settings: Any) -> None:
    """A mail server and a secret are set up."""
    settings.MES_MAIL, settings.MES_WEBHOOK_SECRET = True, "secret"


@pytest.fixture
def supervisor() -> APIClient:
    return api_client(Role.SUPERVISOR)


def post(client: APIClient, **change: Any) -> Any:
    return client.post(RULES, {**RULE, **change})


def test_it_is_made_read_changed_and_deleted(supervisor: APIClient) -> None:
    make_line("SMT-A")
    make_user(username="sue")
    given = {
        "lineCode": "SMT-A", "persons": ["sue"], "channels": ["WEBHOOK", "MAIL", "APP"], "quietMinutes": 15,
        "webhookUrl": "https://chat.example/hook",
    }  # fmt: skip
    made = assert_done(post(supervisor, **given), 201)
    assert {name: made[name] for name in (*RULE, *given)} == {
        **RULE, **given, "channels": ["APP", "MAIL", "WEBHOOK"],
    }  # fmt: skip
    assert made["isActive"] is True
    address = f"{RULES}/{made['id']}"
    assert assert_done(supervisor.get(address)) == made
    changed = assert_done(supervisor.patch(address, {"persons": [], "quietMinutes": 0, "isActive": False}))
    assert (changed["persons"], changed["quietMinutes"], changed["isActive"]) == ([], 0, False)
    assert changed["channels"] == made["channels"]
    assert assert_done(supervisor.get(RULES, {"event": "HOLD_OPENED", "isActive": "false"}))["items"] == [changed]
    assert assert_done(supervisor.get(RULES, {"event": "FAI_FAILED"}))["items"] == []
    assert_done(supervisor.delete(address))
    assert_refused(supervisor.get(address), "NOTIFICATION_RULE_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"event": "LUNCH"}, "event"),
        ({"channels": []}, "channels"),
        ({"channels": ["PIGEON"]}, "channels"),
        ({"channels": "APP"}, "channels"),
        ({"roles": []}, "roles"),
        ({"roles": ["BOSS"]}, "roles"),
        ({"persons": ["nobody"]}, "persons"),
        ({"persons": ["gone"]}, "persons"),
        ({"persons": [7]}, "persons"),
        ({"quietMinutes": -1}, "quietMinutes"),
        ({"quietMinutes": 1441}, "quietMinutes"),
        ({"quietMinutes": 1.5}, "quietMinutes"),
        ({"webhookUrl": "https://chat.example/"}, "webhookUrl"),
        ({"channels": ["WEBHOOK"]}, "webhookUrl"),
        ({"event": "SYSTEM_TROUBLE", "lineCode": "SMT-A"}, "lineCode"),
        ({**HOOK, "webhookUrl": "ftp://chat.example/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "javascript:alert(1)"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chat.example:0/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chat.example:99999/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://[::1"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://ann:pw@chat.example/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chat.example/a b"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chat.example/\r\nX: y"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chät.example/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chat.example/" + "x" * 500}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://127.0.0.1/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://localhost:8000/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://[::1]/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://[::ffff:127.0.0.1]/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://169.254.169.254/latest/meta-data/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://[fd00:ec2::254]/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://0.0.0.0/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://224.0.0.1/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://240.0.0.1/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://100.100.100.200/"}, "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://chat.example/#room"}, "webhookUrl"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_what_makes_no_sense_is_refused_at_its_field(supervisor: APIClient, change: dict, field: str) -> None:
    make_line("SMT-A")
    make_user(username="gone", is_active=False)
    details = assert_refused(post(supervisor, **change), "VALIDATION_ERROR", 400)
    assert [name.partition(".")[0] for name in details] == [field]
    assert not NotificationRule.objects.exists()


def test_a_line_that_there_is_not(supervisor: APIClient) -> None:
    assert_refused(post(supervisor, lineCode="NOWHERE"), "LINE_NOT_FOUND", 404)


@pytest.mark.parametrize("url", ["http://10.0.0.7:8080/hook", "http://192.168.1.9/", "https://[fd12::1]/x?y=1"])
def test_private_networks_are_allowed(supervisor: APIClient, url: str) -> None:
    assert assert_done(post(supervisor, **{**HOOK, "webhookUrl": url}), 201)["webhookUrl"] == url


def test_a_way_that_is_not_set_up_is_refused(supervisor: APIClient, settings: Any) -> None:
    settings.MES_MAIL, settings.MES_WEBHOOK_SECRET = False, ""
    assert "EMAIL_URL" in str(assert_refused(post(supervisor, channels=["MAIL"]), "VALIDATION_ERROR", 400))
    assert "MES_WEBHOOK_SECRET" in str(assert_refused(post(supervisor, **HOOK), "VALIDATION_ERROR", 400))


def test_two_rules_have_no_name_in_common(supervisor: APIClient) -> None:
    assert_done(post(supervisor), 201)
    assert list(assert_refused(post(supervisor), "VALIDATION_ERROR", 400)) == ["name"]


@pytest.mark.parametrize("role", Role.values)
def test_admins_and_supervisors_keep_them(role: str) -> None:
    status = post(api_client(role)).status_code
    assert status == (201 if role in ("ADMIN", "SUPERVISOR") else 403)


def test_the_address_of_a_webhook_is_for_those_who_keep_rules(supervisor: APIClient) -> None:
    made = assert_done(post(supervisor, **HOOK), 201)
    seen = assert_done(api_client(Role.OPERATOR).get(f"{RULES}/{made['id']}"))
    assert seen["webhookUrl"] == "https://chat.example/…"
    assert "key=1" not in str(list(AuditEntry.objects.filter(entity="notification-rules").values()))


def test_a_list_takes_as_many_statements_for_twenty_rules_as_for_two(
    supervisor: APIClient, django_assert_num_queries: Any
) -> None:
    people = tuple(make_user() for _each in range(3))
    for number in range(20):
        make_rule(name=f"Rule no {number}", persons=people, line=make_line())
        if number in (1, 19):
            supervisor.get(RULES)  # the token is known
            with django_assert_num_queries(2):
                assert_done(supervisor.get(RULES))


# --- trials ------------------------------------------------------------------------------------------------


def test_a_trial_reaches_everybody_on_all_ways_at_once(supervisor: APIClient) -> None:
    quinn = make_user(Role.QUALITY, email="quinn@plant.example")
    rule = make_rule(
        channels=["APP", "MAIL", "WEBHOOK"], webhook_url="https://chat.example/", is_active=False, quiet_minutes=60
    )
    other = make_rule()
    for _twice in range(2):
        counts = assert_done(supervisor.post(f"{RULES}/{rule.pk}/test"), 202)
        assert counts == {"APP": 1, "MAIL": 1, "WEBHOOK": 1}
    announce(make_notice("held"))  # of which only the active rule tells
    telling.tell(sent("NOTICE"))
    assert len(told(quinn)) == 3
    assert [event.payload["ruleId"] for event in (*sent("NOTICE_MAIL"), *sent("NOTICE_WEBHOOK"))] == [rule.pk] * 4
    assert Notification.objects.filter(recipient=quinn, text__contains=other.name).count() == 0
    assert_refused(api_client(Role.ENGINEER).post(f"{RULES}/{rule.pk}/test"), "PERMISSION_DENIED", 403)
    assert_refused(supervisor.post(f"{RULES}/{'9' * 30}/test"), "NOTIFICATION_RULE_NOT_FOUND", 404)


# --- the form ----------------------------------------------------------------------------------------------


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(make_user(Role.SUPERVISOR))
    return client


def test_a_supervisor_keeps_rules_in_the_administration(desk: Client) -> None:
    sue = make_user(username="sue")
    page = "/admin/mes/notificationrule/add/"
    values = {"name": "Holds", "event": "HOLD_OPENED", "roles": [], "persons": [], "channels": ["APP"]}
    refused = desk.post(page, filled(desk, page, **values))
    assert "Name roles or persons" in refused.content.decode()
    assert desk.post(page, filled(desk, page, **{**values, "persons": [sue.pk]})).status_code == 302
    rule = NotificationRule.objects.get()
    assert list(rule.persons.all()) == [sue]
    form = f"/admin/mes/notificationrule/{rule.pk}/change/"
    assert "Send a trial" in desk.get(form).content.decode()
    assert desk.post(f"/admin/mes/notificationrule/{rule.pk}/trial/").status_code == 302
    work_off()
    assert len(told(sue)) == 1
    assert "/lists/notification-rules/" in desk.get("/lists/").content.decode()
    assert "Holds" in desk.get("/lists/notification-rules/?event=HOLD_OPENED").content.decode()


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.QUALITY])
def test_others_see_no_rules_there(role: Role) -> None:
    client = Client()
    client.force_login(make_user(role))
    rule = make_rule()
    assert client.get(f"/admin/mes/notificationrule/{rule.pk}/change/").status_code == 403
    assert client.post(f"/admin/mes/notificationrule/{rule.pk}/trial/").status_code == 403
    assert client.get("/lists/notification-rules/").status_code in (403, 404)
