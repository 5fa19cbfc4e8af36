"""Leave to go beyond the limit of re-entries, as bodies ask for it."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from execution.quality.repair.reentries import Override
from mes.platform.accounts.permissions import check_capability
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import StrictSerializer
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import SignatureBrief, SignatureRequest


class LimitOverride(StrictSerializer):
    """Leave to go beyond the limit of re-entries, which somebody of Quality signs."""

    overrideLimit = serializers.BooleanField(
        default=False, help_text="Whatever limit of re-entries stands against it: by somebody of Quality, signed."
    )
    signature = SignatureRequest(required=False, allow_null=True)


def read_override(request: Request, body: dict[str, Any]) -> Override | None:
    """Return the leave that a body asks for. To be called before any lock is taken: passwords take their time.

    Raises PermissionDenied, SignatureRequired, SignerMismatch, SignatureRefused.
    """
    if not body["override_limit"]:
        return None
    check_capability(request, Capability.MRB)
    return Override(signatures.verify(request, body.get("signature"), Capability.MRB))


def tell_signature(override: Override | None) -> dict[str, Any]:
    """Return what an answer says of the signature by which the limit was passed."""
    written = None if override is None else override.signature
    return {"signed": written is not None, "signature": None if written is None else SignatureBrief(written).data}
