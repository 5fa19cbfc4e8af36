"""A scrap is undone: one asks, another approves, and the unit is held from what it was scrapped from."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from execution.models import Defect, Disposition
from mes.production.decision_models import Approval, UnitMove
from mes.production.models import Run, RunStatus, Unit
from mes.production.queries import count_units
from tests.execution.transfers.support import (
    asking,
    make_done,
    make_passed,
    make_two_runs,
    make_version,
    nothing_changes,
    refused,
)
from tests.factories import Plant, api_client, make_run, make_user, put_runs
from tests.integration.helpers import track_in

SN = "SN-1"


@pytest.fixture
def plant(db: None) -> Plant:
    return make_two_runs()[0]


def scrap(sn: str = SN) -> None:
    assert asking.client.post(f"/api/units/{sn}/scrap", {"reason": "cracked"}).status_code == 200


def scrap_as_before() -> None:
    """Scrap it as earlier releases did: the decision does not say what a held unit was held from."""
    unit = Unit.objects.get(sn=SN)
    told = {"action": "SCRAP", "from_status": unit.status, "to_status": "SCRAPPED", "reason": "cracked"}
    Disposition.objects.create(unit=unit, run=unit.run, decided_by="ann", **told)
    unit.tracks.filter(out_at=None).update(out_at=timezone.now(), result="FAIL")
    Unit.objects.filter(pk=unit.pk).update(status="SCRAPPED", held_from="")


def ask(sn: str = SN, **body: Any) -> Any:
    return asking.client.post(f"/api/units/{sn}/unscrap", {"reason": "wrong board", **body})


def approve(role: str = "QUALITY") -> Any:
    approval = Approval.objects.latest("id")
    return api_client(role).post(f"/api/approvals/{approval.pk}/approve", {})


def undo(**body: Any) -> Unit:
    answer = ask(**body)
    assert answer.status_code == 202, answer.json()
    assert answer.json()["data"] == {"approvalId": str(Approval.objects.latest("id").pk)}
    answer = approve()
    assert answer.status_code == 200, answer.json()
    return Unit.objects.get(sn=SN)


def put(status: str) -> None:
    """Have the unit in a status, as it comes there."""
    if status.startswith("ON_HOLD"):
        put(status.partition(" ")[2])
        assert asking.client.post(f"/api/units/{SN}/hold", {"reason": "look"}).status_code == 200
    elif status == "IN_STATION":
        track_in(asking.client, "SMT-01", SN)
    elif status == "OUT_FAILED":
        make_passed(SN, 10, result="FAIL")
        Unit.objects.filter(sn=SN).update(status=status)
    elif status == "DONE":
        make_done(SN)


@pytest.mark.parametrize(
    ("status", "held_from"),
    [
        ("QUEUED", "QUEUED"),
        ("IN_STATION", "QUEUED"),
        ("OUT_FAILED", "OUT_FAILED"),
        ("DONE", "DONE"),
        ("ON_HOLD QUEUED", "QUEUED"),
        ("ON_HOLD IN_STATION", "QUEUED"),
        ("ON_HOLD DONE", "DONE"),
        ("ON_HOLD OUT_FAILED", "OUT_FAILED"),
    ],
)
@pytest.mark.parametrize("release", ["this", "before"])
def test_it_is_held_from_what_it_was_scrapped_from(plant: Plant, status: str, held_from: str, release: str) -> None:
    put(status)
    step_no = Unit.objects.get(sn=SN).current_step_no
    scrap() if release == "this" else scrap_as_before()
    unit = undo()
    assert (unit.status, unit.held_from, unit.current_step_no) == ("ON_HOLD", held_from, step_no)
    assert (unit.hold_reason, unit.scrap_reason) == ("wrong board", "")
    kept = Disposition.objects.latest("id")
    assert (kept.action, kept.from_status, kept.to_status) == ("UNSCRAP", "SCRAPPED", "ON_HOLD")
    assert kept.decided_by != kept.approved_by and kept.approved_by
    assert asking.client.post(f"/api/units/{SN}/release", {"reason": "fine"}).json()["data"]["status"] == held_from


def test_a_unit_that_was_not_begun_stands_where_its_route_begins_now(plant: Plant) -> None:
    scrap()
    version = make_version((5, "CLEAN"), (10, "PRINT"))
    Run.objects.filter(run_no="RUN-1").update(route_version=version)  # scrapped units stay behind when that is taken
    assert undo().current_step_no == 5


def test_what_was_wrong_with_it_is_so_still(plant: Plant) -> None:
    path = "/api/defects"
    assert asking.client.post(path, {"unitSn": SN, "code": "OPEN"}).status_code == 201
    scrap()
    assert asking.client.post(path, {"unitSn": SN, "code": "BRIDGE"}).status_code == 201
    assert set(Defect.objects.values_list("status", flat=True)) == {"SCRAPPED"}
    undo()
    assert set(Defect.objects.values_list("status", "settled_by", "settled_at")) == {("OPEN", "", None)}


def test_whoever_asked_does_not_approve(plant: Plant) -> None:
    scrap()
    ask()
    approval = Approval.objects.get()
    with nothing_changes():
        answer = asking.client.post(f"/api/approvals/{approval.pk}/approve", {})
        assert refused(answer) == (409, "APPROVER_IS_REQUESTER")


@pytest.mark.parametrize(("role", "status"), [("OPERATOR", 403), ("QUALITY", 403), ("SUPERVISOR", 202)])
def test_a_supervisor_asks(plant: Plant, role: str, status: int) -> None:
    scrap()
    assert api_client(role).post(f"/api/units/{SN}/unscrap", {"reason": "wrong board"}).status_code == status


def test_a_unit_that_stays_in_its_run_stays_at_its_step(plant: Plant) -> None:
    scrap()
    with nothing_changes():
        assert refused(ask(toStepNo=10)) == (400, "VALIDATION_ERROR")


def test_only_a_scrap_is_undone(plant: Plant) -> None:
    with nothing_changes():
        assert refused(ask()) == (409, "INVALID_TRANSITION")
        assert refused(ask("SN-404")) == (404, "UNIT_NOT_FOUND")


def test_an_open_run_needs_room_for_it_when_asked_and_when_approved(plant: Plant) -> None:
    scrap()
    Run.objects.filter(run_no="RUN-1").update(plan_qty=3)
    assert ask().status_code == 202
    Run.objects.filter(run_no="RUN-1").update(plan_qty=2)
    client = api_client("QUALITY")
    with nothing_changes():
        answer = client.post(f"/api/approvals/{Approval.objects.get().pk}/approve", {})
        assert refused(answer) == (409, "RUN_QTY_EXCEEDED")
    Approval.objects.all().delete()
    with nothing_changes():
        assert refused(ask()) == (409, "RUN_QTY_EXCEEDED")
        assert refused(ask(toRunNo="RUN-2")) == (400, "VALIDATION_ERROR")  # its own run is open


def test_in_an_ended_run_a_finished_unit_stays(plant: Plant) -> None:
    make_done(SN)
    scrap()
    put_runs(RunStatus.COMPLETED, run_no="RUN-1")
    with nothing_changes():
        assert refused(ask(toRunNo="RUN-2")) == (400, "VALIDATION_ERROR")
    unit = undo()
    assert (unit.run_id, unit.held_from) == (plant.run.pk, "DONE")
    assert not UnitMove.objects.exists()


def test_of_an_ended_run_another_goes_on_elsewhere_and_counts_there_as_scrapped(plant: Plant) -> None:
    make_passed(SN, 10)
    scrap()
    put_runs(RunStatus.COMPLETED, run_no="RUN-1")
    with nothing_changes():
        assert refused(ask()) == (409, "RUN_CLOSED")
        assert refused(ask(toRunNo="RUN-1")) == (409, "RUN_CLOSED")
        assert refused(ask(toRunNo="RUN-9")) == (404, "RUN_NOT_FOUND")
    unit = undo(toRunNo="RUN-2")
    target = Run.objects.get(run_no="RUN-2")
    assert (unit.run_id, unit.work_order_id) == (target.pk, target.work_order_id)
    assert (unit.status, unit.held_from, unit.current_step_no) == ("ON_HOLD", "QUEUED", 20)
    kept = UnitMove.objects.get()
    assert (kept.act, kept.status, kept.counted_as, kept.to_run_id) == ("MOVE", "SCRAPPED", "SCRAPPED", target.pk)
    assert kept.ended_at == Disposition.objects.get(action="SCRAP").decided_at
    counts = count_units([plant.run, target])
    assert (counts[plant.run.pk]["SCRAPPED"], counts[target.pk]["ON_HOLD"]) == (1, 1)


def test_the_other_run_takes_it_by_the_rules_of_a_move(plant: Plant) -> None:
    make_passed(SN, 10)
    scrap()
    put_runs(RunStatus.COMPLETED, run_no="RUN-1")
    make_run(make_version((10, "PRINT"), (15, "AOI"), (20, "REFLOW")), plant.line, run_no="RUN-3")
    make_run(make_version((10, "PRINT"), code="ROUTE-3", product_code="BOARD-2"), plant.line, run_no="RUN-4")
    Run.objects.filter(run_no="RUN-2").update(plan_qty=1)
    Unit.objects.filter(sn="SN-2").update(run=Run.objects.get(run_no="RUN-2"))
    with nothing_changes():
        assert refused(ask(toRunNo="RUN-2")) == (409, "RUN_QTY_EXCEEDED")
        assert refused(ask(toRunNo="RUN-3")) == (422, "STEP_REQUIRED")
        assert refused(ask(toRunNo="RUN-3", toStepNo=20)) == (409, "STEP_MISMATCH")
        assert refused(ask(toRunNo="RUN-4")) == (409, "PRODUCT_MISMATCH")
    assert undo(toRunNo="RUN-3", toStepNo=15).current_step_no == 15


def test_what_a_review_board_scrapped_stays_so(plant: Plant) -> None:
    scrap()
    put_runs(RunStatus.SCRAPPED, run_no="RUN-1")
    with nothing_changes():
        assert refused(ask(toRunNo="RUN-2")) == (409, "INVALID_TRANSITION")


def test_the_unit_and_its_page_tell_who_undid_it(plant: Plant) -> None:
    scrap()
    undo()
    told = asking.client.get(f"/api/trace/units/{SN}").json()["data"]["dispositions"][-1]
    assert (told["action"], told["reason"]) == ("UNSCRAP", "wrong board")
    assert told["approvedBy"]
    client = Client()
    client.force_login(make_user("SUPERVISOR"))
    page = client.get(f"/trace/units/{SN}/").content.decode()
    assert "Scrap undone" in page and "approved by" in page
