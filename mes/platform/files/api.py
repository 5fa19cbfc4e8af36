"""Files over HTTP: sent once, described, read, and attached to records."""

from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import ViewSet

from mes import errors
from mes.platform.accounts.permissions import StationAccess, check_capability, operator_name
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.files import attachments, queries, services, serving
from mes.platform.files.forms import FILE, read_file
from mes.platform.files.models import FileAttachment, MediaType
from mes.platform.files.serializers import AttachedFileAnswer, AttachRequest, FileAnswer
from mes.platform.http.parsing import JSONParser
from mes.platform.http.serializers import read, read_change_reason
from mes.platform.http.whole_numbers import id_or_raise

QUALITY = Capability.RELEASE  # of those who may take away what others attached
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
REMOVERS = (*UPLOADERS, QUALITY)


_FORM = {
    "type": "object",
    "properties": {FILE: {"type": "string", "format": "binary"}},
    "required": [FILE],
    "additionalProperties": False,
}
_MEDIA_TYPES = {(200, media_type.value): OpenApiTypes.BINARY for media_type in MediaType}


class FileViewSet(ViewSet):
    """Files: instructions and photos."""

    capabilities = {"create": UPLOADERS, "attach": UPLOADERS}
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
        return serving.serve(request, serving.find(pk))

    @extend_schema(
        summary="Attach a file to a record",
        description="To a defect, an item of a first article or an outgoing inspection, or a hold: it is told there "
        "as one of `files`. Attached again, it stays as it is (200). A record has at most 50. One that is signed "
        "takes files, too, with `addedLater`.",
        request=AttachRequest,
        responses={201: AttachedFileAnswer, 200: AttachedFileAnswer},
        examples=[
            OpenApiExample(
                "A photo of a defect",
                value={"recordType": "DEFECT", "recordId": "17", "note": "Bridge at U3"},
                request_only=True,
            )
        ],
    )
    @action(detail=True, methods=["post"], parser_classes=[JSONParser])
    def attach(self, request: Request, pk: str) -> Response:
        """Attach it."""
        body = read(AttachRequest, request)
        kind = attachments.find_kind(body["record_type"])
        if kind is None:
            raise errors.ValidationFailed({"recordType": _("Files are not attached to such records.")})
        check_capability(request, *kind.capabilities)
        attachment, is_new = attachments.attach(
            kind,
            record_id=id_or_raise(body["record_id"].removeprefix(kind.prefix), kind.not_found),
            file_id=id_or_raise(pk, errors.StoredFileNotFound),
            note=body.get("note") or "",
            by=operator_name(request),
        )
        return Response(_show(attachment), status=201 if is_new else 200)


def _show(attachment: FileAttachment) -> Any:
    found = queries.list_attached(attachment.record_type, [attachment.record_id])[attachment.record_id]
    return AttachedFileAnswer(next(each for each in found if each.pk == attachment.pk)).data


class AttachmentViewSet(ViewSet):
    """Files at records."""

    capabilities = {"destroy": REMOVERS}
    lookup_value_regex = "[^/]+"

    @extend_schema(
        summary="Take a file away from a record",
        description="One's own, or, with the role Quality, any. The change is kept in the audit.",
        parameters=[OpenApiParameter("changeReason", str)],
        responses={200: None},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Take it away."""
        read_change_reason(request)
        number = id_or_raise(pk, errors.AttachmentNotFound)
        attachments.detach(number, by=operator_name(request), may_remove_any=may_remove_any(request.user))
        return Response(None)


def may_remove_any(user: Any) -> bool:
    """Whether somebody may take away files that others attached."""
    return QUALITY in role_capabilities(user)


def register(router: BaseRouter) -> None:
    """Add the addresses of files."""
    router.register("attachments", AttachmentViewSet, basename="attachment")
    router.register("files", FileViewSet, basename="file")
