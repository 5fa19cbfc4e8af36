"""What is bound to a line now."""

from collections.abc import Sequence
from dataclasses import dataclass

from mes.line_setup.models import LineBinding, MaterialLot, SetUpKind
from mes.plant.models import Line

LATEST_BINDINGS = 20


def line_of_lot(lot: MaterialLot) -> Line | None:
    """Return the line that a lot is bound to now."""
    binding = LineBinding.objects.select_related("line").filter(lot=lot, unbound_at=None).first()
    return binding.line if binding else None


@dataclass(frozen=True)
class SetUp:
    """What is bound to a line now, and what was lately, newest first."""

    line: Line
    stencil: LineBinding | None
    solder_paste: LineBinding | None
    history: Sequence[LineBinding]


def get_set_up(line: Line) -> SetUp:
    """Return the set-up of a line."""
    bindings = LineBinding.objects.select_related("line", "stencil", "lot").filter(line=line)
    current = {binding.kind: binding for binding in bindings.filter(unbound_at=None)}
    history = list(bindings.filter(unbound_at__isnull=False).order_by("-bound_at", "-id")[:LATEST_BINDINGS])
    return SetUp(line, current.get(SetUpKind.STENCIL), current.get(SetUpKind.SOLDER_PASTE), history)
