"""An inspection and a track-out at the same time: the unit never goes on as if nothing had been found."""

from collections.abc import Callable
from time import sleep
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from execution.quality import inspections
from mes.production.models import Unit
from tests.factories import make_plant
from tests.integration.helpers import another, at_once, moment
from tests.race.conftest import put_into_oven

UNITS = 8


def report(client: APIClient, sn: str, *, after: float = 0) -> Callable[[], Any]:
    body = {
        "eventId": f"aoi-{sn}",
        "eventTime": moment(seconds=1),
        "source": "AUTO",
        "runNo": "RUN-1",
        "stationCode": "REF-01",
        "unitSn": sn,
        "stepNo": 20,
        "inspectionType": "AOI",
        "result": "FAIL",
    }

    def send() -> int:
        sleep(after)
        return another(client).post("/api/integration/inspection-result", body).status_code

    return send


def leave(client: APIClient, sn: str, *, after: float = 0) -> Callable[[], Any]:
    body = {"runNo": "RUN-1", "sn": sn, "result": "PASS"}

    def send() -> int:
        sleep(after)
        return another(client).post("/api/stations/REF-01/track-out", body).status_code

    return send


def escaped() -> list[str]:
    """Return the units that went on although the inspection failed them."""
    passed = Track.objects.filter(step_no=20, result="PASS").values_list("unit__sn", flat=True)
    return list(Unit.objects.filter(sn__in=passed).exclude(status="ON_HOLD").values_list("sn", flat=True))


def cross(person: APIClient) -> None:
    plant = make_plant(units=UNITS)
    for sn in plant.sns:
        put_into_oven(person, sn)
    for number, sn in enumerate(plant.sns):
        lead = 0.02 * (number % 4)
        assert set(at_once(report(person, sn), leave(person, sn, after=lead))) <= {200, 201}


def test_a_failed_inspection_stops_the_unit_in_either_order(person):
    cross(person)
    assert escaped() == []
    assert Unit.objects.exclude(status__in=["ON_HOLD", "OUT_FAILED"]).count() == 0


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_units_lock_one_escapes(person, slow):
    slow(inspections, "_find_track", after=0.2)
    cross(person)
    assert escaped() != []
