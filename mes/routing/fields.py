"""Fields of the interface that several answers of routes share."""

from typing import Any

from rest_framework import serializers

from mes.platform.http.serializers import StrictSerializer
from mes.routing import work_instructions

_LONGEST_ID = 19


class WorkInstructionBody(StrictSerializer):
    """What a step is worked by: a title, and an address or a file."""

    title = serializers.CharField(max_length=work_instructions.LONGEST_TITLE)
    url = serializers.CharField(
        max_length=work_instructions.LONGEST_URL, required=False, help_text="Begins with https://, http:// or /."
    )
    fileId = serializers.CharField(
        max_length=_LONGEST_ID, required=False, help_text="Of a file that was sent; instead of an address."
    )


class WorkInstructionsField(serializers.ListField):
    """What a step is worked by, in order: `[{title, url | fileId}]`, as configs and versions keep it."""

    child = WorkInstructionBody()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": work_instructions.MOST, **kwargs})

    def to_internal_value(self, data: Any) -> Any:
        """Return the list. Raises ValidationError at each place that is wrong."""
        if problems := work_instructions.find_problems(data):
            if "" in problems:
                raise serializers.ValidationError([str(problems[""])])
            raise serializers.ValidationError({place: str(text) for place, text in problems.items()})
        return data

    def to_representation(self, data: Any) -> Any:
        """Return the list."""
        return data
