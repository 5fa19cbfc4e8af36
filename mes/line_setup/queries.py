"""What is bound to a line now."""

from mes.line_setup.models import LineBinding, SetUpKind, SolderPasteLot, Stencil
from mes.plant.models import Line


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
