"""What a person says is wrong with a unit, as every body of the interface has it."""

from collections.abc import Iterable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from execution.quality.defects import LONGEST_CODE, LONGEST_LOCATION, LONGEST_REMARK, ReportedDefect
from mes.platform.http.serializers import CodeField, StrictSerializer
from mes.platform.validators import validate_line

MOST_DEFECTS = 50  # of one track-out
LARGEST_QUANTITY = 100_000


@extend_schema_field({"type": "string", "maxLength": LONGEST_CODE})
class DefectCodeField(CodeField):
    """A defect code; whether there is one is asked when the defect is made."""


class DesignatorField(serializers.CharField):
    """Where on the board: a reference designator, kept in capitals. It has nothing that cannot be seen."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": LONGEST_LOCATION, "allow_blank": True, **kwargs})
        self.validators.append(validate_line)

    def to_internal_value(self, data: Any) -> str:
        """Return it in capitals."""
        return str(super().to_internal_value(data)).upper()


class RemarkField(serializers.CharField):
    """A line of remark."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": LONGEST_REMARK, "allow_blank": True, **kwargs})
        self.validators.append(validate_line)


class NamedDefect(StrictSerializer):
    """A defect that somebody names."""

    code = DefectCodeField()
    location = DesignatorField(required=False, allow_null=True)
    quantity = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY, required=False, allow_null=True)
    remark = RemarkField(required=False, allow_null=True)


def named_defect(given: Mapping[str, Any]) -> ReportedDefect:
    """Return a defect as it was named."""
    return ReportedDefect(
        code=given["code"],
        location=given.get("location") or "",
        remark=given.get("remark") or "",
        quantity=given.get("quantity") or 1,
    )


def named_defects(given: Iterable[Mapping[str, Any]] | None) -> list[ReportedDefect]:
    """Return defects as they were named."""
    return [named_defect(each) for each in given or ()]
