"""What was decided about holds, and who signed it: written here only."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.platform.signatures import services as signatures
from mes.platform.signatures.hooks import SignedRecord
from mes.platform.signatures.services import Signing
from mes.production.hold_models import HeldUnitEnd, Hold, HoldDecision, HoldScope

RECORD_TYPE = "HOLD"


def record(
    hold: Hold,
    *,
    end: HeldUnitEnd,
    reason: str,
    by: str,
    sns: Sequence[str] = (),
    to_step_no: int | None = None,
    signing: Signing | None = None,
) -> HoldDecision:
    """Keep what was decided about a hold, and of units the serial numbers, signed by whoever signs; in the transaction
    that does it, or has the worker do it.
    """
    decision = HoldDecision.objects.create(
        hold=hold, end=end, reason=reason, decided_by=by[:150], sns=list(sns), to_step_no=to_step_no
    )
    signatures.record(signing, record_type=RECORD_TYPE, record_id=decision.pk, document=document_of(decision))
    return decision


def document_of(decision: HoldDecision) -> dict[str, Any]:
    """Return what is signed: which hold, and what was decided about what."""
    hold = decision.hold
    return {
        "holdNo": hold.hold_no,
        "scope": hold.scope,
        "code": place_of(hold),
        "source": hold.source,
        "heldFor": hold.reason,
        "condition": hold.condition,
        "openedBy": hold.opened_by,
        "openedAt": hold.opened_at,
        "decision": decision.end,
        "toStepNo": decision.to_step_no,
        "sns": decision.sns,
        "reason": decision.reason,
        "decidedBy": decision.decided_by,
        "decidedAt": decision.decided_at,
    }


def place_of(hold: Hold) -> str | None:
    """Return the run, line or station that a hold is about; None for units."""
    if hold.scope == HoldScope.RUN and hold.run is not None:
        return hold.run.run_no
    if hold.scope == HoldScope.LINE and hold.line is not None:
        return hold.line.code
    return hold.station.code if hold.station is not None else None


def _find(record_id: str) -> HoldDecision | None:
    decisions = HoldDecision.objects.select_related("hold__run", "hold__line", "hold__station__line")
    return decisions.filter(pk=record_id).first() if record_id.isdecimal() else None


def _read(record_id: str) -> Mapping[str, Any] | None:
    decision = _find(record_id)
    return None if decision is None else document_of(decision)


def _page(record_id: str) -> str:
    """Return the page of the hold."""
    decision = _find(record_id)
    return "" if decision is None else reverse("hold", args=[decision.hold.hold_no])


SIGNED = SignedRecord(RECORD_TYPE, _("End of a hold"), _read, _page)
