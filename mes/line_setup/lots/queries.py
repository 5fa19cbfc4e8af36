"""What is told of lots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mes.line_setup.lots.clocks import read_clocks
from mes.line_setup.lots.floor_life import Clock
from mes.line_setup.lots.models import MaterialLot


def rest_of(lot: MaterialLot) -> Decimal | None:
    """Return how much is in a lot by its latest count, else as it was registered; None where nobody said."""
    return lot.quantity if lot.counted_quantity is None else lot.counted_quantity


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
