"""A review says PASS after a board left as FAIL: nothing but inspections failed it, so it goes where PASS leads."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierLoad, Track
from execution.quality.models import Defect
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused, decide, put_at, track_in, track_out
from tests.factories import Plant, api_client, make_plant
from tests.integration.helpers import moment
from tests.trace.test_pages import sign_in

STATIONS = {10: "SMT-01", 20: "REF-01", 30: "TST-01"}


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


@pytest.fixture
def person(plant: Plant) -> APIClient:
    return api_client()


def inspect(person: APIClient, result: str, *, minutes_ago: float, step_no: int = 20, kind: str = "AOI") -> Any:
    body = {
        "eventId": f"{kind}-{minutes_ago}",
        "eventTime": moment(minutes=minutes_ago),
        "source": "MANUAL",
        "operatorId": "olga",
        "runNo": "RUN-1",
        "stationCode": STATIONS[step_no],
        "unitSn": "SN-1",
        "stepNo": step_no,
        "inspectionType": kind,
        "result": result,
    }
    return assert_done(person.post("/api/integration/inspection-result", body), 201)


def enter(person: APIClient, step_no: int = 20) -> str:
    put_at(step_no)
    return assert_done(track_in(person, STATIONS[step_no]), 201)["trackId"]


def fail_by_inspection(person: APIClient, step_no: int = 20, *, kind: str = "AOI", **out: Any) -> str:
    """Have the board leave as claimed, failed by an inspection; return the track's id."""
    track_id = enter(person, step_no)
    inspect(person, "FAIL", minutes_ago=30, step_no=step_no, kind=kind)
    assert assert_done(track_out(person, STATIONS[step_no], **{"result": "PASS", **out}))["result"] == "FAIL"
    return track_id


def state() -> tuple[str, int | None, str]:
    return Unit.objects.values_list("status", "current_step_no", "held_from").get(sn="SN-1")


def verdict() -> tuple[str, str, bool]:
    return Track.objects.values_list("result", "result_override", "inspection_override").order_by("id")[0]


UNCHANGED = ("FAIL", "", True)
REVIEWED = ("PASS", "REVIEW", False)


def test_the_board_goes_on(person):
    track_id = fail_by_inspection(person)
    assert state() == ("OUT_FAILED", 20, "")
    assert inspect(person, "PASS", minutes_ago=1)["unitStatus"] == "QUEUED"
    assert (verdict(), state()) == (REVIEWED, ("QUEUED", 30, ""))
    assert set(Defect.objects.values_list("status", flat=True)) == {"WITHDRAWN"}
    told = MesEvent.objects.filter(event_type="TRACK_OUT").order_by("id")
    assert [event.idempotency_key for event in told] == [f"track-out:{track_id}", f"track-out:{track_id}:review"]
    assert [event.payload["result"] for event in told] == ["FAIL", "PASS"]
    assert (told[1].payload["supersedes"], told[1].occurred_at) == (f"track-out:{track_id}", told[0].occurred_at)


def test_the_page_and_the_trace_tell_of_the_review(person):
    fail_by_inspection(person)
    inspect(person, "PASS", minutes_ago=1)
    [track] = assert_done(person.get("/api/trace/units/SN-1"))["tracks"]
    assert (track["result"], track["claimedResult"], track["resultOverride"]) == ("PASS", "PASS", "REVIEW")
    assert "which a review said to be Pass afterwards" in sign_in().get("/trace/units/SN-1/").content.decode()


def test_after_the_last_step_it_is_done_and_leaves_its_carrier(person, plant):
    voltage = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
    enter(person, 30)
    carrier = Carrier.objects.create(carrier_no="TRAY-1")
    CarrierLoad.objects.create(carrier=carrier, unit=plant.units[0])
    inspect(person, "FAIL", minutes_ago=30, step_no=30)
    assert_done(track_out(person, "TST-01", result="PASS", data=voltage))
    assert CarrierLoad.objects.get().unloaded_at is None
    inspect(person, "PASS", minutes_ago=1, step_no=30)
    assert state() == ("DONE", 30, "")
    assert CarrierLoad.objects.get().unloaded_at is not None


def test_a_held_board_stays_held_and_its_release_goes_where_pass_leads(person):
    fail_by_inspection(person)
    assert_done(decide(person, "hold"))
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (REVIEWED, ("ON_HOLD", 30, "QUEUED"))
    assert assert_done(decide(person, "release"))["status"] == "QUEUED"


def test_a_rework_that_was_decided_since_stands(person):
    fail_by_inspection(person)
    assert_done(decide(person, "rework"))
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (REVIEWED, ("QUEUED", 20, ""))


def test_a_release_that_was_decided_since_stands(person):
    fail_by_inspection(person)
    decide(person, "hold")
    assert_done(decide(person, "release"))
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (REVIEWED, ("OUT_FAILED", 20, ""))


def test_a_release_before_it_came_says_nothing_of_it(person):
    decide(person, "hold")
    assert_done(decide(person, "release"))
    fail_by_inspection(person)
    inspect(person, "PASS", minutes_ago=1)
    assert state() == ("QUEUED", 30, "")


def test_a_scrapped_board_stays_scrapped(person):
    fail_by_inspection(person)
    assert_done(decide(person, "scrap"))
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (REVIEWED, ("SCRAPPED", 20, ""))


def test_a_board_that_is_tried_again_is_not_moved(person):
    """A result belongs to the latest pass, so the one before keeps what it was."""
    fail_by_inspection(person)
    Unit.objects.filter(sn="SN-1").update(status="QUEUED")  # as a retest would leave it
    assert_done(track_in(person, "REF-01"), 201)
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (UNCHANGED, ("IN_STATION", 20, ""))


def test_a_board_that_waits_for_a_retest_goes_on(person, plant):
    fail_by_inspection(person)
    Unit.objects.filter(sn="SN-1").update(status="QUEUED")
    inspect(person, "PASS", minutes_ago=1)
    assert state() == ("QUEUED", 30, "")


def test_a_claimed_fail_stays_a_fail(person):
    fail_by_inspection(person, result="FAIL", defectCode="BRIDGE")
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (UNCHANGED, ("OUT_FAILED", 20, ""))
    assert Defect.objects.get(code="BRIDGE").status == "OPEN"


def test_another_inspection_that_failed_it_still_does(person):
    enter(person)
    inspect(person, "FAIL", minutes_ago=30, kind="SPI")
    inspect(person, "FAIL", minutes_ago=29, kind="AOI")
    assert_done(track_out(person, "REF-01"))
    inspect(person, "PASS", minutes_ago=2, kind="AOI")
    assert (verdict(), state()) == (UNCHANGED, ("OUT_FAILED", 20, ""))
    inspect(person, "PASS", minutes_ago=1, kind="SPI")
    assert (verdict(), state()) == (REVIEWED, ("QUEUED", 30, ""))


def send(person: APIClient, track_id: str, degrees: float) -> None:
    body = {
        "eventId": f"oven-{degrees}",
        "eventTime": moment(minutes=5),
        "source": "AUTO",
        "trackId": track_id,
        "data": [{"specName": "Peak Temperature", "valueNumber": degrees}],
    }
    assert_done(person.post("/api/integration/device-data", body), 201)


@pytest.mark.parametrize("late", [False, True])
def test_a_key_value_that_fails_speaks_against_it(person, late):
    track_id = enter(person)
    if not late:
        send(person, track_id, 252)
    inspect(person, "FAIL", minutes_ago=30)
    assert_done(track_out(person, "REF-01"))
    if late:
        send(person, track_id, 252)
    inspect(person, "PASS", minutes_ago=1)
    assert verdict()[0] == "FAIL"
    assert state() == ("OUT_FAILED", 20, "")


def test_a_good_key_value_does_not(person):
    send(person, enter(person), 245)
    inspect(person, "FAIL", minutes_ago=30)
    assert_done(track_out(person, "REF-01"))
    inspect(person, "PASS", minutes_ago=1)
    assert state() == ("QUEUED", 30, "")


def test_required_data_that_is_missing_speaks_against_it(person):
    """A PASS that an inspection forces to FAIL leaves without the data that a PASS needs."""
    fail_by_inspection(person, 30)
    inspect(person, "PASS", minutes_ago=1, step_no=30)
    assert (verdict(), state()) == (UNCHANGED, ("OUT_FAILED", 30, ""))


def test_of_an_older_review_the_later_fail_counts(person):
    enter(person)
    inspect(person, "FAIL", minutes_ago=10)
    assert_done(track_out(person, "REF-01"))
    inspect(person, "PASS", minutes_ago=20)
    assert (verdict(), state()) == (UNCHANGED, ("OUT_FAILED", 20, ""))


def test_a_fail_after_the_review_holds_the_board(person):
    fail_by_inspection(person)
    inspect(person, "PASS", minutes_ago=10)
    inspect(person, "FAIL", minutes_ago=1)
    assert state() == ("ON_HOLD", 30, "QUEUED")
    inspect(person, "PASS", minutes_ago=0.5)
    assert state() == ("ON_HOLD", 30, "QUEUED")
    assert MesEvent.objects.filter(idempotency_key__endswith=":review").count() == 1


def refuse(person: APIClient, track_id: str) -> None:
    """Have a reading refused, for its time, that says that the board failed."""
    body = {
        "eventId": "oven-1",
        "eventTime": moment(minutes=-60),
        "source": "AUTO",
        "trackId": track_id,
        "data": [{"specName": "Peak Temperature", "valueNumber": 252}],
    }
    assert_refused(person.post("/api/integration/device-data", body), "EVENT_TIME_IN_FUTURE", 422)


def test_a_failing_report_that_came_meanwhile_and_was_refused_speaks_against_it(person):
    """The board stays as failed, so the report does not hold it: no review of the inspection takes it back."""
    refuse(person, fail_by_inspection(person))
    assert (verdict(), state()) == (("FAIL", "REPORT", True), ("OUT_FAILED", 20, ""))
    inspect(person, "PASS", minutes_ago=1)
    assert (verdict(), state()) == (("FAIL", "REPORT", True), ("OUT_FAILED", 20, ""))


def test_a_failing_report_of_a_pass_before_a_rework_says_nothing_of_the_next(person):
    track_id = fail_by_inspection(person)
    assert_done(decide(person, "rework"))
    assert_done(track_in(person, "REF-01"), 201)
    inspect(person, "FAIL", minutes_ago=20)
    assert_done(track_out(person, "REF-01"))
    refuse(person, track_id)
    assert verdict() == UNCHANGED
    assert Track.objects.order_by("id").values_list("result_override", flat=True)[1] == "REPORT"
