"""A board decides about a run that its outgoing inspection holds: release, scrap or rework, and nothing else."""

import pytest

from execution.models import FirstArticle, OqcInspection
from mes.platform.accounts.roles import GRANTS, Capability, Role
from mes.platform.signatures.models import Signature
from mes.production.decision_models import UnitMove
from mes.production.hold_models import HeldUnit
from mes.production.models import Run, RunStatus, Unit
from mes.readiness.models import PrepConfirmation, PrepPolicy
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig
from tests.execution.oqc.support import inspect, make_lot, make_plant, make_rule
from tests.execution.support import assert_done, assert_refused, decide, nothing_written, track_in
from tests.factories import Plant, api_client
from tests.platform.signatures.test_signing import given, make_person, session

ADDRESS = "/api/runs/LOT/mrb-decision"


@pytest.fixture
def plant(db: None) -> Plant:
    plant = make_plant()
    make_rule()
    return plant


def fail_lot(plant: Plant, run_no: str = "LOT", *, units: int = 3) -> Run:
    """A lot whose first unit is nonconforming, and whose last one a person holds as well."""
    run, client = make_lot(plant, run_no, units=units), api_client()
    assert inspect(client, run, bad=1)["status"] == "FAILED"
    assert_done(decide(client, "hold", f"{run_no}-{units}", reason="scratch"))
    return run


def states() -> list[tuple[str, str, str]]:
    return list(Unit.objects.filter(sn__startswith="LOT").order_by("sn").values_list("sn", "status", "held_from"))


def test_what_is_no_decision_is_refused(plant, monkeypatch):
    client = api_client("QUALITY")
    make_lot(plant, "LOT", units=1)
    why = {"decision": "RELEASE", "reason": "looked at all"}
    assert_refused(client.post(ADDRESS, why), "INVALID_TRANSITION")
    assert_done(api_client().post("/api/runs/LOT/hold", {"reason": "by hand"}))
    assert_refused(client.post(ADDRESS, why), "INVALID_TRANSITION")  # held by a person alone
    assert_refused(client.post("/api/runs/NO-1/mrb-decision", why), "RUN_NOT_FOUND", 404)
    assert_refused(api_client("SUPERVISOR").post(ADDRESS, why), "PERMISSION_DENIED", 403)
    for wrong in (
        {"reason": "abc"}, {"reason": "   "}, {"decision": "KEEP"}, {"decision": "REWORK"}, {"reworkType": "FULL_PREP"},
        {"faiWaiver": True, "faiWaiverReason": "same oven"}, {"faiWaiverReason": "same oven"},
        {"decision": "REWORK", "reworkType": "FULL_PREP", "faiWaiver": True, "faiWaiverReason": "same oven"},
        {"decision": "REWORK", "reworkType": "REUSE_PREP", "faiWaiver": True},
    ):  # fmt: skip
        with nothing_written():
            assert_refused(client.post(ADDRESS, why | wrong), "VALIDATION_ERROR", 400)
    monkeypatch.setitem(GRANTS, Role.QUALITY, GRANTS[Role.QUALITY] - {Capability.WAIVE})
    waived = {"decision": "REWORK", "reworkType": "REUSE_PREP", "faiWaiver": True, "faiWaiverReason": "same oven"}
    details = assert_refused(api_client("QUALITY").post(ADDRESS, why | waived), "VALIDATION_ERROR", 400)
    assert list(details) == ["faiWaiver"]


def test_a_release_ends_the_cases_of_the_inspection_alone(plant):
    run = fail_lot(plant)
    quinn = session(make_person("quinn"))
    why = {"decision": "RELEASE", "reason": "customer accepts"}
    with nothing_written():
        assert_refused(quinn.post(ADDRESS, why, "application/json"), "SIGNATURE_REQUIRED")
    answer = assert_done(quinn.post(ADDRESS, why | {"signature": given()}, "application/json"))
    assert (answer["run"]["status"], answer["reworkRun"], answer["refusal"]) == ("COMPLETED", None, None)
    assert states() == [("LOT-1", "DONE", ""), ("LOT-2", "DONE", ""), ("LOT-3", "ON_HOLD", "DONE")]
    assert HeldUnit.objects.get(ended_at=None).hold.source == "PERSON"
    signature = Signature.objects.get()
    shown = assert_done(quinn.get(f"/api/signatures/{signature.pk}"))
    assert (shown["recordType"], shown["intact"], shown["unchanged"]) == ("MRB", True, True)
    assert '"reason":"customer accepts"' in signature.document
    assert_refused(quinn.post(ADDRESS, why | {"signature": given()}, "application/json"), "INVALID_TRANSITION")
    run.refresh_from_db()
    assert run.holds.filter(ended_at=None).count() == 0


def test_a_scrap_takes_all_units(plant):
    fail_lot(plant)
    answer = assert_done(api_client().post(ADDRESS, {"decision": "SCRAP", "reason": "wrong alloy"}))
    assert answer["run"]["status"] == "SCRAPPED"
    assert {status for _sn, status, _from in states()} == {"SCRAPPED"}
    assert not HeldUnit.objects.filter(ended_at=None).exists()


def test_units_go_into_a_rework_run_that_is_prepared_anew(plant):
    run, client = fail_lot(plant, units=4), api_client()
    assert_done(decide(client, "scrap", "LOT-2"))
    answer = assert_done(client.post(ADDRESS, {"decision": "REWORK", "reason": "touch up", "reworkType": "FULL_PREP"}))
    told = answer["reworkRun"]
    assert (answer["run"]["status"], answer["refusal"]) == ("CLOSED_REWORK", None)
    assert (told["runNo"], told["kind"], told["status"], told["planQty"]) == ("LOT-R1", "REWORK", "PREP", 3)
    assert told["routeVersion"] == answer["run"]["routeVersion"]
    moved = Unit.objects.filter(run__run_no="LOT-R1").order_by("sn")
    assert list(moved.values_list("sn", "status", "held_from", "current_step_no")) == [
        ("LOT-1", "QUEUED", "", 10), ("LOT-3", "QUEUED", "", 10), ("LOT-4", "ON_HOLD", "QUEUED", 10),
    ]  # fmt: skip
    moves = UnitMove.objects.filter(from_run=run)
    assert set(moves.values_list("act", "counted_as")) == {("RETURN", "DONE")} and moves.count() == 3
    counts = assert_done(client.get("/api/runs/LOT"))["unitCounts"]
    assert (counts["DONE"], counts["SCRAPPED"]) == (3, 1)  # they count where they were made
    # Its lot is inspected by the same rule, and is none of the switching's.
    Unit.objects.filter(sn__startswith="LOT").exclude(status="SCRAPPED").update(
        status="DONE", held_from="", hold_reason=""
    )
    Run.objects.filter(run_no="LOT-R1").update(status=RunStatus.IN_PROGRESS)
    again = Run.objects.get(run_no="LOT-R1")
    assert inspect(client, again, bad=1)["status"] == "FAILED"
    answer = assert_done(client.post("/api/runs/LOT-R1/mrb-decision", {"decision": "SCRAP", "reason": "no more"}))
    assert answer["run"]["status"] == "SCRAPPED"


def test_a_rework_run_that_reuses_preparations_asks_the_gate_at_once(plant):
    PrepPolicy.objects.create(code="PREP_FIXTURE", name="Fixture", line=plant.line)
    RouteExecutionConfig.objects.filter(step_no=10).update(requires_fai=True)
    plant.version, _changed = compile_route(code=plant.routing.code)
    client = api_client()
    for number, waiver in enumerate(({}, {"faiWaiver": True, "faiWaiverReason": "same oven, same day"})):
        run_no = f"LOT{number}"
        run = fail_lot(plant, run_no)
        PrepConfirmation.objects.create(run=run, code="PREP_FIXTURE", source="MANUAL", confirmed_by="pete")
        body = {"decision": "REWORK", "reason": "touch up", "reworkType": "REUSE_PREP", **waiver}
        answer = assert_done(client.post(f"/api/runs/{run_no}/mrb-decision", body))
        copied = PrepConfirmation.objects.get(run__run_no=f"{run_no}-R1")
        assert (copied.confirmed_by, copied.is_done) == ("pete", True)
        if number == 0:
            assert (answer["reworkRun"]["status"], answer["refusal"]["code"]) == ("PREP", "FAI_NOT_PASSED")
        else:
            assert (answer["reworkRun"]["status"], answer["refusal"]) == ("AUTHORIZED", None)
            assert_done(track_in(client, "SMT-01", f"{run_no}-1", f"{run_no}-R1"), 201)
        assert not FirstArticle.objects.exists()


def test_a_run_that_was_held_before_there_were_inspections_has_a_way_out(plant):
    run = make_lot(plant, "LOT", units=2, last=1)
    Run.objects.filter(pk=run.pk).update(status=RunStatus.ON_HOLD, held_from=RunStatus.IN_PROGRESS)
    run.holds.create(scope="RUN", source="OQC", reason="failed by paper", opened_by="old")
    assert not OqcInspection.objects.exists()
    Unit.objects.filter(sn="LOT-1").update(status="IN_STATION")
    for decided in ({"decision": "RELEASE"}, {"decision": "REWORK", "reworkType": "FULL_PREP"}):
        with nothing_written():
            details = assert_refused(api_client().post(ADDRESS, decided | {"reason": "at once"}), "UNITS_NOT_FINISHED")
        assert (details["count"], details["sns"]) == (1, ["LOT-1"])
    Unit.objects.filter(sn="LOT-1").update(status="DONE")
    answer = assert_done(api_client().post(ADDRESS, {"decision": "RELEASE", "reason": "looked at all"}))
    assert answer["run"]["status"] == "COMPLETED"
