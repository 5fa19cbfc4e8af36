"""Checks made and kept, waivers, and the gate that a run must pass to be authorized."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from mes.errors import (
    DomainError,
    InvalidTransition,
    ReadinessCheckFailed,
    ReadinessItemNotFound,
    ReadinessItemNotWaivable,
)
from mes.labels import Action, Entity
from mes.platform.database.lookup import get_or_raise
from mes.production import runs
from mes.production.models import Run
from mes.readiness.evaluation import Outcome, evaluate
from mes.readiness.models import (
    CheckKind,
    CheckStatus,
    ItemStatus,
    ReadinessCheck,
    ReadinessItem,
    ReadinessWaiver,
)
from mes.readiness.registry import Finding, list_checks


def make_check(*, run_no: str, kind: CheckKind, by: str) -> ReadinessCheck:
    """Check a run now and keep what was found. Raises RunNotFound, RunClosed, RunOnHold."""
    with transaction.atomic():
        run = runs.lock(run_no=run_no)
        runs.check_open(run)
        return keep(evaluate(run), kind=kind, by=by)


def keep(outcome: Outcome, *, kind: CheckKind, by: str, is_authorization: bool = False) -> ReadinessCheck:
    """Write a check with its items, in the caller's transaction."""
    check = ReadinessCheck.objects.create(
        run=outcome.run,
        kind=kind,
        status=outcome.status,
        is_authorization=is_authorization,
        checked_at=outcome.facts.now,
        checked_by=by,
    )
    ReadinessItem.objects.bulk_create(
        ReadinessItem(
            check_made=check,
            item_type=item.finding.item_type,
            item_key=item.finding.key,
            status=item.status,
            code=item.finding.code,
            reason=item.finding.reason[:1000],
            action=item.finding.action[:1000],
            evidence=dict(item.finding.evidence),
            waivable=item.finding.waivable,
            waiver=item.waiver,
        )
        for item in outcome.items
    )
    return check


# --- authorizing ------------------------------------------------------------------------------------------


def pass_gate(run: Run, by: str) -> None:
    """Let a locked run pass if it is ready at this moment.

    Raises ReadinessCheckFailed, or the refusal of the only kind of check that failed. The check is kept in either
    case: with the authorization, or, by what the refusal carries, after it was rolled back.
    """
    outcome = evaluate(run, is_gate=True)
    if not outcome.failed:
        keep(outcome, kind=CheckKind.FORMAL, by=by, is_authorization=True)
        return
    refusal = _refuse(outcome)
    refusal.keep = lambda: _keep_refused(outcome, by=by)
    raise refusal


def _keep_refused(outcome: Outcome, *, by: str) -> None:
    with transaction.atomic():
        keep(outcome, kind=CheckKind.FORMAL, by=by, is_authorization=True)


def _refuse(outcome: Outcome) -> DomainError:
    """Return the refusal that lists every failed item: a check's own where nothing else failed."""
    failed = outcome.failed
    details: dict[str, Any] = {"run": outcome.run.run_no, "items": [as_detail(finding) for finding in failed]}
    own = {code: refusal for check in list_checks() for code, refusal in check.refusals.items()}
    if all(finding.code in own for finding in failed):
        return own[failed[0].code](reason=failed[0].reason, **details)
    reasons = " ".join(finding.reason for finding in failed[:3])
    return ReadinessCheckFailed(count=len(failed), reasons=reasons, **details)


def as_detail(finding: Finding) -> dict[str, Any]:
    """Return a failed finding as the details of a refusal name it."""
    return {
        "itemType": finding.item_type,
        "itemKey": finding.key,
        "code": finding.code,
        "reason": finding.reason,
        "action": finding.action,
        "evidence": dict(finding.evidence),
        "waivable": finding.waivable,
    }


# --- waivers ----------------------------------------------------------------------------------------------


def waive_item(*, run_no: str, item_id: int, reason: str, by: str) -> ReadinessItem:
    """Waive a failed item of any check of the run; later checks of the run heed it too.

    Raises RunNotFound, RunClosed, RunOnHold, ReadinessItemNotFound, ReadinessItemNotWaivable, InvalidTransition.
    """
    with transaction.atomic():
        run = runs.lock(run_no=run_no)
        runs.check_open(run)
        items = ReadinessItem.objects.select_related("check_made").filter(check_made__run=run)
        item = get_or_raise(items, ReadinessItemNotFound, pk=str(item_id))
        if item.status != ItemStatus.FAILED:
            raise InvalidTransition(action=Action.WAIVE, entity=Entity.READINESS_ITEM, state=ItemStatus(item.status))
        _check_waivable(item.item_type, item.item_key, waivable=item.waivable)
        waiver = _write_waiver(run, (item.item_type, item.item_key, item.code), reason=reason, by=by)
        _mark([item], waiver)
        return item


def waive_finding(*, run_no: str, item_type: str, item_key: str, code: str, reason: str, by: str) -> None:
    """Waive what fails now, whether or not a check was kept; the run's latest check is marked with it.

    Raises RunNotFound, RunClosed, RunOnHold, ReadinessItemNotFound, ReadinessItemNotWaivable.
    """
    with transaction.atomic():
        run = runs.lock(run_no=run_no)
        runs.check_open(run)
        identity = (item_type, item_key, code)
        failed = {(finding.item_type, finding.key, finding.code): finding for finding in evaluate(run).failed}
        if identity not in failed:
            raise ReadinessItemNotFound(code=f"{item_type} {item_key}".strip())
        _check_waivable(item_type, item_key, waivable=failed[identity].waivable)
        waiver = _write_waiver(run, identity, reason=reason, by=by)
        latest = run.readiness_checks.order_by("-id").first()
        if latest is not None:
            same = latest.items.filter(item_type=item_type, item_key=item_key, code=code, status=ItemStatus.FAILED)
            _mark(list(same.select_related("check_made")), waiver)


def waive_by_decision(run: Run, *, item_type: str, item_key: str, code: str, reason: str, by: str) -> None:
    """Waive an item of a locked run ahead of its checks, by a decision that is kept elsewhere too."""
    _write_waiver(run, (item_type, item_key, code), reason=reason, by=by)


def _check_waivable(item_type: str, item_key: str, *, waivable: bool) -> None:
    if not waivable:
        raise ReadinessItemNotWaivable(item=f"{item_type} {item_key}".strip())


def _write_waiver(run: Run, identity: tuple[str, str, str], *, reason: str, by: str) -> ReadinessWaiver:
    item_type, item_key, code = identity
    waiver, _created = ReadinessWaiver.objects.get_or_create(
        run=run, item_type=item_type, item_key=item_key, code=code, defaults={"reason": reason, "waived_by": by}
    )
    return waiver


def _mark(items: Sequence[ReadinessItem], waiver: ReadinessWaiver) -> None:
    """Set items to waived, and their checks to passed when nothing failed is left."""
    for item in items:
        item.status, item.waiver = ItemStatus.WAIVED, waiver
        item.save(update_fields=["status", "waiver"])
        check = item.check_made
        if not check.items.filter(status=ItemStatus.FAILED).exists():
            check.status = CheckStatus.PASSED
            check.save(update_fields=["status"])
