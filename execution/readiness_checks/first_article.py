"""FAI: where a step asks for a first article, the latest inspection of the run passed and is signed."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.quality.first_article.models import FaiStatus, FirstArticle
from mes.errors import FaiNotPassed, FaiNotSigned
from mes.production.models import Run, RunKind
from mes.readiness.models import ReadinessWaiver
from mes.readiness.registry import Check, Facts, Finding

ITEM_TYPE = "FAI"


def evaluate(facts: Facts) -> Iterator[Finding]:
    """Yield one item where the route asks for a first article. It cannot be waived, but by an MRB for a rework run."""
    if not facts.snapshot.requires_fai:
        return
    fai = facts.read(FirstArticle.objects.filter(run=facts.run)).order_by("-id").first()
    code, reason, action = _judge(fai)
    evidence = _describe(fai) if fai else {}
    yield Finding(ITEM_TYPE, facts.run.run_no, code, reason, action, evidence, waivable=_is_waived(facts.run))


def _is_waived(run: Run) -> bool:
    """Whether an MRB waived the first article of a rework run, ahead of its checks; nobody else can."""
    waived = ReadinessWaiver.objects.filter(run=run, item_type=ITEM_TYPE)
    return run.kind == RunKind.REWORK and waived.exists()


def _judge(fai: FirstArticle | None) -> tuple[str, str, str]:
    if fai is None:
        return (
            FaiNotPassed.code,
            _("The route asks for a first article, and none was inspected."),
            _("Create a first article inspection and start it; its sample units may then run."),
        )
    if fai.status == FaiStatus.CREATED:
        return (
            FaiNotPassed.code,
            _("The first article inspection is not started."),
            _("Start it; its sample units may then run."),
        )
    if fai.status == FaiStatus.INSPECTING:
        return (
            FaiNotPassed.code,
            _("The first article is being inspected."),
            _("Run the sample units through the steps, record the items, and decide."),
        )
    if fai.status == FaiStatus.FAILED:
        return (
            FaiNotPassed.code,
            _("The first article failed."),
            _("Put right what was wrong, then create another first article inspection."),
        )
    if fai.status == FaiStatus.CANCELLED:
        return (
            FaiNotPassed.code,
            _("The first article was cancelled, because its run ended."),
            _("Create another first article inspection."),
        )
    if fai.signed_at is None:
        return (
            FaiNotSigned.code,
            _("The first article passed and is not signed."),
            _("Have it signed by somebody who did not inspect."),
        )
    return "", "", ""


def _describe(fai: FirstArticle) -> dict[str, Any]:
    return {
        "faiId": str(fai.pk),
        "faiStatus": fai.status,
        "sampleQty": fai.sample_qty,
        "completedBy": fai.completed_by or None,
        "signedBy": fai.signed_by or None,
        "signedAt": fai.signed_at and fai.signed_at.isoformat(),
    }


CHECK = Check(
    ITEM_TYPE,
    gettext_lazy("First article"),
    evaluate,
    80,
    is_always_on=True,
    page="first-article",
    refusals={FaiNotPassed.code: FaiNotPassed, FaiNotSigned.code: FaiNotSigned},
)
