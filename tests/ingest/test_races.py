"""Events at the same time: exactly one wins, nothing deadlocks, nothing counts twice."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from time import sleep
from typing import Any

import pytest
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.test import APIClient

from execution import carriers
from execution.models import CarrierLoad, CarrierTrack, DataValue, Track
from ingest import candidates, context, keys
from ingest.envelope import ReceivedEvent
from ingest.models import IngestEvent, OpenIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.production import locking
from mes.production.models import Run, Unit
from tests.factories import api_client
from tests.ingest.support import final_test, inspected, make_ingest_plant, printed, reflowed
from tests.integration.helpers import another, at_once, moment

pytestmark = pytest.mark.django_db(transaction=True)
HEIGHT = {"name": "Paste Height", "value": 120, "unit": "µm"}
Answer = tuple[int, str]


@pytest.fixture
def client(transactional_db: None) -> APIClient:
    return api_client()


def call(client: APIClient, url: str, body: dict[str, Any]) -> Callable[[], Answer]:
    """Return a call that posts and returns (status, status of the event or code of the error)."""

    def make() -> Answer:
        answer = another(client).post(f"/api/{url}", body)
        said = answer.json()
        return answer.status_code, said["data"].get("status", "") if said["ok"] else said["error"]["code"]

    return make


def push(client: APIClient, body: dict[str, Any]) -> Callable[[], Answer]:
    return call(client, "ingest/events", body)


def test_many_posts_of_one_event_are_one_event(client: APIClient) -> None:
    sn = make_ingest_plant().sns[0]
    answers = at_once(push(client, printed(sn, values=[HEIGHT])), times=16)
    assert Counter(answers) == {(201, "APPLIED"): 1, (200, "APPLIED"): 15}
    assert Track.objects.count() == DataValue.objects.count() == IngestEvent.objects.count() == 1


def test_without_the_key_all_but_one_would_be_refused(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the lock of the unit alone keeps the effect single, but calls a repeat a mistake."""
    sn = make_ingest_plant().sns[0]
    monkeypatch.setattr(context, "CLAIM_AND_LOCK", locking.claim_and_lock("SELECT 1"))
    answers = at_once(push(client, printed(sn)), times=8)
    assert Counter(answers)[(201, "APPLIED")] == 1
    assert {status for status, _code in answers} == {201, 409}
    assert Track.objects.count() == 1


def test_many_posts_of_one_event_that_waits(client: APIClient) -> None:
    sn = make_ingest_plant().sns[0]
    body = inspected(sn, "end")
    answers = at_once(push(client, body), times=12)
    assert Counter(answers) == {(202, "WAITING"): 1, (200, "WAITING"): 11}
    assert OpenIngestEvent.objects.get().count == 1


def test_many_posts_of_one_event_that_is_refused(client: APIClient) -> None:
    make_ingest_plant()
    answers = at_once(push(client, printed("nobody")), times=12)
    assert set(answers) == {(404, "UNIT_NOT_FOUND")}
    assert OpenIngestEvent.objects.get().count == 12


def test_different_events_for_one_unit(client: APIClient) -> None:
    sn = make_ingest_plant().sns[0]
    answers = at_once(*(push(client, printed(sn)) for _ in range(12)))
    assert Counter(status for status, _code in answers) == {201: 1, 409: 11}
    assert {code for _status, code in answers} <= {"APPLIED", "STATION_MISMATCH", "STEP_MISMATCH"}
    assert Track.objects.count() == 1


def test_one_test_result_under_many_keys(client: APIClient) -> None:
    sn = make_ingest_plant().sns[0]
    Unit.objects.update(current_step_no=40)
    body = final_test(sn)
    answers = at_once(*(push(client, {**body, "dedupeKey": f"key-{number}"}) for number in range(10)))
    assert Counter(answers) == {(201, "APPLIED"): 1, (200, "APPLIED"): 9}
    assert Track.objects.count() == SettledIngestEvent.objects.count() == 1


def test_the_whole_way_at_once(client: APIClient) -> None:
    plant = make_ingest_plant(units=4)
    for sn in plant.sns:
        bodies = [printed(sn), inspected(sn, "start"), inspected(sn, "end")]
        answers = at_once(*(push(client, body) for body in bodies), times=2)
        assert {status for status, _code in answers} <= {200, 201, 202, 409}
        while catch_up():
            pass
        steps = list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", "result"))
        assert steps == [(10, "PASS"), (20, "PASS")]
    assert Unit.objects.filter(current_step_no=30, status="QUEUED").count() == 4


def test_a_waiting_event_is_applied_once_by_many_who_try(client: APIClient) -> None:
    plant = make_ingest_plant()
    for sn in plant.sns:
        assert push(client, inspected(sn, "end"))()[0] == 202
    Unit.objects.update(current_step_no=20)
    at_once(catch_up, times=8)
    assert (Track.objects.count(), SettledIngestEvent.objects.count()) == (3, 3)
    assert not OpenIngestEvent.objects.exists()


def test_an_event_that_waited_in_vain_is_given_up_by_many_who_try(client: APIClient) -> None:
    plant = make_ingest_plant()
    for sn in plant.sns:
        assert push(client, inspected(sn, "end"))()[0] == 202
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    replays = [
        call(client, f"ingest/events/{pk}/replay", {}) for pk in OpenIngestEvent.objects.values_list("pk", flat=True)
    ]
    answers = at_once(*replays, catch_up, times=4)
    given_up = {one for one in answers if isinstance(one, tuple)}
    assert given_up <= {(409, "STEP_MISMATCH"), (409, "INVALID_TRANSITION"), (202, "WAITING"), (200, "WAITING")}
    assert not Track.objects.exists()
    assert OpenIngestEvent.objects.count() == 3


def test_a_repeat_at_the_moment_the_event_is_given_up(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the key taken, and when it asks what was answered, the key is free again: it is tried afresh."""
    body = inspected(make_ingest_plant().sns[0], "end")
    assert push(client, body)() == (202, "WAITING")
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    earlier_answer = keys.earlier_answer

    def give_up_first(event: ReceivedEvent) -> Mapping[str, Any]:
        at_once(catch_up, times=1)
        assert OpenIngestEvent.objects.get().status == "REJECTED"
        return earlier_answer(event)

    monkeypatch.setattr(keys, "earlier_answer", give_up_first)
    assert push(client, body)() == (202, "WAITING")
    assert OpenIngestEvent.objects.get().status == "WAITING"


def test_batches_that_share_units_in_different_order(client: APIClient) -> None:
    plant = make_ingest_plant(units=18)
    Unit.objects.update(current_step_no=30)
    for first in range(0, 18, 6):
        sns = plant.sns[first : first + 6]
        orders = [sns, sns[::-1], sns[3:] + sns[:3], sns[::2] + sns[1::2]]
        events = [reflowed(f"P-{first}-{number}", order) for number, order in enumerate(orders)]
        answers = at_once(*(push(client, body) for body in events), times=2)
        counts = Counter(status for status, _code in answers)
        assert counts[201] == counts[200] == 1, answers
        assert counts[409] == 6, answers
    assert Track.objects.count() == CarrierLoad.objects.filter(unloaded_at=None).count() == 18
    assert CarrierTrack.objects.count() == 3


def test_carriers_that_exchange_their_units(client: APIClient) -> None:
    plant = make_ingest_plant(units=12)
    Unit.objects.update(current_step_no=30)
    for number in range(0, 12, 2):
        one, two = plant.sns[number : number + 2]
        for carrier, sn in ((f"A-{number}", one), (f"B-{number}", two)):
            assert call(client, f"carriers/{carrier}/load", {"units": [{"sn": sn}]})()[0] == 200
        swapped = [reflowed(f"A-{number}", [two]), reflowed(f"B-{number}", [one])]
        answers = at_once(*(push(client, body) for body in swapped))
        assert {status for status, _code in answers} == {201}, answers
    assert CarrierLoad.objects.filter(unloaded_at=None).count() == 12


def slow_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each change of what carriers carry take long, to widen the window of a race."""
    update = QuerySet.update

    def slowly(rows: QuerySet[Any], **values: Any) -> int:
        changed = update(rows, **values)
        if rows.model is CarrierLoad:
            sleep(0.2)
        return changed

    monkeypatch.setattr(QuerySet, "update", slowly)


def swap(client: APIClient) -> list[Answer]:
    """Have two carriers exchange their units, at the same moment."""
    one, two = make_ingest_plant(units=2).sns
    Unit.objects.update(current_step_no=30)
    Run.objects.update(status="IN_PROGRESS")  # or the lock of the run that starts would order them
    for carrier, sn in (("A", one), ("B", two)):
        assert call(client, f"carriers/{carrier}/load", {"units": [{"sn": sn}]})()[0] == 200
    return at_once(*(push(client, body) for body in (reflowed("A", [two]), reflowed("B", [one]))))


def test_carriers_that_exchange_their_units_slowly(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_loads(monkeypatch)
    assert swap(client) == [(201, "APPLIED")] * 2


def test_control_carriers_that_lock_only_the_units_they_are_told_of_deadlock(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "list_carried", lambda carrier_no: [])
    monkeypatch.setattr(locking.Locked, "check", lambda self, **rows: None)
    slow_loads(monkeypatch)
    assert (503, "TRY_AGAIN") in swap(client)


def test_one_carrier_loaded_by_many(client: APIClient) -> None:
    plant = make_ingest_plant(units=8)
    bodies = [{"units": [{"sn": sn, "position": "1"}]} for sn in plant.sns]
    answers = at_once(*(call(client, "carriers/P/load", body) for body in bodies))
    assert Counter(status for status, _code in answers) == {200: 1, 400: 7}
    assert CarrierLoad.objects.get(unloaded_at=None).position == "1"


def test_loads_and_unloads_of_the_same_units(client: APIClient) -> None:
    plant = make_ingest_plant(units=6)
    orders = [plant.sns, plant.sns[::-1], plant.sns[3:] + plant.sns[:3]]
    for _round in range(4):
        loads = [
            call(client, f"carriers/P-{number}/load", {"units": [{"sn": sn} for sn in order]})
            for number, order in enumerate(orders)
        ]
        unloads = [call(client, f"carriers/P-{number}/unload", {}) for number in range(3)]
        answers = at_once(*loads, *(unloads if _round else []), times=2)
        assert {status for status, _code in answers} == {200}, answers
    current = CarrierLoad.objects.filter(unloaded_at=None).values_list("unit_id", flat=True)
    assert len(current) == len(set(current))


def load_and_unload(client: APIClient) -> list[Answer]:
    """Have a unit taken off one carrier and put onto another, at the same moment, where it was on the first."""
    one, two = make_ingest_plant(units=2).sns
    assert call(client, "carriers/A/load", {"units": [{"sn": one}, {"sn": two}]})()[0] == 200
    unload = call(client, "carriers/A/unload", {})
    return at_once(unload, call(client, "carriers/A/load", {"units": [{"sn": two, "position": "2"}]}), unload)


def test_a_load_and_an_unload_at_once_wait_for_each_other(client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_loads(monkeypatch)
    assert {status for status, _code in load_and_unload(client)} == {200}


def test_control_an_unload_that_locks_the_carrier_first_deadlocks(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The units are locked before the carrier, as by every event; the other way round, the two wait for each other."""
    lock_units = locking.lock_units

    def carrier_first(units: QuerySet[Unit]) -> list[Unit]:
        if "unload" in {frame.function for frame in inspect.stack()}:
            carriers.lock_carrier("A")
        sleep(0.2)
        locked = lock_units(units)
        sleep(0.2)
        return locked

    monkeypatch.setattr(locking, "lock_units", carrier_first)
    assert (503, "TRY_AGAIN") in load_and_unload(client)


def test_an_event_that_overtakes_at_the_same_moment_does_not_wait_for_the_clock(client: APIClient) -> None:
    """Whoever comes first holds the unit: the other finds the unit moved, or the event that waits for its move."""
    plant = make_ingest_plant(units=30)
    for sn in plant.sns:
        early = {**printed(sn), "occurredAt": moment(seconds=2)}
        late = {**inspected(sn, "end"), "occurredAt": moment(seconds=1)}
        answers = at_once(push(client, late), push(client, early))
        assert {status for status, _code in answers} <= {201, 202}
        assert list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", flat=True)) == [10, 20]
    assert not OpenIngestEvent.objects.exists()
