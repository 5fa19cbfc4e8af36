"""What a scan means, over HTTP."""

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from mes.plant.scans import ScanKind, resolve
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import ObjectSerializer, StrictSerializer, read
from mes.platform.scans import LONGEST_SYMBOL

EXAMPLE = "]d20109521234543213" + "21SN-0001\x1d10LOT-1"


class ResolveScanRequest(StrictSerializer):
    """The text as the scanner gave it, control characters included."""

    text = serializers.CharField(trim_whitespace=False, max_length=LONGEST_SYMBOL)


class ResolveScanAnswer(ObjectSerializer):
    """The thing that is meant."""

    kind = serializers.ChoiceField(choices=ScanKind.choices)
    code = serializers.CharField(help_text="What it is called now; of UNKNOWN, what was looked up.")
    address = serializers.CharField(allow_null=True, help_text="Of its page, where it has one.")
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="Why a label cannot be read: its text was looked up as it stands."
    )


class ResolveScanViewSet(ViewSet):
    """Resolving scans."""

    serializer_class = ResolveScanAnswer
    capabilities = {"resolve": tuple(Capability)}  # whoever has any role: nothing is written
    station_access = {"resolve": StationAccess.SHARED}  # it says of no unit more than that there is one

    @extend_schema(
        summary="Resolve a scan",
        description="Says which thing is called as a scanner read it: a unit (also by an earlier serial number, or a "
        "reference unit), a run, a carrier, a stencil, a lot of solder paste, a material, a badge, or a command of the "
        "station page. A label is read as `POST /api/scans/read` does; of several parts a serial number goes before a "
        "lot, and a material number counts only alone. What nothing is called is UNKNOWN. Where several things are "
        "called so: SCAN_AMBIGUOUS, `details.kinds` names them. Nothing is stored.",
        request=ResolveScanRequest,
        responses=ResolveScanAnswer,
        examples=[OpenApiExample("A label of GS1", value={"text": EXAMPLE}, request_only=True)],
    )
    def resolve(self, request: Request) -> Response:
        """Return what is meant."""
        resolved = resolve(read(ResolveScanRequest, request)["text"])
        meaning = resolved.choose()
        answer = {
            "kind": meaning.kind,
            "code": meaning.code,
            "address": meaning.address or None,
            "problems": resolved.problems,
        }
        return Response(ResolveScanAnswer(answer).data)


urlpatterns = [path("scans/resolve", ResolveScanViewSet.as_view({"post": "resolve"}))]
