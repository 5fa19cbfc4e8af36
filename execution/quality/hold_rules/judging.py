"""What a rule says of passes: of those that count, whether its last ones are let go by.

Nothing is read here: `passes` are those that count (`passes.counted`), the oldest first.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from execution.models import TrackResult
from execution.quality.defect_codes.catalogue import OUT_OF_LIMITS, UNSPECIFIED
from mes.production.hold_models import HoldRule, HoldRuleKind


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that left a station; `defects` are (code, location) of what was found at it, as far as it counts."""

    out_at: datetime
    track_id: int
    result: str
    defects: frozenset[tuple[str, str]] = frozenset()

    @property
    def position(self) -> tuple[datetime, int]:
        """Where it stands in the order in which passes left."""
        return self.out_at, self.track_id


@dataclass(frozen=True, slots=True)
class Breach:
    """That a rule does not let passes go by: the last of them, and why, in words."""

    last: Pass
    reason: str


def find_first(rule: HoldRule, passes: Sequence[Pass], *, since: Pass) -> Breach | None:
    """Return the first breach, if there is one, as passes left one after the other from `since` on.

    Each pass is judged with those before it, so that a good board right behind the last bad one hides nothing.
    """
    for end, last in enumerate(passes, start=1):
        if last.position < since.position:
            continue
        reason = judge(rule, passes[max(0, end - rule.window) : end])
        if reason:
            return Breach(last, reason)
    return None


def judge(rule: HoldRule, passes: Sequence[Pass]) -> str:
    """Return why a rule does not let these passes go by, which are the last ones at a moment; empty if it does."""
    if rule.kind == HoldRuleKind.CONSECUTIVE_FAIL:
        return _judge_row(passes, rule.n or 1)
    if rule.kind == HoldRuleKind.SAME_DEFECT:
        return _judge_defects(passes, rule.n or 1)
    return _judge_yield(passes, rule)


def _judge_row(passes: Sequence[Pass], n: int) -> str:
    if len(passes) < n or any(each.result != TrackResult.FAIL for each in passes[-n:]):
        return ""
    return _("%(count)d failed in a row") % {"count": n}


def _judge_defects(passes: Sequence[Pass], n: int) -> str:
    """A pass counts once for each defect, however often it has it."""
    counts = Counter(key for each in passes for key in {_same(*defect) for defect in each.defects} - {""})
    if not counts:
        return ""
    name, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
    if count < n:
        return ""
    return _("%(count)d of the last %(of)d with the defect %(defect)s") % {
        "count": count,
        "of": len(passes),
        "defect": name,
    }


def _same(code: str, location: str) -> str:
    """Return by what a defect is the same as another: its code. A value outside its limits is one of its spec, and of
    what nobody said more about than that it failed, nobody knows whether it is the same.
    """
    if code == UNSPECIFIED:
        return ""
    return f"{code} {location}".strip() if code == OUT_OF_LIMITS else code


def _judge_yield(passes: Sequence[Pass], rule: HoldRule) -> str:
    """Fewer passes than it looks at say nothing yet."""
    assert rule.of is not None and rule.percent is not None  # as the database keeps it
    passed = sum(each.result == TrackResult.PASS for each in passes)
    if len(passes) < rule.of or 100 * passed >= rule.percent * rule.of:
        return ""
    return _("first-pass yield %(yield)s %% of the last %(of)d, below %(percent)s %%") % {
        "yield": number_format(100 * passed / rule.of, decimal_pos=1),
        "of": rule.of,
        "percent": number_format(f"{Decimal(rule.percent).normalize():f}"),
    }
