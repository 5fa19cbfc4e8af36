"""The condition of a hold: which units it is about. Each part that is given must hold; a scrapped unit never fits."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from execution.materials import criterion
from execution.materials.criterion import Criterion
from execution.materials.where_used import Sought
from execution.models import Carrier, Defect
from execution.quality.defect_codes.catalogue import load
from mes.errors import NotFound, ValidationFailed
from mes.plant.models import Line, Operation, Station
from mes.platform.http.envelope import camel_case, snake_case
from mes.production import names
from mes.production.models import Run, Unit, UnitStatus, WorkOrder
from mes.specs.models import DataCollectionSpec

MOST_SNS = 10_000
MOST_NAMED = 10  # of what is unknown, as many as anybody reads
STATUSES = tuple(status for status in UnitStatus if status != UnitStatus.SCRAPPED)
# "from" is no name that an attribute can have.
_NAMES = {"since": "from", "until": "to"}
_ATTRIBUTES = {name: attribute for attribute, name in _NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Which units are meant. What is None is not asked.

    `station_code` … `value_max` are about a pass: one and the same must fit all of them. It lies in the time from
    `since` to before `until` if it had not ended before and began before that. `defect_code` and `defect_location` are
    about a defect of the unit. `lot_id` … `serial` are about what the unit is made of: the pass is then the one at
    which that came into it, or into a unit that is in it.
    """

    sns: tuple[str, ...] | None = None
    run_no: str | None = None
    wo_no: str | None = None
    product_code: str | None = None
    line_code: str | None = None
    statuses: tuple[str, ...] | None = None
    station_code: str | None = None
    step_no: int | None = None
    operation_code: str | None = None
    result: str | None = None
    carrier_no: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    spec_name: str | None = None
    value_min: float | None = None
    value_max: float | None = None
    defect_code: str | None = None
    defect_location: str | None = None
    lot_id: str | None = None
    include_splits: bool | None = None
    material_code: str | None = None
    supplier_lot: str | None = None
    date_code: str | None = None
    tool_id: str | None = None
    program: str | None = None
    serial: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The parts that are given, by attribute."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def asks_for_pass(self) -> bool:
        """Whether a part is about a pass."""
        return any(name in OF_PASS for name in self.given)

    @property
    def asks_for_value(self) -> bool:
        """Whether a part is about a value of a pass."""
        return self.spec_name is not None

    @property
    def asks_for_material(self) -> bool:
        """Whether a part is about what the unit is made of."""
        return any(name in criterion.NAMES for name in self.given)

    @property
    def criterion(self) -> Criterion:
        """What is looked for in the unit."""
        return Criterion(**{name: getattr(self, name) for name in criterion.NAMES})

    @property
    def asks_for_defect(self) -> bool:
        """Whether a part is about a defect."""
        return self.defect_code is not None or self.defect_location is not None

    def catches_by_default(self, now: datetime) -> bool:
        """Whether units may still come to fit, as far as the time says."""
        return self.until is None or self.until > now

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON, named as in the API."""
        return {
            _NAMES.get(name, camel_case(name)): value.isoformat().replace("+00:00", "Z")
            if isinstance(value, datetime)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in self.given.items()
        }


_ATTRIBUTE_NAMES = frozenset(field.name for field in fields(Condition))
OF_PASS = frozenset(
    {"station_code", "step_no", "operation_code", "result", "carrier_no", "since", "until", "spec_name"}
)


def build(given: Mapping[str, Any]) -> Condition:
    """Return a condition of its parts by attribute; None is not given. Raises ValidationFailed for none at all, and for
    parts that contradict each other.
    """
    parts: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }
    condition = Condition(**parts)
    if not condition.given:
        raise ValidationFailed({"condition": _("Say which units are meant: one part at least.")})
    _check_parts(condition)
    return condition


def from_document(document: Mapping[str, Any]) -> Condition:
    """Return a condition that was kept as JSON; what an older release called otherwise is not asked."""
    given: dict[str, Any] = {}
    for name, value in document.items():
        attribute = _ATTRIBUTES.get(name, snake_case(name))
        if attribute in ("since", "until"):
            value = datetime.fromisoformat(value).astimezone(UTC)
        if attribute in _ATTRIBUTE_NAMES:
            given[attribute] = tuple(value) if isinstance(value, list) else value
    return Condition(**given)


def _check_parts(condition: Condition) -> None:
    for name in ("sns", "statuses"):
        if getattr(condition, name) == ():
            raise _refuse(name, _("Name one at least."))
    if condition.statuses and UnitStatus.SCRAPPED in condition.statuses:
        raise _refuse("statuses", _("A scrapped unit is held by nothing."))
    if condition.since and condition.until and condition.since >= condition.until:
        raise _refuse("since", _("Must lie before “to”."))
    for name in ("value_min", "value_max"):
        if getattr(condition, name) is not None and condition.spec_name is None:
            raise _refuse(name, _("Say of which value, with “specName”."))
    for name, problem in criterion.find_problems(condition.criterion).items() if condition.asks_for_material else ():
        raise _refuse(name, problem)
    lowest, highest = condition.value_min, condition.value_max
    if lowest is not None and highest is not None and lowest > highest:
        raise _refuse("value_min", _("Must not be above “valueMax”."))


def _refuse(name: str, message: str) -> ValidationFailed:
    return ValidationFailed({f"condition.{_NAMES.get(name, camel_case(name))}": message})


# --- what it names -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Named:
    """The rows that a condition names, by their ids."""

    unit_ids: list[int] | None = None
    run_id: int | None = None
    work_order_id: int | None = None
    line_id: int | None = None
    station_id: int | None = None
    carrier_id: int | None = None
    spec_ids: list[int] | None = None
    defect_codes: list[str] | None = None
    sought: Sought = field(default_factory=Sought)


def resolve(condition: Condition) -> Named:
    """Return what a condition names. Raises ValidationFailed for what there is not: a slip of the pen must not hold
    nothing in silence.
    """
    run = _find_run(condition)
    order_id = _find_order(condition, run)
    _check_product(condition)
    if condition.operation_code is not None:
        _id_of("operation_code", condition.operation_code, Operation.objects.filter(code=condition.operation_code))
    return Named(
        unit_ids=None if condition.sns is None else _find_units(condition.sns),
        run_id=None if run is None else run.pk,
        work_order_id=order_id,
        line_id=_find_id(condition, "line_code", Line.objects.all(), "code"),
        station_id=_find_id(condition, "station_code", Station.objects.all(), "code"),
        carrier_id=_find_id(condition, "carrier_no", Carrier.objects.all(), "carrier_no"),
        spec_ids=None if condition.spec_name is None else _find_specs(condition),
        defect_codes=None if condition.defect_code is None else _find_codes(condition.defect_code),
        sought=_find_sought(condition) if condition.asks_for_material else Sought(),
    )


def _unknown(name: str, value: str) -> ValidationFailed:
    return _refuse(name, _("There is no “{code}”.").format(code=value))


def _id_of(name: str, value: str, rows: Any) -> int:
    row_id: int | None = rows.values_list("pk", flat=True).first()
    if row_id is None:
        raise _unknown(name, value)
    return row_id


def _find_id(condition: Condition, name: str, rows: Any, column: str) -> int | None:
    value = getattr(condition, name)
    return None if value is None else _id_of(name, value, rows.filter(**{column: value}))


def _find_run(condition: Condition) -> Run | None:
    """Return the run that is named. What is said of its line, product or step beside must be so."""
    if condition.run_no is None:
        return None
    run = Run.objects.select_related("line", "work_order").filter(run_no=condition.run_no).first()
    if run is None:
        raise _unknown("run_no", condition.run_no)
    if condition.line_code not in (None, run.line.code):
        raise _refuse("line_code", _("The run is of line {line}.").format(line=run.line.code))
    if condition.product_code not in (None, run.work_order.product_code):
        raise _refuse("product_code", _("The run is of {product}.").format(product=run.work_order.product_code))
    return run


def _find_order(condition: Condition, run: Run | None) -> int | None:
    if condition.wo_no is None:
        return None
    order = WorkOrder.objects.filter(wo_no=condition.wo_no).first()
    if order is None:
        raise _unknown("wo_no", condition.wo_no)
    if run is not None and run.work_order_id != order.pk:
        raise _refuse("wo_no", _("The run is of order {order}.").format(order=run.work_order.wo_no))
    if condition.product_code not in (None, order.product_code):
        raise _refuse("product_code", _("The order is of {product}.").format(product=order.product_code))
    return order.pk


def _check_product(condition: Condition) -> None:
    if condition.product_code is not None:
        orders = WorkOrder.objects.filter(product_code=condition.product_code)
        _id_of("product_code", condition.product_code, orders)


def _find_units(sns: Iterable[str]) -> list[int]:
    """Return the units that have these serial numbers, or had them before."""
    asked = list(dict.fromkeys(sns))
    found = names.find_units(asked, Unit.objects.only("sn"))
    if missing := [sn for sn in asked if sn not in found]:
        more = " …" if len(missing) > MOST_NAMED else ""
        message = _("There are no such units: {sns}").format(sns=", ".join(missing[:MOST_NAMED]) + more)
        raise _refuse("sns", message)
    return sorted({unit.pk for unit in found.values()})


def _find_specs(condition: Condition) -> list[int]:
    """Return the specs of this name; several operations may have one."""
    assert condition.spec_name is not None
    specs = DataCollectionSpec.objects.filter(name=condition.spec_name)
    if condition.operation_code is not None:
        specs = specs.filter(operation__code=condition.operation_code)
    if not (spec_ids := list(specs.order_by("pk").values_list("pk", flat=True))):
        raise _unknown("spec_name", condition.spec_name)
    return spec_ids


def _find_sought(condition: Condition) -> Sought:
    """Return what is looked for in units."""
    try:
        return criterion.find(condition.criterion)
    except NotFound:
        name = next(name for name in criterion.KINDS if getattr(condition, name) is not None)
        raise _unknown(name, getattr(condition, name)) from None


def _find_codes(code: str) -> list[str]:
    """Return a code of the tree and those below it; of what only machines say, that alone."""
    catalogue = load()
    if code not in catalogue.codes:
        _id_of("defect_code", code, Defect.objects.filter(code=code))
    return catalogue.list_below(code)
