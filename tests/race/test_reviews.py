"""A review's PASS at the same time as the track-out it is about, as a release, and as a worker that is killed."""

from collections.abc import Callable
from time import sleep
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from execution.quality import inspections, reviews
from execution.quality.holds import cases
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.factories import make_plant
from tests.integration.helpers import another, at_once, moment
from tests.race.conftest import put_into_oven
from tests.race.test_inspections import leave

UNITS = 6


def inspect(client: APIClient, sn: str, result: str, *, minutes_ago: int, after: float = 0) -> Callable[[], Any]:
    body = {
        "eventId": f"aoi-{sn}-{result}",
        "eventTime": moment(minutes=minutes_ago),
        "source": "AUTO",
        "runNo": "RUN-1",
        "stationCode": "REF-01",
        "unitSn": sn,
        "stepNo": 20,
        "inspectionType": "AOI",
        "result": result,
    }

    def send() -> int:
        sleep(after)
        return another(client).post("/api/integration/inspection-result", body).status_code

    return send


def decide(client: APIClient, sn: str, action: str) -> Callable[[], Any]:
    return lambda: another(client).post(f"/api/units/{sn}/{action}", {"reason": "why"}).status_code


def cross_with_track_out(person: APIClient) -> None:
    plant = make_plant(units=UNITS)
    for number, sn in enumerate(plant.sns):
        put_into_oven(person, sn)
        assert inspect(person, sn, "FAIL", minutes_ago=9)() == 201
        lead = 0.02 * (number % 3)
        review = inspect(person, sn, "PASS", minutes_ago=1, after=lead)
        assert set(at_once(review, leave(person, sn))) <= {200, 201}


def stuck() -> list[str]:
    """Return the units that did not go on though the review passed them, or went on though their pass did not."""
    passed = set(Track.objects.filter(step_no=20, result="PASS").values_list("unit__sn", flat=True))
    went_on = set(Unit.objects.filter(status="QUEUED", current_step_no=30).values_list("sn", flat=True))
    return sorted(set(Unit.objects.values_list("sn", flat=True)) - (passed & went_on))


def test_a_review_and_the_track_out_in_either_order_let_the_board_go_on(person):
    cross_with_track_out(person)
    assert stuck() == []


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_units_lock_one_is_stuck(person, slow):
    slow(inspections, "_find_track", after=0.3)
    cross_with_track_out(person)
    assert stuck() != []


def hold_then_review_and_release(person: APIClient) -> None:
    """A held board whose pass an inspection failed: somebody releases it while the review comes."""
    plant = make_plant(units=UNITS)
    for sn in plant.sns:
        put_into_oven(person, sn)
        assert inspect(person, sn, "FAIL", minutes_ago=9)() == 201
        assert leave(person, sn)() == 200
        assert decide(person, sn, "hold")() == 200
        assert set(at_once(inspect(person, sn, "PASS", minutes_ago=1), decide(person, sn, "release"))) == {200, 201}


def unreleased() -> int:
    """Return how many units are held, or not where either order leads: the release first leaves them as failed."""
    good = [("QUEUED", 30), ("OUT_FAILED", 20)]
    return sum(1 for state in Unit.objects.values_list("status", "current_step_no") if state not in good)


def test_a_review_and_a_release_in_either_order_lose_neither(person):
    hold_then_review_and_release(person)
    assert unreleased() == 0


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_units_lock_a_release_is_lost(person, slow):
    slow(reviews, "_send_on", before=0.9)  # longer than a release takes on a busy machine
    slow(cases, "end_cases", after=0.4)
    hold_then_review_and_release(person)
    assert unreleased() > 0


def test_a_review_that_dies_before_its_end_leaves_nothing_and_is_taken_when_it_comes_again(person, monkeypatch):
    [sn] = make_plant(units=1).sns
    put_into_oven(person, sn)
    inspect(person, sn, "FAIL", minutes_ago=9)()
    leave(person, sn)()

    def die(*args: Any, **kwargs: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(reviews.hooks, "announce", die)
        with pytest.raises(SystemExit):
            inspect(person, sn, "PASS", minutes_ago=1)()
    assert stuck() == [sn]
    assert not MesEvent.objects.filter(idempotency_key__endswith=":review").exists()
    assert inspect(person, sn, "PASS", minutes_ago=1)() == 201
    assert stuck() == []
