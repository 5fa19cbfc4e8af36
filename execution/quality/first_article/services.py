"""A first article inspection from its creation to its signature. The run is locked before its inspection."""

from collections.abc import Iterable

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import dispositions
from execution.quality import inspection_items
from execution.quality.first_article import rules, signed_document
from execution.quality.first_article.models import (
    FaiResult,
    FaiStatus,
    FirstArticle,
    FirstArticleItem,
    FirstArticleSample,
)
from execution.quality.inspection_items import Said
from mes import errors
from mes.labels import Action, Entity, State
from mes.platform.database.lookup import get_or_raise
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce
from mes.platform.signatures import services as signatures
from mes.platform.signatures.services import Signing
from mes.production import locking, runs
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import Hold, HoldSource
from mes.production.models import Run, Unit
from mes.production.names import get_scanned_unit

RECORD_TYPE = signed_document.KIND.record_type
OPEN = (FaiStatus.CREATED, FaiStatus.INSPECTING)


@transaction.atomic
def create(*, run_no: str, sample_qty: int, by: str, remark: str = "") -> FirstArticle:
    """Create an inspection of a run. Raises RunNotFound, RunClosed, RunOnHold, FaiOpen, ValidationFailed."""
    run = runs.lock(run_no=run_no)
    runs.check_open(run)
    if sample_qty > run.plan_qty:
        raise errors.ValidationFailed({"sampleQty": _("More than the run is planned for.")})
    if FirstArticle.objects.filter(run=run, status__in=OPEN).exists():
        raise errors.FaiOpen(run=run_no)
    return FirstArticle.objects.create(run=run, sample_qty=sample_qty, created_by=by, remark=remark)


@transaction.atomic
def start(*, fai_id: int, by: str) -> FirstArticle:
    """Begin to inspect; from now on sample units may run. Raises FaiNotFound, RunClosed, InvalidTransition."""
    fai = _lock(fai_id, action=Action.START)
    fai.started_by, fai.started_at = by, timezone.now()
    fai.save(update_fields=["status", "started_by", "started_at"])
    return fai


@transaction.atomic
def name_sample(*, fai_id: int, unit_sn: str) -> FirstArticleSample:
    """Make a unit of the run a sample before it runs; naming it again changes nothing.

    Raises FaiNotFound, RunClosed, InvalidTransition, UnitNotFound, ScanTypeMismatch, UnitRunMismatch,
    FaiSamplesComplete.
    """
    fai = _lock(fai_id, action=Action.RECORD_ITEMS)
    unit = _get_unit(fai, unit_sn)
    sample = fai.samples.filter(unit=unit).first()
    if sample is not None:
        return sample
    if fai.samples.count() >= fai.sample_qty:
        raise errors.FaiSamplesComplete(quantity=fai.sample_qty)
    return FirstArticleSample.objects.create(first_article=fai, unit=unit)


@transaction.atomic
def record_item(
    *,
    fai_id: int,
    unit_sn: str,
    item_name: str,
    said: Said,
    by: str,
    item_spec: str | None = None,
    remark: str = "",
) -> FirstArticleItem:
    """Record an item inspected on a unit of the run. Without `item_spec` it comes from the route, whose limits judge.

    Raises FaiNotFound, RunClosed, InvalidTransition, UnitNotFound, ScanTypeMismatch, UnitRunMismatch,
    FaiStepNotPassed, RequiredDataMissing, ValidationFailed.
    """
    fai = _lock(fai_id, action=Action.RECORD_ITEMS)
    unit = _get_unit(fai, unit_sn)
    snapshot = runs.snapshot_of(fai.run)
    item = inspection_items.find_item(snapshot.fai_items, item_name)
    judged = inspection_items.judge(item, said, unit=unit, snapshot=snapshot)
    if item_spec is None:
        item_spec = inspection_items.describe(item) if item else ""
    return FirstArticleItem.objects.create(
        first_article=fai,
        unit=unit,
        item_name=item_name,
        item_spec=item_spec,
        **vars(judged),
        remark=remark,
        recorded_by=by,
    )


@transaction.atomic
def complete(*, fai_id: int, decision: str, by: str, remark: str = "") -> FirstArticle:
    """Decide PASS or FAIL. FAIL holds its samples and every unit that an item was recorded of; until another one
    passed and is signed, no unit of the run enters a station (`rules.check_first_article`).

    Raises FaiNotFound, RunClosed, InvalidTransition, FaiItemsOpen (for PASS).
    """
    fai = _lock(fai_id, action=Action.PASS if decision == FaiResult.PASS else Action.FAIL)
    if decision == FaiResult.PASS and (items := list_open_items(fai)):
        raise errors.FaiItemsOpen(items=items)
    fai.completed_by, fai.completed_at, fai.decision_remark = by, timezone.now(), remark
    fai.save(update_fields=["status", "completed_by", "completed_at", "decision_remark"])
    if decision == FaiResult.FAIL:
        runs.note_first_article(fai.run, is_failed=True)
        _hold_inspected(fai)
        _tell_failed(fai)
    return fai


def _tell_failed(fai: FirstArticle) -> None:
    """Tell by rules that it failed."""
    text = _("The first article of run %(run)s failed.") % {"run": fai.run.run_no}
    notice = Notice(
        key=f"fai-failed:{fai.pk}",
        severity=Severity.ALERT,
        text=f"{text} {fai.decision_remark}".strip(),
        address=reverse("run", args=[fai.run.run_no]),
        event=NoticeEvent.FAI_FAILED,
        line_id=fai.run.line_id,
        facts={"runNo": fai.run.run_no, "faiId": str(fai.pk), "completedBy": fai.completed_by},
        at=fai.completed_at,
    )
    announce([notice])


def _hold_inspected(fai: FirstArticle) -> None:
    """Hold the units of a first article that failed, in one case; its run is locked."""
    unit_ids = {*fai.samples.values_list("unit_id", flat=True), *fai.items.values_list("unit_id", flat=True)}
    reason = _("The first article failed") + (f": {fai.decision_remark}" if fai.decision_remark else "")
    units = locking.lock_units(Unit.objects.filter(pk__in=unit_ids))
    hold = Hold(source=HoldSource.FAI, reason=reason[:LONGEST_REASON], opened_by=fai.completed_by)
    dispositions.hold_together(units, hold, by=fai.completed_by)


@transaction.atomic
def sign(*, fai_id: int, by: str, remark: str = "", signing: Signing | None = None) -> FirstArticle:
    """Sign a first article that passed, as somebody who took no part in it: whoever signs by password, else `by`.

    Raises FaiNotFound, RunClosed, InvalidTransition, FaiSignerIsInspector.
    """
    fai = _lock(fai_id, action=Action.SIGN)
    if fai.signed_at is not None:
        raise errors.InvalidTransition(action=Action.SIGN, entity=Entity.FIRST_ARTICLE, state=State.SIGNED)
    signer = signing.signer if signing else by
    inspectors = {fai.started_by, fai.completed_by, *fai.items.values_list("recorded_by", flat=True)}
    if signer in inspectors:
        raise errors.FaiSignerIsInspector(signer=signer)
    fai.signed_by, fai.signed_at, fai.sign_remark = signer, timezone.now(), remark
    fai.lacks_signature = signing is None
    fai.save(update_fields=["signed_by", "signed_at", "sign_remark", "lacks_signature"])
    signatures.record(signing, record_type=RECORD_TYPE, record_id=fai.pk, document=signed_document.read(fai.pk))
    if not FirstArticle.objects.filter(run=fai.run, status=FaiStatus.FAILED, id__gt=fai.pk).exists():
        runs.note_first_article(fai.run, is_failed=False)
    return fai


def cancel_open(run: Run) -> None:
    """Cancel the inspection of a run that ends, which is locked, where one is not finished."""
    fai = FirstArticle.objects.select_for_update(no_key=True).filter(run=run, status__in=OPEN).first()
    if fai is None:
        return
    fai.status = rules.FAI.next_state(Action.CANCEL, fai.status)
    fai.completed_by, fai.completed_at, fai.decision_remark = run.status_by, timezone.now(), run.status_reason
    fai.save(update_fields=["status", "completed_by", "completed_at", "decision_remark"])


def list_open_items(fai: FirstArticle) -> list[str]:
    """Return what keeps an inspection from passing, in words."""
    items = fai.items.select_related("unit").order_by("id")
    results = {(item.unit.sn, item.item_name): item.result for item in items}
    sns: Iterable[str] = fai.samples.order_by("id").values_list("unit__sn", flat=True)
    template = runs.snapshot_of(fai.run).fai_items
    return rules.find_open_items(template, results, sns=sns, sample_qty=fai.sample_qty)


def find_latest(run: Run) -> FirstArticle | None:
    """Return the latest inspection of a run."""
    return FirstArticle.objects.filter(run=run).order_by("-id").first()


def _get_unit(fai: FirstArticle, sn: str) -> Unit:
    unit = get_scanned_unit(sn)
    if unit.run_id != fai.run_id:
        raise errors.UnitRunMismatch(sn=sn, run=fai.run.run_no)
    return unit


def _lock(fai_id: int, *, action: Action) -> FirstArticle:
    """Return the inspection with its next status, its run and itself locked. Raises FaiNotFound, InvalidTransition."""
    run_numbers = FirstArticle.objects.values_list("run__run_no", flat=True)
    run_no = get_or_raise(run_numbers, errors.FaiNotFound, pk=str(fai_id))
    run = runs.lock(run_no=run_no)
    runs.check_open(run)
    fai = FirstArticle.objects.select_for_update(no_key=True, of=("self",)).get(pk=fai_id)
    fai.run = run
    fai.status = rules.FAI.next_state(action, fai.status)
    return fai
