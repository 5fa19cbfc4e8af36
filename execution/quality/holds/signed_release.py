"""A unit's release as it is signed: the document whose text a signature keeps, and with which it is compared later."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from execution.models import Disposition, DispositionAction
from mes.platform.signatures import services
from mes.platform.signatures.hooks import SignedRecord
from mes.platform.signatures.services import Signing
from mes.production.hold_models import HeldUnit
from mes.production.identity_models import UnitAlias
from mes.production.models import Unit

RECORD_TYPE = "UNIT_RELEASE"


def sign(unit: Unit, signing: Signing) -> None:
    """Sign the release of a locked unit, which was its last decision, in the transaction of that."""
    decision = Disposition.objects.filter(unit=unit, action=DispositionAction.RELEASE).order_by("-id")[0]
    document = _describe(decision)
    services.record(signing, record_type=RECORD_TYPE, record_id=decision.pk, document=document)


def _describe(decision: Disposition) -> dict[str, Any]:
    """Return the document of a release: which unit, by the serial number that it had then, and what ended."""
    unit, at = decision.unit, decision.decided_at
    earlier = UnitAlias.objects.filter(unit=unit, relabelled_at__gt=at).order_by("relabelled_at")
    sn = earlier.values_list("sn", flat=True).first() or unit.sn
    ended = HeldUnit.objects.filter(unit=unit, ended_at=at).order_by("id")
    ended = ended.select_related("hold").defer("hold__condition")
    return {
        "unitSn": sn,
        "reason": decision.reason,
        "decidedBy": decision.decided_by,
        "decidedAt": at,
        "toStatus": decision.to_status,
        "holds": [{"holdNo": row.hold.hold_no, "reason": row.hold.reason} for row in ended],
    }


def _find(record_id: str) -> Disposition | None:
    if not record_id.isdigit():
        return None
    return Disposition.objects.select_related("unit").filter(pk=record_id, action=DispositionAction.RELEASE).first()


def _read(record_id: str) -> dict[str, Any] | None:
    decision = _find(record_id)
    return None if decision is None else _describe(decision)


def _page(record_id: str) -> str:
    decision = _find(record_id)
    return "" if decision is None else reverse("unit", args=[decision.unit.sn])


KIND = SignedRecord(RECORD_TYPE, _("Release of a unit"), _read, _page)
