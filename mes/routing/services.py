"""Writes of routes and execution configs that span rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from mes.errors import (
    ExecutionConfigNotFound,
    OperationNotFound,
    RouteNotFound,
    RouteReadOnly,
    StationNotFound,
    StoredFileNotFound,
    ValidationFailed,
)
from mes.plant.models import Operation, Station
from mes.platform.database.lookup import get_or_raise
from mes.platform.files import services as files
from mes.platform.files.queries import find_there
from mes.routing import step_edits, work_instructions
from mes.routing.compilation import applies, merge
from mes.routing.mapping_problems import find_mapping_problems
from mes.routing.models import ConfigScope, RouteExecutionConfig, RouteSource, Routing, RoutingStep
from mes.routing.step_edits import StepEdit


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


def check_step_numbers(steps: Sequence[StepInput | StepEdit]) -> None:
    """Raise ValidationFailed at each step whose number an earlier one has."""
    seen: set[int] = set()
    problems = {}
    for index, step in enumerate(steps):
        if step.step_no in seen:
            problems[f"steps.{index}.stepNo"] = _("Another step has this number.")
        seen.add(step.step_no)
    if problems:
        raise ValidationFailed(problems)


def _load_operations(codes: Iterable[str]) -> dict[str, Operation]:
    """Return operations by code. Raises OperationNotFound."""
    wanted = list(dict.fromkeys(codes))
    operations = Operation.objects.in_bulk(wanted, field_name="code")
    for code in wanted:
        if code not in operations:
            raise OperationNotFound(code=code)
    return operations


def _steps_differ(routing: Routing, steps: Iterable[StepInput]) -> bool:
    present = routing.steps.values_list("step_no", "operation__code", "source_step_key")
    return set(present) != {(step.step_no, step.operation_code, step.source_step_key) for step in steps}


def _write_steps(routing: Routing, steps: Sequence[StepInput]) -> None:
    """Make the steps of a route these; of those that are there already, only what differs is written.

    A step whose key changes is made anew: two that exchange theirs would be in each other's way.
    """
    operations = _load_operations(step.operation_code for step in steps)
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


# --- the steps of a route with what is set for them --------------------------------------------------------


def edit_steps(*, code: str, steps: Sequence[StepEdit], is_new: bool = False) -> None:
    """Make the steps of a route these, and set for each what its own config says; only what differs is written.

    The configs of a step that gets another number are taken along; those of removed steps go. Steps of an ERP route
    never change, unless it was made just now; what is set for them does. Raises RouteNotFound, RouteReadOnly,
    ValidationFailed, OperationNotFound, StationNotFound.
    """
    check_step_numbers(steps)
    with transaction.atomic():
        routing = lock_route(code=code)
        present = list(routing.steps.select_related("operation").order_by("step_no"))
        if problems := step_edits.find_step_problems(steps, (step.pk for step in present)):
            raise ValidationFailed(problems)
        if routing.source_system == RouteSource.ERP and not is_new and not _same_steps(present, steps):
            raise RouteReadOnly(route=code)
        configs = list(routing.configs.filter(scope=ConfigScope.STEP).select_related("station_group"))
        changes = _find_changes(configs, present, steps)
        _move_configs(step_edits.plan_configs(configs, present, steps))
        written = _edit_rows(routing, present, steps)
        for index, (values, own) in changes.items():
            _set_here(routing, written[index], own, values, place=f"steps.{index}")


def loses_mapping(routing: Routing, steps: Sequence[StepEdit]) -> bool:
    """Whether a mapping goes with a step of a route whose steps become these."""
    plan = step_edits.plan_configs(routing.configs.filter(scope=ConfigScope.STEP), list(routing.steps.all()), steps)
    return any(config.ingest_mapping is not None for config in plan.gone)


def _same_steps(present: Sequence[RoutingStep], steps: Sequence[StepEdit]) -> bool:
    return {(step.pk, step.step_no, step.operation.code) for step in present} == {
        (step.step_id, step.step_no, step.operation_code) for step in steps
    }


def _find_changes(
    configs: Sequence[RouteExecutionConfig], present: Sequence[RoutingStep], steps: Sequence[StepEdit]
) -> dict[int, tuple[dict[str, Any], list[RouteExecutionConfig]]]:
    """Return by index of step what is to be set anew, and the configs that the step has now: first the one that counts.

    It is compared before anything is written: what applies to two steps and is changed for one must not be set back
    by the other.
    """
    by_id = {step.pk: step for step in present}
    changes = {}
    for index, edit in enumerate(steps):
        if edit.values is None:
            continue
        step = None if edit.step_id is None else by_id[edit.step_id]
        own = [] if step is None else [config for config in configs if applies(config, step)]
        own.sort(key=lambda config: (config.updated_at, config.pk), reverse=True)
        said = {} if step is None else {name: setting.value for name, setting in merge(own, step).items()}
        wanted = {name: edit.values.get(name) for name in step_edits.SET_HERE}
        differing = {name: value for name, value in wanted.items() if value != said.get(name)}
        if differing:
            changes[index] = (differing, own)
    return changes


def _move_configs(plan: step_edits.ConfigPlan) -> None:
    """Write the plan. When they were updated stays, because it says which of several configs of a step counts."""
    RouteExecutionConfig.objects.filter(pk__in=[config.pk for config in plan.gone]).delete()
    for config, step_no in plan.moved:
        config.step_no = step_no
    RouteExecutionConfig.objects.bulk_update([config for config, _step_no in plan.moved], ["step_no"])


def _edit_rows(routing: Routing, present: Sequence[RoutingStep], steps: Sequence[StepEdit]) -> list[RoutingStep]:
    """Write the rows of the steps and return them as they are wanted. Numbers change in one statement, so that two
    steps may exchange theirs.
    """
    operations = _load_operations(step.operation_code for step in steps)
    by_id = {step.pk: step for step in present}
    wanted = {step.step_id for step in steps}
    routing.steps.filter(pk__in=[pk for pk in by_id if pk not in wanted]).delete()
    rows, changed = [], []
    for edit in steps:
        row = RoutingStep(routing=routing) if edit.step_id is None else by_id[edit.step_id]
        operation = operations[edit.operation_code]
        if row.pk is not None and (row.step_no, row.operation_id) != (edit.step_no, operation.pk):
            changed.append(row)
        row.step_no, row.operation = edit.step_no, operation
        rows.append(row)
    RoutingStep.objects.bulk_update(changed, ["step_no", "operation"])
    RoutingStep.objects.bulk_create(row for row in rows if row.pk is None)
    return rows


def _set_here(
    routing: Routing, step: RoutingStep, own: list[RouteExecutionConfig], values: Mapping[str, Any], *, place: str
) -> None:
    """Set values for one step; None leaves a field to wider scopes. Of several configs the first counts."""
    main = own[0] if own else RouteExecutionConfig(scope=ConfigScope.STEP, routing=routing, **_name_step(step))
    if main.pk is None and all(value is None for value in values.values()):
        return
    for config in own[1:]:
        emptied = [name for name, value in values.items() if value is None and getattr(config, name) is not None]
        for name in emptied:
            setattr(config, name, None)
        if emptied:
            RouteExecutionConfig.objects.filter(pk=config.pk).update(**dict.fromkeys(emptied))
    for name, value in values.items():
        setattr(main, name, value)
    try:
        _save_config(main)
    except ValidationFailed as refusal:
        raise ValidationFailed({f"{place}.{name}": text for name, text in refusal.details.items()}) from None


def _name_step(step: RoutingStep) -> dict[str, Any]:
    """Return how a config names a step: by its key, unless another step has it too."""
    key = step.source_step_key
    others = RoutingStep.objects.filter(routing_id=step.routing_id, source_step_key=key).exclude(pk=step.pk)
    return {"source_step_key": key} if key and not others.exists() else {"step_no": step.step_no}


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
    """Change values of a config. Null lets a wider scope decide.

    Raises ValidationFailed, StationNotFound, and ExecutionConfigNotFound of one that was deleted meanwhile.
    """
    with transaction.atomic():
        locked = RouteExecutionConfig.objects.select_for_update(no_key=True, of=("self",))
        config = get_or_raise(locked, ExecutionConfigNotFound, pk=config.pk)
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


def find_optional_problems(scope: str, is_optional: bool | None) -> dict[str, str]:
    """Return what is wrong with a config that says whether a step is optional, by field of the interface."""
    if is_optional is None or scope == ConfigScope.STEP:
        return {}
    return {"isOptional": _("Only a single step can be optional.")}


def find_config_problems(config: RouteExecutionConfig) -> dict[str, str]:
    """Return what is wrong with a config that is filled in by hand, by field of the model."""
    problems = {}
    if unknown := find_unknown_stations(config.allowed_station_codes):
        problems["allowed_station_codes"] = _("There is no station “%(code)s”.") % {"code": unknown[0]}
    if found := find_mapping_problems_of(config):
        problems["ingest_mapping"] = " ".join(found)
    if found := find_instruction_problems(config) or find_missing_files(config):
        problems["work_instructions"] = " ".join(found)
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


def find_instruction_problems(config: RouteExecutionConfig) -> list[str]:
    """Return what is wrong with the instructions of a config, whether or not their files are there."""
    if config.work_instructions is None:
        return []
    problems = work_instructions.find_problems(config.work_instructions)
    return [f"{place}: {text}".removeprefix(": ") for place, text in problems.items()]


def find_missing_files(config: RouteExecutionConfig) -> list[str]:
    """Return that files of the instructions of a config are not there."""
    wanted = work_instructions.file_ids(config.work_instructions)
    return [str(StoredFileNotFound(code=str(pk))) for pk in sorted(wanted - find_there(wanted))]


def keep_files(configs: Iterable[RouteExecutionConfig]) -> None:
    """Have the files stay that configs name, before these are written in the same transaction. Raises
    StoredFileNotFound.
    """
    files.keep(pk for config in configs for pk in work_instructions.file_ids(config.work_instructions))


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
    if problems := find_instruction_problems(config):
        raise ValidationFailed({"workInstructions": " ".join(problems)})
    keep_files([config])
    config.full_clean()
    config.save()
