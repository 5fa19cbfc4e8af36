"""Events handled in sets: one transaction for many, and nothing that one of them does costs another an attempt."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from mes.plant.models import Line
from mes.platform.hooks import Hook
from mes.platform.outbox import emit, processor
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import EventType, MesEvent
from tests.platform.outbox.support import claim, make_event
from tests.platform.outbox.test_processor import Crash, end_lease, in_thread

pytestmark = pytest.mark.django_db
Handle = Callable[[Sequence[MesEvent]], None]
Register = Callable[..., None]


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Return a function that has TRACK_IN handled, and nothing else."""
    for event_type in EventType:
        monkeypatch.setitem(emit.handlers, event_type.value, Hook())

    def register(handle: Handle, **fields: str) -> None:
        emit.handlers[EventType.TRACK_IN].register(SetHandler(handle, **fields))

    return register


def make_lines(events: Sequence[MesEvent]) -> None:
    """An effect: a line for each event, named by it; there cannot be two of a name."""
    Line.objects.bulk_create(Line(code=event.entity_id, name="x", process_type="SMT") for event in events)


def sizes_of_sets(sizes: list[int]) -> Handle:
    def handle(events: Sequence[MesEvent]) -> None:
        sizes.append(len(events))
        make_lines(events)

    return handle


def make_events(number: int, **fields: object) -> list[MesEvent]:
    return [make_event(f"k{index}", due_ago=100 - index, **fields) for index in range(number)]


def states() -> dict[str, tuple[str, int]]:
    return {event.entity_id: (event.status, event.attempts) for event in MesEvent.objects.all()}


def lines() -> list[str]:
    return sorted(Line.objects.values_list("code", flat=True))


def test_new_events_are_handled_together_and_completed_as_any(handler: Register, settings) -> None:
    sizes: list[int] = []
    handler(sizes_of_sets(sizes))
    make_events(5)
    assert processor.process_due() == 5
    assert (sizes, lines()) == ([5], [f"k{number}" for number in range(5)])
    for event in MesEvent.objects.all():
        assert (event.status, event.attempts, event.error, event.begun_at is None) == ("COMPLETED", 1, "", False)
        assert event.retention_until == event.completed_at + settings.MES_EVENT_RETENTION


def test_a_type_that_a_plain_handler_hears_too_goes_one_by_one(handler: Register) -> None:
    sizes, seen = [], []
    handler(sizes_of_sets(sizes))
    emit.handlers[EventType.TRACK_IN].register(lambda event: seen.append(event.entity_id))
    make_events(3)
    assert processor.process_due() == 3
    assert (sizes, seen) == ([1, 1, 1], ["k0", "k1", "k2"])


@pytest.mark.parametrize("attempts", [1, 10])
def test_a_bad_event_of_a_set_costs_no_other_an_attempt(handler: Register, attempts: int) -> None:
    sizes: list[int] = []

    def handle(events: Sequence[MesEvent]) -> None:
        sizes.append(len(events))
        make_lines(events)
        if any(event.entity_id == "k2" for event in events):
            raise ValueError("no way")

    handler(handle)
    make_events(5, max_attempts=attempts)
    assert processor.process_due() == 5
    assert sizes == [5, 1, 1, 1, 1, 1]
    bad = states().pop("k2")
    assert bad == ("DEAD" if attempts == 1 else "FAILED", 1)
    assert MesEvent.objects.get(entity_id="k2").error == "ValueError: no way"
    assert [state for name, state in sorted(states().items()) if name != "k2"] == [("COMPLETED", 1)] * 4
    assert lines() == ["k0", "k1", "k3", "k4"]


def test_what_failed_before_is_handled_by_itself(handler: Register) -> None:
    sizes: list[int] = []
    handler(sizes_of_sets(sizes))
    make_event("failed", status="FAILED", attempts=1)
    make_event("revived", attempts=0)
    make_event("given back", attempts=3)
    make_event("of a dead worker", status="PROCESSING")
    make_event("new")
    assert processor.process_due() == 5
    assert sizes == [1, 2, 1, 1]
    assert states() == {
        "failed": ("COMPLETED", 2),
        "revived": ("COMPLETED", 1),
        "given back": ("COMPLETED", 4),
        "of a dead worker": ("COMPLETED", 1),
        "new": ("COMPLETED", 1),
    }


def test_an_event_that_kills_its_workers_is_given_up_and_its_neighbours_lose_no_attempt(handler: Register) -> None:
    def handle(events: Sequence[MesEvent]) -> None:
        make_lines(events)
        if any(event.entity_id == "killer" for event in events):
            raise Crash

    handler(handle)
    make_event("before", due_ago=3)
    make_event("killer", due_ago=2, max_attempts=2)
    make_event("behind", due_ago=1)
    for number in range(3):
        with pytest.raises(Crash):
            processor.process_due()
        if number == 0:
            assert set(states().values()) == {("PROCESSING", 0)} and not lines()
        for event in MesEvent.objects.filter(status="PROCESSING"):
            end_lease(event)
    assert processor.process_due() == 2
    assert {name: states()[name] for name in ("before", "killer", "behind")} == {
        "before": ("COMPLETED", 1),
        "killer": ("DEAD", 3),
        "behind": ("COMPLETED", 1),
    }
    assert lines() == ["before", "behind"]


def test_what_is_given_back_stays_what_it_was(handler: Register) -> None:
    handler(make_lines)
    make_event("new")
    make_event("failed", status="FAILED", attempts=1)
    make_event("of a dead worker", status="PROCESSING")
    batch = processor.take(token=uuid.uuid4())
    processor.give_back(batch.events, token=batch.token)
    assert states() == {"new": ("PENDING", 0), "failed": ("FAILED", 1), "of a dead worker": ("PROCESSING", 0)}
    for event in MesEvent.objects.all():
        end_lease(event)  # the time of this transaction stands still
    again = processor.take(token=uuid.uuid4())
    assert sum(event.is_new for event in again.events) == 1


@pytest.mark.waiting
def test_a_set_ends_before_its_lease_does(handler: Register, settings) -> None:
    settings.MES_EVENT_LEASE = timedelta(seconds=0.3)
    sizes: list[int] = []

    def handle(events: Sequence[MesEvent]) -> None:
        sizes.append(len(events))
        if len(events) > 1:
            time.sleep(20)

    handler(handle)
    make_events(2)
    began = time.monotonic()
    assert processor.process_due() == 2
    assert time.monotonic() - began < 10
    assert sizes == [2, 1, 1]
    assert set(states().values()) == {("COMPLETED", 1)}


@pytest.mark.waiting
@pytest.mark.django_db(transaction=True)
def test_a_set_that_outlasts_the_pass_is_not_made_again(handler: Register, settings, monkeypatch) -> None:
    monkeypatch.setattr(processor, "SET_TIME_LIMIT", timedelta(seconds=0.3))
    settings.MES_EVENT_TIME_LIMIT = timedelta(seconds=0.3)
    bad = make_events(3)[1].pk
    sizes: list[int] = []

    def handle(events: Sequence[MesEvent]) -> None:
        sizes.append(len(events))
        if bad in {event.pk for event in events}:
            time.sleep(20)

    handler(handle)
    for _pass in range(4):  # the set, then each of them
        processor.process_due(budget=timedelta(seconds=0.1))
    assert sizes == [3, 1, 1, 1]
    assert sorted(states().values()) == [("COMPLETED", 1), ("COMPLETED", 1), ("FAILED", 1)]


@pytest.mark.django_db(transaction=True)
def test_a_set_in_work_is_not_taken_though_its_lease_ended(handler: Register) -> None:
    taken: list[list[int]] = []

    def handle(events: Sequence[MesEvent]) -> None:
        for event in events:
            end_lease(event)
        taken.append(in_thread(lambda: claim(uuid.uuid4())))
        make_lines(events)

    handler(handle)
    make_events(3)
    processor.process_due()
    assert taken == [[]]
    assert set(states().values()) == {("COMPLETED", 1)}


def test_what_another_worker_took_meanwhile_is_not_handled_with_its_set(handler: Register) -> None:
    handler(make_lines)
    first, _second = make_events(2)
    batch = processor.take(token=uuid.uuid4())
    end_lease(first)
    assert claim(uuid.uuid4()) == [first.pk]
    assert processor._handle_set(batch, batch.events)
    assert (lines(), states()) == (["k1"], {"k0": ("PROCESSING", 0), "k1": ("COMPLETED", 1)})


def test_what_nobody_wants_is_completed_whatever_became_of_it(handler: Register) -> None:
    """An outbox of a release that kept every event open is taken over."""
    handler(make_lines, interest="e.entity_id = 'k1'")
    make_event("k1", status="FAILED", attempts=2)
    make_event("new")
    make_event("failed", status="FAILED", attempts=9, error="no way")
    make_event("of a dead worker", status="PROCESSING", attempts=1)
    make_event("in work", status="PROCESSING", due_ago=-100)
    make_event("no handler", event_type="DATA_ALARM")
    assert processor.process_due() == 5
    assert states() == {
        "k1": ("COMPLETED", 3),
        "new": ("COMPLETED", 1),
        "failed": ("COMPLETED", 10),
        "of a dead worker": ("COMPLETED", 2),
        "in work": ("PROCESSING", 0),
        "no handler": ("COMPLETED", 1),
    }
    assert lines() == ["k1"]
    assert not MesEvent.objects.exclude(error="").exists()
