"""The only writer of loads: marks go in, and the loads of the slots that they concern are read from them again.

However many marks and slots, the statements are the same; of a slot's history only what came after the earliest new
mark is read. The caller holds the locks of the set-up (`locks`) and of the lots and tools.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mes.line_setup.loads.hooks import Change
from mes.line_setup.loads.models import Load, LoadMark, LoadScan, LoadState, MarkKind
from mes.line_setup.loads.rules import Mark, Place, ReadLoad, Slot, Thing, read_loads
from mes.platform.database.prepared import as_json, fetch_all

# What was in the slots that marks concern at their time and since, and in those where their lots and tools were: what
# is taken out wherever it is in a station touches no other.
_TOUCHED = """
    touched AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(touched)s::jsonb)
            AS t(station_id bigint, line_id bigint, slot text, lot_id bigint, tool_id bigint, since timestamptz)
    ), slots AS MATERIALIZED (
        SELECT station_id, line_id, slot, min(since) AS since FROM (
            SELECT station_id, line_id, slot, since FROM touched WHERE slot <> ''
            UNION ALL
            SELECT l.station_id, l.line_id, l.slot, t.since
              FROM touched t JOIN mes_load l ON l.lot_id = t.lot_id
             WHERE (l.ended_at IS NULL OR l.ended_at >= t.since)
               AND CASE WHEN t.slot = '' THEN l.station_id = t.station_id ELSE NOT l.is_shared END
            UNION ALL
            SELECT l.station_id, l.line_id, l.slot, t.since
              FROM touched t JOIN mes_load l ON l.tool_id = t.tool_id
             WHERE (l.ended_at IS NULL OR l.ended_at >= t.since)
               AND (t.slot <> '' OR l.station_id = t.station_id)
        ) each GROUP BY 1, 2, 3
    )
"""
_LOAD = "id, lot_id, tool_id, program, is_shared, state, loaded_at, ended_at, opened_by_id, closed_by_id"
_PLACES = ("station_id", "line_id")
_LOADS_OF = " UNION ALL ".join(
    f"SELECT {_LOAD} FROM mes_load WHERE {place} = s.{place} AND slot = s.slot AND {ended}"
    for place in _PLACES
    for ended in ("ended_at IS NULL", "ended_at >= s.since")
)
READ_LOADS = f"""
    WITH {_TOUCHED}
    SELECT s.station_id, s.line_id, s.slot, s.since, coalesce(s.line_id, p.line_id),
           {", ".join(f"l.{name}" for name in _LOAD.split(", "))}, m.kind
      FROM slots s
      LEFT JOIN mes_station p ON p.id = s.station_id
      LEFT JOIN LATERAL ({_LOADS_OF}) l ON true
      LEFT JOIN mes_loadmark m ON m.id = l.opened_by_id
"""
_MARK = "id, kind, at, station_id, line_id, slot, lot_id, tool_id, program, feeder_id, verify"
_OWN = " UNION ALL ".join(
    f"SELECT {', '.join(f'm.{name}' for name in _MARK.split(', '))} FROM slots s JOIN mes_loadmark m"
    f" ON m.{place} = s.{place} AND m.slot = s.slot AND m.at >= s.since WHERE m.voided_at IS NULL"
    for place in _PLACES
)
# Where else lots and tools went, and from where they were taken without a word of the slot.
_ELSEWHERE = " UNION ".join(
    f"SELECT {', '.join(f'm.{name}' for name in _MARK.split(', '))} FROM things t JOIN mes_loadmark m"
    f" ON m.{thing} = t.{thing} AND m.at >= t.since"
    f" WHERE m.voided_at IS NULL AND (m.kind IN ('{MarkKind.LOAD}', '{MarkKind.SPLICE}') OR m.slot = '')"
    for thing in ("lot_id", "tool_id")
)
READ_MARKS = f"""
    WITH slots AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(slots)s::jsonb)
            AS s(station_id bigint, line_id bigint, slot text, since timestamptz)
    ), own AS MATERIALIZED ({_OWN}), things AS MATERIALIZED (
        SELECT lot_id, tool_id, min(since) AS since FROM (
            SELECT lot_id, tool_id, since FROM jsonb_to_recordset(%(things)s::jsonb)
                AS t(lot_id bigint, tool_id bigint, since timestamptz)
            UNION ALL SELECT lot_id, tool_id, at FROM own WHERE lot_id IS NOT NULL OR tool_id IS NOT NULL
        ) each GROUP BY 1, 2
    )
    SELECT m.*, coalesce(material.is_shared, false)
      FROM (SELECT * FROM own UNION {_ELSEWHERE}) m
      LEFT JOIN mes_materiallot lot ON lot.id = m.lot_id
      LEFT JOIN mes_material material ON material.id = lot.material_id
"""
# Nothing but scans names a load: Django would look for more.
REMOVE = """
    DELETE FROM mes_load WHERE id = ANY(ARRAY(SELECT jsonb_array_elements_text(%(loads)s::jsonb)::bigint)) RETURNING id
"""
END = """
    UPDATE mes_load l SET ended_at = greatest(l.loaded_at, u.ended_at)
      FROM jsonb_to_recordset(%(loads)s::jsonb) AS u(id bigint, ended_at timestamptz) WHERE l.id = u.id RETURNING l.id
"""
UPDATE = """
    UPDATE mes_load l SET state = u.state, ended_at = u.ended_at, closed_by_id = u.closed_by_id
      FROM jsonb_to_recordset(%(loads)s::jsonb)
           AS u(id bigint, state text, ended_at timestamptz, closed_by_id bigint)
     WHERE l.id = u.id RETURNING l.id
"""


class Row(NamedTuple):
    """A load as it is kept."""

    pk: int
    is_shared: bool
    load: ReadLoad


@dataclass(frozen=True)
class Shelf:
    """A slot since a time: the loads that were there then and began later, and the line that it is on."""

    slot: Slot
    since: datetime
    line_id: int | None
    rows: Sequence[Row]

    def list_there(self, at: datetime) -> list[Row]:
        """Return what was there at a time, not before `since`: the one in use first."""
        there = [row for row in self.rows if row.load.is_there(at)]
        return sorted(there, key=lambda row: row.load.order)


Shelves = Mapping[Slot, Shelf]


class Touch(NamedTuple):
    """A slot, and what came or went there, from a time on."""

    slot: Slot
    thing: Thing | None
    since: datetime


def slot_of(row: Load | LoadMark) -> Slot:
    """Return the slot of a load or a mark."""
    return _slot(row.station_id, row.line_id, row.slot)


def thing_of(row: Load | LoadMark) -> Thing | None:
    """Return what a load or a mark is of."""
    return _thing(row.lot_id, row.tool_id, row.program)


def read(touches: Iterable[Touch]) -> Shelves:
    """Return the slots that these touch, also those where their lots and tools were; one statement."""
    touched = [
        {**_columns(touch.slot), **_columns_of_thing(touch.thing), "since": touch.since.isoformat()}
        for touch in touches
    ]
    rows: dict[tuple[Slot, datetime, int | None], list[Row]] = defaultdict(list)
    for station_id, line_id, name, since, of_line, *load, kind in fetch_all(READ_LOADS, {"touched": as_json(touched)}):
        found = rows[_slot(station_id, line_id, name), since, of_line]
        if load[0] is not None:
            found.append(_row(*load, kind=kind))
    return {slot: Shelf(slot, since, line_id, found) for (slot, since, line_id), found in rows.items()}


def write(shelves: Shelves, marks: Sequence[LoadMark]) -> tuple[list[LoadMark], Change | None]:
    """Keep marks, of slots that were `read` since their times or before; return them, and what changed, if anything."""
    kept = LoadMark.objects.bulk_create(marks) if marks else []
    return kept, renew(shelves)


def renew(shelves: Shelves) -> Change | None:
    """Read the loads of slots from their marks again; return what changed, if anything."""
    if not shelves:
        return None
    marks, details = _read_marks(shelves)
    removed: list[int] = []
    changed: list[tuple[int, ReadLoad]] = []
    added: list[Load] = []
    touched: list[tuple[Slot, Thing]] = []
    for shelf in shelves.values():
        kept = {row.load.opened_by: row for row in shelf.rows}
        before = [row.load for row in shelf.rows if row.load.loaded_at < shelf.since]
        for load in read_loads(shelf.slot, marks, before):
            row = kept.pop(load.opened_by, None)
            if row is None:
                added.append(_new(shelf.slot, load, *details[load.opened_by]))
            elif _says(row.load) != _says(load):
                changed.append((row.pk, load))
            else:
                continue
            touched.append((shelf.slot, load.thing))
        removed += [row.pk for row in kept.values()]
        touched += [(shelf.slot, row.load.thing) for row in kept.values()]
    if not touched:
        return None
    _save(removed, changed, added)
    ids = [*removed, *(pk for pk, _load in changed), *(load.pk for load in added)]
    return _change(min(shelf.since for shelf in shelves.values()), touched, ids)


# Of what is there, as its material says now. A lot that is in several places stays so until it has left them.
NOTE_SHARED = """
    UPDATE mes_load l SET is_shared = m.is_shared
      FROM mes_materiallot lot JOIN mes_material m ON m.id = lot.material_id
     WHERE lot.id = l.lot_id AND m.id = ANY(ARRAY(SELECT value::bigint FROM jsonb_array_elements_text(%(of)s::jsonb)))
       AND l.ended_at IS NULL AND l.is_shared <> m.is_shared
       AND (m.is_shared OR NOT EXISTS (
           SELECT FROM mes_load o WHERE o.lot_id = l.lot_id AND o.id <> l.id AND o.ended_at IS NULL))
    RETURNING l.id
"""


def note_shared(material_ids: Collection[int]) -> None:
    """Let loads of these materials say whether their lots may be in several places."""
    fetch_all(NOTE_SHARED, {"of": as_json(list(material_ids))})


def is_news(shelves: Shelves, mark: LoadMark) -> bool:
    """Whether a mark tells what is not known already: not so for a LOAD of what is in use there and has not left since.

    A machine that reports all its slots every minute would else fill the table with what changes nothing.
    """
    if mark.kind != MarkKind.LOAD:
        return True
    there = [row.load for row in shelves[slot_of(mark)].list_there(mark.at)]
    return not (there and there[0].thing == thing_of(mark) and there[0].ended_at is None)


# --- rows ---------------------------------------------------------------------------------------------------


def _says(load: ReadLoad) -> tuple[Any, ...]:
    return load.state, load.ended_at, load.closed_by


def _row(
    pk: int,
    lot_id: int | None,
    tool_id: int | None,
    program: str,
    is_shared: bool,
    state: str,
    loaded_at: datetime,
    ended_at: datetime | None,
    opened_by: int,
    closed_by: int | None,
    *,
    kind: str,
) -> Row:
    thing = _thing(lot_id, tool_id, program)
    assert thing is not None  # by constraint
    read_load = ReadLoad(
        thing, loaded_at, opened_by, MarkKind(kind), LoadState(state), ended_at=ended_at, closed_by=closed_by
    )
    return Row(pk, is_shared, read_load)


def _read_marks(shelves: Shelves) -> tuple[list[Mark], dict[int, tuple[int | None, str, bool]]]:
    """Return the marks since, and of each by its key (feeder, verify, whether its lot may be in several places)."""
    slots = [{**_columns(shelf.slot), "since": shelf.since.isoformat()} for shelf in shelves.values()]
    things = [
        {**_columns_of_thing(row.load.thing), "since": shelf.since.isoformat()}
        for shelf in shelves.values()
        for row in shelf.rows
        if row.load.thing.kind != "program"
    ]
    marks, details = [], {}
    for pk, kind, at, station_id, line_id, slot, lot_id, tool_id, program, feeder_id, verify, is_shared in fetch_all(
        READ_MARKS, {"slots": as_json(slots), "things": as_json(things)}
    ):
        thing = _thing(lot_id, tool_id, program)
        is_single = thing is not None and thing.kind != "program" and not is_shared
        marks.append(Mark(pk, MarkKind(kind), at, _slot(station_id, line_id, slot), thing, is_single))
        details[pk] = (feeder_id, verify, is_shared)
    return marks, details


def _new(slot: Slot, load: ReadLoad, feeder_id: int | None, verify: str, is_shared: bool) -> Load:
    row = Load(
        **_columns(slot),
        **_columns_of_thing(load.thing),
        program=load.thing.key if load.thing.kind == "program" else "",
        feeder_id=feeder_id,
        verify=verify,
        is_shared=is_shared,
        loaded_at=load.loaded_at,
        opened_by_id=load.opened_by,
    )
    row.state, row.ended_at, row.closed_by_id = load.state, load.ended_at, load.closed_by
    return row


def _save(removed: Collection[int], changed: Sequence[tuple[int, ReadLoad]], added: Sequence[Load]) -> None:
    """Write it so that no slot has two of a kind in between, nor a lot two places: what is told anew is ended first."""
    if removed:
        LoadScan.objects.filter(load__in=removed).update(load=None)
        fetch_all(REMOVE, {"loads": as_json(removed)})
    open_ones = [(pk, load) for pk, load in changed if load.ended_at is None]
    if open_ones:
        ended = [{"id": pk, "ended_at": load.loaded_at.isoformat()} for pk, load in changed]
        fetch_all(END, {"loads": as_json(ended)})
    if changed:
        rows = [
            {
                "id": pk,
                "state": load.state.value,
                "ended_at": load.ended_at and load.ended_at.isoformat(),
                "closed_by_id": load.closed_by,
            }
            for pk, load in changed
        ]
        fetch_all(UPDATE, {"loads": as_json(rows)})
    if added:
        Load.objects.bulk_create(added)


def _change(since: datetime, touched: Iterable[tuple[Slot, Thing]], loads: Collection[int]) -> Change:
    places = {slot.place for slot, _thing in touched}
    things = {thing for _slot, thing in touched}
    return Change(
        since,
        stations=sorted(place.pk for place in places if place.of == "station"),
        lines=sorted(place.pk for place in places if place.of == "line"),
        lots=sorted(int(thing.key) for thing in things if thing.kind == "lot"),
        tools=sorted(int(thing.key) for thing in things if thing.kind == "tool"),
        loads=loads,
    )


def _slot(station_id: int | None, line_id: int | None, name: str) -> Slot:
    if station_id is not None:
        return Slot(Place("station", station_id), name)
    assert line_id is not None  # by constraint
    return Slot(Place("line", line_id), name)


def _thing(lot_id: int | None, tool_id: int | None, program: str) -> Thing | None:
    if lot_id is not None:
        return Thing("lot", lot_id)
    if tool_id is not None:
        return Thing("tool", tool_id)
    return Thing("program", program) if program else None


def _columns(slot: Slot) -> dict[str, Any]:
    is_station = slot.place.of == "station"
    return {
        "station_id": slot.place.pk if is_station else None,
        "line_id": None if is_station else slot.place.pk,
        "slot": slot.name,
    }


def _columns_of_thing(thing: Thing | None) -> dict[str, Any]:
    kind = "" if thing is None else thing.kind
    return {
        "lot_id": thing.key if thing and kind == "lot" else None,
        "tool_id": thing.key if thing and kind == "tool" else None,
    }
