"""Lines, station groups, stations, equipment, operations, materials and bills of material over HTTP."""

from decimal import Decimal
from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.routers import BaseRouter
from rest_framework.settings import api_settings

from mes import errors
from mes.plant import hooks, rules
from mes.plant.hooks import list_choices
from mes.plant.models import (
    LONGEST_PART,
    MOST_PARTS,
    BomItem,
    Equipment,
    Line,
    Material,
    MaterialControl,
    MoistureSensitivity,
    Operation,
    OperationKind,
    ProcessType,
    Station,
    StationGroup,
    StationType,
)
from mes.plant.reach import OfServedLines
from mes.platform.accounts.permissions import READS_OWN, READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.database.references import check_unused
from mes.platform.http.master_data import FixedFieldsMixin, OptionalChoiceField, describe
from mes.platform.http.serializers import CodeRelatedField, IdField, StrictModelSerializer
from mes.platform.http.viewsets import CodeModelViewSet, IdModelViewSet
from mes.platform.validators import CODE_LENGTH

_WHOLE = api_settings.NON_FIELD_ERRORS_KEY
MASTER_DATA = {"*": (Capability.MASTER_DATA,)}


class _PlantSerializer(FixedFieldsMixin, StrictModelSerializer):
    """Things of the plant: an opaque id beside the code, which never changes."""

    id = IdField()


class _InUseMixin:
    """Looks for users that no foreign key knows of before it deletes."""

    def perform_destroy(self, instance: models.Model) -> None:
        """Delete, unless something still uses it."""
        with transaction.atomic():
            check_unused(instance)
            super().perform_destroy(instance)  # type: ignore[misc]


# --- lines ------------------------------------------------------------------------------------------------

_NO_BLANK_ENDS = r"^\S([\s\S]*\S)?$"
_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
_SHIFTS_SCHEMA = {
    "type": "array",
    "maxItems": rules.MOST_SHIFTS,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": list(rules.SHIFT_KEYS),
        "properties": {
            "code": {"type": "string", "minLength": 1, "maxLength": CODE_LENGTH, "pattern": _NO_BLANK_ENDS},
            "start": {"type": "string", "maxLength": 5, "pattern": _TIME, "example": "22:00"},
            "end": {"type": "string", "maxLength": 5, "pattern": _TIME, "example": "06:00"},
            "weekdays": {
                "type": "array",
                "minItems": 1,
                "maxItems": 7,
                "uniqueItems": True,
                "items": {"type": "integer", "minimum": 1, "maximum": 7},
            },
        },
    },
}


@extend_schema_field(_SHIFTS_SCHEMA)
class ShiftsField(serializers.JSONField):
    """The shifts of a line in local time."""


class LineSerializer(_PlantSerializer):
    """A line."""

    processType = serializers.ChoiceField(choices=ProcessType.choices)
    readinessChecks = serializers.ListField(child=serializers.CharField(max_length=100), required=False)
    shifts = ShiftsField(required=False)
    materialControl = serializers.ChoiceField(choices=MaterialControl.choices, required=False)
    lowUnits = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False)

    class Meta:
        model = Line
        fields = ("id", "code", "name", "processType", "readinessChecks", "shifts", "materialControl", "lowUnits")

    def validate_readinessChecks(self, value: list[str]) -> list[str]:
        """Only checks that exist."""
        if problems := rules.find_readiness_problems(value, known=dict(list_choices())):
            raise serializers.ValidationError({place: str(text) for place, text in problems.items()})
        return value

    def validate_shifts(self, value: object) -> object:
        """Only shifts that can be read."""
        if problems := rules.find_shift_problems(value):
            raise serializers.ValidationError({place or _WHOLE: str(text) for place, text in problems.items()})
        return value


@describe(
    "line",
    "lines",
    example={
        "code": "SMT-A",
        "name": "SMT line A",
        "processType": "SMT",
        "readinessChecks": ["ROUTE", "EQUIPMENT", "STENCIL", "SOLDER_PASTE"],
        "shifts": [
            {"code": "DAY", "start": "06:00", "end": "18:00", "weekdays": [1, 2, 3, 4, 5]},
            {"code": "NIGHT", "start": "18:00", "end": "06:00", "weekdays": [1, 2, 3, 4, 5]},
        ],
        "materialControl": "ENFORCE",
        "lowUnits": 20,
    },
    note="`materialControl`: with `ENFORCE` no unit enters a station whose set-up is not good, `RECORD` only tells of "
    "it. Loads are recorded in any case. Of a lot that is left for fewer than `lowUnits` units people are told.",
    change={"readinessChecks": ["ROUTE", "EQUIPMENT"]},
)
class LineViewSet(OfServedLines, CodeModelViewSet):
    """Production lines."""

    queryset = Line.objects.all()
    serializer_class = LineSerializer
    not_found = errors.LineNotFound
    capabilities = MASTER_DATA
    station_access = READS_OWN
    line_lookup = "pk"
    filters = {"processType": "process_type"}
    search_fields = ("code", "name")


# --- stations ---------------------------------------------------------------------------------------------


class StationGroupSerializer(_PlantSerializer):
    """A station group."""

    class Meta:
        model = StationGroup
        fields = ("id", "code", "name")


@describe(
    "station group",
    "station groups",
    example={"code": "PRINTERS", "name": "Solder paste printers"},
    change={"name": "Printers of hall 2"},
)
class StationGroupViewSet(_InUseMixin, CodeModelViewSet):
    """Stations that may stand in for one another."""

    queryset = StationGroup.objects.all()
    serializer_class = StationGroupSerializer
    not_found = errors.StationGroupNotFound
    capabilities = MASTER_DATA
    station_access = READS_SHARED
    search_fields = ("code", "name")


class StationSerializer(_PlantSerializer):
    """A station."""

    lineCode = CodeRelatedField(
        source="line", queryset=Line.objects.all(), not_found=errors.LineNotFound, required=False, allow_null=True
    )
    groupCode = CodeRelatedField(
        source="group",
        queryset=StationGroup.objects.all(),
        not_found=errors.StationGroupNotFound,
        required=False,
        allow_null=True,
    )
    stationType = serializers.ChoiceField(choices=StationType.choices)

    class Meta:
        model = Station
        fields = ("id", "code", "name", "lineCode", "groupCode", "stationType")


@describe(
    "station",
    "stations",
    example={
        "code": "SMT-01",
        "name": "Printer 1",
        "lineCode": "SMT-A",
        "groupCode": "PRINTERS",
        "stationType": "MANUAL",
    },
    change={"lineCode": None},
    note="Without a line, a station serves all lines.",
)
class StationViewSet(OfServedLines, _InUseMixin, CodeModelViewSet):
    """Places where steps are done."""

    queryset = Station.objects.select_related("line", "group")
    serializer_class = StationSerializer
    not_found = errors.StationNotFound
    capabilities = MASTER_DATA
    station_access = READS_OWN
    filters = {"lineCode": "line__code", "groupCode": "group__code", "stationType": "station_type"}
    search_fields = ("code", "name")


class EquipmentSerializer(_PlantSerializer):
    """A machine."""

    stationCode = CodeRelatedField(
        source="station",
        queryset=Station.objects.all(),
        not_found=errors.StationNotFound,
        required=False,
        allow_null=True,
    )

    class Meta:
        model = Equipment
        fields = ("id", "code", "name", "stationCode", "status")


@describe(
    "machine",
    "machines",
    example={"code": "EQ-1", "name": "Printer DEK 03", "stationCode": "SMT-01", "status": "normal"},
    change={"status": "maintenance"},
    note="Any status but `normal` keeps units from entering the station.",
)
class EquipmentViewSet(OfServedLines, CodeModelViewSet):
    """Machines and their status."""

    queryset = Equipment.objects.select_related("station")
    serializer_class = EquipmentSerializer
    not_found = errors.EquipmentNotFound
    capabilities = MASTER_DATA
    station_access = READS_OWN
    line_lookup = "station__line"
    filters = {"stationCode": "station__code", "lineCode": "station__line__code", "status": "status"}
    search_fields = ("code", "name")

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """Save under the row's lock, as reports of the maintenance system do; a typed status counts from now."""
        with transaction.atomic():
            serializer.instance = Equipment.objects.select_for_update(no_key=True).get(pk=self.get_object().pk)
            if "status" in serializer.validated_data:
                serializer.instance.note_typed("status")
            serializer.save()


# --- operations -------------------------------------------------------------------------------------------


class OperationSerializer(_PlantSerializer):
    """An operation."""

    kind = serializers.ChoiceField(choices=OperationKind.choices, required=False)
    defaultStationType = OptionalChoiceField(choices=StationType.choices)

    class Meta:
        model = Operation
        fields = ("id", "code", "name", "kind", "defaultStationType")


@describe(
    "operation",
    "operations",
    example={"code": "REFLOW", "name": "Reflow soldering", "kind": "REFLOW", "defaultStationType": "AUTO"},
    change={"defaultStationType": "MANUAL"},
    note="Rules name kinds, never names: give the kind wherever one fits.",
)
class OperationViewSet(_InUseMixin, CodeModelViewSet):
    """Kinds of work that routes are made of."""

    queryset = Operation.objects.all()
    serializer_class = OperationSerializer
    not_found = errors.OperationNotFound
    capabilities = MASTER_DATA
    station_access = READS_SHARED
    filters = {"kind": "kind", "stationType": "default_station_type"}
    search_fields = ("code", "name")


# --- materials --------------------------------------------------------------------------------------------


class MaterialSerializer(_PlantSerializer):
    """A material."""

    manufacturerParts = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_PART),
        required=False,
        max_length=MOST_PARTS,
        help_text="What its makers call it: `1P` of their labels.",
    )
    msl = OptionalChoiceField(
        choices=MoistureSensitivity.choices, help_text="Moisture sensitivity (J-STD-020). Null: no floor life."
    )
    bodyThicknessMm = serializers.DecimalField(
        max_digits=6, decimal_places=3, min_value=0, required=False, allow_null=True, coerce_to_string=False
    )
    isShared = serializers.BooleanField(required=False, help_text="One lot may be in several slots at once.")
    traceLevel = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=4, help_text="IPC-1782, of a product."
    )

    class Meta:
        model = Material
        fields = (
            "id",
            "code",
            "name",
            "unit",
            "manufacturerParts",
            "msl",
            "bodyThicknessMm",
            "isShared",
            "traceLevel",
        )


@describe(
    "material",
    "materials",
    example={
        "code": "R-0402-10K",
        "name": "Resistor 10 kΩ 0402",
        "unit": "pcs",
        "manufacturerParts": ["RC0402FR-0710KL"],
        "msl": "1",
    },
    change={"name": "Resistor 10 kΩ 1 % 0402"},
)
class MaterialViewSet(CodeModelViewSet):
    """Parts and products."""

    queryset = Material.objects.all()
    serializer_class = MaterialSerializer
    not_found = errors.MaterialNotFound
    capabilities = MASTER_DATA
    station_access = READS_SHARED
    filters = {"unit": "unit", "msl": "msl"}
    search_fields = ("code", "name")

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """What its lots have of it counts at once, also where they are loaded."""
        with transaction.atomic():
            material: Any = serializer.save()
            hooks.tell_changed([material.pk], serializer.validated_data)


class BomItemSerializer(StrictModelSerializer):
    """One line of a bill of material."""

    id = IdField()
    parentCode = CodeRelatedField(source="parent", queryset=Material.objects.all(), not_found=errors.MaterialNotFound)
    childCode = CodeRelatedField(source="child", queryset=Material.objects.all(), not_found=errors.MaterialNotFound)
    quantity = serializers.DecimalField(max_digits=12, decimal_places=4, coerce_to_string=False)
    refDes = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, help_text="Where it stands on the parent: R1, R2."
    )

    class Meta:
        model = BomItem
        fields = ("id", "parentCode", "childCode", "quantity", "refDes")

    def validate_quantity(self, value: Decimal) -> Decimal:
        """Say at the field what the database would refuse."""
        if value <= 0:
            raise serializers.ValidationError(_("Must be greater than 0."))
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a material that is a part of itself, also where the database is not asked."""
        attrs = super().validate(attrs)
        parent, child = (attrs.get(name, getattr(self.instance, name, None)) for name in ("parent", "child"))
        if parent == child:
            raise serializers.ValidationError({"childCode": [_("A material is no part of itself.")]})
        return attrs


@describe(
    "BOM item",
    "BOM items",
    example={"parentCode": "BOARD-1", "childCode": "R-0402-10K", "quantity": 2, "refDes": ["R1", "R2"]},
    change={"quantity": 14},
)
class BomItemViewSet(IdModelViewSet):
    """How many of a child material one parent takes."""

    queryset = BomItem.objects.select_related("parent", "child")
    serializer_class = BomItemSerializer
    not_found = errors.BomItemNotFound
    capabilities = MASTER_DATA
    station_access = READS_SHARED
    filters = {"parentCode": "parent__code", "childCode": "child__code"}
    search_fields = ("parent__code", "child__code", "child__name")


def register(router: BaseRouter) -> None:
    """Add the addresses of the plant."""
    router.register("lines", LineViewSet, basename="line")
    router.register("station-groups", StationGroupViewSet, basename="station-group")
    router.register("stations", StationViewSet, basename="station")
    router.register("equipment", EquipmentViewSet, basename="equipment")
    router.register("operations", OperationViewSet, basename="operation")
    router.register("materials", MaterialViewSet, basename="material")
    router.register("bom-items", BomItemViewSet, basename="bom-item")
