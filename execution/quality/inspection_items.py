"""What an inspected item came to: what a person said, a number by its limits, or a value that was read on the way.

First articles and outgoing inspections alike. Whoever calls holds the lock under which the unit does not move.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from execution.models import CarrierTrackUnit, DataValue, Judge, Track, TrackResult
from mes import errors
from mes.production.models import Unit
from mes.routing.snapshots import FaiItem, RouteSnapshot
from mes.specs.display import describe_limits

PASS, FAIL = Judge.PASS, Judge.FAIL


@dataclass(frozen=True)
class Said:
    """What somebody says of an item: what is left out, the system must know."""

    result: str | None = None
    actual_value: str = ""
    actual_number: float | None = None


@dataclass(frozen=True)
class Judged:
    """What an item came to. `claimed_result` is what was said where the system judged otherwise, else empty."""

    result: str
    claimed_result: str = ""
    actual_value: str = ""
    actual_number: float | None = None


def find_item(items: tuple[FaiItem, ...], name: str) -> FaiItem | None:
    """Return the item of that name."""
    return next((item for item in items if item.name == name), None)


def describe(item: FaiItem) -> str:
    """Return in words what an item should be: as the template says it, else its limits."""
    return item.spec or (describe_limits(item) if item.has_limits else "")


def is_of_step(item: FaiItem) -> bool:
    """Whether an item waits for its step: one that names no step and is judged by nobody else is as it always was."""
    return item.step_no is not None or bool(item.spec_name) or item.has_limits


def judge(item: FaiItem | None, said: Said, *, unit: Unit, snapshot: RouteSnapshot) -> Judged:
    """Return what an item of a template (None: of none, so as it was said) came to on a unit.

    Raises FaiStepNotPassed, RequiredDataMissing, ValidationFailed.
    """
    if item is None or not is_of_step(item):
        return _as_said(said)
    track = _passed_track(item, unit, snapshot)
    if item.spec_name:
        return _judge_value(item, said, _read_value(item, unit, track))
    return _judge_number(item, said) if item.has_limits else _as_said(said)


def _as_said(said: Said) -> Judged:
    if said.result is None:
        raise errors.ValidationFailed({"result": _("This field is required.")})
    return Judged(said.result, "", said.actual_value, said.actual_number)


def _judge_number(item: FaiItem, said: Said) -> Judged:
    if said.actual_number is None:
        raise errors.ValidationFailed({"actualNumber": _("Say the number that was measured; it has limits.")})
    text = said.actual_value or write_number(said.actual_number, item.unit)
    return _against_claim(is_within(item, said.actual_number), said, text, said.actual_number)


def _judge_value(item: FaiItem, said: Said, value: DataValue) -> Judged:
    """Judge by what was judged when the value came, and by the limits of the item, where it has some."""
    number, measure = value.value_number, item.unit or value.measure
    if said.actual_number is not None and said.actual_number != number:
        raise errors.ValidationFailed({"actualNumber": _("It is read from what was measured: leave it out.")})
    text = _text_of(value) if number is None else write_number(number, measure)
    if item.has_limits and number is None:
        raise errors.ValidationFailed({"itemName": _("It has limits, and its value is no number.")})
    verdicts = [value.judge == PASS] if value.judge else []
    if item.has_limits and number is not None:
        verdicts.append(is_within(item, number))
    if verdicts:
        return _against_claim(all(verdicts), said, text, number)
    return _as_said(Said(said.result, text, number))


def _against_claim(is_good: bool, said: Said, text: str, number: float | None) -> Judged:
    result = PASS if is_good else FAIL
    return Judged(result, said.result if said.result not in (None, result) else "", text, number)


def is_within(item: FaiItem, number: float) -> bool:
    """Whether a number is within the limits of an item, bounds in."""
    return (item.lsl is None or number >= item.lsl) and (item.usl is None or number <= item.usl)


def write_number(number: float, measure: str = "") -> str:
    """Return a number as it is shown, with its unit of measure."""
    return f"{number:.15g} {measure}".rstrip()


def _text_of(value: DataValue) -> str:
    seen: Any = next(each for each in (value.value_text, value.value_boolean, value.value_json) if each is not None)
    return str(seen)[:200]


# --- reading --------------------------------------------------------------------------------------------------


def find_passed_tracks(units: Iterable[Unit], snapshot: RouteSnapshot) -> dict[int, dict[int, Track]]:
    """Return of each unit, by its id and then by step, the latest track there where that passed; one query.

    A unit that came from another run brings along what it passed there, at the same step of the same operation.
    """
    found: dict[int, dict[int, Track]] = {unit.pk: {} for unit in units}
    latest: dict[tuple[int, int, str], Track] = {}
    for track in Track.objects.filter(unit__in=list(found)).order_by("id"):
        latest[track.unit_id, track.step_no, track.operation_code] = track
    for (unit_id, step_no, operation_code), track in latest.items():
        step = snapshot.step(step_no)
        if step is not None and step.operation_code == operation_code and track.result == TrackResult.PASS:
            found[unit_id][step_no] = track
    return found


def step_no_of(item: FaiItem, snapshot: RouteSnapshot) -> int:
    """Return the number of the step after which an item can be looked at: without one of its own, the last."""
    return item.step_no if item.step_no is not None else snapshot.steps[-1].step_no


def _passed_track(item: FaiItem, unit: Unit, snapshot: RouteSnapshot) -> Track:
    step_no = step_no_of(item, snapshot)
    track = find_passed_tracks([unit], snapshot)[unit.pk].get(step_no)
    if track is None:
        raise errors.FaiStepNotPassed(sn=unit.sn, step_no=step_no, item=item.name)
    return track


def _read_value(item: FaiItem, unit: Unit, track: Track) -> DataValue:
    """Return the value of a spec that counts for a track: its own or its carrier's, of several the latest collected."""
    of_name = DataValue.objects.filter(name=item.spec_name, received_at__gte=unit.created_at)
    values = list(of_name.filter(unit=unit, track=track))
    passes = list(CarrierTrackUnit.objects.filter(track=track).values_list("carrier_track_id", flat=True))
    if passes:
        values += of_name.filter(carrier_track__in=passes)
    if not values:
        raise errors.RequiredDataMissing(names=[item.spec_name])
    return max(values, key=lambda each: (each.judge != "", each.collected_at, each.judge == FAIL, each.pk))
