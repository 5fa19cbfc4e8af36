"""Two workers see at one moment that a rule is broken: it acts once."""

from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from execution.quality.hold_rules import watching
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import process_due
from mes.production.decision_models import Decision
from mes.production.hold_models import Hold, HoldRule, HoldRuleNotice
from tests.execution.support import assert_done, put_at, track_in, track_out
from tests.factories import make_plant
from tests.integration.helpers import at_once


def meet_once_seen(monkeypatch: pytest.MonkeyPatch, *, patience: float) -> None:
    """Have two workers wait for each other when they have seen that a rule is broken, for a while."""
    both, find = Barrier(2), watching._find_breach

    def find_and_meet(*args: Any) -> Any:
        found = find(*args)
        with suppress(BrokenBarrierError):
            both.wait(patience)
        return found

    monkeypatch.setattr(watching, "_find_breach", find_and_meet)


@pytest.mark.parametrize("is_locked", [True, False], ids=["acts once", "control"])
def test_the_third_and_the_fourth_failure_at_two_workers(
    person: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    settings: Any,
    *,
    is_locked: bool,
) -> None:
    plant = make_plant(units=4)
    for sn in plant.sns:
        put_at(30, sn)
    for code, action in ("TELL", "NOTIFY"), ("STOP", "STOP_STATION"):
        HoldRule.objects.create(code=code, name=code, kind="CONSECUTIVE_FAIL", n=3, action=action)
    for sn in plant.sns:
        assert_done(track_in(person, "TST-01", sn), 201)
        assert_done(track_out(person, "TST-01", sn, result="FAIL"))
    moves = list(MesEvent.objects.filter(event_type="TRACK_OUT").order_by("id"))
    MesEvent.objects.all().delete()
    for seen in moves[:3], moves[3:]:
        with transaction.atomic():
            watching.watch(seen)
    assert MesEvent.objects.filter(event_type="HOLD_RULE_BROKEN").count() == 4
    settings.MES_EVENT_BATCH = 2  # each worker takes what one failure broke
    meet_once_seen(monkeypatch, patience=0.5 if is_locked else 20)
    if not is_locked:
        request.getfixturevalue("without_locks")
    at_once(process_due, process_due)
    assert Hold.objects.filter(scope="STATION").count() == 1  # without the lock by its constraint
    assert HoldRuleNotice.objects.count() == (1 if is_locked else 2)
    if is_locked:
        assert Decision.objects.filter(station__code="TST-01").count() == 1
        assert not MesEvent.objects.exclude(status="COMPLETED").exists()
