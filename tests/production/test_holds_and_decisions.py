"""What holds a run or a line, what was decided, and how units leave a run: what is kept of each."""

import pytest
from django.db import IntegrityError, transaction

from mes.labels import Action
from mes.production import decisions, holds, unit_moves
from mes.production.decision_models import UnitMove, UnitMoveAct
from mes.production.hold_models import Hold, HoldSource, HoldStatus
from mes.production.models import Unit
from mes.production.queries import count_units
from tests.factories import Plant, make_plant


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant(units=4)


def test_one_hold_is_open_for_each_source(plant):
    first, is_new = holds.open_hold(run=plant.run, source=HoldSource.PERSON, reason="Smell", by="ann")
    again, is_new_again = holds.open_hold(run=plant.run, source=HoldSource.PERSON, reason="Smoke", by="bob")
    other, _is_new = holds.open_hold(run=plant.run, source=HoldSource.OQC, reason="Scratches", by="system")
    assert (is_new, is_new_again, again) == (True, False, first)
    assert holds.list_open(run=plant.run) == [first, other]
    assert Hold.objects.get(pk=first.pk).reason == "Smell"


def test_a_hold_that_ends_leaves_those_of_other_sources(plant):
    holds.open_hold(run=plant.run, source=HoldSource.PERSON, reason="Smell", by="ann")
    other, _is_new = holds.open_hold(run=plant.run, source=HoldSource.OQC, reason="Scratches", by="system")
    assert holds.end_hold(run=plant.run, source=HoldSource.PERSON, by="bob", reason="Aired") == [other]
    ended = Hold.objects.get(source=HoldSource.PERSON)
    assert (ended.status, ended.ended_by, ended.end_reason) == (HoldStatus.RELEASED, "bob", "Aired")
    assert holds.end_hold(run=plant.run, by="bob") == []


def test_a_line_is_held_apart_from_its_runs(plant):
    hold, _is_new = holds.open_hold(line=plant.line, source=HoldSource.PERSON, reason="Fire", by="ann")
    assert holds.list_open(line=plant.line) == [hold]
    assert holds.list_open(run=plant.run) == []
    with pytest.raises(ValueError, match="of a run, of a line or of a station"):
        holds.list_open()


def test_the_database_keeps_a_second_open_hold_out(plant):
    hold, _is_new = holds.open_hold(run=plant.run, source=HoldSource.PERSON, reason="Smell", by="ann")
    hold.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        hold.save(force_insert=True)


def test_decisions_are_read_newest_first_and_of_one_thing(plant):
    decisions.record(plant.run, Action.HOLD, by="ann", reason="Smell", from_status="PREP", to_status="ON_HOLD")
    decisions.record(plant.run, Action.CHANGE, by="bob", changes={"planQty": [60, 42]})
    decisions.record(plant.order, Action.CANCEL, by="cid")
    decisions.record(plant.line, Action.HOLD, by="dan")
    assert [row.act for row in decisions.list_decisions(plant.run)] == ["change", "hold"]
    assert [row.decided_by for row in decisions.list_decisions(plant.order)] == ["cid"]
    assert [row.decided_by for row in decisions.list_decisions(plant.line)] == ["dan"]


def test_units_that_leave_count_where_they_were_made(plant):
    done, held, scrapped, queued = plant.units
    done.status = "DONE"
    held.status, held.held_from = "ON_HOLD", "DONE"
    scrapped.status = "SCRAPPED"
    unit_moves.record_moves(plant.units, act=UnitMoveAct.TAKE_BACK, to_run=None, by="ann", reason="Wrong run")
    assert list(UnitMove.objects.order_by("unit").values_list("unit", "counted_as", "status")) == [
        (done.pk, "DONE", "DONE"),
        (held.pk, "DONE", "ON_HOLD"),
        (scrapped.pk, "SCRAPPED", "SCRAPPED"),
        (queued.pk, "", "QUEUED"),
    ]
    Unit.objects.update(run=None)
    counts = count_units([plant.run])[plant.run.pk]
    assert {status: count for status, count in counts.items() if count} == {"DONE": 2, "SCRAPPED": 1}
