"""A deviation ends as a unit enters by it, or is approved as one comes to its step: the second knows the first."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from execution import tracking
from execution.deviations import services
from execution.deviations.models import Deviation
from execution.models import Track
from mes.platform.hooks import Hook
from mes.production import approvals
from mes.production.models import Run, Unit
from tests.execution.support import put_at
from tests.factories import make_plant, make_station
from tests.integration.helpers import another, at_once


@pytest.fixture
def in_between(monkeypatch: pytest.MonkeyPatch, without_locks: None) -> None:
    """For controls: a unit's move reads, then the other one decides, then the move goes on. By locks they could not."""
    has_read, is_decided = threading.Event(), threading.Event()
    find, close, apply = tracking._find, services._close, services.KIND.apply

    def read(**names: Any) -> Any:
        found = find(**names)
        has_read.set()
        assert is_decided.wait(timeout=20)
        return found

    def decide(by: Any) -> Any:
        def decided(*args: Any, **options: Any) -> None:
            assert has_read.wait(timeout=20)
            by(*args, **options)
            transaction.on_commit(is_decided.set)

        return decided

    monkeypatch.setattr(tracking, "_find", read)
    monkeypatch.setattr(services, "_close", decide(close))
    kinds: Hook[approvals.ApprovalKind] = Hook(key=lambda kind: kind.type)
    kinds.register(replace(services.KIND, apply=decide(apply)))
    monkeypatch.setattr(approvals, "kinds", kinds)


def cross(person: Any) -> tuple[int, int]:
    """Have a deviation ended while a unit enters by it; return the codes of the end and the entry."""
    make_plant()
    make_station("LAB-01")
    put_at(20)
    Run.objects.update(status="IN_PROGRESS", started_at=timezone.now())
    asked = services.request(
        run_no="RUN-1",
        type="STATION",
        step_no=20,
        station_codes=["LAB-01"],
        expires_at=timezone.now() + timedelta(hours=1),
        reason="The oven is down.",
        by="sue",
    )
    Deviation.objects.update(status="IN_FORCE", approved_by="quentin", approved_at=timezone.now())
    Run.objects.update(has_deviations=True)
    number = asked.deviation_no
    first, second = at_once(
        lambda: another(person).post(f"/api/deviations/{number}/end", {"reason": "It works."}).status_code,
        lambda: another(person).post("/api/stations/LAB-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"}).status_code,
    )
    return first, second


def entered_after_the_end() -> bool:
    track, deviation = Track.objects.first(), Deviation.objects.get()
    return track is not None and deviation.ended_at is not None and track.created_at > deviation.ended_at


@pytest.mark.parametrize("first", ["end", "entry"])
def test_nobody_enters_once_the_end_is_answered(person: Any, slow: Any, first: str) -> None:
    if first == "end":
        slow(tracking, "_find", before=0.2)
    else:
        slow(services, "_close", before=0.2)
    ended, entered = cross(person)
    assert ended == 200
    assert entered in (201, 409)
    assert not entered_after_the_end()


@pytest.mark.usefixtures("in_between")
def test_control_without_locks_a_unit_enters_by_what_has_ended(person: Any) -> None:
    assert cross(person) == (200, 201)
    assert entered_after_the_end()


def approve_as_it_leaves(person: Any) -> int | None:
    """Have the skip of a step approved while a unit leaves the one before; return where the unit stands then."""
    plant = make_plant()
    Run.objects.update(status="IN_PROGRESS", started_at=timezone.now())
    unit, now = plant.units[0], timezone.now()
    Track.objects.create(
        unit=unit, run=plant.run, step_no=10, operation_code="PRINT", station=plant.stations["SMT-01"], in_at=now
    )
    Unit.objects.filter(pk=unit.pk).update(status="IN_STATION")
    asked = services.request(
        run_no="RUN-1",
        type="SKIP",
        step_no=20,
        expires_at=timezone.now() + timedelta(hours=1),
        reason="The oven is down.",
        by="sue",
    )
    body = {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"}
    answers = at_once(
        lambda: another(person).post("/api/stations/SMT-01/track-out", body).status_code,
        lambda: approvals.approve(approval_id=asked.approval_id, by="quentin").status,
    )
    assert answers == [200, "APPROVED"]
    return Unit.objects.get(sn="SN-1").current_step_no


@pytest.mark.parametrize("first", ["approval", "unit"])
def test_nobody_is_left_at_a_skipped_step(person: Any, slow: Any, first: str) -> None:
    if first == "approval":
        slow(tracking, "_find", before=0.2)
    else:
        slow(approvals, "_close", before=0.2)
    assert approve_as_it_leaves(person) == 30


@pytest.mark.usefixtures("in_between")
def test_control_without_locks_a_unit_is_left_at_a_skipped_step(person: Any) -> None:
    assert approve_as_it_leaves(person) == 20
