"""What a report does to its unit: by every door, wherever the unit stands, held or not.

| the unit (held: as if it were where it was held from) | failing | passing |
|---|---|---|
| at the step, every guard passes | applied | applied |
| before the step, the event may wait | WAITING | WAITING |
| anything else | refused and ON_HOLD; OUT_FAILED at this step and SCRAPPED stay | refused |

A person is told at once what a report cannot be: what a person is refused holds nobody.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from execution import dispositions
from ingest.models import OpenIngestEvent
from ingest.processing import catch_up
from mes.production.models import Unit, UnitStatus
from tests.execution.support import track_in, track_out
from tests.factories import api_client
from tests.ingest.support import (
    INSPECTING,
    MEASUREMENTS,
    REFLOWING,
    RESULT,
    TESTING,
    IngestPlant,
    event,
    make_ingest_plant,
)

STATIONS = {10: "PRN-1", 20: "AOI-1", 30: "OVN-1", 40: "TST-1"}
ENDS_AT = max(STATIONS)
GOOD, BAD = 3.3, 3.0  # Supply Voltage, KEY 3.2..3.4, of step 40
HERE, BEFORE, PAST = "here", "before", "past"


# --- the doors ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Door:
    """A way by which something is reported of a unit at a step.

    `needs_track`: it reports of a pass that there is. `waits`: it may wait for its unit, and this wait ends.
    `is_conflict`: its key is spent by another unit's, so it is never applied. `after_fail` is where a first failing
    pass leads.
    """

    step_no: int
    plant: str
    report: Callable[[APIClient, IngestPlant, str, bool], Any]
    needs_track: bool = False
    waits: bool = False
    by_hand: bool = False
    is_conflict: bool = False

    @property
    def after_fail(self) -> str:
        return "QUEUED" if self.step_no == ENDS_AT else "OUT_FAILED"  # the tester has a retest


def _voltage(is_failing: bool) -> list[dict[str, Any]]:
    return [{"name": "Supply Voltage", "value": BAD if is_failing else GOOD, "unit": "V"}]


def _single(kind: str, step_no: int) -> Callable[[APIClient, IngestPlant, str, bool], Any]:
    def report(client: APIClient, plant: IngestPlant, sn: str, is_failing: bool) -> Any:
        said: dict[str, Any] = {"result": "NG" if is_failing else "OK", "values": []}
        if kind == "TEST":  # the machine claims PASS
            said = {"result": "OK", "values": _voltage(is_failing), "testId": f"test-{sn}-{is_failing}"}
        named = {"sns": [sn]} if kind == "BATCH" else {"sn": sn}
        return client.post("/api/ingest/events", event(kind, {"station": STATIONS[step_no], **named, **said}))

    return report


def _panel(kind: str, step_no: int) -> Callable[[APIClient, IngestPlant, str, bool], Any]:
    def report(client: APIClient, plant: IngestPlant, sn: str, is_failing: bool) -> Any:
        """The unit between two good ones, which are at the step."""
        boards = [{"sn": other, "result": "OK", "values": _voltage(False)} for other in plant.sns]
        boards[1] = {"sn": sn, "result": "NG" if is_failing else "OK", "values": _voltage(is_failing)}
        payload = {"station": STATIONS[step_no], "boards": boards, "testId": f"panel-{sn}-{is_failing}"}
        return client.post("/api/ingest/events", event(kind, payload))

    return report


def _place(sn: str, step_no: int, event_id: str) -> dict[str, Any]:
    fields = {"eventId": event_id, "eventTime": timezone.now().isoformat(), "source": "AUTO"}
    run_no = sn.partition("-SN-")[0]
    return {**fields, "runNo": run_no, "unitSn": sn, "stationCode": STATIONS[step_no], "stepNo": step_no}


def _device_data(client: APIClient, plant: IngestPlant, sn: str, is_failing: bool) -> Any:
    reading = {"specName": "Supply Voltage", "valueNumber": BAD if is_failing else GOOD}
    return client.post("/api/integration/device-data", {**_place(sn, 40, f"evt-{is_failing}"), "data": [reading]})


def _inspection(client: APIClient, plant: IngestPlant, sn: str, is_failing: bool) -> Any:
    result = {"inspectionType": "AOI", "result": "FAIL" if is_failing else "PASS"}
    return client.post("/api/integration/inspection-result", {**_place(sn, 20, f"evt-{is_failing}"), **result})


def _under_spent_key(report: Callable[..., Any], station: str, name: str) -> Callable[..., Any]:
    """Return a report whose key is spent by that of another unit, which passes here."""

    def report_both(client: APIClient, plant: IngestPlant, sn: str, is_failing: bool) -> Any:
        other = plant.sns[0]
        assert track_in(client, station, other, other.partition("-SN-")[0]).status_code == 201
        key = f"spent-{is_failing}"
        first = report(_Keyed(client, name, key), plant, other, False)
        assert first.status_code == 201, first.content
        return report(_Keyed(client, name, key), plant, sn, is_failing)

    return report_both


@dataclass(frozen=True)
class _Keyed:
    """A client that sends everything under one key."""

    client: APIClient
    name: str
    key: str

    def post(self, url: str, body: dict[str, Any]) -> Any:
        return self.client.post(url, {**body, self.name: self.key})


def _by_hand(client: APIClient, plant: IngestPlant, sn: str, is_failing: bool) -> Any:
    run_no = sn.partition("-SN-")[0]
    return track_out(client, STATIONS[20], sn, run_no, "FAIL" if is_failing else "PASS")


DOORS = {
    "machine event AUTO": Door(20, "single", _single("AUTO", 20)),
    "machine event BATCH": Door(30, "single", _single("BATCH", 30)),
    "machine event TEST": Door(40, "single", _single("TEST", 40)),
    "panel AUTO": Door(20, "panels", _panel("AUTO", 20)),
    "panel BATCH": Door(30, "panels", _panel("BATCH", 30)),
    "panel TEST": Door(40, "panels", _panel("TEST", 40)),
    "wait that ended AUTO": Door(20, "waiting", _single("AUTO", 20), waits=True),
    "wait that ended TEST": Door(40, "waiting", _single("TEST", 40), waits=True),
    "device data": Door(40, "single", _device_data, needs_track=True),
    "inspection": Door(20, "single", _inspection, needs_track=True),
    "conflict of machine events": Door(
        20, "single", _under_spent_key(_single("AUTO", 20), "AOI-1", "dedupeKey"), is_conflict=True
    ),
    "conflict of device data": Door(40, "single", _under_spent_key(_device_data, "TST-1", "eventId"), is_conflict=True),
    "conflict of inspections": Door(20, "single", _under_spent_key(_inspection, "AOI-1", "eventId"), is_conflict=True),
    "by hand": Door(20, "single", _by_hand, needs_track=True, by_hand=True),
}


# --- the states --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """Where a unit stands, as seen from the step that is reported."""

    status: str
    where: str
    is_held: bool = False

    def __str__(self) -> str:
        return f"{self.status} {self.where}{', held' if self.is_held else ''}"

    def step_no(self, door: Door) -> int:
        return door.step_no + {BEFORE: -10, HERE: 0, PAST: 10}[self.where]

    def put(self, client: APIClient, sn: str, door: Door) -> None:
        """Put a unit there."""
        step_no = self.step_no(door)
        Unit.objects.filter(sn=sn).update(current_step_no=step_no)
        if self.status == UnitStatus.IN_STATION:
            entered = track_in(client, STATIONS[step_no], sn, sn.partition("-SN-")[0])
            assert entered.status_code == 201, entered.content
        Unit.objects.filter(sn=sn).update(status=self.status)
        if self.is_held:
            dispositions.hold_unit(sn=sn, reason="look", by="quality")


LIVE = [
    *(State(status, where) for status in ("QUEUED", "IN_STATION", "OUT_FAILED") for where in (BEFORE, HERE, PAST)),
    State("DONE", PAST),
    State("DONE", HERE),
]
STATES = [*LIVE, *(State(each.status, each.where, is_held=True) for each in LIVE), State("SCRAPPED", HERE)]


def exists(door: Door, state: State) -> bool:
    """Whether a unit can be there: nothing is past the last step, and only there a unit is done."""
    step_no = state.step_no(door)
    return step_no <= ENDS_AT and (state.status != UnitStatus.DONE or step_no == ENDS_AT)


def expected(door: Door, state: State, is_failing: bool) -> tuple[str, str, int]:
    """Return status, status behind the hold and step by the table."""
    stands = (state.status, state.step_no(door))
    is_applied = state.where == HERE and state.status == UnitStatus.IN_STATION
    is_applied |= state.where == HERE and state.status == UnitStatus.QUEUED and not door.needs_track
    if door.is_conflict or (door.by_hand and state.is_held):
        is_applied = False
    is_held = state.is_held
    if is_applied and (door.by_hand or not door.needs_track):
        stands = _led(door, is_failing)
    elif not is_applied and is_failing and not door.by_hand:
        failed_here = state.status == UnitStatus.OUT_FAILED and state.where == HERE
        is_held |= not failed_here and state.status != UnitStatus.SCRAPPED
    status, step_no = stands
    return ("ON_HOLD", status, step_no) if is_held else (status, "", step_no)


def _led(door: Door, is_failing: bool) -> tuple[str, int]:
    """Return where an applied report leads: status and step."""
    if is_failing:
        return door.after_fail, door.step_no
    return ("DONE", ENDS_AT) if door.step_no == ENDS_AT else ("QUEUED", door.step_no + 10)


# --- the plants --------------------------------------------------------------------------------------------

PLANTS: dict[str, IngestPlant] = {}
AT_ONCE = {name: value for name, value in INSPECTING.items() if name not in ("phase", "waitSeconds")}
BOARDS = {"unitsPath": "payload.boards", "snPath": "sn", "stationCodePath": "payload.station"}
BOARDS |= {"result": {**RESULT, "path": "result"}, "measurements": {**MEASUREMENTS, "itemsPath": "values"}}


@pytest.fixture(scope="module")
def plants(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make the plants once, in a transaction around those of the tests."""
    testing = {"testResultIdPath": "payload.testId"}
    with django_db_blocker.unblock(), transaction.atomic():
        PLANTS["single"] = make_ingest_plant(aoi=AT_ONCE, reflow=REFLOWING, test={**AT_ONCE, **testing})
        PLANTS["panels"] = make_ingest_plant(
            run_no="RUN-2", aoi=BOARDS, reflow={**BOARDS, "batchPolicy": "PARTIAL"}, test={**BOARDS, **testing}
        )
        PLANTS["waiting"] = make_ingest_plant(run_no="RUN-3", aoi={**AT_ONCE, "waitSeconds": 60}, test=TESTING)
        yield
        transaction.set_rollback(True)


CASES = [
    pytest.param(door, state, id=f"{name}: {state}")
    for name, door in DOORS.items()
    for state in STATES
    if exists(door, state)
]


@pytest.mark.parametrize(("door", "state"), CASES)
def test_a_report_does_what_the_table_says(
    plants: None, db: None, django_capture_on_commit_callbacks: Any, door: Door, state: State
) -> None:
    client, plant = api_client(), PLANTS[door.plant]
    sn = plant.sns[1]
    for is_failing in (True, False):
        with transaction.atomic():
            Unit.objects.filter(sn__in=plant.sns).update(current_step_no=door.step_no)
            state.put(client, sn, door)
            with django_capture_on_commit_callbacks(execute=True):
                answer = door.report(client, plant, sn, is_failing)
            assert answer.status_code < 500, answer.content
            if door.waits:
                end_wait(door, state)
            unit = Unit.objects.get(sn=sn)
            found = (unit.status, unit.held_from, unit.current_step_no)
            assert found == expected(door, state, is_failing), (is_failing, answer.content)
            told = answer.json().get("error", {}).get("details", {}).get("held")
            assert told in (None, [sn])
            if told:
                assert (unit.status, is_failing) == ("ON_HOLD", True)
            transaction.set_rollback(True)


def end_wait(door: Door, state: State) -> None:
    """Let the wait end of an event whose unit is before its step; no other waits."""
    waiting = OpenIngestEvent.objects.filter(status="WAITING")
    assert waiting.count() == (state.where == BEFORE)
    if state.where == BEFORE:
        waiting.update(wait_until=timezone.now() - timedelta(seconds=1))
        assert catch_up() == 1
        assert OpenIngestEvent.objects.get().status == "REJECTED"
