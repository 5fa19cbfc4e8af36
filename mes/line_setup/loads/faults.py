"""What keeps a lot or a tool from being loaded by hand. A machine's report is a fact: it is not asked here."""

from datetime import datetime

from mes import errors
from mes.line_setup import limits
from mes.line_setup.lots.models import LotStatus, MaterialLot
from mes.line_setup.tools.models import Tool, ToolStatus


def check_thing(item: MaterialLot | Tool | str, at: datetime) -> None:
    """Raise LotBlocked, LotUsedUp, LotExpired, ToolNotReady or ToolWorn: the first that keeps it from being loaded."""
    if isinstance(item, MaterialLot):
        _check_lot(item, at)
    elif isinstance(item, Tool):
        _check_tool(item, at)


def _check_lot(lot: MaterialLot, at: datetime) -> None:
    if lot.status in (LotStatus.BLOCKED, LotStatus.SCRAPPED):
        raise errors.LotBlocked(lot=lot.lot_id)
    if lot.status == LotStatus.USED_UP:
        raise errors.LotUsedUp(lot=lot.lot_id)
    if limits.is_past_expiry(lot, now=at):
        raise errors.LotExpired(lot=lot.lot_id)


def _check_tool(tool: Tool, at: datetime) -> None:
    if tool.status not in ("", ToolStatus.READY) or limits.is_tension_low(tool):
        raise errors.ToolNotReady(tool=tool.tool_id)
    if limits.is_used_too_often(tool) or limits.is_cleaning_overdue(tool, now=at):
        raise errors.ToolWorn(tool=tool.tool_id)
