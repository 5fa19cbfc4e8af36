"""Stencils and lots exist from their first mention."""

from collections.abc import Iterable, Mapping
from typing import Any

from mes.line_setup.models import MaterialLot, SetUpKind, Tool, ToolKind
from mes.platform.validators import check_new_code

Item = Tool | MaterialLot


def lock_stencil(stencil_id: str) -> Tool:
    """Return a stencil with its row locked; the first mention makes it (inside a transaction)."""
    return _lock_stencils([stencil_id])[stencil_id]


def lock_lot(lot_id: str) -> MaterialLot:
    """Return a lot with its row locked; the first mention makes it (inside a transaction)."""
    return _lock_pastes([lot_id])[lot_id]


def lock_items(kind: SetUpKind, codes: Iterable[str]) -> Mapping[str, Item]:
    """Return stencils or lots by their codes with their rows locked, those that are known in the order of their keys;
    the first mention makes one (inside a transaction).
    """
    return _lock_stencils(codes) if kind == SetUpKind.STENCIL else _lock_pastes(codes)


def _lock_stencils(codes: Iterable[str]) -> dict[str, Tool]:
    return _lock(Tool, "tool_id", codes, shown="stencilId", kind=ToolKind.STENCIL)


def _lock_pastes(codes: Iterable[str]) -> dict[str, MaterialLot]:
    lots = _lock(MaterialLot, "lot_id", codes, shown="lotId", is_solder_paste=True)
    for lot in lots.values():
        if not lot.is_solder_paste:  # it was registered, or mentioned elsewhere, before
            lot.is_solder_paste = True
            lot.save(update_fields=["is_solder_paste"])
    return lots


def _lock(model: Any, name: str, codes: Iterable[str], *, shown: str, **new: Any) -> dict[str, Any]:
    """Raises ValidationFailed for a first mention by what can be no code. A `new` one is made with these fields."""
    wanted = set(codes)
    rows = model.objects.select_for_update(no_key=True).order_by("pk")
    known = {getattr(row, name): row for row in rows.filter(**{f"{name}__in": wanted})}
    if missing := sorted(wanted - known.keys()):  # made by two at once, both go on with the one row
        for code in missing:
            check_new_code(shown, code)
        model.objects.bulk_create([model(**{name: code}, **new) for code in missing], ignore_conflicts=True)
        known |= {getattr(row, name): row for row in rows.filter(**{f"{name}__in": missing})}
    return known
