"""What is told of lots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mes.line_setup.lots.clocks import read_clocks
from mes.line_setup.lots.floor_life import Clock
from mes.line_setup.lots.models import MaterialLot
from mes.platform.database.prepared import fetch_all


def rest_of(lot: MaterialLot) -> Decimal | None:
    """Return how much is in a lot by its latest count, else as it was registered; None where nobody said."""
    return lot.quantity if lot.counted_quantity is None else lot.counted_quantity


def plain(quantity: Decimal) -> str:
    """Return a quantity as people write it: 400 for 400.0000."""
    return f"{quantity.normalize():f}"


@dataclass(frozen=True)
class ShownLot:
    """A lot with what is worked out of it."""

    lot: MaterialLot
    clock: Clock
    remaining: Decimal | None


def describe(lots: Sequence[MaterialLot], at: datetime) -> list[ShownLot]:
    """Return lots with what is worked out of them at an instant; one statement."""
    clocks = read_clocks(lots, at)
    return [ShownLot(lot, clocks[lot.pk], rest_of(lot)) for lot in lots]


@dataclass(frozen=True)
class LoadedAt:
    """A slot that a lot is in, of a station or of a line."""

    place: str
    is_line: bool
    slot: str
    since: datetime


_PLACES = """
    SELECT coalesce(station.code, line.code), load.station_id IS NULL, load.slot, load.loaded_at
      FROM mes_load load LEFT JOIN mes_station station ON station.id = load.station_id
      LEFT JOIN mes_line line ON line.id = load.line_id
     WHERE load.lot_id = %(lot)s AND load.ended_at IS NULL
     ORDER BY load.loaded_at, load.id LIMIT 100
"""


def list_places(lot: MaterialLot) -> list[LoadedAt]:
    """Return where a lot is loaded now."""
    return [LoadedAt(*row) for row in fetch_all(_PLACES, {"lot": lot.pk})]
