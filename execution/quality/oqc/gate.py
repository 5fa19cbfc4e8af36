"""What keeps a run from being closed: a lot that a rule wants inspected is, and has passed."""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

from execution.quality.oqc.models import OPEN_STATUSES, OqcInspection, OqcStatus
from execution.quality.oqc.selection import find_asking
from mes.errors import OqcRequired
from mes.production.models import Run, Unit, UnitStatus


def find_refusals(run: Run) -> Iterable[OqcRequired]:
    """Yield the refusal of closing a run with finished units whose latest inspection has not passed, or was drawn
    before some of them were done; where no rule asks for one, while one is under way: closing is no decision about it.
    Registered with `closing_checks`.
    """
    if find_asking(run) is None and not run.is_in_oqc:
        return
    done = list_done(run)
    if not done:
        return
    latest = find_latest(run)
    if reason := _find_reason(latest, done):
        yield OqcRequired(run=run.run_no, reason=reason)


def list_done(run: Run) -> list[int]:
    """Return the ids of the units of a run that are done, in order."""
    units = Unit.objects.filter(run=run, status=UnitStatus.DONE)
    return list(units.order_by("id").values_list("pk", flat=True))


def find_latest(run: Run) -> OqcInspection | None:
    """Return the latest inspection of a run; one that was cancelled says nothing."""
    return OqcInspection.objects.filter(run=run).exclude(status=OqcStatus.CANCELLED).order_by("-id").first()


def find_new(latest: OqcInspection, done: Sequence[int]) -> list[int]:
    """Return of the units that are done those that were not in the lot of an inspection."""
    return sorted(set(done).difference(latest.lot_unit_ids))


def _find_reason(latest: OqcInspection | None, done: Sequence[int]) -> str:
    """Return what is missing, in words; "" where nothing is."""
    if latest is None:
        return _("there was none yet.")
    if latest.status in OPEN_STATUSES:
        return _("the present one is not decided yet.")
    if latest.status == OqcStatus.FAILED:
        return _("the latest one failed.")
    if count := len(find_new(latest, done)):
        return _("%(count)s unit(s) were done after the sample was drawn.") % {"count": count}
    return ""
