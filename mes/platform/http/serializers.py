"""Serializers that take a body literally: no unknown field, no coerced value, no time without an offset."""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.settings import api_settings

from mes.errors import DomainError
from mes.platform.database.authorship import LONGEST_REASON, SHORTEST_REASON, give_reason
from mes.platform.database.tracking import is_tracked
from mes.platform.http.envelope import camel_case, snake_case
from mes.platform.http.representation import RowsAtOnce, writes_by_itself
from mes.platform.scans import LONGEST_SYMBOL, Part, is_marked, take_part
from mes.platform.validators import (
    CODE_LENGTH,
    CODE_PATTERN,
    validate_code,
    validate_line,
    validate_moment,
    validate_name,
)

CHANGE_REASON = "changeReason"
LARGEST_LIST = 1000  # items of a list that says nothing else of itself
LONGEST_TEXT = 10_000  # characters, likewise

_WHOLE = api_settings.NON_FIELD_ERRORS_KEY


# --- fields -----------------------------------------------------------------------------------------------


class IdField(serializers.CharField):
    """The identity of a row: an opaque string for others."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"read_only": True, "source": "pk", **kwargs})


class ClaimedByField(serializers.CharField):
    """Who is said to have done it, in an answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"help_text": "Who is said to have done it: a claim that nobody checks.", **kwargs})


class RecordedByField(serializers.CharField):
    """Who was signed in, in an answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"help_text": "Who was signed in: an account, or `token:` and a token's name.", **kwargs})


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": CODE_LENGTH, "pattern": CODE_PATTERN})
class CodeField(serializers.CharField):
    """A code, run number or serial number, taken exactly as it is sent.

    It may name what exists, also by a code that nothing new may have: what makes things checks that.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": CODE_LENGTH, "trim_whitespace": False, **kwargs})
        self.validators.append(validate_name)


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": LONGEST_SYMBOL})
class ScannedField(CodeField):
    """A code that somebody may have scanned: of a label of GS1 or ISO/IEC 15434 its part, a plain text as it is."""

    part: Part

    def __init__(self, part: Part | None = None, **kwargs: Any) -> None:
        self.part = part or self.part
        super().__init__(**{"max_length": LONGEST_SYMBOL, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        """Return the part, or the text."""
        text = super().to_internal_value(data)
        if not is_marked(text):
            return text
        try:
            return take_part(text, self.part)
        except ModelValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class OffsetDateTimeField(serializers.DateTimeField):
    """An instant: RFC 3339 with an offset in, the same in UTC out."""

    default_error_messages = {
        "invalid": gettext_lazy("Must be a time with an offset, for example “2026-01-24T10:00:00Z”."),
    }

    def to_internal_value(self, value: Any) -> datetime:
        """Return the instant in UTC."""
        try:
            moment = value if isinstance(value, datetime) else msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            self.fail("invalid")
        try:
            validate_moment(moment)
        except ModelValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return moment.astimezone(UTC)

    @writes_by_itself
    def to_representation(self, value: Any) -> Any:
        """Return RFC 3339 text that ends in Z."""
        if not isinstance(value, datetime):
            return value
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class FiniteField(serializers.FloatField):
    """A number that is measured or a limit: neither infinite nor too large to be one."""

    def to_internal_value(self, data: Any) -> float:
        """Return the number."""
        try:
            number = super().to_internal_value(data)
        except OverflowError:
            number = inf
        if not isfinite(number):
            raise serializers.ValidationError(_("Must be a finite number."))
        return number


class ReasonField(serializers.CharField):
    """Why something is changed."""

    def __init__(self, **kwargs: Any) -> None:
        given = {"min_length": SHORTEST_REASON, "max_length": LONGEST_REASON, "write_only": True, **kwargs}
        super().__init__(**{"help_text": "Why: kept beside every change that the request makes.", **given})
        self.validators.append(validate_line)


class DecisionReasonField(serializers.CharField):
    """Why somebody decides something: a line that is kept with the decision, and may not be blank."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": LONGEST_REASON, "help_text": "Why: kept with the decision.", **kwargs})
        self.validators.append(validate_line)


def is_reason_needed() -> bool:
    """Whether the plant wants a reason of whoever changes something over HTTP."""
    return bool(settings.MES_CHANGE_REASON == "ALWAYS")


@extend_schema_field({"type": "string", "maxLength": CODE_LENGTH})
class CodeRelatedField(serializers.SlugRelatedField):
    """A reference by code (or another unique field). What does not exist is answered with its own 404."""

    def __init__(self, slug_field: str = "code", *, not_found: Callable[..., DomainError], **kwargs: Any) -> None:
        self.not_found = not_found
        super().__init__(slug_field=slug_field, **kwargs)

    def to_internal_value(self, data: Any) -> models.Model:
        """Return the object with this code."""
        if not isinstance(data, str):
            raise serializers.ValidationError(_("Must be a string."))
        try:
            return self.get_queryset().get(**{self.slug_field: data})  # type: ignore[union-attr]
        except models.ObjectDoesNotExist:
            raise self.not_found(code=data) from None


# --- names ------------------------------------------------------------------------------------------------


class SnakeCaseSources:
    """A field `stepNo` reads and writes `step_no` unless it names another `source`."""

    def get_fields(self) -> dict[str, serializers.Field]:
        """Name the source of every field that names none."""
        fields = super().get_fields()  # type: ignore[misc]
        for name, field in fields.items():
            source = snake_case(name)
            if field.source is None and source != name:
                field.source = source
        return fields


class RowSerializer(RowsAtOnce, SnakeCaseSources, serializers.ModelSerializer):
    """A row as it is shown."""


class ObjectSerializer(RowsAtOnce, SnakeCaseSources, serializers.Serializer):
    """An object of Python as it is shown. What is a dict in the interface's names already takes a plain serializer."""


# --- taking a body literally ------------------------------------------------------------------------------

_TYPES: tuple[tuple[type[serializers.Field], tuple[type, ...], Any], ...] = (
    (serializers.BooleanField, (bool,), gettext_lazy("Must be true or false.")),
    (serializers.IntegerField, (int,), gettext_lazy("Must be a whole number.")),
    (serializers.FloatField, (int, float), gettext_lazy("Must be a number.")),
    (serializers.DecimalField, (int, float), gettext_lazy("Must be a number.")),
    (serializers.CharField, (str,), gettext_lazy("Must be a string.")),
    (serializers.UUIDField, (str,), gettext_lazy("Must be a string.")),
    (serializers.DateTimeField, (str,), gettext_lazy("Must be a string.")),
    (serializers.DateField, (str,), gettext_lazy("Must be a string.")),
    (serializers.TimeField, (str,), gettext_lazy("Must be a string.")),
    (serializers.DurationField, (str,), gettext_lazy("Must be a string.")),
    (serializers.SlugRelatedField, (str,), gettext_lazy("Must be a string.")),
)


def type_problems(field: serializers.Field, value: Any) -> Any:
    """Return what is wrong with the JSON type of `value`, in the shape of REST framework errors, or nothing."""
    if value is None:
        return None
    child = _child(field)
    if child is not None:
        return _child_problems(child, value)
    if isinstance(field, serializers.ChoiceField):
        fits = isinstance(field, serializers.MultipleChoiceField) or type(value) in map(type, field.choices)
        return None if fits else [_("“%(value)s” is not a valid choice.") % {"value": value}]
    for kind, types, message in _TYPES:
        if isinstance(field, kind):
            return None if _is_a(value, types) else [message]
    return None


def _child(field: serializers.Field) -> serializers.Field | None:
    if isinstance(field, serializers.ListField | serializers.ListSerializer | serializers.DictField):
        return field.child
    return field.child_relation if isinstance(field, serializers.ManyRelatedField) else None


def _child_problems(child: serializers.Field, value: Any) -> Any:
    if not isinstance(value, list | dict):
        return None  # the field itself says so
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    problems = {str(key): type_problems(child, item) for key, item in pairs}
    return {key: problem for key, problem in problems.items() if problem} or None


def _is_a(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    if types == (int,) and isinstance(value, float):
        return value.is_integer()  # 10.0 is the number 10
    return isinstance(value, types)


def _limit(field: serializers.Field) -> None:
    """Give a list or a text a limit, where it has none of its own."""
    if isinstance(field, serializers.CharField) and field.max_length is None:
        field.max_length = LONGEST_TEXT
        field.validators.append(MaxLengthValidator(LONGEST_TEXT))
    is_list = isinstance(field, serializers.ListField | serializers.ListSerializer)
    if is_list and getattr(field, "max_length", None) is None:
        field.max_length = LARGEST_LIST  # type: ignore[attr-defined]
        if isinstance(field, serializers.ListField):
            field.validators.append(MaxLengthValidator(LARGEST_LIST))
    if (child := _child(field)) is not None:
        _limit(child)


def size_problems(field: serializers.Field, value: Any) -> Any:
    """Return what is too long in a value, in the shape of REST framework errors, or nothing.

    Asked before anything is looked up or looked into: what is too long is told first.
    """
    if isinstance(field, serializers.CharField) and isinstance(value, str):
        return _length_problem(value.strip() if field.trim_whitespace else value, field.max_length)
    if isinstance(field, CodeRelatedField) and isinstance(value, str):
        return _length_problem(value, CODE_LENGTH)
    if isinstance(field, serializers.Serializer) and isinstance(value, Mapping):
        writable = {name: inner for name, inner in field.fields.items() if not inner.read_only and name in value}
        return _problems_in({name: size_problems(inner, value[name]) for name, inner in writable.items()})
    child = _child(field)
    if child is None or not isinstance(value, list | dict):
        return None
    most = LARGEST_LIST if isinstance(field, serializers.DictField) else getattr(field, "max_length", None)
    if most is not None and len(value) > most:
        return [_("Must have at most %(most)d items.") % {"most": most}]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return _problems_in({str(key): size_problems(child, item) for key, item in pairs})


def _length_problem(text: str, longest: int | None) -> list[str] | None:
    if longest is None or len(text) <= longest:
        return None
    return [_("Ensure this field has no more than %(longest)d characters.") % {"longest": longest}]


def _problems_in(problems: Mapping[str, Any]) -> dict[str, Any] | None:
    return {name: problem for name, problem in problems.items() if problem} or None


class StrictSerializer(RowsAtOnce, SnakeCaseSources, serializers.Serializer):
    """Refuses unknown fields and values of another JSON type. Fields that are read-only here may be sent back.

    Every list and every text has a limit; those that name none have the usual one.
    """

    def get_fields(self) -> dict[str, serializers.Field]:
        """Give every field that takes something a limit."""
        fields = super().get_fields()
        for field in fields.values():
            if not field.read_only:
                _limit(field)
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """Check the shape of the body, then validate as usual; report both."""
        if isinstance(data, QueryDict):
            data = {}  # an empty body declared as a form
        if self.parent is None and (too_long := size_problems(self, data)):
            raise serializers.ValidationError(too_long)
        problems = self._shape_problems(data) if isinstance(data, Mapping) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**error.detail, **problems}) from None  # type: ignore[dict-item]
        except DomainError:
            if problems:
                raise serializers.ValidationError(problems) from None
            raise
        if problems:
            raise serializers.ValidationError(problems)
        return value

    def _shape_problems(self, data: Mapping[str, Any]) -> dict[str, Any]:
        problems: dict[str, Any] = {name: [_("Unknown field.")] for name in data if name not in self.fields}
        for name, field in self.fields.items():
            if field.read_only or name not in data:
                continue
            problem = type_problems(field, data[name])
            if problem:
                problems[name] = problem
        return problems


class WithChangeReason:
    """Mixin of serializers of tracked things: `changeReason` says why, and is kept beside every change of the request.

    It stands only at the top of a body, and is no value of the thing.
    """

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add the reason."""
        fields = super().get_fields()  # type: ignore[misc]
        if self.takes_reason():
            fields[CHANGE_REASON] = ReasonField(source=snake_case(CHANGE_REASON), required=is_reason_needed())
        return fields

    def takes_reason(self) -> bool:
        """Whether a reason is taken: not of parts, nor of what is not tracked."""
        return self.parent is None  # type: ignore[attr-defined]

    def to_internal_value(self, data: Any) -> Any:
        """Take the reason out. A change in part needs one like any other."""
        value = super().to_internal_value(data)  # type: ignore[misc]
        reason = value.pop(snake_case(CHANGE_REASON), "")
        if not reason and self.takes_reason() and is_reason_needed():
            raise serializers.ValidationError({CHANGE_REASON: [_("This field is required.")]})
        give_reason(reason)
        return value


class StrictModelSerializer(WithChangeReason, StrictSerializer, serializers.ModelSerializer):
    """Base of serializers of models: the model's own rules and constraints are checked as well.

    A subclass that overrides `validate` calls super() last. Fields that are not in the body's serializer are not
    checked, because a service may still set them. With `is_saved` false, nor are the constraints of the table: the
    model is only made, and may be like one that is there.
    """

    is_saved = True

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: OffsetDateTimeField,
    }

    def takes_reason(self) -> bool:
        """Those of tracked tables."""
        return super().takes_reason() and is_tracked(self.Meta.model)

    def build_standard_field(self, field_name: str, model_field: Any) -> Any:
        """Codes are taken exactly, other texts are trimmed. What a new code may be, the model says."""
        field_class, kwargs = super().build_standard_field(field_name, model_field)
        if validate_code not in model_field.validators:
            return field_class, kwargs
        kwargs["validators"] = [check for check in kwargs.get("validators", ()) if check is not validate_code]
        return CodeField, kwargs

    def get_validators(self) -> list[Any]:
        """Leave constraints over several fields to the model, unless Meta names validators."""
        return list(getattr(getattr(self, "Meta", None), "validators", None) or [])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Run the model's `full_clean` on what would be saved."""
        candidate = self._candidate(attrs)
        sources = {str(field.source).split(".")[0]: name for name, field in self.fields.items() if not field.read_only}
        excluded = {field.name for field in candidate._meta.fields} - set(sources)
        try:
            self.check_candidate(candidate, excluded)
        except ModelValidationError as error:
            raise serializers.ValidationError(_by_field(error, sources)) from None
        return attrs

    def check_candidate(self, candidate: models.Model, excluded: set[str]) -> None:
        """Run the model's own checks on what would be saved. Who checks many rows does the database's share at once."""
        candidate.full_clean(exclude=excluded, validate_unique=self.is_saved, validate_constraints=self.is_saved)

    def _candidate(self, attrs: dict[str, Any]) -> models.Model:
        model: Any = self.Meta.model
        candidate = copy.copy(self.instance) if isinstance(self.instance, models.Model) else model()
        plain = {field.name for field in model._meta.fields}
        for name, value in attrs.items():
            if name in plain and value is not empty:
                setattr(candidate, name, value)
        return candidate


def _by_field(error: ModelValidationError, sources: Mapping[str, str]) -> dict[str, list[str]]:
    return {
        _WHOLE if name == NON_FIELD_ERRORS else sources.get(name, camel_case(name)): messages
        for name, messages in error.message_dict.items()
    }


def read(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """Return the checked body of a request."""
    body = serializer(data=request.data)
    body.is_valid(raise_exception=True)
    give_reason(str(body.validated_data.get("reason") or ""))  # of an act that asks for one
    return body.validated_data


def read_change_reason(request: Request) -> None:
    """Take the reason that a query gives, of a request without a body. Raises ValidationError."""
    field = ReasonField(required=is_reason_needed())
    try:
        give_reason(field.run_validation(request.query_params.get(CHANGE_REASON, empty)))
    except serializers.SkipField:
        return
    except serializers.ValidationError as error:
        raise serializers.ValidationError({CHANGE_REASON: error.detail}) from None
