"""Which frozen routes and execution configs name a piece of master data by its code or id."""

from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from mes.plant.models import Operation, Station, StationGroup
from mes.routing.models import RouteExecutionConfig, RouteVersion, VersionStatus
from mes.routing.spec_bindings import versions_with
from mes.specs.models import DataCollectionSpec

_EXAMPLES = 3


def find_users(thing: models.Model) -> list[str]:
    """Return what still needs a thing: a few route versions and execution configs, in words."""
    users: list[str] = []
    frozen = _frozen_in(thing)
    if frozen is not None:
        versions = frozen.select_related("routing").defer("snapshot").order_by("-id")[:_EXAMPLES]
        users += [_("route version %(version)s") % {"version": version} for version in versions]
    if isinstance(thing, Station):
        configs = RouteExecutionConfig.objects.filter(allowed_station_codes__contains=[thing.code])[:_EXAMPLES]
        users += [_("execution config %(config)s") % {"config": config} for config in configs]
    return users


def _frozen_in(thing: models.Model) -> QuerySet[RouteVersion] | None:
    """Return the versions that name the thing; of a spec also those that were never READY."""
    versions = RouteVersion.objects.all()
    if isinstance(thing, DataCollectionSpec):
        return versions_with(thing)
    ready = versions.filter(status=VersionStatus.READY)
    if isinstance(thing, Station):
        return ready.filter(snapshot__contains=_in_step({"allowedStationCodes": [thing.code]}))
    if isinstance(thing, StationGroup):
        return ready.filter(snapshot__contains=_in_step({"stationGroupCode": thing.code}))
    if isinstance(thing, Operation):
        return ready.filter(snapshot__contains=_in_step({"operation": {"code": thing.code}}))
    return None


def _in_step(part: dict[str, Any]) -> dict[str, Any]:
    return {"steps": [part]}
