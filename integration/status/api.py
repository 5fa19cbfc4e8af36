"""Inbound status over HTTP: one address for each kind, all alike."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from integration.status.channel import CHANNELS, StatusChannel
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.http import parsing
from mes.platform.http.envelope import camel_case
from mes.platform.http.openapi import inline_schema
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import ClaimedByField, IdField, OffsetDateTimeField, RecordedByField, RowSerializer
from mes.platform.inbound.sender import sender_of
from mes.status_reports.models import StatusReport

RECEIVING = (
    "Accepted in any order: the latest by `eventTime` counts, field by field. The same event id with the same content "
    "is recognised as a duplicate; with other content it is refused (EVENT_ID_CONFLICT). What cannot be applied is "
    "kept as a FAILED message and can be replayed. `source` MANUAL needs `operatorId`."
)
ENVELOPE = {"eventTime": "2026-01-24T10:00:00Z", "source": "AUTO"}


class ReportAnswer(serializers.Serializer):
    """What became of a report."""

    id = serializers.CharField()
    eventId = serializers.CharField()
    receivedAt = OffsetDateTimeField()
    isDuplicate = serializers.BooleanField()


class StatusAnswer(ReportAnswer):
    """The status that counts now, and whether it is the reported one."""

    status = serializers.CharField()
    statusAt = OffsetDateTimeField()
    isCurrent = serializers.BooleanField()


class StencilStatusAnswer(StatusAnswer):
    """Of a stencil; null while nobody reported its status."""

    status = serializers.CharField(allow_null=True)
    statusAt = OffsetDateTimeField(allow_null=True)
    stencilId = serializers.CharField()


class SolderPasteStatusAnswer(StatusAnswer):
    """Of a lot."""

    lotId = serializers.CharField()


class SolderPasteUsageAnswer(ReportAnswer):
    """The usage that a report belongs to; null until its issue is reported."""

    lotId = serializers.CharField()
    usageId = serializers.CharField(allow_null=True)
    issuedAt = OffsetDateTimeField(allow_null=True)
    returnedAt = OffsetDateTimeField(allow_null=True)
    lineCode = serializers.CharField(allow_null=True)
    runNo = serializers.CharField(allow_null=True)


class LotReportAnswer(ReportAnswer):
    """What became of a lot by a report."""

    lotId = serializers.CharField()
    lotEventId = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()


class EquipmentStatusAnswer(StatusAnswer):
    """Of a machine."""

    equipmentCode = serializers.CharField()


class MaintenanceTaskAnswer(EquipmentStatusAnswer):
    """Of a maintenance task."""

    taskNo = serializers.CharField()
    isBlocking = serializers.BooleanField()


class InspectionResultAnswer(ReportAnswer):
    """The result that counts for the track now, and the unit's state."""

    trackId = serializers.CharField()
    inspectionType = serializers.CharField()
    result = serializers.CharField()
    unitStatus = serializers.CharField()
    isCurrent = serializers.BooleanField()


class StationDataAnswer(ReportAnswer):
    """What became of values of a station."""

    stationCode = serializers.CharField()
    dataValuesCreated = serializers.IntegerField()
    judge = serializers.CharField(allow_null=True)
    alarms = serializers.ListField(child=serializers.CharField())


class MaterialLoadsAnswer(ReportAnswer):
    """What became of a report of slots."""

    stationCode = serializers.CharField()
    recorded = serializers.IntegerField(help_text="How many of them were news: what is known already changes nothing.")


class MaterialUsesAnswer(ReportAnswer):
    """How many uses were kept."""

    stationCode = serializers.CharField()
    uses = serializers.IntegerField()


class StatusReportItem(RowSerializer):
    """An accepted report."""

    id = IdField()
    eventId = serializers.CharField()
    eventTime = OffsetDateTimeField()
    receivedAt = OffsetDateTimeField()
    operatorId = ClaimedByField()
    recordedBy = RecordedByField()

    class Meta:
        model = StatusReport
        fields = ["id", "eventId", "eventTime", "receivedAt", "source", "operatorId", "recordedBy", "content", "meta"]


class StatusViewSet(mixins.ListModelMixin, GenericViewSet):
    """What is reported of one kind of thing."""

    channel: ClassVar[StatusChannel]
    queryset = StatusReport.objects.all()
    serializer_class = StatusReportItem
    parser_classes = [parsing.UnreadJSON]  # the body is decoded once, by the service
    filter_backends = []
    station_access = {"create": StationAccess.OWN}

    def get_queryset(self) -> QuerySet[StatusReport]:
        """Reports of this kind, of the asked subject and period of event time."""
        reports = super().get_queryset().filter(kind=self.channel.kind.report_kind)
        parameters = self.request.query_params
        if subject := parameters.get(camel_case(self.channel.kind.subject)):
            reports = reports.filter(subject=subject)
        if event_id := parameters.get("eventId"):
            reports = reports.filter(event_id=event_id)
        since = read_moment(parameters, "eventFrom")
        until = read_moment(parameters, "eventTo", end=True)
        if since is not None:
            reports = reports.filter(event_time__gte=since)
        if until is not None:
            reports = reports.filter(event_time__lt=until)
        return reports

    def create(self, request: Request) -> Response:
        """Apply one report."""
        received = self.channel.receive(parsing.read_body(request), sender_of(request))
        return Response(received.answer, status=200 if received.is_duplicate else 201)


def _describe(
    name: str,
    *,
    report: str,
    answer: type[serializers.Serializer],
    example: dict[str, Any],
    note: str = "",
    capabilities: tuple[Capability, ...] = (Capability.STATUS,),
) -> Any:
    """Make the viewset of a channel, with its documentation."""
    channel = CHANNELS[name]
    subject = camel_case(channel.kind.subject)
    documented = extend_schema_view(
        create=extend_schema(
            summary=f"Report {report}",
            description=f"{note}\n\n{RECEIVING}".strip(),
            request=inline_schema(channel.kind.body),
            responses={201: answer, 200: answer},
            examples=[OpenApiExample("A report", value={"eventId": "evt-1", **ENVELOPE, **example}, request_only=True)],
        ),
        list=extend_schema(
            summary=f"List what was reported: {report}",
            parameters=[
                OpenApiParameter(subject, str),
                OpenApiParameter("eventId", str),
                OpenApiParameter("eventFrom", str, description="Date or time with offset, included."),
                OpenApiParameter("eventTo", str, description="Date (its whole day) or time with offset, not included."),
            ],
        ),
    )
    class_name = "".join(part.capitalize() for part in name.split("-")) + "ViewSet"
    attributes = {"channel": channel, "capabilities": {"*": capabilities}, "__doc__": StatusViewSet.__doc__}
    return documented(type(class_name, (StatusViewSet,), attributes))


StencilStatusViewSet = _describe(
    "stencil-status",
    report="the status of a stencil",
    answer=StencilStatusAnswer,
    example={
        "stencilId": "ST-4711-T",
        "status": "READY",
        "tensionValue": 35.5,
        "lastCleanedAt": "2026-01-24T09:40:00Z",
    },
    note="A later `lastCleanedAt` begins a new count of uses. At least one of `status`, `version`, `tensionValue` and "
    "`lastCleanedAt` is given.",
)
SolderPasteStatusViewSet = _describe(
    "solder-paste-status",
    report="the status of a solder paste lot",
    answer=SolderPasteStatusAnswer,
    example={"lotId": "SP-2026-01-0042", "status": "COMPLIANT", "expiresAt": "2026-07-01T00:00:00Z"},
)
SolderPasteUsageViewSet = _describe(
    "solder-paste-usage",
    report="the use of a solder paste lot",
    answer=SolderPasteUsageAnswer,
    example={"lotId": "SP-2026-01-0042", "lineCode": "SMT-A", "issuedAt": "2026-01-24T10:00:00Z"},
    note="A usage is (lot, issued at); reports merge into it. A return without `issuedAt` belongs to the latest issue "
    "before it. The issue begins the time of use, the return or unbinding the lot from its line ends it.",
    capabilities=(Capability.STATUS, Capability.BIND),
)
LotEventsViewSet = _describe(
    "lot-events",
    report="what happened to a material lot",
    answer=LotReportAnswer,
    example={"lotId": "R-000417", "kind": "COUNTED", "quantity": 1200},
    note="A lot that nothing mentioned before is made. COUNTED and SPLIT have a `quantity`, SPLIT names the part as "
    "`newLotId`, a bake its `temperatureC`. A count counts unless a later one is known; the time that parts "
    "lay open is read from all events by their times.",
)
EquipmentStatusViewSet = _describe(
    "equipment-status",
    report="the status of a machine",
    answer=EquipmentStatusAnswer,
    example={"equipmentCode": "EQ-1", "status": "normal"},
    note="Any status but `normal` keeps units from entering the station.",
)
MaintenanceTaskViewSet = _describe(
    "maintenance-task",
    report="a maintenance task of a machine",
    answer=MaintenanceTaskAnswer,
    example={"equipmentCode": "EQ-1", "taskNo": "MT-0815", "status": "OPEN", "isBlocking": True, "title": "Nozzles"},
    note="An open task that blocks fails the readiness of the machine's line.",
)
InspectionResultViewSet = _describe(
    "inspection-result",
    report="the result of an inspection",
    answer=InspectionResultAnswer,
    example={
        "runNo": "WO-4711-01",
        "stationCode": "AOI-A1",
        "unitSn": "SN-0001",
        "stepNo": 50,
        "inspectionType": "AOI",
        "result": "FAIL",
        "defects": [{"code": "BRIDGE", "location": "U7"}],
    },
    note="It belongs to the latest such track. A FAIL on the open track forces its track-out to FAIL, unless a later "
    "review says PASS before; a FAIL for a closed track makes the defects and puts the unit on hold. A review's PASS "
    "for a closed track that nothing but inspections failed makes it a PASS (`resultOverride` REVIEW) and sends the "
    "unit on.",
)
StationDataViewSet = _describe(
    "station-data",
    report="values of a station itself",
    answer=StationDataAnswer,
    example={
        "stationCode": "PLC-A1",
        "operationCode": "PLACE",
        "data": [{"specName": "Program Name", "valueText": "CTRL-100"}],
    },
    note="For what belongs to no unit, such as the program a machine has loaded before its run begins. The values are "
    "judged by the live specs of the operation, and may confirm a preparation (data source DEVICE).",
    capabilities=(Capability.STATUS, Capability.DEVICE_DATA),
)

MaterialUsesViewSet = _describe(
    "material-uses",
    report="what was used for units",
    answer=MaterialUsesAnswer,
    example={
        "stationCode": "PLC-A1",
        "uses": [{"unitSn": "SN-0001", "lotId": "R-000417", "materialCode": "R-10K", "slot": "12", "refDes": "R101"}],
    },
    note="Each use names one of `lotId`, which exists from its first mention, `toolId` and `serial`, which needs its "
    "`materialCode` and is installed as `POST /api/stations/{code}/install` does it. It belongs to the latest pass of "
    "the unit at the station that had begun at `eventTime`, and stands in the place of what slots tell of `slot`, or "
    "without it of the material. `isRemoved`: it was taken out again. All or none are kept.",
    capabilities=(Capability.STATUS, Capability.DEVICE_DATA),
)


MaterialLoadsViewSet = _describe(
    "material-loads",
    report="what was done to slots of a station",
    answer=MaterialLoadsAnswer,
    example={
        "stationCode": "PLC-A1",
        "loads": [{"action": "LOADED", "slot": "F12", "lotId": "R-000417", "materialCode": "R-0402-10K"}],
    },
    note="A machine's report is a fact: a wrong, blocked or unknown lot is recorded, and is a fault of the set-up. A "
    "lot or tool exists from its first mention. A program may have no slot; UNLOADED needs a slot or what was taken "
    "out. EMPTY uses the lot up, without `lotId` the one in use there. Reported anew, what is known changes nothing.",
)


def register(router: BaseRouter) -> None:
    """Add the address of each kind."""
    for viewset in (
        StencilStatusViewSet,
        SolderPasteStatusViewSet,
        SolderPasteUsageViewSet,
        LotEventsViewSet,
        MaterialLoadsViewSet,
        EquipmentStatusViewSet,
        MaintenanceTaskViewSet,
        InspectionResultViewSet,
        StationDataViewSet,
        MaterialUsesViewSet,
    ):
        router.register(f"integration/{viewset.channel.name}", viewset, viewset.channel.name)
