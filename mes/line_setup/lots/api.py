"""Material lots over HTTP: registered by fields or by label, split, blocked, counted, opened, dried and baked."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter

from mes import errors
from mes.line_setup.lots import services
from mes.line_setup.lots.clocks import read_clocks, read_one
from mes.line_setup.lots.floor_life import Clock, ClockState
from mes.line_setup.lots.labels import LONGEST_LABEL
from mes.line_setup.lots.models import MOST, LotEvent, LotEventKind, LotStatus, MaterialLot
from mes.line_setup.lots.queries import rest_of
from mes.line_setup.lots.services import Who
from mes.plant.models import Material, MoistureSensitivity
from mes.platform.accounts.permissions import READS_SHARED, StationAccess, check_capability, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, OptionalChoiceField, OptionalTextField, describe
from mes.platform.http.serializers import (
    ClaimedByField,
    CodeField,
    CodeRelatedField,
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RecordedByField,
    RowSerializer,
    StrictModelSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import CodeModelViewSet

KEEPS_LOTS = (Capability.BIND, Capability.MASTER_DATA, Capability.STATUS)
LONGEST_BODY_TEXT = 1_010_000  # no longer body is read: what is too long for a label is LABEL_UNREADABLE
TOLD_KINDS = (
    LotEventKind.OPENED,
    LotEventKind.DRY_IN,
    LotEventKind.DRY_OUT,
    LotEventKind.SEALED,
    LotEventKind.BAKE_START,
    LotEventKind.BAKE_END,
    LotEventKind.COUNTED,
    LotEventKind.USED_UP,
    LotEventKind.SCRAPPED,
)


class QuantityField(serializers.DecimalField):
    """How much there is of a material, in its unit."""

    def __init__(self, **kwargs: Any) -> None:
        given = {"max_digits": 14, "decimal_places": 4, "min_value": 0, "max_value": MOST, "coerce_to_string": False}
        super().__init__(**{**given, **kwargs})


class FloorLifeAnswer(serializers.Serializer):
    """The floor life of a lot now."""

    state = serializers.ChoiceField(choices=ClockState.choices)
    exposedMinutes = serializers.IntegerField(help_text="Open since the last sufficient bake.")
    leftMinutes = serializers.IntegerField(allow_null=True, help_text="Null: no limit. 0 left is expired.")


class LotSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A package of a material."""

    fixed = ("lotId",)

    id = IdField()
    lotId = CodeField(source="lot_id")
    materialCode = CodeRelatedField(source="material", queryset=Material.objects, not_found=errors.MaterialNotFound)
    quantity = QuantityField(required=False, allow_null=True, help_text="As it was registered.")
    supplier = OptionalTextField(max_length=100)
    supplierLot = OptionalTextField(max_length=100)
    manufacturerPart = OptionalTextField(max_length=100)
    dateCode = OptionalTextField(max_length=100)
    msl = OptionalChoiceField(choices=MoistureSensitivity.choices, help_text="J-STD-020. Null: as its material.")
    bodyThicknessMm = serializers.DecimalField(
        max_digits=6, decimal_places=3, min_value=0, required=False, allow_null=True, coerce_to_string=False
    )
    floorLifeHours = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=100_000, help_text="Of level 6, after a bake."
    )
    expiresAt = OffsetDateTimeField(required=False, allow_null=True)
    status = serializers.ChoiceField(choices=LotStatus.choices, read_only=True)
    blockReason = serializers.CharField(read_only=True)
    parentLotId = serializers.SerializerMethodField()
    isSolderPaste = serializers.BooleanField(source="is_solder_paste", read_only=True)
    remaining = serializers.SerializerMethodField()
    msd = serializers.SerializerMethodField()

    class Meta:
        model = MaterialLot
        fields = [
            "id",
            "lotId",
            "materialCode",
            "quantity",
            "supplier",
            "supplierLot",
            "manufacturerPart",
            "dateCode",
            "msl",
            "bodyThicknessMm",
            "floorLifeHours",
            "expiresAt",
            "status",
            "blockReason",
            "parentLotId",
            "isSolderPaste",
            "remaining",
            "msd",
        ]

    @extend_schema_field({"type": "string", "nullable": True, "description": "The lot that it was split from."})
    def get_parentLotId(self, lot: MaterialLot) -> str | None:
        """The lot that it was split from."""
        return lot.parent.lot_id if lot.parent else None

    @extend_schema_field({"type": "number", "nullable": True, "description": "By the latest count. Null: unknown."})
    def get_remaining(self, lot: MaterialLot) -> Any:
        """What is left."""
        return rest_of(lot)

    @extend_schema_field(FloorLifeAnswer)
    def get_msd(self, lot: MaterialLot) -> dict[str, Any]:
        """The floor life: of a page, all were read at once."""
        clock: Clock | None = self.context.get("clocks", {}).get(lot.pk)
        clock = clock or read_one(lot, timezone.now())
        return {
            "state": clock.state.value,
            "exposedMinutes": clock.exposed_minutes,
            "leftMinutes": clock.left_minutes,
        }


class LotRegistration(LotSerializer):
    """A new lot: by `lotId` and `materialCode`, or by `label` alone."""

    lotId = CodeField(source="lot_id", required=False)
    materialCode = CodeRelatedField(
        source="material", queryset=Material.objects, not_found=errors.MaterialNotFound, required=False
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a field of the body
        required=False,
        write_only=True,
        trim_whitespace=False,
        max_length=LONGEST_BODY_TEXT,
        help_text=(
            "What a scanner read: format 06 of ISO/IEC 15434, with its control characters or `{RS}`, `{GS}`, `{EOT}`; "
            f"at most {LONGEST_LABEL} characters."
        ),
    )

    class Meta(LotSerializer.Meta):
        fields = [*LotSerializer.Meta.fields, "label"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of the two."""
        label = attrs.pop("label", None)
        if label is not None:
            if attrs:
                raise serializers.ValidationError({"label": [_("A label stands alone.")]})
            return {"label": label}
        missing = [name for name, source in (("lotId", "lot_id"), ("materialCode", "material")) if source not in attrs]
        if missing:
            raise serializers.ValidationError(
                {name: [self.fields[name].error_messages["required"]] for name in missing}
            )
        return super().validate(attrs)

    def check_candidate(self, candidate: Any, excluded: Any) -> None:
        """Leave it to the service whether there is one already: something may have mentioned it before."""
        candidate.full_clean(exclude=excluded, validate_unique=False, validate_constraints=False)


class LotSplit(StrictSerializer):
    """A part of a lot that becomes one of its own."""

    newLotId = CodeField()
    quantity = QuantityField()

    def validate_quantity(self, value: Any) -> Any:
        """Nothing is no part."""
        if value <= 0:
            raise serializers.ValidationError(_("Must be greater than 0."))
        return value


class LotDecision(StrictSerializer):
    """Why a lot is blocked or unblocked."""

    reason = DecisionReasonField()


class LotEventRequest(StrictSerializer):
    """What happened to a lot."""

    kind = serializers.ChoiceField(choices=[(kind.value, kind.label) for kind in TOLD_KINDS])
    at = OffsetDateTimeField(required=False, allow_null=True)
    temperatureC = serializers.DecimalField(
        max_digits=6,
        decimal_places=2,
        min_value=-273,
        max_value=1000,
        required=False,
        allow_null=True,
        coerce_to_string=False,
        help_text="Of a bake.",
    )
    quantity = QuantityField(required=False, allow_null=True, help_text="What was counted.")
    reason = DecisionReasonField(required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for what the kind needs, and take nothing that it cannot mean."""
        kind, problems = attrs["kind"], {}
        is_count, is_bake = kind == LotEventKind.COUNTED, kind in (LotEventKind.BAKE_START, LotEventKind.BAKE_END)
        if is_count != (attrs.get("quantity") is not None):
            problems["quantity"] = _("Say how much was counted.") if is_count else _("Only for COUNTED.")
        if not is_bake and attrs.get("temperature_c") is not None:
            problems["temperatureC"] = _("Only for BAKE_START and BAKE_END.")
        if kind == LotEventKind.SCRAPPED and not attrs.get("reason"):
            problems["reason"] = _("Say why it is scrapped.")
        if problems:
            raise serializers.ValidationError({name: [problem] for name, problem in problems.items()})
        return attrs


class LotEventAnswer(RowSerializer):
    """Something that happened to a lot."""

    id = IdField()
    at = OffsetDateTimeField()
    temperatureC = serializers.DecimalField(
        max_digits=6, decimal_places=2, coerce_to_string=False, allow_null=True, source="temperature_c"
    )
    quantity = QuantityField(allow_null=True)
    otherLotId = serializers.CharField(source="other.lot_id", default=None, allow_null=True)
    operator = ClaimedByField()
    recordedBy = RecordedByField()
    createdAt = OffsetDateTimeField()

    class Meta:
        model = LotEvent
        fields = [
            "id",
            "kind",
            "at",
            "temperatureC",
            "quantity",
            "otherLotId",
            "reason",
            "source",
            "operator",
            "recordedBy",
            "createdAt",
        ]


REGISTERED = (
    "By fields, or by `label`: its `P` names the material, else its `1P` one of the `manufacturerParts` of one; `3S`, "
    "else `S`, else `1T` is the lot. A label that is known is answered with its lot (200), where the material agrees "
    "(LOT_MATERIAL_MISMATCH). A lot that something mentioned before is said here what is in it."
)
BLOCKING = "With all that was split from it. Unblocking frees this lot only."
_LOT = OpenApiExample(
    "A reel",
    value={
        "lotId": "R-000417",
        "materialCode": "R-0402-10K",
        "quantity": 5000,
        "supplierLot": "L2601",
        "dateCode": "2603",
    },
    request_only=True,
)
_SPLIT = OpenApiExample("A part", value={"newLotId": "R-000417/2", "quantity": 1000}, request_only=True)
_REASON = OpenApiExample("A reason", value={"reason": "The supplier calls it back."}, request_only=True)
_LABEL = OpenApiExample(
    "A label",
    value={"label": "[)>{RS}06{GS}PR-0402-10K{GS}Q5000{GS}1TL2601{GS}10D2603{GS}3SR-000417{RS}{EOT}"},
    request_only=True,
)


@describe(
    "material lot",
    "material lots",
    example={"lotId": "R-000417", "materialCode": "R-0402-10K", "quantity": 5000},
    change={"expiresAt": "2027-01-01T00:00:00Z"},
)
class MaterialLotViewSet(CodeModelViewSet):
    """Packages of parts, paste or whatever boards are made of."""

    http_method_names = ["get", "post", "patch", "head", "options"]
    queryset = MaterialLot.objects.select_related("material", "parent")
    serializer_class = LotSerializer
    lookup_field = "lot_id"
    not_found = errors.LotNotFound
    capabilities = {
        "create": KEEPS_LOTS,
        "partial_update": (Capability.MASTER_DATA,),
        "split": KEEPS_LOTS,
        "record_event": KEEPS_LOTS,
        "block": (Capability.RELEASE,),
        "unblock": (Capability.RELEASE,),
    }
    station_access = {**READS_SHARED, "events": StationAccess.SHARED}
    filters = {
        "lotId": "lot_id",
        "materialCode": "material__code",
        "status": "status",
        "supplierLot": "supplier_lot",
        "dateCode": "date_code",
        "parentLotId": "parent__lot_id",
        "isSolderPaste": "is_solder_paste",
    }
    search_fields = ("lot_id", "supplier_lot", "material__code")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Read the floor life of all lots of a page at once."""
        if kwargs.get("many") and args:
            lots = list(args[0])
            kwargs["context"] = {**self.get_serializer_context(), "clocks": read_clocks(lots, timezone.now())}
            args = (lots, *args[1:])
        return super().get_serializer(*args, **kwargs)

    @extend_schema(
        summary="Register a material lot",
        description=REGISTERED,
        request=LotRegistration,
        responses={201: LotSerializer, 200: LotSerializer},
        examples=[_LOT, _LABEL],
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Register it."""
        body = read(LotRegistration, request)
        if "label" in body:
            lot, is_new = services.register_by_label(body["label"])
            return _answer(lot, status=201 if is_new else 200)
        lot_id = body.pop("lot_id")
        return _answer(services.register(lot_id, body), status=201)

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """Save only what is typed here: counts and reports come in meanwhile."""
        lot: Any = serializer.instance
        serializer.instance = services.change(lot.lot_id, dict(serializer.validated_data))

    @extend_schema(summary="Split a material lot", request=LotSplit, responses={201: LotSerializer}, examples=[_SPLIT])
    @action(detail=True, methods=["post"])
    def split(self, request: Request, lot_id: str) -> Response:
        """Take a part of it out as a lot of its own, which is answered."""
        body = read(LotSplit, request)
        new, _event = services.split(
            lot_id, new_lot_id=body["new_lot_id"], quantity=body["quantity"], who=who_asks(request)
        )
        return _answer(new, status=201)

    @extend_schema(
        summary="Block a material lot",
        description=BLOCKING,
        request=LotDecision,
        responses={200: LotSerializer},
        examples=[_REASON],
    )
    @action(detail=True, methods=["post"])
    def block(self, request: Request, lot_id: str) -> Response:
        """Block it."""
        reason = read(LotDecision, request)["reason"]
        return _answer(services.block(lot_id, reason=reason, who=who_asks(request)))

    @extend_schema(
        summary="Unblock a material lot",
        description=BLOCKING,
        request=LotDecision,
        responses={200: LotSerializer},
        examples=[_REASON],
    )
    @action(detail=True, methods=["post"])
    def unblock(self, request: Request, lot_id: str) -> Response:
        """Let it be used again."""
        reason = read(LotDecision, request)["reason"]
        return _answer(services.unblock(lot_id, reason=reason, who=who_asks(request)))

    @extend_schema(
        summary="List what happened to a material lot, the last recorded first",
        responses=LotEventAnswer(many=True),
    )
    @action(detail=True, methods=["get"])
    def events(self, request: Request, lot_id: str) -> Response:
        """Return a page of its events."""
        rows = LotEvent.objects.filter(lot=self.get_object()).select_related("other")
        page = self.paginate_queryset(rows.order_by("-id"))
        return self.get_paginated_response(LotEventAnswer(page, many=True).data)

    @extend_schema(
        summary="Record what happened to a material lot",
        description="A count counts unless a later one did; nothing left is USED_UP, and more brings it back. SCRAPPED "
        "needs a reason and the right to release.",
        request=LotEventRequest,
        responses={201: LotSerializer},
        examples=[OpenApiExample("A count", value={"kind": "COUNTED", "quantity": 1200}, request_only=True)],
    )
    @events.mapping.post
    def record_event(self, request: Request, lot_id: str) -> Response:
        """Record an event, and answer the lot."""
        return _answer(record_told(request, lot_id, read(LotEventRequest, request)), status=201)


def record_told(request: Any, lot_id: str, told: dict[str, Any]) -> MaterialLot:
    """Record what a person or system tells of a lot, as `LotEventRequest` reads it; return the lot."""
    kind = LotEventKind(told["kind"])
    if kind == LotEventKind.SCRAPPED:
        check_capability(request, Capability.RELEASE)
    lot, _event = services.record_event(
        lot_id,
        kind,
        who=who_asks(request),
        at=told.get("at"),
        quantity=told.get("quantity"),
        temperature_c=told.get("temperature_c"),
        reason=told.get("reason", ""),
    )
    return lot


def who_asks(request: Any) -> Who:
    """Return who is signed in."""
    return Who(recorded_by=operator_name(request))


def _answer(lot: MaterialLot, *, status: int = 200) -> Response:
    return Response(LotSerializer(lot).data, status=status)


def register(router: BaseRouter) -> None:
    """Add the addresses of material lots."""
    router.register("material-lots", MaterialLotViewSet, "material-lot")
