"""Fields of the interface that several answers of routes share."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mes.routing import work_instructions

_INSTRUCTION = {
    "type": "object",
    "required": ["title"],
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": work_instructions.LONGEST_TITLE},
        "url": {
            "type": "string",
            "maxLength": work_instructions.LONGEST_URL,
            "description": "Begins with https://, http:// or /.",
        },
        "fileId": {"type": "string", "description": "Of a file that was sent; instead of an address."},
    },
    "additionalProperties": False,
}


@extend_schema_field(
    {"type": "array", "nullable": True, "maxItems": work_instructions.MOST, "items": _INSTRUCTION},
    component_name="WorkInstructions",
)
class WorkInstructionsField(serializers.JSONField):
    """What a step is worked by: `[{title, url | fileId}]`."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the list. Raises ValidationError at each place that is wrong."""
        problems = work_instructions.find_problems(data)
        if problems:
            told = [f"{place}: {text}".removeprefix(": ") for place, text in problems.items()]
            raise serializers.ValidationError(told)
        return data
