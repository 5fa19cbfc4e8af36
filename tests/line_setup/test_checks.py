"""Checks: judged as values are, the latest by its time decides, four eyes, what is due, and what a failed one stops."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.line_setup.checks.fields import find_field_problems
from mes.line_setup.checks.models import CheckForm, CheckRecord
from mes.line_setup.checks.services import settle
from mes.line_setup.models import Tool
from mes.line_setup.tools.rules import find_faults
from mes.plant.models import Equipment, Line, Station
from mes.platform.accounts.roles import Role
from mes.readiness.models import PrepPolicy
from tests.execution.support import assert_done, assert_refused, track_in
from tests.factories import api_client, make_plant, make_user
from tests.line_setup.set_up_lists.test_goodness import load
from tests.readiness.support import bind_stencil

pytestmark = pytest.mark.django_db

NOW = timezone.now()
FIELDS = [
    {"name": "Clean", "dataType": "BOOLEAN", "itemType": "KEY", "isRequired": True},
    {"name": "Tension", "dataType": "NUMBER", "itemType": "KEY", "limits": {"lsl": 30, "unit": "N/cm"}},
    {"name": "Remark", "dataType": "TEXT", "itemType": "OBSERVATION", "isRequired": False},
]


def ago(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


def make_form(**fields: Any) -> CheckForm:
    given: dict[str, Any] = {"code": "STENCIL_CLEAN", "name": "Stencil", "subject_type": "TOOL", "fields": FIELDS}
    return CheckForm.objects.create(**{**given, "on_fail": "BLOCK", **fields})


def body(clean: bool = True, tension: float = 35, subject: str = "ST-1", **fields: Any) -> dict[str, Any]:
    values = [{"name": "Clean", "valueBoolean": clean}, {"name": "Tension", "valueNumber": tension}]
    return {"formCode": "STENCIL_CLEAN", "subjectCode": subject, "values": values, **fields}


def due(line: str = "SMT-A") -> list[tuple[str, str, str]]:
    items = assert_done(api_client().get(f"/api/check-records/due?lineCode={line}"))["items"]
    return [(item["formCode"], item["subjectCode"], item["state"]) for item in items]


@pytest.mark.parametrize(
    ("clean", "tension", "verdict"), [(True, 30, "PASS"), (True, 29.9, "FAIL"), (False, 35, "FAIL")]
)
def test_values_are_judged_by_the_limits_of_the_form(clean: bool, tension: float, verdict: str) -> None:
    make_form()
    Tool.objects.create(tool_id="ST-1")
    made = assert_done(api_client(Role.OPERATOR).post("/api/check-records", body(clean, tension)), 201)
    assert made["verdict"] == verdict
    judge = "PASS" if tension >= 30 else "FAIL"
    assert made["values"][1] == {"name": "Tension", "value": tension, "judge": judge, "lsl": 30, "unit": "N/cm"}
    CheckForm.objects.update(fields=[{**FIELDS[1], "limits": {"lsl": 100}}])
    assert assert_done(api_client().get(f"/api/check-records/{made['id']}"))["values"][1]["lsl"] == 30


def test_the_latest_by_its_time_decides_whatever_came_first() -> None:
    make_form(on_pass="SERVICED")
    Tool.objects.create(tool_id="ST-1", uses_since_service=5, uses=5)
    client = api_client(Role.OPERATOR)
    assert_done(client.post("/api/check-records", body(False, at=ago(minutes=10).isoformat())), 201)
    assert find_faults(Tool.objects.get(), NOW) == ["TOOL_NOT_READY"]
    assert_done(client.post("/api/check-records", body(True, at=ago(minutes=20).isoformat())), 201)
    assert find_faults(Tool.objects.get(), NOW) == ["TOOL_NOT_READY"]
    assert_done(client.post("/api/check-records", body(True, at=ago(minutes=5).isoformat())), 201)
    tool = Tool.objects.get()
    assert (find_faults(tool, NOW), tool.serviced_at, tool.uses_since_service) == ([], ago(minutes=5), 0)


def test_another_person_verifies_and_a_fail_needs_nobody() -> None:
    make_form(needs_verifier=True)
    Tool.objects.create(tool_id="ST-1")
    ann, bob = (Client(), Client())
    ann.force_login(make_user(Role.OPERATOR, username="ann"))
    bob.force_login(make_user(Role.OPERATOR, username="bob"))
    say = {"content_type": "application/json"}
    assert_done(ann.post("/api/check-records", body(False), **say), 201)
    assert Tool.objects.get().failed_check == "STENCIL_CLEAN"
    passed = assert_done(ann.post("/api/check-records", body(True), **say), 201)
    assert Tool.objects.get().failed_check == "STENCIL_CLEAN"  # not yet
    address = f"/api/check-records/{passed['id']}/verify"
    assert_refused(ann.post(address), "CHECK_VERIFIER_IS_RECORDER")
    assert assert_done(bob.post(address))["verifiedBy"] == "bob"
    assert Tool.objects.get().failed_check == ""
    assert_refused(bob.post(address), "CHECK_NOT_TO_VERIFY")


def test_a_machine_that_failed_takes_no_unit_until_it_passes() -> None:
    plant = make_plant()
    Equipment.objects.create(code="EQ-1", name="Printer", station=plant.stations["SMT-01"])
    make_form(code="OVEN_CHECK", subject_type="EQUIPMENT", fields=[FIELDS[0]])
    client = api_client()
    values = {"formCode": "OVEN_CHECK", "subjectCode": "EQ-1"}
    failed = {**values, "values": [{"name": "Clean", "valueBoolean": False}]}
    assert_done(client.post("/api/check-records", failed), 201)
    details = assert_refused(track_in(client), "EQUIPMENT_UNAVAILABLE")
    assert "OVEN_CHECK" in details["equipmentStatus"]
    assert_done(client.patch("/api/check-forms/OVEN_CHECK", {"onFail": "NONE"}))
    assert Equipment.objects.get().failed_check == ""
    assert_done(client.patch("/api/check-forms/OVEN_CHECK", {"onFail": "BLOCK"}))
    assert_refused(track_in(client), "EQUIPMENT_UNAVAILABLE")
    assert_done(client.post("/api/check-records", {**values, "values": [{"name": "Clean", "valueBoolean": True}]}), 201)
    assert_done(track_in(client), 201)


def test_tools_are_all_locked_before_what_is_kept_of_one_as_a_form_lets_go() -> None:
    make_plant()
    form = make_form()
    for name in ("ST-1", "ST-2"):
        load(f"T-{name}", Tool.objects.create(tool_id=name))
        assert_done(api_client().post("/api/check-records", body(False, subject=name)), 201)
    form.on_fail = "NONE"
    form.save()
    with CaptureQueriesContext(connection) as seen:
        settle(form)
    assert {tool.failed_check for tool in Tool.objects.all()} == {""}
    asked = [query["sql"] for query in seen]
    locks = [n for n, sql in enumerate(asked) if "FOR NO KEY UPDATE" in sql and 'FROM "mes_tool"' in sql]
    kept = [n for n, sql in enumerate(asked) if 'FROM "mes_runstationsetup"' in sql]
    assert len(kept) == 1
    assert locks[-1] < kept[0]


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"formCode": "NONE"}, "CHECK_FORM_NOT_FOUND", 404),
        ({"subjectCode": "ST-9"}, "TOOL_NOT_FOUND", 404),
        ({"subjectCode": "SQ-1"}, "CHECK_SUBJECT_MISMATCH", 409),
        ({"values": [{"name": "Clean", "valueBoolean": True}]}, "REQUIRED_DATA_MISSING", None),
        ({"values": [{"name": "Clean", "valueNumber": 1}, {"name": "Tension", "valueNumber": 1}]}, None, None),
        ({"values": [{"name": "Colour", "valueText": "red"}]}, "DATA_SPEC_NOT_FOUND", None),
        ({"values": [{"name": "Clean"}]}, "VALIDATION_ERROR", 400),
        ({"values": [{"name": "Clean", "valueBoolean": True}] * 2}, "VALIDATION_ERROR", 400),
        ({"at": (NOW + timedelta(hours=1)).isoformat()}, "EVENT_TIME_IN_FUTURE", 422),
    ],
)
def test_what_cannot_be_a_record_leaves_nothing(change: dict[str, Any], code: str | None, status: int | None) -> None:
    make_form(tool_kind="STENCIL")
    Tool.objects.create(tool_id="ST-1")
    Tool.objects.create(tool_id="SQ-1", kind="SQUEEGEE")
    answer = api_client().post("/api/check-records", {**body(), **change})
    assert answer.json()["error"]["code"] == (code or "DATA_TYPE_MISMATCH"), answer.content
    assert status in (None, answer.status_code)
    assert not CheckRecord.objects.exists()


def test_what_is_due() -> None:
    make_plant()
    bind_stencil(uses=100)
    make_form(every_uses=50)
    make_form(code="HOURS", every_hours=8, fields=[FIELDS[0]])
    make_form(code="STORE", subject_type="STORE", subject_codes=["FRIDGE"], every_shift=True, on_fail="NONE")
    make_form(code="ASKED", fields=[FIELDS[0]])
    assert due() == [
        ("HOURS", "ST-1", "NEVER"), ("STENCIL_CLEAN", "ST-1", "NEVER"), ("STORE", "FRIDGE", "NEVER"),
        ("ASKED", "ST-1", "OK"),
    ]  # fmt: skip
    client = api_client()
    assert_done(client.post("/api/check-records", body()), 201)
    clean = [{"name": "Clean", "valueBoolean": True}]
    old = ago(hours=9).isoformat()
    assert_done(
        client.post("/api/check-records", {"formCode": "HOURS", "subjectCode": "ST-1", "values": clean, "at": old}), 201
    )
    assert ("STENCIL_CLEAN", "ST-1", "OK") in due()
    assert ("HOURS", "ST-1", "DUE") in due()
    Tool.objects.update(uses=150)
    assert ("STENCIL_CLEAN", "ST-1", "DUE") in due()
    assert_done(client.post("/api/check-records", body(False)), 201)
    assert ("STENCIL_CLEAN", "ST-1", "FAILED") in due()


def test_due_takes_as_many_statements_for_many_things() -> None:
    make_plant()
    make_form(subject_type="STATION", on_fail="NONE", every_hours=1)
    client = api_client()
    line = Line.objects.get(code="SMT-A")

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert_done(client.get("/api/check-records/due?lineCode=SMT-A"))
        return len(seen)

    asked()
    few = asked()
    Station.objects.bulk_create(Station(code=f"X-{n}", name="x", line=line) for n in range(30))
    assert asked() == few


def test_a_preparation_asks_for_a_check_that_passed() -> None:
    plant = make_plant()
    bind_stencil()
    form = make_form()
    Line.objects.filter(pk=plant.line.pk).update(readiness_checks=["PREP_STENCIL"])
    client = api_client()
    policy = {
        "code": "PREP_STENCIL", "name": "Stencil checked", "lineCode": "SMT-A", "confirmMode": "AUTO",
        "dataSource": "RECORD", "formCode": form.code, "maxAgeMinutes": 60,
    }  # fmt: skip
    made = assert_done(client.post("/api/prep-policies", policy), 201)
    assert "by a check that passed: Stencil" in made["sentence"]
    bad = {**policy, "code": "PREP_X", "formCode": None}
    assert_refused(client.post("/api/prep-policies", bad), "VALIDATION_ERROR", 400)
    assert PrepPolicy.objects.count() == 1

    def found() -> list[str]:
        answer = assert_done(client.post(f"/api/runs/{plant.run.run_no}/readiness/precheck", {}), 201)
        return [item["code"] for item in answer["items"] if item["itemType"] == "PREP_STENCIL"]

    assert found() == ["PREP_RECORD_STALE"]
    assert_done(client.post("/api/check-records", body(False)), 201)
    assert found() == ["PREP_RECORD_FAILED"]
    assert_done(client.post("/api/check-records", body(True)), 201)
    assert found() in ([""], [None])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"fields": []}, ""),
        ({"fields": [{"name": "x", "dataType": "JSON"}]}, "0.dataType"),
        ({"fields": [{"name": "x"}, {"name": "x"}]}, "1.name"),
        ({"fields": [{"name": "x", "dataType": "NUMBER", "limits": {"lsl": 2, "usl": 1}}]}, "0.limits.usl"),
        ({"fields": [{"name": "x", "limits": {"lsl": 2}}]}, "0.limits.lsl"),
        ({"fields": [{"name": "x", "colour": 1}]}, "0.colour"),
        ({"everyHours": 1, "everyUses": 2}, None),
        ({"subjectType": "LINE", "onFail": "BLOCK"}, None),
        ({"subjectType": "STORE"}, None),
    ],
)
def test_forms_that_could_never_be_filled_in(change: dict[str, Any], place: str | None) -> None:
    form = {"code": "F", "name": "F", "subjectType": "TOOL", "fields": FIELDS, **change}
    details = assert_refused(api_client(Role.ENGINEER).post("/api/check-forms", form), "VALIDATION_ERROR", 400)
    assert place is None or str(details["fields"]).startswith(place), details
    assert not CheckForm.objects.filter(code="F").exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e16, True, "1"])
def test_limits_are_finite_numbers_though_no_parser_looked(number: Any) -> None:
    problems = find_field_problems([{"name": "x", "dataType": "NUMBER", "limits": {"lsl": number}}])
    assert problems.keys() == {"0.limits.lsl"}


def test_the_presets_are_there_and_off() -> None:
    forms = CheckForm.objects.filter(is_active=False)
    assert {form.code for form in forms} == {
        "STENCIL", "SQUEEGEE", "FIXTURE", "OVEN", "COLD_STORE", "CHANGEOVER", "DAILY",
    }  # fmt: skip
    assert all(not find_field_problems(form.fields) for form in forms)


def test_the_pages_with_a_scanner() -> None:
    make_plant()
    bind_stencil()
    form = make_form(every_uses=50)
    page = Client()
    page.force_login(make_user(Role.OPERATOR))
    assert "Never done" in page.get("/checks/?line=SMT-A").content.decode()
    found = page.get("/checks/?line=SMT-A&subject=ST-1")
    assert found["Location"] == f"/checks/fill/{form.pk}/ST-1/"
    assert "Tension" in page.get(found["Location"]).content.decode()
    record = f"/checks/record/{form.pk}/ST-1/"
    page.post(record, {"value1": "yes", "value2": "12,5"})
    assert Tool.objects.get().failed_check == "STENCIL_CLEAN"
    page.post(record, {"value1": "yes"})
    assert "act-record" in page.get(found["Location"]).content.decode()
    assert CheckRecord.objects.count() == 1
    page.post(record, {"value1": "yes", "value2": "35"})
    assert Tool.objects.get().failed_check == ""
    assert page.get("/checks/?line=NOWHERE").status_code == 404
    assert page.get("/lists/check-records/").status_code == 200
