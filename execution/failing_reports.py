"""What a refused report still does: a unit that it says has failed is held.

A machine's report is a fact; refusing it does not undo it. Every way in that keeps a refusal comes here with what the
refused report said. A unit that failed at that step already stays as it is, and so does a scrapped one. Where nothing
but an inspection had failed it, the report does too from then on: no review of the inspection lifts that.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q
from django.utils.translation import gettext as _

from execution import dispositions
from execution.models import Disposition, ResultOverride, Track, TrackResult
from mes.production.hold_models import HoldSource
from mes.production.models import Run, Unit, UnitStatus
from mes.routing import judging
from mes.routing.judging import JudgedValue, Reading
from mes.routing.snapshots import StepSnapshot

# As `Track.is_failed_by_inspections_alone`: such a pass may become a PASS by a review (`quality.reviews`).
ONLY_INSPECTED = Q(
    result=TrackResult.FAIL, claimed_result=TrackResult.PASS, result_override="", inspection_override=True
)


@dataclass(frozen=True, slots=True)
class FailingReport:
    """What a report says against a unit at a step: that it failed there, which of its values fail or hold, or which
    defects it has.
    """

    step_no: int
    claims_failure: bool
    values: tuple[JudgedValue, ...] = ()
    defects: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """What failed, as a person reads it."""
        names = ", ".join(dict.fromkeys([*(value.spec.name for value in self.values), *self.defects]))
        if not self.claims_failure:
            return names
        return _("result FAIL; %(names)s") % {"names": names} if names else _("result FAIL")


def find_failing(
    step_no: int, result: str | None, values: Sequence[JudgedValue], defects: Sequence[str] = ()
) -> FailingReport | None:
    """Return what a report says against a unit; None where it says nothing against it.

    Failing is a claimed FAIL, a KEY value outside its frozen limits, a value whose alarm holds, and `defects`, those
    named with which a board is not acceptable.
    """
    against = tuple(value for value in values if value.is_failing)
    claims_failure = result == "FAIL"
    if claims_failure or against or defects:
        return FailingReport(step_no, claims_failure, against, tuple(defects))
    return None


def judge_fitting(
    readings: Iterable[Reading], step: StepSnapshot, *, source: str, default_time: datetime
) -> list[JudgedValue]:
    """Judge readings by the limits frozen in a step. One that means no spec of the step, or does not fit it, is left
    out.
    """
    judged, _misfits = judging.collect_fitting(
        readings, step, source=source, default_time=default_time, lookup=lambda _operation, _readings: []
    )
    return judged


def hold_units(
    units: Sequence[Unit],
    failing: Mapping[str, FailingReport],
    *,
    source: str,
    code: str,
    held_before: Collection[int] = (),
) -> list[Disposition]:
    """Hold locked units for what a refused report says of them, by serial number; return the decisions, unsaved.

    `source` is who reported, `code` why that was refused, `held_before` are ids of units that the very same report has
    held: it holds none twice. Each report gets its decision, also where another has told the same.
    """
    decisions = []
    stay: dict[int, list[Unit]] = {}
    for unit in units:
        report = failing.get(unit.sn)
        if report is None or unit.pk in held_before:
            continue
        if _has_failed_at(unit, report.step_no):
            stay.setdefault(report.step_no, []).append(unit)
            continue
        reason = _("%(source)s reported at step %(step)s: %(what)s. That was refused (%(code)s)") % {
            "source": source,
            "step": report.step_no,
            "what": report.in_words,
            "code": code,
        }
        decision = dispositions.put_on_hold(unit, reason=reason, source=HoldSource.REPORT, is_of_report=True)
        if decision is not None:
            decision.about_step_no = report.step_no
            decisions.append(decision)
    for step_no, failed_units in stay.items():
        _keep_from_reviews(failed_units, step_no)
    return decisions


def _keep_from_reviews(units: Sequence[Unit], step_no: int) -> None:
    """Note that a report fails the passes too that inspections alone had failed, of locked units that stand there."""
    passes = Track.objects.filter(unit__in=units, step_no=step_no, run=F("unit__run"), rework_no=F("unit__rework_no"))
    passes.filter(ONLY_INSPECTED).update(result_override=ResultOverride.REPORT)


def hold_late(unit: Unit, report: FailingReport, *, source: str, run: Run) -> Disposition | None:
    """Hold a locked unit for what a report says that came after it had left the step of a run; return the decision,
    unsaved. It is held where it is now, though it may have gone into another run.

    One that failed there stays, and `fail_too` is for its pass.
    """
    if unit.run_id == run.pk and _has_failed_at(unit, report.step_no):
        return None
    reason = _("%(source)s reported at step %(step)s, after the unit had left: %(what)s") % {
        "source": source,
        "step": report.step_no,
        "what": report.in_words,
    }
    decision = dispositions.put_on_hold(unit, reason=reason, source=HoldSource.DATA)
    if decision is not None:
        decision.about_step_no = report.step_no
    return decision


def fail_too(track: Track) -> None:
    """Note on an unsaved track, closed, that a report fails it too, where inspections alone had."""
    if track.is_failed_by_inspections_alone:
        track.result_override = ResultOverride.REPORT


def list_held(units: Sequence[Unit], failing: Mapping[str, FailingReport]) -> list[str]:
    """Return the serial numbers of those that are reported as failed and held, for `details.held` of a refusal."""
    return sorted(unit.sn for unit in units if unit.sn in failing and unit.status == UnitStatus.ON_HOLD)


def _has_failed_at(unit: Unit, step_no: int) -> bool:
    """Whether a unit stands at a step as failed; a held one, when it is released."""
    return unit.standing == UnitStatus.OUT_FAILED and unit.current_step_no == step_no
