"""Qualifications: who gives them, what they say, and that steps which ask for one are entered by nobody else."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Track
from mes.plant.models import Operation
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.qualifications.models import Qualification
from tests.execution.support import assert_done, assert_refused
from tests.factories import Plant, api_client, make_config, make_operation, make_plant, make_user
from tests.forms import filled
from tests.ingest.support import make_ingest_plant, printed, push
from tests.platform.sign_in.support import make_badge, make_terminal, sign_on

pytestmark = pytest.mark.django_db
ASKED = "/api/qualifications"


@pytest.fixture
def plant(db: None) -> Plant:
    """A plant whose step PRINT asks for a qualification."""
    make_config(operation=make_operation("PRINT"), requires_qualification=True)
    return make_plant()


@pytest.fixture
def olga(db: None) -> User:
    return make_badge("olga")


def qualify(person: User, *, days: int | None = None, operation: str = "PRINT") -> Qualification:
    until = None if days is None else timezone.localdate() + timedelta(days=days)
    return Qualification.objects.create(person=person, operation=Operation.objects.get(code=operation), until=until)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def send(client: Any, address: str, body: dict[str, Any]) -> Any:
    """Send JSON, as a browser or with a token."""
    as_json = {} if isinstance(client, APIClient) else {"content_type": "application/json"}
    return client.post(address, body, **as_json)


def track_in(client: Any, sn: str = "SN-1") -> Any:
    return send(client, "/api/stations/SMT-01/track-in", {"sn": sn})


def ask(client: Any, **fields: Any) -> dict[str, Any]:
    return assert_done(send(client, "/api/stations/SMT-01/permit", {"sn": "SN-1", **fields}))


# --- the guard ----------------------------------------------------------------------------------------------------


def test_only_who_is_qualified_takes_a_unit_in(plant: Plant, olga: User) -> None:
    client = signed_in(olga)
    refused = track_in(client)
    assert_refused(refused, "OPERATOR_NOT_QUALIFIED", 409)
    assert refused.json()["error"]["details"] == {"operator": "olga", "operation": "PRINT", "stepNo": 10}
    assert not Track.objects.exists()
    qualify(olga, operation="TEST")
    assert_refused(track_in(client), "OPERATOR_NOT_QUALIFIED", 409)
    qualify(olga)
    assert_done(track_in(client), 201)


@pytest.mark.parametrize(("days", "is_good"), [(None, True), (0, True), (1, True), (-1, False)])
def test_the_last_day_belongs_to_it(plant: Plant, olga: User, *, days: int | None, is_good: bool) -> None:
    qualify(olga, days=days)
    assert track_in(signed_in(olga)).status_code == (201 if is_good else 409)


def test_it_is_asked_of_whoever_is_signed_in_and_of_whom_they_name(plant: Plant, olga: User) -> None:
    qualify(olga)
    other = signed_in(make_user(Role.OPERATOR, username="otto"))
    assert [each["code"] for each in ask(other, operatorId="olga")["reasons"]] == ["OPERATOR_NOT_QUALIFIED"]
    client = signed_in(olga)
    make_badge("ina")
    for named in ("otto", "ina", "B-ina"):
        reasons = ask(client, operatorId=named)["reasons"]
        assert [(each["code"], each["fact"]["operator"]) for each in reasons] == [("OPERATOR_NOT_QUALIFIED", named)]
        refused = send(client, "/api/stations/SMT-01/track-in", {"sn": "SN-1", "operatorId": named})
        assert_refused(refused, "OPERATOR_NOT_QUALIFIED", 409)
    qualify(User.objects.get(username="ina"))
    for named in ("olga", "B-olga", "ina", "B-ina", "nobody"):
        assert ask(client, operatorId=named)["allowed"], named


def test_at_a_terminal_it_is_asked_of_who_signed_on(plant: Plant, olga: User) -> None:
    browser = make_terminal("SMT-01")[1]
    sign_on(browser)
    assert_refused(track_in(browser), "OPERATOR_NOT_QUALIFIED", 409)
    qualify(olga)
    assert_done(track_in(browser), 201)
    track = Track.objects.get()
    assert (track.in_by, track.operator_in) == ("olga", "olga")


@pytest.mark.parametrize("named", ["olga", "B-olga"])
def test_of_a_token_it_is_asked_of_whom_it_names_by_user_name_or_badge(plant: Plant, olga: User, named: str) -> None:
    token = api_client(Role.OPERATOR)
    reasons = ask(token)["reasons"]
    assert [(each["code"], each["fact"]["operator"]) for each in reasons] == [("OPERATOR_NOT_QUALIFIED", None)]
    assert reasons[0]["releasableBy"] == ["SUPERVISOR", "ADMIN"]
    assert not ask(token, operatorId=named)["allowed"]
    qualify(olga)
    assert ask(token, operatorId=named)["allowed"]
    assert not ask(token, operatorId="nobody")["allowed"]
    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert not ask(token, operatorId=named)["allowed"]
    assert_refused(track_in(token), "OPERATOR_NOT_QUALIFIED", 409)


def test_a_machine_is_not_asked(olga: User) -> None:
    make_config(operation=make_operation("PRINT"), requires_qualification=True)
    plant = make_ingest_plant()
    machine = api_client(Role.INTEGRATION)
    asked = {"sn": plant.sns[0], "as": "MACHINE"}
    assert assert_done(machine.post("/api/stations/PRN-1/permit", asked))["allowed"]
    assert not assert_done(machine.post("/api/stations/PRN-1/permit", asked | {"as": "MANUAL"}))["allowed"]
    assert push(machine, printed(plant.sns[0]))["status"] == "APPLIED"


def test_other_steps_pay_nothing_for_it(plant: Plant, olga: User) -> None:
    client = signed_in(olga)
    track_in(client)
    with CaptureQueriesContext(connection) as asked:
        track_in(client)
    assert sum("mes_qualification" in each["sql"] for each in asked) == 1
    qualify(olga)
    track_in(client)
    send(client, "/api/stations/SMT-01/track-out", {"sn": "SN-1", "result": "PASS"})
    with CaptureQueriesContext(connection) as unasked:
        done = send(client, "/api/stations/REF-01/track-in", {"sn": "SN-1"})
    assert done.status_code == 201
    assert not any("mes_qualification" in each["sql"] for each in unasked)


# --- giving and taking --------------------------------------------------------------------------------------------


@pytest.fixture
def supervisor(db: None) -> APIClient:
    make_operation("TEST")
    return api_client(Role.SUPERVISOR)


def test_a_supervisor_gives_changes_and_takes_one(supervisor: APIClient, olga: User) -> None:
    body = {"person": "olga", "operationCode": "TEST", "until": "2027-06-30", "note": "Instructed"}
    made = assert_done(supervisor.post(ASKED, body), 201)
    assert made | {"id": "", "givenAt": "", "givenBy": ""} == {**body, "id": "", "givenAt": "", "givenBy": ""}
    assert made["givenBy"].startswith("token:SUPERVISOR")
    address = f"{ASKED}/{made['id']}"
    assert assert_done(supervisor.patch(address, {"until": None}))["until"] is None
    assert assert_done(supervisor.get(f"{ASKED}?person=olga&operationCode=TEST"))["items"][0]["id"] == made["id"]
    assert assert_done(supervisor.get(f"{ASKED}?person=otto"))["items"] == []
    told = AuditEntry.objects.filter(entity="qualifications")
    assert [entry.action for entry in told.order_by("id")] == ["CREATE", "UPDATE"]
    assert_done(supervisor.delete(address))
    assert_refused(supervisor.get(address), "QUALIFICATION_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("changed", "code", "status"),
    [
        ({"person": "nobody"}, "PERSON_NOT_FOUND", 404),
        ({"operationCode": "NONE"}, "OPERATION_NOT_FOUND", 404),
        ({"until": "31.12.2027"}, "VALIDATION_ERROR", 400),
        ({"until": "0001-01-01"}, "VALIDATION_ERROR", 400),
        ({"until": 20271231}, "VALIDATION_ERROR", 400),
        ({"note": "x" * 501}, "VALIDATION_ERROR", 400),
        ({"note": "a\nb"}, "VALIDATION_ERROR", 400),
        ({"givenTo": "x"}, "VALIDATION_ERROR", 400),
    ],
)
def test_malformed_ones_are_refused(
    supervisor: APIClient, olga: User, changed: dict[str, Any], code: str, status: int
) -> None:
    body = {"person": "olga", "operationCode": "TEST", **changed}
    assert_refused(supervisor.post(ASKED, body), code, status)
    assert not Qualification.objects.exists()


def test_a_person_has_one_for_an_operation_and_it_stays_theirs(supervisor: APIClient, olga: User) -> None:
    made = assert_done(supervisor.post(ASKED, {"person": "olga", "operationCode": "TEST"}), 201)
    again = supervisor.post(ASKED, {"person": "olga", "operationCode": "TEST"})
    assert_refused(again, "VALIDATION_ERROR", 400)
    make_user(username="otto")
    for other in ({"person": "otto"}, {"operationCode": make_operation("PRINT").code}):
        assert_refused(supervisor.patch(f"{ASKED}/{made['id']}", other), "VALIDATION_ERROR", 400)
    engineer = api_client(Role.ENGINEER)
    assert_refused(engineer.delete("/api/operations/TEST"), "IN_USE", 409)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.QUALITY, Role.ENGINEER, Role.INTEGRATION])
def test_others_give_none(supervisor: APIClient, olga: User, role: Role) -> None:
    refused = api_client(role).post(ASKED, {"person": "olga", "operationCode": "TEST"})
    assert_refused(refused, "PERMISSION_DENIED", 403)


def test_the_page_gives_changes_and_takes_one(supervisor: APIClient, olga: User) -> None:
    client = signed_in(make_user(Role.SUPERVISOR, username="sue"))
    page = client.get("/qualifications/")
    assert "Nobody is qualified" in page.content.decode()
    body = {"person": "olga", "operationCode": "TEST", "until": "2027-06-30"}
    assert client.post("/qualifications/give/", body).status_code == 302
    made = Qualification.objects.get()
    assert (made.given_by, made.until) == ("sue", date(2027, 6, 30))
    client.post("/qualifications/give/", body)
    assert "change that one" in client.get("/qualifications/").content.decode()
    client.post("/qualifications/give/", body | {"person": "nobody"})
    assert "There is no person" in client.get("/qualifications/").content.decode()
    client.post(f"/qualifications/{made.pk}/change/", {"until": ""})
    made.refresh_from_db()
    assert made.until is None
    assert client.post(f"/qualifications/{made.pk}/delete/").status_code == 404
    assert Qualification.objects.exists()
    client.post(f"/qualifications/{made.pk}/end/")
    assert not Qualification.objects.exists()
    client.post(f"/qualifications/{made.pk}/end/")
    assert "There is no qualification" in client.get("/qualifications/").content.decode()
    assert signed_in(olga).get("/qualifications/").status_code == 403


def test_page_and_list_tell_which_are_over(plant: Plant) -> None:
    for name, days in (("past", -1), ("today", 0), ("good", None)):
        qualify(make_user(username=name), days=days)
    client = signed_in(make_user(Role.SUPERVISOR))
    shown = {row.person.username: is_over for row, is_over, _acts in client.get("/qualifications/").context["rows"]}
    assert shown == {"past": True, "today": False, "good": False}
    for over in ("yes", "no"):
        answer = client.get(f"/lists/qualifications/?over={over}&format=csv")
        listed = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        assert [name for name in shown if f"{name};" in listed or f"{name}," in listed] == [
            name for name, is_over in shown.items() if is_over == (over == "yes")
        ]


def test_an_admin_gives_one_in_the_administration(supervisor: APIClient, olga: User) -> None:
    client = signed_in(make_user(Role.ADMIN, username="ada"))
    page = "/admin/mes/qualification/add/"
    operation = Operation.objects.get(code="TEST").pk
    body = filled(client, page, person=str(olga.pk), operation=str(operation), until="2027-06-30")
    assert "until" in client.post(page, body | {"until": "0001-01-01"}).context["adminform"].form.errors
    assert client.post(page, body).status_code == 302
    assert Qualification.objects.get().given_by == "ada"


# --- the config ---------------------------------------------------------------------------------------------------


def test_what_steps_ask_for_is_frozen_and_others_keep_their_digests(plant: Plant) -> None:
    frozen = plant.version.snapshot["steps"]
    assert [step.get("requiresQualification") for step in frozen] == [True, None, None]
    engineer = api_client(Role.ENGINEER)
    asked = {"scope": "STEP", "stepNo": 10, "requiresQualification": False}
    assert_done(engineer.post("/api/routes/ROUTE-1/execution-config", asked))
    step = assert_done(engineer.get("/api/routes/ROUTE-1/effective-config"))["steps"][0]
    assert step["fields"]["requiresQualification"]["value"] is False
    assert_done(engineer.post("/api/routes/ROUTE-1/compile"))
    told = assert_done(engineer.get("/api/routes/ROUTE-1/versions/1/diff/2"))["differences"]
    assert [(each["field"], each["from"], each["to"]) for each in told] == [("requiresQualification", True, False)]
    page = signed_in(make_user(Role.ENGINEER)).get("/routes/ROUTE-1/versions/1/").content.decode()
    assert "Qualification" in page
    wrong = engineer.post("/api/routes/ROUTE-1/execution-config", asked | {"requiresQualification": "yes"})
    assert_refused(wrong, "VALIDATION_ERROR", 400)
