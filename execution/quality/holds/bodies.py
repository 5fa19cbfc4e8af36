"""What holds are told and asked with over HTTP."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from execution.models import TrackResult
from execution.quality.holds import condition, queries
from execution.quality.record_types import HOLD
from mes.platform.files.queries import attach
from mes.platform.files.serializers import AttachedFileAnswer
from mes.platform.http.envelope import camel_case
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
)
from mes.platform.signatures.serializers import SignatureBrief, SignatureRequest
from mes.production import hold_decisions
from mes.production.fields import SerialNumberField
from mes.production.hold_models import HeldUnitEnd, Hold, HoldScope
from mes.production.models import UnitStatus

LARGEST_STEP_NO = 2**31 - 1
LONGEST_LOCATION = 100
DISPOSALS = [(end.value, end.label) for end in (HeldUnitEnd.REWORK, HeldUnitEnd.SCRAP)]


def _optional(field: type[serializers.Field], **kwargs: Any) -> Any:
    return field(required=False, allow_null=True, **kwargs)


class ConditionBody(StrictSerializer):
    """Which units are meant: each part that is given must hold. A scrapped unit never fits.

    `stationCode` to `valueMax` are about a pass: one and the same pass fits all of them. `defectCode` and
    `defectLocation` are about a defect of the unit that is neither withdrawn nor a false call. One of `lotId`,
    `materialCode`, `toolId`, `program` and `serial` is about what the unit is made of: the pass is then the one at
    which that came into it.
    """

    sns = serializers.ListField(
        child=SerialNumberField(),
        max_length=condition.MOST_SNS,
        required=False,
        allow_null=True,
        help_text="These units, by present or earlier serial numbers.",
    )
    runNo = _optional(CodeField, help_text="Units that are in this run now.")
    woNo = _optional(CodeField)
    productCode = _optional(CodeField)
    lineCode = _optional(CodeField, help_text="Units whose run is of this line.")
    statuses = serializers.ListField(
        child=serializers.ChoiceField(choices=UnitStatus.choices),
        max_length=len(UnitStatus.choices),
        required=False,
        allow_null=True,
        help_text="Units that are in one of these now; SCRAPPED is refused.",
    )
    stationCode = _optional(CodeField)
    stepNo = _optional(serializers.IntegerField, min_value=0, max_value=LARGEST_STEP_NO)
    operationCode = _optional(CodeField)
    result = _optional(serializers.ChoiceField, choices=TrackResult.choices)
    carrierNo = _optional(CodeField, help_text="The unit passed on this carrier.")
    specName = _optional(CodeField, help_text="The pass, or that of its carrier, has such a value.")
    valueMin = _optional(serializers.FloatField, help_text="The value is this or above.")
    valueMax = _optional(serializers.FloatField, help_text="The value is this or below.")
    defectCode = _optional(CodeField, help_text="This code, or one below it.")
    defectLocation = _optional(CodeField, max_length=LONGEST_LOCATION, help_text="The designator.")
    lotId = _optional(CodeField, help_text="A material lot is, or may be, in the unit or in one that is in it.")
    includeSplits = _optional(serializers.BooleanField, help_text="With `lotId`: lots split from it, too.")
    materialCode = _optional(CodeField, help_text="A lot of it with this `supplierLot` or `dateCode`.")
    supplierLot = _optional(CodeField)
    dateCode = _optional(CodeField)
    toolId = _optional(CodeField, help_text="A stencil, squeegee, feeder or other tool that it was made with.")
    program = _optional(CodeField, help_text="A program that it was made with.")
    serial = _optional(CodeField, help_text="The serial number of a part, or of a unit, that is in it.")

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add the time of the pass, whose names no attribute can have."""
        since = _optional(OffsetDateTimeField, source="since", help_text="The pass had not ended before this.")
        until = _optional(OffsetDateTimeField, source="until", help_text="The pass began before this.")
        return {**super().get_fields(), "from": since, "to": until}


class HoldPreviewRequest(StrictSerializer):
    """Which units are meant."""

    condition = ConditionBody()


class HoldPreviewUnit(serializers.Serializer):
    """A unit that fits."""

    sn = serializers.CharField()
    status = serializers.CharField()
    runNo = serializers.CharField(allow_null=True)
    stepNo = serializers.IntegerField(allow_null=True)


class HoldPreviewAnswer(serializers.Serializer):
    """What fits now; nothing is held."""

    count = serializers.IntegerField()
    byStatus = serializers.DictField(child=serializers.IntegerField())
    byRun = serializers.DictField(child=serializers.IntegerField(), help_text="Units without a run below “”.")
    alreadyHeld = serializers.IntegerField(help_text="How many of them something holds already.")
    items = HoldPreviewUnit(many=True, help_text="The first 200.")


def _signature_field() -> Any:
    """Return the signature of an act that ends a hold."""
    return SignatureRequest(
        required=False,
        allow_null=True,
        help_text="Of a person, where the hold is of several units, or of a run, a station or a line.",
    )


class HoldRequest(StrictSerializer):
    """What is to be held, and why."""

    scope = serializers.ChoiceField(choices=HoldScope.choices)
    condition = ConditionBody(required=False, allow_null=True)
    code = _optional(CodeField, help_text="The run, station or line.")
    reason = DecisionReasonField()
    owner = _optional(serializers.CharField, max_length=150, help_text="Who sees to it; by default who holds.")
    catches = _optional(
        serializers.BooleanField,
        help_text="Whether what comes to fit later is held, too; by default unless `to` is over.",
    )
    expectedCount = _optional(
        serializers.IntegerField, min_value=0, help_text="As many as were seen to fit; another count holds nothing."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A hold of units has a condition, any other a code."""
        of_units = attrs["scope"] == HoldScope.UNITS
        needed = "condition" if of_units else "code"
        if attrs.get(needed) is None:
            raise serializers.ValidationError({needed: [_("This field is required.")]})
        unfit = ("code",) if of_units else ("condition", "catches", "expected_count")
        if given := [name for name in unfit if attrs.get(name) is not None]:
            message = _("Does not go with a hold of this scope.")
            raise serializers.ValidationError({camel_case(name): [message] for name in given})
        return attrs


class HoldReleaseRequest(StrictSerializer):
    """Which units are released, all without `sns`, and why."""

    sns = serializers.ListField(
        child=SerialNumberField(), min_length=1, max_length=condition.MOST_SNS, required=False, allow_null=True
    )
    reason = DecisionReasonField()
    signature = _signature_field()


class DisposeRequest(StrictSerializer):
    """What becomes of units of a hold, and why."""

    sns = serializers.ListField(child=SerialNumberField(), min_length=1, max_length=condition.MOST_SNS)
    type = serializers.ChoiceField(choices=DISPOSALS)
    toStepNo = _optional(
        serializers.IntegerField,
        min_value=0,
        max_value=LARGEST_STEP_NO,
        help_text="By default the step that failed last, of each unit.",
    )
    reason = DecisionReasonField()
    signature = _signature_field()


class HoldRow(RowSerializer):
    """A hold."""

    holdNo = serializers.CharField()
    code = serializers.SerializerMethodField(help_text="The run, station or line; null for units.")
    ruleCode = serializers.CharField(source="rule.code", default=None, allow_null=True)
    openedBy = serializers.CharField()
    openedAt = OffsetDateTimeField()
    endedBy = serializers.CharField(allow_blank=True)
    endedAt = OffsetDateTimeField(allow_null=True)
    endReason = serializers.CharField(allow_blank=True)

    class Meta:
        model = Hold
        fields: tuple[str, ...] = (
            "holdNo",
            "scope",
            "code",
            "source",
            "ruleCode",
            "status",
            "reason",
            "owner",
            "condition",
            "catches",
            "openedBy",
            "openedAt",
            "endedBy",
            "endedAt",
            "endReason",
        )

    def get_code(self, hold: Hold) -> str | None:
        """What is held, by its name."""
        return hold_decisions.place_of(hold)


class HoldCounts(serializers.Serializer):
    """How many units a hold has had, how many it has, and what became of the others."""

    units = serializers.IntegerField()
    open = serializers.IntegerField()
    released = serializers.IntegerField()
    reworked = serializers.IntegerField()
    scrapped = serializers.IntegerField()
    toApply = serializers.IntegerField(allow_null=True, help_text="How many are meant, while they are being held.")
    pending = serializers.IntegerField(help_text="How many the worker is yet to hold, release, rework or scrap.")


class HoldEvent(serializers.Serializer):
    """Something that was decided about a hold."""

    act = serializers.CharField()
    by = serializers.CharField()
    at = OffsetDateTimeField()
    reason = serializers.CharField(allow_blank=True)
    count = serializers.IntegerField(allow_null=True, help_text="Of units, how many it was about.")
    signature = SignatureBrief(allow_null=True)


class HeldUnitAnswer(serializers.Serializer):
    """A unit of a hold."""

    sn = serializers.CharField()
    status = serializers.CharField()
    heldAt = OffsetDateTimeField()
    endedAt = OffsetDateTimeField(allow_null=True)
    end = serializers.CharField(allow_null=True)


class HoldDetail(HoldRow):
    """A hold with what became of it."""

    counts = serializers.SerializerMethodField()
    history = serializers.SerializerMethodField()
    items = serializers.SerializerMethodField()
    files = AttachedFileAnswer(many=True, read_only=True)
    signed = serializers.SerializerMethodField()
    signature = SignatureBrief(
        source="latest_signature", allow_null=True, read_only=True, help_text="The signature of its latest decision."
    )

    class Meta(HoldRow.Meta):
        fields = (*HoldRow.Meta.fields, "counts", "history", "items", "files", "signed", "signature")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Read what was decided once, for all that tell of it: the signature is that of the latest decision."""
        attach(HOLD, [instance])
        instance.decided = queries.list_history(instance)
        instance.latest_signature = instance.decided[-1]["signature"]
        told: dict[str, Any] = super().to_representation(instance)
        return told

    @extend_schema_field(HoldCounts)
    def get_counts(self, hold: Hold) -> dict[str, Any]:
        """How many units it has."""
        return queries.count(hold)

    @extend_schema_field(HoldEvent(many=True))
    def get_history(self, hold: Any) -> Any:
        """What was decided, the oldest first."""
        return HoldEvent(hold.decided, many=True).data

    @extend_schema_field(HeldUnitAnswer(many=True))
    def get_items(self, hold: Hold) -> Any:
        """The first 200 of its units, those that it holds first."""
        return HeldUnitAnswer(queries.list_units(hold), many=True).data

    @extend_schema_field(serializers.BooleanField)
    def get_signed(self, hold: Any) -> bool:
        """Whether its latest decision is signed."""
        return hold.latest_signature is not None
