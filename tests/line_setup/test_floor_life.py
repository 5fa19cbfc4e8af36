"""The floor life of moisture-sensitive lots: every row of the tables, and both clocks that are worked out by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from mes.line_setup.lots.clocks import read_one
from mes.line_setup.lots.floor_life import BAKES, FLOOR_LIFE, Clock, ClockState, Told, hours_to_bake, read_clock
from mes.line_setup.lots.services import Who, split
from mes.line_setup.models import LotEvent, MaterialLot
from mes.plant.models import Material

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def told(*events: tuple[str, float]) -> list[Told]:
    return [Told(kind, at(hours)) for kind, hours in events]


def clock(lot: MaterialLot, events: list[Told], hours: float, *, loaded: datetime | None = None) -> Clock:
    return read_clock(lot, events, loaded, at(hours))


@pytest.mark.parametrize(
    ("level", "hours"),
    [
        ("", None),
        ("1", None),
        ("2", 8760),
        ("2a", 672),
        ("3", 168),
        ("4", 72),
        ("5", 48),
        ("5a", 24),
        ("6", 0),
    ],
)
def test_every_level_may_lie_open_for_its_hours(level, hours):
    lot = MaterialLot(lot_id="R-1", msl=level)
    opened = told(("OPENED", 0))
    if hours is None:
        assert clock(lot, opened, 99999) == Clock(ClockState.EXPOSED, 99999 * 60, None, None)
        return
    end = clock(lot, opened, hours)
    assert (end.state, end.left_minutes, end.good_until) == (ClockState.EXPIRED, 0, at(hours))
    if hours:
        before = clock(lot, opened, hours - 0.001)
        assert (before.state, before.left_minutes, before.good_until) == (ClockState.EXPOSED, 1, at(hours))


@pytest.mark.parametrize(
    ("thickness", "level", "beyond", "within"),
    [
        ("1.4", "3", 9, 7),
        ("1.4", "4", 11, 7),
        ("1.4", "5", 12, 7),
        ("1.4", "5a", 16, 10),
        ("2.0", "3", 27, 17),
        ("2.0", "4", 34, 20),
        ("2.0", "5", 40, 25),
    ],
)
def test_every_bake_restores_after_its_hours(thickness, level, beyond, within):
    lot = MaterialLot(lot_id="R-1", msl=level, body_thickness_mm=Decimal(thickness))
    life = FLOOR_LIFE.hours[level] or 0
    for exceeded, hours in ((72, within), (72.1, beyond), (-1, within)):
        for temperature, lasts, is_restored in ((125, hours, True), (125, hours - 0.1, False), (124.9, hours, False)):
            begun = life + exceeded
            events = [
                *told(("OPENED", 0)),
                Told("BAKE_START", at(begun), Decimal(temperature)),
                *told(("BAKE_END", begun + lasts)),
            ]
            baked = clock(lot, events, begun + lasts)
            assert (baked.exposed_minutes == 0) is is_restored
            assert (baked.began_at == at(begun + lasts)) is is_restored
            assert clock(lot, events, begun + lasts / 2).state == ClockState.BAKING


@pytest.mark.parametrize(
    ("level", "thickness"), [("5a", "1.5"), ("3", "2.1"), ("3", None), ("2", "1.0"), ("2a", "1.0"), ("1", "1.0")]
)
def test_a_bake_that_no_cell_fits_restores_nothing(level, thickness):
    assert hours_to_bake(level, None if thickness is None else Decimal(thickness), HOUR) is None


def test_the_tables_name_their_revisions():
    assert FLOOR_LIFE.revision and BAKES.revision


def test_drying_pauses_and_restores_nothing():
    lot = MaterialLot(lot_id="R-1", msl="3")
    events = told(("OPENED", 0), ("DRY_IN", 100), ("DRY_OUT", 150))
    assert clock(lot, events, 210).left_minutes == 8 * 60
    assert clock(lot, events, 120) == Clock(ClockState.DRY, 100 * 60, 68 * 60, None)
    assert clock(lot, list(reversed(events)), 210).left_minutes == 8 * 60  # told in any order
    assert clock(lot, events, 218).state == ClockState.EXPIRED


def test_the_end_that_was_passed_is_remembered_while_it_lies_dry():
    lot = MaterialLot(lot_id="R-1", msl="5a")
    dried = clock(lot, told(("OPENED", 0), ("DRY_IN", 30)), 90)
    assert (dried.state, dried.left_minutes, dried.good_until) == (ClockState.EXPIRED, 0, at(24))


def test_the_first_load_opens_and_sealing_stops():
    lot = MaterialLot(lot_id="R-1", msl="4")
    assert clock(lot, [], 10, loaded=at(4)).exposed_minutes == 6 * 60
    assert clock(lot, told(("SEALED", 5)), 10, loaded=at(4)) == Clock(ClockState.SEALED, 60, 71 * 60, None)
    assert clock(lot, told(("OPENED", 1)), 10, loaded=at(4)).exposed_minutes == 9 * 60
    assert clock(lot, [], 3, loaded=at(4)).state == ClockState.SEALED  # it is loaded later


def test_level_6_is_baked_first_and_then_has_the_hours_of_its_label():
    lot = MaterialLot(lot_id="R-1", msl="6", floor_life_hours=6)
    assert clock(lot, [], 0).is_expired
    baked = clock(lot, told(("BAKE_START", 0), ("BAKE_END", 12)), 13)
    assert (baked.state, baked.left_minutes) == (ClockState.EXPOSED, 5 * 60)
    assert clock(lot, told(("BAKE_END", 12)), 13).is_expired  # nobody said when it began


def test_a_bake_that_was_broken_off_counts_for_nothing():
    lot = MaterialLot(lot_id="R-1", msl="3", body_thickness_mm=Decimal(1))
    events = [*told(("OPENED", 0)), Told("BAKE_START", at(10), Decimal(125)), *told(("OPENED", 12), ("BAKE_END", 40))]
    assert clock(lot, events, 50).exposed_minutes == 50 * 60 - 2 * 60


def test_a_split_has_the_clock_of_its_parent_until_then(db):
    material = Material.objects.create(code="IC-1", name="IC", msl="3")
    lot = MaterialLot.objects.create(lot_id="R-1", material=material)
    now = datetime.now(tz=UTC)
    LotEvent.objects.create(lot=lot, kind="OPENED", at=now - 10 * HOUR)
    LotEvent.objects.create(lot=lot, kind="DRY_IN", at=now - HOUR)
    new, _event = split("R-1", new_lot_id="R-2", quantity=Decimal(5), who=Who("sue"), at=now - 2 * HOUR)
    assert read_one(lot, now).exposed_minutes == 9 * 60
    assert read_one(new, now).exposed_minutes == 10 * 60  # it was taken out before the rest was dried
    grandchild, _event = split("R-2", new_lot_id="R-3", quantity=Decimal(1), who=Who("sue"), at=now)
    assert read_one(grandchild, now).exposed_minutes == 10 * 60
