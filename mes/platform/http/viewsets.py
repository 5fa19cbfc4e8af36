"""Viewsets for things that are created, read, changed and deleted one by one: by code or by id."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import ProtectedError, QuerySet, RestrictedError
from django.utils.translation import gettext as _
from rest_framework.filters import BaseFilterBackend, SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from mes import errors
from mes.platform.database.tracking import is_tracked
from mes.platform.http import edits
from mes.platform.http.addresses import NAME
from mes.platform.http.envelope import in_use
from mes.platform.http.narrowing import narrowed
from mes.platform.http.serializers import read_change_reason
from mes.platform.http.whole_numbers import whole_number

_BOOLEANS = {"true": True, "false": False}


class ExactFilter(BaseFilterBackend):
    """Exact matches from the view's `filters`: query parameter → lookup. Empty parameters are ignored."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        """Narrow the list to what is asked for."""
        filters: Mapping[str, str] = getattr(view, "filters", {})
        for parameter, lookup in filters.items():
            text = request.query_params.get(parameter, "")
            if text:
                value = _typed(queryset.model, lookup, parameter, text)
                queryset = queryset.filter(narrowed(lookup, value, queryset.model))
        return queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters for the OpenAPI document."""
        queryset = getattr(view, "queryset", None)
        model = None if queryset is None else queryset.model
        return [
            {"name": name, "required": False, "in": "query", "schema": _schema_of(_field_of(model, lookup))}
            for name, lookup in getattr(view, "filters", {}).items()
        ]


class OnlyKnownFilter(ExactFilter):
    """Exact matches; a parameter that the list does not know is refused: mistyped, it would show more than is meant."""

    also_known: ClassVar[Collection[str]] = ()  # parameters that a filter reads by itself

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        """Narrow the list. Raises ValidationFailed for parameters that it has not."""
        pages = view.paginator
        known = {*view.filters, *self.also_known, pages.cursor_query_param, pages.page_size_query_param}
        if unknown := sorted(set(request.query_params) - known):
            raise errors.ValidationFailed(dict.fromkeys(unknown, _("Unknown parameter.")))
        return super().filter_queryset(request, queryset, view)


class TextSearch(SearchFilter):
    """`search`: every word must occur in one of the view's `search_fields`, in upper or lower case.

    Codes are kept in the collation "C", whose upper case knows ASCII only: other letters are found as they are written.
    """

    lookup_prefixes = {**SearchFilter.lookup_prefixes, "~": "contains"}

    def get_search_fields(self, view: Any, request: Request) -> list[str]:
        """Return each field for both comparisons."""
        fields = super().get_search_fields(view, request) or ()
        return [name for field in fields for name in (field, f"~{field}")]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameter where a view has it."""
        return super().get_schema_operation_parameters(view) if getattr(view, "search_fields", None) else []


def _typed(model: type[models.Model], lookup: str, parameter: str, text: str) -> Any:
    """Turn the text of a parameter into a value of the field it is compared with, or refuse it."""
    field = _field_of(model, lookup)
    if isinstance(field, models.BooleanField):
        if text not in _BOOLEANS:
            raise errors.ValidationFailed({parameter: _("Must be true or false.")})
        return _BOOLEANS[text]
    if field is not None and (choices := _choices_of(field)) and text not in choices:
        raise errors.ValidationFailed({parameter: _("Must be one of %(known)s.") % {"known": ", ".join(choices)}})
    if isinstance(field, models.AutoField | models.IntegerField) and whole_number(text.removeprefix("-")) is None:
        raise errors.ValidationFailed({parameter: _("Must be a whole number.")})
    try:
        return field.to_python(text) if field is not None else text
    except (ValidationError, ValueError, OverflowError) as error:
        messages = error.messages if isinstance(error, ValidationError) else [_("Cannot be understood.")]
        raise errors.ValidationFailed({parameter: " ".join(messages)}) from None


def _choices_of(field: models.Field) -> list[str]:
    """Return the values that a field may have, none where it may have any."""
    return [str(value) for value, _label in field.flatchoices if value not in (None, "")]


def _schema_of(field: models.Field | None) -> dict[str, Any]:
    """Describe what a field is compared with."""
    if isinstance(field, models.BooleanField):
        return {"type": "boolean"}
    choices = [] if field is None else _choices_of(field)
    return {"type": "string", "enum": choices} if choices else {"type": "string"}


def _field_of(model: type[models.Model] | None, lookup: str) -> models.Field | None:
    field: Any = None
    for part in lookup.split("__"):
        field = model._meta.get_field(model._meta.pk.name if part == "pk" else part) if model else None
        model = getattr(field, "related_model", None)
    if isinstance(field, models.ForeignKey):
        return field.target_field
    return field if isinstance(field, models.Field) else None


class _ThingViewSet(ModelViewSet):
    """What both kinds share. PATCH changes, there is no PUT; DELETE answers 200."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter, TextSearch]
    filters: ClassVar[Mapping[str, str]] = {}
    not_found: ClassVar[type[errors.NotFound]] = errors.NotFound

    def get_object(self) -> Any:
        """Return the object that the address names, or raise `not_found`."""
        value = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        thing = self.find(value)
        if thing is None:
            raise self.not_found(code=value)
        self.check_object_permissions(self.request, thing)
        return thing

    def find(self, value: str) -> models.Model | None:
        """Return the object of this address. Filters of lists play no part."""
        return self.get_queryset().filter(**{self.lookup_field: value}).first()

    def perform_create(self, serializer: BaseSerializer) -> None:
        """Save all of it or nothing."""
        with transaction.atomic():
            serializer.save()

    def perform_update(self, serializer: BaseSerializer) -> None:
        """Save all of it or nothing."""
        with transaction.atomic():
            serializer.save()

    def perform_destroy(self, instance: models.Model) -> None:
        """Delete, unless something still uses it."""
        try:
            with transaction.atomic():
                instance.delete()
        except (ProtectedError, RestrictedError) as error:
            raise in_use(error) from error

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer with one thing, and with its state as `ETag`."""
        thing = self.get_object()
        tag = edits.tag_of(thing)
        if tag is None:
            return Response(self.get_serializer(thing).data)
        thing = self.get_object()  # after its state: what others commit in between must not be in the tag only
        return Response(self.get_serializer(thing).data, headers={"ETag": tag})

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change one thing. With `If-Match`, only the state that was read."""
        expected = edits.read_if_match(request.headers.get(edits.HEADER))
        if expected is None:
            return super().update(request, *args, **kwargs)
        with transaction.atomic():
            edits.check(self.get_object(), expected)
            return super().update(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete and answer with an empty envelope. A tracked thing takes `changeReason` in its query."""
        if is_tracked(self.get_queryset().model):
            read_change_reason(request)
        expected = edits.read_if_match(request.headers.get(edits.HEADER))
        with transaction.atomic():
            thing = self.get_object()
            edits.check(thing, expected)
            self.perform_destroy(thing)
        return Response(None)


class CodeModelViewSet(_ThingViewSet):
    """Things known by their code; another unique field by setting `lookup_field`."""

    lookup_field = "code"
    lookup_value_regex = NAME


class IdModelViewSet(_ThingViewSet):
    """Things known by their id."""

    lookup_field = "id"

    def find(self, value: str) -> models.Model | None:
        """Return the object; what cannot be an id names nothing."""
        if whole_number(value) is None:
            return None
        return super().find(value)
