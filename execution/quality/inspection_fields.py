"""What is said of an inspected item, and how it is shown: of first articles and of outgoing inspections alike."""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from execution.quality.inspection_items import Said
from mes.errors import ValidationFailed
from mes.platform.files.serializers import AttachedFileAnswer
from mes.platform.http.serializers import FiniteField, IdField, OffsetDateTimeField, RowSerializer, StrictSerializer
from mes.production.fields import SerialNumberField

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class InspectedItemRequest(StrictSerializer):
    """What was seen on a unit. Each kind of inspection adds its `result`."""

    unitSn = SerialNumberField()
    itemName = serializers.CharField(max_length=100)
    itemSpec = serializers.CharField(max_length=200, required=False, allow_null=True, allow_blank=True)
    actualValue = serializers.CharField(max_length=200, required=False, allow_null=True, allow_blank=True)
    actualNumber = FiniteField(
        required=False, allow_null=True, help_text="What was measured: needed of an item with limits, which judge it."
    )
    remark = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)


class InspectedItemAnswer(RowSerializer):
    """What was seen on a unit."""

    id = IdField()
    unitSn = serializers.CharField(source="unit.sn")
    itemName = serializers.CharField()
    itemSpec = serializers.CharField()
    actualValue = serializers.CharField()
    actualNumber = serializers.FloatField(allow_null=True)
    claimedResult = serializers.CharField(help_text="What was said, where the system judged otherwise; else empty.")
    recordedBy = serializers.CharField()
    recordedAt = OffsetDateTimeField()
    files = AttachedFileAnswer(many=True, default=())


def said_of(body: Mapping[str, Any]) -> Said:
    """Return what a body says of an item."""
    return Said(body.get("result"), body.get("actual_value") or "", body.get("actual_number"))


def read_number(typed: str) -> float | None:
    """Return the number that somebody typed into a form, with a point or a comma; None where nothing was typed.

    Raises ValidationFailed for what is none that can be measured.
    """
    typed = typed.strip()
    if not typed:
        return None
    number = float(typed.replace(",", ".")) if _NUMBER.fullmatch(typed) else None
    if number is None or not isfinite(number):
        raise ValidationFailed({"actualNumber": _("“%(typed)s” is no number.") % {"typed": typed[:40]}})
    return number
