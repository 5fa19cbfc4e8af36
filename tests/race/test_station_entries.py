"""Entries that come at the same time: each is done once, and one that waited never undoes what was done elsewhere."""

from collections import Counter
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Disposition, Track
from integration import refused_reports
from integration.models import FailedMessage
from mes.platform.inbound import keys
from mes.platform.inbound.models import IdempotencyKey
from mes.production.models import Unit
from tests.factories import make_plant
from tests.integration.helpers import another, at_once, moment, track_in

TIMES = 24
Answer = tuple[int, Any]


def send(client: APIClient, what: str, body: dict[str, Any]) -> Callable[[], Answer]:
    """Return a call that posts to the printer; its answer is (status, isDuplicate or the code)."""

    def call() -> Answer:
        answer = another(client).post(f"/api/stations/SMT-01/{what}", body)
        data = answer.json()
        return answer.status_code, data["data"]["isDuplicate"] if data["ok"] else data["error"]["code"]

    return call


def failing(person: APIClient, sn: str = "SN-1") -> dict[str, Any]:
    """Have a unit in the printer; return an entry that fails it."""
    track_in(person, "SMT-01", sn)
    return {"sn": sn, "entryId": f"e-{sn}", "at": moment(), "result": "FAIL"}


def test_of_one_entry_sent_often_one_is_done_and_the_others_get_its_answer(person: APIClient) -> None:
    make_plant(units=1)
    body = {"sn": "SN-1", "entryId": "e-1", "at": moment()}
    assert Counter(at_once(send(person, "track-in", body), times=TIMES)) == {(201, False): 1, (200, True): TIMES - 1}
    out = {**body, "entryId": "e-2", "result": "PASS", "at": moment()}
    assert Counter(at_once(send(person, "track-out", out), times=TIMES)) == {(200, False): 1, (200, True): TIMES - 1}
    assert (Track.objects.count(), Unit.objects.get().current_step_no) == (1, 20)
    assert not FailedMessage.objects.exists()


def test_control_without_the_key_it_is_done_and_refused(person: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is refused of a failed board would hold it."""
    make_plant(units=1)
    body = failing(person)
    monkeypatch.setattr(keys, "claim", lambda *claimed, **answer: True)
    answers = Counter(at_once(send(person, "track-out", body), times=TIMES))
    assert answers == {(200, False): 1, (409, "UNIT_NOT_IN_STATION"): TIMES - 1}


def test_of_other_content_under_one_key_one_is_done(person: APIClient) -> None:
    make_plant(units=1)
    bodies = [{"sn": "SN-1", "entryId": "e-1", "at": moment(seconds=number)} for number in range(12)]
    answers = Counter(at_once(*(send(person, "track-in", body) for body in bodies)))
    assert answers == {(201, False): 1, (409, "EVENT_ID_CONFLICT"): 11}
    assert Track.objects.count() == IdempotencyKey.objects.count() == 1


def leave_elsewhere(person: APIClient, sn: str = "SN-1") -> Callable[[], Answer]:
    """Return a call of another tablet at the station, which passes the unit."""
    return send(person, "track-out", {"sn": sn, "entryId": f"other-{sn}", "at": moment(), "result": "PASS"})


def is_lost(sn: str) -> bool:
    """Whether the unit goes on as if nobody had said that it failed."""
    failed = Track.objects.filter(unit__sn=sn, result="FAIL").exists()
    return not failed and Unit.objects.get(sn=sn).status != "ON_HOLD"


def test_an_entry_that_fails_a_unit_that_is_passed_elsewhere_meanwhile(person: APIClient) -> None:
    for sn in make_plant(units=6).sns:
        answers = at_once(send(person, "track-out", failing(person, sn)), leave_elsewhere(person, sn))
        assert sum(status == 200 for status, _end in answers) == 1, answers
        assert not is_lost(sn)


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_unit_s_lock_the_hold_is_lost(person: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is released after the refusal read where the unit stands, and before it is held."""
    make_plant(units=1)
    body = failing(person)
    leave_elsewhere(person)()
    assert person.post("/api/units/SN-1/hold", {"reason": "looks odd"}).status_code == 200
    holding, has_read, is_released = refused_reports.hold_units, Event(), Event()

    def hold_later(*args: Any, **kwargs: Any) -> list[Disposition]:
        decisions = holding(*args, **kwargs)
        has_read.set()
        assert is_released.wait(20)
        return decisions

    def release() -> Answer:
        assert has_read.wait(20)
        answer = another(person).post("/api/units/SN-1/release", {"reason": "looked at"})
        is_released.set()
        return answer.status_code, ""

    monkeypatch.setattr(refused_reports, "hold_units", hold_later)
    refused, released = at_once(send(person, "track-out", body), release)
    assert (refused[0], released[0]) == (409, 200)
    decisions = Disposition.objects.order_by("id")
    assert [one.action for one in decisions][-2:] != ["RELEASE", "HOLD"] or decisions.last().from_status == "ON_HOLD"
