"""What keeps a lot or a tool from being loaded by hand. A machine's report is a fact: it is not asked here."""

from collections.abc import Sequence
from datetime import datetime

from mes import errors
from mes.line_setup.lots import rules as lot_rules
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.tools import rules as tool_rules
from mes.line_setup.tools.models import Tool

_REFUSALS: dict[str, type[errors.DomainError]] = {
    each.code: each
    for each in (
        errors.LotBlocked,
        errors.LotUsedUp,
        errors.LotExpired,
        errors.MsdExpired,
        errors.ToolNotReady,
        errors.ToolWorn,
    )
}


def check_thing(item: MaterialLot | Tool | str, at: datetime) -> None:
    """Raise LotBlocked, LotUsedUp, LotExpired, MsdExpired, ToolNotReady or ToolWorn: the first that keeps it from being
    loaded.
    """
    if isinstance(item, MaterialLot):
        _refuse(lot_rules.find_faults(item, at), lot=item.lot_id)
    elif isinstance(item, Tool):
        _refuse(tool_rules.find_faults(item, at), tool=item.tool_id)


def _refuse(faults: Sequence[str], **named: str) -> None:
    for code in faults:
        raise _REFUSALS[code](**named)
