"""Tools and material lots, as scans name them. The place of a tool is the line that it serves."""

from django.urls import reverse

from mes.line_setup.tools.links import page_of
from mes.plant.scans import ScanKind, ScanSource
from mes.platform.scans import LOT, TOOL


def _address(_code: str, line_code: str) -> str:
    """Return the address of the set-up of its line; on none, it has no page."""
    return reverse("line-set-up", args=[line_code]) if line_code else ""


def _address_of_tool(code: str, line_code: str) -> str:
    """Return the address of the set-up of its line; on none, that of the tool among the others."""
    return _address(code, line_code) or page_of(code)


def _page_of_lot(code: str, _place: str) -> str:
    """Return the address of the page of a lot."""
    return reverse("lot", args=[code])


_TOOLS = """
    SELECT tool_id AS asked, tool_id AS code,
           (SELECT l.code FROM mes_load b LEFT JOIN mes_station s ON s.id = b.station_id
                                          JOIN mes_line l ON l.id = coalesce(b.line_id, s.line_id)
             WHERE b.tool_id = tool.id AND b.ended_at IS NULL LIMIT 1) AS place
      FROM mes_tool tool WHERE tool.tool_id = ANY({{asked}}) AND (kind = 'STENCIL') = {is_stencil}
"""
_LOTS = """
    SELECT lot_id AS asked, lot_id AS code, '' AS place
      FROM mes_materiallot WHERE lot_id = ANY({{asked}}) AND is_solder_paste = {is_solder_paste}
"""

SOURCES = (
    ScanSource(ScanKind.STENCIL, _TOOLS.format(is_stencil="true"), TOOL, _address_of_tool),
    ScanSource(ScanKind.PASTE_LOT, _LOTS.format(is_solder_paste="true"), LOT, _page_of_lot),
    ScanSource(ScanKind.TOOL, _TOOLS.format(is_stencil="false"), TOOL, _address_of_tool),
    ScanSource(ScanKind.LOT, _LOTS.format(is_solder_paste="false"), LOT, _page_of_lot),
)
