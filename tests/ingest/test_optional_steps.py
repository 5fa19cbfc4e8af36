"""Optional steps by machine: the inspection at step 20 may be left out, its FAIL may not."""

from typing import Any

import pytest

from execution.models import Track
from ingest.models import OpenIngestEvent
from mes.production.models import Unit
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, final_test, inspected, make_ingest_plant, printed, reflowed

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """The line of machines, with a run of a version in which the inspection is optional."""
    made = make_ingest_plant()
    RouteExecutionConfig.objects.filter(step_no=20).update(is_optional=True)
    version, _changed = compile_route(code=made.version.routing.code)
    run = made.run
    run.route_version = version
    run.save(update_fields=["route_version"])
    return made


def steps(sn: str) -> list[int]:
    return list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", flat=True))


def test_the_next_machine_takes_a_unit_that_was_not_inspected(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    assert send(printed(sn))["status"] == "APPLIED"
    assert send(reflowed("P-1", [sn]))["status"] == "APPLIED"
    assert send(final_test(sn))["status"] == "APPLIED"
    assert steps(sn) == [10, 30, 40]
    assert Unit.objects.get(sn=sn).status == "DONE"


def test_a_unit_that_was_inspected_goes_its_way(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    for body in (printed(sn), inspected(sn, "start"), inspected(sn, "end"), reflowed("P-1", [sn])):
        assert send(body)["status"] == "APPLIED"
    assert steps(sn) == [10, 20, 30]


def test_a_failed_inspection_is_not_left_out(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]
    send(printed(sn))
    send(inspected(sn, "start"))
    send(inspected(sn, "end", result="NG"))
    assert Unit.objects.get(sn=sn).status == "OUT_FAILED"
    error = refuse(reflowed("P-1", [sn]), "STEP_MISMATCH", 409)
    assert error["details"]["missingSteps"] == [20]


def test_a_unit_in_an_optional_station_is_awaited(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]
    send(printed(sn))
    send(inspected(sn, "start"))
    error = refuse(reflowed("P-1", [sn]), "STEP_MISMATCH", 409)
    assert error["details"]["missingSteps"] == [20]
    send(inspected(sn, "end"))  # lets it in by itself
    assert steps(sn) == [10, 20, 30]
    assert not OpenIngestEvent.objects.exists()


def test_missing_steps_leave_optional_ones_out(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]
    error = refuse(reflowed("P-1", [sn]), "STEP_MISMATCH", 409)
    assert error["details"]["missingSteps"] == [10]
    send(printed(sn))  # and now it goes past the inspection
    assert steps(sn) == [10, 30]


def test_what_waits_behind_an_optional_step_is_tried_when_the_way_is_free(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    Unit.objects.filter(sn=sn).update(current_step_no=20)
    assert send(final_test(sn))["status"] == "WAITING"
    send(reflowed("P-1", [sn]))
    assert steps(sn) == [30, 40]


def test_units_at_both_steps_go_through_the_oven_together(plant: IngestPlant, send: Send) -> None:
    first, second, _third = plant.sns
    for sn in (first, second):
        send(printed(sn))
    send(inspected(first, "start"))
    send(inspected(first, "end"))
    body: dict[str, Any] = reflowed("P-1", [first, second])
    assert send(body)["status"] == "APPLIED"
    assert (steps(first), steps(second)) == ([10, 20, 30], [10, 30])
