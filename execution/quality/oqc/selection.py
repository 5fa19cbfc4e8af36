"""Which sampling rule concerns a run."""

from collections.abc import Iterable

from django.db.models import Q

from execution.quality.oqc.models import SamplingRule, SamplingScheme
from mes.production.models import Run


def choose(rules: Iterable[SamplingRule]) -> SamplingRule | None:
    """Return of the rules that fit the most specific one: of a product, then of a route, then of a line; then by
    priority, then the latest.
    """
    return max(rules, key=_rank, default=None)


def _rank(rule: SamplingRule) -> tuple[bool, bool, bool, int, int]:
    return (rule.product_code != "", rule.routing_id is not None, rule.line_id is not None, rule.priority, rule.pk)


def find_rule(run: Run) -> SamplingRule | None:
    """Return the active rule that concerns a run; one query. Of a run whose inspection is not asked for it is one of
    the scheme NONE, or there is none.
    """
    fitting = SamplingRule.objects.filter(
        Q(routing=None) | Q(routing=run.route_version.routing_id),
        Q(line=None) | Q(line=run.line_id),
        product_code__in=["", run.work_order.product_code],
        is_active=True,
    )
    return choose(fitting)


def find_asking(run: Run) -> SamplingRule | None:
    """Return the rule by which a run must be inspected, None where none asks for it."""
    rule = find_rule(run)
    return None if rule is None or rule.scheme == SamplingScheme.NONE else rule
