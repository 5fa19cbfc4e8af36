"""Set-up lists over HTTP: made, changed while they are drafts, released, and bound to runs."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.line_setup.set_up_lists import goodness, queries, services
from mes.line_setup.set_up_lists.models import RunSetUpList, SetUpItem, SetUpItemKind, SetUpList
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.plant.reach import OfServedLines, check_serves_line
from mes.platform.accounts.permissions import READS_OWN, StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.master_data import OptionalTextField
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    WithChangeReason,
    read,
    read_change_reason,
)
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.inbound.sender import sender_of
from mes.platform.validators import validate_line
from mes.production.models import Run

MOST_NAMES = 100  # of one item: alternates, tools
MOST_DESIGNATORS = 1000
LARGEST_REVISION = 2**31 - 1


class SetUpItemFields(StrictSerializer):
    """What a slot must hold."""

    stationCode = CodeField()
    slot = CodeField()
    kind = serializers.ChoiceField(choices=SetUpItemKind.choices, required=False, default=SetUpItemKind.PART)
    materialCode = CodeField(required=False, allow_null=True, help_text="Of a part.")
    alternates = serializers.ListField(
        child=CodeField(), required=False, max_length=MOST_NAMES, help_text="Materials that may stand in for the part."
    )
    quantityPerUnit = serializers.DecimalField(
        max_digits=14, decimal_places=4, coerce_to_string=False, required=False, help_text="By default 1."
    )
    refDes = serializers.ListField(
        child=serializers.CharField(max_length=100, validators=[validate_line]),
        required=False,
        max_length=MOST_DESIGNATORS,
        help_text="The designators that the part goes to.",
    )
    toolIds = serializers.ListField(
        child=CodeField(),
        required=False,
        max_length=MOST_NAMES,
        help_text="Of a tool: those of which one must be there.",
    )
    program = OptionalTextField(max_length=100, validators=[validate_line], help_text="Of a program: its name.")


class SetUpListRequest(WithChangeReason, StrictSerializer):
    """A new draft."""

    routeCode = CodeField()
    lineCode = CodeField()
    items = SetUpItemFields(many=True, required=False, max_length=services.MOST_ITEMS)  # type: ignore[call-arg]


class SetUpListChange(WithChangeReason, StrictSerializer):
    """What a draft is to have."""

    items = SetUpItemFields(many=True, max_length=services.MOST_ITEMS)  # type: ignore[call-arg]


class SetUpListBinding(StrictSerializer):
    """Which list a run is to go by, and why."""

    revision = serializers.IntegerField(min_value=1, max_value=LARGEST_REVISION)
    reason = DecisionReasonField()


class SetUpItemAnswer(RowSerializer):
    """What a slot must hold."""

    stationCode = serializers.CharField(source="station.code")
    materialCode = serializers.CharField(source="material.code", default=None, allow_null=True)
    alternates = serializers.SerializerMethodField()
    quantityPerUnit = serializers.DecimalField(max_digits=14, decimal_places=4, coerce_to_string=False)
    refDes = serializers.ListField(child=serializers.CharField())
    toolIds = serializers.SerializerMethodField()
    program = OptionalTextField()

    class Meta:
        model = SetUpItem
        fields = [
            "stationCode",
            "slot",
            "kind",
            "materialCode",
            "alternates",
            "quantityPerUnit",
            "refDes",
            "toolIds",
            "program",
        ]

    def get_alternates(self, item: SetUpItem) -> list[str]:
        """Their codes."""
        return sorted(material.code for material in item.alternates.all())

    def get_toolIds(self, item: SetUpItem) -> list[str]:
        """Their ids."""
        return sorted(tool.tool_id for tool in item.tools.all())


class SetUpListRow(RowSerializer):
    """A set-up list."""

    id = IdField()
    routeCode = serializers.CharField(source="route.code")
    lineCode = serializers.CharField(source="line.code")
    createdBy = serializers.CharField()
    createdAt = OffsetDateTimeField()
    releasedBy = OptionalTextField()
    releasedAt = OffsetDateTimeField(allow_null=True)

    class Meta:
        model = SetUpList
        fields = [
            "id",
            "routeCode",
            "lineCode",
            "revision",
            "status",
            "createdBy",
            "createdAt",
            "releasedBy",
            "releasedAt",
        ]


class SetUpListAnswer(SetUpListRow):
    """A set-up list with its items."""

    items = serializers.SerializerMethodField()

    class Meta(SetUpListRow.Meta):
        fields = [*SetUpListRow.Meta.fields, "items"]

    @extend_schema_field(SetUpItemAnswer(many=True))
    def get_items(self, found: SetUpList) -> Any:
        """By station and slot."""
        return SetUpItemAnswer(queries.list_items(found), many=True).data


class RunSetUpListAnswer(RowSerializer):
    """Which list a run goes by."""

    runNo = serializers.CharField(source="run.run_no")
    id = serializers.CharField(source="set_up_list_id")
    revision = serializers.IntegerField(source="set_up_list.revision")
    boundAt = OffsetDateTimeField()
    boundBy = serializers.CharField()
    reason = serializers.CharField()

    class Meta:
        model = RunSetUpList
        fields = ["runNo", "id", "revision", "boundAt", "boundBy", "reason"]


class LoadedAnswer(serializers.Serializer):
    """What is in a slot."""

    id = serializers.CharField(source="pk")
    slot = serializers.CharField()
    lotId = serializers.CharField(source="lot.lot_id", default=None, allow_null=True)
    toolId = serializers.CharField(source="tool.tool_id", default=None, allow_null=True)
    program = OptionalTextField()
    materialCode = serializers.CharField(source="lot.material.code", default=None, allow_null=True)
    state = serializers.CharField(help_text="ACTIVE, or NEXT where it is spliced behind.")
    at = OffsetDateTimeField(source="loaded_at")


class SlotAnswer(serializers.Serializer):
    """A slot of the list."""

    slot = serializers.CharField(source="item.slot")
    expected = SetUpItemAnswer(source="item")
    loaded = LoadedAnswer(source="loads", many=True, help_text="What is in use first, what is spliced behind next.")
    state = serializers.CharField(help_text="`OK`, or the code of the weightiest fault.")
    faults = serializers.ListField(child=serializers.CharField())
    remaining = serializers.FloatField(
        allow_null=True, help_text="How much is in its lots by their latest counts; null where nobody said of one."
    )
    change = serializers.ChoiceField(choices=list(goodness.CHANGES))


class StationSetUpAnswer(serializers.Serializer):
    """A station that the list names."""

    stationCode = serializers.CharField(source="station.code")
    isGood = serializers.BooleanField(source="is_good")
    goodUntil = OffsetDateTimeField(source="good_until", allow_null=True)
    slots = SlotAnswer(many=True)
    remove = LoadedAnswer(many=True, help_text="What is there and not in the list.")


class RunSetUpAnswer(serializers.Serializer):
    """What a run wants, and what is there."""

    runNo = serializers.CharField(source="run.run_no")
    lineCode = serializers.CharField(source="run.line.code")
    materialControl = serializers.CharField(source="run.line.material_control")
    revision = serializers.IntegerField(allow_null=True, help_text="Null where the run has no list.")
    isGood = serializers.BooleanField(source="is_good", help_text="There is a list, and every slot is as it says.")
    goodUntil = OffsetDateTimeField(source="good_until", allow_null=True, help_text="By time alone; null: for ever.")
    stations = StationSetUpAnswer(many=True)


LIST = OpenApiExample(
    "A part with an alternate, a stencil, and a program",
    value={
        "routeCode": "CTRL-100",
        "lineCode": "SMT-A",
        "items": [
            {
                "stationCode": "SMT-02",
                "slot": "F12",
                "materialCode": "R-0402-10K",
                "alternates": ["R-0402-10K-B"],
                "quantityPerUnit": 4,
                "refDes": ["R1", "R2", "R7", "R9"],
            },
            {"stationCode": "SMT-01", "slot": "STENCIL", "kind": "TOOL", "toolIds": ["ST-4711-T"]},
            {"stationCode": "SMT-02", "slot": "PROGRAM", "kind": "PROGRAM", "program": "CTRL-100-T rev C"},
        ],
    },
    request_only=True,
)
CHANGE = OpenApiExample(
    "One slot",
    value={"items": [{"stationCode": "SMT-02", "slot": "F12", "materialCode": "R-0402-10K", "quantityPerUnit": 4}]},
    request_only=True,
)
BINDING = OpenApiExample(
    "The second source from now on", value={"revision": 4, "reason": "R7 is out of stock"}, request_only=True
)
WHAT = (
    "What the slots of a line must hold for a route. `PART` has a material, alternates, a quantity per unit and "
    "designators; `TOOL` has the tools of which one must be there; `PROGRAM` its name. Each slot of a station is named "
    "once; the stations are of the line, or of no line. Everything that is wrong is told at once."
)


@extend_schema_view(
    list=extend_schema(summary="List set-up lists, newest first"),
    create=extend_schema(
        summary="Create a set-up list",
        description=f"{WHAT} It is a draft, with the next revision of its route and line.",
        request=SetUpListRequest,
        responses={201: SetUpListAnswer},
        examples=[LIST],
    ),
    retrieve=extend_schema(summary="Read one set-up list", responses=SetUpListAnswer),
    partial_update=extend_schema(
        summary="Change a draft of a set-up list",
        description=f"{WHAT} The items are replaced whole. A released list is refused with LIST_RELEASED.",
        request=SetUpListChange,
        responses=SetUpListAnswer,
        examples=[CHANGE],
    ),
    destroy=extend_schema(
        summary="Delete a draft of a set-up list", description="A released list is refused with LIST_RELEASED."
    ),
)
class SetUpListViewSet(OfServedLines, mixins.ListModelMixin, GenericViewSet):
    """Set-up lists."""

    queryset = SetUpList.objects.select_related("route", "line")
    serializer_class = SetUpListRow
    lookup_field = "id"
    lookup_value_regex = "[^/]+"
    capabilities = {"*": (Capability.MASTER_DATA,)}
    station_access = READS_OWN
    filter_backends = [ExactFilter]
    filters = {"routeCode": "route__code", "lineCode": "line__code", "status": "status"}

    def create(self, request: Request) -> Response:
        """Make a draft."""
        body = read(SetUpListRequest, request)
        made = services.create(
            route_code=body["route_code"],
            line_code=body["line_code"],
            items=_items(body.get("items", ())),
            by=operator_name(request),
        )
        return Response(SetUpListAnswer(made).data, status=201)

    def retrieve(self, request: Request, id: str) -> Response:
        """Answer with its items."""
        found = get_or_raise(self.get_queryset(), errors.SetUpListNotFound, pk=_id(id))
        self.check_object_permissions(request, found)
        return Response(SetUpListAnswer(found).data)

    def partial_update(self, request: Request, id: str) -> Response:
        """Replace its items."""
        items = read(SetUpListChange, request)["items"]
        return Response(SetUpListAnswer(services.replace_items(_id(id), items=_items(items))).data)

    def destroy(self, request: Request, id: str) -> Response:
        """Delete it."""
        read_change_reason(request)
        services.delete(_id(id))
        return Response(None)

    @extend_schema(
        summary="Release a set-up list",
        description="It never changes again. Runs that are made from now on go by it; others can be bound to it. "
        "Released once more, nothing changes.",
        request=None,
        responses=SetUpListAnswer,
    )
    @action(detail=True, methods=["post"])
    def release(self, request: Request, id: str) -> Response:
        """Release it."""
        return Response(SetUpListAnswer(services.release(_id(id), by=operator_name(request))).data)


class RunSetUpListViewSet(GenericViewSet):
    """What a run goes by."""

    queryset = RunSetUpList.objects.none()
    serializer_class = RunSetUpListAnswer
    capabilities = {"bind": (Capability.MASTER_DATA,)}
    station_access = {"set_up": StationAccess.OWN}

    @extend_schema(
        summary="Read how a run is set up",
        description="Each slot of its list with what is there, what is wrong, and what is to be done: `KEEP`, `CHANGE` "
        "or `LOAD`; and what is to be removed. Looked at at this moment: of a run that is in preparation, it is the "
        "changeover.",
        responses=RunSetUpAnswer,
    )
    def set_up(self, request: Request, run_no: str) -> Response:
        """Look."""
        run = get_or_raise(Run.objects.select_related("line"), errors.RunNotFound, run_no=run_no)
        check_serves_line(sender_of(request), run.line)
        return Response(RunSetUpAnswer(goodness.look_at_run(run, at=timezone.now())).data)

    @extend_schema(
        summary="Bind a run to another set-up list",
        description="The released list of this revision, of the run's route on its line, counts from now on; what "
        "passed before goes by the list of then. A run binds the latest released one as it is made.",
        request=SetUpListBinding,
        responses={201: RunSetUpListAnswer, 200: RunSetUpListAnswer},
        examples=[BINDING],
    )
    def bind(self, request: Request, run_no: str) -> Response:
        """Bind it."""
        body = read(SetUpListBinding, request)
        binding, is_new = services.bind(run_no=run_no, by=operator_name(request), **body)
        return Response(RunSetUpListAnswer(binding).data, status=201 if is_new else 200)


def _id(text: str) -> int:
    return id_or_raise(text, errors.SetUpListNotFound)


def _items(items: Any) -> list[ItemInput]:
    return [
        ItemInput(**{**item, "material_code": item.get("material_code") or None, "program": item.get("program") or ""})
        for item in items
    ]


def register(router: BaseRouter) -> None:
    """Add the addresses of set-up lists."""
    router.register("setup-lists", SetUpListViewSet, basename="set-up-list")
