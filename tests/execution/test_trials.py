"""Sample units of a first article run before their run is authorized; no other unit does."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from execution.quality.first_article.models import FirstArticle, FirstArticleSample
from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.production.models import Run, Unit
from tests.execution.support import assert_done, assert_refused, nothing_written, track_in, track_out
from tests.execution.test_first_article import act, begin, create, make_fai_plant
from tests.factories import api_client, make_plant
from tests.readiness.support import authorize, bind_stencil


@pytest.fixture
def inspector(db: None) -> APIClient:
    return api_client(Role.QUALITY)


@pytest.fixture
def signer(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def enter(client: APIClient, sn: str = "A", station: str = "SMT-01") -> Any:
    return track_in(client, station, sn=sn, run_no="RUN-2")


def test_sample_units_run_through_every_step_and_no_other_does(operator, inspector):
    make_fai_plant()
    assert_refused(enter(operator), "RUN_NOT_AUTHORIZED")
    fai = create(inspector, sample_qty=2)
    assert_refused(enter(operator), "RUN_NOT_AUTHORIZED")  # not started yet
    assert_done(act(inspector, fai, "start"))
    for sn in ("A", "B"):
        assert_done(enter(operator, sn), 201)
    with nothing_written():
        assert_refused(enter(operator, "C"), "RUN_NOT_AUTHORIZED")
    assert_done(track_out(operator, sn="A", run_no="RUN-2"))
    assert_done(enter(operator, "A", "REF-01"), 201)
    assert_done(track_out(operator, "REF-01", sn="A", run_no="RUN-2"))
    assert_done(enter(operator, "A", "TST-01"), 201)
    voltage = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
    assert_done(track_out(operator, "TST-01", sn="A", run_no="RUN-2", data=voltage))
    assert Unit.objects.get(sn="A").status == "DONE"
    assert set(Track.objects.values_list("is_trial", flat=True)) == {True}
    assert Run.objects.get(run_no="RUN-2").status == "PREP"
    shown = assert_done(inspector.get(f"/api/fai/{fai['id']}"))
    assert shown["sampleSns"] == ["A", "B"]


def test_trials_end_with_the_inspection(operator, supervisor, inspector, signer):
    make_fai_plant()
    fai = begin(inspector)
    assert_done(enter(operator), 201)
    assert_done(act(inspector, fai, "complete", decision="PASS"))
    assert_done(track_out(operator, sn="A", run_no="RUN-2"))  # leaving is a fact
    assert_refused(enter(operator, "A", "REF-01"), "RUN_NOT_AUTHORIZED")
    assert_done(act(signer, fai, "sign"))
    assert_done(authorize(supervisor, run_no="RUN-2"))
    assert_done(enter(operator, "A", "REF-01"), 201)
    assert_done(enter(operator, "B"), 201)
    assert list(Track.objects.order_by("id").values_list("is_trial", flat=True)) == [True, False, False]
    assert Run.objects.get(run_no="RUN-2").status == "IN_PROGRESS"


def test_nobody_runs_a_trial_while_something_else_is_not_ready(operator, inspector):
    make_fai_plant()
    Line.objects.update(readiness_checks=["STENCIL"])
    begin(inspector)
    with nothing_written():
        assert_refused(enter(operator), "RUN_NOT_AUTHORIZED")
    stencil = bind_stencil()
    assert_done(enter(operator), 201)
    assert_done(track_out(operator, sn="A", run_no="RUN-2"))
    stencil.status = "NOT_READY"
    stencil.save()
    assert_refused(enter(operator, "A", "REF-01"), "RUN_NOT_AUTHORIZED")


def test_a_new_unit_may_be_a_sample(operator, inspector):
    make_fai_plant(sns=[])
    begin(inspector)
    assert_done(enter(operator, "NEW-1"), 201)
    with nothing_written():
        assert_refused(enter(operator, "NEW-2"), "RUN_NOT_AUTHORIZED")
    assert FirstArticleSample.objects.get().unit.sn == "NEW-1"


def test_a_sample_that_cannot_enter_takes_no_place(operator, inspector):
    make_fai_plant()
    begin(inspector)
    assert_refused(enter(operator, "A", "REF-01"), "STATION_MISMATCH")
    assert FirstArticleSample.objects.count() == 0
    assert_done(enter(operator, "B"), 201)


def test_a_first_article_of_a_running_run_makes_no_trials(operator, supervisor, inspector):
    make_plant(units=2)
    begin_running = assert_done(inspector.post("/api/fai/run/RUN-1", {"sampleQty": 1}), 201)
    assert_done(act(inspector, begin_running, "start"))
    assert_done(track_in(operator), 201)
    assert Track.objects.get().is_trial is False
    assert FirstArticle.objects.get().samples.count() == 0
