"""What machines reported while a run was held or a line stopped is tried again by itself when it goes on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from execution import dispositions
from execution.models import Disposition, Track
from ingest.models import OpenIngestEvent
from ingest.processing import catch_up
from mes.plant.models import Line
from mes.production import holds, line_acts, runs
from mes.production.decision_models import HoldSource
from mes.production.models import Run, Unit
from tests.factories import make_run, put_runs
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, inspected, make_ingest_plant, printed

pytestmark = pytest.mark.django_db
Committed = Callable[[], Any]


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


WAYS = pytest.mark.parametrize(
    ("stop", "go_on", "code"),
    [(hold_run, resume_run, "RUN_ON_HOLD"), (stop_line, resume_line, "LINE_ON_HOLD")],
    ids=["run", "line"],
)


def reported(sn: str, minutes: float, **payload: Any) -> dict[str, Any]:
    return {**printed(sn, **payload), "occurredAt": (timezone.now() - timedelta(minutes=minutes)).isoformat()}


@WAYS
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


@WAYS
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
