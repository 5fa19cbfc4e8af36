"""Where sampling stands by a rule for a product. Its row is locked after units."""

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from execution.quality.oqc.models import SamplingRule, SamplingState, SamplingStateName
from execution.quality.oqc.switching import DISCONTINUED, NORMAL, REDUCED, TIGHTENED, Lot, Standing, after
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.signatures import services as signatures
from mes.platform.signatures.hooks import SignedRecord
from mes.platform.signatures.services import Signing

RECORD_TYPE = "SAMPLING_STATE"


def lock(rule: SamplingRule, product_code: str) -> SamplingState:
    """Return where sampling stands, locked; it begins with normal inspection. Where reduced inspection is no longer
    allowed, it is normal again.
    """
    row, _created = SamplingState.objects.get_or_create(rule=rule, product_code=product_code)
    state = SamplingState.objects.select_for_update(no_key=True).get(pk=row.pk)
    state.rule = rule
    if state.state == REDUCED and not rule.reduced_allowed:
        _save(state, Standing(NORMAL))
    return state


def lock_for_lot(rule: SamplingRule, product_code: str) -> str:
    """Return the state that the plan of a lot is taken from. Raises SamplingDiscontinued."""
    state = lock(rule, product_code)
    if state.state == DISCONTINUED:
        raise errors.SamplingDiscontinued(product=product_code, rule=rule.code)
    return state.state


def note_lot(rule: SamplingRule, product_code: str, lot: Lot) -> SamplingState:
    """Note a decided original lot, and switch where it leads to that."""
    state = lock(rule, product_code)
    _save(state, after(_standing(state), lot, reduced_allowed=rule.reduced_allowed))
    return state


def _standing(state: SamplingState) -> Standing:
    return Standing(state.state, state.score, tuple(state.recent), state.accepted_in_row, state.not_accepted)


def _save(state: SamplingState, standing: Standing) -> None:
    if state.state != standing.state:
        state.changed_at = timezone.now()
    state.state, state.score, state.recent = standing.state, standing.score, list(standing.recent)
    state.accepted_in_row, state.not_accepted = standing.accepted_in_row, standing.not_accepted
    state.save(update_fields=["state", "score", "recent", "accepted_in_row", "not_accepted", "changed_at"])


@transaction.atomic
def resume(*, state_id: int, reason: str, by: str, signing: Signing | None = None) -> SamplingState:
    """Go on with tightened inspection where sampling is discontinued, nothing counted.

    Raises SamplingStateNotFound, InvalidTransition.
    """
    give_reason(reason)
    rows = SamplingState.objects.select_for_update(no_key=True, of=("self",)).select_related("rule")
    state = get_or_raise(rows, errors.SamplingStateNotFound, pk=str(state_id))
    if state.state != DISCONTINUED:
        raise errors.InvalidTransition(
            action=Action.RESUME, entity=Entity.SAMPLING, state=SamplingStateName(state.state)
        )
    _save(state, Standing(TIGHTENED))
    state.resumed_by, state.resumed_at, state.resume_reason = by, timezone.now(), reason
    state.save(update_fields=["resumed_by", "resumed_at", "resume_reason"])
    signatures.record(signing, record_type=RECORD_TYPE, record_id=state.pk, document=describe(state))
    return state


def describe(state: SamplingState) -> dict[str, object]:
    """Return the resuming of a state as it is signed; what lots do to the state later is no part of it."""
    return {
        "ruleCode": state.rule.code,
        "productCode": state.product_code,
        "resumedBy": state.resumed_by,
        "resumedAt": state.resumed_at,
        "reason": state.resume_reason,
    }


def _read_signed(record_id: str) -> dict[str, object] | None:
    """Return what would be signed of a state now."""
    state = SamplingState.objects.select_related("rule").filter(pk=record_id).first()
    return None if state is None else describe(state)


SIGNED = SignedRecord(
    RECORD_TYPE, gettext_lazy("Sampling resumed"), _read_signed, lambda _record_id: reverse("oqc-list")
)
