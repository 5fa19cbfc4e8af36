"""Values of a station itself: of no unit, judged by live specs, and confirming a preparation."""

from datetime import timedelta

import pytest
from django.utils import timezone

from execution.models import DataValue
from mes.platform.accounts.roles import Role
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_spec
from tests.integration.helpers import moment
from tests.integration.test_status import send
from tests.readiness.support import add_policy, check, codes, make_unready_plant

pytestmark = pytest.mark.django_db


@pytest.fixture
def device():
    return api_client(Role.INTEGRATION)


def program(value: str) -> list[dict[str, str]]:
    return [{"specName": "Program Name", "valueText": value}]


def test_they_are_kept_and_judged(device):
    make_unready_plant()
    data = [{"specName": "Peak Temperature", "valueNumber": 260}, {"specName": "Conveyor Speed", "valueNumber": 60}]
    answer = assert_done(send(device, "station-data", data=data), 201)
    assert (answer["dataValuesCreated"], answer["judge"], answer["alarms"]) == (2, "FAIL", ["Peak Temperature"])
    value = DataValue.objects.get(name="Peak Temperature")
    assert (value.station.code, value.judge, value.alarmed, value.usl) == ("REF-01", "FAIL", True, 250)
    assert (value.unit_id, value.run_id, value.track_id, value.step_no) == (None, None, None, None)


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"stationCode": "X"}, "STATION_NOT_FOUND", 404),
        ({"operationCode": "X"}, "OPERATION_NOT_FOUND", 404),
        ({"data": [{"specName": "X", "valueNumber": 1}]}, "DATA_SPEC_NOT_FOUND", 422),
        ({"data": [{"specName": "Peak Temperature", "valueText": "245"}]}, "DATA_TYPE_MISMATCH", 422),
        ({"data": [{"specName": "Peak Temperature"}]}, "VALIDATION_ERROR", 400),
        ({"data": []}, "VALIDATION_ERROR", 400),
        ({"operationCode": "TEST", "data": [{"specName": "Supply Voltage", "valueNumber": 3}]}, "SPEC_NOT_AUTO", 422),
    ],
)
def test_what_is_refused(device, change, code, status):
    make_unready_plant()
    assert_refused(send(device, "station-data", **change), code, status)
    assert DataValue.objects.count() == 0


def test_the_loaded_program_confirms_a_preparation_before_any_unit_runs(device):
    plant = make_unready_plant()
    make_spec(plant.operations["PRINT"], "Program Name", data_type="TEXT", item_type="OBSERVATION")
    admin = api_client()
    add_policy(
        admin,
        code="PREP_PROGRAM",
        name="Program",
        gate="HARD",
        confirmMode="AUTO",
        dataSource="DEVICE",
        deviceSpec={"operationCode": "PRINT", "specName": "Program Name"},
        expectedText="BOARD-1",
        maxAgeMinutes=60,
    )
    said = {"stationCode": "SMT-01", "operationCode": "PRINT"}
    assert codes(check(admin)) == ["PREP_VALUE_STALE"]
    assert_done(send(device, "station-data", event_id="1", data=program("BOARD-2"), **said), 201)
    assert codes(check(admin)) == ["PREP_VALUE_WRONG"]
    assert_done(send(device, "station-data", event_id="2", data=program("BOARD-1"), eventTime=moment(), **said), 201)
    made = check(admin)
    assert (made["status"], made["items"][0]["evidence"]["value"]) == ("PASSED", "BOARD-1")
    late = (timezone.now() - timedelta(minutes=30)).isoformat()
    assert_done(send(device, "station-data", event_id="3", data=program("BOARD-2"), eventTime=late, **said), 201)
    assert check(admin)["status"] == "PASSED"  # the latest by event time counts
