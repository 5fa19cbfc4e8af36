"""Prep policies where they are typed: over HTTP, in the admin site, and what the database holds."""

import pytest
from django.db import IntegrityError, transaction

from mes.plant.models import Line
from mes.readiness.models import PrepPolicy
from tests.execution.support import assert_done, assert_refused
from tests.factories import make_plant, make_user
from tests.forms import state_of
from tests.readiness.support import add_policy, make_unready_plant

DEVICE = {
    "code": "PREP_OVEN",
    "name": "Oven",
    "lineCode": "SMT-A",
    "gate": "HARD",
    "confirmMode": "AUTO",
    "dataSource": "DEVICE",
    "deviceSpec": {"operationCode": "REFLOW", "specName": "Peak Temperature"},
    "maxAgeMinutes": 60,
}


def test_a_policy_is_created_read_changed_and_deleted(engineer):
    make_plant()
    made = assert_done(engineer.post("/api/prep-policies", DEVICE), 201)
    address = f"/api/prep-policies/{made['id']}"
    assert assert_done(engineer.get(address)) == made
    assert {name: made[name] for name in DEVICE} == DEVICE
    assert (made["routeCode"], made["expectedText"], made["isActive"]) == (None, None, True)
    changed = assert_done(engineer.patch(address, {"maxAgeMinutes": 5, "isActive": False}))
    assert (changed["maxAgeMinutes"], changed["isActive"], changed["deviceSpec"]) == (5, False, DEVICE["deviceSpec"])
    assert_refused(engineer.patch(address, {"code": "PREP_X"}), "VALIDATION_ERROR", 400)
    assert_done(engineer.delete(address))
    assert_refused(engineer.get(address), "PREP_POLICY_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "FEEDERS"}, "code"),
        ({"code": "PREP_feeders"}, "code"),
        ({"confirmMode": "AUTO", "dataSource": "MANUAL", "deviceSpec": None, "maxAgeMinutes": None}, "confirmMode"),
        ({"deviceSpec": None}, "deviceSpec"),
        ({"deviceSpec": {"operationCode": "REFLOW", "specName": "No such"}}, "deviceSpec.specName"),
        ({"deviceSpec": {"operationCode": "REFLOW"}}, "deviceSpec.specName"),
        ({"maxAgeMinutes": None}, "maxAgeMinutes"),
        ({"maxAgeMinutes": 0}, "maxAgeMinutes"),
        ({"dataSource": "SYSTEM"}, "deviceSpec"),
        ({"gate": "MEDIUM"}, "gate"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_could_never_confirm_is_refused_at_its_field(engineer, change, field):
    make_plant()
    details = assert_refused(engineer.post("/api/prep-policies", {**DEVICE, **change}), "VALIDATION_ERROR", 400)
    assert field in details
    assert PrepPolicy.objects.count() == 0


@pytest.mark.parametrize("change", [{"lineCode": None}, {"routeCode": "ROUTE-1"}])
def test_a_policy_is_of_a_line_or_of_a_route(engineer, change):
    make_plant()
    assert_refused(engineer.post("/api/prep-policies", {**DEVICE, **change}), "VALIDATION_ERROR", 400)


def test_a_line_has_a_policy_of_a_code_once(engineer):
    make_plant()
    assert_done(engineer.post("/api/prep-policies", DEVICE), 201)
    assert_refused(engineer.post("/api/prep-policies", DEVICE), "VALIDATION_ERROR", 400)


def test_only_engineers_keep_policies(supervisor):
    make_plant()
    assert_refused(supervisor.post("/api/prep-policies", DEVICE), "PERMISSION_DENIED", 403)


@pytest.mark.parametrize(
    "fields",
    [
        {"confirm_mode": "AUTO"},
        {"data_source": "DEVICE"},
        {"expected_text": "x"},
        {"line": None},
    ],
)
def test_the_database_holds_the_rules_too(engineer, fields):
    make_plant()
    line = Line.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        PrepPolicy.objects.create(**{"code": "PREP_X", "name": "X", "line": line, **fields})


# --- the admin site -----------------------------------------------------------------------------------------


def test_a_line_s_checks_are_choices_and_keep_the_preparations(db, client):
    make_unready_plant("ROUTE", "PREP_FEEDERS")
    client.force_login(make_user("ENGINEER"))
    address = f"/admin/mes/line/{Line.objects.get().pk}/change/"
    page = client.get(address).content.decode()
    assert 'type="checkbox" name="enabled_checks" value="STENCIL"' in page
    body = {"name": "A", "process_type": "SMT", "shifts": "[]", "enabled_checks": ["STENCIL", "SOLDER_PASTE"]}
    body |= {"material_control": "OFF", "low_units": 20}
    body |= state_of(Line.objects.get())
    assert client.post(address, {**body, "preparations": "PREP_FEEDERS, PREP_KIT"}).status_code == 302
    assert Line.objects.get().readiness_checks == ["STENCIL", "SOLDER_PASTE", "PREP_FEEDERS", "PREP_KIT"]
    refused = client.post(address, {**body, **state_of(Line.objects.get()), "preparations": "feeders"})
    assert refused.status_code == 200
    assert Line.objects.get().readiness_checks[-1] == "PREP_KIT"


def test_a_line_may_take_the_checks_of_its_process(db, client):
    make_unready_plant()
    client.force_login(make_user("ENGINEER"))
    line = Line.objects.get()
    body = {"action": "take_preset", "_selected_action": [line.pk]}
    assert client.post("/admin/mes/line/", body, follow=True).status_code == 200
    line.refresh_from_db()
    assert line.readiness_checks[:2] == ["ROUTE", "EQUIPMENT"]
    assert {"STENCIL", "SOLDER_PASTE"} <= set(line.readiness_checks)


def test_the_admin_refuses_what_could_never_confirm(db, client):
    make_unready_plant()
    client.force_login(make_user("ENGINEER"))
    body = {
        "code": "PREP_X",
        "name": "X",
        "line": Line.objects.get().pk,
        "gate": "HARD",
        "confirm_mode": "AUTO",
        "data_source": "MANUAL",
        "is_active": "on",
    }
    page = client.post("/admin/mes/preppolicy/add/", body)
    assert "AUTO needs the data source SYSTEM, DEVICE or RECORD" in page.content.decode()
    assert client.post("/admin/mes/preppolicy/add/", {**body, "confirm_mode": "MANUAL"}).status_code == 302


def test_checks_are_for_looking(db, client, admin):
    from tests.readiness.support import check

    make_unready_plant("STENCIL")
    add_policy(admin)
    made = check(admin)
    client.force_login(make_user("ENGINEER"))
    for page in ("readinesscheck/", f"readinesscheck/{made['id']}/change/", "readinesswaiver/", "prepconfirmation/"):
        assert client.get(f"/admin/mes/{page}").status_code == 200
    page = client.get(f"/admin/mes/readinesscheck/{made['id']}/change/").content.decode()
    assert "STENCIL_NOT_BOUND" in page
    assert client.post(f"/admin/mes/readinesscheck/{made['id']}/change/", {}).status_code == 403
