"""What may be done with a unit besides deciding about it: to ask that its scrap be undone, to give it a new label."""

from collections.abc import Sequence
from functools import partial

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from execution import dispositions, labels
from execution.api import RelabelRequest, ReleaseRequest, ReworkRequest, UnitDecisionViewSet
from execution.quality.holds import cases
from execution.quality.repair.reentries import Override
from execution.transfers.api import TransferViewSet, UndoScrapRequest
from execution.transfers.scrap_undoing import request_undoing
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import signed_in
from mes.platform.signatures import services as signatures
from mes.production.decision_models import Approval, ApprovalStatus
from mes.production.hold_models import HeldUnit
from mes.production.models import OPEN_RUN_STATUSES, Unit, UnitStatus

UNSCRAP, RELABEL, BEYOND, RELEASE = "unscrap", "relabel", "rework-beyond", "release-signed"
NEEDED: dict[str, tuple[Capability, ...]] = {
    UNSCRAP: TransferViewSet.capabilities["unscrap"],
    RELABEL: UnitDecisionViewSet.capabilities["relabel"],
    BEYOND: (Capability.MRB,),
    RELEASE: (Capability.HOLD,),
}
REWORKED_FROM = (UnitStatus.OUT_FAILED, UnitStatus.DONE, UnitStatus.ON_HOLD)


def find_request(unit: Unit) -> Approval | None:
    """Return what waits for approval of a scrapped unit; one query, none for other units."""
    if unit.status != UnitStatus.SCRAPPED:
        return None
    return Approval.objects.filter(unit_id=unit.pk, status=ApprovalStatus.REQUESTED).order_by("-id").first()


def list_acts(
    request: HttpRequest,
    unit: Unit,
    waiting: Approval | None,
    *,
    is_at_reentry_limit: bool = False,
    to_sign: Sequence[HeldUnit] = (),
) -> list[Act]:
    """Return what the unit's state allows and somebody may do; `to_sign` are what holds it and ends by a signature."""
    offered = []
    if to_sign and _may(request, RELEASE):
        offered.append(_release_signed(request, unit, to_sign))
    if is_at_reentry_limit and unit.status in REWORKED_FROM and _may(request, BEYOND):
        offered.append(_rework_beyond(request, unit))
    if unit.status == UnitStatus.SCRAPPED and waiting is None and _may(request, UNSCRAP):
        offered.append(_undo_scrap(unit))
    if unit.status != UnitStatus.SCRAPPED and _may(request, RELABEL):
        offered.append(_relabel(unit))
    return offered


def _may(request: HttpRequest, name: str) -> bool:
    return not role_capabilities(request.user).isdisjoint(NEEDED[name])


def list_to_sign(unit: Unit) -> tuple[list[HeldUnit], bool]:
    """Return what holds a unit and ends by a signature only, and whether that is all; no query for other units."""
    if unit.status != UnitStatus.ON_HOLD:
        return [], False
    open_cases = cases.list_open_cases([unit])[unit.pk]
    to_sign = cases.find_to_sign(row.hold_id for row in open_cases)
    return [row for row in open_cases if row.hold_id in to_sign], len(to_sign) == len(open_cases)


def _release_signed(request: HttpRequest, unit: Unit, to_sign: Sequence[HeldUnit]) -> Act:
    numbers = ", ".join(row.hold.hold_no for row in to_sign)
    about = _(
        "%(holds)s: of several units, or of units yet to come. You sign that this one goes on, whatever holds it."
    )
    return Act(
        RELEASE,
        _("Release, signed"),
        reverse("unit-act", args=[RELEASE, unit.sn]),
        button=_("Release the unit"),
        about=about % {"holds": numbers},
        symbol="next",
        tone="good",
        fields=_signed_fields(request),
    )


def _signed_fields(request: HttpRequest) -> tuple[Field, ...]:
    return (acts.reason_field(), *acts.signature_fields(request, meaning=_("Released")))


def _rework_beyond(request: HttpRequest, unit: Unit) -> Act:
    return Act(
        BEYOND,
        _("Rework beyond the limit"),
        reverse("unit-act", args=[BEYOND, unit.sn]),
        button=_("Send it to rework"),
        about=_("Rework has led it into a step as often as the route allows. You sign that it may come once more."),
        symbol="rework",
        fields=_beyond_fields(request),
        at={"STEP_MISMATCH": "toStepNo"},
    )


def _beyond_fields(request: HttpRequest) -> tuple[Field, ...]:
    step = Field("toStepNo", _("Back to step (by default the one that failed last)"), FieldKind.NUMBER)
    bench = Field("repair", _("To the bench first"), FieldKind.TICK)
    return (step, bench, acts.reason_field(), *acts.signature_fields(request, meaning=_("Approved")))


def _relabel(unit: Unit) -> Act:
    return Act(
        RELABEL,
        _("Relabel"),
        reverse("unit-act", args=[RELABEL, unit.sn]),
        button=_("Give it this number"),
        about=_("The unit has a new label. Its present number finds it for ever."),
        symbol="copy",
        fields=_new_label(),
        at={"SN_TAKEN": "newSn", "SN_UNREADABLE": "newSn", "SN_MASK_MISMATCH": "newSn"},
    )


def _new_label() -> tuple[Field, ...]:
    scanned = Field("newSn", _("Scan the new label"), FieldKind.CODE, is_required=True, most=7089)
    return (scanned, acts.reason_field())


def _undo_scrap(unit: Unit) -> Act:
    is_over = unit.run is not None and unit.run.status not in OPEN_RUN_STATUSES
    return Act(
        UNSCRAP,
        _("Undo the scrap"),
        reverse("unit-act", args=[UNSCRAP, unit.sn]),
        button=_("Ask for it"),
        about=_(
            "Somebody of Quality must approve it. Then the unit is on hold, as what it was before it was scrapped."
        ),
        symbol="rework",
        fields=(*(_target_fields() if is_over else ()), acts.reason_field()),
        ways={"APPROVAL_REQUESTED": [(_("What waits for approval"), reverse("approvals"))]},
        at={
            "RUN_CLOSED": "toRunNo",
            "RUN_NOT_FOUND": "toRunNo",
            "STEP_REQUIRED": "toStepNo",
            "STEP_MISMATCH": "toStepNo",
        },
    )


def _target_fields() -> tuple[Field, ...]:
    """Return where a unit goes on whose run has ended."""
    run_help = _("Its run has ended. A unit that was not done there goes on in another one.")
    return (
        Field("toRunNo", _("Into run (if it was not done)"), FieldKind.CODE, help=run_help, most=100),
        Field("toStepNo", _("At step (only where the routes differ)"), FieldKind.NUMBER),
    )


@signed_in
@require_POST
def act(request: HttpRequest, name: str, sn: str) -> HttpResponse:
    """Ask for what another person approves, or give a unit a new label; a refusal stands beside its button."""
    if name not in NEEDED:
        raise Http404
    if not _may(request, name):
        raise PermissionDenied(_("You may not do this."))
    do = {UNSCRAP: _ask_to_undo, RELABEL: _give_label, BEYOND: _send_beyond, RELEASE: _release}[name]
    return acts.carry_out(request, partial(do, request, sn), place=reverse("unit", args=[sn]), name=name)


def _ask_to_undo(request: HttpRequest, sn: str) -> str:
    body = acts.read_form(UndoScrapRequest, request, (*_target_fields(), acts.reason_field()))
    request_undoing(
        sn=sn,
        reason=body["reason"],
        by=request.user.get_username(),
        to_run_no=body.get("to_run_no"),
        to_step_no=body.get("to_step_no"),
    )
    return _("Asked for: it waits for somebody of Quality.")


def _release(request: HttpRequest, sn: str) -> str:
    body = acts.read_form(ReleaseRequest, request, _signed_fields(request))
    signing = signatures.verify(request, body.get("signature"), Capability.HOLD)
    dispositions.release_unit(sn=sn, reason=body["reason"], by=request.user.get_username(), signing=signing)
    return _("The decision is recorded.")


def _send_beyond(request: HttpRequest, sn: str) -> str:
    body = acts.read_form(ReworkRequest, request, _beyond_fields(request))
    signing = signatures.verify(request, body.get("signature"), Capability.MRB)
    unit = dispositions.rework_unit(
        sn=sn,
        reason=body["reason"],
        by=request.user.get_username(),
        to_step_no=body.get("to_step_no"),
        repair=body.get("repair"),
        override=Override(signing),
    )
    return _("The unit is sent back to step %(number)d; it is signed.") % {"number": unit.current_step_no or 0}


def _give_label(request: HttpRequest, sn: str) -> str:
    body = acts.read_form(RelabelRequest, request, _new_label())
    labels.relabel(sn=sn, new_sn=body["new_sn"], reason=body["reason"], by=request.user.get_username())
    return _("The unit has the number %(sn)s now.") % {"sn": body["new_sn"]}
