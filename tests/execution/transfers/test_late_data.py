"""Readings and inspections that come after a unit went into another run, with the number of the one it left."""

import pytest

from execution.models import DataValue
from mes.production.models import Unit
from tests.execution.transfers.support import asking, make_passed, make_two_runs, move, moved
from tests.factories import Plant
from tests.integration.helpers import EVENTS, make_event, moment, reading


@pytest.fixture
def plant(db: None) -> Plant:
    """SN-1 passed printer and oven in RUN-1, and waits for its test in RUN-2."""
    plant, _target = make_two_runs()
    make_passed("SN-1", 10, 20)
    assert moved(move("SN-1")) == {"SN-1": 30}
    return plant


def where() -> tuple[str, str, str]:
    unit = Unit.objects.select_related("run").get(sn="SN-1")
    return (unit.run.run_no if unit.run else "", unit.status, unit.held_from)


def test_readings_are_kept_with_the_run_they_were_made_in(plant: Plant) -> None:
    answer = asking.client.post(EVENTS, make_event("evt-1", reading(245.0)))
    assert answer.status_code == 201, answer.json()
    assert DataValue.objects.get().run_id == plant.run.pk
    assert where() == ("RUN-2", "QUEUED", "")


def test_a_late_key_failure_holds_the_unit_where_it_is_now(plant: Plant) -> None:
    assert asking.client.post(EVENTS, make_event("evt-1", reading(252.0))).status_code == 201
    assert where() == ("RUN-2", "ON_HOLD", "QUEUED")


def test_readings_with_a_run_that_it_was_never_in_are_refused(plant: Plant) -> None:
    answer = asking.client.post(EVENTS, make_event("evt-1", reading(245.0), runNo="RUN-2"))
    assert answer.status_code in (404, 409)
    assert not DataValue.objects.exists()


def test_a_refused_reading_is_judged_by_the_route_of_the_run_that_it_names(plant: Plant) -> None:
    """In its present run the same step may be another one."""
    Unit.objects.filter(sn="SN-1").update(run=None)
    late = make_event("evt-1", reading(252.0), stationCode="SMT-01")
    assert asking.client.post(EVENTS, late).json()["error"]["code"] == "UNIT_RUN_MISMATCH"
    assert where() == ("", "ON_HOLD", "QUEUED")


def test_a_late_inspection_holds_the_unit_where_it_is_now(plant: Plant) -> None:
    body = {
        "eventId": "insp-1",
        "eventTime": moment(seconds=1),
        "source": "AUTO",
        "runNo": "RUN-1",
        "stationCode": "REF-01",
        "unitSn": "SN-1",
        "stepNo": 20,
        "inspectionType": "AOI",
        "result": "FAIL",
    }
    answer = asking.client.post("/api/integration/inspection-result", body)
    assert answer.status_code in (200, 201), answer.json()
    assert where() == ("RUN-2", "ON_HOLD", "QUEUED")
