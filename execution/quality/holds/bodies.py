"""What holds are told and asked with over HTTP."""

from typing import Any

from rest_framework import serializers

from execution.models import TrackResult
from execution.quality.holds import condition
from mes.platform.http.serializers import CodeField, OffsetDateTimeField, StrictSerializer
from mes.production.fields import SerialNumberField
from mes.production.models import UnitStatus

LARGEST_STEP_NO = 2**31 - 1
LONGEST_LOCATION = 100


def _optional(field: type[serializers.Field], **kwargs: Any) -> Any:
    return field(required=False, allow_null=True, **kwargs)


class ConditionBody(StrictSerializer):
    """Which units are meant: each part that is given must hold. A scrapped unit never fits.

    `stationCode` to `valueMax` are about a pass: one and the same pass fits all of them. `defectCode` and
    `defectLocation` are about a defect of the unit that is neither withdrawn nor a false call.
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
