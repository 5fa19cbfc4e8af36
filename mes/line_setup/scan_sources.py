"""Stencils and solder paste lots, as scans name them. Their place is the line on which they are."""

from django.urls import reverse

from mes.plant.scans import ScanKind, ScanSource
from mes.platform.scans import LOT, TOOL


def _address(_code: str, line_code: str) -> str:
    """Return the address of the set-up of its line; on none, it has no page."""
    return reverse("line-set-up", args=[line_code]) if line_code else ""


_LINE = """
    (SELECT l.code FROM mes_linebinding b JOIN mes_line l ON l.id = b.line_id
      WHERE b.{item}_id = thing.id AND b.unbound_at IS NULL LIMIT 1) AS place
"""
_STENCILS = f"""
    SELECT stencil_id AS asked, stencil_id AS code, {_LINE.format(item="stencil")}
      FROM mes_stencil AS thing WHERE stencil_id = ANY({{asked}})
"""
_LOTS = f"""
    SELECT lot_id AS asked, lot_id AS code, {_LINE.format(item="lot")}
      FROM mes_solderpastelot AS thing WHERE lot_id = ANY({{asked}})
"""

SOURCES = (
    ScanSource(ScanKind.STENCIL, _STENCILS, TOOL, _address),
    ScanSource(ScanKind.PASTE_LOT, _LOTS, LOT, _address),
)
