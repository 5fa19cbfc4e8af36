"""Where a data collection spec is used, over HTTP."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from mes.production.models import OPEN_RUN_STATUSES
from mes.readiness.spec_usage import find_usage
from mes.specs.models import DataCollectionSpec
from mes.specs.queries import get_spec
from mes.specs.usage import Bound, Usage

_OPEN = [(status.value, status.label) for status in OPEN_RUN_STATUSES]
_LIMITS = inline_serializer(
    "FrozenLimits",
    {
        "lsl": serializers.FloatField(allow_null=True),
        "usl": serializers.FloatField(allow_null=True),
        "target": serializers.FloatField(allow_null=True),
        "unit": serializers.CharField(allow_null=True),
    },
)
_ANSWER = inline_serializer(
    "SpecUsage",
    {
        "routes": inline_serializer(
            "SpecUsageRoute",
            {
                "code": serializers.CharField(),
                "stepNo": serializers.IntegerField(),
                "bound": serializers.ChoiceField(choices=Bound.choices),
            },
            many=True,
            help_text="Steps that would bind it if their route were compiled now.",
        ),
        "versions": inline_serializer(
            "SpecUsageVersion",
            {
                "routeCode": serializers.CharField(),
                "versionNo": serializers.IntegerField(),
                "isLatest": serializers.BooleanField(help_text="Whether its route has no later version."),
                "limits": _LIMITS,
            },
            many=True,
            help_text="READY versions that bind it, with the limits frozen in them.",
        ),
        "runs": inline_serializer(
            "SpecUsageRun",
            {
                "runNo": serializers.CharField(),
                "status": serializers.ChoiceField(
                    choices=[(status.value, status.label) for status in OPEN_RUN_STATUSES]
                ),
                "versionNo": serializers.IntegerField(),
            },
            many=True,
            help_text="Open runs of these versions.",
        ),
        "prepPolicies": inline_serializer(
            "SpecUsagePrepPolicy",
            {
                "id": serializers.CharField(),
                "code": serializers.CharField(),
                "name": serializers.CharField(),
                "lineCode": serializers.CharField(allow_null=True),
                "routeCode": serializers.CharField(allow_null=True),
            },
            many=True,
            help_text="Preparations that a value of it confirms.",
        ),
    },
)


class SpecUsageViewSet(GenericViewSet):
    """Where specs are used. Runs of all lines are named, so that a token limited to stations is refused."""

    queryset = DataCollectionSpec.objects.none()
    pagination_class = None
    filter_backends = []

    @extend_schema(summary="Say where a data collection spec is used", responses=_ANSWER)
    def usage(self, request: Request, id: str) -> Response:
        """Return routes, versions, open runs and preparations."""
        return Response(as_json(find_usage(get_spec(id))))


def as_json(usage: Usage) -> dict[str, Any]:
    """Return a usage as the interface answers it."""
    return {
        "routes": [{"code": at.route_code, "stepNo": at.step_no, "bound": at.bound.value} for at in usage.routes],
        "versions": [
            {
                "routeCode": version.route_code,
                "versionNo": version.version_no,
                "isLatest": version.is_latest,
                "limits": {
                    "lsl": version.frozen.lsl,
                    "usl": version.frozen.usl,
                    "target": version.frozen.target,
                    "unit": version.frozen.unit or None,
                },
            }
            for version in usage.versions
        ],
        "runs": [{"runNo": run.run_no, "status": run.status, "versionNo": run.version_no} for run in usage.runs],
        "prepPolicies": [
            {
                "id": str(policy.pk),
                "code": policy.code,
                "name": policy.name,
                "lineCode": policy.line_code,
                "routeCode": policy.route_code,
            }
            for policy in usage.prep_policies
        ],
    }


urlpatterns = [path("data-collection-specs/<str:id>/usage", SpecUsageViewSet.as_view({"get": "usage"}))]
