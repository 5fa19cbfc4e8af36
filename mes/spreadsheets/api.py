"""Spreadsheets over HTTP: collections as files, and sheets that are checked first and applied then."""

from typing import Any

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import tables
from mes.platform.http.parsing import JSONParser, check_length
from mes.platform.http.serializers import IdField, ObjectSerializer, OffsetDateTimeField, ReasonField, StrictSerializer
from mes.platform.http.serializers import read as read_body
from mes.platform.http.whole_numbers import id_or_raise
from mes.spreadsheets import exports, reading, services
from mes.spreadsheets.catalogue import BY_NAME, CAPABILITIES, SheetCollection
from mes.spreadsheets.models import ImportStatus, SheetImport
from mes.spreadsheets.reading import MOST_BYTES, MOST_ROWS, Sheet

FILE = "file"  # the name of the file in a form
_COLLECTION = OpenApiParameter("collection", str, OpenApiParameter.PATH, enum=sorted(BY_NAME))


class _Unread(BaseParser):
    """Leaves a file unread: the view takes it from the body."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return its bytes. Raises PayloadTooLarge."""
        return read_all(stream)


class CsvParser(_Unread):
    """CSV."""

    media_type = "text/csv"


class XlsxParser(_Unread):
    """XLSX."""

    media_type = tables.XLSX


def read_all(stream: Any) -> bytes:
    """Return the bytes of a stream. Raises PayloadTooLarge."""
    data: bytes = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise errors.PayloadTooLarge(limit=MOST_BYTES)
    return data


# --- answers ------------------------------------------------------------------------------------------------

_ERRORS = inline_serializer(
    "ImportError",
    {
        "row": serializers.IntegerField(help_text="1 is the first below the heads; 0 is the heads."),
        "field": serializers.CharField(help_text="The column; empty where it is the row as a whole."),
        "code": serializers.CharField(),
        "message": serializers.CharField(),
    },
    many=True,
)
_DIFFERENCES = inline_serializer(
    "ImportDifference",
    {
        "row": serializers.IntegerField(allow_null=True, help_text="Null of a step that goes because no row has it."),
        "key": serializers.CharField(),
        "action": serializers.ChoiceField(choices=["CREATE", "CHANGE", "DELETE"]),
        "changes": serializers.DictField(help_text="Column → `{from, to}`."),
    },
    many=True,
)


class ImportAnswer(ObjectSerializer):
    """A sheet, what is wrong with it, and what it does or did."""

    id = IdField()
    collection = serializers.CharField()
    fileName = serializers.CharField()
    status = serializers.ChoiceField(choices=ImportStatus.choices)
    created = serializers.IntegerField()
    changed = serializers.IntegerField()
    deleted = serializers.IntegerField(help_text="Steps of routes that no row names; 0 of all other collections.")
    unchanged = serializers.IntegerField()
    errorCount = serializers.IntegerField(help_text="All; `errors` has the first 1,000.")
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    differences = serializers.SerializerMethodField()
    createdBy = serializers.CharField()
    createdAt = OffsetDateTimeField()
    appliedBy = serializers.CharField()
    appliedAt = OffsetDateTimeField(allow_null=True)
    reason = serializers.CharField()

    @extend_schema_field(_ERRORS)
    def get_errors(self, found: SheetImport) -> list[dict[str, Any]]:
        """Every wrong row."""
        return list(found.report["errors"])

    @extend_schema_field(_DIFFERENCES)
    def get_differences(self, found: SheetImport) -> list[dict[str, Any]]:
        """What each row that does something does."""
        return list(found.report["differences"])


class ApplyRequest(StrictSerializer):
    """Why a sheet is applied: kept beside each change."""

    changeReason = ReasonField()


_FILE = {"type": "string", "format": "binary"}
_ROWS = {
    "type": "object",
    "required": ["rows"],
    "properties": {
        "rows": {
            "type": "array",
            "maxItems": MOST_ROWS,
            "items": {"type": "object", "additionalProperties": {}},
        }
    },
    "additionalProperties": False,
}


# --- views --------------------------------------------------------------------------------------------------


class ExportView(APIView):
    """A collection as a file."""

    @extend_schema(
        operation_id="export",
        summary="Export a collection as a file",
        description="Columns are field paths (`limits.usl`). Imported as it is, the file changes nothing.",
        parameters=[
            _COLLECTION,
            OpenApiParameter("format", str, enum=exports.FORMATS, required=True),
            OpenApiParameter("empty", bool, description="The heads only; an XLSX file explains the columns."),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, tables.XLSX): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, collection: str) -> HttpResponseBase:
        """Answer with the file."""
        chosen = exports.read_format(request.query_params.get("format", ""))
        empty = request.query_params.get("empty") or "false"
        if empty not in ("true", "false"):
            raise errors.ValidationFailed({"empty": _("Must be true or false.")})
        return exports.export(BY_NAME[collection], chosen, is_empty=empty == "true")


class ImportView(APIView):
    """Sheets of one collection."""

    capabilities = {"*": CAPABILITIES}
    parser_classes = [JSONParser, CsvParser, XlsxParser, MultiPartParser]
    body_limit = MOST_BYTES

    @extend_schema(
        operation_id="import_check",
        summary="Check a sheet",
        description="CSV (UTF-8, with comma, semicolon or tab), XLSX (its first sheet), either of them as `file` of a "
        f"form, or JSON; up to {MOST_ROWS:,} rows. Rows are known by their codes: those that are there are changed, "
        "others are made. A column that is not there is left alone, a blank cell empties. Names every wrong row; "
        "nothing is applied.",
        parameters=[_COLLECTION],
        request={
            "application/json": _ROWS,
            "text/csv": _FILE,
            tables.XLSX: _FILE,
            "multipart/form-data": {"type": "object", "properties": {FILE: _FILE}, "required": [FILE]},
        },
        responses={201: ImportAnswer},
        examples=[
            OpenApiExample(
                "Two stations",
                value={"rows": [{"code": "AOI-1", "name": "AOI", "stationType": "AUTO"}, {"code": "AOI-2"}]},
                request_only=True,
                media_type="application/json",
            )
        ],
    )
    def post(self, request: Request, collection: str) -> Response:
        """Keep the sheet with what it would do."""
        chosen = BY_NAME[collection]
        check_may_write(request, chosen)
        check_length(request, MOST_BYTES)
        sheet, name = _sheet_of(request, chosen)
        found = services.check(chosen, sheet, by=operator_name(request), file_name=name)
        return Response(ImportAnswer(found).data, status=201)


def _sheet_of(request: Request, collection: SheetCollection) -> tuple[Sheet, str]:
    body, known = request.data, [column.name for column in collection.columns]
    if isinstance(body, bytes):
        return reading.read_file(body, known=known), ""
    file = request.FILES.get(FILE)
    if file is not None:
        return reading.read_file(read_all(file), known=known, name=file.name or ""), file.name or ""
    if request.content_type.startswith("multipart/"):
        raise errors.ValidationFailed({FILE: _("Send the sheet as this file.")})
    return reading.read_rows(body), ""


def check_may_write(request: Any, collection: SheetCollection) -> None:
    """Raise PermissionDenied for somebody who may not write the collection."""
    if not services.may_write(request.user, collection):
        raise PermissionDenied


class OneImportView(APIView):
    """A sheet that was sent."""

    @extend_schema(
        operation_id="import_read",
        summary="Read a sheet that was checked",
        description="Kept for 7 days. One sees one's own, and those of collections that one may write.",
        responses=ImportAnswer,
    )
    def get(self, request: Request, id: str) -> Response:
        """Answer with what is wrong with it and what it does or did."""
        return Response(ImportAnswer(find(request.user, id)).data)


class ApplyView(APIView):
    """A sheet that is applied."""

    capabilities = {"*": CAPABILITIES}

    @extend_schema(
        operation_id="import_apply",
        summary="Apply a sheet",
        description="All rows or none. Refused where it has errors, was applied, or what it names was changed since.",
        request=ApplyRequest,
        responses={
            200: inline_serializer(
                "ImportApplied",
                {name: serializers.IntegerField() for name in ("created", "changed", "deleted")},
            )
        },
        examples=[
            OpenApiExample("Limits of a new oven", value={"changeReason": "Oven 3 is released."}, request_only=True)
        ],
    )
    def post(self, request: Request, id: str) -> Response:
        """Apply all of it."""
        found = find(request.user, id)
        check_may_write(request, BY_NAME[found.collection])
        reason = read_body(ApplyRequest, request)["change_reason"]
        found = services.apply(found.pk, by=operator_name(request), reason=reason)
        return Response({"created": found.created, "changed": found.changed, "deleted": found.deleted})


def find(user: Any, pk: str | int) -> SheetImport:
    """Return an import that somebody may see. Raises ImportNotFound."""
    number = id_or_raise(str(pk), errors.ImportNotFound)
    found = services.visible_to(user).defer("document", "states")
    return get_or_raise(found, errors.ImportNotFound, pk=number)
