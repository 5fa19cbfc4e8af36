"""What is bound to a line now."""

from collections.abc import Sequence
from dataclasses import dataclass

from mes.line_setup.loads.models import Load, LoadState
from mes.line_setup.loads.queries import SHOWN
from mes.line_setup.models import MaterialLot, SetUpKind
from mes.plant.models import Line

LATEST_BINDINGS = 20


def line_of_lot(lot: MaterialLot) -> Line | None:
    """Return the line where a lot is now."""
    load = Load.objects.select_related("line", "station__line").filter(lot=lot, ended_at=None).first()
    if load is None:
        return None
    return load.line or (load.station.line if load.station else None)


@dataclass(frozen=True)
class SetUp:
    """What is bound to a line now, and what was lately, newest first."""

    line: Line
    stencil: Load | None
    solder_paste: Load | None
    history: Sequence[Load]


def get_set_up(line: Line) -> SetUp:
    """Return the set-up of a line."""
    loads = Load.objects.select_related(*SHOWN).filter(line=line, slot__in=SetUpKind.values)
    current = {load.slot: load for load in loads.filter(ended_at=None, state=LoadState.ACTIVE)}
    history = list(loads.filter(ended_at__isnull=False).order_by("-loaded_at", "-id")[:LATEST_BINDINGS])
    return SetUp(line, current.get(SetUpKind.STENCIL), current.get(SetUpKind.SOLDER_PASTE), history)
