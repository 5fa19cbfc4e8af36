"""An outgoing inspection from its start to its decision. The run is locked before its inspection, then its units."""

from collections.abc import Sequence

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import dispositions
from execution.outbox_events import defect_event
from execution.quality import inspection_items
from execution.quality.defect_codes.catalogue import OUT_OF_LIMITS, UNSPECIFIED, load
from execution.quality.defects import Finder, Place, ReportedDefect, build_defects, check_named, normal_location
from execution.quality.inspection_items import Said
from execution.quality.models import Defect, DefectSource
from execution.quality.oqc import rules, sampling
from execution.quality.oqc.models import (
    DECIDED_STATUSES,
    OPEN_STATUSES,
    OqcInspection,
    OqcItem,
    OqcResult,
    SamplingScheme,
)
from execution.quality.oqc.rules import Judgement
from execution.quality.oqc.signed_document import RECORD_TYPE, describe
from execution.quality.oqc.switching import Lot
from mes import errors
from mes.labels import Action
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce
from mes.platform.outbox.emit import emit
from mes.platform.signatures import services as signatures
from mes.platform.signatures.services import Signing
from mes.production import holds, locking, run_acts, runs
from mes.production.hold_models import Hold, HoldScope, HoldSource
from mes.production.models import OPEN_RUN_STATUSES, Run, RunKind, Unit
from mes.production.names import get_scanned_unit
from mes.routing.snapshots import read_item


@locking.atomically
def start(*, inspection_id: int, by: str) -> OqcInspection:
    """Begin to inspect. Raises OqcNotFound, RunClosed, InvalidTransition."""
    inspection = _lock(inspection_id, action=Action.START)
    inspection.started_by, inspection.started_at = by, timezone.now()
    inspection.save(update_fields=["status", "started_by", "started_at"])
    return inspection


@locking.atomically
def record_item(
    *,
    inspection_id: int,
    unit_sn: str,
    item_name: str,
    said: Said,
    by: str,
    item_spec: str | None = None,
    defect_code: str = "",
    location: str = "",
    remark: str = "",
) -> OqcItem:
    """Record an item of a sampled unit. Without `item_spec` it is what the inspection asks for. Where that has limits
    the number decides; of an item with a spec the value is read from the unit's pass.

    Raises OqcNotFound, RunClosed, InvalidTransition, UnitNotFound, ScanTypeMismatch, UnitNotInSample,
    DefectCodeNotFound, FaiStepNotPassed, RequiredDataMissing, ValidationFailed.
    """
    inspection = _lock(inspection_id, action=Action.RECORD_ITEMS)
    check_named([ReportedDefect(defect_code)], load())
    unit = get_scanned_unit(unit_sn)
    if not inspection.samples.filter(unit=unit).exists():
        raise errors.UnitNotInSample(sn=unit_sn)
    asked = tuple(read_item(document) for document in inspection.items_asked)
    item = inspection_items.find_item(asked, item_name)
    judged = inspection_items.judge(item, said, unit=unit, snapshot=runs.snapshot_of(inspection.run))
    if item_spec is None:
        item_spec = inspection_items.describe(item) if item else ""
    return OqcItem.objects.create(
        inspection=inspection,
        unit=unit,
        item_name=item_name,
        item_spec=item_spec,
        **vars(judged),
        defect_code=defect_code,
        location=location,
        remark=remark,
        recorded_by=by,
    )


def judge(inspection: OqcInspection) -> Judgement:
    """Return what the items of an inspection come to; of several with one name on a unit the latest counts."""
    sns = list(inspection.samples.order_by("id").values_list("unit__sn", flat=True))
    items = inspection.items.order_by("id").values_list("unit__sn", "item_name", "result")
    results = {(sn, name): result for sn, name, result in items}
    names = [item["itemName"] for item in inspection.items_asked]
    return rules.judge_sample(sns, names, results, ac=inspection.ac, re=inspection.re)


@locking.atomically
def complete(
    *, inspection_id: int, by: str, decision: str | None = None, remark: str = "", signing: Signing | None = None
) -> OqcInspection:
    """Decide, as the items say. Nonconforming units are held, and what failed on them are defects; a lot that is not
    accepted holds its run until the MRB decides. The lot goes on from here on.

    Raises OqcNotFound, RunClosed, InvalidTransition, OqcItemsOpen, OqcDecisionContradicts.
    """
    inspection = _lock(inspection_id, action=Action.RECORD_ITEMS)
    judgement = judge(inspection)
    computed = judgement.decision
    if computed is None:
        raise errors.OqcItemsOpen(items=judgement.open_items)
    if decision and decision != computed:
        raise errors.OqcDecisionContradicts(
            nonconforming=len(judgement.nonconforming), computed=computed, decision=decision
        )
    is_accepted = computed == OqcResult.PASS
    inspection.status = rules.OQC.next_state(Action.PASS if is_accepted else Action.FAIL, inspection.status)
    inspection.nonconforming = len(judgement.nonconforming)
    inspection.completed_by, inspection.completed_at, inspection.decision_remark = by, timezone.now(), remark
    inspection.hold = _hold_nonconforming(inspection, judgement.nonconforming)
    holds.note_oqc(inspection.run, is_open=False)
    if not is_accepted:
        run_acts.hold(run_no=inspection.run.run_no, by=by, reason=_failed(inspection), source=HoldSource.OQC)
        _tell_failed(inspection)
    inspection.score_after = _note_lot(inspection, is_accepted=is_accepted)
    inspection.save()
    signatures.record(signing, record_type=RECORD_TYPE, record_id=inspection.pk, document=describe(inspection))
    return inspection


def _tell_failed(inspection: OqcInspection) -> None:
    """Tell by rules that a lot is not accepted."""
    run = inspection.run
    notice = Notice(
        key=f"oqc-failed:{inspection.pk}",
        severity=Severity.ALERT,
        text=_("Run %(run)s: %(failed)s.") % {"run": run.run_no, "failed": _failed(inspection)},
        address=reverse("run", args=[run.run_no]),
        event=NoticeEvent.OQC_FAILED,
        line_id=run.line_id,
        facts={"runNo": run.run_no, "inspectionId": str(inspection.pk), "completedBy": inspection.completed_by},
        at=inspection.completed_at,
    )
    announce([notice])


def _failed(inspection: OqcInspection) -> str:
    told = {"number": inspection.pk, "count": inspection.nonconforming, "size": inspection.sample_qty}
    return _("Outgoing inspection %(number)s failed: %(count)s of %(size)s nonconforming") % told


def _hold_nonconforming(inspection: OqcInspection, sns: Sequence[str]) -> Hold | None:
    """Hold the units with a failed item in one case, and make defects of what failed; return the case."""
    if not sns:
        return None
    sampled = inspection.samples.filter(unit__sn__in=sns).values("unit")
    units = locking.lock_units(Unit.objects.filter(pk__in=sampled))
    reason = _("Nonconforming in outgoing inspection %(number)s") % {"number": inspection.pk}
    hold = Hold(scope=HoldScope.UNITS, source=HoldSource.OQC, reason=reason, opened_by=inspection.completed_by)
    dispositions.hold_together(units, hold, by=inspection.completed_by)
    _make_defects(inspection, units)
    return hold if hold.pk else None


def _make_defects(inspection: OqcInspection, units: Sequence[Unit]) -> None:
    """Make a defect of each item that failed, at the last step: the unit was finished."""
    last_step_no = runs.snapshot_of(inspection.run).steps[-1].step_no
    by_id = {unit.pk: unit for unit in units}
    latest = {(item.unit_id, item.item_name): item for item in inspection.items.order_by("id")}
    catalogue, found = load(), list[Defect]()
    for item in latest.values():
        unit = by_id.get(item.unit_id)
        if unit is None or item.result != OqcResult.FAIL:
            continue
        place = Place(unit.pk, inspection.run.pk, last_step_no, unit.rework_no)
        seen = ReportedDefect(_code_of(item), normal_location(item.location), _describe_item(item))
        finder = Finder(DefectSource.OQC, item.recorded_by)
        found += build_defects(place, [seen], finder=finder, at=item.recorded_at, catalogue=catalogue)
    made = Defect.objects.bulk_create(found)
    emit(*(defect_event(defect.unit_id, found=str(defect.pk), at=defect.found_at) for defect in made))


def _code_of(item: OqcItem) -> str:
    return item.defect_code or (UNSPECIFIED if item.actual_number is None else OUT_OF_LIMITS)


def _describe_item(item: OqcItem) -> str:
    return " · ".join(text for text in (item.item_name, item.actual_value, item.remark) if text)[:500]


def _note_lot(inspection: OqcInspection, *, is_accepted: bool) -> int | None:
    """Note an original lot where sampling switches; return the score then.

    A lot that is inspected again, or comes back for rework, is none: the rules are about the process as it makes lots.
    """
    run, rule = inspection.run, inspection.rule
    if rule is None or inspection.scheme != SamplingScheme.ISO2859 or run.kind != RunKind.PRODUCTION:
        return None
    earlier = OqcInspection.objects.filter(run=run, status__in=DECIDED_STATUSES, id__lt=inspection.pk)
    if earlier.exists():
        return None
    lot = Lot(
        state=inspection.state,
        accepted=is_accepted,
        ac=inspection.ac,
        nonconforming=inspection.nonconforming or 0,
        lower_ac=inspection.lower_ac,
    )
    return sampling.note_lot(rule, run.work_order.product_code, lot).score


@locking.atomically
def cancel(*, inspection_id: int, reason: str, by: str) -> OqcInspection:
    """Give an inspection up; its lot goes on, but for the units with a failed item: what was found is not given up.

    Raises OqcNotFound, RunClosed, InvalidTransition.
    """
    give_reason(reason)
    inspection = _lock(inspection_id, action=Action.CANCEL)
    inspection.completed_by = by
    inspection.hold = _hold_nonconforming(inspection, judge(inspection).nonconforming)
    _end_cancelled(inspection, by=by, reason=reason)
    holds.note_oqc(inspection.run, is_open=False)
    return inspection


def cancel_open(run: Run) -> None:
    """Cancel the inspection of a run that ends, which is locked, where one is not decided."""
    rows = OqcInspection.objects.select_for_update(no_key=True)
    inspection = rows.filter(run=run, status__in=OPEN_STATUSES).first()
    if inspection is not None:
        inspection.status = rules.OQC.next_state(Action.CANCEL, inspection.status)
        _end_cancelled(inspection, by=run.status_by, reason=run.status_reason)
    holds.note_oqc(run, is_open=False)


def _end_cancelled(inspection: OqcInspection, *, by: str, reason: str) -> None:
    inspection.completed_by, inspection.completed_at, inspection.decision_remark = by, timezone.now(), reason
    inspection.save(update_fields=["status", "completed_by", "completed_at", "decision_remark", "hold"])


def _lock(inspection_id: int, *, action: Action) -> OqcInspection:
    """Return the inspection with its next status, its run and itself locked. Raises OqcNotFound, InvalidTransition."""
    run_numbers = OqcInspection.objects.values_list("run__run_no", flat=True)
    run = runs.lock(run_no=get_or_raise(run_numbers, errors.OqcNotFound, pk=str(inspection_id)))
    rows = OqcInspection.objects.select_for_update(no_key=True, of=("self",)).select_related("rule")
    inspection = rows.get(pk=inspection_id)
    inspection.status = rules.OQC.next_state(action, inspection.status)
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run.run_no)
    inspection.run = run
    return inspection
