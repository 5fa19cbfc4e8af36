"""What people are shown of an event: whoever looks into the outbox may know less than its handlers."""

from typing import Any
from urllib.parse import urlsplit

from mes.platform.outbox.models import EventType, MesEvent

HIDDEN = "…"


def shown_payload(event: MesEvent) -> Any:
    """Return the payload of an event without the addresses to which notices go: that of a webhook is often all that
    it takes to write there, and a person's mail is his own.
    """
    payload = event.payload
    if not isinstance(payload, dict) or "to" not in payload:
        return payload
    if event.event_type == EventType.NOTICE_WEBHOOK:
        return {**payload, "to": _server(str(payload["to"]))}
    if event.event_type == EventType.NOTICE_MAIL:
        return {**payload, "to": HIDDEN}
    return payload


def _server(address: str) -> str:
    """Return the server of an address."""
    try:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.hostname}/{HIDDEN}"
    except ValueError:
        return HIDDEN
