"""Device data that is refused: values that would have failed or held a unit hold it."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Disposition
from integration.models import FailedMessage
from mes.production.models import Unit
from tests.factories import Plant, api_client, make_plant
from tests.integration.helpers import EVENTS, by_track, into_oven, make_event, reading, track_out

pytestmark = pytest.mark.django_db
LOW = 200.0  # Peak Temperature, KEY 235..250 °C, alarm 230..255 HOLD
NEVER_THERE = {"stationCode": "SMT-01"}  # the unit was not in the oven there


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


@pytest.fixture
def client(plant: Plant) -> APIClient:
    return api_client()


def send(client: APIClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(EVENTS, body)
    assert 400 <= answer.status_code < 500, answer.content
    return answer.json()["error"]


def put(status: str, held_from: str = "", step_no: int = 20) -> None:
    Unit.objects.filter(sn="SN-1").update(status=status, held_from=held_from, current_step_no=step_no)


def state() -> tuple[str, str]:
    return Unit.objects.values_list("status", "held_from").get(sn="SN-1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("QUEUED", ""), ("ON_HOLD", "QUEUED")),
        (("DONE", "", 30), ("ON_HOLD", "DONE")),
        (("ON_HOLD", "QUEUED"), ("ON_HOLD", "QUEUED")),
        (("OUT_FAILED", "", 30), ("ON_HOLD", "OUT_FAILED")),
        (("OUT_FAILED", ""), ("OUT_FAILED", "")),
        (("SCRAPPED", ""), ("SCRAPPED", "")),
    ],
)
@pytest.mark.parametrize(
    "data", [[reading(LOW)], [reading(LOW), reading(1, "Nobody's")], [reading(LOW), reading(valueText="?")]]
)
def test_failing_values_that_are_refused_hold_their_unit(
    client: APIClient, before: Any, after: Any, data: list[dict[str, Any]]
) -> None:
    put(*before)
    error = send(client, make_event("evt-1", *data, **NEVER_THERE))
    assert state() == after
    assert (error["details"].get("held") == ["SN-1"]) == (after[0] == "ON_HOLD")
    assert FailedMessage.objects.get().error["details"].get("held") == error["details"].get("held")
    reasons = Disposition.objects.values_list("about_step_no", flat=True)
    assert list(reasons) == ([20] if after[0] == "ON_HOLD" else [])


@pytest.mark.parametrize("data", [[reading(245)], [reading(1, "Conveyor Speed")], [reading(LOW, "Nobody's")]])
def test_other_values_that_are_refused_hold_nobody(client: APIClient, data: list[dict[str, Any]]) -> None:
    assert "held" not in send(client, make_event("evt-1", *data, **NEVER_THERE))["details"]
    assert state() == ("QUEUED", "")


def test_the_same_values_again_hold_nobody_twice(client: APIClient) -> None:
    body = make_event("evt-1", reading(LOW), **NEVER_THERE)
    send(client, body)
    dispositions.release_unit(sn="SN-1", reason="measured again", by="quality")
    send(client, body)
    assert state() == ("QUEUED", "")
    send(client, make_event("evt-2", reading(LOW), **NEVER_THERE))
    assert state() == ("ON_HOLD", "QUEUED")


def test_that_it_failed_is_still_told_when_it_came_again_or_was_tried_again(client: APIClient) -> None:
    body = make_event("evt-1", reading(LOW), **NEVER_THERE)
    send(client, body)
    assert send(client, body)["details"]["held"] == ["SN-1"]
    kept = FailedMessage.objects.get()
    again = client.post(f"/api/integration/messages/{kept.pk}/replay", {}).json()["error"]
    assert again["details"]["held"] == ["SN-1"]
    dispositions.release_unit(sn="SN-1", reason="measured again", by="quality")
    assert "held" not in send(client, body)["details"]
    client.post(f"/api/integration/messages/{kept.pk}/replay", {})
    kept.refresh_from_db()
    assert (kept.count, kept.error["details"]["held"]) == (5, ["SN-1"])
    [cause] = client.get("/api/integration/messages/causes").json()["data"]["items"]
    assert cause["failing"] == 1
    assert (state(), Disposition.objects.filter(action="HOLD").count()) == (("QUEUED", ""), 1)


@pytest.mark.parametrize("again", ["sent", "replayed"])
def test_what_came_before_anybody_knew_its_unit_holds_it_when_it_comes_again(client: APIClient, again: str) -> None:
    Unit.objects.filter(sn="SN-1").update(sn="SN-1-LATER")
    body = make_event("evt-1", reading(LOW), **NEVER_THERE)
    assert "held" not in send(client, body)["details"]
    Unit.objects.filter(sn="SN-1-LATER").update(sn="SN-1")
    if again == "sent":
        error = send(client, body)
    else:
        kept = FailedMessage.objects.get()
        error = client.post(f"/api/integration/messages/{kept.pk}/replay", {}).json()["error"]
    assert error["details"]["held"] == ["SN-1"]
    assert state() == ("ON_HOLD", "QUEUED")


def test_failing_values_are_taken_without_those_that_do_not_fit(client: APIClient) -> None:
    track_id = into_oven(client)
    track_out(client, "REF-01", data=[])
    wrong = [reading(valueText="?", name="Conveyor Speed"), reading(1, "Nobody's")]
    assert "problems" not in send(client, by_track("evt-0", track_id, reading(245), *wrong))
    body = by_track("evt-1", track_id, *wrong, reading(LOW))
    answer = client.post(EVENTS, body).json()["data"]
    assert (answer["dataValuesCreated"], answer["judge"]) == (1, "FAIL")
    assert [problem.split(": ")[1] for problem in answer["problems"]] == ["Conveyor Speed", "Nobody's"]
    assert state()[0] == "ON_HOLD"
    again = client.post(EVENTS, body).json()["data"]
    assert (again["isDuplicate"], again["problems"]) == (True, answer["problems"])


def test_of_a_batch_each_event_holds_its_own(client: APIClient) -> None:
    bodies = [
        make_event("evt-1", reading(LOW), **NEVER_THERE),
        make_event("evt-2", reading(245), unitSn="SN-2", **NEVER_THERE),
        make_event("evt-3", reading(LOW), unitSn="SN-2", **NEVER_THERE),
    ]
    answer = client.post(f"{EVENTS}/batch", {"events": bodies}).json()["data"]["results"]
    assert [result["error"]["details"].get("held") for result in answer] == [["SN-1"], None, ["SN-2"]]
    assert set(Unit.objects.values_list("status", flat=True)) == {"ON_HOLD"}


def test_a_token_of_another_station_holds_nobody(plant: Plant) -> None:
    answer = api_client("INTEGRATION", ["TST-01"]).post(EVENTS, make_event("evt-1", reading(LOW)))
    assert answer.status_code == 403, answer.content
    assert state() == ("QUEUED", "")
