"""Loads are read from marks: in any order of arrival they are those of the ordered sequence."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from mes.line_setup.loads.models import LoadState, MarkKind
from mes.line_setup.loads.rules import Mark, Place, ReadLoad, Slot, Thing, read_loads

START = datetime(2026, 1, 24, 10, tzinfo=UTC)
STATION, OTHER = Place("station", 1), Place("station", 2)
F1, F2, AWAY = Slot(STATION, "F1"), Slot(STATION, "F2"), Slot(OTHER, "F1")
SLOTS = (F1, F2, AWAY)
A, B, C, SHARED = Thing("lot", 1), Thing("lot", 2), Thing("lot", 10), Thing("program", "TOP")
KINDS = {"LOAD": 4, "SPLICE": 3, "SPLICE_POINT": 2, "UNLOAD": 2}


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def mark(kind: str, minute: float, thing: Thing | None = None, slot: Slot = F1, pk: int = 0) -> Mark:
    is_single = thing is not None and thing.kind != "program"
    return Mark(pk or round(minute * 10) + 1, MarkKind(kind), at(minute), slot, thing, is_single)


def told(loads: list[ReadLoad]) -> list[tuple[object, ...]]:
    """Return loads as (thing, from, to, state), in minutes."""
    return [
        (each.thing, _minute(each.loaded_at), each.ended_at and _minute(each.ended_at), each.state.value)
        for each in loads
    ]


def _minute(moment: datetime) -> float:
    return (moment - START) / timedelta(minutes=1)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param(
            [mark("LOAD", 1, A), mark("LOAD", 2, B)], [(A, 1, 2, "ACTIVE"), (B, 2, None, "ACTIVE")], id="load ends"
        ),
        pytest.param([mark("LOAD", 1, A), mark("LOAD", 2, A)], [(A, 1, None, "ACTIVE")], id="again changes nothing"),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B)], [(A, 1, None, "ACTIVE"), (B, 2, None, "NEXT")], id="splice"
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B), mark("SPLICE_POINT", 3)],
            [(A, 1, 3, "ACTIVE"), (B, 2, None, "ACTIVE")],
            id="splice passed",
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B), mark("UNLOAD", 3, A)],
            [(A, 1, 3, "ACTIVE"), (B, 2, None, "ACTIVE")],
            id="old one taken out",
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B), mark("SPLICE", 3, C)],
            [(A, 1, 3, "ACTIVE"), (B, 2, None, "ACTIVE"), (C, 3, None, "NEXT")],
            id="next splice",
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B), mark("LOAD", 3, B)],
            [(A, 1, 3, "ACTIVE"), (B, 2, None, "ACTIVE")],
            id="next one loaded",
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B), mark("LOAD", 3, A)],
            [(A, 1, None, "ACTIVE"), (B, 2, None, "NEXT")],
            id="a machine that repeats the old one ends no splice",
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("SPLICE", 2, B), mark("LOAD", 3, C)],
            [(A, 1, 3, "ACTIVE"), (B, 2, 3, "NEXT"), (C, 3, None, "ACTIVE")],
            id="load ends both",
        ),
        pytest.param([mark("SPLICE", 1, A)], [(A, 1, None, "ACTIVE")], id="spliced on nothing"),
        pytest.param([mark("LOAD", 1, A), mark("SPLICE_POINT", 2)], [(A, 1, None, "ACTIVE")], id="no splice"),
        pytest.param([mark("LOAD", 1, A), mark("UNLOAD", 2, B)], [(A, 1, None, "ACTIVE")], id="another taken out"),
        pytest.param([mark("LOAD", 1, A), mark("UNLOAD", 2)], [(A, 1, 2, "ACTIVE")], id="whatever was there"),
        pytest.param([mark("LOAD", 1, A), mark("LOAD", 2, A, AWAY)], [(A, 1, 2, "ACTIVE")], id="elsewhere"),
        pytest.param(
            [mark("LOAD", 1, A), mark("UNLOAD", 2, A, Slot(STATION, ""))], [(A, 1, 2, "ACTIVE")], id="wherever it is"
        ),
        pytest.param(
            [mark("LOAD", 1, A), mark("UNLOAD", 2, A, Slot(OTHER, ""))],
            [(A, 1, None, "ACTIVE")],
            id="at another station",
        ),
        pytest.param(
            [mark("LOAD", 1, SHARED), mark("LOAD", 2, SHARED, AWAY)], [(SHARED, 1, None, "ACTIVE")], id="a program"
        ),
        pytest.param(
            [mark("LOAD", 1, A, pk=1), mark("LOAD", 1, B, pk=2)], [(B, 1, None, "ACTIVE")], id="at one instant"
        ),
        pytest.param(
            [mark("LOAD", 1, B, pk=1), mark("LOAD", 1, A, pk=2)], [(B, 1, None, "ACTIVE")], id="the other way"
        ),
    ],
)
def test_loads_of_a_slot(marks: list[Mark], expected: list[tuple[object, ...]]) -> None:
    for order in (marks, marks[::-1]):
        assert told(read_loads(F1, order)) == expected


# --- any order of arrival -----------------------------------------------------------------------------------


def make_marks(random: Random) -> list[Mark]:
    """Return a random sequence, with ties, over three slots and four things."""
    marks = []
    for pk in range(1, random.randint(3, 16)):
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        is_opening = kind in ("LOAD", "SPLICE")
        thing = random.choice([A, B, C, SHARED] if is_opening else [A, B, C, None])
        slot = random.choice(SLOTS)
        if kind == "UNLOAD" and thing is not None and random.random() < 0.2:
            slot = Slot(slot.place, "")
        marks.append(mark(kind, random.randint(1, 10), thing, slot, pk=pk))
    return marks


class Plant:
    """Naive: every slot and every thing played through, mark by mark, in one row."""

    def __init__(self) -> None:
        self.there: dict[Slot, list[Thing]] = {slot: [] for slot in SLOTS}

    def play(self, done: Mark) -> None:
        here, thing = self.there.get(done.slot), done.thing
        if done.kind in ("LOAD", "SPLICE"):
            assert here is not None and thing is not None
            self.leave(done)
            if done.kind == "LOAD":
                here[:] = here[here.index(thing) :] if thing in here else [thing]
            elif thing not in here:
                here[:] = [*here[-1:], thing]
        elif done.kind == "SPLICE_POINT":
            assert here is not None
            if len(here) == 2 and (thing is None or thing in here):
                del here[0]
        elif here is None:  # wherever it is
            for slot in SLOTS:
                if slot.place == done.slot.place and thing in self.there[slot]:
                    self.there[slot].remove(thing)  # type: ignore[arg-type]
        else:
            here[:] = [each for each in here if thing is not None and each != thing]

    def leave(self, done: Mark) -> None:
        for slot, things in self.there.items():
            if slot != done.slot and done.is_single and done.thing in things:
                things.remove(done.thing)


def play(marks: list[Mark]) -> dict[datetime, dict[Slot, list[Thing]]]:
    """Return what is in every slot after each instant."""
    plant, states = Plant(), {}
    for done in sorted(marks, key=lambda mark: mark.order):
        plant.play(done)
        states[done.at] = {slot: list(things) for slot, things in plant.there.items()}
    return states


class Kept:
    """Loads as they are kept: each mark that comes changes them from its time on."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.loads: dict[Slot, list[ReadLoad]] = defaultdict(list)

    def take(self, mark: Mark) -> None:
        self.marks.append(mark)
        for slot in SLOTS:
            before = [each for each in self.loads[slot] if each.loaded_at < mark.at]
            open_then = [each for each in before if each.ended_at is None or each.ended_at >= mark.at]
            settled = [each for each in before if each not in open_then]
            later = [each for each in self.marks if each.at >= mark.at]
            loads = settled + read_loads(slot, later, open_then)
            self.loads[slot] = sorted(loads, key=lambda load: load.order)


@pytest.mark.parametrize("block", range(10))
def test_any_order_of_arrival_gives_the_loads_of_the_ordered_sequence(block: int) -> None:
    for seed in range(100):
        random = Random(block * 100 + seed)
        marks = make_marks(random)
        ordered = {slot: told(read_loads(slot, sorted(marks, key=lambda each: each.order))) for slot in SLOTS}
        kept = Kept()
        for each in random.sample(marks, len(marks)):
            kept.take(each)
        for slot in SLOTS:
            assert sorted(told(kept.loads[slot]), key=str) == sorted(ordered[slot], key=str), seed
        check_every_instant(marks, kept.loads)


def check_every_instant(marks: list[Mark], loads: dict[Slot, list[ReadLoad]]) -> None:
    """At every instant a slot has one load in use, a lot one place, and both are those of the naive plant."""
    for moment, expected in play(marks).items():
        places: dict[Thing, int] = defaultdict(int)
        for slot in SLOTS:
            there = [each for each in loads[slot] if each.is_there(moment)]
            assert [each.thing for each in there] == expected[slot], (moment, slot)  # the first is the one in use
            now = {each.state for each in there if each.ended_at is None}
            assert not now or now in ({LoadState.ACTIVE}, {LoadState.ACTIVE, LoadState.NEXT})
            for each in there:
                places[each.thing] += each.thing.kind != "program"
        assert all(count <= 1 for count in places.values())


def test_control_played_as_they_come_loads_depend_on_the_order() -> None:
    marks = [mark("LOAD", 1, A), mark("LOAD", 2, B)]
    plants = []
    for order in (marks, marks[::-1]):
        plant = Plant()
        for each in order:
            plant.play(each)
        plants.append(plant.there[F1])
    assert plants == [[B], [A]]
