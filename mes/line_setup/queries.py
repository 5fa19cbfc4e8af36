"""What is bound to a line now."""

from collections.abc import Sequence
from dataclasses import dataclass

from mes.line_setup.models import LineBinding, SetUpKind, SolderPasteLot, Stencil
from mes.plant.models import Line

LATEST_BINDINGS = 20


def find_current(line: Line, kind: SetUpKind) -> LineBinding | None:
    """Return the current binding of a kind, with its stencil or lot."""
    bindings = LineBinding.objects.select_related("line", "stencil", "lot")
    return bindings.filter(line=line, kind=kind, unbound_at=None).first()


def current_stencil(line: Line) -> Stencil | None:
    """Return the stencil bound to a line now."""
    binding = find_current(line, SetUpKind.STENCIL)
    return binding.stencil if binding else None


def current_lot(line: Line) -> SolderPasteLot | None:
    """Return the solder paste lot bound to a line now."""
    binding = find_current(line, SetUpKind.SOLDER_PASTE)
    return binding.lot if binding else None


def line_of_lot(lot: SolderPasteLot) -> Line | None:
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
