"""Stencils and lots exist from their first mention."""

from mes.line_setup.models import SolderPasteLot, Stencil


def lock_stencil(stencil_id: str) -> Stencil:
    """Return a stencil with its row locked; the first mention makes it (inside a transaction)."""
    rows = Stencil.objects.select_for_update(no_key=True)
    stencil = rows.filter(stencil_id=stencil_id).first()
    if stencil is None:  # made by two at once, both go on with the one row
        Stencil.objects.bulk_create([Stencil(stencil_id=stencil_id)], ignore_conflicts=True)
        stencil = rows.get(stencil_id=stencil_id)
    return stencil


def lock_lot(lot_id: str) -> SolderPasteLot:
    """Return a lot with its row locked; the first mention makes it (inside a transaction)."""
    rows = SolderPasteLot.objects.select_for_update(no_key=True)
    lot = rows.filter(lot_id=lot_id).first()
    if lot is None:
        SolderPasteLot.objects.bulk_create([SolderPasteLot(lot_id=lot_id)], ignore_conflicts=True)
        lot = rows.get(lot_id=lot_id)
    return lot
