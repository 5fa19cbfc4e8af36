"""The floor life of lots, read from their events: one statement, however many lots."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mes.line_setup.lots.floor_life import KINDS, Clock, Told, read_clock
from mes.line_setup.lots.models import MaterialLot
from mes.platform.database.prepared import as_json, fetch_all

# A lot inherits what happened to those that it was split from, until it was; its first load, too.
_EVENTS = """
    WITH RECURSIVE family (lot_id, of_id, until) AS (
        SELECT id, id, NULL::timestamptz FROM mes_materiallot
         WHERE id = ANY(ARRAY(SELECT value::bigint FROM jsonb_array_elements_text(%(lots)s::jsonb)))
        UNION ALL
        SELECT family.lot_id, lot.parent_id, least(family.until, lot.split_at)
          FROM family JOIN mes_materiallot lot ON lot.id = family.of_id
         WHERE lot.parent_id IS NOT NULL)
    SELECT family.lot_id, event.id, event.kind, event.at, event.temperature_c
      FROM family JOIN mes_lotevent event ON event.lot_id = family.of_id
     WHERE event.kind = ANY(ARRAY(SELECT value FROM jsonb_array_elements_text(%(kinds)s::jsonb)))
       AND (family.until IS NULL OR event.at <= family.until)
    UNION ALL
    SELECT family.lot_id, NULL, '', min(load.loaded_at), NULL
      FROM family JOIN mes_load load ON load.lot_id = family.of_id
     WHERE family.until IS NULL OR load.loaded_at <= family.until
     GROUP BY family.lot_id
     ORDER BY 2
"""


def read_clocks(lots: Sequence[MaterialLot], at: datetime, *, ahead: timedelta = timedelta()) -> Mapping[int, Clock]:
    """Return the floor life of lots at an instant, by their ids. Their materials should be loaded.

    A lot of which something is told that is later, by no more than `ahead`, is read at the time of that.
    """
    events: dict[int, list[Told]] = defaultdict(list)
    first_loaded: dict[int, datetime] = {}
    values = {"lots": as_json([lot.pk for lot in lots]), "kinds": as_json([str(kind) for kind in KINDS])}
    for lot_id, event_id, kind, happened_at, temperature in fetch_all(_EVENTS, values) if lots else ():
        if event_id is None:
            first_loaded[lot_id] = happened_at
        else:
            events[lot_id].append(Told(kind, happened_at, temperature))
    clocks = {}
    for lot in lots:
        told, loaded_at = events[lot.pk], first_loaded.get(lot.pk, at)
        later = (moment for moment in (loaded_at, *(event.at for event in told)) if at < moment <= at + ahead)
        clocks[lot.pk] = read_clock(lot, told, first_loaded.get(lot.pk), max(later, default=at))
    return clocks


def read_one(lot: MaterialLot, at: datetime) -> Clock:
    """Return the floor life of a lot at an instant."""
    return read_clocks([lot], at)[lot.pk]
