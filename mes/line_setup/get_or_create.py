"""Stencils and lots exist from their first mention."""

from typing import Any

from mes.line_setup.models import MaterialLot, SetUpKind, Tool, ToolKind
from mes.platform.validators import check_new_code

Item = Tool | MaterialLot


def lock_stencil(stencil_id: str) -> Tool:
    """Return a stencil with its row locked; the first mention makes it (inside a transaction)."""
    stencil: Tool = _lock(Tool, "tool_id", stencil_id, shown="stencilId", kind=ToolKind.STENCIL)
    return stencil


def lock_lot(lot_id: str) -> MaterialLot:
    """Return a lot with its row locked; the first mention makes it (inside a transaction)."""
    lot: MaterialLot = _lock(MaterialLot, "lot_id", lot_id, shown="lotId", is_solder_paste=True)
    if not lot.is_solder_paste:  # it was registered, or mentioned elsewhere, before
        lot.is_solder_paste = True
        lot.save(update_fields=["is_solder_paste"])
    return lot


def lock_item(kind: SetUpKind, code: str) -> Item:
    """Return a stencil or lot with its row locked; the first mention makes it (inside a transaction)."""
    return lock_stencil(code) if kind == SetUpKind.STENCIL else lock_lot(code)


def _lock(model: Any, name: str, code: str, *, shown: str, **new: Any) -> Any:
    """Raises ValidationFailed for a first mention by what can be no code. A `new` one is made with these fields."""
    rows = model.objects.select_for_update(no_key=True).filter(**{name: code})
    known = rows.first()
    if known is not None:
        return known
    check_new_code(shown, code)
    model.objects.bulk_create([model(**{name: code}, **new)], ignore_conflicts=True)
    return rows.get()  # made by two at once, both go on with the one row
