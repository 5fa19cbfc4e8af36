"""What was in a slot from when to when, read from its marks. Pure: whatever order the marks came in, the loads are
the same.

A slot has at most two loads at a time, the one in use and the one that is spliced behind. Its loads depend on its own
marks, and on where else its lots and tools went.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from mes.line_setup.loads.models import LoadState, MarkKind

OPENING = (MarkKind.LOAD, MarkKind.SPLICE)
# At one instant: what goes, goes first; what is spliced has something to be spliced behind, and its point comes after.
_RANK = {MarkKind.UNLOAD: 0, MarkKind.LOAD: 1, MarkKind.SPLICE: 2, MarkKind.SPLICE_POINT: 3}
_MOST = 2  # loads of a slot at a time

Order = tuple[datetime, int, tuple[str, int], str, tuple[str, str], int]


class Place(NamedTuple):
    """A station or a line, which the slot is of: `of` is `station` or `line`, `pk` its key."""

    of: str
    pk: int


class Thing(NamedTuple):
    """A lot, tool or program: `kind` says which, `key` is its key in the database, or the program's name."""

    kind: str
    key: int | str

    @property
    def order(self) -> tuple[str, str]:
        """What things are ordered by."""
        return self.kind, f"{self.key:>20}"


class Slot(NamedTuple):
    """A slot of a place; its `name` is empty where a lot is taken away wherever in that place it is."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What was done to a slot. `thing` may be missing where something was unloaded or a splice passed.

    `is_single`: the thing is in one place at a time, as lots and tools are.
    """

    pk: int
    kind: MarkKind
    at: datetime
    slot: Slot
    thing: Thing | None = None
    is_single: bool = False

    @property
    def order(self) -> Order:
        """What marks are ordered by: time, and at one instant what they say, never when they came."""
        thing = ("", "") if self.thing is None else self.thing.order
        return self.at, _RANK[self.kind], (self.slot.place.of, self.slot.place.pk), self.slot.name, thing, self.pk


@dataclass(frozen=True, slots=True)
class ReadLoad:
    """A thing in a slot from–to; `ended_at` is None while it is there. `opened_by` and `closed_by` are the marks that
    say so, `opening` the kind of the former; `active_from` is when it came into use, None where it never did.
    """

    thing: Thing
    loaded_at: datetime
    opened_by: int
    opening: MarkKind
    state: LoadState = LoadState.ACTIVE
    active_from: datetime | None = None
    ended_at: datetime | None = None
    closed_by: int | None = None

    @property
    def order(self) -> tuple[datetime, int, tuple[str, str]]:
        """The order in which the loads of a slot began."""
        return self.loaded_at, _RANK[self.opening], self.thing.order

    def reopen(self) -> "ReadLoad":
        """Return it as it was before its end was told."""
        return ReadLoad(self.thing, self.loaded_at, self.opened_by, self.opening, LoadState.NEXT)

    def is_there(self, at: datetime) -> bool:
        """Whether it is in its slot at a time."""
        return self.loaded_at <= at and (self.ended_at is None or at < self.ended_at)


def read_loads(slot: Slot, marks: Iterable[Mark], before: Sequence[ReadLoad] = ()) -> list[ReadLoad]:
    """Return the loads of a slot, in the order in which they began.

    `marks` are, in any order, those of the slot, and those of its things elsewhere; voided ones left out, others do no
    harm. `before` are the loads that were there before the first of them, whatever is known of their ends. What was
    there for no time at all is left out.
    """
    there = _put_into_use(sorted((load.reopen() for load in before), key=lambda load: load.order))
    gone: list[ReadLoad] = []
    for mark in sorted(marks, key=lambda mark: mark.order):
        leaving = _find_leaving(slot, mark, there)
        gone += [replace(there[index], ended_at=mark.at, closed_by=mark.pk) for index in leaving]
        there = [load for index, load in enumerate(there) if index not in leaving]
        if mark.slot == slot and mark.kind in OPENING and mark.thing not in [load.thing for load in there]:
            assert mark.thing is not None  # by constraint
            there.append(ReadLoad(mark.thing, mark.at, mark.pk, mark.kind, LoadState.NEXT))
        there = _put_into_use(there, mark.at)
    loads = [load for load in gone if load.ended_at != load.loaded_at] + there
    return sorted(loads, key=lambda load: load.order)


def _put_into_use(there: list[ReadLoad], at: datetime | None = None) -> list[ReadLoad]:
    """Return what is there with the oldest in use, since its own beginning or since what was before it went."""
    if not there or there[0].state == LoadState.ACTIVE:
        return there
    first = replace(there[0], state=LoadState.ACTIVE, active_from=at or there[0].loaded_at)
    return [first, *there[1:]]


def _find_leaving(slot: Slot, mark: Mark, there: Sequence[ReadLoad]) -> Collection[int]:
    """Return the places in the row of what a mark ends."""
    things = [load.thing for load in there]
    position = things.index(mark.thing) if mark.thing in things else None
    if mark.slot != slot:
        is_taken = mark.kind == MarkKind.UNLOAD and mark.slot == Slot(slot.place, "")
        is_elsewhere = mark.kind in OPENING and mark.is_single
        return () if position is None or not (is_taken or is_elsewhere) else (position,)
    if mark.kind == MarkKind.UNLOAD:
        return range(len(there)) if mark.thing is None else () if position is None else (position,)
    if mark.kind == MarkKind.LOAD:  # of what is spliced behind: the splice has passed
        return range(len(there)) if position is None else range(position)
    is_full = len(there) == _MOST
    if mark.kind == MarkKind.SPLICE:
        return (0,) if is_full and position is None else ()
    return (0,) if is_full and (mark.thing is None or position is not None) else ()
