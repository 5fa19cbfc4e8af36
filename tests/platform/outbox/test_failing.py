"""Handlers that know what must follow of their failure, and those who are told of failures."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from mes.plant.models import Line
from mes.platform.hooks import Hook
from mes.platform.outbox import emit, processor
from mes.platform.outbox.emit import GiveUp, TryAgain
from mes.platform.outbox.models import EventType, MesEvent
from tests.platform.outbox.support import make_event

pytestmark = pytest.mark.django_db


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], MesEvent]:
    """Handle an event with a handler that writes and then raises; return the event as it is afterwards."""
    monkeypatch.setitem(emit.handlers, EventType.TRACK_IN, Hook())
    monkeypatch.setitem(emit.failure_listeners, EventType.TRACK_IN, Hook())

    def handle(error: Exception) -> MesEvent:
        def explode(event: MesEvent) -> None:
            Line.objects.create(code="never", name="never", process_type="SMT")
            raise error

        emit.handlers[EventType.TRACK_IN].register(explode)
        event = make_event("k", max_attempts=2)
        processor.process_due()
        event.refresh_from_db()
        assert not Line.objects.filter(code="never").exists()
        return event

    return handle


def tomorrow() -> datetime:
    return timezone.now() + timedelta(days=1)


def test_a_handler_may_say_when_to_try_again(failing):
    at = tomorrow()
    event = failing(TryAgain("the ERP is closed", at=at))
    assert (event.status, event.attempts, event.next_attempt_at) == ("FAILED", 1, at)
    assert event.error == "the ERP is closed"


def test_what_was_not_tried_is_no_attempt(failing):
    event = failing(TryAgain("not now", at=tomorrow(), counts=False))
    assert (event.status, event.attempts) == ("FAILED", 0)
    for _round in range(5):
        MesEvent.objects.update(next_attempt_at=timezone.now() - timedelta(days=1))
        assert processor.process_due() == 1
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("FAILED", 0)


def test_trying_again_ends_when_the_attempts_are_used(failing):
    event = failing(TryAgain("not now", at=tomorrow()))
    MesEvent.objects.update(next_attempt_at=timezone.now() - timedelta(days=1))
    processor.process_due()
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("DEAD", 2)


def test_a_handler_may_give_up_at_once(failing):
    event = failing(GiveUp("the ERP does not want it"))
    assert (event.status, event.attempts, event.error) == ("DEAD", 1, "the ERP does not want it")


def test_listeners_are_told_in_the_transaction_that_records_the_failure(failing):
    told = []

    def listen(event: MesEvent, error: Exception) -> None:
        told.append((event.status, str(error)))
        Line.objects.create(code="told", name="told", process_type="SMT")

    emit.failure_listeners[EventType.TRACK_IN].register(listen)
    failing(GiveUp("no"))
    assert told == [("DEAD", "no")]
    assert Line.objects.filter(code="told").exists()


def test_a_listener_that_fails_does_not_keep_the_failure_from_being_recorded(failing):
    def listen(event: MesEvent, error: Exception) -> None:
        raise ValueError("deaf")

    emit.failure_listeners[EventType.TRACK_IN].register(listen)
    assert failing(ValueError("no")).status == "FAILED"
