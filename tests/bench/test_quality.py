"""Holding many units, as the benchmark does it: what it counts is what is done."""

from datetime import timedelta

import pytest
from django.utils import timezone

from bench.quality import held
from execution.quality.holds import batches, services
from mes.platform.outbox import processor
from mes.platform.outbox.models import EventStatus, MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit
from tests.factories import make_plant

FEW, MANY, BATCH = 12, 30, 5


@pytest.fixture
def in_small_batches(db, monkeypatch):
    """Batches of a few units; all events are due, for time stands still in the transaction of a test."""
    monkeypatch.setattr(services, "LARGEST_AT_ONCE", BATCH)
    monkeypatch.setattr(batches, "BATCH", BATCH)
    take = processor.take

    def take_all(**asked):
        MesEvent.objects.filter(status=EventStatus.PENDING).update(next_attempt_at=timezone.now() - timedelta(days=1))
        return take(**asked)

    monkeypatch.setattr(processor, "take", take_all)


def test_statements_of_many_that_are_held_and_released_grow_with_batches(in_small_batches):
    sns = make_plant(units=MANY).sns
    few, many = held.hold_and_release(sns[:FEW]), held.hold_and_release(sns)

    assert [len(done) for done in (few.held, few.released, many.held, many.released)] == [3, 3, 6, 6]
    result = held.Held(few, many, entering=[0.0], quiet=[0.0])
    assert {result.growth(what) for what in ("held", "released")} == {1.0}
    assert all(is_reached for _text, is_reached in result.checks())
    assert Hold.objects.count() == 2 and not HeldUnit.objects.filter(ended_at=None).exists()
    assert not Unit.objects.filter(status="ON_HOLD").exists()


def test_a_batch_by_units_and_a_wait_longer_than_a_batch_miss_their_targets():
    few, many = (
        held.Round(units, held=[held.Batch(0.2, 8 * units)], released=[held.Batch(0.1, 9)]) for units in (10, 20)
    )
    result = held.Held(few, many, entering=[0.01, 0.3], quiet=[0.01])
    assert [is_reached for _text, is_reached in result.checks()] == [False, False]
    assert [result.growth("held"), result.growth("released")] == [2.0, 1.0]
    assert result.longest_wait == pytest.approx(0.29)


def test_units_that_are_not_all_held_fail_the_measurement(in_small_batches, monkeypatch):
    monkeypatch.setattr(batches, "hold_locked", lambda hold, units, by: None)
    with pytest.raises(held.BenchError, match="of 12 units 0 are held"):
        held.hold_and_release(make_plant(units=FEW).sns)
