"""Where a data collection spec is bound: steps of routes as they are now, and compiled versions."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import F, Func, JSONField, Max, Q, QuerySet

from mes.routing import snapshots
from mes.routing.compilation import narrowest_first
from mes.routing.models import (
    ConfigScope,
    RouteExecutionConfig,
    RouteVersion,
    RoutingStep,
    VersionStatus,
    bound_spec_ids,
)
from mes.specs.models import DataCollectionSpec
from mes.specs.usage import Bound, BoundStep, BoundVersion


def versions_with(spec: DataCollectionSpec) -> QuerySet[RouteVersion]:
    """Return the versions of any status that bind a spec, by their index."""
    return RouteVersion.objects.alias(spec_ids=bound_spec_ids()).filter(Q(spec_ids__contains=[str(spec.pk)]))


def ready_versions_with(spec: DataCollectionSpec) -> QuerySet[RouteVersion]:
    """Return the READY versions that bind a spec."""
    return versions_with(spec).filter(status=VersionStatus.READY)


def find_versions(spec: DataCollectionSpec) -> list[BoundVersion]:
    """Return the READY versions that bind a spec, with its limits as they were frozen; two queries.

    Only the spec's own part of each document leaves the database.
    """
    frozen = Func(
        F("snapshot"),
        template=f"jsonb_path_query_first(%(expressions)s, '$.steps[*].dataSpecs[*] ? (@.id == \"{spec.pk}\")')",
        output_field=JSONField(),
    )
    rows = list(
        ready_versions_with(spec)
        .annotate(frozen=frozen)
        .order_by("routing__code", "-version_no")
        .values_list("pk", "routing_id", "routing__code", "version_no", "frozen")
    )
    latest = dict(
        RouteVersion.objects.filter(routing__in={row[1] for row in rows})
        .order_by()
        .values_list("routing_id")
        .annotate(Max("version_no"))
    )
    return [
        BoundVersion(pk, code, number, number == latest[routing_id], snapshots.read_spec(document))
        for pk, routing_id, code, number, document in rows
    ]


def find_steps(spec: DataCollectionSpec) -> list[BoundStep]:
    """Return the steps whose route, compiled now, would bind a spec; two queries."""
    steps = list(
        RoutingStep.objects.filter(operation=spec.operation_id)
        .select_related("routing")
        .only("step_no", "source_step_key", "operation_id", "routing__code")
        .order_by("routing__code", "step_no")
    )
    wide, of_routes = _naming_configs(spec, steps)
    return list(_bound(spec, steps, wide, of_routes))


def _naming_configs(
    spec: DataCollectionSpec, steps: Sequence[RoutingStep]
) -> tuple[list[RouteExecutionConfig], dict[int, list[RouteExecutionConfig]]]:
    """Return the configs that name specs and may apply to steps: those of no route, and those of each."""
    place = Q(scope=ConfigScope.GLOBAL) | Q(operation=spec.operation_id)
    narrow = Q(routing__in={step.routing_id for step in steps})
    wide: list[RouteExecutionConfig] = []
    of_routes: dict[int, list[RouteExecutionConfig]] = {}
    for config in RouteExecutionConfig.objects.filter(place | narrow, data_spec_names__isnull=False).defer(
        "ingest_mapping"
    ):
        (wide if config.routing_id is None else of_routes.setdefault(config.routing_id, [])).append(config)
    return wide, of_routes


def _bound(
    spec: DataCollectionSpec,
    steps: Sequence[RoutingStep],
    wide: Sequence[RouteExecutionConfig],
    of_routes: dict[int, list[RouteExecutionConfig]],
) -> Iterator[BoundStep]:
    for step in steps:
        names: Any = next(
            (
                config.data_spec_names
                for config in narrowest_first([*of_routes.get(step.routing_id, ()), *wide], step)
                if config.data_spec_names is not None
            ),
            None,
        )
        if names is None and spec.is_active:
            yield BoundStep(step.routing.code, step.step_no, Bound.ALL_ACTIVE)
        elif names is not None and spec.name in names:
            yield BoundStep(step.routing.code, step.step_no, Bound.NAMED)
