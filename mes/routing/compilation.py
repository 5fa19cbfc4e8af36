"""Merging a route and its execution configs into an immutable version."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from mes.errors import EditConflict, RouteNotFound
from mes.plant.models import Station, StationType
from mes.platform.database.lookup import get_or_raise
from mes.platform.files.queries import find_there
from mes.platform.files.services import keep_those_there
from mes.routing import snapshots, work_instructions
from mes.routing.differences import Side
from mes.routing.examples import ExampleResult, run_examples
from mes.routing.mapping_problems import find_mapping_problems, passes_all
from mes.routing.models import (
    ConfigScope,
    RouteExecutionConfig,
    RouteVersion,
    RouteVersionFile,
    Routing,
    RoutingStep,
    VersionStatus,
)
from mes.specs.models import DataCollectionSpec

SCOPE_ORDER = {scope.value: rank for rank, scope in enumerate(ConfigScope)}
FIELDS = (
    "station_type",
    "station_group",
    "allowed_station_codes",
    "requires_fai",
    "retest_limit",
    "reentry_limit",
    "is_optional",
    "requires_qualification",
    "data_spec_names",
    "ingest_mapping",
    "work_instructions",
)

Problem = dict[str, Any]


@dataclass(frozen=True)
class Sources:
    """Everything a compilation reads, loaded in a fixed number of queries."""

    routing: Routing
    steps: Sequence[RoutingStep]
    configs: Sequence[RouteExecutionConfig]
    specs: dict[int, dict[str, DataCollectionSpec]]
    station_codes: frozenset[str]
    file_ids: frozenset[int] = frozenset()


def load_sources(routing: Routing, *, new: RoutingStep | None = None) -> Sources:
    """Read a route, the configs that may apply to it, and the specs of its operations; with a step that is not there
    yet, on a route that may not be there either.
    """
    steps = list(routing.steps.select_related("operation").order_by("step_no")) if routing.pk else []
    steps += [new] if new else []
    operations = {step.operation_id for step in steps}
    configs = RouteExecutionConfig.objects.select_related("station_group", "operation").filter(
        Q(routing=routing.pk, routing__isnull=False) | Q(operation__in=operations) | Q(scope=ConfigScope.GLOBAL)
    )
    specs: dict[int, dict[str, DataCollectionSpec]] = {}
    for spec in DataCollectionSpec.objects.filter(operation__in=operations).order_by("name"):
        specs.setdefault(spec.operation_id, {})[spec.name] = spec
    named = {code for config in configs for code in config.allowed_station_codes or ()}
    existing_codes = Station.objects.filter(code__in=named).values_list("code", flat=True)
    files = find_there(pk for config in configs for pk in work_instructions.file_ids(config.work_instructions))
    return Sources(routing, steps, list(configs), specs, frozenset(existing_codes), frozenset(files))


def applies(config: RouteExecutionConfig, step: RoutingStep) -> bool:
    """Whether a config says something about a step."""
    if config.scope == ConfigScope.GLOBAL:
        return True
    if config.scope == ConfigScope.OPERATION:
        return config.operation_id == step.operation_id
    if config.routing_id != step.routing_id:
        return False
    if config.scope == ConfigScope.ROUTE:
        return True
    if config.source_step_key:
        return config.source_step_key == step.source_step_key
    return config.step_no == step.step_no


@dataclass(frozen=True)
class Setting:
    """What counts for a field of a step, and the config that says so: None where none does."""

    value: Any = None
    config: RouteExecutionConfig | None = None


@dataclass(frozen=True)
class EffectiveStep:
    """A step as compiling would freeze it, what is wrong with it, and the config that each field is from, by FIELDS."""

    step: RoutingStep
    frozen: snapshots.StepSnapshot
    problems: list[Problem]
    origins: dict[str, RouteExecutionConfig | None]


def narrowest_first(configs: Iterable[RouteExecutionConfig], step: RoutingStep) -> list[RouteExecutionConfig]:
    """Return the configs that apply to a step, narrow scopes before wide ones.

    Within a scope the latest updated counts, then the highest id.
    """
    return sorted(
        (config for config in configs if applies(config, step)),
        key=lambda config: (SCOPE_ORDER[config.scope], -config.updated_at.timestamp(), -config.pk),
    )


def merge(configs: Iterable[RouteExecutionConfig], step: RoutingStep) -> dict[str, Setting]:
    """Return the configuration of a step: field by field the first non-null, narrow scopes before wide ones."""
    ordered = narrowest_first(configs, step)
    return {
        name: next(
            (Setting(value, config) for config in ordered if (value := getattr(config, name)) is not None), Setting()
        )
        for name in FIELDS
    }


def resolve(sources: Sources) -> list[EffectiveStep]:
    """Return the steps of a route as compiling would freeze them, each with where its configuration is from."""
    return [_resolve_step(sources, step) for step in sources.steps]


def _resolve_step(sources: Sources, step: RoutingStep) -> EffectiveStep:
    merged = merge(sources.configs, step)
    specs, problems = _bind_specs(merged["data_spec_names"].value, sources.specs.get(step.operation_id, {}), step)
    frozen = _freeze_step(step, {name: setting.value for name, setting in merged.items()}, specs)
    origins = {name: setting.config for name, setting in merged.items()}
    if not merged["station_type"].value:
        origins["station_type"] = None
    if frozen.ingest_mapping is None:
        origins["ingest_mapping"] = None  # none is frozen, whoever says one
    problems += _find_config_problems(frozen, sources.station_codes) + _find_missing_files(frozen, sources.file_ids)
    return EffectiveStep(step, frozen, problems, origins)


def build(sources: Sources) -> tuple[snapshots.RouteSnapshot, list[Problem]]:
    """Return the snapshot and what keeps it from being used, but for the examples of its mappings."""
    return _build(sources, resolve(sources))


def _build(sources: Sources, steps: Sequence[EffectiveStep]) -> tuple[snapshots.RouteSnapshot, list[Problem]]:
    problems = _find_step_problems(sources.steps) + [problem for step in steps for problem in step.problems]
    problems += _find_optional_ends([step.frozen for step in steps])
    routing = sources.routing
    snapshot = snapshots.RouteSnapshot(
        route_code=routing.code,
        route_name=routing.name,
        source_system=routing.source_system,
        product_code=routing.product_code,
        steps=tuple(step.frozen for step in steps),
        fai_items=_freeze_fai_items(routing),
        sn_masks=tuple(routing.sn_masks),
        reentry_limit=snapshots.DEFAULT_REENTRY_LIMIT,
    )
    return snapshot, problems + _find_fai_problems(snapshot)


def _freeze_fai_items(routing: Routing) -> tuple[snapshots.FaiItem, ...]:
    items = routing.fai_template.items if routing.fai_template else ()
    return tuple(snapshots.read_item(item) for item in items)


def _find_fai_problems(snapshot: snapshots.RouteSnapshot) -> list[Problem]:
    """An item of a step that is not there, or of a spec that is not bound there, could never be recorded."""
    problems = []
    for item in snapshot.fai_items:
        step = snapshot.step(item.step_no) if item.step_no is not None else next(reversed(snapshot.steps), None)
        if step is None:
            message = _("The first article's item “%(item)s” is of a step that the route has not.")
            problems.append(_problem(item.step_no, "FAI_ITEM_STEP_NOT_FOUND", message % {"item": item.name}))
        elif item.spec_name and step.specs and step.spec_index.find(item.spec_name) is None:
            message = _("The first article's item “%(item)s” is of spec “%(name)s”, which is not bound here.")
            values = {"item": item.name, "name": item.spec_name}
            problems.append(_problem(step.step_no, "FAI_ITEM_SPEC_NOT_FOUND", message % values))
    return problems


def _problem(step_no: int | None, code: str, message: str) -> Problem:
    return {"stepNo": step_no, "code": code, "message": message}


def _find_step_problems(steps: Sequence[RoutingStep]) -> list[Problem]:
    if not steps:
        return [_problem(None, "NO_STEPS", _("The route has no steps."))]
    counts = Counter(step.step_no for step in steps)
    return [
        _problem(step_no, "DUPLICATE_STEP", _("This step number occurs more than once."))
        for step_no, count in counts.items()
        if count > 1
    ]


def _find_optional_ends(steps: Sequence[snapshots.StepSnapshot]) -> list[Problem]:
    """Units begin at the first step and are done after the last: both are for all of them."""
    return [
        _problem(step.step_no, "OPTIONAL_AT_END", _("The first and the last step cannot be optional."))
        for step in dict.fromkeys((*steps[:1], *steps[-1:]))
        if step.is_optional
    ]


def _bind_specs(
    names: list[str] | None, specs: dict[str, DataCollectionSpec], step: RoutingStep
) -> tuple[tuple[snapshots.SpecSnapshot, ...], list[Problem]]:
    """Resolve bound spec names: None takes all active specs of the operation, an empty list takes none."""
    if names is None:
        return tuple(snapshots.spec_of(spec) for spec in specs.values() if spec.is_active), []
    bound_names = list(dict.fromkeys(names))
    problems = [
        _problem(
            step.step_no,
            "DATA_SPEC_NOT_FOUND",
            _("Operation %(operation)s has no active spec “%(name)s”.")
            % {"operation": step.operation.code, "name": name},
        )
        for name in bound_names
        if name not in specs or not specs[name].is_active
    ]
    bound = tuple(snapshots.spec_of(specs[name]) for name in bound_names if name in specs and specs[name].is_active)
    return bound, problems


def _freeze_step(
    step: RoutingStep, merged: dict[str, Any], specs: tuple[snapshots.SpecSnapshot, ...]
) -> snapshots.StepSnapshot:
    group, allowed = merged["station_group"], merged["allowed_station_codes"]
    station_type = merged["station_type"] or step.operation.default_station_type
    return snapshots.StepSnapshot(
        step_no=step.step_no,
        source_step_key=step.source_step_key,
        operation_code=step.operation.code,
        operation_name=step.operation.name,
        operation_kind=step.operation.kind,
        station_type=station_type,
        station_group=group.code if group else None,
        allowed_stations=None if allowed is None else tuple(allowed),
        requires_fai=bool(merged["requires_fai"]),
        retest_limit=merged["retest_limit"] or 0,
        reentry_limit=merged["reentry_limit"],
        is_optional=bool(merged["is_optional"]),
        requires_qualification=bool(merged["requires_qualification"]),
        specs=specs,
        ingest_mapping=None if station_type == StationType.MANUAL else merged["ingest_mapping"],
        work_instructions=work_instructions.read_instructions(merged["work_instructions"] or ()),
    )


def _find_missing_files(step: snapshots.StepSnapshot, there: frozenset[int]) -> list[Problem]:
    message = _("The file of the instruction “%(title)s” is not there any more.")
    return [
        _problem(step.step_no, "WORK_INSTRUCTION_NOT_FOUND", message % {"title": each.title})
        for each in step.work_instructions
        if each.file_id is not None and each.file_id not in there
    ]


def _find_config_problems(step: snapshots.StepSnapshot, station_codes: frozenset[str]) -> list[Problem]:
    no = step.step_no
    if not step.station_type:
        return [_problem(no, "STATION_TYPE_MISSING", _("No station type is configured, nor set for the operation."))]
    problems = [
        _problem(no, "STATION_NOT_FOUND", _("There is no station “%(code)s”.") % {"code": code})
        for code in step.allowed_stations or ()
        if code not in station_codes
    ]
    if step.allowed_stations == ():
        problems.append(_problem(no, "STATIONS_MISSING", _("The list of allowed stations is empty.")))
    if step.station_type == StationType.MANUAL:
        if step.allowed_stations is None and not step.station_group:
            problems.append(
                _problem(no, "STATIONS_MISSING", _("A MANUAL step needs a station group or allowed stations."))
            )
        return problems
    if step.ingest_mapping is None:
        return [
            *problems,
            _problem(
                no,
                "INGEST_MAPPING_MISSING",
                _("A step of type %(type)s needs an ingest mapping.") % {"type": step.station_type},
            ),
        ]
    mapping_problems = find_mapping_problems(step.ingest_mapping, station_type=step.station_type)
    return problems + [_problem(no, "INGEST_MAPPING_INVALID", str(problem)) for problem in mapping_problems]


# --- a compilation, kept or only looked at ----------------------------------------------------------------


@dataclass(frozen=True)
class Compilation:
    """What compiling a route gives now: the snapshot, what keeps it from being used, and what its examples gave."""

    snapshot: snapshots.RouteSnapshot
    problems: list[Problem]
    examples: Sequence[ExampleResult] = ()

    @cached_property
    def document(self) -> dict[str, Any]:
        """What a version would keep."""
        return snapshots.to_document(self.snapshot)

    @cached_property
    def digest(self) -> str:
        """By which an unchanged compilation is recognised."""
        return snapshots.digest_of(self.document, self.problems)

    @property
    def status(self) -> VersionStatus:
        """Whether runs could use it."""
        return VersionStatus.INVALID if self.problems else VersionStatus.READY

    @property
    def side(self) -> Side:
        """It, as what is compared with versions as the database keeps them."""
        return Side(_as_kept(self.document), self.problems, self.digest)


def _as_kept(value: Any) -> Any:
    """Return a document with its numbers as the database gives them back: without exponents, and no negative zero."""
    if isinstance(value, dict):
        return {key: _as_kept(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_kept(inner) for inner in value]
    if not isinstance(value, float):
        return value
    return int(Decimal(repr(value))) if "e+" in repr(value) else value + 0.0


def compose(routing: Routing) -> Compilation:
    """Return what compiling a route gives now, and store nothing: the one way, for versions, previews and drift."""
    sources = load_sources(routing)
    steps = resolve(sources)
    snapshot, problems = _build(sources, steps)
    examples = run_examples((step.frozen, step.origins["ingest_mapping"]) for step in steps)
    # Those of a mapping that may not be used at all fail, too; what is wrong is told once.
    invalid = {problem["stepNo"] for problem in problems if problem["code"] == "INGEST_MAPPING_INVALID"}
    failures = [example.problem for example in examples if example.step_no not in invalid]
    return Compilation(snapshot, [*problems, *(failure for failure in failures if failure)], examples)


def compile_route(*, code: str, compiled_by: str = "", expected_digest: str | None = None) -> tuple[RouteVersion, bool]:
    """Compile a route; return (version, changed). An unchanged route keeps its latest version.

    Raises RouteNotFound; EditConflict where somebody looked at a preview with another digest than is given now. Locks
    the route, so that two compilations at once give one new version.
    """
    with transaction.atomic():
        routing = get_or_raise(Routing.objects.select_for_update(no_key=True), RouteNotFound, code=code)
        compilation = compose(routing)
        if expected_digest is not None and expected_digest != compilation.digest:
            raise EditConflict(name=code)
        latest = latest_version(routing)
        if latest is not None and latest.digest == compilation.digest:
            return latest, False
        version = RouteVersion.objects.create(
            routing=routing,
            version_no=latest.version_no + 1 if latest else 1,
            status=compilation.status,
            errors=compilation.problems,
            snapshot=compilation.document,
            digest=compilation.digest,
            compiled_by=compiled_by,
        )
        _keep_files(version, compilation.snapshot)
        return version, True


def _keep_files(version: RouteVersion, snapshot: snapshots.RouteSnapshot) -> None:
    """Have the files of the instructions stay as long as the version."""
    named = {each.file_id for step in snapshot.steps for each in step.work_instructions if each.file_id is not None}
    there = keep_those_there(named)
    RouteVersionFile.objects.bulk_create(RouteVersionFile(version=version, file_id=pk) for pk in there)


def latest_version(routing: Routing) -> RouteVersion | None:
    """Return the version that was compiled last, READY or not."""
    return routing.versions.order_by("-version_no").first()


def find_warnings(snapshot: snapshots.RouteSnapshot) -> list[Problem]:
    """Return what a compiled route allows and is rarely meant."""
    return [
        _problem(
            step.step_no,
            "INGEST_MAPPING_PASSES_ALL",
            _("A mapping has neither “when”, “result” nor “phase”: every event that names a unit passes it."),
        )
        for step in snapshot.steps
        if any(passes_all(mapping.document) for mapping in step.mappings)
    ]


def differs_from_live(version: RouteVersion) -> bool:
    """Whether compiling the route now would give another version ("recompile to publish")."""
    return compose(version.routing).digest != version.digest
