"""A failing report that is refused, and who moves or decides about its unit at once: the hold is never lost."""

from collections.abc import Callable
from itertools import pairwise
from threading import Event
from time import sleep
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.failing_reports import hold_units
from execution.models import Disposition, Track
from ingest import context, refused_reports
from mes.production.models import Unit
from tests.execution.support import track_in
from tests.ingest.support import INSPECTING, TESTING, final_test, make_ingest_plant
from tests.integration.helpers import another, at_once

AT_ONCE = {**TESTING, "waitSeconds": 0}
UNITS = 6
Call = Callable[[], int]


def call(client: APIClient, url: str, body: dict[str, Any], *, after: float = 0) -> Call:
    def make() -> int:
        sleep(after)
        return another(client).post(f"/api/{url}", body).status_code

    return make


def make_units(person: APIClient, number: int, *, status: str) -> list[str]:
    """Make units at the inspection, two steps before the test: in its station, held there, or failed there."""
    sns = make_ingest_plant(units=number, aoi=INSPECTING, test=AT_ONCE).sns
    Unit.objects.update(current_step_no=20)
    if status == "IN_STATION":
        for sn in sns:
            assert track_in(person, "AOI-1", sn).status_code == 201
    Unit.objects.update(status=status)
    if status == "QUEUED":
        for sn in sns:
            assert person.post(f"/api/units/{sn}/hold", {"reason": "looks odd"}).status_code == 200
    return sns


def report_and(person: APIClient, sn: str, url: str, body: dict[str, Any], *, after: float) -> int:
    """Report a unit as failed at the test, where it is not yet, and do something else; return how that is answered."""
    report = call(person, "ingest/events", final_test(sn, result="NG"))
    refused, done = at_once(report, call(person, url, body, after=after))
    assert refused == 409
    return done


def is_torn(sn: str) -> bool:
    """Whether a unit is not where the decisions about it led, one after the other, or not held from where it is."""
    unit = Unit.objects.get(sn=sn)
    decisions = list(Disposition.objects.filter(unit=unit).order_by("id"))
    chained = all(one.to_status == later.from_status for one, later in pairwise(decisions))
    is_inside = Track.objects.filter(unit=unit, out_at=None).exists()
    return (
        not chained
        or decisions[-1].to_status != unit.status
        or is_inside != ("IN_STATION" in (unit.status, unit.held_from))
    )


LEAVE: dict[str, Any] = {"runNo": "RUN-1", "result": "PASS"}
OTHERS = {
    "track-out": ("IN_STATION", "stations/AOI-1/track-out", {200, 409}),
    "release": ("QUEUED", "units/{sn}/release", {200}),
    "rework": ("OUT_FAILED", "units/{sn}/rework", {200}),
}


def body_of(name: str, sn: str) -> dict[str, Any]:
    return {**LEAVE, "sn": sn} if name == "track-out" else {"reason": "looked at"}


@pytest.mark.parametrize("name", OTHERS)
def test_a_failing_report_and_another_at_once(person: APIClient, name: str) -> None:
    status, url, answers = OTHERS[name]
    sns = make_units(person, UNITS, status=status)
    for number, sn in enumerate(sns):
        lead = 0.02 * (number % 3)
        assert report_and(person, sn, url.format(sn=sn), body_of(name, sn), after=lead) in answers
        assert not is_torn(sn), sn
    if name == "track-out":
        assert set(Unit.objects.values_list("status", flat=True)) == {"ON_HOLD"}
    assert Disposition.objects.filter(about_step_no=40).count() == UNITS


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize("name", OTHERS)
def test_control_without_the_units_lock_they_tear_it(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The other thing is done after the report read where the unit stands, and before it holds it."""
    status, url, answers = OTHERS[name]
    [sn] = make_units(person, 1, status=status)
    has_read, is_done = Event(), Event()

    def hold_units_later(*args: Any, **kwargs: Any) -> list[Disposition]:
        decisions = hold_units(*args, **kwargs)
        has_read.set()
        assert is_done.wait(20)
        return decisions

    def other() -> int:
        assert has_read.wait(20)
        answered = call(person, url.format(sn=sn), body_of(name, sn))()
        is_done.set()
        return answered

    unlocked = context.CLAIM_AND_LOCK.replace("FOR NO KEY UPDATE", "").replace("FOR SHARE", "")
    monkeypatch.setattr(context, "CLAIM_AND_LOCK", unlocked)
    monkeypatch.setattr(refused_reports, "hold_units", hold_units_later)
    refused, done = at_once(call(person, "ingest/events", final_test(sn, result="NG")), other)
    assert (refused, done in answers) == (409, True)
    assert is_torn(sn)
