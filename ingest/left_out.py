"""What applied events left out: units that were refused, and items of which nobody can tell whose they are. Open work
until they are applied after all, dismissed, or decided about as units.

The items stand in `skipped` of the settled event; one that somebody decided about by its unit has a `decision`. What is
open has a row of its own (`PartialIngestEvent`), which is locked by whoever changes either.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from ingest.models import PartialIngestEvent, SettledIngestEvent
from mes import errors

Item = dict[str, Any]
HELD_CODES = frozenset(
    error.code for error in (errors.RunOnHold, errors.LineOnHold, errors.StationStopped, errors.RunInOqc)
)


def list_open(items: Sequence[Item]) -> list[Item]:
    """Return the items that nobody decided about. A reference unit is left out for good: nobody has to."""
    return [item for item in items if "decision" not in item and item.get("code") != errors.SnIsReference.code]


def list_held(items: Sequence[Item]) -> list[Item]:
    """Return the units among them that were left out because something stood still: run, line or station."""
    return [item for item in list_open(items) if "sn" in item and item["code"] in HELD_CODES]


def _is_failing(item: Item) -> bool:
    """Whether an item says that its unit failed. Once that was told of units only as whether they are held for it."""
    return bool(item.get("failing")) or "held" in item


def summarize(items: Sequence[Item], held_unit_ids: Sequence[int]) -> dict[str, Any] | None:
    """Return what the row of an event says of the items that it left out and the units that are held for it; None where
    no item is open. One that says that its unit failed is told first.
    """
    still_open = list_open(items)
    if not still_open:
        return None
    told = next(filter(_is_failing, still_open), still_open[0])
    sns = [item["sn"] for item in still_open if "sn" in item]
    return {
        "sns": sns,
        "error_code": told["code"],
        "error": {"code": told["code"], "message": told.get("message") or told["code"], "details": {}},
        "subject": sns[0] if len(still_open) == len(sns) == 1 else "",
        "is_failing": _is_failing(told),
        "held_unit_ids": list(held_unit_ids),
    }


def lock(event_id: int) -> tuple[PartialIngestEvent, SettledIngestEvent] | None:
    """Lock what an event left out; return it with the event, None where nothing is open (any more)."""
    partial = PartialIngestEvent.objects.select_for_update().filter(pk=event_id).first()
    if partial is None:
        return None
    return partial, SettledIngestEvent.objects.get(pk=event_id, received_at=partial.received_at)


def rewrite(partial: PartialIngestEvent, settled_event: SettledIngestEvent, held_unit_ids: Sequence[int]) -> None:
    """Write what is open still of a locked row, after the items of its event have changed; the last one ends it."""
    told = summarize(settled_event.skipped, held_unit_ids)
    if told is None:
        partial.delete()
    else:
        PartialIngestEvent.objects.filter(pk=partial.pk).update(**told, last_at=settled_event.last_at)


@transaction.atomic
def refuse_held(event_id: int, error: errors.DomainError, *, sns: Sequence[str] | None = None) -> None:
    """Keep why units are left out still that a hold kept out, which went on: these, or all of them."""
    locked = lock(event_id)
    if locked is None:
        return
    partial, settled_event = locked
    refused = [item for item in list_held(settled_event.skipped) if sns is None or item["sn"] in sns]
    for item in refused:
        item.update(code=error.code, message=str(error))
    settled_event.last_at = timezone.now()
    rows = SettledIngestEvent.objects.filter(pk=settled_event.pk, received_at=settled_event.received_at)
    rows.update(skipped=settled_event.skipped, last_at=settled_event.last_at)
    rewrite(partial, settled_event, partial.held_unit_ids)
