"""Holds over HTTP."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.quality.holds import condition, matching
from execution.quality.holds.bodies import HoldPreviewAnswer, HoldPreviewRequest
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import read
from mes.production.hold_models import Hold

SUSPECT = {
    "stationCode": "REF-01",
    "from": "2026-03-02T06:00:00Z",
    "to": "2026-03-02T08:30:00Z",
    "specName": "Peak Temperature",
    "valueMin": 248,
}


class HoldViewSet(GenericViewSet):
    """What keeps units, runs, stations and lines still."""

    queryset = Hold.objects.select_related("run", "line", "station", "rule")
    capabilities = {"preview": (Capability.HOLD,)}

    @extend_schema(
        summary="See which units a hold would be about",
        description="By the same rules as holding them. Codes that there are not are refused, so that a slip of the "
        "pen does not hold nothing. Nothing is written.",
        request=HoldPreviewRequest,
        responses=HoldPreviewAnswer,
        examples=[OpenApiExample("Through the oven while it ran hot", value={"condition": SUSPECT}, request_only=True)],
    )
    def preview(self, request: Request) -> Response:
        """Look, and hold nothing."""
        body = read(HoldPreviewRequest, request)
        found = matching.preview(condition.build(body["condition"]))
        return Response(
            {
                "count": found.count,
                "byStatus": found.by_status,
                "byRun": {run_no or "": count for run_no, count in found.by_run.items()},
                "alreadyHeld": found.already_held,
                "items": found.first,
            }
        )
