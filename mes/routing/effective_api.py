"""What compiling a route would freeze now, and who says so, over HTTP."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from mes.errors import RouteNotFound
from mes.plant.models import StationType
from mes.platform.accounts.permissions import StationAccess
from mes.platform.database.lookup import get_or_raise
from mes.routing.compilation import EffectiveStep, load_sources, resolve
from mes.routing.config_words import value_of
from mes.routing.fields import WorkInstructionsField
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing

DEFAULT = "DEFAULT"
SCOPES = [*ConfigScope.choices, (DEFAULT, "By no config")]


_ORIGIN = inline_serializer(
    "ConfigOrigin",
    {
        "scope": serializers.ChoiceField(choices=SCOPES, help_text="Who says it. DEFAULT: no config does."),
        "configId": serializers.CharField(required=False, help_text="Not with DEFAULT."),
    },
)


def _setting(name: str, value: serializers.Field) -> serializers.Serializer:
    """Describe a field's value with its origin."""
    return inline_serializer(f"Effective{name}", {"value": value, "from": type(_ORIGIN)()})


def _list_of_codes(**kwargs: Any) -> serializers.Field:
    return serializers.ListField(child=serializers.CharField(), **kwargs)


_FIELDS = inline_serializer(
    "EffectiveFields",
    {
        "stationType": _setting("StationType", serializers.ChoiceField(choices=StationType.choices, allow_null=True)),
        "stationGroupCode": _setting("StationGroup", serializers.CharField(allow_null=True)),
        "allowedStationCodes": _setting("AllowedStations", _list_of_codes(allow_null=True)),
        "requiresFAI": _setting("RequiresFAI", serializers.BooleanField()),
        "retestLimit": _setting("RetestLimit", serializers.IntegerField()),
        "reentryLimit": _setting("ReentryLimit", serializers.IntegerField()),
        "isOptional": _setting("IsOptional", serializers.BooleanField()),
        "requiresQualification": _setting("RequiresQualification", serializers.BooleanField()),
        "dataSpecNames": _setting("DataSpecs", _list_of_codes()),
        "ingestMapping": _setting("IngestMapping", serializers.JSONField(allow_null=True)),
        "workInstructions": _setting("WorkInstructions", WorkInstructionsField()),
    },
)
_STEPS = inline_serializer(
    "EffectiveStep",
    {"stepNo": serializers.IntegerField(), "operationCode": serializers.CharField(), "fields": _FIELDS},
    many=True,
)
_ANSWER = inline_serializer("EffectiveConfig", {"steps": _STEPS})


def describe_steps(steps: list[EffectiveStep]) -> list[dict[str, Any]]:
    """Return steps as the interface answers them."""
    return [
        {
            "stepNo": effective.frozen.step_no,
            "operationCode": effective.frozen.operation_code,
            "fields": {
                name: {"value": value, "from": _describe_origin(effective.origins[field])}
                for name, field, value in _values_of(effective)
            },
        }
        for effective in steps
    ]


def _values_of(effective: EffectiveStep) -> list[tuple[str, str, Any]]:
    step = effective.frozen
    allowed = None if step.allowed_stations is None else list(step.allowed_stations)
    return [
        ("stationType", "station_type", step.station_type or None),
        ("stationGroupCode", "station_group", step.station_group),
        ("allowedStationCodes", "allowed_station_codes", allowed),
        ("requiresFAI", "requires_fai", step.requires_fai),
        ("retestLimit", "retest_limit", step.retest_limit),
        ("reentryLimit", "reentry_limit", value_of(effective, "reentry_limit")),
        ("isOptional", "is_optional", step.is_optional),
        ("requiresQualification", "requires_qualification", step.requires_qualification),
        ("dataSpecNames", "data_spec_names", [spec.name for spec in step.specs]),
        ("ingestMapping", "ingest_mapping", step.ingest_mapping),
        ("workInstructions", "work_instructions", value_of(effective, "work_instructions")),
    ]


def _describe_origin(config: RouteExecutionConfig | None) -> dict[str, str]:
    return {"scope": DEFAULT} if config is None else {"scope": config.scope, "configId": str(config.pk)}


EXAMPLE = {
    "steps": [
        {
            "stepNo": 20,
            "operationCode": "REFLOW",
            "fields": {
                "stationType": {"value": "AUTO", "from": {"scope": "STEP", "configId": "7"}},
                "stationGroupCode": {"value": "OVENS", "from": {"scope": "OPERATION", "configId": "3"}},
                "allowedStationCodes": {"value": None, "from": {"scope": "DEFAULT"}},
                "requiresFAI": {"value": False, "from": {"scope": "DEFAULT"}},
                "retestLimit": {"value": 1, "from": {"scope": "GLOBAL", "configId": "1"}},
                "reentryLimit": {"value": 3, "from": {"scope": "DEFAULT"}},
                "isOptional": {"value": False, "from": {"scope": "DEFAULT"}},
                "requiresQualification": {"value": False, "from": {"scope": "DEFAULT"}},
                "dataSpecNames": {"value": ["Peak Temperature"], "from": {"scope": "DEFAULT"}},
                "ingestMapping": {"value": {"snPath": "payload.sn"}, "from": {"scope": "STEP", "configId": "7"}},
                "workInstructions": {
                    "value": [{"title": "Profile of the oven", "fileId": "7"}],
                    "from": {"scope": "OPERATION", "configId": "3"},
                },
            },
        }
    ]
}


class EffectiveConfigViewSet(ViewSet):
    """The effective configuration of a route."""

    capabilities: dict[str, Any] = {}
    station_access = {"retrieve": StationAccess.SHARED}

    @extend_schema(
        summary="Read what compiling a route would freeze, and which config says so",
        description="Field by field the value that counts for each step, and where it is `from`: the scope and id of "
        "the config that says it, or `DEFAULT`: the operation's station type, all its active specs, no retests, 3 "
        "re-entries by rework, no first article, not optional, no qualification, no instructions. A MANUAL step has no "
        "mapping.",
        responses=_ANSWER,
        examples=[OpenApiExample("A step at an oven", value=EXAMPLE, response_only=True)],
    )
    def retrieve(self, request: Request, code: str) -> Response:
        """Merge it as a compilation does."""
        routing = get_or_raise(Routing.objects.select_related("fai_template"), RouteNotFound, code=code)
        return Response({"steps": describe_steps(resolve(load_sources(routing)))})


urlpatterns = [path("routes/<name:code>/effective-config", EffectiveConfigViewSet.as_view({"get": "retrieve"}))]
