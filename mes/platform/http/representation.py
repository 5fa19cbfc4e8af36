"""Rows as they are shown, many at once: how each field is read and written is found out once, not for each row.

REST framework asks for every value of every row whether what it reads is a mapping and whether it can be called, and
builds the fields anew for each request: two thirds of what a list of events costs beside the database. The answer is
the same: what is not plain (another class of field, a missing attribute, a method) goes REST framework's own way.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers
from rest_framework.fields import SkipField, empty
from rest_framework.relations import PKOnlyObject

# What writes a value by itself, without asking for the serializer around it or for the request.
PLAIN: dict[Any, Callable[[Any], Any] | None] = {
    serializers.CharField.to_representation: str,
    serializers.IntegerField.to_representation: int,
    serializers.FloatField.to_representation: float,
    serializers.BooleanField.to_representation: None,
    serializers.ChoiceField.to_representation: None,  # None: the field's own
    serializers.DateField.to_representation: None,
    serializers.TimeField.to_representation: None,
    serializers.DecimalField.to_representation: None,
    serializers.JSONField.to_representation: None,
    serializers.ReadOnlyField.to_representation: None,
    serializers.SlugRelatedField.to_representation: None,
    serializers.PrimaryKeyRelatedField.to_representation: None,
    serializers.ListField.to_representation: None,  # where its items are plain, too
    serializers.DictField.to_representation: None,
    serializers.ListSerializer.to_representation: None,
}
_PLAIN_READING = (serializers.Field.get_attribute, serializers.RelatedField.get_attribute)


class Column(NamedTuple):
    """A field: its name, how its value is read from a row, and how one that is not None is written."""

    name: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def writes_by_itself(method: Callable[..., Any]) -> Callable[..., Any]:
    """Say of a field's `to_representation` that it asks for nothing but the value."""
    PLAIN[method] = None
    return method


class RowsAtOnce:
    """A serializer that finds out once how its rows are shown: once for its class where all fields are plain."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return a row as REST framework would."""
        row = {}
        for name, read, write in self.columns:
            try:
                value = read(instance)
            except SkipField:
                continue
            row[name] = None if value is None else write(value)
        return row

    @cached_property
    def columns(self) -> Sequence[Column]:
        """How each field is read and written."""
        if "fields" in vars(self):  # somebody asked for them, and may have changed them
            return _columns(self)
        own = type(self)
        return _columns_of_class(own) or _columns(self)  # type: ignore[arg-type]  # classes can be hashed


@cache
def _columns_of_class(serializer: type[Any]) -> Sequence[Column] | None:
    """The columns that all instances have in common; None where fields ask for the instance or the request."""
    template = serializer()
    return _columns(template) if all(map(_is_plain, _readable(template))) else None


def _readable(serializer: Any) -> Iterator[serializers.Field]:
    return (field for field in serializer.fields.values() if not field.write_only)


def _columns(serializer: Any) -> list[Column]:
    return [Column(str(field.field_name), _reader(field), _writer(field)) for field in _readable(serializer)]


def _is_plain(field: serializers.Field) -> bool:
    cls, child = type(field), getattr(field, "child", None)
    if cls.get_attribute not in _PLAIN_READING or not (field.default is empty or not callable(field.default)):
        return False
    if cls.to_representation is RowsAtOnce.to_representation:
        return all(map(_is_plain, _readable(field)))
    return cls.to_representation in PLAIN and (child is None or _is_plain(child))


def _reads_attributes(field: serializers.Field) -> bool:
    return type(field).get_attribute is serializers.Field.get_attribute and field.source != "*"


def _reader(field: serializers.Field) -> Callable[[Any], Any]:
    if not _reads_attributes(field):
        return _reader_of_relation(field)
    get, ask_framework = attrgetter(str(field.source)), field.get_attribute

    def read(instance: Any) -> Any:
        try:
            value = get(instance)
        except (AttributeError, KeyError, ObjectDoesNotExist):
            return ask_framework(instance)
        return ask_framework(instance) if callable(value) else value

    return read


def _reader_of_relation(field: serializers.Field) -> Callable[[Any], Any]:
    def read(instance: Any) -> Any:
        value = field.get_attribute(instance)
        return None if isinstance(value, PKOnlyObject) and value.pk is None else value

    return read


def _writer(field: serializers.Field) -> Callable[[Any], Any]:
    return PLAIN.get(type(field).to_representation) or field.to_representation
