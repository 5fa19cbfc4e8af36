"""What one person asks for and another one allows: asked, decided once, carried out in the transaction that decides.

What can be asked for are kinds, which the rooms that carry them out register. Whoever approves locks in this order:
what the kind needs (runs, units), the approval, then what carrying it out needs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mes import errors
from mes.labels import Action
from mes.platform.accounts.roles import Capability, roles_with
from mes.platform.database.lookup import get_or_raise
from mes.platform.hooks import Hook
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep
from mes.production import locking, transitions
from mes.production.decision_models import Approval, ApprovalStatus, ApprovalType
from mes.production.models import Run, Unit

WAITS_FOR = timedelta(days=7)
BATCH = 200

Locked = Any


def _nothing(*_given: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class ApprovalKind:
    """What can be asked for by whoever has one of `asks`, and approved by whoever has one of `approves`.

    `lock(approval)` takes the kind's locks down to the units, and returns what they are on, for `check` and `apply`.
    `check(approval, locked)` raises every rule against it: when it is asked for, and again when it is approved.
    `apply(approval, locked)` carries it out, `decided_by` being who approved. `drop(approval)` is called where it is
    refused, withdrawn or expired, with the approval alone locked. `describe(approval)` says it in words.
    """

    type: ApprovalType
    asks: tuple[Capability, ...]
    approves: tuple[Capability, ...]
    lock: Callable[[Approval], Locked]
    check: Callable[[Approval, Locked], None]
    apply: Callable[[Approval, Locked], None]
    describe: Callable[[Approval], str]
    drop: Callable[[Approval], None] = _nothing


# What can be asked for. Each type has one kind.
kinds: Hook[ApprovalKind] = Hook(key=lambda kind: kind.type)


def kind_of(approval: Approval) -> ApprovalKind:
    """Return the kind of an approval."""
    return next(kind for kind in kinds if kind.type == approval.type)


def check_may_decide(approval: Approval, granted: frozenset[Capability]) -> None:
    """Raise DecisionNotAllowed unless these capabilities allow to approve or refuse it."""
    needed = kind_of(approval).approves
    if granted.isdisjoint(needed):
        roles = [str(role.label) for role in roles_with(needed)]
        raise errors.DecisionNotAllowed(roles=get_text_list(roles, gettext("or")))


def find(approval_id: int) -> Approval:
    """Return an approval with its unit and run. Raises ApprovalNotFound."""
    approvals = Approval.objects.select_related("unit", "run__line")
    return get_or_raise(approvals, errors.ApprovalNotFound, pk=approval_id)


# --- asking ------------------------------------------------------------------------------------------------


@locking.atomically
def request(
    *,
    type: ApprovalType,
    reason: str,
    by: str,
    unit: Unit | None = None,
    run: Run | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Approval:
    """Ask for something; return what waits for another person. It waits for seven days.

    May be called in a transaction of the caller's. Raises what the kind's `check` does, and ApprovalRequested where the
    same was asked for this unit and is not decided.
    """
    now = timezone.now()
    approval = Approval(
        type=type,
        unit=unit,
        run=run,
        arguments=dict(arguments or {}),
        reason=reason,
        requested_by=by,
        requested_at=now,
        expires_at=now + WAITS_FOR,
    )
    kind = kind_of(approval)
    kind.check(approval, kind.lock(approval))
    if unit is not None:
        _make_room(approval)
    try:
        with transaction.atomic():
            approval.save(force_insert=True)
    except IntegrityError as error:  # asked for by two at once, whom the kind's locks did not part
        if "approval_one_request_per_unit" not in str(error):
            raise
        raise errors.ApprovalRequested from None
    return approval


def _make_room(approval: Approval) -> None:
    """Raise ApprovalRequested where the same is asked for already. What waited too long makes room."""
    alike = Approval.objects.filter(type=approval.type, unit=approval.unit, status=ApprovalStatus.REQUESTED)
    for other in alike.select_for_update(no_key=True, of=("self",)):
        if not _is_over(other):
            raise errors.ApprovalRequested
        _expire(other)


# --- deciding ----------------------------------------------------------------------------------------------


@locking.atomically
def approve(*, approval_id: int, by: str, reason: str = "") -> Approval:
    """Allow what was asked for, and carry it out.

    Raises ApprovalNotFound, InvalidTransition, ApproverIsRequester, what the kind's `check` does, Outdated.
    """
    asked = find(approval_id)
    transitions.APPROVAL.next_state(Action.APPROVE, _standing(asked))  # before its rules: they may be broken by now
    kind = kind_of(asked)
    locked = kind.lock(asked)
    approval = _lock(approval_id)
    status = transitions.APPROVAL.next_state(Action.APPROVE, _standing(approval))
    if approval.requested_by == by:
        raise errors.ApproverIsRequester
    kind.check(approval, locked)
    _close(approval, status, by=by, reason=reason)
    kind.apply(approval, locked)
    return approval


@transaction.atomic
def refuse(*, approval_id: int, by: str, reason: str = "") -> Approval:
    """Refuse what was asked for. Raises ApprovalNotFound, InvalidTransition."""
    approval = _lock(approval_id)
    _drop(approval, transitions.APPROVAL.next_state(Action.REFUSE, _standing(approval)), by=by, reason=reason)
    return approval


@transaction.atomic
def withdraw(*, approval_id: int, by: str, reason: str = "", is_for_others: bool = False) -> Approval:
    """Take back what oneself asked for; `is_for_others` also what somebody else did.

    Raises ApprovalNotFound, InvalidTransition, WithdrawalNotAllowed.
    """
    approval = _lock(approval_id)
    if approval.requested_by != by and not is_for_others:
        raise errors.WithdrawalNotAllowed(requester=approval.requested_by)
    _drop(approval, transitions.APPROVAL.next_state(Action.WITHDRAW, _standing(approval)), by=by, reason=reason)
    return approval


def _lock(approval_id: int) -> Approval:
    approvals = Approval.objects.select_related("unit", "run").select_for_update(no_key=True, of=("self",))
    return get_or_raise(approvals, errors.ApprovalNotFound, pk=approval_id)


def _is_over(approval: Approval) -> bool:
    return approval.status == ApprovalStatus.REQUESTED and approval.expires_at <= timezone.now()


def _standing(approval: Approval) -> str:
    """Return the status that counts: what waited too long is expired, though the sweep may not have seen it yet."""
    return ApprovalStatus.EXPIRED if _is_over(approval) else approval.status


def _close(approval: Approval, status: str, *, by: str, reason: str) -> None:
    approval.status, approval.decided_at = status, timezone.now()
    approval.decided_by, approval.decision_reason = by, reason
    approval.save(update_fields=["status", "decided_at", "decided_by", "decision_reason"])


def _drop(approval: Approval, status: str, *, by: str, reason: str) -> None:
    _close(approval, status, by=by, reason=reason)
    kind_of(approval).drop(approval)


# --- by the clock ------------------------------------------------------------------------------------------


def _expire(approval: Approval) -> None:
    _drop(approval, transitions.APPROVAL.next_state(Action.EXPIRE, approval.status), by="", reason="")


def expire_approvals() -> int:
    """Close what waited too long; return how many. Safe to run twice, and in several workers at once.

    Raises SweepIncomplete when all others are done, where some failed.
    """
    done = 0
    with Sweep("approvals") as sweep:
        for batch in sweep.batches(size=BATCH):
            with batch, transaction.atomic():
                over = Approval.objects.filter(status=ApprovalStatus.REQUESTED, expires_at__lte=timezone.now())
                rows = over.exclude(pk__in=batch.excluded).order_by("expires_at", "pk")
                approvals = list(rows.select_for_update(no_key=True, skip_locked=True)[: batch.size])
                batch.keys = [approval.pk for approval in approvals]
                for approval in approvals:
                    _expire(approval)
            done += batch.done
    return done


TASK = ScheduledTask("approvals", _("Closing of requests that nobody decided"), expire_approvals, cron="* * * * *")
