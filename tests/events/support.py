"""Events for the tests of the outbox."""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import connection
from django.utils import timezone

from mes.events.models import MesEvent


def make_event(key: str, *, due_ago: float = 1, **fields: Any) -> MesEvent:
    """Write an event that has been due for so many seconds."""
    due = timezone.now() - timedelta(seconds=due_ago)
    values = {"event_type": "TRACK_IN", "entity_type": "UNIT", "entity_id": key, "occurred_at": due}
    return MesEvent.objects.create(idempotency_key=key, next_attempt_at=due, **{**values, **fields})


def test_database_url() -> str:
    """Return the DATABASE_URL of the database that the tests use, for a process of its own."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


test_database_url.__test__ = False  # type: ignore[attr-defined]
