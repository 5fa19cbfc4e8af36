"""What keeps a tool from being used, and when it nears a limit. Pure."""

from datetime import datetime

from mes import errors
from mes.line_setup import limits
from mes.line_setup.models import Tool, ToolStatus

NEAR = 0.9  # of a limit: people are told
TOOL_NOT_READY, TOOL_WORN = errors.ToolNotReady.code, errors.ToolWorn.code

# Of `mes_tool t`, in SQL: whether a limit of uses is reached, and whether it nears one.
IS_WORN_BY_USES = "(coalesce(t.uses_since_service >= t.max_uses, false) OR coalesce(t.uses >= t.life_uses, false))"
NEARS_BY_USES = f"""
    (coalesce(t.uses_since_service >= t.max_uses * {NEAR}, false) OR coalesce(t.uses >= t.life_uses * {NEAR}, false))
"""


def find_faults(tool: Tool, at: datetime) -> list[str]:
    """Return what keeps a tool from being used at a time: TOOL_NOT_READY, TOOL_WORN, or nothing.

    Nobody needs to report a status; of stencils, readiness asks for one besides.
    """
    faults = []
    if tool.status not in ("", ToolStatus.READY) or tool.failed_check or limits.is_tension_low(tool):
        faults.append(TOOL_NOT_READY)
    if is_worn(tool, at):
        faults.append(TOOL_WORN)
    return faults


def is_worn(tool: Tool, at: datetime) -> bool:
    """Whether a limit of a tool is reached: of uses, of its life, or of time since a service, which may never have
    been.
    """
    is_at_its_end = tool.life_uses is not None and tool.uses >= tool.life_uses
    return is_at_its_end or limits.is_used_too_often(tool) or limits.is_cleaning_overdue(tool, now=at)
