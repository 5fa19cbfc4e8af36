"""Forms of what is tracked: why something is changed, and two people who change one thing at once.

The admin site puts `EditsTracked` on every admin class of a tracked model, so that none can forget it. A class says of
which fields a change needs a reason, and where it must, what else does.
"""

import copy
from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.errors import EditConflict, ValidationFailed
from mes.platform.database.authorship import LONGEST_REASON, SHORTEST_REASON, give_reason
from mes.platform.http import edits
from mes.platform.http.whole_numbers import whole_number
from mes.platform.validators import validate_line

REASON, STATE = "change_reason", "read_state"
_OF_EDITS = (REASON, STATE)  # fields of forms that are none of the thing
_DELETE = "delete_selected"


class ReasonField(forms.CharField):
    """Why something is changed; held to what `changeReason` is held to over HTTP."""

    default_validators = [validate_line]

    def __init__(self, **kwargs: Any) -> None:
        given = {"label": gettext_lazy("Reason for the change"), "required": False, **kwargs}
        super().__init__(**{"min_length": SHORTEST_REASON, "max_length": LONGEST_REASON, **given})
        self.widget.attrs.update(autocomplete="off", **{"class": "vTextField reason"})


class _Edit:
    """What both kinds of forms share. `things` are what the form was shown of."""

    data: Any
    things: Sequence[models.Model] = ()

    def compare(self: Any) -> None:
        """Refuse what others changed meanwhile, with the state of now, so that sending it again is a decision."""
        expected = None
        try:
            state = self.data.get(STATE, "")  # an empty one too is none: each thing that is tracked has a state
            expected = edits.read_if_match(state) if self.things else None
            edits.check_all(self.things, expected)
        except ValidationFailed:
            self.refuse([_("The form does not say of which state it is.")])
        except EditConflict:
            assert expected is not None, "nothing else conflicts"
            self.refuse(edits.tell_changes(self.things, expected))

    def refuse(self: Any, told: Sequence[str]) -> None:
        """Show the form again as it was typed, and what was changed."""
        self.add_error(None, ValidationError([CHANGED_MEANWHILE, *told], code="conflict"))
        self.data = self.data.copy()
        self.data[STATE] = edits.tag_of(*self.things) or ""

    def insist(self: Any) -> None:
        """Want a reason, unless there is one or what was typed is refused already."""
        if REASON not in self.errors and not self.cleaned_data.get(REASON):
            self.add_error(REASON, ValidationError(WITHOUT_REASON, code="required"))


CHANGED_MEANWHILE = gettext_lazy(
    "Somebody else changed this since you opened it. Nothing is saved yet, and what you typed is still here. Compare, "
    "then save again."
)
WITHOUT_REASON = gettext_lazy("Say why: this change needs a reason, which is kept beside it.")


class EditForm(_Edit, forms.ModelForm):
    """The form of a tracked thing: with the state that was read, and the reason."""

    change_reason = ReasonField()
    read_state = forms.CharField(required=False, widget=forms.HiddenInput)

    model_admin: ClassVar[Any]
    request: ClassVar[HttpRequest]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # As it was read: what is typed goes into the instance, and may be what the thing is known by.
        self.things = [] if self.instance.pk is None else [copy.copy(self.instance)]
        if self.things:
            self.fields[STATE].initial = getattr(self.request, STATE, None)
        else:
            del self.fields[STATE]

    @property
    def changed_data(self) -> list[str]:
        """Return the fields of the thing that were changed."""
        return [name for name in super().changed_data if name not in _OF_EDITS]

    def full_clean(self) -> None:
        """Look whether others changed it, and whether there is a reason where one is needed."""
        super().full_clean()
        if not self.is_bound or not self.things:
            return
        self.compare()
        changed = frozenset(self.changed_data)
        admin = self.model_admin
        if (changed and admin.insists(self.things[0], self.instance, changed)) or admin.insists_on_parts(self):
            self.insist()


class ReasonForm(_Edit, forms.Form):
    """What an action and a deletion ask for, beside what is chosen."""

    change_reason = ReasonField()
    read_state = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, things: Sequence[models.Model] = (), insisted: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.things, self.insisted = things, insisted

    def full_clean(self) -> None:
        """Look whether others changed them, and whether there is a reason where one is needed."""
        super().full_clean()
        if self.is_bound:
            self.compare()
            if self.insisted:
                self.insist()


class ActionWithReason(ActionForm):
    """The choice of an action, and why."""

    change_reason = ReasonField(label=gettext_lazy("Reason"))


class ReasonRules:
    """What an admin class of a tracked model may say: of which changes a reason is needed.

    A change of a field in `insists_on_reason` needs one, and an action of `insisting_actions`.
    """

    insists_on_reason: tuple[str, ...] = ()
    insisting_actions: tuple[str, ...] = ()

    def insists(self, before: Any, after: Any, changed: frozenset[str]) -> bool:
        """Whether a change of these fields needs a reason."""
        return not changed.isdisjoint(self.insists_on_reason)

    def insists_on_parts(self, form: Any) -> bool:
        """Whether what a form says of the parts of its thing needs a reason."""
        return False

    def insists_on_deletion(self, thing: Any) -> bool:
        """Whether deleting a thing needs a reason."""
        return False


class EditsTracked(BaseModelAdmin):
    """Mixin of the admin classes of tracked models. What they say as `ReasonRules` stands behind it."""

    insisting_actions: tuple[str, ...]
    insists: Any
    insists_on_parts: Any
    insists_on_deletion: Any
    action_form = ActionWithReason
    list_editable: tuple[str, ...] = ()  # such rows would carry no state and no reason

    # --- one thing

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the thing, for a page that is shown with its state; read after it, so that it is not older."""
        thing = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        if thing is None or request.method != "GET":
            return thing
        setattr(request, STATE, edits.tag_of(thing))
        return super().get_object(request, object_id, from_field)  # type: ignore[misc]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Add the state and the reason to the form; not where Django only asks which fields the thing has."""
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        if kwargs.get("fields", ()) is None:
            return form
        return type(form)(form.__name__, (EditForm, form), {"model_admin": self, "request": request})

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        """Keep rows that others deleted meanwhile as they were typed: saved again, they are new ones."""
        given = super().get_formset_kwargs(request, obj, inline, prefix)  # type: ignore[misc]
        if "data" in given and request.POST.get(STATE):
            known = {str(pk) for pk in given["queryset"].filter(**_of(inline, obj)).values_list("pk", flat=True)}
            given["data"] = with_rows_that_are_there(given["data"], prefix, inline.model._meta.pk.name, known)
        return given

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """Keep the reason beside each change that follows."""
        give_reason(form.cleaned_data.get(REASON, ""))
        return super().save_form(request, form, change)  # type: ignore[misc]

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Delete what was read, with the reason."""
        if told := self._tell_deletion(request, object_id):
            return told
        if request.method != "POST":
            return super().delete_view(request, object_id, extra_context)  # type: ignore[misc]
        with transaction.atomic():
            thing = self.get_object(request, unquote(object_id))
            if thing is not None:
                form = ReasonForm(request.POST, things=[thing], insisted=self.insists_on_deletion(thing))
                if form.is_valid():
                    give_reason(form.cleaned_data[REASON])
                else:  # asked again
                    extra_context = {**(extra_context or {}), "edit": form}
                    request.method, request.POST = "GET", QueryDict()
            return super().delete_view(request, object_id, extra_context)  # type: ignore[misc]

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> Any:
        """Ask for the reason."""
        context.setdefault("edit", ReasonForm(initial={STATE: getattr(request, STATE, None)}))
        return super().render_delete_form(request, context)  # type: ignore[misc]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Show or save a thing; of one that is not there any more, say who deleted it."""
        return self._tell_deletion(request, object_id) or super().change_view(  # type: ignore[misc]
            request, object_id, form_url, extra_context
        )

    def _tell_deletion(self, request: HttpRequest, object_id: str) -> HttpResponse | None:
        """Lead to the list with who deleted a thing; None of one that is there, or was never."""
        number, opts = whole_number(unquote(object_id)), self.model._meta
        if number is None or self.model._base_manager.filter(pk=number).exists():
            return None
        told = edits.tell_deletion(self.model, number)
        if not told or not self.has_view_or_change_permission(request):
            return None
        messages.error(request, _("Nothing is saved: %(told)s.") % {"told": told} if request.POST else f"{told}.")
        return HttpResponseRedirect(reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"))

    # --- several things

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Do what is asked for with the reason; ask for it where one is needed."""
        name, chosen = _action_of(request), _chosen(request, queryset)
        if name not in self.get_actions(request) or chosen is None:  # type: ignore[attr-defined]
            return super().response_action(request, queryset)  # type: ignore[misc]
        if name == _DELETE:
            return self._delete_chosen(request, queryset, list(chosen))
        form = ReasonForm(request.POST, insisted=name in self.insisting_actions)
        if not form.is_valid():
            return self._ask_for_reason(request, name, list(chosen), form)
        give_reason(form.cleaned_data[REASON])
        return super().response_action(request, queryset)  # type: ignore[misc]

    def _delete_chosen(self, request: HttpRequest, queryset: QuerySet[Any], things: list[Any]) -> Any:
        """Delete what was shown when it was confirmed. What is typed before is asked for on the page that follows."""
        typed = {REASON: request.POST.get(REASON, ""), STATE: edits.tag_of(*things)}
        form = ReasonForm(initial=typed)
        with transaction.atomic():
            if request.POST.get("post"):
                form = ReasonForm(request.POST, things=things, insisted=any(map(self.insists_on_deletion, things)))
                if form.is_valid():
                    give_reason(form.cleaned_data[REASON])
                else:  # asked again
                    unconfirmed = request.POST.copy()
                    unconfirmed.pop("post")
                    request.POST = unconfirmed  # type: ignore[assignment]
            response = super().response_action(request, queryset)  # type: ignore[misc]
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            response.context_data["edit"] = form
        return response

    def _ask_for_reason(self, request: HttpRequest, name: str, things: list[Any], form: ReasonForm) -> HttpResponse:
        label = dict(self.get_action_choices(request))[name]  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": label,
            "subtitle": None,
            "opts": self.opts,
            "action": name,
            "things": things,
            "select_across": request.POST.get("select_across", "0"),
            "edit": form,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/action_reason.html", context)


def with_rows_that_are_there(data: QueryDict, prefix: str, pk: str, known: set[str]) -> QueryDict:
    """Return what was typed in rows, in which those that are gone are new ones and stand behind the others.

    What cannot be read stays as it is: the formset refuses it.
    """
    total, initial = (whole_number(data.get(f"{prefix}-{name}_FORMS", "")) for name in ("TOTAL", "INITIAL"))
    if total is None or initial is None or not initial <= total <= forms.formsets.DEFAULT_MAX_NUM:
        return data
    rows = [_row(data, f"{prefix}-{number}-") for number in range(total)]
    there = [row for row in rows[:initial] if row.get(pk, [""])[0] in known]
    if len(there) == initial:
        return data
    gone = [row for row in rows[:initial] if row not in there]
    for row in gone:
        row[pk] = [""]
    for key in [key for key in data if key.startswith(tuple(f"{prefix}-{number}-" for number in range(total)))]:
        del data[key]
    for number, row in enumerate([*there, *rows[initial:], *gone]):
        for name, values in row.items():
            data.setlist(f"{prefix}-{number}-{name}", values)
    data[f"{prefix}-INITIAL_FORMS"] = str(len(there))
    return data


def _row(data: QueryDict, prefix: str) -> dict[str, list[str]]:
    return {key.removeprefix(prefix): data.getlist(key) for key in data if key.startswith(prefix)}


def _of(inline: Any, thing: Any) -> dict[str, Any]:
    """Return the condition of an inline's rows of a thing."""
    key: Any = forms.inlineformset_factory(type(thing), inline.model, fk_name=inline.fk_name, fields=()).fk
    return {key.name: thing} if thing.pk is not None else {"pk__in": []}


def _action_of(request: HttpRequest) -> str:
    """Return which action was chosen, as Django reads it: of two bars, the one whose button was pressed."""
    chosen, index = request.POST.getlist("action"), whole_number(request.POST.get("index", "0")) or 0
    return chosen[index] if index < len(chosen) else ""


def _chosen(request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
    if request.POST.get("select_across") == "1":
        return queryset
    selected = request.POST.getlist("_selected_action")
    return queryset.filter(pk__in=selected) if selected and all(map(whole_number, selected)) else None
