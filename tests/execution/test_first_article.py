"""First article inspections, and the sample units that run before their run may."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.production.models import Run, Unit
from mes.readiness.models import ReadinessCheck
from mes.routing import snapshots
from mes.routing.compilation import compile_route
from mes.routing.models import FaiTemplate, RouteExecutionConfig
from tests.execution.support import assert_done, assert_refused, make_run, track_in
from tests.factories import Plant, api_client, make_plant
from tests.readiness.support import authorize, check, codes

HEIGHT, POLARITY = "Paste height", "Polarity of D1"


@pytest.fixture
def inspector(db: None) -> APIClient:
    return api_client(Role.QUALITY)


@pytest.fixture
def signer(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def make_fai_plant(*, template: bool = False, sns: list[str] | None = None) -> Plant:
    """Make a plant with RUN-2 in preparation, whose first step asks for a first article."""
    plant = make_plant(units=0)
    RouteExecutionConfig.objects.filter(routing=plant.routing, step_no=10).update(requires_fai=True)
    if template:
        items = [{"itemName": HEIGHT, "itemSpec": "120 µm"}, {"itemName": POLARITY}]
        plant.routing.fai_template = FaiTemplate.objects.create(code="FAI-1", name="First article", items=items)
        plant.routing.save()
    make_run(plant, run_no="RUN-2", sns=["A", "B", "C"] if sns is None else sns, authorize=False)
    return plant


def create(client: APIClient, sample_qty: int = 1, run_no: str = "RUN-2", **body: Any) -> dict[str, Any]:
    return assert_done(client.post(f"/api/fai/run/{run_no}", {"sampleQty": sample_qty, **body}), 201)


def act(client: APIClient, fai: dict[str, Any], what: str, **body: Any) -> Any:
    return client.post(f"/api/fai/{fai['id']}/{what}", body)


def begin(client: APIClient, sample_qty: int = 1) -> dict[str, Any]:
    """Create and start an inspection."""
    fai = create(client, sample_qty)
    return assert_done(act(client, fai, "start"))


def record(client: APIClient, fai: dict[str, Any], sn: str = "A", name: str = HEIGHT, result: str = "PASS") -> Any:
    return act(client, fai, "items", unitSn=sn, itemName=name, actualValue="118 µm", result=result)


def enter(client: APIClient, sn: str = "A", station: str = "SMT-01") -> Any:
    return track_in(client, station, sn=sn, run_no="RUN-2")


# --- the gate -----------------------------------------------------------------------------------------------


def test_a_run_starts_after_its_first_article_passed_and_was_signed(supervisor, inspector, signer):
    make_fai_plant()
    details = assert_refused(authorize(supervisor, run_no="RUN-2"), "FAI_NOT_PASSED")
    assert details["items"][0]["action"]
    fai = create(inspector)
    assert_refused(authorize(supervisor, run_no="RUN-2"), "FAI_NOT_PASSED")
    assert_done(act(inspector, fai, "start"))
    assert_refused(authorize(supervisor, run_no="RUN-2"), "FAI_NOT_PASSED")
    assert_done(record(inspector, fai), 201)
    done = assert_done(act(inspector, fai, "complete", decision="PASS", remark="fine"))
    assert (done["status"], done["isSigned"], done["decisionRemark"]) == ("PASSED", False, "fine")
    assert_refused(authorize(supervisor, run_no="RUN-2"), "FAI_NOT_SIGNED")
    signed = assert_done(act(signer, fai, "sign"))
    assert (signed["isSigned"], signed["signRemark"]) == (True, "")
    assert assert_done(authorize(supervisor, run_no="RUN-2"))["status"] == "AUTHORIZED"


def test_a_failed_first_article_needs_another(supervisor, inspector, signer):
    make_fai_plant()
    fai = begin(inspector)
    assert_done(record(inspector, fai, result="FAIL"), 201)
    assert assert_done(act(inspector, fai, "complete", decision="FAIL"))["status"] == "FAILED"
    assert_refused(act(signer, fai, "sign"), "INVALID_TRANSITION")
    assert_refused(authorize(supervisor, run_no="RUN-2"), "FAI_NOT_PASSED")
    again = begin(inspector)
    assert_done(act(inspector, again, "complete", decision="PASS"))
    assert_done(act(signer, again, "sign"))
    assert_done(authorize(supervisor, run_no="RUN-2"))


def test_a_route_that_asks_for_none_needs_none(supervisor):
    make_plant(units=0, authorize=False)
    assert_done(authorize(supervisor))
    assert ReadinessCheck.objects.get().items.count() == 0


def test_it_is_an_item_of_every_check_and_cannot_be_waived(supervisor):
    make_fai_plant()
    made = check(supervisor, run_no="RUN-2")
    assert (codes(made), made["items"][0]["itemType"]) == (["FAI_NOT_PASSED"], "FAI")
    address = f"/api/runs/RUN-2/readiness/items/{made['items'][0]['id']}/waive"
    assert_refused(supervisor.post(address, {"reason": "in a hurry"}), "READINESS_ITEM_NOT_WAIVABLE")


def test_what_else_failed_is_told_along(supervisor):
    make_fai_plant()
    Line.objects.update(readiness_checks=["STENCIL"])
    details = assert_refused(authorize(supervisor, run_no="RUN-2"), "READINESS_CHECK_FAILED")
    assert [one["code"] for one in details["items"]] == ["STENCIL_NOT_BOUND", "FAI_NOT_PASSED"]


# --- the inspection -----------------------------------------------------------------------------------------


def test_it_is_read_with_its_items_and_listed(inspector):
    make_fai_plant(template=True)
    fai = begin(inspector)
    assert_done(record(inspector, fai), 201)
    assert_done(act(inspector, fai, "items", unitSn="A", itemName="Looks", itemSpec="clean", result="PASS"), 201)
    shown = assert_done(inspector.get(f"/api/fai/{fai['id']}"))
    assert shown["template"][0] == {"itemName": HEIGHT, "itemSpec": "120 µm"}
    assert [(one["itemName"], one["itemSpec"], one["actualValue"]) for one in shown["items"]] == [
        (HEIGHT, "120 µm", "118 µm"),
        ("Looks", "clean", ""),
    ]
    listed = assert_done(inspector.get("/api/fai", {"runNo": "RUN-2", "status": "INSPECTING"}))
    assert [one["id"] for one in listed["items"]] == [fai["id"]]
    assert assert_done(inspector.get("/api/fai", {"status": "PASSED"}))["items"] == []


def test_a_template_must_be_passed_on_every_sample_unit(inspector):
    make_fai_plant(template=True)
    fai = begin(inspector, sample_qty=2)
    for sn, name in (("A", HEIGHT), ("A", POLARITY), ("B", HEIGHT)):
        assert_done(record(inspector, fai, sn, name), 201)
    details = assert_refused(act(inspector, fai, "complete", decision="PASS"), "FAI_ITEMS_OPEN")
    assert details["items"] == [f"B: {POLARITY}"]
    assert_done(record(inspector, fai, "B", POLARITY, "FAIL"), 201)
    assert_refused(act(inspector, fai, "complete", decision="PASS"), "FAI_ITEMS_OPEN")
    assert_done(record(inspector, fai, "B", POLARITY), 201)  # measured again: the latest counts
    assert_done(act(inspector, fai, "complete", decision="PASS"))


def test_too_few_sample_units_do_not_pass(inspector):
    make_fai_plant(template=True)
    fai = begin(inspector, sample_qty=2)
    for name in (HEIGHT, POLARITY):
        assert_done(record(inspector, fai, "A", name), 201)
    assert_refused(act(inspector, fai, "complete", decision="PASS"), "FAI_ITEMS_OPEN")


def test_without_a_template_only_what_failed_keeps_it_from_passing(inspector):
    make_fai_plant()
    fai = begin(inspector)
    assert_done(record(inspector, fai, result="FAIL"), 201)
    assert_refused(act(inspector, fai, "complete", decision="PASS"), "FAI_ITEMS_OPEN")
    assert_done(record(inspector, fai), 201)
    assert_done(act(inspector, fai, "complete", decision="PASS"))


def test_a_template_changed_later_changes_no_run(inspector):
    make_fai_plant(template=True)
    FaiTemplate.objects.update(items=[{"itemName": "Something else"}])
    fai = begin(inspector)
    assert [one["itemName"] for one in fai["template"]] == [HEIGHT, POLARITY]


def test_each_action_has_its_time(inspector, signer):
    make_fai_plant()
    fai = create(inspector)
    for what, body in (
        ("items", {"unitSn": "A", "itemName": "x", "result": "PASS"}),
        ("complete", {"decision": "PASS"}),
    ):
        assert_refused(act(inspector, fai, what, **body), "INVALID_TRANSITION")
    assert_refused(act(signer, fai, "sign"), "INVALID_TRANSITION")
    assert_done(act(inspector, fai, "start"))
    assert_refused(act(inspector, fai, "start"), "INVALID_TRANSITION")
    assert_done(act(inspector, fai, "complete", decision="PASS"))
    assert_refused(act(inspector, fai, "complete", decision="FAIL"), "INVALID_TRANSITION")
    assert_refused(record(inspector, fai), "INVALID_TRANSITION")
    assert_done(act(signer, fai, "sign"))
    assert_refused(act(signer, fai, "sign"), "INVALID_TRANSITION")


def test_who_inspected_does_not_sign(inspector, signer):
    """Whoever started, recorded or decided took part."""
    make_fai_plant()
    other = api_client(Role.QUALITY)
    fai = create(signer)  # creating is no inspecting
    assert_done(act(inspector, fai, "start"))
    assert_done(record(other, fai), 201)
    assert_done(act(inspector, fai, "complete", decision="PASS"))
    for one in (inspector, other):
        assert_refused(act(one, fai, "sign"), "FAI_SIGNER_IS_INSPECTOR")
    assert_done(act(signer, fai, "sign"))


def test_one_is_open_at_a_time(inspector):
    make_fai_plant()
    create(inspector)
    assert_refused(inspector.post("/api/fai/run/RUN-2", {"sampleQty": 1}), "FAI_OPEN")


def test_what_is_not_there(inspector):
    make_fai_plant()
    assert_refused(inspector.post("/api/fai/run/NO", {"sampleQty": 1}), "RUN_NOT_FOUND", 404)
    for unknown in ("999", "x", "0", "9" * 30):
        assert_refused(inspector.get(f"/api/fai/{unknown}"), "FAI_NOT_FOUND", 404)
        assert_refused(inspector.post(f"/api/fai/{unknown}/start"), "FAI_NOT_FOUND", 404)
    fai = begin(inspector)
    assert_refused(record(inspector, fai, "NOBODY"), "UNIT_NOT_FOUND", 404)
    Unit.objects.filter(sn="A").update(run=Run.objects.get(run_no="RUN-1"))
    assert_refused(record(inspector, fai, "A"), "UNIT_RUN_MISMATCH")


def test_more_samples_than_planned_are_refused(inspector):
    make_fai_plant()
    assert_refused(inspector.post("/api/fai/run/RUN-2", {"sampleQty": 101}), "VALIDATION_ERROR", 400)
    assert_refused(inspector.post("/api/fai/run/RUN-2", {"sampleQty": 0}), "VALIDATION_ERROR", 400)


def test_only_quality_inspects(supervisor, operator):
    make_fai_plant()
    for client in (supervisor, operator):
        assert_refused(client.post("/api/fai/run/RUN-2", {"sampleQty": 1}), "PERMISSION_DENIED", 403)


# --- templates and versions ---------------------------------------------------------------------------------


def test_a_route_without_template_keeps_its_digest(db):
    plant = make_plant(units=0)
    document = snapshots.to_document(snapshots.from_document(plant.version.snapshot))
    assert document == plant.version.snapshot
    assert "faiItems" not in document["route"]
    assert compile_route(code=plant.routing.code)[1] is False


def test_a_template_is_frozen_by_compiling(db):
    engineer = api_client(Role.ENGINEER)
    make_plant(units=0)
    items = [{"itemName": HEIGHT, "itemSpec": "120 µm"}]
    assert_done(engineer.post("/api/fai-templates", {"code": "FAI-1", "name": "x", "items": items}), 201)
    assert_done(engineer.patch("/api/routes/ROUTE-1", {"faiTemplateCode": "FAI-1"}))
    compiled = assert_done(engineer.post("/api/routes/ROUTE-1/compile"))
    assert compiled["changed"] is True
    version = assert_done(engineer.get(f"/api/routes/ROUTE-1/versions/{compiled['versionNo']}"))
    assert version["snapshot"]["route"]["faiItems"] == items
    assert version["drift"] is False
    assert_done(engineer.patch("/api/fai-templates/FAI-1", {"items": [{"itemName": "Other"}]}))
    assert assert_done(engineer.get(f"/api/routes/ROUTE-1/versions/{compiled['versionNo']}"))["drift"] is True
    assert_refused(engineer.delete("/api/fai-templates/FAI-1"), "IN_USE")


@pytest.mark.parametrize(
    "items",
    [
        [],
        "x",
        [1],
        [{}],
        [{"itemName": ""}],
        [{"itemName": " x"}],
        [{"itemName": "x" * 101}],
        [{"itemName": "x"}, {"itemName": "x"}],
        [{"itemName": "x", "itemSpec": 1}],
        [{"itemName": "x", "other": 1}],
        [{"itemName": f"x{number}"} for number in range(201)],
    ],
)
def test_a_template_that_cannot_be_inspected_is_refused(db, items):
    engineer = api_client(Role.ENGINEER)
    answer = engineer.post("/api/fai-templates", {"code": "FAI-1", "name": "x", "items": items})
    assert_refused(answer, "VALIDATION_ERROR", 400)


def test_a_sample_is_named_before_it_runs(inspector):
    make_fai_plant()
    fai = begin(inspector)
    assert assert_done(act(inspector, fai, "samples", unitSn="B"))["sampleSns"] == ["B"]
    assert assert_done(act(inspector, fai, "samples", unitSn="B"))["sampleSns"] == ["B"]
    assert_refused(act(inspector, fai, "samples", unitSn="A"), "FAI_SAMPLES_COMPLETE")
    assert_refused(act(inspector, fai, "samples", unitSn="NOBODY"), "UNIT_NOT_FOUND", 404)
    assert_done(act(inspector, fai, "complete", decision="PASS"))
    assert_refused(act(inspector, fai, "samples", unitSn="B"), "INVALID_TRANSITION")
