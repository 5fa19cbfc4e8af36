"""Files over HTTP: sent once, described, and read."""

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import ViewSet

from mes import errors
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.files import services, serving
from mes.platform.files.forms import FILE, read_file
from mes.platform.files.models import MediaType, StoredFile
from mes.platform.http.serializers import IdField, ObjectSerializer, OffsetDateTimeField

# Those who work with units, and those who write what they work by.
UPLOADERS = (
    Capability.TRACK,
    Capability.DEFECT,
    Capability.FAI,
    Capability.OQC,
    Capability.HOLD,
    Capability.MRB,
    Capability.ROUTES,
)


class FileAnswer(ObjectSerializer):
    """A file that is kept."""

    id = IdField()
    name = serializers.CharField()
    mediaType = serializers.ChoiceField(choices=MediaType.choices, help_text="Told by the content.")
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField(help_text="Hash of the content, hexadecimal.")
    width = serializers.IntegerField(allow_null=True, help_text="Pixels of a picture.")
    height = serializers.IntegerField(allow_null=True)
    address = serializers.SerializerMethodField(help_text="Its page, for browsers.")
    uploadedBy = serializers.CharField()
    uploadedAt = OffsetDateTimeField()

    def get_address(self, file: StoredFile) -> str:
        """Where browsers show it."""
        return address_of(file.pk)


def address_of(pk: int) -> str:
    """Return the address at which browsers show a file."""
    return f"/files/{pk}/"


_FORM = {
    "type": "object",
    "properties": {FILE: {"type": "string", "format": "binary"}},
    "required": [FILE],
    "additionalProperties": False,
}
_MEDIA_TYPES = {(200, media_type.value): OpenApiTypes.BINARY for media_type in MediaType}


class FileViewSet(ViewSet):
    """Files: instructions and photos."""

    capabilities = {"create": UPLOADERS}
    station_access = {"retrieve": StationAccess.SHARED, "content": StationAccess.SHARED}
    lookup_value_regex = "[^/]+"
    parser_classes = [MultiPartParser]

    @extend_schema(
        summary="Send a file",
        description=f"A PDF, PNG or JPEG, told by its content, of up to {settings.MES_FILE_LIMIT // 1024 // 1024} MiB; "
        "a PDF without scripts. The same content again is the same file (200). What nothing uses goes after "
        "some days.",
        request={"multipart/form-data": _FORM},
        responses={201: FileAnswer, 200: FileAnswer},
        examples=[
            OpenApiExample("A photo", value={FILE: "(its bytes)"}, request_only=True, media_type="multipart/form-data")
        ],
    )
    def create(self, request: Request) -> Response:
        """Keep it, once."""
        file = read_file(request)
        if unknown := set(request.POST):
            raise errors.ValidationFailed(dict.fromkeys(sorted(unknown), _("Unknown field.")))
        stored, is_new = services.store(file, name=file.name or "", by=operator_name(request))
        return Response(FileAnswer(stored).data, status=201 if is_new else 200)

    @extend_schema(summary="Read what a file is", responses=FileAnswer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Return its description."""
        return Response(FileAnswer(serving.find(pk)).data)

    @extend_schema(
        summary="Read a file's content",
        description="With its hash as `ETag`. Served so that nothing in it can run or load anything.",
        responses=_MEDIA_TYPES,
    )
    @action(detail=True)
    def content(self, request: Request, pk: str) -> HttpResponseBase:
        """Answer with the bytes."""
        return serving.serve(request._request, serving.find(pk))


def register(router: BaseRouter) -> None:
    """Add the addresses of files."""
    router.register("files", FileViewSet, basename="file")
