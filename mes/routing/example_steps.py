"""The steps that a config's mapping is for."""

from collections.abc import Iterator
from dataclasses import replace

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from mes.errors import RouteNotFound, ValidationFailed
from mes.platform.database.lookup import get_or_raise
from mes.routing.compilation import EffectiveStep, load_sources, resolve
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing
from mes.routing.snapshots import StepSnapshot

MOST_ROUTES = 20  # that are looked through for a step of a config of many routes


def find_step(
    config: RouteExecutionConfig, *, route_code: str | None = None, step_no: int | None = None
) -> StepSnapshot | None:
    """Return the step that reads events by a config's mapping: the one named, or the first. None where there is none.

    Raises RouteNotFound, and ValidationFailed for a step that the route has not.
    """
    if config.ingest_mapping is None:
        return None
    for routing in _routes_of(config, route_code):
        steps = resolve(load_sources(routing))
        if step_no is not None:
            return replace(_named(steps, step_no), ingest_mapping=config.ingest_mapping)
        step = next((step for step in steps if step.origins["ingest_mapping"] == config), None)
        if step is not None:
            return step.frozen
    return None


def _named(steps: list[EffectiveStep], step_no: int) -> StepSnapshot:
    found = next((step.frozen for step in steps if step.frozen.step_no == step_no), None)
    if found is None:
        raise ValidationFailed({"stepNo": _("The route has no step {number}.").format(number=step_no)})
    return found


def _routes_of(config: RouteExecutionConfig, route_code: str | None) -> Iterator[Routing]:
    if config.routing is not None:
        yield config.routing
    elif route_code is not None:
        yield get_or_raise(Routing.objects, RouteNotFound, code=route_code)
    else:
        yield from routes_with(config)[:MOST_ROUTES]


def routes_with(config: RouteExecutionConfig) -> QuerySet[Routing]:
    """Return the routes that a config may say something about, active ones first."""
    routes = Routing.objects.order_by("-is_active", "code")
    if config.routing_id is not None:
        return routes.filter(pk=config.routing_id)
    if config.scope == ConfigScope.OPERATION:
        return routes.filter(steps__operation=config.operation_id).distinct()
    return routes
