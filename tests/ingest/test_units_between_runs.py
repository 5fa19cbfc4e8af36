"""Machine events of units that went into another run: those that wait, and values that come late."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from execution.transfers import services
from ingest.models import IngestStatus, OpenIngestEvent
from mes.production.models import Unit
from tests.factories import make_line, make_run, make_spec
from tests.ingest.conftest import Send
from tests.ingest.support import INSPECTING, IngestPlant, inspected, make_ingest_plant, printed

PHASES = {"path": "payload.phase", "inValues": ["start"], "outValues": ["end"], "dataValues": ["report"]}


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """RUN-1, in whose route 20 AOI also reports values by themselves; RUN-2 by the same; RUN-3 that begins at 20."""
    make_spec("AOI", "Offset", lsl=-1, usl=1)
    made = make_ingest_plant(aoi={**INSPECTING, "phase": PHASES})
    make_run(made.version, make_line("SMT-A"), run_no="RUN-2")
    make_ingest_plant(run_no="RUN-3", only=20, units=0)
    return made


def go(sn: str, to_run_no: str, committed: Any, **where: Any) -> None:
    with committed():
        services.move_units(run_no="RUN-1", sns=[sn], to_run_no=to_run_no, reason="Oven down", by="ann", **where)


def offset(value: float) -> dict[str, Any]:
    return {"values": [{"name": "Offset", "value": value}]}


def measured(sn: str, run_no: str | None, value: float, **payload: Any) -> dict[str, Any]:
    return {**inspected(sn, "report", **offset(value), **payload), "runNo": run_no}


def pass_inspection(send: Send, sn: str) -> None:
    for body in (printed(sn), inspected(sn, "start"), inspected(sn, "end")):
        send(body, 201)


def test_values_that_come_late_belong_to_the_run_in_which_they_were_measured(
    plant: IngestPlant, send: Send, committed: Any
) -> None:
    sn = plant.sns[0]
    pass_inspection(send, sn)
    go(sn, "RUN-2", committed)
    send(measured(sn, "RUN-1", 0.2), 201)
    value = DataValue.objects.get(name="Offset")
    assert value.run_id == plant.run.pk
    assert Unit.objects.get(sn=sn).status == "QUEUED"


def test_a_late_key_failure_holds_the_unit_where_it_is_now(plant: IngestPlant, send: Send, committed: Any) -> None:
    sn = plant.sns[0]
    pass_inspection(send, sn)
    go(sn, "RUN-2", committed)
    send(measured(sn, "RUN-1", 7.0), 201)
    unit = Unit.objects.get(sn=sn)
    assert (unit.run and unit.run.run_no, unit.status, unit.held_from) == ("RUN-2", "ON_HOLD", "QUEUED")
    assert unit.current_step_no == 30
    assert unit.dispositions.get().about_step_no == 20


def test_a_unit_that_failed_at_that_step_of_another_run_is_held_too(
    plant: IngestPlant, send: Send, committed: Any
) -> None:
    sn = plant.sns[0]
    pass_inspection(send, sn)
    go(sn, "RUN-2", committed)
    Unit.objects.filter(sn=sn).update(status="OUT_FAILED", current_step_no=20)
    send(measured(sn, "RUN-1", 7.0), 201)
    assert Unit.objects.get(sn=sn).held_from == "OUT_FAILED"


def test_values_of_a_run_that_it_was_never_in_are_refused(
    plant: IngestPlant, send: Send, refuse: Send, committed: Any
) -> None:
    sn = plant.sns[0]
    pass_inspection(send, sn)
    refuse(measured(sn, "RUN-2", 0.2), "UNIT_RUN_MISMATCH", 409)
    go(sn, "RUN-2", committed)
    refuse(measured(plant.sns[1], "RUN-2", 0.2), "UNIT_RUN_MISMATCH", 409)


def test_an_event_that_waits_is_tried_against_the_new_run(plant: IngestPlant, send: Send, committed: Any) -> None:
    sn = plant.sns[0]
    assert send(inspected(sn, "start"), 202)["status"] == IngestStatus.WAITING
    go(sn, "RUN-3", committed, to_step_no=20)
    track = Track.objects.get()
    assert (track.run.run_no, track.step_no, track.unit.sn, track.unit.status) == ("RUN-3", 20, sn, "IN_STATION")
    assert not OpenIngestEvent.objects.exists()


def test_one_that_is_ahead_there_too_goes_on_waiting(plant: IngestPlant, send: Send, committed: Any) -> None:
    sn = plant.sns[0]
    send(inspected(sn, "start"), 202)
    go(sn, "RUN-2", committed)
    assert OpenIngestEvent.objects.get().status == IngestStatus.WAITING
    send(printed(sn), 201)
    assert Track.objects.get(step_no=20).run.run_no == "RUN-2"


def test_one_that_named_the_run_too_early_is_tried_again(
    plant: IngestPlant, send: Send, client: APIClient, committed: Any
) -> None:
    sn = plant.sns[0]
    assert send({**inspected(sn, "start"), "runNo": "RUN-3"}, 409)["code"] == "UNIT_RUN_MISMATCH"
    go(sn, "RUN-3", committed, to_step_no=20)
    assert Track.objects.get().run.run_no == "RUN-3"


def test_one_of_a_unit_that_is_taken_back_waits_until_its_time_is_over(
    plant: IngestPlant, send: Send, committed: Any
) -> None:
    send(inspected(plant.sns[0], "start"), 202)
    with committed():
        services.take_back(run_no="RUN-1", sns=[plant.sns[0]], reason="Not needed", by="ann")
    assert OpenIngestEvent.objects.get().status == IngestStatus.WAITING


def test_one_of_a_pass_in_the_run_that_it_left_does_not_wait_for_another(
    plant: IngestPlant, send: Send, committed: Any
) -> None:
    sn = plant.sns[0]
    late = inspected(sn, "start")
    pass_inspection(send, sn)
    go(sn, "RUN-2", committed, to_step_no=10)
    assert send(late, 409)["code"] == "STEP_MISMATCH"
    assert OpenIngestEvent.objects.get().status == IngestStatus.REJECTED
