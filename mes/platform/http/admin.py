"""What the pages of the admin site share: looking without editing, tables of any size, refusals as messages."""

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import Http404, HttpRequest
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.text import capfirst, smart_split, unescape_string_literal
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.errors import DomainError, ValidationFailed
from mes.platform.http import parsing
from mes.platform.http.narrowing import table_at
from mes.platform.scans import UNIT, Part, is_marked, take_part

MOST_FOUND = 1000  # rows of one name that a search goes on from


class StrictJSONField(forms.JSONField):
    """JSON typed in a form, held to the limits of the HTTP interface: depth, NUL, numbers out of range."""

    def to_python(self, value: Any) -> Any:
        """Return the decoded value, or refuse it at its field."""
        if isinstance(value, str) and value.strip():
            _check_json(value)
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what the form shows again; what is refused stays as it was typed."""
        try:
            _check_json(data or "")
        except ValidationError:
            return InvalidJSONInput(data)
        return super().bound_data(data, initial)


def _check_json(text: str) -> None:
    try:
        parsing.decode(text.encode("utf-8", "surrogatepass"))
    except DomainError as refusal:
        raise ValidationError(str(refusal)) from None


class BoundedPaginator(Paginator):
    """Counts no further than `bound` rows, because counting a large table takes longer than reading a page of it."""

    bound = 10_000

    @cached_property
    def count(self) -> int:
        """The number of rows, at most `bound`; filters lead to what lies beyond."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[: self.bound].count()


class ScanSearch:
    """Mixin of admin classes whose search field is scanned into: of a label, `scan_part` is looked for."""

    scan_part: Part = UNIT

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        """Look for the part of a label; what the label lacks is told."""
        if is_marked(search_term):
            try:
                search_term = take_part(search_term, self.scan_part)
            except ValidationError as error:
                messages.warning(request, " ".join(error.messages))
        return super().get_search_results(request, queryset, search_term)  # type: ignore[misc]


class LabelledTimes:
    """Mixin of admin classes: a day and its time of day, which are two fields, have a label each."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Say of which field the halves are."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and isinstance(field.widget, AdminSplitDateTime):
            for half, name in zip(field.widget.widgets, (_("day"), _("time of day")), strict=True):
                half.attrs["aria-label"] = f"{capfirst(str(field.label))}: {name}"
        return field


class ChosenRows:
    """Mixin of admin classes: what is chosen for an action and cannot be a row is left out; Django would fail at it."""

    model: type[Model]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Do what is asked for with the others."""
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        kept = [text for text in chosen if self._may_be_a_row(text)]
        if kept != chosen:
            sent = request.POST.copy()
            sent.setlist(ACTION_CHECKBOX_NAME, kept)
            request.POST = sent  # type: ignore[assignment]
        return super().response_action(request, queryset)  # type: ignore[misc]

    def _may_be_a_row(self, text: str) -> bool:
        try:
            self.model._meta.pk.to_python(text)
        except ValidationError:
            return False
        return "\0" not in text


class LookOnly:
    """Mixin of admin classes: nothing is added, changed or deleted, by superusers neither."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class ReadOnlyAdmin(LookOnly, admin.ModelAdmin):
    """For looking. What may be done is an action with a permission of its own."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 200

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        """Look for words that are something exactly, each by an index: of what rows refer to, the ids are looked up
        first. Joined, a large table would be read from its newest row on.
        """
        fields = self.get_search_fields(request)
        if not search_term or not all(field.endswith("__exact") for field in fields):
            return super().get_search_results(request, queryset, search_term)
        for word in smart_split(search_term):
            queryset = queryset.filter(self.match(unquoted(word)))
        return queryset, False

    def match(self, word: str) -> Q:
        """Return the condition that one of the search fields is this word."""
        matched = Q(pk__in=[])
        for path in self.search_fields:
            owner, _separator, name = path.removesuffix("__exact").rpartition("__")
            if not owner:
                matched |= Q(**{name: word})
            elif ids := self._find(owner, {name: word}):
                matched |= Q(**{f"{owner}__in": ids})
        return matched

    def _find(self, owner: str, named: dict[str, str]) -> list[Any]:
        related = table_at(self.model, owner)
        assert related is not None, owner
        return list(related._base_manager.filter(**named).values_list("pk", flat=True)[:MOST_FOUND])


def unquoted(word: str) -> str:
    """Return a word of a search without the quotes around it."""
    return unescape_string_literal(word) if word[0] in "\"'" and word[0] == word[-1] and len(word) > 1 else word


class AmongNewest(admin.SimpleListFilter):
    """For tables of any size, which have no index for what the other filters ask: those look among the newest rows,
    unless all are asked for.
    """

    title = gettext_lazy("looked through")
    parameter_name = "among"
    number = 100_000
    not_filters = frozenset({"p", "o", "q", "e", "all", parameter_name})

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        """All rows; else the newest."""
        return [("all", gettext_lazy("All, however long it takes"))]

    def choices(self, changelist: Any) -> Any:
        """Call the default what it is."""
        default, *others = super().choices(changelist)
        yield {
            **default,
            "display": _("The newest %(number)s") % {"number": number_format(self.number, force_grouping=True)},
        }
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Leave older rows out where another filter is chosen and nothing is searched for."""
        if self.value() == "all" or request.GET.get("q") or self.not_filters.issuperset(request.GET):
            return queryset
        newest = queryset.model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
        return queryset if newest is None else queryset.filter(pk__gt=newest - self.number)


def choice_filter(field: str, title: Any, choices: Sequence[tuple[str, Any]]) -> type[admin.SimpleListFilter]:
    """Make a filter of given values; Django's own would search a large table for those that occur."""

    class ChoiceFilter(admin.SimpleListFilter):
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
            return choices

        def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
            return queryset.filter(**{field: self.value()}) if self.value() else queryset

    ChoiceFilter.title = title
    return ChoiceFilter


def attempt(request: HttpRequest, label: Any, action: Callable[[], Any]) -> Any:
    """Return what the action returns; a refusal becomes a message that begins with `label`, and None is returned."""
    try:
        return action()
    except DomainError as refusal:
        details = refusal.details.values() if isinstance(refusal, ValidationFailed) else ()
        messages.error(request, " ".join([f"{label}: {refusal}", *map(str, details)]))
    except ValidationError as refusal:
        messages.error(request, f"{label}: {' '.join(refusal.messages)}")
    return None


def find_edited(model_admin: admin.ModelAdmin, request: HttpRequest, object_id: str | None) -> Any:
    """Return the thing that a form edits, None of a new one. Raises Http404, and PermissionDenied for who may not."""
    if object_id is None:
        thing, may_edit = None, model_admin.has_add_permission(request)
    else:
        thing = model_admin.get_object(request, unquote(object_id))
        if thing is None:
            raise Http404
        may_edit = model_admin.has_change_permission(request, thing)
    if not may_edit:
        raise PermissionDenied
    return thing


def list_problems(form: forms.BaseForm) -> list[tuple[str, str]]:
    """Return what is wrong with a form, each with the label of its field; "" where it is about several."""
    labels = {name: str(form.fields[name].label or "") for name in form.errors if name in form.fields}
    return [(labels.get(name, ""), str(text)) for name, texts in form.errors.items() for text in texts]


def pretty_json(value: Any) -> str:
    """Show a JSON value over several lines; a dash for none."""
    if value is None:
        return "-"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, default=str))
