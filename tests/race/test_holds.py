"""A hold by a condition at one moment with boards that come to fit it."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution import tracking
from mes.platform.outbox.processor import process_due
from mes.production.hold_models import Hold
from mes.production.models import Unit
from tests.execution.support import put_at
from tests.factories import make_plant
from tests.integration.helpers import another, at_once

Slow = Callable[..., None]


def hold_while_one_enters(person: APIClient, monkeypatch: pytest.MonkeyPatch, *, patience: float) -> set[str]:
    """Hold what is at REF-01 while SN-1 enters: its move is written before the hold, and committed after it, unless the
    hold waits for it: so for `patience` seconds at most. Return what is held once the worker had its turn.
    """
    make_plant()
    put_at(20)  # at a step that no time rule watches: nobody else wants its event
    condition = {"stationCode": "REF-01", "from": (timezone.now() - timedelta(hours=1)).isoformat()}
    is_written, is_held, write = Event(), Event(), tracking.write

    def write_and_wait(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        is_written.set()
        is_held.wait(patience)

    monkeypatch.setattr(tracking, "write", write_and_wait)

    def enter() -> int:
        body = {"runNo": "RUN-1", "sn": "SN-1"}
        return another(person).post("/api/stations/REF-01/track-in", body).status_code

    def hold() -> int:
        is_written.wait(20)
        body = {"scope": "UNITS", "condition": condition, "reason": "Wrong paste"}
        answer = another(person).post("/api/holds", body)
        is_held.set()
        return answer.status_code

    assert at_once(enter, hold) == [201, 201]
    assert Hold.objects.get().catches
    process_due()
    return set(Unit.objects.filter(status="ON_HOLD").values_list("sn", flat=True))


def test_a_board_that_moves_into_a_hold_at_this_moment_is_held(
    person: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hold_while_one_enters(person, monkeypatch, patience=2) == {"SN-1"}


def test_control_without_locks_it_is_not_waited_for(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, without_locks: None
) -> None:
    assert hold_while_one_enters(person, monkeypatch, patience=30) == set()


@pytest.mark.parametrize("is_locked", [True, False], ids=["held once", "control"])
def test_two_ends_of_one_hold(
    person: APIClient, slow: Slow, request: pytest.FixtureRequest, *, is_locked: bool
) -> None:
    """Of two that release the same units, one does, and says so; the other is refused."""
    if not is_locked:
        request.getfixturevalue("without_locks")
    make_plant()
    body = {"scope": "UNITS", "condition": {"runNo": "RUN-1"}, "reason": "Look", "catches": False}
    no = person.post("/api/holds", body).json()["data"]["holdNo"]

    def release() -> int:
        return another(person).post(f"/api/holds/{no}/release", {"reason": "fine"}).status_code

    slow(Hold, "refresh_from_db", before=0.3)
    answers = sorted(at_once(release, release))
    assert answers == ([200, 409] if is_locked else [200, 200])
