"""May this unit run as a trial? While a run's first article is inspected, its sample units run before the run may.

The run is in preparation, which is why its row is locked exclusively: of two units that come for the last place, one
gets it.
"""

from collections.abc import Iterator

from execution import rules
from execution.quality.first_article.models import FaiStatus, FirstArticle, FirstArticleSample
from execution.readiness_checks.first_article import ITEM_TYPE
from mes import errors
from mes.production.models import Run, RunStatus, Unit
from mes.readiness.evaluation import evaluate


def list_refusals_of_run(run: Run, unit: Unit | None, *, by_machine: bool) -> Iterator[errors.DomainError]:
    """Yield why units of the run may not enter stations, unless this unit (None: a new one) may as a trial.

    Of a run under way whose first article failed, those that are named as samples of the next one may.
    """
    is_trial = run.status == RunStatus.PREP and may_run(run, unit)
    refusal = None if is_trial else rules.refuse_run(run, by_machine=by_machine)
    if refusal is not None:
        yield refusal
    if run.is_in_oqc:
        yield errors.RunInOqc(run=run.run_no)
    if run.is_first_article_failed and not is_trial and not _is_sample(run, unit):
        yield rules.first_article_failed(run)


def _is_sample(run: Run, unit: Unit | None) -> bool:
    """Whether a unit (None: a new one) is a sample of the inspection of its run that is under way."""
    samples = FirstArticleSample.objects.filter(first_article__run=run, first_article__status=FaiStatus.INSPECTING)
    return unit is not None and samples.filter(unit_id=unit.pk).exists()


def may_run(run: Run, unit: Unit | None) -> bool:
    """Whether a unit (None: a new one) of a run in preparation is or may become a sample, and all else is ready."""
    fai = _find_inspecting(run)
    if fai is None:
        return False
    samples = set(fai.samples.values_list("unit_id", flat=True))
    has_place = len(samples) < fai.sample_qty or (unit is not None and unit.pk in samples)
    return has_place and all(finding.item_type == ITEM_TYPE for finding in evaluate(run).failed)


def claim(run: Run, unit: Unit) -> bool:
    """Make a unit that enters a station a sample if its run is in preparation; return whether it is a trial."""
    if run.status != RunStatus.PREP:
        return False
    fai = _find_inspecting(run)
    assert fai is not None  # `list_refusals_of_run` let the unit in
    FirstArticleSample.objects.get_or_create(first_article=fai, unit=unit)
    return True


def _find_inspecting(run: Run) -> FirstArticle | None:
    return FirstArticle.objects.filter(run=run, status=FaiStatus.INSPECTING).first()
