"""Which passes a rule looks at, and which of them count: read by the index of stations and times of leaving."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max, Q, QuerySet

from execution.models import Defect, ResultOverride, Track
from execution.quality.hold_rules.judging import Pass
from execution.quality.models import NOT_A_DEFECT
from mes.plant.models import Station
from mes.production.hold_models import Hold, HoldRule, HoldRuleAction, HoldRuleKind, HoldRuleNotice, HoldStatus

CLOSED_BY_DECISION = (ResultOverride.REWORK, ResultOverride.SCRAP)


@dataclass(frozen=True)
class Place:
    """A station, and a step that units passed there. `line_id` is the station's line; of a shared one, the run's."""

    station: Station
    step_no: int
    operation_code: str
    line_id: int

    def fits(self, rule: HoldRule) -> bool:
        """Whether a rule concerns it; its product is asked of the passes."""
        return (
            rule.line_id in (None, self.line_id)
            and rule.station_id in (None, self.station.pk)
            and (rule.operation is None or rule.operation.code == self.operation_code)
        )

    def is_of(self, rule: HoldRule) -> Q:
        """Return which holds are of this place, for a rule: those of its station, and of its line."""
        return Q(rule=rule) & (Q(station=self.station) | Q(line_id=self.line_id))


def is_held(rule: HoldRule, place: Place) -> bool:
    """Whether a rule holds a place at present."""
    return Hold.objects.filter(place.is_of(rule), status=HoldStatus.OPEN).exists()


def find_beginning(rule: HoldRule, place: Place) -> datetime | None:
    """Return from when on passes count: since the last release of what this rule held there, or since it told last."""
    ended = Hold.objects.filter(place.is_of(rule)).aggregate(at=Max("ended_at"))["at"]
    told = HoldRuleNotice.objects.filter(rule=rule, station=place.station, step_no=place.step_no)
    times = [ended, told.aggregate(at=Max("passed_at"))["at"]]
    return max((at for at in times if at is not None), default=None)


def counted(rule: HoldRule, place: Place) -> QuerySet[Track]:
    """Return the passes that count for a rule at a place.

    Trials do not, nor what a decision closed: no machine failed there. A false call, and a review, have made a PASS of
    the track already.
    """
    passes = Track.objects.filter(
        station=place.station,
        step_no=place.step_no,
        operation_code=place.operation_code,
        out_at__isnull=False,
        is_trial=False,
    ).exclude(result_override__in=CLOSED_BY_DECISION)
    if rule.kind == HoldRuleKind.FPY_BELOW:
        passes = passes.filter(attempt=1)
    if rule.product_code:
        passes = passes.filter(run__work_order__product_code=rule.product_code)
    if place.station.line_id is None and (rule.line_id is not None or rule.action == HoldRuleAction.HOLD_LINE):
        passes = passes.filter(run__line_id=place.line_id)
    beginning = find_beginning(rule, place)
    return passes if beginning is None else passes.filter(out_at__gt=beginning)


def list_stretches(rule: HoldRule, place: Place, track_ids: Collection[int]) -> Iterator[tuple[Pass, list[Pass]]]:
    """Yield (pass, the passes to judge from it on, with as many before it as the rule looks at), until all those of
    `track_ids` that count were in one.

    A pass that was reported late stands where it left: those behind it are judged anew, as far as they look at it.
    """
    counting = counted(rule, place)
    left = sorted(_read(rule, counting.filter(pk__in=track_ids)), key=lambda each: each.position)
    while left:
        first = left[0]
        before = _is_before(first)
        earlier = _read(rule, counting.filter(before).order_by("-out_at", "-id")[: rule.window - 1])
        most = rule.window + len(left)
        from_it_on = counting.exclude(before).filter(out_at__gte=first.out_at).order_by("out_at", "id")
        later = _read(rule, from_it_on[:most])
        yield first, [*reversed(earlier), *later]
        if len(later) < most:
            return
        judged_to = later[-rule.window].position  # of those behind it, what looks at them is not all there
        left = [each for each in left if each.position > judged_to]


def _is_before(one: Pass) -> Q:
    """Return which passes left before one. The bound of the time serves the index."""
    return Q(out_at__lte=one.out_at) & (Q(out_at__lt=one.out_at) | Q(pk__lt=one.track_id))


def _read(rule: HoldRule, tracks: QuerySet[Track]) -> list[Pass]:
    """Return tracks as passes, in the order of the query, with their defects where the rule asks for them."""
    rows = list(tracks.values_list("out_at", "pk", "result"))
    defects = _read_defects([pk for _at, pk, _result in rows]) if rule.kind == HoldRuleKind.SAME_DEFECT else {}
    return [Pass(at, pk, result, frozenset(defects.get(pk, ()))) for at, pk, result in rows if at is not None]


def _read_defects(track_ids: Sequence[int]) -> dict[int, set[tuple[str, str]]]:
    found: dict[int, set[tuple[str, str]]] = {}
    defects = Defect.objects.filter(track_id__in=track_ids).exclude(status__in=NOT_A_DEFECT).order_by()
    for track_id, code, location in defects.values_list("track_id", "code", "location"):
        found.setdefault(track_id, set()).add((code, location))
    return found
