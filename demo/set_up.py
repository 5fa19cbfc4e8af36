"""What a person does at the printer before a run: clean and bind the stencil, take a container of paste into use."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from demo import plant
from demo.client import Client

STENCIL = "ST-CTRL-100-T"
WHO = "demo-printer"


def steps(client: Client, run_no: str) -> list[Callable[[], object]]:
    """Return what is to be done, in order; each may be tried again."""
    now = datetime.now(UTC)
    lot = f"SP-{now:%Y%m%d}"  # a container a day

    def report(name: str, event_id: str, **said: Any) -> object:
        body = {"eventId": event_id, "eventTime": _text(now), "source": "MANUAL", "operatorId": WHO, **said}
        return client.post("integration", name, body=body)

    def bind(kind: str, **what: str) -> object:
        return client.post("integration", "lines", plant.LINE, kind, "bind", body={**what, "replace": True})

    def take_into_use() -> object:
        if any(client.items("solder-paste-usages", query={"lotId": lot})):
            return None
        issued = {"lotId": lot, "lineCode": plant.LINE, "issuedAt": _text(now)}
        return report("solder-paste-usage", f"{lot}-issued", **issued, receivedAt=_text(now - timedelta(days=20)))

    cleaned = {"status": "READY", "tensionValue": 36.5, "lastCleanedAt": _text(now), "version": "B"}
    thawed = _text(now - timedelta(hours=5))
    fit = {"status": "COMPLIANT", "expiresAt": _text(now + timedelta(days=90)), "thawedAt": thawed}
    return [
        lambda: report("stencil-status", f"{run_no}-stencil", stencilId=STENCIL, **cleaned),
        lambda: bind("stencil", stencilId=STENCIL),
        lambda: report("solder-paste-status", f"{run_no}-paste", lotId=lot, **fit),
        lambda: bind("solder-paste", lotId=lot),
        take_into_use,
    ]


def _text(at: datetime) -> str:
    return at.isoformat()
