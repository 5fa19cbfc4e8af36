"""Every way in, by name and without HTTP: applied once, answered again, and what is malformed or refused is kept."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from ingest.models import OpenIngestEvent
from integration.models import FailedMessage, SettledMessage
from integration.replay import replay_message
from mes.errors import DomainError, EventTooOld, KeyConflict, ParseFailed, StationNotAllowed, ValidationFailed
from mes.platform.inbound.channels import Channel, channels, get_channel
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender
from tests.factories import Plant
from tests.ingest.support import IngestPlant, make_ingest_plant, printed
from tests.integration.helpers import changed, make_event, moment, reading, state
from tests.integration.test_production_counts import counts
from tests.integration.test_status import BODIES, OTHER, body, make_plant_at_work

SENDER = Sender("token:feeder")
ELSEWHERE = Sender("token:limited", frozenset({"PLC-A9"}))
LONG_AGO = "2020-01-01T00:00:00Z"


@dataclass(frozen=True)
class Sample:
    """A good message of a channel, another under its key, and one that is too old; all well-formed."""

    good: dict[str, Any]
    other: dict[str, Any]
    old: dict[str, Any]


def sample(name: str, plant: Plant | IngestPlant) -> Sample:
    if name == "machine-events":
        good = printed(plant.sns[0])
        return Sample(
            good,
            good | {"payload": good["payload"] | {"panel": 2}},
            good | {"dedupeKey": "evt-old", "occurredAt": LONG_AGO},
        )
    if name == "station-entry":
        said = {"sn": "SN-2", "at": moment(seconds=1)}
        good = {"entryId": "evt-1", "stationCode": "SMT-01", "kind": "TRACK_IN", "body": said}
        old = good | {"entryId": "evt-old", "body": said | {"at": LONG_AGO}}
        return Sample(good, good | {"body": said | {"operatorId": "Mia"}}, old)
    if name in BODIES:
        good, other = body(name), OTHER[name]
    elif name == "production-counts":
        good, other = counts(), {"equipmentId": "EQ-2"}
    else:
        good, other = make_event(), {"data": [reading(246)]}
    return Sample(good, good | other, good | {"eventId": "evt-old", "eventTime": LONG_AGO})


KNOWN = ("device-data", "machine-events", "production-counts", "station-entry", *BODIES)
every_channel = pytest.mark.parametrize("name", KNOWN)


@pytest.fixture
def plant(db: None, name: str) -> Plant | IngestPlant:
    """A plant in which the sample of a channel can be applied."""
    return make_ingest_plant(units=5) if name == "machine-events" else make_plant_at_work()


def feed(channel: Channel[Any], message: dict[str, Any] | bytes, sender: Sender = SENDER) -> Any:
    return channel.receive(message if isinstance(message, bytes) else json.dumps(message).encode(), sender)


def refuse(channel: Channel[Any], message: dict[str, Any] | bytes, error: type[DomainError], **options: Any) -> None:
    """Feed what is refused; nothing but the log changes."""
    before = state()
    with pytest.raises(error):
        feed(channel, message, **options)
    assert changed(before, state()) == []


def kept() -> list[tuple[str, int]]:
    """Return the code of each open message, and how often it came."""
    open_work = (FailedMessage.objects, OpenIngestEvent.objects)
    return [kept for rows in open_work for kept in rows.order_by("id").values_list("error_code", "count")]


def test_the_samples_are_of_all_channels() -> None:
    assert sorted(channel.name for channel in channels) == sorted(KNOWN)


@every_channel
def test_a_message_is_taken_in_once_and_answered_again(plant: Plant | IngestPlant, name: str) -> None:
    channel, message = get_channel(name), sample(name, plant).good
    first = feed(channel, message)
    assert not first.is_duplicate
    before = state()
    again = feed(channel, message | {"meta": {"try": 2}})
    assert changed(before, state()) == []
    assert (again.is_duplicate, again.record_id) == (True, first.record_id)
    assert IdempotencyKey.objects.get().record_id == first.record_id
    assert kept() == []


@every_channel
def test_other_content_under_its_key_is_a_conflict(plant: Plant | IngestPlant, name: str) -> None:
    channel, given = get_channel(name), sample(name, plant)
    feed(channel, given.good)
    with pytest.raises(KeyConflict) as refusal:  # a failing one holds its unit
        feed(channel, given.other)
    refuse(channel, given.other, KeyConflict)
    assert kept() == [(refusal.value.code, 2)]


@every_channel
def test_what_is_malformed_is_kept_and_counts_up(plant: Plant | IngestPlant, name: str) -> None:
    channel = get_channel(name)
    for _time in range(2):
        refuse(channel, b'{"eventId": "evt-1", ', ParseFailed)
        refuse(channel, b'{"eventId": "evt-1"}', ValidationFailed)
    assert sorted(kept()) == [("PARSE_ERROR", 2), ("VALIDATION_ERROR", 2)]


@every_channel
def test_what_is_refused_is_kept_counts_up_and_leaves_its_key_free(plant: Plant | IngestPlant, name: str) -> None:
    channel, given = get_channel(name), sample(name, plant)
    for _time in range(2):
        refuse(channel, given.old, EventTooOld)
    assert kept() == [("EVENT_TOO_OLD", 2)]
    corrected = given.old | {at: given.good[at] for at in ("eventTime", "occurredAt", "body") if at in given.good}
    assert not feed(channel, corrected).is_duplicate


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "machine-events"])  # which have open events
def test_what_was_refused_is_replayed_as_what_it_is(plant: Plant, name: str, settings: Any) -> None:
    channel, given = get_channel(name), sample(name, plant)
    refuse(channel, given.old, EventTooOld)
    message_id = FailedMessage.objects.get().pk
    with pytest.raises(EventTooOld):
        replay_message(message_id=message_id, sender=SENDER)
    settings.MES_KEY_LIFETIME = timedelta(days=10_000)
    first = replay_message(message_id=message_id, sender=SENDER)
    assert (first.is_duplicate, kept()) == (False, [])
    assert SettledMessage.objects.get().note["replayedBy"] == SENDER.system
    assert feed(channel, given.old).record_id == first.record_id


@every_channel
def test_what_is_not_the_sender_s_business_is_not_kept(plant: Plant | IngestPlant, name: str) -> None:
    refuse(get_channel(name), sample(name, plant).good, StationNotAllowed, sender=ELSEWHERE)
    assert kept() == []


@pytest.mark.parametrize("name", ["device-data", "machine-events", "production-counts"])
def test_of_a_batch_each_message_is_taken_in_by_itself(plant: Plant | IngestPlant, name: str) -> None:
    channel, given = get_channel(name), sample(name, plant)
    key_name = "dedupeKey" if name == "machine-events" else "eventId"
    parts = [given.good, {key_name: "bad"}, given.old, given.other, given.good]
    results = channel.receive_batch(json.dumps({"events": parts}).encode(), SENDER)
    key = given.good[key_name]
    assert [result_key for result_key, _outcome in results] == [key, "bad", "evt-old", key, key]
    (_, first), (_, bad), (_, old), (_, other), (_, again) = results
    assert (type(bad), type(old)) == (ValidationFailed, EventTooOld)
    assert isinstance(other, KeyConflict)
    assert (again.is_duplicate, again.record_id) == (True, first.record_id)
    assert sorted(kept()) == sorted([("EVENT_TOO_OLD", 1), ("VALIDATION_ERROR", 1), (other.code, 1)])
    with pytest.raises(ParseFailed):
        channel.receive_batch(b"{", SENDER)
    assert ("PARSE_ERROR", 1) in kept()


@pytest.mark.parametrize("name", ["production-counts"])
def test_counts_are_the_same_message_by_either_way(plant: Plant | IngestPlant, name: str) -> None:
    message = counts()
    first = feed(get_channel("device-data"), message)
    again = feed(get_channel(name), message)
    assert (again.is_duplicate, again.record_id) == (True, first.record_id)


@pytest.mark.parametrize("name", ["production-counts"])
def test_the_channel_of_counts_takes_no_values(plant: Plant | IngestPlant, name: str) -> None:
    refuse(get_channel(name), make_event(), ValidationFailed)
    assert kept() == [("VALIDATION_ERROR", 1)]


def test_a_channel_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        get_channel("device-date")


BATCHED = [channel.name for channel in channels if channel.largest_batch]


@pytest.mark.parametrize("name", BATCHED)
def test_a_message_that_fails_in_a_way_nobody_foresaw_is_kept_and_takes_no_other_with_it(
    plant: Plant | IngestPlant, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = get_channel(name)
    applying = type(channel).apply

    def apply(self: Channel[Any], messages: Any, sender: Sender) -> Any:
        if any(message.key == "key-3" for message in messages):
            raise ZeroDivisionError
        return applying(self, messages, sender)

    monkeypatch.setattr(type(channel), "apply", apply)
    results = channel.receive_batch(json.dumps({"events": numbered(name, plant, 5)}).encode(), SENDER)
    assert [(key, getattr(outcome, "code", "taken in")) for key, outcome in results] == [
        ("key-1", "taken in"),
        ("key-2", "taken in"),
        ("key-3", "INTERNAL_ERROR"),
        ("key-4", "taken in"),
        ("key-5", "taken in"),
    ]
    assert kept() == [("INTERNAL_ERROR", 1)]


@pytest.mark.parametrize("name", BATCHED)
def test_a_database_that_is_away_refuses_nothing(
    plant: Plant | IngestPlant, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(*given: Any) -> Any:
        raise OperationalError

    channel = get_channel(name)
    monkeypatch.setattr(type(channel), "apply", apply)
    with pytest.raises(OperationalError):
        channel.receive_batch(json.dumps({"events": numbered(name, plant, 2)}).encode(), SENDER)
    assert kept() == []


def numbered(name: str, plant: Plant | IngestPlant, number: int) -> list[dict[str, Any]]:
    """Return good messages with the keys key-1, key-2 …, which can be applied one after the other."""
    key = "dedupeKey" if name == "machine-events" else "eventId"
    good = sample(name, plant).good
    sns = plant.sns if isinstance(plant, IngestPlant) else []
    bodies = [printed(sn) for sn in sns] if sns else [good] * number
    return [body | {key: f"key-{index}"} for index, body in enumerate(bodies, start=1)]
