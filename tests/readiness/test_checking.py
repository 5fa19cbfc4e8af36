"""Checks that are kept, waivers, and authorizing, which looks afresh."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.line_setup.loads.models import Load
from mes.platform.accounts.roles import Role
from mes.platform.database import retention
from mes.production.models import Run
from mes.readiness.models import ReadinessCheck, ReadinessItem, ReadinessWaiver
from tests.execution.support import assert_done, assert_refused, make_run, nothing_written
from tests.factories import api_client
from tests.readiness.support import (
    add_policy,
    ago,
    authorize,
    bind_lot,
    bind_stencil,
    check,
    codes,
    enable,
    item,
    make_unready_plant,
    waive,
)

# --- making and reading checks ------------------------------------------------------------------------------


def test_a_precheck_decides_nothing(operator):
    make_unready_plant("STENCIL")
    made = check(operator, "precheck")
    assert (made["type"], made["status"], made["runNo"]) == ("PRECHECK", "FAILED", "RUN-1")
    assert Run.objects.get().status == "PREP"


def test_the_latest_of_a_type_and_the_history(admin):
    make_unready_plant("STENCIL")
    pending = assert_done(admin.get("/api/runs/RUN-1/readiness/latest"))
    assert (pending["status"], pending["id"], pending["items"]) == ("PENDING", None, [])
    first, second, third = check(admin), check(admin, "precheck"), check(admin, "precheck")
    latest = "/api/runs/RUN-1/readiness/latest"
    assert assert_done(admin.get(latest))["id"] == third["id"]
    assert assert_done(admin.get(latest, {"type": "FORMAL"}))["id"] == first["id"]
    assert_refused(admin.get(latest, {"type": "OTHER"}), "VALIDATION_ERROR", 400)
    history = assert_done(admin.get("/api/runs/RUN-1/readiness/history"))
    assert [one["id"] for one in history["items"]] == [third["id"], second["id"], first["id"]]
    formal = assert_done(admin.get("/api/runs/RUN-1/readiness/history", {"type": "FORMAL"}))
    assert [one["id"] for one in formal["items"]] == [first["id"]]


def test_what_is_not_there(admin):
    for address in ("latest", "history"):
        assert_refused(admin.get(f"/api/runs/NO/readiness/{address}"), "RUN_NOT_FOUND", 404)
    for address in ("precheck", "check"):
        assert_refused(admin.post(f"/api/runs/NO/readiness/{address}"), "RUN_NOT_FOUND", 404)
    make_unready_plant("STENCIL")
    for unknown in ("0", "999", "x", "9" * 30):
        assert_refused(waive(admin, {"id": unknown}), "READINESS_ITEM_NOT_FOUND", 404)


def test_a_closed_run_is_not_checked(admin):
    make_unready_plant("STENCIL")
    made = check(admin)
    Run.objects.update(status="COMPLETED")
    assert_refused(admin.post("/api/runs/RUN-1/readiness/check"), "RUN_CLOSED")
    assert_refused(waive(admin, made["items"][0]), "RUN_CLOSED")


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.INTEGRATION])
def test_who_may_not_check(db, role):
    make_unready_plant()
    assert_refused(api_client(role).post("/api/runs/RUN-1/readiness/check"), "PERMISSION_DENIED", 403)


@pytest.mark.parametrize(("role", "allowed"), [("SUPERVISOR", True), ("QUALITY", True), ("OPERATOR", False)])
def test_who_may_waive(db, role, allowed):
    make_unready_plant("STENCIL")
    made = check(api_client())
    answer = waive(api_client(role), made["items"][0])
    assert answer.status_code == (200 if allowed else 403)


def test_the_number_of_queries_does_not_depend_on_what_there_is(admin):
    make_unready_plant("ROUTE", "EQUIPMENT", "MATERIAL", "STENCIL", "SOLDER_PASTE")
    check(admin)
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert_done(admin.get("/api/runs/RUN-1/readiness/history"))
    with CaptureQueriesContext(connection) as made_few:
        check(admin)
    for _ in range(5):
        check(admin)
    with CaptureQueriesContext(connection) as many:
        assert_done(admin.get("/api/runs/RUN-1/readiness/history"))
    with CaptureQueriesContext(connection) as made_many:
        check(admin)
    assert len(few) == len(many) <= 5
    assert len(made_few) == len(made_many) <= 22


# --- waiving ------------------------------------------------------------------------------------------------


def test_a_waiver_with_reason_lets_the_run_start(admin, supervisor):
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    bind_lot()
    made = check(admin)
    failed = item(made, "STENCIL_NOT_BOUND")
    waived = assert_done(waive(supervisor, failed, reason="Printed by hand"))
    assert (waived["status"], waived["waiver"]["reason"]) == ("WAIVED", "Printed by hand")
    assert waived["waiver"]["by"].startswith("token:SUPERVISOR")
    assert assert_done(admin.get("/api/runs/RUN-1/readiness/latest"))["status"] == "PASSED"
    assert assert_done(authorize(supervisor))["status"] == "AUTHORIZED"
    latest = assert_done(admin.get("/api/runs/RUN-1/readiness/latest"))
    assert (latest["status"], latest["isAuthorization"]) == ("PASSED", True)
    assert [one["status"] for one in latest["items"]] == ["WAIVED", "PASSED"]


def test_a_waiver_needs_a_reason(admin):
    make_unready_plant("STENCIL")
    made = check(admin)
    assert_refused(waive(admin, made["items"][0], reason=" "), "VALIDATION_ERROR", 400)
    assert ReadinessWaiver.objects.count() == 0


def test_what_is_waived_or_passed_cannot_be_waived(admin):
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    bind_lot()
    made = check(admin)
    assert_done(waive(admin, made["items"][0]))
    for one in made["items"]:
        assert_refused(waive(admin, one), "INVALID_TRANSITION")


def test_an_item_of_another_run_is_not_waived(admin):
    plant = make_unready_plant("STENCIL")
    make_run(plant, run_no="RUN-2", sns=[], authorize=False)
    made = check(admin)
    assert_refused(waive(admin, made["items"][0], run_no="RUN-2"), "READINESS_ITEM_NOT_FOUND", 404)


def test_a_route_and_a_hard_policy_are_never_waived(admin, engineer):
    make_unready_plant("ROUTE")
    plant_station = Run.objects.get().line.stations.get(code="REF-01")
    plant_station.delete()
    add_policy(engineer, gate="HARD")
    made = check(admin)
    assert codes(made) == ["STEP_WITHOUT_STATION", "PREP_NOT_CONFIRMED"]
    for one in made["items"]:
        assert_refused(waive(admin, one), "READINESS_ITEM_NOT_WAIVABLE")


def test_a_waiver_does_not_cover_another_reason_or_another_thing(admin):
    make_unready_plant("STENCIL")
    stencil = bind_stencil(status="NOT_READY")
    assert_done(waive(admin, check(admin)["items"][0]))
    assert check(admin)["status"] == "PASSED"  # carried over: the same item, the same code
    stencil.status, stencil.tension_min = "READY", 30.0
    stencil.save()
    assert codes(check(admin)) == ["STENCIL_TENSION_LOW"]
    assert_refused(authorize(admin), "READINESS_CHECK_FAILED")
    Load.objects.update(ended_at=timezone.now())
    bind_stencil(tool_id="ST-2", status="NOT_READY")
    assert check(admin)["items"][0]["status"] == "FAILED"


def test_a_waiver_does_not_survive_a_policy_that_became_hard(admin, engineer):
    make_unready_plant()
    policy = add_policy(engineer)
    assert_done(waive(admin, check(admin)["items"][0]))
    assert check(admin)["status"] == "PASSED"
    assert_done(engineer.patch(f"/api/prep-policies/{policy['id']}", {"gate": "HARD"}))
    assert check(admin)["status"] == "FAILED"


def test_a_waiver_is_of_its_run_only(admin):
    plant = make_unready_plant("STENCIL")
    make_run(plant, run_no="RUN-2", sns=[], authorize=False)
    assert_done(waive(admin, check(admin)["items"][0]))
    assert check(admin, run_no="RUN-2")["status"] == "FAILED"


# --- authorizing --------------------------------------------------------------------------------------------


def test_a_refusal_lists_every_failed_item_and_keeps_its_check(admin):
    make_unready_plant("STENCIL", "SOLDER_PASTE")
    bind_stencil(status="NOT_READY")
    with nothing_written():
        details = assert_refused(authorize(admin), "READINESS_CHECK_FAILED")
    assert [one["code"] for one in details["items"]] == ["STENCIL_NOT_READY", "SOLDER_PASTE_NOT_BOUND"]
    assert all(one["reason"] and one["action"] for one in details["items"])
    assert details["items"][0]["evidence"]["stencilId"] == "ST-1"
    kept = assert_done(admin.get("/api/runs/RUN-1/readiness/latest", {"type": "FORMAL"}))
    assert (kept["status"], kept["isAuthorization"]) == ("FAILED", True)
    assert codes(kept) == ["STENCIL_NOT_READY", "SOLDER_PASTE_NOT_BOUND"]


def test_the_message_says_what_is_wrong(admin):
    make_unready_plant("STENCIL")
    message = authorize(admin).json()["error"]["message"]
    assert "RUN-1" in message and "No stencil is bound" in message


def test_what_was_true_before_counts_for_nothing(admin):
    make_unready_plant("STENCIL")
    stencil = bind_stencil()
    assert check(admin)["status"] == "PASSED"
    stencil.status = "NOT_READY"
    stencil.save()
    assert_refused(authorize(admin), "READINESS_CHECK_FAILED")
    assert Run.objects.get().status == "PREP"
    stencil.status = "READY"
    stencil.save()
    assert_done(authorize(admin))


def test_a_revoked_run_is_checked_again(admin):
    make_unready_plant("STENCIL")
    stencil = bind_stencil()
    assert_done(authorize(admin))
    stencil.status = "NOT_READY"
    stencil.save()
    assert assert_done(authorize(admin, "REVOKE"))["status"] == "PREP"
    assert_refused(authorize(admin), "READINESS_CHECK_FAILED")


def test_nothing_is_checked_or_kept_for_what_may_not_be_authorized(admin):
    make_unready_plant("STENCIL")
    Run.objects.update(status="COMPLETED")
    assert_refused(authorize(admin), "INVALID_TRANSITION")
    assert ReadinessCheck.objects.count() == 0


def test_a_line_that_asks_for_nothing_is_ready(admin):
    make_unready_plant()
    assert_done(authorize(admin))
    kept = ReadinessCheck.objects.get()
    assert (kept.status, kept.kind, kept.items.count()) == ("PASSED", "FORMAL", 0)


# --- exceptions ---------------------------------------------------------------------------------------------


def test_exceptions_are_those_of_the_latest_checks_of_open_runs(admin):
    plant = make_unready_plant("STENCIL", "SOLDER_PASTE")
    for number in (2, 3):
        make_run(plant, run_no=f"RUN-{number}", sns=[], authorize=False)
    check(admin)
    made = check(admin)
    assert_done(waive(admin, made["items"][0]))
    check(admin, run_no="RUN-2")
    check(admin, run_no="RUN-3")
    Run.objects.filter(run_no="RUN-3").update(status="COMPLETED")
    page = assert_done(admin.get("/api/readiness/exceptions"))
    assert [(one["runNo"], one["status"]) for one in page["items"]] == [
        ("RUN-2", "FAILED"),
        ("RUN-2", "FAILED"),
        ("RUN-1", "FAILED"),
        ("RUN-1", "WAIVED"),
    ]
    assert page["items"][3]["waiver"]["reason"] == "a reason"
    assert page["items"][0]["lineCode"] == "SMT-A"
    waived = assert_done(admin.get("/api/readiness/exceptions", {"status": "WAIVED", "lineCode": "SMT-A"}))
    assert [one["runNo"] for one in waived["items"]] == ["RUN-1"]


def test_the_queries_of_the_exceptions_are_few(admin):
    plant = make_unready_plant("STENCIL", "SOLDER_PASTE")
    check(admin)
    with CaptureQueriesContext(connection) as few:
        assert_done(admin.get("/api/readiness/exceptions"))
    for number in range(2, 6):
        make_run(plant, run_no=f"RUN-{number}", sns=[], authorize=False)
        check(admin, run_no=f"RUN-{number}")
    with CaptureQueriesContext(connection) as many:
        assert len(assert_done(admin.get("/api/readiness/exceptions"))["items"]) == 10
    assert len(few) == len(many) <= 4


# --- what goes in time --------------------------------------------------------------------------------------


def test_old_checks_go_but_those_that_still_say_something(admin, settings):
    settings.MES_READINESS_RETENTION = timedelta(days=10)
    plant = make_unready_plant("STENCIL")
    make_run(plant, run_no="RUN-2", sns=[], authorize=False)
    check(admin)
    check(admin)
    latest = check(admin, "precheck")
    enable()
    assert_done(authorize(admin, run_no="RUN-2"))
    old = check(admin, run_no="RUN-2")
    fresh = check(admin, run_no="RUN-2")
    authorized = ReadinessCheck.objects.get(is_authorization=True)
    ReadinessCheck.objects.exclude(pk=fresh["id"]).update(checked_at=ago(days=11))
    policy = next(one for one in retention.policies if one.name == "readiness checks")
    going = policy.expired(policy.cutoff(timezone.now()))
    assert going.count() == 3
    assert str(old["id"]) in {str(one.pk) for one in going}
    going.delete()
    kept = {str(pk) for pk in ReadinessCheck.objects.values_list("pk", flat=True)}
    assert kept == {latest["id"], fresh["id"], str(authorized.pk)}
    assert set(ReadinessItem.objects.values_list("check_made__run__run_no", flat=True)) == {"RUN-1"}
