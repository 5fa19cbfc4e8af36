"""Refused events that need no replay, and what applied ones left out: somebody says so with a reason, or decided about
the units that they held.

The keys of refused events are spent from then on: the same again is a duplicate. Nobody is released by it. Key before
event, as a replay locks them: of a dismissal and a replay at the same time, one finds the other's end. An applied event
stays so; what it left out is locked by its row of open work.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from execution import decided_reports
from ingest import envelope, left_out
from ingest.models import (
    REFUSED_STATUSES,
    IngestEvent,
    IngestEventUnit,
    IngestStatus,
    OpenIngestEvent,
    PartialIngestEvent,
    SettledIngestEvent,
)
from ingest.transitions import INGEST_EVENT
from mes import errors
from mes.labels import Action
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound import keys
from mes.platform.inbound.sender import Sender
from mes.platform.sweeps import Sweep
from mes.production.identity_models import UnitAlias
from mes.production.models import Unit


@transaction.atomic
def dismiss(event_id: int, *, reason: str, sender: Sender, up_to: datetime | None = None) -> IngestEvent:
    """Settle a refused event as DISMISSED under its id, with who decided and why. One that was applied stays so: what
    it left out is dismissed. With `up_to`, no content of a refused one is meant that was received later.

    Raises IngestEventNotFound, InvalidTransition when it is not refused (any more) and nothing that it left out is
    open, and StationNotAllowed.
    """
    listed = get_or_raise(IngestEvent.objects.select_related("station"), errors.IngestEventNotFound, pk=event_id)
    if sender.is_limited:
        sender.check_stations([listed.station.code] if listed.station else [])
    note = {"dismissedBy": sender.system, "reason": reason}
    if listed.status == IngestStatus.APPLIED and _dismiss_left_out(event_id, note):
        return IngestEvent.objects.select_related("run", "station").get(pk=event_id)
    INGEST_EVENT.next_state(Action.DISMISS, listed.status)
    open_event = _claim(event_id)
    if open_event is None or (up_to is not None and open_event.received_at > up_to):
        status = get_or_raise(IngestEvent.objects, errors.IngestEventNotFound, pk=event_id).status
        raise errors.InvalidTransition(action=Action.DISMISS, entity=INGEST_EVENT.entity, state=IngestStatus(status))
    _settle(open_event, note)
    return IngestEvent.objects.select_related("run", "station").get(pk=event_id)


def _dismiss_left_out(event_id: int, note: dict[str, Any]) -> bool:
    """Dismiss what an applied event left out and is open still; return whether there was any."""
    locked = left_out.lock(event_id)
    if locked is None:
        return False
    partial, settled_event = locked
    _add_note(settled_event, note)
    partial.delete()
    return True


def _add_note(settled_event: SettledIngestEvent, note: dict[str, Any]) -> None:
    """Keep who dismissed what an applied event left out, and why."""
    now = timezone.now()
    note = {**(settled_event.note or {}), **note, "dismissedAt": now.isoformat()}
    rows = SettledIngestEvent.objects.filter(pk=settled_event.pk, received_at=settled_event.received_at)
    rows.update(note=note, last_at=now)


def _claim(event_id: int) -> OpenIngestEvent | None:
    """Claim the key of a refused event, then lock the event; None where it is refused no longer."""
    found = OpenIngestEvent.objects.filter(pk=event_id).first()
    if found is None:
        return None
    channel = envelope.channel_of(found.source_system)
    if not keys.claim(channel, found.dedupe_key, bytes(found.digest)):
        return None  # whoever holds the key settled it
    rows = OpenIngestEvent.objects.select_for_update(no_key=True).filter(pk=event_id, status__in=REFUSED_STATUSES)
    return rows.first()


def _settle(open_event: OpenIngestEvent, note: dict[str, Any]) -> None:
    """Move a locked event, whose key is claimed, to history; repeats are answered by that."""
    now = timezone.now()
    fields = {field.attname: getattr(open_event, field.attname) for field in SettledIngestEvent._meta.concrete_fields}
    note = {**(open_event.note or {}), **note, "dismissedAt": now.isoformat()}
    changed = {"status": IngestStatus.DISMISSED, "note": note, "transaction_id": "", "last_at": now}
    SettledIngestEvent.objects.bulk_create([SettledIngestEvent(**fields | changed)])
    IngestEventUnit.objects.bulk_create(
        IngestEventUnit(received_at=open_event.received_at, unit_id=unit_id, event_id=open_event.pk)
        for unit_id in open_event.unit_ids
    )
    answer = {"eventId": str(open_event.pk), "duplicate": False, "status": IngestStatus.DISMISSED.value}
    channel = envelope.channel_of(open_event.source_system)
    # The content that is dismissed spends the key, whatever was claimed before the event was locked.
    keys.spend(channel, open_event.dedupe_key, bytes(open_event.digest), answer, record_id=open_event.pk)
    open_event.delete()


# --- units that somebody decided about ---------------------------------------------------------------------


def dismiss_decided(unit_ids: Sequence[int]) -> None:
    """Dismiss the reports that held units which somebody released, reworked or scrapped. Called after that commit."""
    holding = OpenIngestEvent.objects.filter(held_unit_ids__overlap=unit_ids, status__in=REFUSED_STATUSES)
    for event_id in holding.order_by("id").values_list("pk", flat=True):
        _dismiss_decided(event_id)
    partial = PartialIngestEvent.objects.filter(held_unit_ids__overlap=unit_ids)
    for event_id in partial.order_by("id").values_list("pk", flat=True):
        _decide_left_out(event_id)


def dismiss_missed() -> int:
    """Dismiss what a process left that died between a decision and the dismissal; return how many.

    Raises SweepIncomplete at the end when one failed.
    """
    refused = OpenIngestEvent.objects.filter(status__in=REFUSED_STATUSES)
    with Sweep("decided machine events") as sweep:
        dismissed = decided_reports.settle_missed(sweep, refused, _dismiss_decided)
        return dismissed + decided_reports.settle_missed(sweep, PartialIngestEvent.objects.all(), _decide_left_out)


@transaction.atomic
def _dismiss_decided(event_id: int) -> bool:
    """Dismiss an event if every unit that is held for it was decided about since; return whether it is."""
    open_event = _claim(event_id)
    decision = None
    if open_event is not None:
        decision = decided_reports.find_decision(
            open_event.held_unit_ids, since=open_event.received_at, about={"about_event_id": [event_id]}
        )
    if open_event is None or decision is None:
        transaction.set_rollback(True)  # the key stays free
        return False
    _settle(open_event, decided_reports.note_of(decision))
    return True


@transaction.atomic
def _decide_left_out(event_id: int) -> bool:
    """Take the units that were decided about since off what an applied event left out; return whether any was. With the
    last of them it is no open work any more; what else it left out stays so.
    """
    locked = left_out.lock(event_id)
    if locked is None:
        return False
    partial, settled_event = locked
    decisions = decided_reports.find_decisions(
        partial.held_unit_ids, since=settled_event.received_at, about={"about_event_id": [event_id]}
    )
    if not decisions:
        return False
    sns = dict(Unit.objects.filter(pk__in=decisions).values_list("sn", "pk"))
    sns |= dict(UnitAlias.objects.filter(unit__in=decisions).values_list("sn", "unit_id"))
    for item in settled_event.skipped:
        if item.get("sn") in sns and "decision" not in item:
            decision = decisions[sns[item["sn"]]]
            item["decision"] = {"action": decision.action, "by": decision.decided_by, "reason": decision.reason}
    rows = SettledIngestEvent.objects.filter(pk=event_id, received_at=settled_event.received_at)
    rows.update(skipped=settled_event.skipped)
    left_out.rewrite(partial, settled_event, [pk for pk in partial.held_unit_ids if pk not in decisions])
    if not left_out.list_open(settled_event.skipped):
        _add_note(settled_event, decided_reports.note_of(max(decisions.values(), key=lambda decision: decision.pk)))
    return True
