"""The limits that stencils and solder paste are used within. Pure: readiness asks, and the set-up page shows."""

from datetime import datetime, timedelta

from mes.line_setup.models import MaterialLot, Tool


def is_tension_low(stencil: Tool) -> bool:
    """Whether the tension is below the least. A limit asks for its value: what nobody measured is not within it."""
    least, tension = stencil.tension_min, stencil.tension_value
    return least is not None and (tension is None or tension < least)


def is_used_too_often(stencil: Tool) -> bool:
    """Whether it was used as often since its service as it may be."""
    return stencil.max_uses is not None and stencil.uses_since_service >= stencil.max_uses


def is_cleaning_overdue(stencil: Tool, *, now: datetime) -> bool:
    """Whether its last cleaning is longer ago than it may be, or unknown."""
    hours, cleaned = stencil.max_hours_since_service, stencil.serviced_at
    return hours is not None and (cleaned is None or cleaned + timedelta(hours=hours) < now)


def is_past_expiry(lot: MaterialLot, *, now: datetime) -> bool:
    """Whether the lot's expiry date has come."""
    return lot.expires_at is not None and lot.expires_at <= now
