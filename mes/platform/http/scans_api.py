"""What a scan says, over HTTP."""

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import ObjectSerializer, StrictSerializer, read
from mes.platform.scans import read_scan

EXAMPLE = "]d201095212345432131728021310230214A\x1d21059"


class ReadScanRequest(StrictSerializer):
    """The text as the scanner gave it, control characters included."""

    text = serializers.CharField(trim_whitespace=False)


class ReadScanAnswer(ObjectSerializer):
    """What it says."""

    text = serializers.CharField(help_text="Without blank ends and without the AIM identifier.")
    symbology = serializers.CharField(help_text="The AIM identifier (ISO/IEC 15424) that came before it, or blank.")
    ai = serializers.DictField(child=serializers.CharField(), help_text="GS1 application identifier → value.")
    di = serializers.DictField(child=serializers.CharField(), help_text="ASC MH10.8.2 data identifier → value.")
    problems = serializers.ListField(child=serializers.CharField(), help_text="What breaks a rule; then no parts.")


class ReadScanViewSet(ViewSet):
    """Reading scans."""

    serializer_class = ReadScanAnswer
    capabilities = {"read": tuple(Capability)}  # whoever has any role: nothing is written
    station_access = {"read": StationAccess.SHARED}

    @extend_schema(
        summary="Read a scan",
        description="Takes apart what a scanner read: GS1 element strings (behind `]C1`, `]d2`, `]Q3`, `]e0` or GS, or "
        "with bracketed identifiers) and envelopes of ISO/IEC 15434 (`[)>` RS, formats 05 and 06). A text without such "
        "a mark is plain: it has neither parts nor problems. Nothing is stored.",
        request=ReadScanRequest,
        responses=ReadScanAnswer,
        examples=[OpenApiExample("A label of GS1", value={"text": EXAMPLE}, request_only=True)],
    )
    def read(self, request: Request) -> Response:
        """Return its parts."""
        return Response(ReadScanAnswer(read_scan(read(ReadScanRequest, request)["text"])).data)


urlpatterns = [path("scans/read", ReadScanViewSet.as_view({"post": "read"}))]
