"""Values against specs: which spec a reading means, whether it fits, how it is judged. Pure but for the live look-up.

Judging (bounds included): a NUMBER with limits is judged by the system, and what the device claimed is kept beside it;
without limits the device's judge stands.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from django.utils.translation import gettext as _

from mes import errors
from mes.routing.snapshots import SpecIndex, SpecSnapshot, StepSnapshot, spec_of
from mes.specs.models import AlarmAction, DataCollectionSpec, DataType, ItemType, Method

VALUE_FIELDS = {
    DataType.NUMBER.value: "value_number",
    DataType.TEXT.value: "value_text",
    DataType.BOOLEAN.value: "value_boolean",
    DataType.JSON.value: "value_json",
}
MOST_READINGS = 20_000  # of one event
LONGEST_TEXT = 100_000  # characters of a value
LONGEST_NAME = 200
_KEY, _AUTO = ItemType.KEY.value, Method.AUTO.value  # plain text, looked up once: they are compared for every value


class Reading(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """One value as it was sent: exactly one `value*`, for the spec named by id or by name."""

    spec_id: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | None = None
    spec_name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | None = None
    value_number: float | None = None
    value_text: Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)] | None = None
    value_boolean: bool | None = None
    value_json: Any = None
    collected_at: Annotated[datetime, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None = None
    judge: Literal["PASS", "FAIL"] | None = None

    @property
    def label(self) -> str:
        """How the sender named the spec."""
        return self.spec_name if self.spec_id is None else self.spec_id  # type: ignore[return-value]


class JudgedValue(msgspec.Struct, frozen=True, gc=False):
    """A reading that fits its spec, with the verdict and the limits it was judged by."""

    spec: SpecSnapshot
    reading: Reading
    collected_at: datetime
    judge: str
    reported_judge: str
    alarmed: bool

    @property
    def is_key_failure(self) -> bool:
        """Whether this value forces its track to FAIL."""
        return self.judge == "FAIL" and self.spec.item_type == _KEY

    @property
    def failed(self) -> "FailedValue | None":
        """What it is where it forces its track to FAIL."""
        if not self.is_key_failure:
            return None
        reading, spec = self.reading, self.spec
        said = (reading.value_number, reading.value_text, reading.value_boolean, reading.value_json)
        value = next((each for each in said if each is not None), None)
        return FailedValue(spec.name, value, spec.lsl, spec.usl, spec.unit)

    @property
    def holds(self) -> bool:
        """Whether this value puts its unit on hold."""
        return self.alarmed and self.spec.alarm_action == AlarmAction.HOLD

    @property
    def is_failing(self) -> bool:
        """Whether a report that brings it is a failing one: it fails or holds its unit."""
        return self.is_key_failure or self.holds


class FailedValue(NamedTuple):
    """A KEY value outside its limits: of which spec, what it was, and the limits it was judged by."""

    spec_name: str
    value: Any
    lsl: float | None
    usl: float | None
    measure: str

    @property
    def in_words(self) -> str:
        """The value with its limits, as people write them."""
        limits = ((_("LSL"), self.lsl), (_("USL"), self.usl))
        told = (f"{name} {_as_text(limit)}" for name, limit in limits if limit is not None)
        return ", ".join([f"{_as_text(self.value)} {self.measure}".strip(), *told])


def _as_text(value: Any) -> str:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{value:.12g}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "".join(sign if sign.isprintable() else " " for sign in text[:200])


class Misfit(NamedTuple):
    """A value that cannot be taken, as it was named, and why: what it is refused for unless its report fails anyway."""

    name: str
    error: errors.DomainError

    @property
    def problem(self) -> str:
        """What is wrong with it, in words."""
        return str(self.error)


def check_shape(readings: Sequence[Reading], *, path: str = "data") -> None:
    """Raise ValidationFailed unless each reading names a spec and carries exactly one finite value."""
    problems: dict[str, str] = {}
    for index, reading in enumerate(readings):
        number = reading.value_number
        count = (
            (number is not None)
            + (reading.value_text is not None)
            + (reading.value_boolean is not None)
            + (reading.value_json is not None)
        )
        if count != 1:
            problems[f"{path}.{index}"] = _(
                "Give exactly one of valueNumber, valueText, valueBoolean and valueJson; {count} are given."
            ).format(count=count)
        if not reading.spec_name and not reading.spec_id:
            problems[f"{path}.{index}.specName"] = _("Name the spec by specName or specId.")
        if number is not None and not math.isfinite(number):
            problems[f"{path}.{index}.valueNumber"] = _("Must be a finite number.")
    if problems:
        raise errors.ValidationFailed(problems)


SpecLookup = Callable[[str, Sequence[Reading]], list[DataCollectionSpec]]


def find_live_specs(operation_code: str, readings: Sequence[Reading]) -> list[DataCollectionSpec]:
    """Read the active specs of an operation that these readings may mean."""
    return list(DataCollectionSpec.objects.filter(operation__code=operation_code, is_active=True))


def resolve_specs(
    readings: Sequence[Reading], step: StepSnapshot, *, lookup: SpecLookup = find_live_specs
) -> list[SpecSnapshot]:
    """Return the spec each reading means: among the step's bound specs, or live where the step binds none.

    Raises DataSpecNotFound for names the operation does not know or that are inactive, SpecNotBound for the others.
    """
    bound_specs = _find_specs(step.spec_index, readings)
    if all(bound_specs):
        return bound_specs  # type: ignore[return-value]
    live_specs = _find_specs(SpecIndex(map(spec_of, lookup(step.operation_code, readings))), readings)
    unknown = [
        r.label for r, bound, spec in zip(readings, bound_specs, live_specs, strict=True) if not bound and not spec
    ]
    if unknown:
        raise errors.DataSpecNotFound(names=unknown)
    if step.specs:
        raise errors.SpecNotBound(names=[r.label for r, bound in zip(readings, bound_specs, strict=True) if not bound])
    return live_specs  # type: ignore[return-value]


def _find_specs(index: SpecIndex, readings: Sequence[Reading]) -> list[SpecSnapshot | None]:
    return [index.find(reading.spec_name, reading.spec_id) for reading in readings]


def check_fit(readings: Sequence[Reading], specs: Sequence[SpecSnapshot], *, source: str) -> None:
    """Raise SpecNotAuto or DataTypeMismatch when a reading may not be a value of its spec. Nothing is coerced."""
    if source == "AUTO":
        by_hand = [spec.name for spec in specs if spec.method != _AUTO]
        if by_hand:
            raise errors.SpecNotAuto(names=by_hand)
    wrong = [
        spec.name
        for reading, spec in zip(readings, specs, strict=True)
        if getattr(reading, VALUE_FIELDS[spec.data_type]) is None
    ]
    if wrong:
        raise errors.DataTypeMismatch(names=wrong)


def judge_all(
    readings: Sequence[Reading], specs: Sequence[SpecSnapshot], *, default_time: datetime
) -> list[JudgedValue]:
    """Judge each reading by the limits of its spec."""
    return [judge(reading, spec, default_time) for reading, spec in zip(readings, specs, strict=True)]


def judge(reading: Reading, spec: SpecSnapshot, default_time: datetime) -> JudgedValue:
    """Judge one reading; `default_time` is when it was collected unless it says otherwise."""
    number = reading.value_number
    reported = reading.judge or ""
    verdict = reported
    alarmed = False
    if number is not None:
        if spec.has_limits:
            verdict = "PASS" if is_within(number, spec.lsl, spec.usl) else "FAIL"
        alarmed = not is_within(number, spec.alarm_min, spec.alarm_max)
    return JudgedValue(spec, reading, reading.collected_at or default_time, verdict, reported, alarmed)


def is_within(number: float, low: float | None, high: float | None) -> bool:
    """Whether a number lies between two bounds, both included; a missing bound bounds nothing."""
    return (low is None or number >= low) and (high is None or number <= high)


def event_judge(values: Iterable[JudgedValue]) -> str | None:
    """Return FAIL if a KEY value fails, else PASS if one was judged, else None."""
    verdict = None
    for value in values:
        if value.judge and value.spec.item_type == _KEY:
            if value.judge == "FAIL":
                return "FAIL"
            verdict = "PASS"
    return verdict


def collect(
    readings: Sequence[Reading],
    step: StepSnapshot,
    *,
    source: str,
    default_time: datetime,
    lookup: SpecLookup = find_live_specs,
) -> list[JudgedValue]:
    """Resolve, check and judge readings for a step; raises as `resolve_specs` and `check_fit` do."""
    specs = resolve_specs(readings, step, lookup=lookup)
    check_fit(readings, specs, source=source)
    return judge_all(readings, specs, default_time=default_time)


def collect_fitting(
    readings: Iterable[Reading],
    step: StepSnapshot,
    *,
    source: str,
    default_time: datetime,
    lookup: SpecLookup = find_live_specs,
) -> tuple[list[JudgedValue], list[Misfit]]:
    """Judge the readings that fit a step, each by itself; return them, and those that do not."""
    judged: list[JudgedValue] = []
    misfits: list[Misfit] = []
    for reading in readings:
        try:
            judged += collect([reading], step, source=source, default_time=default_time, lookup=lookup)
        except errors.DomainError as error:
            misfits.append(Misfit(reading.label, error))
    return judged, misfits


def collect_live(
    readings: Sequence[Reading], operation_code: str, *, source: str, default_time: datetime
) -> list[JudgedValue]:
    """Check and judge readings by an operation's specs as they are now: for values that belong to no frozen route.

    Raises DataSpecNotFound, SpecNotAuto, DataTypeMismatch.
    """
    live_specs = _find_specs(SpecIndex(map(spec_of, find_live_specs(operation_code, readings))), readings)
    if unknown := [reading.label for reading, spec in zip(readings, live_specs, strict=True) if spec is None]:
        raise errors.DataSpecNotFound(names=unknown)
    specs = [spec for spec in live_specs if spec is not None]
    check_fit(readings, specs, source=source)
    return judge_all(readings, specs, default_time=default_time)
