"""Stencils and lots exist from their first mention."""

from collections.abc import Iterable, Mapping
from typing import Any

from mes.line_setup.models import SetUpKind, SolderPasteLot, Stencil
from mes.platform.http.envelope import camel_case
from mes.platform.validators import check_new_code

Item = Stencil | SolderPasteLot


def lock_stencil(stencil_id: str) -> Stencil:
    """Return a stencil with its row locked; the first mention makes it (inside a transaction)."""
    return _lock(Stencil, "stencil_id", [stencil_id])[stencil_id]


def lock_lot(lot_id: str) -> SolderPasteLot:
    """Return a lot with its row locked; the first mention makes it (inside a transaction)."""
    return _lock(SolderPasteLot, "lot_id", [lot_id])[lot_id]


def lock_items(kind: SetUpKind, codes: Iterable[str]) -> Mapping[str, Item]:
    """Return stencils or lots by their codes with their rows locked, those that are known in the order of their keys;
    the first mention makes one (inside a transaction).
    """
    return _lock(Stencil, "stencil_id", codes) if kind == SetUpKind.STENCIL else _lock(SolderPasteLot, "lot_id", codes)


def _lock(model: Any, name: str, codes: Iterable[str]) -> dict[str, Any]:
    """Raises ValidationFailed for a first mention by what can be no code."""
    wanted = set(codes)
    rows = model.objects.select_for_update(no_key=True).order_by("pk")
    known = {getattr(row, name): row for row in rows.filter(**{f"{name}__in": wanted})}
    if missing := sorted(wanted - known.keys()):  # made by two at once, both go on with the one row
        for code in missing:
            check_new_code(camel_case(name), code)
        model.objects.bulk_create([model(**{name: code}) for code in missing], ignore_conflicts=True)
        known |= {getattr(row, name): row for row in rows.filter(**{f"{name}__in": missing})}
    return known
