"""A run takes a newer version of its route, over HTTP."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mes.platform.accounts.permissions import operator_name
from mes.platform.http.serializers import ReasonField, StrictSerializer, read
from mes.production.newer_version import take_version
from mes.routing.preview import LARGEST_VERSION_NO


class VersionRequest(StrictSerializer):
    """Which version a run takes, and why."""

    routeVersionNo = serializers.IntegerField(min_value=1, max_value=LARGEST_VERSION_NO)
    reason = ReasonField()


class TakesNewerVersion:
    """PATCH of a run, as a mixin of its viewset."""

    @extend_schema(
        summary="Give a run a newer version of its route",
        description="Of a run without a track and without a first article that was begun (else RUN_STARTED), to a "
        "READY version of the same route (else ROUTE_VERSION_NOT_READY). An AUTHORIZED run falls back to PREP, "
        "registered units are put to the new first step. The version that it has changes nothing.",
        request=VersionRequest,
        examples=[
            OpenApiExample(
                "The tightened limit counts for it too",
                value={"routeVersionNo": 3, "reason": "Oven 2 drifts."},
                request_only=True,
            )
        ],
    )
    def partial_update(self, request: Request, run_no: str) -> Response:
        """Bind the run to the version."""
        body = read(VersionRequest, request)
        run = take_version(
            run_no=run_no, version_no=body["route_version_no"], by=operator_name(request), reason=body["reason"]
        )
        return Response(self.serializer_class(run).data)  # type: ignore[attr-defined]
