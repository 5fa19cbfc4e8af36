"""Where something was used, over HTTP."""

from typing import Any

from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.viewsets import GenericViewSet

from execution.materials import installing, recall
from execution.materials.installing import Part
from execution.materials.models import InstalledSerial, MaterialUse
from execution.materials.recall import Use
from execution.materials.where_used import CERTAINTY
from execution.quality.holds.bodies import HoldDetail
from execution.quality.holds.condition import Condition
from execution.quality.holds.services import get
from mes.errors import ValidationFailed
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http import tables
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.whole_numbers import whole_number
from mes.platform.inbound.sender import sender_of
from mes.platform.validators import validate_code
from mes.production.fields import SerialNumberField

PAGE, LARGEST_PAGE = 50, 200
_BOOLEANS = {"true": True, "false": False}


def _optional(field: type[serializers.Field], **kwargs: Any) -> Any:
    return field(required=False, allow_null=True, **kwargs)


class WhereUsedQuery(StrictSerializer):
    """What is looked for: one of a lot, a supplier's lot or date code of a material, a tool, a program and a serial
    number; and at which passes.
    """

    lotId = _optional(CodeField)
    includeSplits = _optional(serializers.BooleanField, help_text="Lots that were split from it, too.")
    materialCode = _optional(CodeField, help_text="With `supplierLot`, `dateCode` or both.")
    supplierLot = _optional(CodeField)
    dateCode = _optional(CodeField)
    toolId = _optional(CodeField)
    program = _optional(CodeField)
    serial = _optional(CodeField, help_text="Of a part, or of a unit that is in another.")
    stationCode = _optional(CodeField, help_text="It came into the unit here.")

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add the time of the pass, whose names no attribute can have."""
        since = _optional(OffsetDateTimeField, source="since", help_text="The pass had not ended before this.")
        until = _optional(OffsetDateTimeField, source="until", help_text="The pass began before this.")
        return {**super().get_fields(), "from": since, "to": until}


class WhereUsedHoldRequest(WhereUsedQuery):
    """What is looked for, how many units were seen to have it, and why they are held."""

    expectedCount = serializers.IntegerField(min_value=0, help_text="`counts.units` as it was seen.")
    reason = DecisionReasonField()
    owner = _optional(serializers.CharField, max_length=150, help_text="Who sees to it; by default who holds.")
    catches = _optional(
        serializers.BooleanField,
        help_text="Whether units that come to have it later are held, too; by default unless `to` is over.",
    )


class WhereUsedCounts(serializers.Serializer):
    """How many units have it, how many certainly, and how many perhaps."""

    units = serializers.IntegerField()
    certain = serializers.IntegerField()
    possible = serializers.IntegerField()


class WhereUsedItem(serializers.Serializer):
    """A unit, and where something that was looked for came into it."""

    sn = serializers.CharField()
    runNo = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    stationCode = serializers.CharField(allow_null=True)
    slot = serializers.CharField(allow_null=True)
    lotId = serializers.CharField(allow_null=True)
    materialCode = serializers.CharField(allow_null=True)
    supplierLot = serializers.CharField(allow_null=True)
    dateCode = serializers.CharField(allow_null=True)
    toolId = serializers.CharField(allow_null=True)
    program = serializers.CharField(allow_null=True)
    serial = serializers.CharField(allow_null=True)
    certainty = serializers.ChoiceField(
        choices=[*CERTAINTY.values()],
        help_text="SINGLE: it alone stood in the slot. POSSIBLE: one of several that did. REPORTED: it was told.",
    )
    via = serializers.CharField(allow_null=True, help_text="The inner unit that it is in; null for the unit itself.")


class WhereUsedAnswer(serializers.Serializer):
    """Some of the units, the newest first, and the counts of all."""

    counts = WhereUsedCounts()
    items = WhereUsedItem(many=True)
    next = serializers.CharField(allow_null=True, help_text="The address of the next page.")


def as_json(row: Use) -> dict[str, Any]:
    """Return a row in the words of the interface."""
    return {
        "sn": row.sn,
        "runNo": row.run_no,
        "status": row.status,
        "stationCode": row.station_code,
        "slot": row.slot or None,
        "lotId": row.lot_id,
        "materialCode": row.material_code,
        "supplierLot": row.supplier_lot or None,
        "dateCode": row.date_code or None,
        "toolId": row.tool_id,
        "program": row.program or None,
        "serial": row.serial,
        "certainty": row.certainty,
        "via": row.via,
    }


_NAMES = (
    ("lotId", "A lot."),
    ("includeSplits", "With `lotId`: lots that were split from it, too. Default: false."),
    ("materialCode", "A material, with `supplierLot`, `dateCode` or both."),
    ("supplierLot", "The supplier's lot."),
    ("dateCode", "The date code."),
    ("toolId", "A stencil, squeegee, feeder or other tool."),
    ("program", "A program."),
    ("serial", "The serial number of a part, or of a unit that is in another."),
    ("stationCode", "It came into the unit here."),
    ("from", "The pass had not ended before this time."),
    ("to", "The pass began before this time."),
)
_PARAMETERS = [
    *(OpenApiParameter(name, bool if name == "includeSplits" else str, description=about) for name, about in _NAMES),
    OpenApiParameter("pageSize", int, description=f"Units on a page, {PAGE} if not given, at most {LARGEST_PAGE}."),
    OpenApiParameter("cursor", str, description="Where to go on; take `next` of an answer."),
    OpenApiParameter("format", str, enum=tables.FORMATS, description="Default: json. Files have all units."),
]


class WhereUsedViewSet(GenericViewSet):
    """Which units something is in."""

    queryset = MaterialUse.objects.none()
    serializer_class = WhereUsedAnswer
    pagination_class = None
    filter_backends = []
    capabilities = {"hold": (Capability.HOLD,)}

    @extend_schema(
        summary="Find the units that a lot, tool, program or serial number is in",
        description="Derived from the loads of slots and the passes of units meanwhile, or as machines reported it; "
        "exactly the units whose trace tells of it. Units that such a unit is in follow, with `via`. Other query "
        "parameters are refused.",
        parameters=_PARAMETERS,
        responses={
            (200, "application/json"): WhereUsedAnswer,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, tables.XLSX): OpenApiTypes.BINARY,
        },
    )
    def find(self, request: Request) -> HttpResponseBase:
        """Answer with a page, or with a file of all."""
        given = request.query_params.dict()
        chosen = tables.read_format(given)
        size, after = _read_size(given.pop("pageSize", None)), _read_cursor(given.pop("cursor", None))
        given.pop("format", None)
        condition = read_query(given)
        if chosen != "json":
            return answer_file(chosen, condition)
        page = recall.read_page(condition, size=size, after=after)
        following = None
        if page.after is not None:
            following = replace_query_param(request.build_absolute_uri(), "cursor", str(page.after))
        counts = {"units": page.units, "certain": page.certain, "possible": page.possible}
        return Response({"counts": counts, "items": [as_json(row) for row in page.rows], "next": following})

    @extend_schema(
        summary="Hold the units that something is in",
        description="As many as were seen (`expectedCount`); another count holds nothing (HOLD_COUNT_CHANGED). It is a "
        "hold of units with this condition, of which `/api/holds` tells; over 1,000 units the answer is 202 and the "
        "worker holds them. A scrapped unit counts, and is held by nothing.",
        request=WhereUsedHoldRequest,
        responses={201: HoldDetail, 202: HoldDetail},
        examples=[
            OpenApiExample(
                "All boards with a supplier's lot",
                value={
                    "materialCode": "R-10K",
                    "supplierLot": "L2231",
                    "expectedCount": 47,
                    "reason": "Supplier's recall 26-114",
                },
                request_only=True,
            )
        ],
    )
    def hold(self, request: Request) -> Response:
        """Hold them."""
        body = read(WhereUsedHoldRequest, request)
        done = recall.hold(
            recall.read_condition(body),
            expected_count=body["expected_count"],
            reason=body["reason"],
            by=operator_name(request),
            owner=body.get("owner") or "",
            catches=body.get("catches"),
        )
        return Response(HoldDetail(get(done.hold.hold_no)).data, status=201 if done.is_done else 202)


# --- installing --------------------------------------------------------------------------------------------------


class InstallRequest(StrictSerializer):
    """A part with a serial number is put into a unit, perhaps in the place of another."""

    sn = SerialNumberField(help_text="The unit.")
    serial = SerialNumberField(
        validators=[validate_code], help_text="The serial number of the part; of one that is a unit, its own."
    )
    materialCode = CodeField()
    refDes = _optional(CodeField, validators=[validate_code])
    replaces = _optional(CodeField, help_text="The serial number of the part in the unit that makes room.")
    reason = _optional(DecisionReasonField, help_text="Why; needed with `replaces`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What replaces another says why."""
        if attrs.get("replaces") is not None and not attrs.get("reason"):
            raise serializers.ValidationError({"reason": [_("Say why the other one is replaced.")]})
        return attrs


class InstalledAnswer(RowSerializer):
    """A part in a unit."""

    id = IdField()
    sn = serializers.CharField(source="unit.sn")
    serial = serializers.CharField()
    materialCode = serializers.CharField(source="material.code")
    refDes = serializers.CharField(source="ref_des")
    stationCode = serializers.CharField(source="station.code")
    isUnit = serializers.SerializerMethodField(help_text="Whether the part is a unit itself.")
    installedAt = OffsetDateTimeField()
    installedBy = serializers.CharField()

    class Meta:
        model = InstalledSerial
        fields = (
            *("id", "sn", "serial", "materialCode", "refDes", "stationCode", "isUnit", "installedAt", "installedBy"),
        )

    def get_isUnit(self, row: InstalledSerial) -> bool:
        """Whether it is."""
        return row.child_id is not None


class InstallViewSet(GenericViewSet):
    """Parts with serial numbers in units, by hand."""

    queryset = InstalledSerial.objects.none()
    serializer_class = InstalledAnswer
    capabilities = {"create": (Capability.TRACK,)}
    station_access = {"*": StationAccess.OWN}

    @extend_schema(
        summary="Put a part with a serial number into a unit",
        description="A serial number is in one unit at a time (UNIT_INSTALLED); the same again changes nothing (200). "
        "One that is a unit's must be DONE (CHILD_NOT_DONE) and in the bill of materials of the unit's product, where "
        "it has one (BOM_MISMATCH); nothing contains itself (UNIT_IN_ITSELF). `replaces` takes another one out, with "
        "its `reason`.",
        request=InstallRequest,
        responses={201: InstalledAnswer, 200: InstalledAnswer},
        examples=[
            OpenApiExample(
                "A power supply into its rack",
                value={"sn": "RACK-001", "serial": "PSU-0815", "materialCode": "PSU-24V", "refDes": "G1"},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request, code: str) -> Response:
        """Put it in."""
        sender = sender_of(request)
        sender.check_station(code)
        body = read(InstallRequest, request)
        part = Part(
            station_code=code,
            serial=body["serial"],
            material_code=body["material_code"],
            at=timezone.now(),
            ref_des=body.get("ref_des") or "",
            by=operator_name(request)[:150],
            recorded_by=sender.system,
        )
        done = installing.install(body["sn"], part, replaces=body.get("replaces"), reason=body.get("reason") or "")
        return Response(InstalledAnswer(done.row).data, status=201 if done.changed else 200)


def read_query(given: dict[str, str]) -> Condition:
    """Return what texts of an address ask. Raises ValidationFailed, and what `recall.read_condition` raises."""
    body: dict[str, Any] = {name: text for name, text in given.items() if text != ""}
    if (flag := body.get("includeSplits")) is not None:
        if flag not in _BOOLEANS:
            raise ValidationFailed({"includeSplits": _("Must be true or false.")})
        body["includeSplits"] = _BOOLEANS[flag]
    query = WhereUsedQuery(data=body)
    if not query.is_valid():
        raise ValidationFailed({name: " ".join(map(str, problems)) for name, problems in query.errors.items()})
    return recall.read_condition(query.validated_data)


def answer_file(chosen: str, condition: Condition) -> HttpResponseBase:
    """Answer with a file of all rows, `csv` or `xlsx`."""
    return tables.answer(
        chosen,
        name=recall.name_of(condition, timezone.localtime()),
        table=lambda: recall.as_table(condition),
        sheets=lambda: [(_("Units"), recall.as_table(condition))],
    )


def _read_size(text: str | None) -> int:
    if text is None:
        return PAGE
    size = whole_number(text)
    if not size:
        raise ValidationFailed(
            {"pageSize": _("Must be a whole number from 1 to %(largest)d.") % {"largest": LARGEST_PAGE}}
        )
    return min(size, LARGEST_PAGE)


def _read_cursor(text: str | None) -> int | None:
    if text is None:
        return None
    after = whole_number(text)
    if after is None:
        raise ValidationFailed({"cursor": _("This is not a cursor; take `next` of an answer.")})
    return after
