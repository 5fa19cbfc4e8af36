"""A lot is drawn, stands still, is inspected, and is decided as its items say."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from execution import labels
from execution.models import Defect, OqcInspection, SamplingRule, SamplingState
from execution.quality.oqc import drawing, sampling
from execution.quality.oqc.signed_document import describe
from mes.platform.accounts.roles import Role
from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from mes.production.hold_models import HeldUnit
from mes.production.models import Run, Unit, WorkOrder
from tests.execution.oqc.support import act, draw, inspect, make_lot, make_plant, make_rule, pass_last
from tests.execution.support import assert_done, assert_refused, decide, nothing_written, track_in
from tests.factories import Plant, api_client, make_user


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


def work_off() -> None:
    """Handle the events that wait; in the transaction of a test none would be due yet."""
    MesEvent.objects.filter(status="PENDING").update(next_attempt_at=timezone.now() - timedelta(hours=1))
    processor.process_due()


def status_of(run: Run) -> tuple[str, bool]:
    run.refresh_from_db()
    return run.status, run.is_in_oqc


def test_the_most_specific_rule_counts(plant):
    run, client = make_lot(plant, "LOT", units=5), api_client()
    assert_refused(client.post("/api/oqc/run/NONE", {}), "RUN_NOT_FOUND", 404)
    rules = [
        {"code": "ALL", "scheme": "ALL", "priority": 9},
        {"code": "LINE", "scheme": "FIXED", "n": 1, "line": plant.line, "priority": 5},
        {"code": "ROUTE", "scheme": "FIXED", "n": 2, "routing": plant.routing},
        {"code": "BOTH", "scheme": "FIXED", "n": 3, "routing": plant.routing, "line": plant.line},
        {"code": "PRODUCT", "scheme": "PERCENT", "percent": 70, "product_code": plant.order.product_code},
        {"code": "LATER", "scheme": "FIXED", "n": 5, "product_code": plant.order.product_code},
        {"code": "FIRST", "scheme": "FIXED", "n": 3, "product_code": plant.order.product_code, "priority": 1},
        {"code": "OFF", "scheme": "ALL", "product_code": plant.order.product_code, "priority": 2, "is_active": False},
        {"code": "OTHER", "scheme": "ALL", "product_code": "OTHER", "priority": 2},
    ]
    expected = [("ALL", 5), ("LINE", 1), ("ROUTE", 2), ("BOTH", 3), ("PRODUCT", 4), ("LATER", 5)]
    expected += [("FIRST", 3)] * 3
    for rule, (code, size) in zip(rules, expected, strict=True):
        make_rule(**rule)
        inspection = draw(client, run)
        assert (inspection["ruleCode"], inspection["sampleQty"], len(inspection["sampleSns"])) == (code, size, size)
        assert_done(act(client, inspection, "cancel", reason="another rule"))


def test_a_lot_is_drawn_by_itself_with_its_last_unit(plant):
    make_rule(scheme="FIXED", n=1)
    run, client = make_lot(plant, "LOT", units=3, last=2), api_client()
    pass_last(client, run, "LOT-2")
    work_off()
    assert not OqcInspection.objects.exists()  # not after each
    pass_last(client, run, "LOT-3")
    work_off()
    inspection = OqcInspection.objects.get()
    assert (inspection.lot_size, inspection.sample_qty, status_of(run)) == (3, 1, ("IN_PROGRESS", True))
    drawing.sweep()
    assert OqcInspection.objects.count() == 1  # no second one
    assert_refused(client.post("/api/oqc/run/LOT", {}), "INVALID_TRANSITION")


def test_a_lot_whose_last_unit_is_scrapped_or_that_was_cancelled_is_swept(plant):
    make_rule()
    run, client = make_lot(plant, "LOT", units=3, last=1), api_client()
    drawing.sweep()
    assert not OqcInspection.objects.exists()
    assert_done(decide(client, "scrap", "LOT-3"))
    drawing.sweep()
    inspection = OqcInspection.objects.get()
    assert (inspection.lot_size, inspection.sample_qty) == (2, 2)
    assert_done(act(client, {"id": inspection.pk}, "cancel", reason="touch-up first"))
    assert status_of(run) == ("IN_PROGRESS", False)
    drawing.sweep()
    assert OqcInspection.objects.count() == 1  # a person gave it up
    assert_done(decide(client, "rework", "LOT-1", toStepNo=30))
    assert_refused(client.post("/api/oqc/run/LOT", {}), "UNITS_NOT_FINISHED")
    pass_last(client, run, "LOT-1")
    work_off()
    assert OqcInspection.objects.count() == 2


def test_a_lot_stands_still_until_it_is_decided(plant):
    make_rule()
    run, client = make_lot(plant, "LOT", units=2), api_client()
    make_lot(plant, "OTHER", units=2, last=1)
    inspection = draw(client, run)
    calls = [
        lambda: client.post("/api/runs/LOT/units", {"sns": ["NEW-1"]}),
        lambda: track_in(client, "SMT-01", "NEW-1", "LOT"),
        lambda: client.post("/api/runs/OTHER/units/move", {"sns": ["OTHER-2"], "toRunNo": "LOT", "reason": "late"}),
        lambda: client.post("/api/runs/LOT/units/move", {"sns": ["LOT-2"], "toRunNo": "OTHER", "reason": "late"}),
        lambda: client.post("/api/runs/LOT/units/move", {"sns": ["LOT-2"], "toRunNo": None, "reason": "late"}),
        lambda: client.post("/api/runs/LOT/units/return", {"sns": ["LOT-2"], "reason": "late"}),
        lambda: client.post("/api/runs/LOT/split", {"planQty": 1, "reason": "late"}),
        lambda: decide(client, "rework", "LOT-1", toStepNo=30),
    ]
    for call in calls:
        with nothing_written():
            assert_refused(call(), "RUN_IN_OQC")
    assert_refused(client.post("/api/runs/LOT/close", {}), "OQC_REQUIRED")
    assert_done(act(client, inspection, "cancel", reason="late"))
    assert_refused(
        client.post("/api/runs/LOT/split", {"planQty": 1, "sns": ["LOT-2"], "reason": "late"}), "UNITS_NOT_MOVABLE"
    )


def test_a_decision_is_what_the_items_say(plant):
    make_rule(items=[{"itemName": "Joints"}, {"itemName": "Label", "itemSpec": "straight"}])
    run, client = make_lot(plant, "LOT", units=2), api_client()
    inspection = draw(client, run)
    assert_refused(
        act(client, inspection, "items", unitSn="LOT-1", itemName="Joints", result="PASS"), "INVALID_TRANSITION"
    )
    assert_done(act(client, inspection, "start"))
    SamplingRule.objects.update(items=[])  # frozen

    def record(sn: str, name: str, result: str) -> None:
        assert_done(act(client, inspection, "items", unitSn=sn, itemName=name, result=result), 201)

    with nothing_written():
        assert_refused(
            act(client, inspection, "items", unitSn="UNKNOWN-1", itemName="Label", result="PASS"), "UNIT_NOT_FOUND", 404
        )
        assert_refused(
            act(client, inspection, "items", unitSn="SN-1", itemName="Label", result="PASS"), "UNIT_NOT_IN_SAMPLE"
        )
        assert_refused(act(client, inspection, "items", unitSn="LOT-1", itemName="Label"), "VALIDATION_ERROR", 400)
    for sn, name in [("LOT-1", "Joints"), ("LOT-1", "Label"), ("LOT-2", "Joints")]:
        record(sn, name, "PASS")
    for decision in (None, "PASS", "FAIL"):
        details = assert_refused(act(client, inspection, "complete", decision=decision), "OQC_ITEMS_OPEN")
        assert details["items"] == ["LOT-2: Label"]
    record("LOT-2", "Label", "FAIL")
    assert_refused(act(client, inspection, "complete", decision="PASS"), "OQC_DECISION_CONTRADICTS")
    record("LOT-2", "Label", "PASS")  # looked at again: the latest counts
    assert_refused(act(client, inspection, "complete", decision="FAIL"), "OQC_DECISION_CONTRADICTS")
    done = assert_done(act(client, inspection, "complete"))
    assert (done["status"], done["nonconforming"], done["signed"]) == ("PASSED", 0, False)
    assert status_of(run) == ("IN_PROGRESS", False)
    assert_refused(act(client, inspection, "complete"), "INVALID_TRANSITION")
    decided = OqcInspection.objects.get()
    document = describe(decided)
    labels.relabel(sn="LOT-1", new_sn="NEW-1", reason="label lost", by="sue")
    assert describe(decided) == document and document["sampleSns"] == ["LOT-1", "LOT-2"]
    assert assert_done(client.get("/api/runs/LOT/close-check"))["canClose"] is True
    assert_done(client.post("/api/runs/LOT/close", {}))


def test_nonconforming_units_are_held_in_one_case_and_a_lot_that_failed_holds_its_run(plant):
    make_rule(scheme="ISO2859", level="II", aql="10")
    client = api_client()
    run = make_lot(plant, "GOOD", units=8)
    done = inspect(client, run, bad=1)
    assert (done["sampleQty"], done["ac"], done["status"], done["nonconforming"]) == (5, 1, "PASSED", 1)
    [held] = HeldUnit.objects.select_related("hold", "unit")
    assert (held.unit.status, held.hold.source, status_of(run)) == ("ON_HOLD", "OQC", ("IN_PROGRESS", False))
    looking = Client()
    looking.force_login(make_user(Role.OPERATOR))
    page = looking.get(f"/oqc/{done['id']}/").content.decode()
    assert [page.count(f"?unit={sn}#unit") for sn in done["sampleSns"]] == [1] * 5  # what each was seen to be
    assert "Inspected, conforming" in page and "Not inspected" not in page
    assert re.search(r'class="state tone-bad">.{,99}</svg>Look</span>.{,200}On hold', page)  # what failed on it
    [defect] = Defect.objects.all()
    assert (defect.unit_id, defect.source, defect.code, defect.remark) == (held.unit_id, "OQC", "UNSPECIFIED", "Look")
    run = make_lot(plant, "BAD", units=8)
    done = inspect(client, run, bad=2, decision="FAIL")
    assert (done["status"], done["nonconforming"], status_of(run)) == ("FAILED", 2, ("ON_HOLD", False))
    assert Unit.objects.filter(run=run, status="ON_HOLD").count() == 2
    assert HeldUnit.objects.values("hold").distinct().count() == 2
    assert_refused(client.post("/api/runs/BAD/close", {}), "RUN_ON_HOLD")
    assert_refused(client.post("/api/runs/BAD/resume", {"reason": "no"}), "RUN_ON_HOLD")
    assert_refused(client.post("/api/oqc/run/BAD", {}), "RUN_ON_HOLD")


def test_a_run_is_closed_only_with_all_that_was_done_inspected(plant):
    run, client = make_lot(plant, "LOT", units=2, last=1), api_client()
    assert_done(decide(client, "scrap", "LOT-2"))
    rule = make_rule(scheme="NONE")
    assert assert_done(client.get("/api/runs/LOT/close-check"))["canClose"] is True
    rule.scheme = "ALL"
    rule.save()
    [blocker] = assert_done(client.get("/api/runs/LOT/close-check"))["blockers"]
    assert blocker["code"] == "OQC_REQUIRED"
    with nothing_written():
        assert_refused(client.post("/api/runs/LOT/close", {"reason": "short"}), "OQC_REQUIRED")
    assert inspect(client, run)["status"] == "PASSED"
    assert_done(client.post("/api/runs/LOT/units", {"sns": ["LOT-3"]}), 201)
    Unit.objects.filter(sn="LOT-3").update(current_step_no=30)
    pass_last(client, run, "LOT-3")
    assert "1 unit(s)" in client.post("/api/runs/LOT/close", {"reason": "short"}).json()["error"]["message"]
    assert_done(decide(client, "rework", "LOT-1", toStepNo=30))
    pass_last(client, run, "LOT-1")
    assert inspect(client, run)["lotSize"] == 2
    assert_done(client.post("/api/runs/LOT/close", {"reason": "short"}))


def test_what_was_found_bad_leaves_neither_by_giving_up_nor_by_closing(plant):
    run, client = make_lot(plant, "LOT", units=2), api_client()
    inspection = draw(client, run)  # by hand: no rule asks for it
    assert_done(act(client, inspection, "start"))
    assert_done(act(client, inspection, "items", unitSn="LOT-1", itemName="Look", result="FAIL", location="X1"), 201)
    with nothing_written():
        assert_refused(client.post("/api/runs/LOT/close", {}), "OQC_REQUIRED")
    assert_done(act(client, inspection, "cancel", reason="another sample"))
    assert status_of(run) == ("IN_PROGRESS", False)
    [held] = HeldUnit.objects.select_related("hold", "unit")
    assert (held.unit.sn, held.unit.status, held.hold.source) == ("LOT-1", "ON_HOLD", "OQC")
    assert (Defect.objects.get().location, OqcInspection.objects.get().hold) == ("X1", held.hold)
    assert_refused(client.post("/api/oqc/run/LOT", {}), "UNITS_NOT_FINISHED")


def test_five_lots_not_accepted_while_tightened_discontinue_sampling(plant):
    make_rule(scheme="ISO2859", level="II", aql="1.0")
    client, quality = api_client(), api_client("QUALITY")

    def state() -> tuple[str, int]:
        [shown] = assert_done(client.get("/api/oqc/sampling-states"))["items"]
        return shown["state"], shown["notAccepted"]

    for number in range(7):
        done = inspect(client, make_lot(plant, f"LOT-{number}", units=1), bad=1)
        assert (done["status"], done["state"]) == ("FAILED", "NORMAL" if number < 2 else "TIGHTENED")
    assert state() == ("DISCONTINUED", 5)
    run = make_lot(plant, "NEXT", units=1)
    assert_refused(client.post("/api/oqc/run/NEXT", {}), "SAMPLING_DISCONTINUED")
    drawing.sweep()
    assert status_of(run) == ("IN_PROGRESS", False)
    [shown] = assert_done(client.get("/api/oqc/sampling-states", {"state": "DISCONTINUED"}))["items"]
    address = f"/api/oqc/sampling-states/{shown['id']}/resume"
    assert_refused(quality.post(address, {}), "VALIDATION_ERROR", 400)
    assert assert_done(quality.post(address, {"reason": "oven mended"}))["state"] == "TIGHTENED"
    assert_refused(quality.post(address, {"reason": "oven mended"}), "INVALID_TRANSITION")
    drawing.sweep()
    assert OqcInspection.objects.get(run=run).state == "TIGHTENED"


def test_only_original_lots_switch_and_reduced_inspection_ends_where_it_is_not_allowed(plant):
    make_rule(scheme="ISO2859", level="II", aql="10")
    run, client = make_lot(plant, "LOT", units=8), api_client()
    assert_refused(client.post("/api/oqc/run/LOT", {"sampleQty": 1}), "VALIDATION_ERROR", 400)  # the rule says
    again = make_lot(plant, "AGAIN", units=8)
    Run.objects.filter(pk=again.pk).update(kind="REWORK")
    for lot in (run, run, again):  # inspected a second time, and one that comes back
        assert inspect(client, lot)["status"] == "PASSED"
        assert SamplingState.objects.get().score == 2
    SamplingState.objects.update(state="REDUCED")
    assert (draw(client, make_lot(plant, "NEXT", units=8))["state"], SamplingState.objects.get().score) == ("NORMAL", 0)
    Run.objects.filter(pk=again.pk).update(status="COMPLETED")
    assert_refused(client.post("/api/oqc/run/AGAIN", {}), "RUN_CLOSED")


def test_numbers_are_judged_and_what_failed_is_a_defect(plant):
    make_rule(items=[{"itemName": "Voltage", "lsl": 3.2, "usl": 3.4, "unit": "V"}])
    run, client = make_lot(plant, "LOT", units=1), api_client()
    inspection = draw(client, run)
    assert_done(act(client, inspection, "start"))
    told = {"unitSn": "LOT-1", "itemName": "Voltage"}
    assert_refused(act(client, inspection, "items", **told, result="PASS"), "VALIDATION_ERROR", 400)
    assert_refused(
        act(client, inspection, "items", **told, actualNumber=3, defectCode="NO-SUCH"), "DEFECT_CODE_NOT_FOUND", 422
    )
    item = assert_done(act(client, inspection, "items", **told, actualNumber=3.4, result="FAIL"), 201)
    assert (item["result"], item["claimedResult"], item["itemSpec"]) == ("PASS", "FAIL", "3.2 … 3.4 V")
    item = assert_done(act(client, inspection, "items", **told, actualNumber=3.41, result="PASS"), 201)
    assert (item["result"], item["claimedResult"]) == ("FAIL", "PASS")
    assert assert_done(act(client, inspection, "complete"))["status"] == "FAILED"
    [defect] = Defect.objects.all()
    assert (defect.code, defect.remark, defect.step_no) == ("OUT_OF_LIMITS", "Voltage · 3.41 V", 30)


def test_lots_of_several_products_are_drawn_in_one_order_whichever_runs_came_first(plant, monkeypatch):
    """A draw keeps locked where sampling of its product stands until all are drawn: crosswise, two would deadlock."""
    for product in "AB":
        make_rule(code=product, scheme="ISO2859", level="I", aql="1.0", product_code=product)
    locked: list[str] = []
    lock = sampling.lock_for_lot
    monkeypatch.setattr(sampling, "lock_for_lot", lambda rule, product: locked.append(product) or lock(rule, product))
    for order in ("AB", "BA"):
        made = [make_lot(plant, f"LOT-{order}-{product}") for product in order]
        for run in made:
            WorkOrder.objects.filter(pk=run.work_order_id).update(product_code=run.run_no[-1])
        drawing.draw_where_made([MesEvent(run_id=run.pk, created_at=timezone.now()) for run in made])
    assert locked == ["A", "B", "A", "B"]
