"""Writes of routes and execution configs that span rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from mes.errors import (
    OperationNotFound,
    RouteNotFound,
    RouteReadOnly,
    StationNotFound,
    ValidationFailed,
)
from mes.plant.models import Operation, Station
from mes.platform.database.lookup import get_or_raise
from mes.routing.mapping_problems import find_mapping_problems
from mes.routing.models import ConfigScope, RouteExecutionConfig, RouteSource, Routing, RoutingStep


@dataclass(frozen=True)
class StepInput:
    """A step as it is asked for."""

    step_no: int
    operation_code: str
    source_step_key: str = ""


# --- routes -----------------------------------------------------------------------------------------------


def create_route(*, steps: Sequence[StepInput] = (), **fields: Any) -> Routing:
    """Create a route with its steps, also one of the ERP. Raises ValidationFailed, OperationNotFound."""
    check_step_numbers(steps)
    with transaction.atomic():
        routing = Routing(**fields)
        routing.full_clean()
        routing.save(force_insert=True)
        _write_steps(routing, steps)
        return routing


def update_route(*, code: str, steps: Sequence[StepInput] | None = None, **fields: Any) -> Routing:
    """Change a route; `steps` replace its steps whole, None leaves them.

    Steps of an ERP route never change, nor does it become an MES route; sending the same is no change.
    Raises RouteNotFound, RouteReadOnly, ValidationFailed, OperationNotFound.
    """
    check_step_numbers(steps or ())
    with transaction.atomic():
        routing = lock_route(code=code)
        before = routing.source_system
        for name, value in fields.items():
            setattr(routing, name, value)
        if before == RouteSource.ERP and routing.source_system != before:
            raise RouteReadOnly(route=code)
        routing.full_clean()
        routing.save(update_fields=[*fields, "updated_at"])
        if steps is not None and _steps_differ(routing, steps):
            if before == RouteSource.ERP:
                raise RouteReadOnly(route=code)
            _write_steps(routing, steps)
        return routing


def lock_route(*, code: str) -> Routing:
    """Return the locked route (inside a transaction). Raises RouteNotFound."""
    return get_or_raise(Routing.objects.select_for_update(no_key=True), RouteNotFound, code=code)


def check_step_numbers(steps: Sequence[StepInput]) -> None:
    """Raise ValidationFailed at each step whose number an earlier one has."""
    seen: set[int] = set()
    problems = {}
    for index, step in enumerate(steps):
        if step.step_no in seen:
            problems[f"steps.{index}.stepNo"] = _("Another step has this number.")
        seen.add(step.step_no)
    if problems:
        raise ValidationFailed(problems)


def _steps_differ(routing: Routing, steps: Iterable[StepInput]) -> bool:
    present = routing.steps.values_list("step_no", "operation__code", "source_step_key")
    return set(present) != {(step.step_no, step.operation_code, step.source_step_key) for step in steps}


def _write_steps(routing: Routing, steps: Sequence[StepInput]) -> None:
    """Make the steps of a route these; of those that are there already, only what differs is written.

    A step whose key changes is made anew: two that exchange theirs would be in each other's way.
    """
    operations = Operation.objects.in_bulk({step.operation_code for step in steps}, field_name="code")
    for step in steps:
        if step.operation_code not in operations:
            raise OperationNotFound(code=step.operation_code)
    wanted = {(step.step_no, step.source_step_key): step for step in steps}
    present = {(step.step_no, step.source_step_key): step for step in routing.steps.select_related("operation")}
    routing.steps.filter(pk__in=[step.pk for place, step in present.items() if place not in wanted]).delete()
    for place, step in wanted.items():
        kept = present.get(place)
        if kept is not None and kept.operation.code != step.operation_code:
            kept.operation = operations[step.operation_code]
            kept.save(update_fields=["operation"])
    RoutingStep.objects.bulk_create(
        RoutingStep(
            routing=routing,
            step_no=step.step_no,
            operation=operations[step.operation_code],
            source_step_key=step.source_step_key,
        )
        for place, step in wanted.items()
        if place not in present
    )


# --- execution configs ------------------------------------------------------------------------------------


def save_step_config(
    *, route_code: str, step_no: int | None, source_step_key: str = "", values: Mapping[str, Any]
) -> tuple[RouteExecutionConfig, bool]:
    """Create the config of a step, or change the given values of the present one; return (config, created).

    Raises RouteNotFound, ValidationFailed, StationNotFound.
    """
    with transaction.atomic():
        routing = lock_route(code=route_code)
        place: dict[str, Any] = {"scope": ConfigScope.STEP, "routing": routing, "source_step_key": source_step_key}
        if not source_step_key:
            place["step_no"] = step_no
        config, created = _upsert(place, {**values, "step_no": step_no})
        if not _has_step(config):
            name = "sourceStepKey" if step_no is None else "stepNo"
            raise ValidationFailed({name: _("Route “%(route)s” has no such step.") % {"route": route_code}})
        return config, created


def save_route_config(*, route_code: str, values: Mapping[str, Any]) -> tuple[RouteExecutionConfig, bool]:
    """Create or change the config of all steps of a route; like `save_step_config`."""
    with transaction.atomic():
        return _upsert({"scope": ConfigScope.ROUTE, "routing": lock_route(code=route_code)}, values)


def save_operation_config(*, operation_code: str, values: Mapping[str, Any]) -> tuple[RouteExecutionConfig, bool]:
    """Create or change the config of an operation on every route; like `save_step_config`."""
    with transaction.atomic():
        operation = get_or_raise(
            Operation.objects.select_for_update(no_key=True), OperationNotFound, code=operation_code
        )
        return _upsert({"scope": ConfigScope.OPERATION, "operation": operation}, values)


def save_global_config(*, values: Mapping[str, Any]) -> tuple[RouteExecutionConfig, bool]:
    """Create or change the config that holds everywhere; like `save_step_config`."""
    with transaction.atomic():
        return _upsert({"scope": ConfigScope.GLOBAL}, values)


def update_config(config: RouteExecutionConfig, *, values: Mapping[str, Any]) -> RouteExecutionConfig:
    """Change values of a config. Null lets a wider scope decide. Raises ValidationFailed, StationNotFound."""
    with transaction.atomic():
        config = RouteExecutionConfig.objects.select_for_update(no_key=True, of=("self",)).get(pk=config.pk)
        for name, value in values.items():
            setattr(config, name, value)
        _save_config(config)
        return config


def find_place_problems(
    *, scope: str, step_no: int | None, source_step_key: str, operation_code: str | None
) -> dict[str, str]:
    """Return what is wrong with where a config is to apply, by field. Pure."""
    problems = {}
    if scope == ConfigScope.STEP and step_no is None and not source_step_key:
        problems["stepNo"] = _("Name the step by stepNo or sourceStepKey.")
    if scope != ConfigScope.STEP and step_no is not None:
        problems["stepNo"] = _("Only the scope STEP names a step.")
    if scope != ConfigScope.STEP and source_step_key:
        problems["sourceStepKey"] = _("Only the scope STEP names a step.")
    if scope == ConfigScope.OPERATION and operation_code is None:
        problems["operationCode"] = _("Name the operation.")
    if scope != ConfigScope.OPERATION and operation_code is not None:
        problems["operationCode"] = _("Only the scope OPERATION names an operation.")
    return problems


def find_config_problems(config: RouteExecutionConfig) -> dict[str, str]:
    """Return what is wrong with a config that is filled in by hand, by field of the model."""
    problems = {}
    if unknown := find_unknown_stations(config.allowed_station_codes):
        problems["allowed_station_codes"] = _("There is no station “%(code)s”.") % {"code": unknown[0]}
    if found := find_mapping_problems_of(config):
        problems["ingest_mapping"] = " ".join(found)
    if config.scope == ConfigScope.STEP and config.routing and not _has_step(config):
        name = "source_step_key" if config.step_no is None else "step_no"
        problems[name] = _("Route “%(route)s” has no such step.") % {"route": config.routing.code}
    return problems


def find_mapping_problems_of(config: RouteExecutionConfig) -> list[str]:
    """Return what is wrong with the mapping of a config, for the station type that its own fields tell."""
    if config.ingest_mapping is None:
        return []
    problems = find_mapping_problems(config.ingest_mapping, station_type=config.station_type or None)
    return [str(problem) for problem in problems]


def find_unknown_stations(codes: Iterable[str] | None) -> list[str]:
    """Return the codes that name no station, in order."""
    wanted = list(dict.fromkeys(codes or ()))
    existing_codes = set(Station.objects.filter(code__in=wanted).values_list("code", flat=True)) if wanted else set()
    return [code for code in wanted if code not in existing_codes]


def _has_step(config: RouteExecutionConfig) -> bool:
    steps = RoutingStep.objects.filter(routing=config.routing)
    if config.source_step_key:
        steps = steps.filter(source_step_key=config.source_step_key)
    if config.step_no is not None:
        steps = steps.filter(step_no=config.step_no)
    return steps.exists()


def _upsert(place: dict[str, Any], values: Mapping[str, Any]) -> tuple[RouteExecutionConfig, bool]:
    present = RouteExecutionConfig.objects.filter(**place).order_by("-updated_at", "-id").first()
    config = present or RouteExecutionConfig(**place)
    for name, value in values.items():
        setattr(config, name, value)
    _save_config(config)
    return config, present is None


def _save_config(config: RouteExecutionConfig) -> None:
    if unknown := find_unknown_stations(config.allowed_station_codes):
        raise StationNotFound(code=unknown[0])
    if problems := find_mapping_problems_of(config):
        raise ValidationFailed({"ingestMapping": " ".join(problems)})
    config.full_clean()
    config.save()
