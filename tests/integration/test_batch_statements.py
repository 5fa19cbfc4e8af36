"""What a batch of device data costs: statements by the kinds of events in it, not by their number."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from bench.floor import recorded
from execution.models import Carrier, CarrierTrack, CarrierTrackUnit, DataValue, Disposition, Track
from integration.models import DeviceDataRecord, FailedMessage, SettledMessage
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from mes.production_counts.models import CountReport, HourlyCount
from tests.factories import Plant, api_client, make_plant, make_spec
from tests.integration.helpers import EVENTS, make_event, moment, reading

FEW, MANY = 10, 400
FRAME = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")
AT_PRINTER = {"stationCode": "SMT-01", "stepNo": 10}
BY_ID = {"runNo": ..., "unitSn": ..., "stationCode": ..., "stepNo": ...}

Body = dict[str, Any] | bytes
Events = Callable[[Sequence[int]], list[Body]]


# --- a plant with units enough ------------------------------------------------------------------------------


@pytest.fixture
def plant(db: None) -> Plant:
    """Each unit has passed the printer, whose step binds no specs, and, on a carrier of its own, the oven."""
    made = make_plant(units=1 + FEW + MANY, plan_qty=1000)
    height = {"item_type": "OBSERVATION", "alarm_max": 150, "alarm_action": "ALARM_ONLY"}
    make_spec(made.operations["PRINT"], "Paste Height", **height)
    for step_no, operation, station in ((10, "PRINT", "SMT-01"), (20, "REFLOW", "REF-01")):
        _pass(made, step_no, operation, station)
    Carrier.objects.bulk_create(Carrier(pk=unit.pk, carrier_no=f"P-{unit.sn}") for unit in made.units)
    left = [(track, carrier_track(track)) for track in Track.objects.filter(step_no=20)]
    CarrierTrack.objects.bulk_create(of_carrier for _track, of_carrier in left)
    CarrierTrackUnit.objects.bulk_create(
        CarrierTrackUnit(carrier_track=of_carrier, track=track) for track, of_carrier in left
    )
    return made


def _pass(plant: Plant, step_no: int, operation: str, station: str) -> None:
    at = timezone.now() - timedelta(minutes=5)
    Track.objects.bulk_create(
        Track(
            unit=unit,
            run=plant.run,
            step_no=step_no,
            operation_code=operation,
            station=plant.stations[station],
            source="MANUAL",
            in_at=at,
            out_at=at,
            result="PASS",
        )
        for unit in plant.units
    )


def carrier_track(track: Track) -> CarrierTrack:
    return CarrierTrack(
        pk=track.unit_id,
        carrier_id=track.unit_id,
        run_id=track.run_id,
        step_no=track.step_no,
        operation_code=track.operation_code,
        station_id=track.station_id,
        in_at=track.in_at,
        out_at=track.out_at,
    )


# --- counting -----------------------------------------------------------------------------------------------


@contextmanager
def noted() -> Iterator[list[str]]:
    """Note the statements that are run, without the frames of transactions; one that is run for many rows each time."""
    statements: list[str] = []

    def note_many(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        rows = list(params) if many else []
        statements.extend([statement] * len(rows))
        return execute(statement, rows if many else params, many, context)

    with recorded() as ran, connection.execute_wrapper(note_many):
        yield statements
    texts = (query.decode() if isinstance(query, bytes) else str(query) for query, _values in ran)
    statements.extend(text for text in texts if not text.startswith(FRAME))


def send(client: APIClient, events: Sequence[Body]) -> tuple[list[str], Counter[str]]:
    """Send a batch; return its statements, and how many events got each status or error code."""
    parts = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    body = b'{"events": [' + b", ".join(parts) + b"]}"
    with noted() as statements:
        answer = client.post(f"{EVENTS}/batch", body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    results = answer.json()["data"]["results"]
    return statements, Counter(one.get("error", {}).get("code", one["status"]) for one in results)


# --- kinds of events ----------------------------------------------------------------------------------------


def event(event_id: str, index: int, *readings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an event of a unit at the oven."""
    return make_event(event_id, *readings, **{"unitSn": f"SN-{index + 1}", "eventTime": AT, **fields})


def of_each(name: str, *readings: dict[str, Any], **fields: Any) -> Events:
    """Events of a unit and an id each."""
    return lambda indexes: [event(f"{name}-{index}", index, *readings, **fields) for index in indexes]


def of_one(name: str, *readings: dict[str, Any], **fields: Any) -> Events:
    """One event, sent again and again."""
    return lambda indexes: [event(f"{name}-{indexes[0]}", 0, *readings, **fields) for _index in indexes]


def contradicting(indexes: Sequence[int]) -> list[Body]:
    """One id, and each time other content."""
    return [event(f"contradicting-{indexes[0]}", 0, reading(240 + index / 100)) for index in indexes]


def refused_until_corrected(indexes: Sequence[int]) -> list[Body]:
    """One id, refused for other reasons each time, until the last is right."""
    event_id = f"corrected-{indexes[0]}"
    wrong = [event(event_id, 0, reading(name=f"Spec {index}")) for index in indexes[1:]]
    return [*wrong, event(event_id, 0)]


def of_unknown(indexes: Sequence[int]) -> list[Body]:
    """Each names something that is not there."""
    names: list[dict[str, Any]] = [{"unitSn": "SN-X"}, {"runNo": "RUN-X"}, {"stationCode": "X"}]
    names += [BY_ID | {"trackId": "999999999"}, BY_ID | {"carrierTrackId": "999999999"}]
    return [event(f"unknown-{index}", index, **names[index % len(names)]) for index in indexes]


def malformed(indexes: Sequence[int]) -> list[Body]:
    """Each malformed in its own way; some are no JSON, some lack something, some have an id that was used."""
    ways: list[Callable[[int], Body]] = [
        lambda index: b"[" * 70 + str(index).encode() + b"]" * 70,
        lambda index: {"eventId": f"malformed-{index}"},
        lambda index: event(f"malformed-{index}", index, eventTime="yesterday"),
        lambda index: {"eventId": "ok-0", "source": index},
    ]
    return [ways[index % len(ways)](index) for index in indexes]


def of_carriers(indexes: Sequence[int]) -> list[Body]:
    passes = list(CarrierTrack.objects.order_by("pk").values_list("pk", flat=True))
    return [
        event(f"carrier-{index}", index, reading(251), **BY_ID, carrierTrackId=str(passes[index])) for index in indexes
    ]


def counts_of(equipment: Callable[[int], str]) -> Events:
    """Counts of a minute each, of the machines that the indexes name.

    The first begins with an hour, and no window reaches beyond the hours of its batch: what does costs another look.
    """
    first = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=8)

    def events(indexes: Sequence[int]) -> list[Body]:
        return [
            {
                "eventId": f"counts-{equipment(index)}-{index}",
                "eventTime": AT,
                "source": "AUTO",
                "runNo": "RUN-1",
                "stationCode": "SMT-01",
                "equipmentId": equipment(index),
                "production": {
                    "windowStart": (first + timedelta(minutes=index)).isoformat(),
                    "windowEnd": (first + timedelta(minutes=index + 1)).isoformat(),
                    "mode": "DELTA",
                    "boardsOut": 1,
                },
            }
            for index in indexes
        ]

    return events


@dataclass(frozen=True)
class Kind:
    """Events of a kind, what is sent before them, and how they are answered."""

    events: Events
    answers: frozenset[str]
    before: Events | None = None


def kind(events: Events, *answers: str, before: Events | None = None) -> Kind:
    return Kind(events, frozenset(answers), before)


AT = moment(minutes=1)
KINDS = {
    "accepted": kind(of_each("ok"), "CREATED"),
    "accepted by live specs": kind(of_each("live", reading(100, "Paste Height"), **AT_PRINTER), "CREATED"),
    "an accepted id again": kind(of_one("again"), "CREATED", "DUPLICATE"),
    "one id with other contents": kind(contradicting, "CREATED", "CONFLICT", "EVENT_ID_CONFLICT"),
    "duplicates": kind(of_each("twice"), "DUPLICATE", before=of_each("twice")),
    "conflicts": kind(of_each("used", reading(246)), "EVENT_ID_CONFLICT", before=of_each("used")),
    "a used id again": kind(of_one("known"), "DUPLICATE", before=of_one("known")),
    "without a track": kind(of_each("nowhere", stationCode="TST-01", stepNo=30), "TRACK_NOT_FOUND"),
    "of what is unknown": kind(
        of_unknown,
        "UNIT_NOT_FOUND",
        "RUN_NOT_FOUND",
        "STATION_NOT_FOUND",
        "TRACK_NOT_FOUND",
        "CARRIER_TRACK_NOT_FOUND",
    ),
    "of an unknown spec": kind(of_each("misspelt", reading(name="Peak Temprature")), "DATA_SPEC_NOT_FOUND"),
    "too old": kind(of_each("old", eventTime="2020-01-01T00:00:00Z"), "EVENT_TOO_OLD"),
    "a refused id again": kind(of_one("refused", reading(name="Nobody's")), "DATA_SPEC_NOT_FOUND"),
    "a refused id until it is right": kind(refused_until_corrected, "DATA_SPEC_NOT_FOUND", "CREATED"),
    "malformed": kind(malformed, "PARSE_ERROR", "VALIDATION_ERROR"),
    "late failing values": kind(of_each("late", reading(251)), "CREATED"),
    "late failing values of carriers": kind(of_carriers, "CREATED"),
    "late failing values of one unit": kind(
        lambda indexes: [event(f"unit-{index}", 0, reading(251)) for index in indexes], "CREATED"
    ),
    "alarms": kind(of_each("alarm", reading(200, "Paste Height"), **AT_PRINTER), "CREATED"),
    "alarms that hold": kind(of_each("hold", reading(260)), "CREATED"),
    "counts of a machine": kind(counts_of(lambda index: "EQ-1"), "CREATED"),
    "counts of many machines": kind(counts_of(lambda index: f"EQ-{index}"), "CREATED"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_events_takes_the_same_statements_however_many(plant: Plant, device: APIClient, name: str) -> None:
    kind = KINDS[name]
    ran: dict[int, list[str]] = {}
    for indexes in (range(1), range(1, 1 + FEW), range(1 + FEW, 1 + FEW + MANY)):  # the first fills what is remembered
        if kind.before is not None:
            send(device, kind.before(indexes))
        ran[len(indexes)], answers = send(device, kind.events(indexes))
        assert set(answers) <= kind.answers
    assert answers.total() == MANY
    assert len(ran[MANY]) == len(ran[FEW]), Counter(ran[MANY]).most_common(3)


def test_all_kinds_together_take_the_same_statements_however_many(plant: Plant, device: APIClient) -> None:
    ran: dict[int, list[str]] = {}
    for indexes in (range(2), range(2, 7), range(7, 47)):
        for kind in KINDS.values():
            if kind.before is not None:
                send(device, kind.before(indexes))
        of_kinds = [kind.events(indexes) for kind in KINDS.values()]
        mixed = [event for turn in zip(*of_kinds, strict=True) for event in turn]
        ran[len(indexes)], answers = send(device, mixed)
        assert answers.total() == len(KINDS) * len(indexes)
        assert set(answers) <= {answer for kind in KINDS.values() for answer in kind.answers}
    assert len(ran[40]) == len(ran[5]), Counter(ran[40]).most_common(3)


def test_the_statements_of_a_reading(plant: Plant, device: APIClient) -> None:
    send(device, of_each("warm")(range(1)))
    for number in (1, MANY):
        statements, _answers = send(device, of_each(f"ok-{number}")(range(number)))
        assert len(statements) == 2, statements  # its track is found, and it is written


# --- each event by itself all the same ----------------------------------------------------------------------


def test_repeats_of_a_refused_event_count_up_once_for_each(plant: Plant, device: APIClient) -> None:
    events = of_one("refused", reading(name="Nobody's"))(range(MANY))
    for _time in range(2):
        _statements, answers = send(device, events)
        assert answers == {"DATA_SPEC_NOT_FOUND": MANY}
    assert FailedMessage.objects.get().count == 2 * MANY
    assert not DeviceDataRecord.objects.exists()


def test_an_id_is_refused_until_its_event_is_right_and_used_after(plant: Plant, device: APIClient) -> None:
    wrong, right = event("evt", 0, reading(name="Nobody's")), event("evt", 0)
    statuses = [
        one.get("error", {}).get("code", one["status"])
        for one in device.post(f"{EVENTS}/batch", {"events": [wrong, wrong, right, wrong, right]}).json()["data"][
            "results"
        ]
    ]
    assert statuses == ["DATA_SPEC_NOT_FOUND", "DATA_SPEC_NOT_FOUND", "CREATED", "EVENT_ID_CONFLICT", "DUPLICATE"]
    assert FailedMessage.objects.get(status="FAILED").count == 2
    conflict = FailedMessage.objects.get(status="CONFLICT")
    assert (conflict.count, conflict.sent_key) == (1, "evt")
    assert list(SettledMessage.objects.values_list("status", flat=True)) == ["DUPLICATE"]


def test_units_are_held_for_every_reason_of_a_batch(plant: Plant, device: APIClient) -> None:
    """An alarm with HOLD, late failing values of the unit's own pass and of its carrier's."""
    events = [event(f"{value}-{index}", index, reading(value)) for index in range(3) for value in (260, 251)]
    third = Unit.objects.get(sn="SN-3")
    send(device, [*events, event("carrier", 0, reading(252), **BY_ID, carrierTrackId=str(third.pk))])
    late = "Late data: Peak Temperature failed after the step was passed"
    reason = f"Alarm: Peak Temperature outside the alarm band · {late}"
    sns = ["SN-1", "SN-2", "SN-3"]
    units = list(Unit.objects.filter(status="ON_HOLD").order_by("sn"))
    assert [(unit.sn, unit.hold_reason, unit.held_from) for unit in units] == [(sn, reason, "QUEUED") for sn in sns]
    decisions = Disposition.objects.order_by("unit__sn", "id").values_list("unit__sn", "from_status", "reason")
    assert list(decisions) == [
        (sn, before, why)
        for sn in sns
        for before, why in (("QUEUED", "Alarm: Peak Temperature outside the alarm band"), ("ON_HOLD", late))
    ]
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 3


def test_counts_of_many_machines_are_each_their_own(plant: Plant, device: APIClient) -> None:
    send(device, counts_of(lambda index: f"EQ-{index % 7}")(range(MANY)))
    hours = HourlyCount.objects.order_by().values_list("stream__equipment_id", "boards_out")
    totals: Counter[str] = Counter()
    for equipment, boards in hours:
        totals[equipment] += boards
    assert totals == Counter(f"EQ-{index % 7}" for index in range(MANY))
    assert CountReport.objects.count() == MANY


@pytest.fixture
def without_246(transactional_db: None) -> Iterator[None]:
    """A database that cannot keep a value, for a reason that no check foresees."""
    constraint = "ALTER TABLE execution_datavalue {} CONSTRAINT not_246 {}"
    with connection.cursor() as cursor:
        cursor.execute(constraint.format("ADD", "CHECK (value_number <> 246)"))
        yield
        cursor.execute(constraint.format("DROP", ""))


def test_what_the_database_cannot_keep_is_refused_alone(without_246: None) -> None:
    made = make_plant(units=1 + FEW + MANY, plan_qty=1000)
    _pass(made, 20, "REFLOW", "REF-01")
    device = api_client(Role.INTEGRATION)
    events = [event(f"ok-{index}", index, reading(246 if index == 300 else 245)) for index in range(MANY)]
    events += [event("ok-300", 300, reading(246)), event("ok-300", 300, reading(247)), event("ok-300", 300)]
    statements, answers = send(device, events)
    assert answers == {"CREATED": MANY, "VALIDATION_ERROR": 2, "EVENT_ID_CONFLICT": 1}
    assert len(statements) < 40, statements
    assert DataValue.objects.count() == MANY
    assert FailedMessage.objects.get(status="FAILED").count == 2
