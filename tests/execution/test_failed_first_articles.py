"""A first article that failed: its units are held, and the run's others enter nowhere until another one passed."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Disposition
from mes.platform.accounts.roles import Role
from mes.production.models import Run, Unit
from tests.execution.support import assert_done, assert_refused, nothing_written, put_at, track_in, track_out
from tests.execution.test_first_article import act, begin, make_fai_plant, record
from tests.factories import Plant, api_client, make_plant, put_runs
from tests.ingest.support import make_ingest_plant, printed, push
from tests.trace.test_pages import sign_in


@pytest.fixture
def plant(db: None) -> Plant:
    """A run under way with four units."""
    return make_plant(units=4)


@pytest.fixture
def inspector(db: None) -> APIClient:
    return api_client(Role.QUALITY)


@pytest.fixture
def signer(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def start(client: APIClient, run_no: str = "RUN-1", *, sample: str | None = None) -> dict[str, Any]:
    fai = assert_done(client.post(f"/api/fai/run/{run_no}", {"sampleQty": 2}), 201)
    assert_done(act(client, fai, "start"))
    if sample:
        assert_done(act(client, fai, "samples", unitSn=sample))
    return fai


def decide(client: APIClient, fai: dict[str, Any], decision: str = "FAIL", **body: Any) -> None:
    assert_done(act(client, fai, "complete", decision=decision, **body))


def states() -> dict[str, str]:
    return dict(Unit.objects.order_by("sn").values_list("sn", "status"))


def test_its_samples_and_the_units_it_has_items_of_are_held(plant, inspector):
    fai = start(inspector, sample="SN-1")
    assert_done(record(inspector, fai, sn="SN-2", result="FAIL"), 201)
    decide(inspector, fai, remark="paste too thin")
    assert states() == {"SN-1": "ON_HOLD", "SN-2": "ON_HOLD", "SN-3": "QUEUED", "SN-4": "QUEUED"}
    [first, second] = Disposition.objects.order_by("id")
    assert (first.action, first.reason, first.to_status) == ("HOLD", second.reason, "ON_HOLD")
    assert "first article failed: paste too thin" in first.reason
    assert (first.hold, first.hold.source, first.hold.held_units.count()) == (second.hold, "FAI", 2)
    assert first.decided_by == assert_done(inspector.get(f"/api/fai/{fai['id']}"))["completedBy"]


def test_a_first_article_that_passed_holds_nobody(plant, inspector):
    fai = start(inspector, sample="SN-1")
    assert_done(record(inspector, fai, sn="SN-1"), 201)
    decide(inspector, fai, "PASS")
    assert set(states().values()) == {"QUEUED"}


def test_a_scrapped_sample_stays_scrapped(plant, inspector):
    fai = start(inspector, sample="SN-1")
    Unit.objects.filter(sn="SN-1").update(status="SCRAPPED")
    decide(inspector, fai)
    assert states()["SN-1"] == "SCRAPPED"


def test_no_unit_enters_while_the_latest_that_was_decided_failed(plant, operator, inspector):
    assert_done(track_in(operator, sn="SN-4"), 201)
    decide(inspector, start(inspector, sample="SN-1"))
    with nothing_written():
        details = assert_refused(track_in(operator, sn="SN-3"), "FAI_NOT_PASSED")
    assert details["run"] == "RUN-1"
    assert_done(track_out(operator, sn="SN-4"))  # leaving is a fact
    assert_refused(track_in(operator, "REF-01", sn="SN-4"), "FAI_NOT_PASSED")


def test_it_is_asked_with_the_status_of_the_run(plant, operator, inspector):
    """Before anything of the unit: a scrapped one is told of the first article, too."""
    decide(inspector, start(inspector))
    Unit.objects.filter(sn="SN-3").update(status="SCRAPPED")
    assert_refused(track_in(operator, sn="SN-3"), "FAI_NOT_PASSED")
    put_runs("ON_HOLD")
    assert_refused(track_in(operator, sn="SN-3"), "RUN_ON_HOLD")


def test_a_unit_made_on_the_fly_does_not_enter_either(db, operator, inspector):
    make_plant(units=0)
    decide(inspector, start(inspector))
    with nothing_written():
        assert_refused(track_in(operator, sn="NEW-1"), "FAI_NOT_PASSED")


def test_samples_of_the_next_one_enter_while_it_is_inspecting(plant, operator, inspector):
    decide(inspector, start(inspector))
    start(inspector, sample="SN-2")
    assert_refused(track_in(operator, sn="SN-3"), "FAI_NOT_PASSED")
    assert_done(track_in(operator, sn="SN-2"), 201)
    assert_done(track_out(operator, sn="SN-2"))
    assert_done(track_in(operator, "REF-01", sn="SN-2"), 201)


def test_samples_of_the_one_that_failed_do_not(plant, operator, inspector):
    decide(inspector, start(inspector, sample="SN-1"))
    Unit.objects.filter(sn="SN-1").update(status="QUEUED", held_from="")
    start(inspector, sample="SN-2")
    assert_refused(track_in(operator, sn="SN-1"), "FAI_NOT_PASSED")


def test_one_that_passed_lifts_it_once_it_is_signed(plant, operator, inspector, signer):
    decide(inspector, start(inspector))
    fai = start(inspector, sample="SN-2")
    decide(inspector, fai, "PASS")
    assert_refused(track_in(operator, sn="SN-3"), "FAI_NOT_PASSED")
    assert_done(act(signer, fai, "sign"))
    assert_done(track_in(operator, sn="SN-3"), 201)


def test_one_that_fails_after_one_that_passed_counts(plant, operator, inspector, signer):
    fai = start(inspector)
    decide(inspector, fai, "PASS")
    assert_done(act(signer, fai, "sign"))
    decide(inspector, start(inspector))
    assert_refused(track_in(operator, sn="SN-3"), "FAI_NOT_PASSED")


def test_that_of_another_run_counts_for_that_run(plant, operator, inspector):
    make_plant_run = Run.objects.get()
    other = Run.objects.create(
        run_no="RUN-2",
        work_order=make_plant_run.work_order,
        line=make_plant_run.line,
        route_version=make_plant_run.route_version,
        plan_qty=5,
        status="AUTHORIZED",
    )
    decide(inspector, start(inspector, other.run_no))
    assert_done(track_in(operator, sn="SN-3"), 201)


def test_in_preparation_the_first_to_come_run_for_the_next_one(db, operator, inspector):
    make_fai_plant()
    decide(inspector, begin(inspector))
    begin(inspector)
    assert_done(track_in(operator, sn="B", run_no="RUN-2"), 201)


def test_a_machine_is_refused_too_and_a_failing_report_holds(db, inspector):
    made = make_ingest_plant()
    decide(inspector, start(inspector))
    machine = api_client()
    good, bad = made.sns[:2]
    assert push(machine, printed(good), 409)["code"] == "FAI_NOT_PASSED"
    assert push(machine, printed(bad, result="NG"), 409)["details"]["held"] == [bad]
    assert (states()[good], states()[bad]) == ("QUEUED", "ON_HOLD")


def test_a_held_sample_that_is_put_back_goes_on_when_another_one_passed(plant, operator, supervisor, inspector, signer):
    decide(inspector, start(inspector, sample="SN-1"))
    assert_done(supervisor.post("/api/units/SN-1/release", {"reason": "measured again"}))
    fai = start(inspector, sample="SN-2")
    decide(inspector, fai, "PASS")
    assert_done(act(signer, fai, "sign"))
    put_at(10, "SN-1")
    assert_done(track_in(operator, sn="SN-1"), 201)


def test_a_signature_under_one_that_passed_before_it_failed_lifts_nothing(plant, operator, inspector, signer):
    passed = start(inspector)
    decide(inspector, passed, "PASS")
    decide(inspector, start(inspector))
    assert_done(act(signer, passed, "sign"))
    assert_refused(track_in(operator, sn="SN-3"), "FAI_NOT_PASSED")


def test_the_page_of_the_run_says_so(plant, inspector):
    page = sign_in()
    assert "The first article failed" not in page.get("/trace/runs/RUN-1/").content.decode()
    decide(inspector, start(inspector))
    assert "The first article failed" in page.get("/trace/runs/RUN-1/").content.decode()
