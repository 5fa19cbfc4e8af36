"""The limits that stencils and solder paste are used within. Pure: readiness asks, and the set-up page shows."""

from datetime import UTC, datetime, timedelta

from mes.line_setup.models import MaterialLot, Tool

_NEVER = datetime.max.replace(tzinfo=UTC)


def is_tension_low(stencil: Tool) -> bool:
    """Whether the tension is below the least. A limit asks for its value: what nobody measured is not within it."""
    least, tension = stencil.tension_min, stencil.tension_value
    return least is not None and (tension is None or tension < least)


def is_used_too_often(stencil: Tool) -> bool:
    """Whether it was used as often since its service as it may be."""
    return stencil.max_uses is not None and stencil.uses_since_service >= stencil.max_uses


def is_cleaning_overdue(stencil: Tool, *, now: datetime) -> bool:
    """Whether its last cleaning is as long ago as it may be, or unknown."""
    if stencil.max_hours_since_service is None:
        return False
    due = cleaning_due_at(stencil)
    return stencil.serviced_at is None or (due is not None and due <= now)


def cleaning_due_at(tool: Tool) -> datetime | None:
    """Return when a tool must be cleaned or serviced again by time alone. None: never, or as nobody knows since when it
    was.
    """
    hours, serviced = tool.max_hours_since_service, tool.serviced_at
    if hours is None or serviced is None:
        return None
    span = timedelta(hours=hours)
    return serviced + span if span < _NEVER - serviced else None


def is_past_expiry(lot: MaterialLot, *, now: datetime) -> bool:
    """Whether the lot's expiry date has come."""
    return lot.expires_at is not None and lot.expires_at <= now
