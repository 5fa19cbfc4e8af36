"""Inspections that are refused: a FAIL holds its unit, wherever that is by now."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import Disposition
from integration.models import FailedMessage
from mes.production.models import Unit
from tests.factories import api_client, make_plant
from tests.integration.helpers import moment

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(db: None) -> APIClient:
    make_plant()
    return api_client()


def inspect(client: APIClient, event_id: str = "evt-1", **fields: Any) -> Any:
    body = {"eventId": event_id, "eventTime": moment(), "source": "AUTO", "runNo": "RUN-1", "stationCode": "REF-01"}
    body |= {"unitSn": "SN-1", "stepNo": 20, "inspectionType": "AOI", "result": "FAIL"}
    return client.post("/api/integration/inspection-result", {**body, **fields})


def state() -> tuple[str, str]:
    return Unit.objects.values_list("status", "held_from").get(sn="SN-1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((10, "QUEUED", ""), ("ON_HOLD", "QUEUED"), id="before the step"),
        pytest.param((20, "QUEUED", ""), ("ON_HOLD", "QUEUED"), id="at the step, where it never was"),
        pytest.param((30, "DONE", ""), ("ON_HOLD", "DONE"), id="done"),
        pytest.param((30, "OUT_FAILED", ""), ("ON_HOLD", "OUT_FAILED"), id="failed at another step"),
        pytest.param((20, "OUT_FAILED", ""), ("OUT_FAILED", ""), id="failed at this step"),
        pytest.param((10, "ON_HOLD", "QUEUED"), ("ON_HOLD", "QUEUED"), id="held"),
        pytest.param((10, "SCRAPPED", ""), ("SCRAPPED", ""), id="scrapped"),
    ],
)
def test_a_fail_that_is_refused_holds_its_unit(client: APIClient, before: Any, after: Any) -> None:
    step_no, status, held_from = before
    Unit.objects.filter(sn="SN-1").update(current_step_no=step_no, status=status, held_from=held_from)
    answer = inspect(client)
    assert answer.json()["error"]["code"] == "TRACK_NOT_FOUND", answer.content
    is_held = after[0] == "ON_HOLD"
    assert state() == after
    assert (answer.json()["error"]["details"].get("held") == ["SN-1"]) == is_held
    assert FailedMessage.objects.get().error["details"].get("held") == (["SN-1"] if is_held else None)
    assert list(Disposition.objects.values_list("about_step_no", flat=True)) == ([20] if is_held else [])


@pytest.mark.parametrize("fields", [{"runNo": "RUN-9"}, {"stationCode": "NONE"}, {"stepNo": 99}, {"eventTime": "2001"}])
def test_whatever_it_is_refused_for(client: APIClient, fields: dict[str, Any]) -> None:
    """But for what is malformed, of which nothing is read."""
    if fields.get("eventTime"):
        assert inspect(client, **fields).status_code == 400
        assert state() == ("QUEUED", "")
        fields = {"eventTime": moment(minutes=600_000)}
    inspect(client, **fields)
    assert state() == ("ON_HOLD", "QUEUED")


def test_a_pass_that_is_refused_holds_nobody(client: APIClient) -> None:
    assert "held" not in inspect(client, result="PASS").json()["error"]["details"]
    assert state() == ("QUEUED", "")


def test_the_same_fail_again_holds_nobody_twice(client: APIClient) -> None:
    fields = {"eventTime": moment()}
    inspect(client, **fields)
    dispositions.release_unit(sn="SN-1", reason="inspected again", by="quality")
    inspect(client, **fields)
    assert state() == ("QUEUED", "")
    inspect(client, "evt-2", **fields)
    assert state() == ("ON_HOLD", "QUEUED")


def test_a_token_of_another_station_holds_nobody(client: APIClient) -> None:
    assert inspect(api_client("INTEGRATION", ["TST-01"])).status_code == 403
    assert state() == ("QUEUED", "")


def test_rework_goes_to_the_step_that_was_inspected(client: APIClient) -> None:
    Unit.objects.filter(sn="SN-1").update(current_step_no=30)
    inspect(client)
    assert dispositions.rework_unit(sn="SN-1", reason="solder again", by="quality").current_step_no == 20
