"""Random reports by all doors, in any order, repeated, late, contradicting each other, between holds, releases, reworks
and scraps. Whatever comes:

- No unit is done or beyond a step while the latest report of that step failed and nobody decided since.
- No step before one that counts as passed is missing.
- Every report is applied, a repeat, or in the list of what is open or decided.
- What is tried again by itself moves no unit that went on since it occurred, or was sent back.

What a report says is remembered here as it is sent, and is compared with where the units stand after each step: the
product's own judgement plays no part.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Max
from django.test import TestCase
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from execution.models import Disposition, Track
from ingest.models import IngestEvent, OpenIngestEvent
from ingest.processing import catch_up
from integration.models import IntegrationMessage
from mes.plant.models import Equipment, Station
from mes.production.models import Unit
from tests.execution.support import decide, track_in, track_out
from tests.factories import api_client
from tests.ingest.support import (
    INSPECTING,
    REFLOWING,
    RESULT,
    TESTING,
    event,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
)
from tests.integration.helpers import reading
from tests.thoroughness import examples

pytestmark = pytest.mark.django_db
STEPS = [10, 20, 30, 40]
STATIONS = {10: "PRN-1", 20: "AOI-1", 30: "OVN-1", 40: "TST-1"}
UNITS = 2
TOLERANCE = timedelta(seconds=5)
BAD, GOOD = 3.0, 3.3  # Supply Voltage, KEY 3.2..3.4 V
ITEMS = {
    **{key: value for key, value in REFLOWING.items() if key not in ("snListPath", "measurements")},
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "batchPolicy": "PARTIAL",
    "waitSeconds": 60,
    "result": {**RESULT, "path": "result"},
}
_numbers = count(1)


@dataclass(frozen=True)
class Said:
    """What was said of a unit at a step, and how things stood when it came."""

    sn: str
    step_no: int
    is_failing: bool
    about: str  # a pass, a value, an inspection
    occurred_at: datetime
    key: str
    number: int
    last_track_id: int
    open_track_id: int | None
    last_decision_id: int


@dataclass
class Plant:
    """The plant, what was said so far, and who may ask."""

    client: APIClient
    sns: list[str]
    said: list[Said] = field(default_factory=list)
    bodies: list[tuple[str, dict[str, Any], list[tuple[str, int, bool, str]]]] = field(default_factory=list)
    arrivals: dict[str, int] = field(default_factory=dict)
    unasked: set[str] = field(default_factory=set)  # keys of what was not applied when it was sent or replayed

    def tell(self, key: str, facts: list[tuple[str, int, bool, str]], at: datetime) -> None:
        """Note what a report says, before it is sent."""
        number = next(_numbers)
        for sn, step_no, is_failing, about in facts:
            tracks = Track.objects.filter(unit__sn=sn)
            self.said.append(
                Said(
                    sn,
                    step_no,
                    is_failing,
                    about,
                    at,
                    key,
                    number,
                    last_track_id=tracks.aggregate(last=Max("pk"))["last"] or 0,
                    open_track_id=tracks.filter(out_at=None).values_list("pk", flat=True).first(),
                    last_decision_id=Disposition.objects.aggregate(last=Max("pk"))["last"] or 0,
                )
            )
        self.arrivals[key] = number

    def send(self, url: str, body: dict[str, Any], facts: list[tuple[str, int, bool, str]]) -> None:
        """Send a report; whatever is answered is no server error."""
        key = body.get("dedupeKey") or body["eventId"]
        at = datetime.fromisoformat(body.get("occurredAt") or body["eventTime"])
        is_new = all((url, body) != (other, sent) for other, sent, _facts in self.bodies)
        if is_new:
            self.tell(key, facts, at)
            self.bodies.append((url, body, facts))
        answer = self.client.post(url, body)
        assert answer.status_code < 500, answer.content
        if answer.status_code == 201:
            self.asked(key)
        elif is_new:
            self.unasked.add(key)

    def asked(self, key: str) -> None:
        """Note that somebody had this tried."""
        self.arrivals[key] = next(_numbers)
        self.unasked.discard(key)


# --- what may happen ---------------------------------------------------------------------------------------

VERDICTS = ["PASS", "FAIL", "LOW"]
AGES = [0, 0, 0, 0, 3, 3, 30, 400]


def _event(plant: Plant, sn: str, step_no: int, verdict: str, age: int) -> None:
    result = {"result": "NG" if verdict == "FAIL" else "OK"}
    if step_no == 10:
        body = printed(sn, **result)
    elif step_no == 20:
        body = inspected(sn, "end", **result)
    elif step_no == 30:
        body = event("BATCH", {"station": "OVN-1", "boards": [{"sn": sn, **result}]})
    else:
        body = final_test(sn, BAD if verdict == "LOW" else GOOD, **result)
    facts = [(sn, step_no, verdict == "FAIL" or (step_no == 40 and verdict == "LOW"), "pass")]
    if step_no == 40:
        facts.append((sn, step_no, verdict == "LOW", "value"))
    plant.send("/api/ingest/events", {**body, "occurredAt": _ago(age)}, facts)


def _start(plant: Plant, sn: str, _step_no: int, _verdict: str, age: int) -> None:
    plant.send("/api/ingest/events", {**inspected(sn, "start"), "occurredAt": _ago(age)}, [(sn, 20, False, "pass")])


def _panel(plant: Plant, sn: str, _step_no: int, verdict: str, age: int) -> None:
    boards = [{"sn": each, "result": "NG" if each == sn and verdict != "PASS" else "OK"} for each in plant.sns]
    body = event("BATCH", {"station": "OVN-1", "boards": boards})
    facts = [(board["sn"], 30, board["result"] == "NG", "pass") for board in boards]
    plant.send("/api/ingest/events", {**body, "occurredAt": _ago(age)}, facts)


def _again(plant: Plant, _sn: str, step_no: int, verdict: str, age: int) -> None:
    """Send the same report again, or another under its key."""
    if not plant.bodies:
        return
    url, body, facts = plant.bodies[(step_no + age) % len(plant.bodies)]
    if verdict == "PASS" or "payload" not in body or "boards" in body["payload"] or not facts:
        plant.send(url, body, facts)
    else:
        [(sn, step, *_rest), *_others] = facts
        plant.send(url, {**body, "payload": {**body["payload"], "result": "NG"}}, [(sn, step, True, "pass")])


def _data(plant: Plant, sn: str, _step_no: int, verdict: str, age: int) -> None:
    bad = verdict != "PASS"
    body = {
        "eventId": f"evt-{next(_numbers)}",
        "eventTime": _ago(age),
        "source": "AUTO",
        "unitSn": sn,
        "runNo": "RUN-1",
        "stationCode": "TST-1",
        "stepNo": 40,
        "data": [reading(BAD if bad else GOOD, "Supply Voltage")],
    }
    plant.send("/api/integration/device-data", body, [(sn, 40, bad, "value")])


def _inspection(plant: Plant, sn: str, step_no: int, verdict: str, age: int) -> None:
    bad = verdict != "PASS"
    body = {
        "eventId": f"evt-{next(_numbers)}",
        "eventTime": _ago(age),
        "source": "AUTO",
        "unitSn": sn,
        "runNo": "RUN-1",
        "stationCode": STATIONS[step_no],
        "stepNo": step_no,
        "inspectionType": "AOI",
        "result": "FAIL" if bad else "PASS",
    }
    plant.send("/api/integration/inspection-result", body, [(sn, step_no, bad, "inspection")])


def _in(plant: Plant, sn: str, _step_no: int, _verdict: str, _age: int) -> None:
    _no_error(track_in(plant.client, _station_of(sn), sn))


def _out(plant: Plant, sn: str, _step_no: int, verdict: str, _age: int) -> None:
    station = _station_of(sn)
    volts = [{"specName": "Supply Voltage", "valueNumber": BAD if verdict == "LOW" else GOOD}]
    result = "FAIL" if verdict == "FAIL" else "PASS"
    answer = track_out(plant.client, station, sn, result=result, data=volts if station == "TST-1" else [])
    _no_error(answer)
    if station == "TST-1" and answer.status_code == 200 and verdict != "LOW":
        plant.tell(f"hand-{next(_numbers)}", [(sn, 40, False, "value")], timezone.now())


def _decide(action: str) -> Any:
    def act(plant: Plant, sn: str, _step_no: int, _verdict: str, _age: int) -> None:
        _no_error(decide(plant.client, action, sn))

    return act


def _replay(plant: Plant, _sn: str, step_no: int, _verdict: str, age: int) -> None:
    kept = list(OpenIngestEvent.objects.order_by("id"))
    if kept:
        chosen = kept[(step_no + age) % len(kept)]
        plant.asked(chosen.dedupe_key)
        body = {"asNew": True} if chosen.status == "CONFLICT" else {}
        _no_error(plant.client.post(f"/api/ingest/events/{chosen.pk}/replay", body))


def _dismiss(plant: Plant, _sn: str, _step_no: int, _verdict: str, age: int) -> None:
    kept = list(OpenIngestEvent.objects.exclude(status="WAITING").order_by("id"))
    if kept:
        _no_error(plant.client.post(f"/api/ingest/events/{kept[age % len(kept)].pk}/dismiss", {"reason": "seen"}))


def _end_waits(plant: Plant, _sn: str, _step_no: int, _verdict: str, _age: int) -> None:
    OpenIngestEvent.objects.filter(status="WAITING").update(wait_until=timezone.now() - timedelta(seconds=1))
    catch_up()


def _break(plant: Plant, _sn: str, step_no: int, verdict: str, _age: int) -> None:
    status = "normal" if verdict == "PASS" else "down"
    Equipment.objects.update_or_create(
        code=f"EQ-{step_no}",
        defaults={"name": "M", "station": Station.objects.get(code=STATIONS[step_no]), "status": status},
    )


ACTIONS = {
    "event": _event,
    "start": _start,
    "panel": _panel,
    "again": _again,
    "data": _data,
    "inspection": _inspection,
    "in": _in,
    "out": _out,
    "hold": _decide("hold"),
    "release": _decide("release"),
    "rework": _decide("rework"),
    "scrap": _decide("scrap"),
    "replay": _replay,
    "dismiss": _dismiss,
    "end waits": _end_waits,
    "break": _break,
}
OFTEN = ["event"] * 14 + ["panel", "again", "data", "inspection", "start", "in", "out", "out", "release", "rework"]
step = st.tuples(
    st.sampled_from([*OFTEN, "hold", "scrap", "replay", "dismiss", "end waits", "break"]),
    st.integers(0, UNITS - 1),
    st.sampled_from([0] * 8 + [-10, -10, 10, -20, -30, 30]),  # from where the unit stands
    st.sampled_from(["PASS"] * 4 + VERDICTS),
    st.sampled_from(AGES),
)


def _step_of(sn: str, offset: int) -> int:
    return min(max((Unit.objects.get(sn=sn).current_step_no or 10) + offset, 10), 40)


def _ago(seconds: int) -> str:
    return (timezone.now() - timedelta(seconds=seconds)).isoformat()


def _station_of(sn: str) -> str:
    return STATIONS[Unit.objects.get(sn=sn).current_step_no or 10]


def _no_error(answer: Any) -> None:
    assert answer.status_code < 500, answer.content


# --- what must hold ----------------------------------------------------------------------------------------


def check(plant: Plant) -> None:
    """Assert what always holds."""
    for sn in plant.sns:
        unit = Unit.objects.get(sn=sn)
        tracks = list(Track.objects.filter(unit=unit).order_by("id"))
        decisions = list(Disposition.objects.filter(unit=unit).order_by("id"))
        _check_chain(unit, tracks, decisions)
        _check_tried(tracks, decisions, plant)
        for said in plant.said:
            if said.sn == sn and said.is_failing:
                assert _has_effect(said, unit, tracks, decisions, plant), f"{sn} is {unit.status} {unit}, after {said}"
    _check_kept(plant)


def _check_chain(unit: Unit, tracks: list[Track], decisions: list[Disposition]) -> None:
    """Each step before the present one was passed, since the unit was last sent back to it."""
    reworks = [each for each in decisions if each.action == "REWORK"]
    is_done = "DONE" in (unit.status, unit.held_from)
    for step_no in STEPS:
        if step_no >= (unit.current_step_no or 0) and not is_done:
            continue
        sent_back = [number for number, each in enumerate(reworks, start=1) if each.step_no and each.step_no <= step_no]
        passes = [track for track in tracks if track.step_no == step_no]
        assert passes, f"step {step_no} is missing"
        assert passes[-1].result == "PASS", f"step {step_no} failed last"
        assert passes[-1].rework_no >= max(sent_back, default=0), f"step {step_no} was not passed again"


def _check_tried(tracks: list[Track], decisions: list[Disposition], plant: Plant) -> None:
    """What was tried again by itself was for a unit that had not gone on, and was not sent back."""
    reported = IngestEvent.objects.filter(track_ids__overlap=[track.pk for track in tracks])
    tried = {pk: each.dedupe_key for each in reported if each.dedupe_key in plant.unasked for pk in each.track_ids}
    latest_out: datetime | None = None
    for track in tracks:
        if track.pk in tried and track.out_at is not None:
            said = next(each for each in plant.said if each.key == tried[track.pk])
            reworks = [each for each in decisions if each.action == "REWORK" and each.pk <= said.last_decision_id]
            assert track.rework_no == len(reworks), f"tried after a rework: {said}"
            assert latest_out is None or said.occurred_at >= latest_out - TOLERANCE, f"tried late: {said}"
        latest_out = track.out_at or latest_out


def _has_effect(said: Said, unit: Unit, tracks: list[Track], decisions: list[Disposition], plant: Plant) -> bool:
    if unit.status in ("ON_HOLD", "SCRAPPED"):
        return True
    if unit.status != "DONE" and (unit.current_step_no or 0) <= said.step_no:
        return True
    if any(each.pk > said.last_decision_id and each.action != "HOLD" for each in decisions):
        return True
    return any(_supersedes(track, said, plant) for track in tracks) or any(
        _corrects(other, said) for other in plant.said
    )


def _supersedes(track: Track, said: Said, plant: Plant) -> bool:
    """Whether a later pass of the same step counts instead."""
    if (track.step_no, track.result) != (said.step_no, "PASS") or track.out_at is None:
        return False
    is_later = track.pk > said.last_track_id or (track.pk == said.open_track_id and said.about == "pass")
    if not is_later:
        return False
    report = IngestEvent.objects.filter(track_ids__contains=[track.pk]).first()
    is_direct = report is None or plant.arrivals[report.dedupe_key] > said.number
    return is_direct or track.out_at >= said.occurred_at


def _corrects(other: Said, said: Said) -> bool:
    """Whether a later value, or a later verdict of an inspection, counts instead."""
    same = (other.sn, other.step_no) == (said.sn, said.step_no) and not other.is_failing
    by_value = other.about == "value" and said.about in ("value", "pass") and said.step_no == 40
    by_review = other.about == said.about == "inspection"
    return same and (by_value or by_review) and other.occurred_at > said.occurred_at


def _check_kept(plant: Plant) -> None:
    """Every report is in one of the lists, each content of a key by itself, or as an earlier attempt of its key."""
    listed: Counter[str] = Counter()
    for key, attempts in IngestEvent.objects.values_list("dedupe_key", "attempts"):
        listed[key.partition("~")[0]] += 1 + len(attempts)
    lost = {key for key, number in Counter(_keys(plant, "dedupeKey")).items() if number > listed[key]}
    assert not lost
    known = set(IntegrationMessage.objects.values_list("dedupe_key", flat=True))
    assert set(_keys(plant, "eventId")) <= known


def _keys(plant: Plant, name: str) -> Iterator[str]:
    yield from (body[name] for _url, body, _facts in plant.bodies if name in body)


def play(plant: Plant, steps: list[tuple[Any, ...]]) -> None:
    """Do these things one after the other, and look after each."""
    for action, number, offset, verdict, age in steps:
        sn = plant.sns[number]
        with TestCase.captureOnCommitCallbacks(execute=True):
            ACTIONS[action](plant, sn, _step_of(sn, offset), verdict, age)
        check(plant)


def make() -> tuple[APIClient, list[str]]:
    """Make the plant; return who may ask, and the serial numbers of its units."""
    made = make_ingest_plant(units=UNITS, aoi=INSPECTING, reflow=ITEMS, test={**TESTING, "waitSeconds": 60})
    return api_client(), made.sns


PASSED = ("event", 0, 0, "PASS", 0)
TO_OVEN = [PASSED, PASSED]
OTHER_TO_OVEN = [("event", 1, 0, "PASS", 0)] * 2
HISTORIES = {
    "a FAIL of a step that was passed": [PASSED, ("event", 0, -10, "FAIL", 0)],
    "a FAIL of a step that was passed long before": [PASSED, ("event", 0, -10, "FAIL", 400)],
    "a FAIL under the key of a PASS": [PASSED, ("again", 0, 0, "FAIL", 0)],
    "a KEY value that fails a unit that is done": [*TO_OVEN, PASSED, PASSED, ("event", 0, 0, "LOW", 0)],
    "a bad board of a panel that went on": [*TO_OVEN, PASSED, *OTHER_TO_OVEN, ("panel", 0, 0, "FAIL", 0)],
    "a FAIL that waited behind a PASS": [
        *TO_OVEN,
        ("event", 0, 10, "PASS", 3),
        ("event", 0, 10, "FAIL", 0),
        ("in", 0, 0, "PASS", 0),
        ("out", 0, 0, "PASS", 0),
    ],
    "a PASS of before the last step, tried by itself": [*TO_OVEN, ("event", 0, 10, "PASS", 30), PASSED],
    "a PASS of before a rework, tried by itself": [
        *TO_OVEN,
        ("event", 0, 10, "PASS", 0),
        ("event", 0, 0, "FAIL", 0),
        ("rework", 0, 0, "PASS", 0),
        PASSED,
    ],
}


@pytest.mark.parametrize("steps", [pytest.param(steps, id=name) for name, steps in HISTORIES.items()])
def test_histories_that_once_shipped_a_bad_board(steps: list[tuple[Any, ...]]) -> None:
    """Each of them broke one of these rules in the code of before."""
    play(Plant(*make()), steps)


def test_no_bad_board_ships_whatever_comes() -> None:
    client, sns = make()
    reached: Counter[str] = Counter()

    @settings(
        max_examples=examples(40, 200),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(step, min_size=8, max_size=24))
    def run(steps: list[tuple[Any, ...]]) -> None:
        with transaction.atomic():
            play(Plant(client, sns), steps)
            reached.update(Unit.objects.values_list("status", flat=True))
            reached.update(f"step {track.step_no}" for track in Track.objects.all())
            reached.update(OpenIngestEvent.objects.values_list("status", flat=True))
            transaction.set_rollback(True)

    run()
    assert {"DONE", "OUT_FAILED", "ON_HOLD", "SCRAPPED", "step 40", "REJECTED", "WAITING"} <= reached.keys(), reached
