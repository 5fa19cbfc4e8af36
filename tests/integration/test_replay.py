"""Messages that could not be applied: kept, counted, replayed once their cause is mended."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.dispositions import release_unit
from execution.models import DataValue
from integration.models import DeviceDataRecord, FailedMessage
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.factories import api_client, make_plant, make_spec
from tests.integration.helpers import (
    EVENTS,
    MESSAGES,
    accept,
    another,
    at_once,
    into_oven,
    list_messages,
    make_event,
    nothing_changes,
    reading,
    refuse,
    trace_values,
    track_in,
)

MISSPELT = {"specNames": {"Peak Temprature": "Peak Temperature"}}


def replay(client: APIClient, message_id: str, body: Any = None) -> Any:
    return client.post(f"{MESSAGES}/{message_id}/replay", {} if body is None else body)


def refuse_replay(client: APIClient, message_id: str, status: int, code: str, body: Any = None) -> dict[str, Any]:
    """Replay what is refused; only the message itself may change. Return the error."""
    with nothing_changes():
        answer = replay(client, message_id, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.content
    return answer.json()["error"]


def only_message(client: APIClient, **filters: str) -> dict[str, Any]:
    [message] = list_messages(client, **filters)
    return message


# --- mended and replayed ----------------------------------------------------------------------------------


def test_a_missing_track_is_made_and_the_event_replayed(person: APIClient, device: APIClient) -> None:
    body = make_event()
    error = refuse(device, body, 404, "TRACK_NOT_FOUND")
    kept = only_message(person)
    assert (kept["status"], kept["entityType"], kept["direction"]) == ("FAILED", "DEVICE_DATA", "INBOUND")
    assert (kept["payload"], kept["count"], kept["dedupeKey"], kept["recordId"]) == (body, 1, "evt-1", None)
    assert kept["error"] == {name: error[name] for name in ("code", "message", "details")}

    track_id = into_oven(person)
    answer = replay(person, kept["id"])
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["eventId"], data["trackId"], data["dataValuesCreated"]) == ("evt-1", track_id, 1)
    assert (data["isDuplicate"], data["judge"]) == (False, "PASS")
    [value] = trace_values(person)
    assert (value["trackId"], value["deviceDataId"]) == (track_id, data["id"])

    replayed = only_message(person)
    assert (replayed["id"], replayed["status"]) == (kept["id"], "REPLAYED")
    assert (replayed["payload"], replayed["recordId"]) == (body, data["id"])
    assert replayed["receivedAt"] == kept["receivedAt"] < replayed["lastAt"]
    assert replayed["error"] == kept["error"]
    assert not FailedMessage.objects.exists()


def test_a_replay_alarms_and_holds_like_the_event_itself(person: APIClient, device: APIClient) -> None:
    refused = device.post(EVENTS, make_event("evt-1", reading(260)))
    assert refused.json()["error"]["details"]["held"] == ["SN-1"]  # refused, it holds already
    release_unit(sn="SN-1", reason="not measured here", by="quality")
    into_oven(person)
    assert replay(person, only_message(person)["id"]).json()["data"]["alarms"] != []
    assert Unit.objects.get(sn="SN-1").status == "ON_HOLD"
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 1


def test_a_misspelt_spec_is_replayed_by_the_name_that_was_meant(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    body = make_event("evt-1", reading(245, "Peak Temprature"), reading(60, "Conveyor Speed"), meta={"firmware": "1"})
    refuse(device, body, 422, "DATA_SPEC_NOT_FOUND")
    message_id = only_message(person)["id"]
    assert replay(person, message_id, MISSPELT).status_code == 200
    assert {v["name"]: v["value"] for v in trace_values(person)} == {"Peak Temperature": 245, "Conveyor Speed": 60}

    message = only_message(person)
    assert (message["id"], message["status"], message["payload"]) == (message_id, "REPLAYED", body)
    assert message["note"]["specNames"] == MISSPELT["specNames"]
    assert message["note"]["replayedBy"].startswith("token:ADMIN")
    assert DeviceDataRecord.objects.get().data == body["data"]  # raw, as it was sent


def test_sent_again_after_its_replay_an_event_is_a_duplicate(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    body = make_event("evt-1", reading(245, "Peak Temprature"))
    refuse(device, body, 422, "DATA_SPEC_NOT_FOUND")
    data = replay(person, only_message(person)["id"], MISSPELT).json()["data"]
    with nothing_changes():
        again = accept(device, body, 200)
    assert again == {**data, "isDuplicate": True}
    corrected = {**body, "data": [reading(245)]}
    with nothing_changes():
        answer = device.post(EVENTS, corrected)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EVENT_ID_CONFLICT")


@pytest.mark.parametrize("value", [245.0, 0.1, 1e22, 1e23, 1e-7, 2**53 + 2, -0.0])
def test_a_replayed_number_is_the_same_as_the_one_sent(person: APIClient, device: APIClient, value: float) -> None:
    body = make_event("evt-1", reading(value, "Conveyor Speed"))
    assert device.post(EVENTS, body).json()["error"]["code"] == "TRACK_NOT_FOUND"
    into_oven(person)
    data = replay(person, only_message(person)["id"]).json()["data"]
    assert accept(device, body, 200)["id"] == data["id"]
    assert DataValue.objects.get().value_number == value


def test_a_name_that_nobody_sent_corrects_nothing(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    refuse(device, make_event("evt-1", reading(245, "Peak Temprature")), 422, "DATA_SPEC_NOT_FOUND")
    message_id = only_message(person)["id"]
    names = {"specNames": {"peak temprature": "Peak Temperature"}}
    refuse_replay(person, message_id, 422, "DATA_SPEC_NOT_FOUND", names)


# --- the same failure counts up ---------------------------------------------------------------------------


def test_the_same_failure_counts_up_and_does_not_pile_up(person: APIClient, device: APIClient) -> None:
    body = make_event("evt-1", meta={"try": 1})
    refuse(device, body, 404, "TRACK_NOT_FOUND")
    first = only_message(person)
    for attempt in (2, 3):
        with nothing_changes():
            answer = device.post(EVENTS, {**body, "meta": {"try": attempt}})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "TRACK_NOT_FOUND")
    again = only_message(person)
    assert (again["id"], again["count"], again["receivedAt"]) == (first["id"], 3, first["receivedAt"])
    assert again["lastAt"] > first["lastAt"]


def test_another_failure_or_other_content_is_another_message(person: APIClient, device: APIClient) -> None:
    body = make_event("evt-1", reading(1, "Nobody's"))
    refuse(device, body, 404, "TRACK_NOT_FOUND")
    into_oven(person)
    refuse(device, body, 422, "DATA_SPEC_NOT_FOUND")
    refuse(device, {**body, "equipmentId": "EQ-1"}, 422, "DATA_SPEC_NOT_FOUND")
    assert [m["count"] for m in list_messages(person)] == [1, 1, 1]


def test_sent_again_as_it_was_the_event_settles_its_open_message(person: APIClient, device: APIClient) -> None:
    body = make_event()
    refuse(device, body, 404, "TRACK_NOT_FOUND")
    message_id = only_message(person)["id"]
    into_oven(person)
    data = accept(device, body)
    assert not FailedMessage.objects.exists()
    assert list_messages(person, status="FAILED") == []
    settled = {message["id"]: message for message in list_messages(person)}
    assert settled[message_id]["status"] == "REPLAYED"
    assert settled[message_id]["recordId"] == data["id"]
    refuse_replay(person, message_id, 409, "INVALID_TRANSITION")


# --- what cannot be replayed ------------------------------------------------------------------------------


def test_only_failed_messages_are_replayed(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    body = make_event()
    refuse(device, {**body, "data": [reading(1, "Nobody's")]}, 422, "DATA_SPEC_NOT_FOUND")
    accept(device, body)
    accept(device, body, 200)
    assert device.post(EVENTS, {**body, "equipmentId": "EQ-1"}).status_code == 409
    messages = list_messages(person)
    assert sorted(m["status"] for m in messages) == ["CONFLICT", "DUPLICATE", "REPLAYED", "SUCCESS"]
    for message in messages:
        with nothing_changes(but=()):
            answer = replay(person, message["id"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_TRANSITION")
        assert message["status"] == answer.json()["error"]["details"]["state"]


@pytest.mark.parametrize("message_id", ["0", "4000000000", "-1", "abc", "٣", "1.0", "9" * 19, "9" * 60, "%20", "1e3"])
def test_an_unknown_message_is_not_found(person: APIClient, device: APIClient, message_id: str) -> None:
    refuse(device, make_event(), 404, "TRACK_NOT_FOUND")
    with nothing_changes(but=()):
        answer = replay(person, message_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "MESSAGE_NOT_FOUND")


def test_a_replay_that_fails_again_leaves_the_message_open(person: APIClient, device: APIClient) -> None:
    refuse(device, make_event("evt-1", reading(1, "Nobody's")), 404, "TRACK_NOT_FOUND")
    before = only_message(person)
    refuse_replay(person, before["id"], 404, "TRACK_NOT_FOUND")
    still = only_message(person)
    assert (still["id"], still["status"], still["count"]) == (before["id"], "FAILED", 2)

    into_oven(person)
    error = refuse_replay(person, before["id"], 422, "DATA_SPEC_NOT_FOUND")
    still = only_message(person)
    assert (still["id"], still["status"], still["payload"]) == (before["id"], "FAILED", before["payload"])
    assert (still["error"]["code"], still["error"]["message"]) == ("DATA_SPEC_NOT_FOUND", error["message"])
    assert [m["id"] for m in list_messages(person, code="DATA_SPEC_NOT_FOUND")] == [before["id"]]


def test_replaying_under_an_id_that_was_used_meanwhile_is_a_conflict(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event())
    message = FailedMessage.objects.create(
        received_at=DeviceDataRecord.objects.get().received_at,
        direction="INBOUND",
        entity_type="DEVICE_DATA",
        dedupe_key="evt-1",
        status="FAILED",
        payload=make_event("evt-1", reading(246)),
        error_code="TRACK_NOT_FOUND",
        digest=b"x",
    )  # as if it had been kept just after the other was applied
    refuse_replay(person, str(message.pk), 409, "EVENT_ID_CONFLICT")
    assert only_message(person, status="CONFLICT")["id"] == str(message.pk)


def test_replaying_what_was_applied_meanwhile_settles_it(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    body = make_event()
    data = accept(device, body)
    message = FailedMessage.objects.create(
        received_at=DeviceDataRecord.objects.get().received_at,
        direction="INBOUND",
        entity_type="DEVICE_DATA",
        dedupe_key="evt-1",
        status="FAILED",
        payload=body,
        error_code="TRACK_NOT_FOUND",
        digest=b"x",
    )
    with nothing_changes():
        answer = replay(person, str(message.pk))
    assert (answer.status_code, answer.json()["data"]) == (200, {**data, "isDuplicate": True})
    assert {m["id"]: m["status"] for m in list_messages(person)}[str(message.pk)] == "REPLAYED"


@pytest.mark.parametrize(
    "body",
    [
        {"specNames": []},
        {"specNames": "x"},
        {"specNames": {"a": 1}},
        {"specNames": {"a": None}},
        {"specNames": {"a": ""}},
        {"specNames": {"a": "x" * 101}},
        {"specNames": {"a": ["b"]}},
        {"specnames": {}},
        {"data": []},
        [],
        "x",
    ],
)
def test_a_malformed_replay_is_refused(person: APIClient, device: APIClient, body: Any) -> None:
    refuse(device, make_event(), 404, "TRACK_NOT_FOUND")
    message_id = only_message(person)["id"]
    with nothing_changes(but=()):
        answer = replay(person, message_id, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), answer.content


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY, Role.INTEGRATION])
def test_only_engineers_and_admins_replay(person: APIClient, device: APIClient, role: Role) -> None:
    refuse(device, make_event(), 404, "TRACK_NOT_FOUND")
    into_oven(person)
    message_id, client = only_message(person)["id"], api_client(role)
    with nothing_changes(but=()):
        answer = replay(client, message_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert replay(api_client(Role.ENGINEER), message_id).status_code == 200


# --- malformed bodies -------------------------------------------------------------------------------------

MALFORMED = {
    b"{": "PARSE_ERROR",
    b"\xff\xfe": "PARSE_ERROR",
    b"nonsense \x00": "PARSE_ERROR",
    b"[" * 100_000: "PARSE_ERROR",
    b'{"eventId": "\\ud800"}': "VALIDATION_ERROR",
    b'{"eventId": "a\\u0000"}': "VALIDATION_ERROR",
    b"": "VALIDATION_ERROR",
    b"[]": "VALIDATION_ERROR",
    b"null": "VALIDATION_ERROR",
    b'"text"': "VALIDATION_ERROR",
    b"1e5": "VALIDATION_ERROR",
    b'{"eventId": "evt-1"}': "VALIDATION_ERROR",
    b'{"eventId": 7, "data": {}}': "VALIDATION_ERROR",
}


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: body[:20].decode("latin-1"))
def test_malformed_bodies_of_a_device_are_kept_too(person: APIClient, device: APIClient, body: bytes) -> None:
    for count in (1, 2):
        with nothing_changes():
            answer = device.post(EVENTS, body, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, MALFORMED[body]), answer.content
        message = only_message(person)
        assert (message["status"], message["count"], message["error"]["code"]) == ("FAILED", count, MALFORMED[body])
    refuse_replay(person, message["id"], 400, "VALIDATION_ERROR")
    assert only_message(person)["status"] == "FAILED"


def test_a_malformed_event_is_settled_when_it_comes_corrected(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    body = make_event()
    refuse(device, {**body, "stepNo": "20"}, 400, "VALIDATION_ERROR")
    message_id = only_message(person)["id"]
    accept(device, body)
    assert {m["id"]: m["status"] for m in list_messages(person)}[message_id] == "REPLAYED"


def test_a_text_that_is_no_json_is_kept_as_it_came(person: APIClient, device: APIClient) -> None:
    body = "temperature=245;ü\x00\x01".encode() + b"\xff"
    assert device.post(EVENTS, body, content_type="application/json").status_code == 400
    raw = only_message(person)["payload"]["raw"]
    assert raw.startswith("temperature=245;ü")
    assert "\x00" not in raw


def test_what_may_not_come_at_all_is_not_kept(person: APIClient, device: APIClient) -> None:
    for body, content_type, status in ((b"<a/>", "text/xml", 415), (b" " * (1024 * 1024 + 1), "application/json", 413)):
        with nothing_changes(but=()):
            answer = device.post(EVENTS, body, content_type=content_type)
        assert answer.status_code == status


# --- the list ---------------------------------------------------------------------------------------------


def test_messages_are_found_by_status_type_code_and_key(person: APIClient, device: APIClient) -> None:
    refuse(device, make_event("evt-1"), 404, "TRACK_NOT_FOUND")
    refuse(device, make_event("evt-2", runNo="RUN-9"), 404, "RUN_NOT_FOUND")
    into_oven(person)
    accept(device, make_event("evt-3"))
    found = {
        "status": list_messages(person, status="FAILED"),
        "code": list_messages(person, code="RUN_NOT_FOUND"),
        "key": list_messages(person, key="evt-3"),
        "type": list_messages(person, entityType="DEVICE_DATA"),
        "nothing": list_messages(person, entityType="OTHER"),
    }
    assert {name: sorted(m["dedupeKey"] for m in items) for name, items in found.items()} == {
        "status": ["evt-1", "evt-2"],
        "code": ["evt-2"],
        "key": ["evt-3"],
        "type": ["evt-1", "evt-2", "evt-3"],
        "nothing": [],
    }


def test_messages_are_listed_newest_first_in_pages_that_miss_none(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    sent = []
    for number in range(1, 8):  # applied and failed ones in turn
        body = make_event(f"evt-{number}")
        if number % 2:
            refuse(device, {**body, "runNo": "RUN-9"}, 404, "RUN_NOT_FOUND")
        else:
            accept(device, body)
        sent.append(body["eventId"])
    seen: list[str] = []
    url: str | None = f"{MESSAGES}?pageSize=2"
    while url:
        page = person.get(url).json()["data"]
        seen += [item["dedupeKey"] for item in page["items"]]
        url = page["next"]
    assert sorted(seen) == sorted(sent)
    assert seen == sent[::-1]


def test_the_ids_of_messages_are_unique_over_open_and_settled_ones(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    for number in range(3):
        refuse(device, make_event(f"bad-{number}", runNo="RUN-9"), 404, "RUN_NOT_FOUND")
        accept(device, make_event(f"good-{number}"))
    ids = [message["id"] for message in list_messages(person)]
    assert len(set(ids)) == len(ids) == 6


# --- at the same time -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_replays_at_once_one_applies() -> None:
    make_plant()
    person, device = api_client(Role.ADMIN), api_client(Role.INTEGRATION)
    into_oven(person)
    for attempt in range(1, 6):
        event_id = f"evt-{attempt}"
        assert device.post(EVENTS, make_event(event_id, reading(260, "Peak Temprature"))).status_code == 422
        message_id = only_message(person, key=event_id)["id"]
        answers = at_once(lambda message_id=message_id: replay(another(person), message_id, MISSPELT), times=2)
        assert sorted(answer.status_code for answer in answers) == [200, 409], [a.content for a in answers]
        assert {a.json()["error"]["code"] for a in answers if a.status_code == 409} == {"INVALID_TRANSITION"}
        assert DataValue.objects.count() == DeviceDataRecord.objects.count() == attempt
        assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == attempt
        assert only_message(person, key=event_id)["status"] == "REPLAYED"


@pytest.mark.django_db(transaction=True)
def test_a_replay_and_the_event_sent_again_at_once_apply_once() -> None:
    plant = make_plant()
    person, device = api_client(Role.ADMIN), api_client(Role.INTEGRATION)
    track_in(person, "SMT-01")
    for attempt in range(1, 9):
        body = make_event(f"evt-{attempt}", reading(1, f"Paste {attempt}"), stationCode="SMT-01", stepNo=10)
        assert device.post(EVENTS, body).status_code == 422
        message_id = only_message(person, key=body["eventId"])["id"]
        make_spec(plant.operations["PRINT"], f"Paste {attempt}")  # the cause is mended
        calls = [lambda m=message_id: replay(another(person), m), lambda b=body: another(device).post(EVENTS, b)] * 2
        answers = at_once(*calls)
        assert {answer.status_code for answer in answers} <= {200, 201, 409, 503}, [a.content for a in answers]
        assert {503} & {answer.status_code for answer in answers} == set(), "deadlock between replay and resend"
        assert DataValue.objects.count() == DeviceDataRecord.objects.count() == attempt
        assert not FailedMessage.objects.exists()
