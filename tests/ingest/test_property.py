"""Random interleavings of events and operators on the same units: what holds whatever comes in whatever order."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.production.models import Unit
from tests.execution.support import decide, track_in, track_out
from tests.factories import api_client
from tests.ingest.support import (
    REFLOWING,
    TESTING,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    push,
    reflowed,
)

pytestmark = pytest.mark.django_db
STEPS = [10, 20, 30, 40]
STATIONS = {10: "PRN-1", 20: "AOI-1", 30: "OVN-1", 40: "TST-1"}
UNITS = 2


def pool(sns: list[str]) -> list[tuple[dict[str, Any], float | None]]:
    """Return the events that may be sent, each with the value that only it brings."""
    made: list[tuple[dict[str, Any], float | None]] = []
    for number, sn in enumerate(sns):
        height, volts = 100.0 + number, 3.3 + number / 100
        peak = {"name": "Peak Temperature", "value": 240.0 + number}
        made += [
            (printed(sn, values=[{"name": "Paste Height", "value": height, "unit": "µm"}]), height),
            (printed(sn, values=[{"name": "Paste Height", "value": height + 20, "unit": "µm"}]), height + 20),
            (inspected(sn, "start"), None),
            (inspected(sn, "end"), None),
            (inspected(sn, "end", result="NG"), None) if number else (inspected(sn, "end", result="?"), None),
            (reflowed(f"P-{number}", [sn], values=[peak]), 240.0 + number),
            (final_test(sn, volts), volts),
            (final_test(sn, volts + 0.05, result="NG"), volts + 0.05),
        ]
    made.append((reflowed("P-9", sns, values=[{"name": "Peak Temperature", "value": 244.0}]), 244.0))
    start = timezone.now() - timedelta(seconds=len(made) + 1)
    return [
        ({**body, "occurredAt": (start + timedelta(seconds=index % 8)).isoformat()}, value)
        for index, (body, value) in enumerate(made)
    ]


EVENTS = UNITS * 8 + 1
step = st.one_of(
    st.tuples(st.just("push"), st.integers(0, EVENTS - 1)),
    st.tuples(st.just("push"), st.integers(0, EVENTS - 1)),
    st.tuples(st.just("push"), st.integers(0, EVENTS - 1)),
    st.tuples(st.just("batch"), st.permutations(range(EVENTS))),
    st.tuples(st.just("in"), st.integers(0, UNITS - 1)),
    st.tuples(st.sampled_from(["out PASS", "out FAIL", "hold", "release"]), st.integers(0, UNITS - 1)),
    st.tuples(st.just("replay"), st.integers(0, 3)),
)


def take(client: APIClient, sns: list[str], events: list[tuple[dict[str, Any], Any]], action: str, given: Any) -> None:
    """Do one thing; whatever is answered, it is no server error."""
    if action == "push":
        push(client, events[given][0])
        return
    if action == "batch":
        body = {"events": [events[index][0] for index in given[:6]]}
        answer = client.post("/api/ingest/events/batch", body)
    elif action == "replay":
        kept = list(OpenIngestEvent.objects.order_by("id").values_list("pk", flat=True))
        answer = client.post(f"/api/ingest/events/{kept[given % len(kept)] if kept else 7}/replay")
    else:
        sn = sns[given]
        station = STATIONS[Unit.objects.get(sn=sn).current_step_no or 10]
        if action == "in":
            answer = track_in(client, station, sn)
        elif action.startswith("out"):
            volts = [{"specName": "Supply Voltage", "valueNumber": 3.21}] if station == "TST-1" else []
            answer = track_out(client, station, sn, result=action[4:], data=volts)
        else:
            answer = decide(client, action, sn)
    assert answer.status_code < 500, answer.content


def check(sns: list[str], events: list[tuple[dict[str, Any], Any]]) -> None:
    """Assert what always holds."""
    for sn in sns:
        _check_unit(Unit.objects.get(sn=sn), list(Track.objects.filter(unit__sn=sn).order_by("id")))
    applied = Counter(SettledIngestEvent.objects.values_list("dedupe_key", flat=True))
    assert set(applied.values()) <= {1}
    opened = set(OpenIngestEvent.objects.values_list("dedupe_key", flat=True))
    assert not opened & applied.keys()
    stored = Counter(DataValue.objects.values_list("value_number", flat=True))
    for body, value in events:
        if value is not None:  # an event has all of its effect once, or none
            assert stored[value] == applied[body["dedupeKey"]], (value, body)


def _check_unit(unit: Unit, tracks: list[Track]) -> None:
    assert sum(track.out_at is None for track in tracks) <= 1
    passed: set[int] = set()
    status, current, failures = "QUEUED", 10, 0
    for track in tracks:
        assert {number for number in STEPS if number < track.step_no} <= passed, "a step was skipped"
        assert track.step_no not in passed, "a step was done twice"
        current = track.step_no
        if track.out_at is None:
            assert track is tracks[-1]
            status = "IN_STATION"
        elif track.result == "PASS":
            passed.add(track.step_no)
            status = "DONE" if track.step_no == 40 else "QUEUED"
            current = min(track.step_no + 10, 40)
        else:
            failures += 1 if track.step_no == 40 else 2
            status = "QUEUED" if failures == 1 else "OUT_FAILED"
    assert (unit.held_from if unit.status == "ON_HOLD" else unit.status, unit.current_step_no) == (status, current)


def test_whatever_comes_in_whatever_order() -> None:
    plant = make_ingest_plant(units=UNITS, reflow={**REFLOWING, "waitSeconds": 60}, test={**TESTING, "waitSeconds": 60})
    client = api_client()
    events = pool(plant.sns)
    reached: Counter[str] = Counter()

    @settings(
        max_examples=30,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(step, min_size=4, max_size=20))
    def run(actions: list[tuple[str, Any]]) -> None:
        with transaction.atomic():
            for action, given_ in actions:
                with TestCase.captureOnCommitCallbacks(execute=True):
                    take(client, plant.sns, events, action, given_)
                check(plant.sns, events)
            reached.update(Unit.objects.values_list("status", flat=True))
            reached.update(f"step {track.step_no}" for track in Track.objects.all())
            transaction.set_rollback(True)

    run()
    assert {"DONE", "OUT_FAILED", "ON_HOLD", "step 30", "step 40"} <= reached.keys(), reached
