"""Defects over HTTP: what was found wrong, and recording it by hand."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.quality.defect_codes.api import known_codes
from execution.quality.defect_codes.catalogue import load
from execution.quality.defect_fields import NamedDefect, named_defect
from execution.quality.defect_recording import record_defect
from execution.quality.defects import UNMAPPED_CODES
from execution.quality.models import Defect
from execution.quality.record_types import DEFECT
from mes import errors
from mes.plant.reach import OfServedLines
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.files.queries import attach
from mes.platform.files.serializers import AttachedFileAnswer
from mes.platform.http.serializers import CodeField, OffsetDateTimeField, RowSerializer, read
from mes.platform.http.viewsets import OnlyKnownFilter
from mes.platform.inbound.sender import sender_of
from mes.production.fields import SerialNumberField


class DefectRequest(NamedDefect):
    """A defect of a unit."""

    unitSn = SerialNumberField()
    stepNo = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, required=False, allow_null=True, help_text="By default where the unit stands."
    )
    runNo = CodeField(required=False, allow_null=True, help_text="By default the unit's run; it may have ended.")


class DefectAnswer(RowSerializer):
    """A defect."""

    id = serializers.CharField(source="pk")
    unitSn = serializers.CharField(source="unit.sn")
    runNo = serializers.CharField(source="run.run_no")
    stationCode = serializers.CharField(source="station.code", allow_null=True, default=None)
    stepNo = serializers.IntegerField()
    trackId = serializers.CharField(source="track_id", allow_null=True)
    reportedCode = serializers.SerializerMethodField(help_text="What a machine called it.")
    category = serializers.SerializerMethodField()
    isUnmapped = serializers.SerializerMethodField(help_text="Whether its code is none of the tree.")
    location = serializers.SerializerMethodField()
    remark = serializers.SerializerMethodField()
    sourceSystem = serializers.SerializerMethodField()
    foundBy = serializers.CharField()
    foundAt = OffsetDateTimeField()
    settledBy = serializers.SerializerMethodField()
    settledAt = OffsetDateTimeField(allow_null=True)
    settledReason = serializers.SerializerMethodField()
    files = AttachedFileAnswer(many=True, default=())

    class Meta:
        model = Defect
        fields = (
            *("id", "unitSn", "runNo", "stepNo", "stationCode", "trackId", "code", "reportedCode", "category"),
            *("isUnmapped", "location", "quantity", "remark", "source", "sourceSystem", "status", "foundBy", "foundAt"),
            *("settledBy", "settledAt", "settledReason", "files"),
        )

    def get_reportedCode(self, defect: Defect) -> str | None:
        """What was said, where a machine said it."""
        return defect.reported_code or None

    def get_category(self, defect: Defect) -> str | None:
        """That of its code, or of one above it."""
        return known_codes(self.context).category_of(defect.code) or None

    def get_isUnmapped(self, defect: Defect) -> bool:
        """Whether nobody knows what was said."""
        return defect.code not in known_codes(self.context).codes

    def get_location(self, defect: Defect) -> str | None:
        """The designator."""
        return defect.location or None

    def get_remark(self, defect: Defect) -> str | None:
        """What was remarked."""
        return defect.remark or None

    def get_sourceSystem(self, defect: Defect) -> str | None:
        """What reported it."""
        return defect.source_system or None

    def get_settledBy(self, defect: Defect) -> str | None:
        """Who settled it."""
        return defect.settled_by or None

    def get_settledReason(self, defect: Defect) -> str | None:
        """Why."""
        return defect.settled_reason or None


class DefectFilter(OnlyKnownFilter):
    """The plain filters; `code` finds those below it too, `unmapped` those whose code is none of the tree."""

    also_known = ("code", "unmapped")

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        """Narrow the list."""
        queryset = super().filter_queryset(request, queryset, view)
        if code := request.query_params.get("code"):
            queryset = queryset.filter(code__in=load().list_below(code))
        unmapped = request.query_params.get("unmapped") or ""
        if unmapped not in ("", "true", "false"):
            raise errors.ValidationFailed({"unmapped": _("Must be true or false.")})
        if unmapped:
            unknown = RawSQL(UNMAPPED_CODES, ())
            queryset = queryset.filter(code__in=unknown) if unmapped == "true" else queryset.exclude(code__in=unknown)
        return queryset


class DefectViewSet(OfServedLines, mixins.ListModelMixin, GenericViewSet):
    """What is wrong with units."""

    queryset = Defect.objects.select_related("unit", "run", "station")
    serializer_class = DefectAnswer
    filter_backends = [DefectFilter]
    filters = {"unitSn": "unit__sn", "runNo": "run__run_no", "status": "status", "source": "source"}
    line_lookup = "run__line"
    capabilities = {"record": (Capability.DEFECT,)}
    station_access = {"list": StationAccess.OWN, "record": StationAccess.OWN}

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return the rows of a page, with their files."""
        rows = list(super().paginate_queryset(queryset) or ())
        attach(DEFECT, rows)
        return rows

    @extend_schema(
        summary="List defects, newest first",
        parameters=[
            OpenApiParameter("code", str, description="This code, or one below it in the tree."),
            OpenApiParameter("unmapped", bool, description="Those whose code is none of the tree, or all others."),
        ],
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List them."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Record a defect of a unit",
        description="Whatever the unit does and however its run stands. Who passes it while the defect is open is "
        "refused, and one that has passed all steps is held; a process indicator keeps nobody.",
        request=DefectRequest,
        responses={201: DefectAnswer},
        examples=[
            OpenApiExample(
                "A scratch", value={"unitSn": "SN-0001", "code": "BOARD_DAMAGED", "remark": "Edge"}, request_only=True
            )
        ],
    )
    def record(self, request: Request) -> Response:
        """Record it."""
        body = read(DefectRequest, request)
        defect = record_defect(
            sn=body["unit_sn"],
            said=named_defect(body),
            sender=sender_of(request),
            step_no=body.get("step_no"),
            run_no=body.get("run_no"),
        )
        made = self.get_queryset().get(pk=defect.pk)
        return Response(self.get_serializer(made).data, status=201)
