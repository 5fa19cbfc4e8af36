"""What the interfaces of master data share: fields that take null for “not set”, fixed codes, documentation."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers

from mes.platform.http.serializers import StrictSerializer
from mes.platform.validators import validate_code


class _NullIsBlank:
    """Null and the empty text both mean “not set”: the one outside, the other in the database."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, "allow_blank": True, **kwargs})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Take null as blank."""
        return super().run_validation("" if data is None else data)  # type: ignore[misc]

    def to_representation(self, value: Any) -> Any:
        """Give blank as null."""
        return super().to_representation(value) or None  # type: ignore[misc]


class OptionalTextField(_NullIsBlank, serializers.CharField):
    """A text that may be left out."""


class OptionalChoiceField(_NullIsBlank, serializers.ChoiceField):
    """A choice that may be left out."""


class OptionalCodeField(OptionalTextField):
    """A code that names something outside of this system, taken exactly, or nothing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 100, "trim_whitespace": False, **kwargs})

    def run_validators(self, value: Any) -> None:
        """Check what is new: the code that is there already may be sent back."""
        super().run_validators(value)
        instance = getattr(self.parent, "instance", None)
        if value and value != getattr(instance, str(self.source), None):
            validate_code(value)


class PercentField(serializers.FloatField):
    """A share in percent, above 0, kept with two decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0.01, "max_value": 100, **kwargs})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return it as it is kept. Refuses what cannot be."""
        value = super().run_validation(data)
        if not isinstance(value, float):
            return value
        if not isfinite(value) or (number := Decimal(repr(value))) != round(number, 2):
            raise serializers.ValidationError(_("Must have at most two decimals."))
        return round(number, 2)


class WholeSerializer(StrictSerializer):
    """A nested object that is sent whole, in a PATCH too, where REST framework would not ask for required fields."""

    def _shape_problems(self, data: Mapping[str, Any]) -> dict[str, Any]:
        missing = [name for name, field in self.fields.items() if field.required and name not in data]
        messages = {name: [self.fields[name].error_messages["required"]] for name in missing}
        return {**messages, **super()._shape_problems(data)}


class FixedFieldsMixin:
    """Refuses other values for the fields of `fixed` once the thing exists: frozen routes and histories name them."""

    fixed: tuple[str, ...] = ("code",)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Compare what is sent with what is there."""
        instance = self.instance  # type: ignore[attr-defined]
        if isinstance(instance, models.Model):
            sources = {name: self.fields[name].source for name in self.fixed}  # type: ignore[attr-defined]
            problems = {
                name: [_("Cannot be changed; make a new one instead.")]
                for name, source in sources.items()
                if source in attrs and attrs[source] != getattr(instance, source)
            }
            if problems:
                raise serializers.ValidationError(problems)
        return super().validate(attrs)  # type: ignore[misc]


def describe(
    one: str, many: str, *, example: Mapping[str, Any], change: Mapping[str, Any], note: str = ""
) -> Callable[[Any], Any]:
    """Decorate a viewset of things with summaries and request examples of its five operations."""
    create = OpenApiExample(f"A new {one}", value=dict(example), request_only=True)
    update = OpenApiExample(f"A change of a {one}", value=dict(change), request_only=True)
    return extend_schema_view(
        list=extend_schema(summary=f"List {many}, newest first"),
        retrieve=extend_schema(summary=f"Read one {one}"),
        create=extend_schema(summary=f"Create a {one}", description=note, examples=[create]),
        partial_update=extend_schema(
            summary=f"Change a {one}",
            description="Fields that are not sent stay as they are; nested objects are replaced whole.",
            examples=[update],
        ),
        destroy=extend_schema(summary=f"Delete a {one}", description="Refused with IN_USE while anything needs it."),
    )
