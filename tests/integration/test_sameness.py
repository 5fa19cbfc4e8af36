"""When two events say the same: duplicates, conflicts, and ids that a refusal leaves free."""

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import DataValue, Disposition
from integration.models import DeviceDataRecord
from mes.platform.outbox.models import MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit
from tests.factories import Plant, make_spec
from tests.integration.helpers import (
    EVENTS,
    LOG,
    accept,
    into_oven,
    list_messages,
    make_event,
    nothing_changes,
    reading,
    refuse,
    track_in,
)

Body = dict[str, Any]

BASE: Body = make_event(
    "evt-1",
    reading(245, collectedAt="2026-03-10T10:00:00Z"),
    reading(60.5, "Conveyor Speed"),
    eventTime="2026-03-10T10:00:00Z",
    meta={"firmware": "1.0"},
)


def changed(**fields: Any) -> Callable[[Body], Body]:
    return lambda body: {**body, **fields}


def item_changed(index: int, **fields: Any) -> Callable[[Body], Body]:
    def change(body: Body) -> Body:
        body["data"][index] |= fields
        return body

    return change


def without(name: str) -> Callable[[Body], Body]:
    return lambda body: {key: value for key, value in body.items() if key != name}


def keys_turned_round(body: Body) -> Body:
    return {key: body[key] for key in reversed(body)} | {
        "data": [{key: item[key] for key in reversed(item)} for item in body["data"]]
    }


SAME = {
    "as it was": lambda body: body,
    "keys in another order": keys_turned_round,
    "245 as 245.0": item_changed(0, valueNumber=245.0),
    "null for absent": changed(trackId=None, equipmentId=None, operatorId=None),
    "null for absent in a reading": item_changed(1, valueText=None, collectedAt=None, judge=None, specId=None),
    "a time in another offset": changed(eventTime="2026-03-10T15:30:00+05:30"),
    "a time with fractions": changed(eventTime="2026-03-10T10:00:00.000+00:00"),
    "a reading's time in another offset": item_changed(0, collectedAt="2026-03-10T06:00:00-04:00"),
    "other meta": changed(meta={"firmware": "2.0", "retries": [1, 2]}),
    "without meta": without("meta"),
}
OTHER = {
    "another value": item_changed(0, valueNumber=245.1),
    "another spec": item_changed(1, specName="Peak Temperature"),
    "a reading more": lambda body: body | {"data": [*body["data"], reading()]},
    "a reading fewer": lambda body: body | {"data": body["data"][:1]},
    "readings in another order": lambda body: body | {"data": body["data"][::-1]},
    "another instant": changed(eventTime="2026-03-10T10:00:00.001Z"),
    "another instant of a reading": item_changed(0, collectedAt="2026-03-10T10:00:01Z"),
    "a claimed judge": item_changed(0, judge="PASS"),
    "another unit": changed(unitSn="SN-2"),
    "an equipment": changed(equipmentId="EQ-9"),
    "by hand": changed(source="MANUAL", operatorId="anna"),
    "an unknown spec": item_changed(0, specName="Nobody's"),
    "an unknown run": changed(runNo="RUN-9"),
}


def send_raw(client: APIClient, body: Any) -> Any:
    return client.post(EVENTS, json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("how", SAME)
def test_the_same_content_is_a_duplicate(person: APIClient, device: APIClient, how: str) -> None:
    into_oven(person)
    first = accept(device, BASE)
    with nothing_changes():
        answer = send_raw(device, SAME[how](copy.deepcopy(BASE)))
    assert answer.status_code == 200, answer.content
    assert answer.json()["data"] == {**first, "isDuplicate": True}
    assert [(m["status"], m["recordId"]) for m in list_messages(person, key="evt-1")] == [
        ("DUPLICATE", first["id"]),
        ("SUCCESS", first["id"]),
    ]


@pytest.mark.parametrize("how", OTHER)
def test_other_content_under_a_used_id_is_a_conflict_and_kept(person: APIClient, device: APIClient, how: str) -> None:
    into_oven(person)
    into_oven(person, "SN-2")
    accept(device, BASE)
    body = OTHER[how](copy.deepcopy(BASE))
    holds = {"held": ["SN-1"]} if how == "another spec" else {}  # there it is outside of the limits
    with nothing_changes(but=(*LOG, Unit, Disposition, Hold, HeldUnit) if holds else LOG):
        answer = device.post(EVENTS, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EVENT_ID_CONFLICT")
    assert answer.json()["error"]["details"] == {"eventId": "evt-1", **holds}
    conflict, success = list_messages(person, key="evt-1")
    assert (success["status"], success["payload"]) == ("SUCCESS", BASE)
    assert (conflict["status"], conflict["payload"], conflict["error"]["code"]) == (
        "CONFLICT",
        body,
        "EVENT_ID_CONFLICT",
    )


@pytest.mark.parametrize("earlier", ['"evt-0"', "1", "null"])
def test_a_duplicate_key_counts_by_its_last_value(person: APIClient, device: APIClient, earlier: str) -> None:
    into_oven(person)
    first = accept(device, BASE)
    body = json.dumps(BASE)
    twice = f'{{"eventId": {earlier},' + body[1:]
    answer = device.post(EVENTS, twice, content_type="application/json")
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, first["id"])


@pytest.mark.parametrize("value", [1e16, 1e22, 1e23, 1e25, 1.5e300, 2**64, 10**30, 1e-7, 5e-324, -0.0])
def test_numbers_of_any_size_are_the_same_again(person: APIClient, device: APIClient, value: float) -> None:
    into_oven(person)
    speed = reading(value, "Conveyor Speed")
    body = make_event("evt-1", speed)
    first = accept(device, body)
    assert accept(device, body, 200) == {**first, "isDuplicate": True}
    if Decimal(repr(float(value))) == value:  # written with the same digits
        as_float = {**body, "data": [{**speed, "valueNumber": float(value)}]}
        assert accept(device, as_float, 200) == {**first, "isDuplicate": True}


def test_a_refused_event_leaves_its_id_free_for_the_corrected_one(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    refuse(device, make_event("evt-1", reading(1, "Peak Temprature")), 422, "DATA_SPEC_NOT_FOUND")
    refuse(device, make_event("evt-1", reading(), runNo="RUN-9"), 404, "RUN_NOT_FOUND")
    refuse(device, make_event("evt-1", reading(), stepNo="20"), 400, "VALIDATION_ERROR")
    accept(device, make_event("evt-1"))
    assert DeviceDataRecord.objects.count() == DataValue.objects.count() == 1


def test_a_refused_event_may_be_sent_again_as_it_was(person: APIClient, device: APIClient) -> None:
    track_in(person, "SMT-01")
    body = make_event()
    refuse(device, body, 404, "TRACK_NOT_FOUND")
    into_oven_from_printer(person)
    accept(device, body)


def into_oven_from_printer(person: APIClient) -> None:
    answer = person.post("/api/stations/SMT-01/track-out", {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"})
    assert answer.status_code == 200
    track_in(person, "REF-01")


def test_a_duplicate_stays_one_though_the_spec_has_changed(plant: Plant, person: APIClient, device: APIClient) -> None:
    paste = make_spec(plant.operations["PRINT"], "Paste Height")  # the step binds none: looked up live
    track_in(person, "SMT-01")
    body = make_event("evt-1", reading(120, "Paste Height"), stationCode="SMT-01", stepNo=10)
    first = accept(device, body)
    for fields in ({"data_type": "TEXT"}, {"method": "MANUAL"}, {"name": "Height"}, {"is_active": False}):
        type(paste).objects.filter(pk=paste.pk).update(**fields)
        with nothing_changes():
            assert accept(device, body, 200) == {**first, "isDuplicate": True}
    other = {**body, "equipmentId": "EQ-9"}
    with nothing_changes():
        assert device.post(EVENTS, other).json()["error"]["code"] == "EVENT_ID_CONFLICT"


def test_a_duplicate_stays_one_though_the_clock_has_gone_on(
    person: APIClient, device: APIClient, settings: Any
) -> None:
    into_oven(person)
    first = accept(device, BASE)
    settings.MES_KEY_LIFETIME = type(settings.MES_KEY_LIFETIME)(days=1)
    with nothing_changes():
        assert accept(device, BASE, 200)["id"] == first["id"]


def test_a_duplicate_of_an_alarm_alarms_once(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    first = accept(device, make_event("evt-1", reading(260), eventTime="2026-03-10T10:00:00Z"))
    assert first["alarms"] != []
    for _ in range(3):
        again = accept(device, make_event("evt-1", reading(260), eventTime="2026-03-10T10:00:00Z"), 200)
        assert again == {**first, "isDuplicate": True}
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 1


def test_ids_are_compared_exactly(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    ids = ["evt-1", "EVT-1", "evt-1 ", " evt-1", "évt-1", "e\u0301vt-1", "x" * 200, "x" * 199, "#%2F/?", "\U0001f600"]
    for event_id in ids:
        assert accept(device, make_event(event_id))["eventId"] == event_id
    assert DeviceDataRecord.objects.count() == len(ids)


@pytest.mark.parametrize("event_id", ["", " ", "x" * 201, "a\tb", "a\u0085b", 1, None, ...])
def test_an_event_has_a_usable_id(person: APIClient, device: APIClient, event_id: Any) -> None:
    into_oven(person)
    body = make_event(eventId=event_id) if event_id is not None else {**make_event(), "eventId": None}
    assert list(refuse(device, body, 400, "VALIDATION_ERROR")["details"]) == ["eventId"]
