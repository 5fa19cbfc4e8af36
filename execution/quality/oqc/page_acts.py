"""What may be done on the pages of outgoing inspection: the forms, offered where state and role allow them."""

from collections.abc import Sequence

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from execution.quality.mrb.services import FULL_PREP, RELEASE, REUSE_PREP, REWORK, SCRAP
from execution.quality.oqc.models import OPEN_STATUSES, OqcInspection, OqcResult, OqcStatus, SamplingState
from execution.quality.oqc.rules import Judgement
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.production.models import RunStatus

START, COMPLETE, CANCEL, RESUME = "start", "complete", "cancel", "resume"
MRB = {"mrb-release": RELEASE, "mrb-rework": REWORK, "mrb-scrap": SCRAP}
NAMES = (START, COMPLETE, CANCEL, *MRB)


def fields_of(request: HttpRequest, name: str) -> Sequence[Field]:
    """Return the fields of an act's form, named as in the interface."""
    if name == START:
        return ()
    if name == CANCEL:
        return (acts.reason_field(),)
    if name == COMPLETE:
        remark = Field("remark", _("Remark (optional)"), FieldKind.LONG, most=500)
        return (remark, *acts.signature_fields(request, meaning=_("Inspected")))
    signature = acts.signature_fields(request, meaning=_("Approved"))
    decision = Field("decision", kind=FieldKind.HIDDEN, value=MRB.get(name, ""))
    if name == RESUME:
        return (acts.reason_field(), *signature)
    if name == "mrb-rework":
        return (decision, *_rework_fields(), acts.reason_field(), *signature)
    if name == "mrb-scrap":
        sure = acts.confirmation(_("Every unit of this run is scrapped. This cannot be undone."))
        return (decision, acts.reason_field(), sure, *signature)
    return (decision, acts.reason_field(), *signature)


def _rework_fields() -> Sequence[Field]:
    kinds = ((REUSE_PREP, _("As they are, authorized at once")), (FULL_PREP, _("All anew")))
    return (
        Field("reworkType", _("Preparations"), FieldKind.CHOICE, choices=kinds, is_required=True),
        Field("faiWaiver", _("No first article for the rework run"), FieldKind.TICK),
        Field("faiWaiverReason", _("Why there is no first article"), most=500),
    )


def list_acts(request: HttpRequest, inspection: OqcInspection, judgement: Judgement) -> list[Act]:
    """Return what may be done with an inspection, and with the run that it holds."""
    granted = role_capabilities(request.user)
    found = []
    if Capability.OQC in granted:
        found += _inspecting(request, inspection, judgement)
    if Capability.MRB in granted and is_for_mrb(inspection):
        found += [_mrb(request, inspection, name) for name in MRB]
    return found


def is_for_mrb(inspection: OqcInspection) -> bool:
    """Whether the run waits for its board."""
    return inspection.status == OqcStatus.FAILED and inspection.run.status == RunStatus.ON_HOLD


def _address(inspection: OqcInspection, name: str) -> str:
    return reverse("oqc-action", args=[inspection.pk, name])


def _inspecting(request: HttpRequest, inspection: OqcInspection, judgement: Judgement) -> list[Act]:
    found = []
    if inspection.status == OqcStatus.CREATED:
        found.append(Act(START, _("Start to inspect"), _address(inspection, START), is_main=True))
    if inspection.status == OqcStatus.INSPECTING and judgement.decision:
        passed = judgement.decision == OqcResult.PASS
        about = (
            _("The lot is accepted. Nonconforming units are held for themselves.")
            if passed
            else _("The lot is not accepted: the run is held until the material review board decides.")
        )
        label = _("Decide: passed") if passed else _("Decide: failed")
        found.append(
            Act(
                COMPLETE,
                label,
                _address(inspection, COMPLETE),
                about=about,
                symbol="pass" if passed else "fail",
                tone="good" if passed else "bad",
                fields=fields_of(request, COMPLETE),
            )
        )
    if inspection.status in OPEN_STATUSES:
        about = _(
            "The lot goes on, but for the units with a failed item, which are held. It needs another inspection before "
            "its run is closed."
        )
        button = _("Give the inspection up")
        found.append(
            Act(
                CANCEL,
                _("Give up"),
                _address(inspection, CANCEL),
                button,
                about,
                symbol="fail",
                is_harmful=True,
                fields=fields_of(request, CANCEL),
            )
        )
    return found


def _mrb(request: HttpRequest, inspection: OqcInspection, name: str) -> Act:
    words = {
        "mrb-release": (_("Release"), _("The run is completed. What anything else holds stays held."), "pass", "good"),
        "mrb-rework": (
            _("Rework"),
            _("The run is closed; its units wait at the first step of a new rework run."),
            "rework",
            "hold",
        ),
        "mrb-scrap": (_("Scrap"), _("Every unit of the run is scrapped."), "scrap", "bad"),
    }
    label, about, symbol, tone = words[name]
    return Act(
        name,
        label,
        _address(inspection, name),
        about=about,
        symbol=symbol,
        tone=tone,
        is_harmful=name == "mrb-scrap",
        fields=fields_of(request, name),
    )


def resume_act(request: HttpRequest, state: SamplingState) -> Act:
    """Return the form by which discontinued sampling goes on."""
    return Act(
        f"{RESUME}-{state.pk}",
        _("Resume"),
        reverse("oqc-resume", args=[state.pk]),
        _("Resume, tightened"),
        _("Say what was put right. Sampling goes on tightened, with nothing counted."),
        fields=fields_of(request, RESUME),
    )
