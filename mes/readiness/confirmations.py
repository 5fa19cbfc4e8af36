"""Confirming the preparations that prep policies ask for."""

from django.db import transaction
from django.utils import timezone

from mes.errors import PrepPolicyNotFound, PrepSourceMismatch
from mes.production import runs
from mes.production.models import Run
from mes.production.runs import snapshot_of
from mes.readiness.checks.preparation import list_policies
from mes.readiness.models import ConfirmMode, DataSource, PrepConfirmation, PrepPolicy
from mes.readiness.registry import Facts


def confirm(
    *, run_no: str, code: str, source: str, by: str, is_done: bool = True, remark: str = ""
) -> PrepConfirmation:
    """Record that a preparation of a run is done, or with `is_done` no longer is.

    `source` MANUAL is a person, SYSTEM another system; a policy that does not ask for it refuses.
    Raises RunNotFound, RunClosed, RunOnHold, PrepPolicyNotFound, PrepSourceMismatch.
    """
    with transaction.atomic():
        run = runs.lock(run_no=run_no)
        runs.check_open(run)
        policy = _find(run, code)
        if not _asks_for(policy, source):
            raise PrepSourceMismatch(
                name=policy.name,
                source=DataSource(source),
                confirm_mode=ConfirmMode(policy.confirm_mode),
                data_source=DataSource(policy.data_source),
            )
        return PrepConfirmation.objects.create(
            run=run, code=code, source=source, is_done=is_done, confirmed_by=by, remark=remark
        )


def copy_done(source: Run, target: Run) -> None:
    """Take the preparations of a run that are confirmed over into another one of its line, in the caller's transaction.

    They keep who confirmed them; what was taken back since is not taken over.
    """
    latest = PrepConfirmation.objects.filter(run=source).order_by("code", "source", "-id").distinct("code", "source")
    PrepConfirmation.objects.bulk_create(
        PrepConfirmation(
            run=target,
            code=each.code,
            source=each.source,
            confirmed_by=each.confirmed_by,
            confirmed_at=each.confirmed_at,
            remark=each.remark,
        )
        for each in latest
        if each.is_done
    )


def _find(run: Run, code: str) -> PrepPolicy:
    facts = Facts(run=run, snapshot=snapshot_of(run), now=timezone.now(), is_gate=False)
    policy = next((policy for policy in list_policies(facts) if policy.code == code), None)
    if policy is None:
        raise PrepPolicyNotFound(code=code)
    return policy


def _asks_for(policy: PrepPolicy, source: str) -> bool:
    if source == DataSource.SYSTEM:
        return policy.data_source == DataSource.SYSTEM
    return policy.confirm_mode == ConfirmMode.MANUAL
