"""Runs held, resumed, closed, reopened and changed: where each act leads, what is refused, what is kept of it."""

from typing import Any

import pytest
from django.utils import timezone

from execution.models import Carrier, CarrierTrack
from mes.plant.models import Line, Station
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import FollowedLine, Notification
from mes.production import holds, run_acts
from mes.production.decision_models import Decision, RunActivation, UnitMove
from mes.production.hold_models import Hold, HoldSource
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, Unit, WorkOrder
from tests.execution.support import assert_done, assert_refused, decide, nothing_written, track_in, track_out
from tests.factories import Plant, api_client, make_line, make_plant, make_user, put_runs

RUN = "/api/runs/RUN-1"
WHY = {"reason": "Smell of smoke"}
GOING = ["PREP", "AUTHORIZED", "IN_PROGRESS"]
ENDED = [status for status in RunStatus if status not in OPEN_RUN_STATUSES]


@pytest.fixture
def admin(db: None) -> Any:
    return api_client()


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


def act(client: Any, name: str, **body: Any) -> Any:
    return client.post(f"{RUN}/{name}", {**WHY, **body})


def change(client: Any, **body: Any) -> Any:
    return client.patch(RUN, {**WHY, **body})


def the_run() -> Run:
    return Run.objects.get(run_no="RUN-1")


def last_decision() -> tuple[Any, ...]:
    row = Decision.objects.filter(run__run_no="RUN-1").latest("id")
    return (row.act, row.from_status, row.to_status, row.changes, row.reason)


def done(sn: str) -> None:
    """Have a unit made past every rule, with one track."""
    Unit.objects.filter(sn=sn).update(status="DONE")


# --- hold and resume ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", GOING)
def test_a_held_run_goes_on_where_it_was(plant: Plant, admin: Any, status: str) -> None:
    put_runs(status)
    answer = assert_done(act(admin, "hold"))
    assert (answer["status"], answer["heldFrom"], len(answer["holds"])) == ("ON_HOLD", status, 1)
    assert answer["holds"][0]["reason"] == WHY["reason"]
    assert last_decision() == ("hold", status, "ON_HOLD", {}, WHY["reason"])
    answer = assert_done(admin.post(f"{RUN}/resume", {}))
    assert answer == {"runNo": "RUN-1", "status": status, "heldFrom": None, "holds": []}
    assert last_decision() == ("resume", "ON_HOLD", status, {}, "")
    assert Hold.objects.get().status == "RELEASED"


def test_held_again_nothing_changes(plant: Plant, admin: Any) -> None:
    act(admin, "hold")
    kept = (Hold.objects.get(), Decision.objects.count())
    with nothing_written():
        assert assert_done(act(admin, "hold", reason="Another reason"))["heldFrom"] == "AUTHORIZED"
    assert (Hold.objects.get(), Decision.objects.count()) == kept
    assert Hold.objects.get().reason == WHY["reason"]


def test_a_run_that_two_hold_goes_on_when_both_let_go(plant: Plant, admin: Any) -> None:
    act(admin, "hold")
    opened, is_new = run_acts.hold(run_no="RUN-1", by="oqc", reason="Scratches", source=HoldSource.OQC)
    run = opened.run
    assert run is not None
    assert (is_new, run.held_from) == (True, "AUTHORIZED")
    assert assert_done(act(admin, "resume"))["status"] == "ON_HOLD"
    with nothing_written():
        assert_refused(act(admin, "resume"), "RUN_ON_HOLD")
    assert [each.source for each in holds.list_open(run=run)] == ["OQC"]
    assert run_acts.resume(run_no="RUN-1", by="oqc", source=HoldSource.OQC).status == "AUTHORIZED"


@pytest.mark.parametrize("status", ENDED)
def test_an_ended_run_is_not_held_nor_resumed_nor_closed(plant: Plant, admin: Any, status: str) -> None:
    put_runs(status)
    with nothing_written():
        for name in ("hold", "resume", "close"):
            details = assert_refused(act(admin, name), "INVALID_TRANSITION")
            assert details == {"action": name, "entity": "run", "state": status}
    check = assert_done(admin.get(f"{RUN}/close-check"))
    assert (check["canClose"], check["leadsTo"]) == (False, None)
    assert check["blockers"] == [{"code": "INVALID_TRANSITION", "count": 0, "sns": []}]
    assert not Decision.objects.exists() and not Hold.objects.exists()


@pytest.mark.parametrize("status", GOING)
def test_a_run_that_is_not_held_does_not_resume(plant: Plant, admin: Any, status: str) -> None:
    put_runs(status)
    with nothing_written():
        assert_refused(act(admin, "resume"), "INVALID_TRANSITION")


def test_nothing_enters_a_held_run_and_what_is_in_a_station_leaves_it(plant: Plant, admin: Any) -> None:
    assert_done(track_in(admin), 201)
    act(admin, "hold")
    with nothing_written():
        assert_refused(track_in(admin, sn="SN-2"), "RUN_ON_HOLD")
    assert_done(track_out(admin))
    assert_refused(track_in(admin, "REF-01"), "RUN_ON_HOLD")
    act(admin, "resume")
    assert_done(track_in(admin, "REF-01"), 201)


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"reason": None}])
@pytest.mark.parametrize("name", ["hold", "reopen"])
def test_a_reason_is_needed(plant: Plant, admin: Any, name: str, body: dict[str, Any]) -> None:
    put_runs("CANCELLED" if name == "reopen" else "PREP")
    with nothing_written():
        assert "reason" in assert_refused(admin.post(f"{RUN}/{name}", body), "VALIDATION_ERROR", 400)


def test_followers_of_the_line_are_told_once(plant: Plant, admin: Any) -> None:
    here, elsewhere = make_user(Role.SUPERVISOR), make_user(Role.SUPERVISOR)
    FollowedLine.objects.create(user=here, line=plant.line)
    FollowedLine.objects.create(user=elsewhere, line=make_line("SMT-B"))
    act(admin, "hold")
    act(admin, "hold")
    assert list(Notification.objects.values_list("recipient", flat=True)) == [here.pk]
    assert WHY["reason"] in Notification.objects.get().text


# --- close ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", OPEN_RUN_STATUSES)
def test_a_run_without_a_track_is_cancelled(plant: Plant, admin: Any, status: str) -> None:
    put_runs(status)
    assert assert_done(admin.get(f"{RUN}/close-check"))["leadsTo"] == "CANCELLED"
    answer = assert_done(act(admin, "close"))
    assert answer == {"runNo": "RUN-1", "status": "CANCELLED", "notMade": ["SN-1", "SN-2"]}
    assert last_decision()[:3] == ("close", status, "CANCELLED")
    assert (the_run().ended_at is not None, the_run().held_from) == (True, "")
    moves = list(UnitMove.objects.order_by("unit").values_list("act", "from_run", "to_run", "counted_as", "reason"))
    assert moves == [("NOT_MADE", plant.run.pk, None, "", WHY["reason"])] * 2


@pytest.mark.parametrize("status", OPEN_RUN_STATUSES)
def test_a_run_with_a_track_is_completed(plant: Plant, admin: Any, status: str) -> None:
    track_in(admin)
    decide(admin, "scrap")
    put_runs(status)
    assert assert_done(admin.get(f"{RUN}/close-check"))["leadsTo"] == "COMPLETED"
    assert assert_done(act(admin, "close"))["status"] == "COMPLETED"


def test_the_pass_of_a_carrier_counts_as_well(plant: Plant, admin: Any) -> None:
    carrier, station = Carrier.objects.create(carrier_no="C-1"), Station.objects.get(code="SMT-01")
    CarrierTrack.objects.create(
        carrier=carrier, run=plant.run, station=station, step_no=10, operation_code="PRINT", in_at=timezone.now()
    )
    assert assert_done(act(admin, "close"))["status"] == "COMPLETED"


def test_what_closing_refuses_the_check_tells(plant: Plant, admin: Any) -> None:
    track_in(admin)
    run_acts.hold(run_no="RUN-1", by="oqc", reason="Scratches", source=HoldSource.OQC)
    with nothing_written():
        check = assert_done(admin.get(f"{RUN}/close-check"))
        assert check == {
            "canClose": False,
            "leadsTo": "COMPLETED",
            "isShort": True,
            "blockers": [
                {"code": "RUN_ON_HOLD", "count": 0, "sns": []},
                {"code": "UNITS_NOT_FINISHED", "count": 1, "sns": ["SN-1"]},
            ],
        }
        assert_refused(act(admin, "close"), "RUN_ON_HOLD")
    run_acts.resume(run_no="RUN-1", by="oqc", source=HoldSource.OQC)
    with nothing_written():
        assert assert_refused(act(admin, "close"), "UNITS_NOT_FINISHED") == {"count": 1, "sns": ["SN-1"]}


def test_a_run_that_a_person_holds_is_closed_and_held_no_more(plant: Plant, admin: Any) -> None:
    act(admin, "hold")
    assert assert_done(act(admin, "close"))["status"] == "CANCELLED"
    assert Hold.objects.get().status == "RELEASED"


def test_only_a_short_close_needs_a_reason(db: None, admin: Any) -> None:
    make_plant(plan_qty=2)
    track_in(admin)
    done("SN-1")
    with nothing_written():
        assert "reason" in assert_refused(admin.post(f"{RUN}/close", {}), "VALIDATION_ERROR", 400)
    track_in(admin, sn="SN-2")
    done("SN-2")
    assert assert_done(admin.get(f"{RUN}/close-check"))["isShort"] is False
    assert_done(admin.post(f"{RUN}/close", {}))


def test_its_end_cancels_a_first_article_that_is_not_finished(plant: Plant, admin: Any) -> None:
    for status in ("FAILED", "INSPECTING"):
        plant.run.first_articles.create(sample_qty=1, created_by="x", status=status)
    act(admin, "close")
    failed, ended = plant.run.first_articles.order_by("id")
    assert (failed.status, ended.status, ended.decision_remark) == ("FAILED", "CANCELLED", WHY["reason"])
    assert ended.completed_at is not None


def test_its_end_ends_that_it_is_active(plant: Plant, admin: Any) -> None:
    RunActivation.objects.create(line=plant.line, run=plant.run, active_from=timezone.now(), set_by="ann")
    act(admin, "close")
    assert RunActivation.objects.get().active_to is not None


# --- reopen ---------------------------------------------------------------------------------------------------


def test_a_completed_run_is_in_progress_again_with_its_order(db: None, admin: Any) -> None:
    make_plant(units=1, plan_qty=1, order_qty=1)
    track_in(admin)
    done("SN-1")
    act(admin, "close")
    assert WorkOrder.objects.get().status == "COMPLETED"
    answer = assert_done(act(admin, "reopen"))
    assert (answer["status"], answer["endedAt"]) == ("IN_PROGRESS", None)
    assert WorkOrder.objects.get().status == "IN_PROGRESS"
    assert last_decision() == ("reopen", "COMPLETED", "IN_PROGRESS", {}, WHY["reason"])
    order = Decision.objects.filter(work_order__isnull=False).order_by("id")
    assert [(row.act, row.to_status) for row in order] == [("complete", "COMPLETED"), ("reopen", "IN_PROGRESS")]


def test_a_cancelled_run_is_in_preparation_again(plant: Plant, admin: Any) -> None:
    act(admin, "close")
    answer = assert_done(act(admin, "reopen", planQty=7))
    assert (answer["status"], answer["planQty"], answer["authorizedAt"]) == ("PREP", 7, None)
    assert last_decision()[3] == {"planQty": [100, 7]}
    assert Unit.objects.filter(run=None).count() == 2


@pytest.mark.parametrize("status", ["PREP", "AUTHORIZED", "IN_PROGRESS", "ON_HOLD", "CLOSED_REWORK", "SCRAPPED"])
def test_what_is_open_or_was_decided_about_is_not_reopened(plant: Plant, admin: Any, status: str) -> None:
    put_runs(status)
    with nothing_written():
        assert_refused(act(admin, "reopen"), "INVALID_TRANSITION")


def test_a_run_is_reopened_only_where_its_plan_fits(db: None, admin: Any) -> None:
    make_plant(plan_qty=60, order_qty=100)
    act(admin, "close")
    other = {"lineCode": "SMT-A", "planQty": 50}
    assert_done(admin.post("/api/work-orders/WO-RUN-1/runs", other), 201)
    with nothing_written():
        details = assert_refused(act(admin, "reopen"), "ORDER_QTY_EXCEEDED")
    assert details == {"order": "WO-RUN-1", "allowed": 100, "committed": 50, "count": 60}
    assert_done(act(admin, "reopen", planQty=50))


def test_a_run_is_not_reopened_for_fewer_than_it_has(plant: Plant, admin: Any) -> None:
    track_in(admin)
    done("SN-1")
    done("SN-2")
    act(admin, "close")
    with nothing_written():
        assert assert_refused(act(admin, "reopen", planQty=1), "RUN_QTY_TOO_LOW")["count"] == 2


def test_a_run_of_a_cancelled_order_waits_for_its_order(plant: Plant, admin: Any) -> None:
    assert_done(admin.post("/api/work-orders/WO-RUN-1/cancel", WHY))
    with nothing_written():
        assert assert_refused(act(admin, "reopen"), "INVALID_TRANSITION")["entity"] == "work order"
    assert_done(admin.post("/api/work-orders/WO-RUN-1/reopen", WHY))
    assert_done(act(admin, "reopen"))


# --- change ---------------------------------------------------------------------------------------------------


def test_a_run_may_change_whole_until_it_begins(plant: Plant, admin: Any) -> None:
    make_line("SMT-B", shifts=[{"code": "LATE", "start": "14:00", "end": "22:00"}])
    RunActivation.objects.create(line=plant.line, run=plant.run, active_from=timezone.now(), set_by="ann")
    answer = assert_done(change(admin, planQty=50, lineCode="SMT-B", shiftCode="LATE", kind="ENGINEERING"))
    assert (answer["planQty"], answer["lineCode"], answer["shiftCode"]) == (50, "SMT-B", "LATE")
    assert (answer["kind"], answer["status"], answer["authorizedAt"]) == ("ENGINEERING", "PREP", None)
    assert last_decision() == (
        "change",
        "AUTHORIZED",
        "PREP",
        {
            "lineCode": ["SMT-A", "SMT-B"],
            "shiftCode": ["", "LATE"],
            "kind": ["PRODUCTION", "ENGINEERING"],
            "planQty": [100, 50],
        },
        WHY["reason"],
    )
    assert RunActivation.objects.get().active_to is not None


def test_a_held_run_falls_back_behind_its_hold(plant: Plant, admin: Any) -> None:
    make_line("SMT-B")
    act(admin, "hold")
    answer = assert_done(change(admin, lineCode="SMT-B"))
    assert (answer["status"], answer["heldFrom"]) == ("ON_HOLD", "PREP")
    assert assert_done(act(admin, "resume"))["status"] == "PREP"


def test_what_is_as_it_should_be_changes_nothing(plant: Plant, admin: Any) -> None:
    with nothing_written():
        same = {"planQty": 100, "lineCode": "SMT-A", "shiftCode": None, "kind": "PRODUCTION", "routeVersionNo": 1}
        assert assert_done(change(admin, **same))["status"] == "AUTHORIZED"
        assert_done(change(admin))
    assert not Decision.objects.exists()


@pytest.mark.parametrize("wanted", [{"lineCode": "SMT-B"}, {"kind": "REWORK"}])
def test_line_and_kind_stay_from_the_first_track(plant: Plant, admin: Any, wanted: dict[str, Any]) -> None:
    make_line("SMT-B")
    track_in(admin)
    with nothing_written():
        assert_refused(change(admin, **wanted), "RUN_STARTED")
    assert_done(change(admin, planQty=99))


def test_the_line_stays_from_its_first_article_and_the_kind_does_not(plant: Plant, admin: Any) -> None:
    make_line("SMT-B")
    plant.run.first_articles.create(sample_qty=1, created_by="x", started_at=timezone.now())
    with nothing_written():
        assert_refused(change(admin, lineCode="SMT-B"), "RUN_STARTED")
    assert_done(change(admin, kind="REWORK"))


@pytest.mark.parametrize("status", ENDED)
def test_an_ended_run_is_not_changed(plant: Plant, admin: Any, status: str) -> None:
    put_runs(status)
    with nothing_written():
        assert_refused(change(admin, planQty=5), "RUN_CLOSED")


def test_a_plan_holds_its_units_and_its_order_its_plans(db: None, admin: Any) -> None:
    make_plant(plan_qty=60, order_qty=100)
    decide(admin, "scrap", sn="SN-2")
    with nothing_written():
        details = assert_refused(change(admin, planQty=101), "ORDER_QTY_EXCEEDED")
        assert (details["committed"], details["count"]) == (60, 41)
        assert_refused(change(admin, planQty=0), "VALIDATION_ERROR", 400)
    assert assert_done(change(admin, planQty=100))["planQty"] == 100
    assert assert_done(change(admin, planQty=1))["planQty"] == 1
    Unit.objects.create(sn="X", run=the_run(), work_order=the_run().work_order, current_step_no=10)
    change(admin, planQty=2)
    with nothing_written():
        assert assert_refused(change(admin, planQty=1), "RUN_QTY_TOO_LOW")["count"] == 2


def test_a_kind_that_uses_the_order_up_must_fit(db: None, admin: Any) -> None:
    make_plant(plan_qty=60, order_qty=100)
    body = {"lineCode": "SMT-A", "planQty": 500, "kind": "ENGINEERING", "runNo": "ENG"}
    assert assert_done(admin.post("/api/work-orders/WO-RUN-1/runs", body), 201)["kind"] == "ENGINEERING"
    with nothing_written():
        assert_refused(admin.patch("/api/runs/ENG", {**WHY, "kind": "PRODUCTION"}), "ORDER_QTY_EXCEEDED")
    assert_done(admin.patch("/api/runs/ENG", {**WHY, "kind": "PRODUCTION", "planQty": 40}))


@pytest.mark.parametrize(
    ("wanted", "code", "status"),
    [
        ({"lineCode": "NO"}, "LINE_NOT_FOUND", 404),
        ({"routeVersionNo": 9}, "ROUTE_VERSION_NOT_FOUND", 404),
        ({"kind": "HOBBY"}, "VALIDATION_ERROR", 400),
        ({"shiftCode": "NIGHT"}, "VALIDATION_ERROR", 400),
    ],
)
def test_what_does_not_exist_is_refused(plant: Plant, admin: Any, wanted: Any, code: str, status: int) -> None:
    Line.objects.update(shifts=[{"code": "LATE", "start": "14:00", "end": "22:00"}])
    with nothing_written():
        assert_refused(change(admin, **wanted), code, status)


def test_an_engineer_gives_a_version_and_nothing_else(plant: Plant) -> None:
    engineer = api_client(Role.ENGINEER)
    assert_done(change(engineer, routeVersionNo=1))
    with nothing_written():
        assert_refused(change(engineer, routeVersionNo=1, planQty=5), "PERMISSION_DENIED", 403)


# --- reads ----------------------------------------------------------------------------------------------------


def test_units_and_history_are_listed(plant: Plant, admin: Any) -> None:
    decide(admin, "hold", sn="SN-2")
    page = assert_done(admin.get(f"{RUN}/units?status=ON_HOLD"))
    assert [(row["sn"], row["stepNo"], row["heldFrom"]) for row in page["items"]] == [("SN-2", 10, "QUEUED")]
    assert len(assert_done(admin.get(f"{RUN}/units"))["items"]) == 2
    act(admin, "hold")
    act(admin, "resume")
    items = assert_done(admin.get(f"{RUN}/history?pageSize=1"))
    assert (items["items"][0]["act"], items["next"] is not None) == ("resume", True)
    row = assert_done(admin.get(f"{RUN}/history"))["items"][1]
    assert row.pop("at").endswith("Z")
    assert row.pop("by")
    assert row == {
        "act": "hold",
        "fromStatus": "AUTHORIZED",
        "toStatus": "ON_HOLD",
        "changes": {},
        "reason": WHY["reason"],
        "approvedBy": "",
    }


@pytest.mark.parametrize("address", [f"{RUN}/units?state=DONE", f"{RUN}/history?status=x", f"{RUN}/units?status=X"])
def test_what_a_list_does_not_know_is_refused(plant: Plant, admin: Any, address: str) -> None:
    assert_refused(admin.get(address), "VALIDATION_ERROR", 400)
