"""A bad event between two good ones, or a heartbeat that cannot be written, keeps no event from being handled."""

import threading
from collections.abc import Callable

import pytest
from django.db import DataError, OperationalError
from django.utils import timezone

from mes.plant.models import Line
from mes.platform.hooks import Hook
from mes.platform.outbox import emit, heartbeats, processor, tasks, worker
from mes.platform.outbox.models import EventType, MesEvent, WorkerHeartbeat
from mes.platform.sweeps import SweepIncomplete
from tests.platform.outbox.support import make_event


def make_three() -> MesEvent:
    """Make a bad event between two good ones; return the bad one."""
    _first, bad, _last = [make_event(key, due_ago=10 - number) for number, key in enumerate(("a", "bad", "z"))]
    return bad


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """Return a function that has good events handled by an effect, and the bad one by this error."""
    hook: Hook[emit.Handler] = Hook()
    monkeypatch.setitem(emit.handlers, EventType.TRACK_IN, hook)

    def register(error: Exception | None) -> None:
        def handle(event: MesEvent) -> None:
            if event.entity_id == "bad" and error is not None:
                raise error
            Line.objects.create(code=event.entity_id, name="x", process_type="SMT")

        hook.register(handle)

    return register


def statuses() -> dict[str, str]:
    return dict(MesEvent.objects.values_list("entity_id", "status"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error",
    [ValueError("a\x00b"), ValueError("\ud800"), KeyError("waitSeconds"), emit.GiveUp("\ud800"), DataError("x")],
)
def test_an_event_that_fails_in_whatever_words_stops_no_other(handler, error: Exception) -> None:
    """The database cannot keep every text, such as half of a character: that ended the worker."""
    bad = make_three()
    handler(error)
    try:
        assert processor.process_due() == 3
    except UnicodeError as raised:
        pytest.fail(ascii(raised), pytrace=False)  # a report with half a character would end pytest-xdist
    bad.refresh_from_db()
    assert bad.status == ("DEAD" if isinstance(error, emit.GiveUp) else "FAILED")
    assert bad.error
    assert (statuses()["a"], statuses()["z"]) == ("COMPLETED", "COMPLETED")
    assert set(Line.objects.values_list("code", flat=True)) == {"a", "z"}


@pytest.mark.django_db
def test_an_event_whose_failure_cannot_be_recorded_stops_no_other_and_is_told(handler, monkeypatch) -> None:
    record = processor.record_failure

    def refuse(*, event_id: int, **fields: object) -> None:
        if event_id == bad.pk:
            raise DataError("no way")
        record(event_id=event_id, **fields)

    bad = make_three()
    handler(ValueError("x"))
    monkeypatch.setattr(processor, "record_failure", refuse)
    with pytest.raises(SweepIncomplete, match=f"{bad.pk}: DataError: no way"):
        tasks.tick()
    assert statuses() == {"a": "COMPLETED", "bad": "PROCESSING", "z": "COMPLETED"}  # until its lease ends


@pytest.mark.django_db
def test_a_heartbeat_that_cannot_be_written_keeps_no_event_from_being_handled(handler, monkeypatch) -> None:
    def refuse(**fields: object) -> None:
        raise DataError("integer out of range")

    make_three()
    handler(None)
    monkeypatch.setattr(heartbeats, "tick", refuse)
    with pytest.raises(SweepIncomplete, match="heartbeat: DataError"):
        tasks.tick()
    assert set(statuses().values()) == {"COMPLETED"}


@pytest.mark.django_db(transaction=True)
def test_the_worker_goes_on_without_a_heartbeat_and_after_an_event_that_cannot_be_recorded(
    handler, monkeypatch
) -> None:
    def refuse(**fields: object) -> None:
        raise OperationalError("no way")

    monkeypatch.setattr(heartbeats, "beat", refuse)
    monkeypatch.setattr(processor, "record_failure", refuse)
    stop, rounds = threading.Event(), iter(range(20))
    monkeypatch.setattr(stop, "wait", lambda timeout: stop.set() if next(rounds) > 3 else None)
    make_three()
    handler(ValueError("x"))
    worker.loop(stop, is_well=lambda: True)
    assert statuses() == {"a": "COMPLETED", "bad": "PROCESSING", "z": "COMPLETED"}


@pytest.mark.django_db
def test_a_worker_that_has_handled_more_than_can_be_counted_still_shows_that_it_lives() -> None:
    before = timezone.now()
    heartbeats.beat(processed=2**40)
    assert WorkerHeartbeat.objects.get().beat_at >= before
