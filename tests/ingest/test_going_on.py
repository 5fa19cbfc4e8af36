"""What machines reported while a run was held or a line stopped is tried again by itself when it goes on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from execution import dispositions, tracking
from execution.models import Disposition, Track
from ingest.models import OpenIngestEvent, PartialIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.plant.models import Line
from mes.production import holds, line_acts, runs, station_acts
from mes.production.hold_models import HoldSource
from mes.production.models import Run, Unit
from tests.factories import make_run, put_runs
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, inspected, make_ingest_plant, printed
from tests.ingest.test_panels import PANEL, panel

pytestmark = pytest.mark.django_db
Committed = Callable[[], Any]
STATIONS = ("PRN-1", "OVN-1")


def hold_run() -> None:
    with transaction.atomic():
        run = runs.lock(run_no="RUN-1")
        holds.open_hold(run=run, source=HoldSource.PERSON, reason="x", by="sue")
        put_runs("ON_HOLD", run_no="RUN-1")


def resume_run() -> None:
    with transaction.atomic():
        run = runs.lock(run_no="RUN-1")
        holds.end_hold(run=run, source=HoldSource.PERSON, by="sue")
        Run.objects.filter(pk=run.pk).update(status="IN_PROGRESS", held_from="")


def stop_line() -> None:
    line_acts.hold(line_code="SMT-A", reason="x", by="sue")


def resume_line() -> None:
    line_acts.resume(line_code="SMT-A", by="sue")


def stop_station() -> None:
    for code in STATIONS:
        station_acts.stop(station_code=code, reason="x", by="sue")


def resume_station() -> None:
    for code in STATIONS:
        station_acts.go_on(station_code=code, by="sue")


def begin_oqc() -> None:
    Run.objects.update(is_in_oqc=True)


@transaction.atomic
def end_oqc() -> None:
    run = runs.lock(run_no="RUN-1")
    holds.note_oqc(run, is_open=False)


RUN, LINE = (hold_run, resume_run, "RUN_ON_HOLD"), (stop_line, resume_line, "LINE_ON_HOLD")
STATION, OQC = (stop_station, resume_station, "STATION_STOPPED"), (begin_oqc, end_oqc, "RUN_IN_OQC")
NAMES = ("stop", "go_on", "code")
WAYS = pytest.mark.parametrize(NAMES, [RUN, LINE], ids=["run", "line"])
ALL_WAYS = pytest.mark.parametrize(NAMES, [RUN, LINE, STATION, OQC], ids=["run", "line", "station", "oqc"])


def reported(sn: str, minutes: float, **payload: Any) -> dict[str, Any]:
    return {**printed(sn, **payload), "occurredAt": (timezone.now() - timedelta(minutes=minutes)).isoformat()}


@ALL_WAYS
def test_in_the_order_in_which_it_occurred(
    plant: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str
) -> None:
    one, two, three = plant.sns
    stop()
    for sn, minutes in ((two, 10), (three, 5), (one, 15)):
        assert send(reported(sn, minutes), 409)["code"] == code
    assert set(OpenIngestEvent.objects.values_list("status", flat=True)) == {"REJECTED"}
    with committed():
        go_on()
    assert list(Track.objects.order_by("id").values_list("unit__sn", flat=True)) == [one, two, three]
    assert not OpenIngestEvent.objects.exists()


@ALL_WAYS
def test_a_crash_after_the_commit_is_caught_up(
    plant: IngestPlant, send: Send, stop: Any, go_on: Any, code: str
) -> None:
    stop()
    send(reported(plant.sns[0], 5), 409)
    assert catch_up() == 0  # it is held still
    go_on()  # and nothing follows its commit
    assert not Track.objects.exists()
    assert catch_up() == 1
    assert Track.objects.get().unit.sn == plant.sns[0]
    assert catch_up() == 0


@WAYS
@pytest.mark.parametrize("decision", ["rework", "scrap"])
def test_not_after_a_decision(
    plant: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str, decision: str
) -> None:
    sn = plant.sns[0]
    stop()
    send(reported(sn, 5), 409)
    if decision == "rework":
        unit = Unit.objects.get(sn=sn)
        Disposition.objects.create(
            unit=unit, action="REWORK", reason="again", decided_by="sue", from_status="OUT_FAILED"
        )
    else:
        dispositions.scrap_unit(sn=sn, reason="broken", by="sue")
        Unit.objects.filter(sn=sn).update(status="QUEUED")  # as if that were undone since
    with committed():
        go_on()
    assert not Track.objects.exists()
    assert OpenIngestEvent.objects.get().status == "REJECTED"
    assert catch_up() == 0


@WAYS
def test_not_after_a_later_event_of_that_unit_and_step(
    plant: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str
) -> None:
    sn = plant.sns[0]
    stop()
    send(reported(sn, 15), 409)
    OpenIngestEvent.objects.update(error_code="kept aside")
    with committed():
        go_on()
    send(reported(sn, 5, result="NG"), 201)
    Unit.objects.filter(sn=sn).update(status="QUEUED", current_step_no=10)
    OpenIngestEvent.objects.update(error_code=code, next_attempt_at=None)
    assert catch_up() == 1
    assert Track.objects.count() == 1
    assert OpenIngestEvent.objects.get().error_code == "EVENT_TIME_OUT_OF_ORDER"


@WAYS
def test_what_is_inside_leaves_meanwhile(
    plant: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str
) -> None:
    sn = plant.sns[0]
    send(reported(sn, 9), 201)
    send({**inspected(sn, "start")}, 201)
    stop()
    send(inspected(sn, "end"), 201)
    assert Track.objects.filter(out_at=None).count() == 0


def test_a_new_board_lands_in_the_run_of_its_time(send: Send, committed: Committed) -> None:
    plant = make_ingest_plant(units=0)
    make_run(plant.version, Line.objects.get(), run_no="RUN-2", plan_qty=9)
    put_runs("IN_PROGRESS")
    line_acts.set_active_run(line_code="SMT-A", run_no="RUN-1", at=timezone.now() - timedelta(hours=1), by="x")
    hold_run()
    assert send(reported("NEW", 5), 409)["code"] == "RUN_ON_HOLD"
    line_acts.set_active_run(line_code="SMT-A", run_no="RUN-2", by="x")
    with committed():
        resume_run()
    assert Track.objects.get().run.run_no == "RUN-1"


# --- what an applied event left out ---------------------------------------------------------------------------


@pytest.fixture
def oven(db: None) -> IngestPlant:
    """Return a plant whose oven reports panels; the first of three boards is in it, the others stand before it."""
    made = make_ingest_plant(reflow={**PANEL, "waitSeconds": 0})
    Unit.objects.update(current_step_no=30)
    tracking.track_in(sn=made.sns[0], station_code="OVN-1", by="sue")
    return made


def baked(sns: list[str], *results: str) -> dict[str, Any]:
    return {**panel(sns, *results), "occurredAt": timezone.now().isoformat()}


def skipped() -> dict[str, str]:
    return {item["sn"]: item["code"] for item in SettledIngestEvent.objects.get().skipped}


@ALL_WAYS
@pytest.mark.parametrize("how", ["at once", "after a crash"])
def test_units_that_an_applied_event_left_out(
    oven: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str, how: str
) -> None:
    one, two, three = oven.sns
    stop()
    send(baked(oven.sns, "OK", "OK", "NG"), 201)
    assert skipped() == {two: code, three: code}
    assert catch_up() == 0  # it is held still
    if how == "at once":
        with committed():
            go_on()
    else:
        go_on()
        assert catch_up() == 1
    assert dict(Track.objects.values_list("unit__sn", "result")) == {one: "PASS", two: "PASS", three: "FAIL"}
    assert skipped() == {}
    assert not PartialIngestEvent.objects.exists()
    assert catch_up() == 0


@WAYS
def test_each_left_out_unit_is_tried_for_itself(
    oven: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str
) -> None:
    one, two, three = oven.sns
    stop()
    send(baked(oven.sns, "OK", "OK", "OK"), 201)
    Disposition.objects.create(
        unit=Unit.objects.get(sn=two), action="REWORK", reason="again", decided_by="sue", from_status="OUT_FAILED"
    )
    Unit.objects.filter(sn=three).update(status="SCRAPPED")
    with committed():
        go_on()
    assert skipped() == {two: "STEP_MISMATCH", three: "UNIT_SCRAPPED"}
    assert Track.objects.get().unit.sn == one
    assert PartialIngestEvent.objects.get().sns == [two, three]
    assert catch_up() == 0


@WAYS
def test_what_was_left_out_for_another_reason_stays(
    oven: IngestPlant, send: Send, committed: Committed, stop: Any, go_on: Any, code: str
) -> None:
    one, two, three = oven.sns
    Unit.objects.filter(sn=three).update(current_step_no=40)
    stop()
    send(baked(oven.sns, "OK", "OK", "OK"), 201)
    kept = skipped()[three]
    assert skipped() == {two: code, three: kept} != {two: code, three: code}
    Unit.objects.filter(sn=three).update(current_step_no=30)  # it could be taken now, but nobody asks for that
    with committed():
        go_on()
    assert skipped() == {three: kept}
    assert set(Track.objects.values_list("unit__sn", flat=True)) == {one, two}


def test_a_failure_that_nobody_foresaw_ends_the_trying(
    oven: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_line()
    send(baked(oven.sns, "OK", "OK", "OK"), 201)
    resume_line()
    with monkeypatch.context() as patched:
        patched.setattr("ingest.attempts.settle_rest", lambda *_args, **_kwargs: 1 / 0)
        assert catch_up() == 1
    assert set(skipped().values()) == {"INTERNAL_ERROR"}
    assert catch_up() == 0
