"""The pages of outgoing inspection: what waits, and an inspection by scan up to its decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from execution.quality.inspection_fields import read_number
from execution.quality.inspection_items import Said, describe
from execution.quality.mrb import services as mrb
from execution.quality.mrb.api import MrbRequest, arguments, check_may_waive
from execution.quality.oqc import sampling, services
from execution.quality.oqc.api import OqcCancelRequest, OqcDecisionRequest, OqcItemRequest, ResumeSamplingRequest
from execution.quality.oqc.models import (
    OPEN_STATUSES,
    OqcInspection,
    OqcItem,
    OqcResult,
    OqcStatus,
    SamplingState,
    SamplingStateName,
)
from execution.quality.oqc.page_acts import (
    CANCEL,
    COMPLETE,
    NAMES,
    RESUME,
    START,
    fields_of,
    is_for_mrb,
    list_acts,
    resume_act,
)
from execution.quality.oqc.rules import Judgement
from execution.quality.record_types import OQC_ITEM
from mes.errors import DomainError, UnitNotInSample, ValidationFailed
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.files.queries import attach
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field
from mes.platform.http.pages import signed_in
from mes.platform.scans import UNIT, take_part
from mes.platform.signatures import queries as signature_queries
from mes.platform.signatures import services as signatures
from mes.platform.signatures.models import Signature
from mes.production.models import RunStatus, Unit
from mes.production.names import get_scanned_unit
from mes.routing.snapshots import FaiItem, read_item

MOST_SHOWN = 50
RECORD, SCAN = "record", "scan"


@dataclass(frozen=True)
class Line:
    """An item of the unit that is looked at, with its latest result."""

    item: FaiItem
    latest: OqcItem | None

    @property
    def should_be(self) -> str:
        """What it should be, in words."""
        return describe(self.item)

    @property
    def is_measured(self) -> bool:
        """Whether a number that is typed decides."""
        return self.item.has_limits and not self.item.spec_name


@dataclass(frozen=True)
class Sample:
    """A sampled unit, how far it is, and the latest records of the items that it failed."""

    unit: Unit
    is_nonconforming: bool
    is_done: bool
    failed: Sequence[OqcItem] = ()


def _inspections() -> Any:
    return OqcInspection.objects.select_related("run__work_order", "run__line", "rule").defer("lot_unit_ids")


@signed_in
@require_GET
def outgoing(request: HttpRequest) -> HttpResponse:
    """What is under way, what waits for the board, where sampling is discontinued, and what was decided lately."""
    rows = _inspections().defer("items_asked")
    waiting = rows.filter(status=OqcStatus.FAILED, run__status=RunStatus.ON_HOLD)
    discontinued = SamplingState.objects.select_related("rule").filter(state=SamplingStateName.DISCONTINUED)
    states = list(discontinued.order_by("id")[:MOST_SHOWN])
    resuming = [resume_act(request, state) for state in states if _may(request, Capability.OQC)]
    by_name = {act.name: act for act in acts.with_refusal(request, resuming, place=reverse("oqc-list"))}
    context = {
        "under_way": list(rows.filter(status__in=OPEN_STATUSES).order_by("id")[:MOST_SHOWN]),
        "for_mrb": list(waiting.order_by("id")[:MOST_SHOWN]),
        "decided": list(rows.exclude(status__in=OPEN_STATUSES).order_by("-id")[:10]),
        "discontinued": [(state, by_name.get(f"{RESUME}-{state.pk}")) for state in states],
    }
    return render(request, "oqc/outgoing.html", context)


@signed_in
@require_GET
def inspection(request: HttpRequest, inspection_id: int) -> HttpResponse:
    """An inspection: its plan, its sample, and the unit that was scanned."""
    found = _find(inspection_id)
    judgement = services.judge(found)
    items = list(found.items.select_related("unit").order_by("id"))
    attach(OQC_ITEM, items)
    samples = _list_samples(found, judgement, items)
    unit = next((each.unit for each in samples if each.unit.sn == request.GET.get("unit")), None)
    may_record = found.status == OqcStatus.INSPECTING and _may(request, Capability.OQC)
    offered = [*list_acts(request, found, judgement), Act(RECORD, "", ""), Act(SCAN, "", "")]
    shown = {act.name: act for act in acts.with_refusal(request, offered, place=_address(found))}
    signature_queries.attach(services.RECORD_TYPE, [found])
    signature: Signature | None = found.signature  # type: ignore[attr-defined]  # given to it just now
    context = {
        "inspection": found,
        "signed_at": signature and signature.signed_at,
        "run": found.run,
        "judgement": judgement,
        "samples": [each for each in samples if not each.is_done][:MOST_SHOWN],
        "nonconforming": [each for each in samples if each.is_nonconforming][:MOST_SHOWN],
        "inspected": [each for each in samples if each.is_done and not each.is_nonconforming][:MOST_SHOWN],
        "done": sum(each.is_done for each in samples),
        "unit": unit,
        "lines": _list_lines(found, unit, items) if unit else (),
        "may_record": may_record,
        "acts": [act for name, act in shown.items() if name not in (RECORD, SCAN)],
        "record": shown[RECORD],
        "scan": shown[SCAN],
        "is_for_mrb": is_for_mrb(found),
        "may_decide_mrb": _may(request, Capability.MRB),
    }
    return render(request, "oqc/inspection.html", context)


@signed_in
@require_GET
def of_run(request: HttpRequest, run_id: int) -> HttpResponse:
    """The latest inspection of a run; what waits, where it has none."""
    latest = OqcInspection.objects.filter(run=run_id).order_by("-id").values_list("pk", flat=True).first()
    return redirect("oqc-list") if latest is None else redirect("oqc", latest)


def _list_samples(found: OqcInspection, judgement: Judgement, items: Sequence[OqcItem]) -> list[Sample]:
    is_open, failed = judgement.open_sns, set(judgement.nonconforming)
    latest = {(item.unit_id, item.item_name): item for item in items}
    failed_items: dict[int, list[OqcItem]] = {}
    for item in latest.values():
        if item.result == OqcResult.FAIL:
            failed_items.setdefault(item.unit_id, []).append(item)
    samples = found.samples.select_related("unit").order_by("id")
    return [
        Sample(
            sample.unit,
            sample.unit.sn in failed,
            sample.unit.sn not in is_open or sample.unit.sn in failed,
            failed_items.get(sample.unit_id, ()),
        )
        for sample in samples
    ]


def _list_lines(found: OqcInspection, unit: Unit, items: Sequence[OqcItem]) -> list[Line]:
    latest = {item.item_name: item for item in items if item.unit_id == unit.pk}
    asked = {item.name: item for item in map(read_item, found.items_asked)}
    others = {name: FaiItem(name, item.item_spec) for name, item in latest.items()}
    return [Line(item, latest.get(name)) for name, item in {**others, **asked}.items()]


def _find(inspection_id: int) -> OqcInspection:
    found: OqcInspection | None = _inspections().filter(pk=inspection_id).first()
    if found is None:
        raise Http404
    return found


def _address(found: OqcInspection) -> str:
    return reverse("oqc", args=[found.pk])


def _may(request: HttpRequest, capability: Capability) -> bool:
    return capability in role_capabilities(request.user)


def _check_may(request: HttpRequest, capability: Capability) -> None:
    if not _may(request, capability):
        raise PermissionDenied(_("You may not do this."))


# --- what people do ------------------------------------------------------------------------------------------


@signed_in
@require_POST
def scan(request: HttpRequest, inspection_id: int) -> HttpResponse:
    """Go to the sampled unit that was scanned."""
    found = _find(inspection_id)
    chosen: list[str] = []

    def choose() -> str:
        chosen.append(_scanned(found, request.POST.get("unitSn", "")))
        return ""

    if not acts.attempt(request, choose, place=_address(found), name=SCAN):
        return redirect(_address(found))
    return redirect(f"{_address(found)}?{urlencode({'unit': chosen[0]})}#unit")


def _scanned(found: OqcInspection, text: str) -> str:
    try:
        sn = get_scanned_unit(take_part(text, UNIT)).sn
    except ValidationError as error:
        raise ValidationFailed({"unitSn": " ".join(error.messages)}) from None
    if not found.samples.filter(unit__sn=sn).exists():
        raise UnitNotInSample(sn=sn)
    return sn


@signed_in
@require_POST
def record(request: HttpRequest, inspection_id: int) -> HttpResponse:
    """Record an item; the next one of the unit is shown, or, after its last, the scan field."""
    _check_may(request, Capability.OQC)
    found = _find(inspection_id)
    sn = request.POST.get("unitSn", "")
    is_done = acts.attempt(request, lambda: _record(request, found), place=_address(found), name=RECORD)
    if is_done and sn not in services.judge(found).open_sns:
        return redirect(_address(found))
    return redirect(f"{_address(found)}?{urlencode({'unit': sn})}#unit")


def _record(request: HttpRequest, found: OqcInspection) -> str:
    number = read_number(request.POST.get("actualNumber", ""))
    fields = [Field(name) for name in ("unitSn", "itemName", "actualValue", "result", "location")]
    body = acts.read_form(OqcItemRequest, request, fields)
    item = services.record_item(
        inspection_id=found.pk,
        unit_sn=body["unit_sn"],
        item_name=body["item_name"],
        said=Said(body.get("result"), body.get("actual_value") or "", number),
        location=body.get("location") or "",
        by=request.user.get_username(),
    )
    result = OqcResult(item.result).label
    return _("%(sn)s, %(item)s: %(result)s.") % {"sn": item.unit.sn, "item": item.item_name, "result": result}


@signed_in
@require_POST
def act(request: HttpRequest, inspection_id: int, name: str) -> HttpResponse:
    """Start, decide, give up, or carry out what the board decides; a refusal stands beside its button."""
    if name not in NAMES:
        raise Http404
    _check_may(request, Capability.OQC if name in (START, COMPLETE, CANCEL) else Capability.MRB)
    found = _find(inspection_id)
    do = {START: _start, COMPLETE: _complete, CANCEL: _cancel}.get(name, _decide)
    return acts.carry_out(request, lambda: do(request, found, name), place=_address(found), name=name)


def _start(request: HttpRequest, found: OqcInspection, name: str) -> str:
    services.start(inspection_id=found.pk, by=request.user.get_username())
    return _("The inspection has begun: scan a sampled unit.")


def _complete(request: HttpRequest, found: OqcInspection, name: str) -> str:
    body = acts.read_form(OqcDecisionRequest, request, fields_of(request, name))
    signing = signatures.verify(request, body.get("signature"), Capability.OQC)
    by = request.user.get_username()
    done = services.complete(inspection_id=found.pk, by=by, remark=body.get("remark") or "", signing=signing)
    if done.status == OqcStatus.PASSED:
        return _("The lot is accepted.")
    return _("The lot is not accepted; the run is held.")


def _cancel(request: HttpRequest, found: OqcInspection, name: str) -> str:
    body = acts.read_form(OqcCancelRequest, request, fields_of(request, name))
    services.cancel(inspection_id=found.pk, reason=body["reason"], by=request.user.get_username())
    return _("The inspection is given up; the run goes on.")


def _decide(request: HttpRequest, found: OqcInspection, name: str) -> str:
    body = acts.read_form(MrbRequest, request, fields_of(request, name))
    check_may_waive(request, body)
    signing = signatures.verify(request, body.get("signature"), Capability.MRB)
    by = request.user.get_username()
    outcome = mrb.decide(run_no=found.run.run_no, by=by, signing=signing, **arguments(body))
    said = _("Run %(run)s: %(status)s.") % {"run": outcome.run.run_no, "status": outcome.run.get_status_display()}
    if outcome.rework_run is not None:
        told = {"run": outcome.rework_run.run_no, "status": outcome.rework_run.get_status_display()}
        said += " " + _("Rework run %(run)s: %(status)s.") % told
    if outcome.refusal is not None:
        said += " " + _in_words(outcome.refusal)
    return said


def _in_words(refusal: DomainError) -> str:
    return _("It could not be authorized: %(reason)s") % {"reason": refusal}


@signed_in
@require_POST
def resume(request: HttpRequest, state_id: int) -> HttpResponse:
    """Let discontinued sampling go on."""
    _check_may(request, Capability.OQC)

    def do() -> str:
        body = acts.read_form(ResumeSamplingRequest, request, fields_of(request, RESUME))
        signing = signatures.verify(request, body.get("signature"), Capability.OQC)
        by = request.user.get_username()
        sampling.resume(state_id=state_id, reason=body["reason"], by=by, signing=signing)
        return _("Sampling goes on, tightened.")

    return acts.carry_out(request, do, place=reverse("oqc-list"), name=f"{RESUME}-{state_id}")
