"""How often rework led a unit into a step again, and how often it may."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext_lazy

from execution.models import Disposition, DispositionAction, Track
from mes import errors
from mes.platform.http.whole_numbers import whole_number
from mes.platform.signatures import services as signatures
from mes.platform.signatures.hooks import SignedRecord
from mes.platform.signatures.models import Signature
from mes.platform.signatures.services import Signing
from mes.production import runs
from mes.production.models import Run, Unit
from mes.routing.snapshots import RouteSnapshot, StepSnapshot

REENTRY = "REENTRY"


@dataclass(frozen=True, slots=True)
class Override:
    """Leave of somebody of Quality to go beyond the limit, signed; by a token perhaps unsigned. `written` are the
    signatures that were written by it, the latest last: of a transaction that was begun again the others are gone.
    """

    signing: Signing | None = None
    written: list[Signature] = field(default_factory=list)

    @property
    def signature(self) -> Signature | None:
        """The signature over the rework that was done by it."""
        return self.written[-1] if self.written else None

    def decided_by(self, by: str) -> str:
        """Return who decided: whoever signed, not the token that sent it."""
        return by if self.signing is None else self.signing.signer


def check_limit(unit: Unit, run: Run, *, to_step_no: int) -> None:
    """Raise ReentryLimitReached for the first step that a locked unit, sent back to that one, would enter again more
    often than its limit allows: each from there to where the unit is that it has been at in this run.
    """
    route = runs.snapshot_of(run)
    passes = Track.objects.filter(unit=unit, run=run, step_no__gte=to_step_no, step_no__lte=unit.current_step_no or 0)
    times = passes.order_by("step_no").values_list("step_no").annotate(Count("rework_no", distinct=True))
    for step_no, rounds in times:
        limit = find_reached_limit(route, route.step(step_no), rounds)
        if limit is not None:
            raise errors.ReentryLimitReached(step_no=step_no, limit=limit, count=rounds - 1)


def find_reached_limit(route: RouteSnapshot, step: StepSnapshot | None, rounds: int) -> int | None:
    """Return the limit of a step that a unit has reached, as it was there in so many rounds, the first before any
    rework; None where it may be led into it again.
    """
    limit = None if step is None else route.find_reentry_limit(step)
    return limit if limit is not None and rounds > limit else None


def sign(decision: Disposition, override: Override) -> None:
    """Write the signature over a rework that may go beyond the limit, in its transaction."""
    signing, document = override.signing, _describe(decision)
    written = signatures.record(signing, record_type=REENTRY, record_id=decision.pk, document=document)
    if written is not None:
        override.written.append(written)


def _describe(decision: Disposition) -> Mapping[str, Any]:
    """Return a rework as it is signed. Its unit is named by its id too: a relabelled one has another number."""
    return {
        "unitId": str(decision.unit_id),
        "runNo": decision.run.run_no if decision.run else None,
        "decision": decision.action,
        "toStepNo": decision.step_no,
        "beyondReentryLimit": True,
        "reason": decision.reason,
        "decidedBy": decision.decided_by,
        "decidedAt": decision.decided_at,
    }


def _read(record_id: str) -> Mapping[str, Any] | None:
    rows = Disposition.objects.select_related("run").filter(action=DispositionAction.REWORK)
    decision = rows.filter(pk=whole_number(record_id) or 0).first()
    return None if decision is None else _describe(decision)


def _page(record_id: str) -> str:
    sn = Disposition.objects.filter(pk=whole_number(record_id) or 0).values_list("unit__sn", flat=True).first()
    return reverse("unit", args=[sn]) if sn else ""


KIND = SignedRecord(REENTRY, gettext_lazy("Rework beyond the re-entry limit"), _read, _page)
