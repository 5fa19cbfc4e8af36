"""Refused messages are kept until somebody decides: conflicts, dismissals, and decisions about all of a cause."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import DataValue
from integration.models import DeviceDataRecord, FailedMessage, IntegrationMessage, SettledMessage
from mes.plant.models import Equipment, Station
from mes.platform.bulk_actions import services
from mes.platform.inbound.models import IdempotencyKey
from tests.factories import api_client, make_spec
from tests.integration.helpers import EVENTS, accept, into_oven, list_messages, make_event, moment, reading

pytestmark = pytest.mark.django_db
MESSAGES = "/api/integration/messages"


def decide(message_id: Any, action: str, expect: int, **body: Any) -> dict[str, Any]:
    answer = api_client().post(f"{MESSAGES}/{message_id}/{action}", body)
    assert answer.status_code == expect, answer.content
    return answer.json().get("data") or answer.json()["error"]


def conflict_of(device: APIClient, body: dict[str, Any], times: int = 1) -> dict[str, Any]:
    for _time in range(times):
        answer = device.post(EVENTS, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EVENT_ID_CONFLICT"), answer.content
    return answer.json()["error"]


def test_a_conflict_is_one_row_for_each_content(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(245.0)))
    conflict_of(device, make_event("evt-1", reading(246.0)), times=3)
    conflict_of(device, make_event("evt-1", reading(247.0)))
    kept = [(row["status"], row["count"], row["dedupeKey"]) for row in list_messages(person, key="evt-1")]
    assert kept == [("CONFLICT", 1, "evt-1"), ("CONFLICT", 3, "evt-1"), ("SUCCESS", 1, "evt-1")]
    assert len(list_messages(person, status="CONFLICT")) == 2


def test_a_conflict_is_applied_as_new_only(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(245.0)))
    body = make_event("evt-1", reading(246.0))
    conflict_of(device, body)
    kept = FailedMessage.objects.get()
    assert decide(kept.pk, "replay", 409)["code"] == "INVALID_TRANSITION"
    applied = decide(kept.pk, "replay", 200, asNew=True, reason="two readings, one id")
    assert applied["isDuplicate"] is False
    settled = SettledMessage.objects.get()
    assert (settled.pk, settled.status, settled.note["reason"]) == (kept.pk, "REPLAYED", "two readings, one id")
    assert sorted(DataValue.objects.values_list("value_number", flat=True)) == [245.0, 246.0]
    assert DeviceDataRecord.objects.count() == 2
    again = device.post(EVENTS, body)
    assert (again.status_code, again.json()["data"]["isDuplicate"]) == (200, True)
    assert again.json()["data"]["id"] == applied["id"]
    assert not FailedMessage.objects.exists()
    assert decide(kept.pk, "replay", 409, asNew=True)["code"] == "INVALID_TRANSITION"


def test_a_conflict_that_is_refused_stays_one(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(245.0)))
    body = make_event("evt-1", reading(name="Nobody's"))
    conflict_of(device, body)
    kept = FailedMessage.objects.get()
    assert decide(kept.pk, "replay", 422, asNew=True)["code"] == "DATA_SPEC_NOT_FOUND"
    conflict_of(device, body)
    kept = FailedMessage.objects.get()
    assert (kept.status, kept.error_code, kept.count) == ("CONFLICT", "EVENT_ID_CONFLICT", 3)


def test_only_a_conflict_is_taken_as_new(device: APIClient, person: APIClient) -> None:
    assert device.post(EVENTS, make_event("evt-1")).status_code == 404
    assert "asNew" in decide(FailedMessage.objects.get().pk, "replay", 400, asNew=True)["details"]


def test_a_dismissed_message_spends_its_key(person: APIClient, device: APIClient) -> None:
    body = make_event("evt-1")
    assert device.post(EVENTS, body).status_code == 404
    kept = FailedMessage.objects.get()
    decide(kept.pk, "dismiss", 200, reason="a trial")
    into_oven(person)
    again = device.post(EVENTS, body)
    assert (again.status_code, again.json()["data"]["isDuplicate"]) == (200, True)
    assert (again.json()["data"]["id"], DataValue.objects.count()) == (str(kept.pk), 0)
    answer = device.post(f"{EVENTS}/batch", {"events": [body]}).json()["data"]
    assert answer["duplicates"] == 1
    conflict_of(device, make_event("evt-1", reading(246.0)))


def test_a_message_refused_for_two_reasons_is_dismissed_whole(person: APIClient, device: APIClient) -> None:
    body, other = (make_event(key, reading(name="Nobody knows it")) for key in ("evt-1", "evt-2"))
    for message in (body, other, {**body, "eventTime": moment(minutes=1)}):
        assert device.post(EVENTS, message).status_code == 404
    into_oven(person)
    assert device.post(EVENTS, body).json()["error"]["code"] not in ("TRACK_NOT_FOUND", "EVENT_ID_CONFLICT")
    first, *_others, second = FailedMessage.objects.order_by("id")
    assert (first.digest, first.error_code != second.error_code) == (second.digest, True)
    decide(first.pk, "dismiss", 200, reason="a trial")
    assert decide(second.pk, "replay", 409)["code"] == "INVALID_TRANSITION"
    dismissed = SettledMessage.objects.filter(pk__in=[first.pk, second.pk])
    assert {(message.status, message.note["reason"]) for message in dismissed} == {("DISMISSED", "a trial")}
    assert dismissed.count() == 2
    assert FailedMessage.objects.count() == 2  # other content, and another message


def test_a_dismissed_conflict_that_comes_again_is_a_duplicate(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(245.0)))
    body = make_event("evt-1", reading(246.0))
    conflict_of(device, body)
    decide(FailedMessage.objects.get().pk, "dismiss", 200, reason="a mistake")
    again = device.post(EVENTS, body)
    assert (again.status_code, again.json()["data"]["isDuplicate"]) == (200, True)
    assert not FailedMessage.objects.exists()


def test_what_was_corrected_is_applied_as_new_after_the_first_was_dismissed(
    person: APIClient, device: APIClient
) -> None:
    for celsius in (240.0, 245.0):
        assert device.post(EVENTS, make_event("evt-1", reading(celsius))).status_code == 404
    wrong, right = FailedMessage.objects.order_by("id")
    decide(wrong.pk, "dismiss", 200, reason="misread")
    into_oven(person)
    assert decide(right.pk, "replay", 409)["code"] == "EVENT_ID_CONFLICT"
    right.refresh_from_db()
    assert (right.status, right.error_code, right.sent_key) == ("CONFLICT", "EVENT_ID_CONFLICT", "evt-1")
    decide(right.pk, "replay", 200, asNew=True)
    assert DataValue.objects.get().value_number == 245.0
    assert not FailedMessage.objects.exists()


def status(event_id: str, **fields: Any) -> dict[str, Any]:
    return {"eventId": event_id, "eventTime": "2026-11-01T10:00:00Z", "source": "AUTO", **fields}


def test_status_reports_alike(db: None) -> None:
    client = api_client()
    address = "/api/integration/equipment-status"
    Equipment.objects.create(code="EQ-1", name="x", station=Station.objects.create(code="S", name="S"), status="normal")
    assert client.post(address, status("e-1", equipmentCode="EQ-9", status="down")).status_code == 404
    lost = FailedMessage.objects.get()
    assert (lost.subject, lost.error_code) == ("EQ-9", "EQUIPMENT_NOT_FOUND")
    decide(lost.pk, "dismiss", 200, reason="no such machine")
    again = client.post(address, status("e-1", equipmentCode="EQ-9", status="down"))
    assert (again.status_code, again.json()["data"]["isDuplicate"]) == (200, True), again.content
    assert client.post(address, status("e-2", equipmentCode="EQ-1", status="down")).status_code == 201
    other = status("e-2", equipmentCode="EQ-1", status="normal")
    assert client.post(address, other).status_code == 409
    kept = FailedMessage.objects.get()
    decide(kept.pk, "replay", 200, asNew=True)
    assert client.post(address, other).json()["data"]["isDuplicate"] is True
    assert not FailedMessage.objects.exists()


def test_malformed_messages_spend_nothing(device: APIClient) -> None:
    body = {**make_event("evt-1"), "eventTime": "never"}
    assert device.post(EVENTS, body).status_code == 400
    decide(FailedMessage.objects.get().pk, "dismiss", 200, reason="nonsense")
    assert not IdempotencyKey.objects.filter(key="evt-1").exists()


# --- causes ----------------------------------------------------------------------------------------------------------


def test_causes_and_all_of_a_cause(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    for number in range(3):
        assert device.post(EVENTS, make_event(f"new-{number}", reading(name="Flux"))).status_code == 422
    assert device.post(EVENTS, make_event("gone", unitSn="NOBODY")).status_code == 404
    assert device.post(EVENTS, {**make_event("nonsense"), "eventTime": "never"}).status_code == 400
    client = api_client()
    told = client.get(f"{MESSAGES}/causes").json()["data"]
    shown = [(item["code"], item["subject"], item["entityType"], item["count"]) for item in told["items"]]
    assert shown[0] == ("DATA_SPEC_NOT_FOUND", "Flux", "DEVICE_DATA", 3)
    assert set(shown[1:]) == {
        ("UNIT_NOT_FOUND", "NOBODY", "DEVICE_DATA", 1),
        ("VALIDATION_ERROR", "eventTime", "DEVICE_DATA", 1),
    }
    assert [told["items"][0][name] for name in ("runNo", "stationCode", "stepNo")] == ["RUN-1", "REF-01", 20]
    assert client.get(f"{MESSAGES}/causes", {"subject": "Flux", "stepNo": "20"}).json()["data"]["items"]
    assert not client.get(f"{MESSAGES}/causes", {"stepNo": "30"}).json()["data"]["items"]
    make_spec("REFLOW", "Flux", item_type="OBSERVATION")
    body = {"code": "DATA_SPEC_NOT_FOUND", "upTo": told["upTo"], "reason": "it is told apart"}
    assert client.post(f"{MESSAGES}/dismiss", {"code": "X", "reason": "x"}).status_code == 400
    replayed = client.post(f"{MESSAGES}/replay", body)
    assert (replayed.status_code, replayed.json()["data"]["matched"]) == (202, 3)
    dismissed = client.post(f"{MESSAGES}/dismiss", {**body, "code": "UNIT_NOT_FOUND"})
    services.work_off()
    see = [client.get(f"/api/bulk-actions/{it.json()['data']['id']}").json()["data"] for it in (replayed, dismissed)]
    assert [(it["status"], it["remaining"]) for it in see] == [("DONE", 0)] * 2
    assert see[0]["applied"] + see[0]["refused"] == 3
    assert (see[1]["dismissed"], FailedMessage.objects.filter(error_code="UNIT_NOT_FOUND").count()) == (1, 0)
    assert IntegrationMessage.objects.filter(status="DISMISSED").count() == 1


def test_a_token_of_stations_decides_about_no_cause(device: APIClient, person: APIClient) -> None:
    into_oven(person)
    limited = api_client("ENGINEER", stations=["REF-01"])
    body = {"code": "X", "upTo": "2026-11-01T10:00:00Z", "reason": "x"}
    assert limited.post(f"{MESSAGES}/replay", body).status_code == 403
