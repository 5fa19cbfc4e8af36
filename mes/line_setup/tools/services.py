"""Changes of tools: what is typed of them, and services."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes import errors
from mes.line_setup import print_counts
from mes.line_setup.models import Tool
from mes.line_setup.tools import hooks
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.times import check_not_ahead

REPORTED = ("status", "serviced_at")


@transaction.atomic
def change(tool_id: str, typed: Mapping[str, Any]) -> Tool:
    """Change what a person typed of a tool; what is reported of it too counts from now.

    A service at t counts uses after t. Raises ToolNotFound, EventTimeInFuture.
    """
    tool = lock(tool_id)
    serviced = tool.serviced_at
    check(typed)
    for name, value in typed.items():
        setattr(tool, name, value)
    reported = [name for name in REPORTED if name in typed]
    tool.note_typed(*reported)
    names = {*typed, *(["status_at", "field_sources"] if reported else [])}
    if tool.serviced_at != serviced:
        print_counts.note_service(tool, before=serviced)
    if typed.keys() & {"max_uses", "life_uses", "max_hours_since_service"}:
        tool.warned_at = None  # of another limit
    tool.save(update_fields=sorted({*names, "uses_since_service", "warned_at"}))
    hooks.tell([tool.pk])
    return tool


def check(typed: Mapping[str, Any]) -> None:
    """Raise EventTimeInFuture where a tool is said to be serviced in the future."""
    if typed.get("serviced_at") is not None:
        check_not_ahead(typed["serviced_at"], now=timezone.now())


def record_service(tool: Tool, at: datetime, *, source: str) -> None:
    """Record that a locked tool was serviced, unless a later service is known. `source` names what says so."""
    before = tool.serviced_at
    if "serviced_at" in tool.apply_report({"serviced_at": at}, at=at, event_id=source):
        print_counts.note_service(tool, before=before)
        tool.save(update_fields=["serviced_at", "field_sources", "uses_since_service", "warned_at"])
        hooks.tell([tool.pk])


def lock(tool_id: str) -> Tool:
    """Return a tool with its row locked (inside a transaction). Raises ToolNotFound."""
    rows = Tool.objects.select_for_update(no_key=True, of=("self",))
    return get_or_raise(rows, errors.ToolNotFound, tool_id=tool_id)
