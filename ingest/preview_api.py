"""Preview and presets over HTTP."""

from typing import Annotated, Any, Literal

import msgspec
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from ingest.api import EVENT_EXAMPLE
from ingest.mapping import presets
from ingest.mapping.preview import LIVE, as_json, preview_event
from ingest.models import IngestEvent
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.http import parsing

LARGEST_NUMBER = 2**31 - 1
Number = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_NUMBER)]


_VERSIONS = [{"type": "integer"}, {"type": "string", "enum": [LIVE]}]


@extend_schema_field({"oneOf": _VERSIONS})
class VersionField(serializers.Field):
    """Which version of a route: a number, or `live`."""

    def to_representation(self, value: int | str) -> int | str:
        """Return it as it is."""
        return value


class PreviewRequest(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The body of a preview."""

    step_no: Number
    event: Any
    version: Number | Literal["live"] | None = None
    mapping: Any = None


PREVIEW_SCHEMA = {
    "application/json": {
        "type": "object",
        "required": ["stepNo", "event"],
        "additionalProperties": False,
        "properties": {
            "stepNo": {"type": "integer", "minimum": 0, "maximum": LARGEST_NUMBER},
            "event": {"description": "The body of `POST /api/ingest/events`."},
            "version": {"nullable": True, "oneOf": _VERSIONS},
            "mapping": {"description": "In place of the step's: one that is not saved yet, or a list of them."},
        },
    }
}


class PreviewAnswer(serializers.Serializer):
    """What a mapping makes of an event."""

    stepNo = serializers.IntegerField()
    version = VersionField(help_text="The number of the version, or `live`.")
    stationType = serializers.CharField()
    mapping = serializers.DictField(allow_null=True, help_text="Of several mappings, the one that reads the event.")
    mappings = serializers.ListField(
        child=serializers.DictField(), help_text="What `when` finds for each, and which mapping `reads` the event."
    )
    extracted = serializers.DictField(allow_null=True)
    outcome = serializers.DictField(help_text="What an example would expect: what is read whatever units there are.")
    paths = serializers.ListField(child=serializers.DictField())
    values = serializers.ListField(child=serializers.DictField())
    unmapped = serializers.ListField(child=serializers.DictField())
    problems = serializers.ListField(child=serializers.DictField())


class PreviewViewSet(GenericViewSet):
    """Trying a mapping."""

    queryset = IngestEvent.objects.none()
    serializer_class = PreviewAnswer
    parser_classes = [parsing.UnreadJSON]  # the body is decoded once, here
    capabilities = {"*": (Capability.MAPPINGS,)}

    @extend_schema(
        summary="Preview a machine event",
        description="What the mapping of a step extracts from an event, how the values are judged, and every problem. "
        "Nothing is stored. `version` is a number, `live` for the configuration as it is now, or left out for the "
        "latest READY version. `mapping` is read in place of the step's; what may not be in it is among the problems, "
        "each with its `path` in the mapping. `outcome` is what an example of the event would expect.",
        request=PREVIEW_SCHEMA,
        responses={200: PreviewAnswer},
        examples=[OpenApiExample("An inspection", value={"stepNo": 20, "event": EVENT_EXAMPLE}, request_only=True)],
    )
    def create(self, request: Request, code: str) -> Response:
        """Read it."""
        body = parsing.decode_as(parsing.read_body(request), PreviewRequest)
        preview = preview_event(
            route_code=code, step_no=body.step_no, event=body.event, version=body.version, mapping=body.mapping
        )
        return Response(as_json(preview))


class PresetItem(serializers.Serializer):
    """A mapping to begin with, and an event that it reads."""

    code = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    stationType = serializers.CharField()
    mapping = serializers.JSONField(help_text="An object, or a list of them.")
    event = serializers.DictField()


class PresetList(serializers.Serializer):
    """All presets."""

    items = PresetItem(many=True)


class PresetViewSet(GenericViewSet):
    """Presets of mappings."""

    queryset = IngestEvent.objects.none()
    station_access = {"list": StationAccess.SHARED}
    serializer_class = PresetItem
    pagination_class = None
    filter_backends = []

    @extend_schema(
        summary="List the presets of mappings",
        description="For machines that speak a common language. Copy the mapping into an execution config.",
        operation_id="ingest_presets_list",
        responses=forced_singular_serializer(PresetList),
    )
    def list(self, request: Request) -> Response:
        """Return all of them."""
        return Response({"items": [presets.as_json(preset) for preset in presets.list_presets()]})
