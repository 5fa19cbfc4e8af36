"""The form of a time rule: everything that a rule may name is offered, nothing is written as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.plant.models import Line, Operation, OperationKind, StationType
from mes.platform.accounts.roles import Role
from mes.platform.http.whole_numbers import whole_number
from mes.routing.models import Routing
from mes.time_rules.choices import TimeRuleAction
from mes.time_rules.definitions import FIELDS, RESULTS
from mes.time_rules.models import TimeRuleDefinition
from mes.time_rules.rules import as_list

Choices = Iterable[tuple[str, Any]]

ATTEMPT = "attempt"
LABELS = {
    "operationKind": gettext_lazy("Kind of operation"),
    "operationCode": gettext_lazy("Operation"),
    "result": gettext_lazy("Result"),
    "source": gettext_lazy("Tracked at a station of type"),
    ATTEMPT: gettext_lazy("Attempt"),
    "lineCode": gettext_lazy("Line"),
}


def _offered(name: str) -> Choices:
    """Return what a field of an event may be."""
    if name == "operationKind":
        return OperationKind.choices
    if name == "operationCode":
        return [(code, f"{code} – {label}") for code, label in Operation.objects.values_list("code", "name")]
    if name == "result":
        return [(result, result) for result in RESULTS]
    if name == "source":
        return StationType.choices
    return [(code, f"{code} – {label}") for code, label in Line.objects.values_list("code", "name")]


def _events_with(name: str) -> str:
    return " ".join(event for event, fields in FIELDS.items() if name in fields)


class ConditionWidget(forms.Widget):
    """The fields that an event may have, each with what may be ticked; also what was kept and is gone."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, list[str]]:
        """Return what is ticked or typed, by field of the event."""
        values = {field: [text for text in data.getlist(f"{name}-{field}") if text.strip()] for field in LABELS}
        values[ATTEMPT] = [part for text in values[ATTEMPT] for part in text.replace(",", " ").split()]
        return {field: chosen for field, chosen in values.items() if chosen}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Nothing ticked is a condition, too."""
        return False

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Draw a group for each field."""
        condition = value if isinstance(value, Mapping) else {}
        groups = [
            {
                "name": f"{name}-{field}",
                "label": label,
                "events": _events_with(field),
                "is_typed": field == ATTEMPT,
                "text": ", ".join(map(str, as_list(condition.get(field, [])))),
                "choices": [] if field == ATTEMPT else _with_state(field, as_list(condition.get(field, []))),
            }
            for field, label in LABELS.items()
        ]
        return render_to_string("time_rules/_condition.html", {"groups": groups, "id": (attrs or {}).get("id", name)})


def _with_state(field: str, chosen: list[Any]) -> list[dict[str, Any]]:
    offered = dict(_offered(field))
    gone = {value: _("%(value)s (no longer there)") % {"value": value} for value in chosen if value not in offered}
    both = [*offered.items(), *gone.items()]
    return [{"value": value, "label": label, "is_chosen": value in chosen} for value, label in both]


class ConditionField(forms.Field):
    """A condition: field of the event → the values that count. What contradicts the event, the model says."""

    widget = ConditionWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, **kwargs})

    def to_python(self, value: Any) -> dict[str, Any]:
        """Return the condition, attempts as numbers."""
        condition: dict[str, Any] = dict(value or {})
        if ATTEMPT in condition:
            condition[ATTEMPT] = [_attempt(text) for text in condition[ATTEMPT]]
        return condition

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether it means something else: a value and a list of it are the same."""
        try:
            return _normal(initial) != _normal(self.to_python(data))
        except ValidationError:
            return True


def _attempt(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise ValidationError(_("Attempt: “%(text)s” is not a whole number from 1.") % {"text": text[:20]})
    return number


def _normal(condition: Any) -> Any:
    if not isinstance(condition, Mapping):
        return condition
    return {name: sorted(map(str, as_list(values))) for name, values in condition.items()}


class TimeRuleForm(forms.ModelForm):
    """A time rule. A condition that was not touched stays as it was written."""

    start_condition = ConditionField(label=gettext_lazy("Start condition"))
    end_condition = ConditionField(label=gettext_lazy("End condition"))
    route_operation_kinds = forms.MultipleChoiceField(
        choices=OperationKind.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Only for routes with"),
        help_text=gettext_lazy("Kinds that the unit's route must contain, all of them; none: any route."),
    )
    notified_roles = forms.MultipleChoiceField(
        choices=Role.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Roles that are told"),
        help_text=gettext_lazy("Who is told when a clock runs out: people of these roles who follow the line."),
    )

    action = forms.ChoiceField(
        choices=TimeRuleAction.choices,
        required=False,
        initial=TimeRuleAction.NOTIFY,
        label=gettext_lazy("Action"),
        help_text=gettext_lazy(
            "Refusing is for units that must not enter a step too early; holding for all that is not in time."
        ),
    )

    class Meta:
        model = TimeRuleDefinition
        fields = (
            "code",
            "name",
            "duration_minutes",
            "min_minutes",
            "warning_minutes",
            "action",
            "is_active",
            "start_event",
            "start_condition",
            "restarts",
            "end_event",
            "end_condition",
            "scope",
            "scope_value",
            "route_operation_kinds",
            "priority",
            "is_waivable",
            "notified_roles",
        )

    def clean(self) -> dict[str, Any]:
        """Leave alone what was not changed."""
        data = super().clean() or self.cleaned_data
        if not data.get("action"):
            data["action"] = TimeRuleAction.NOTIFY
        for name in ("start_condition", "end_condition"):
            if name in data and name not in self.changed_data and self.instance.pk:
                data[name] = self.initial[name]
        return data


def list_scope_values() -> dict[str, list[tuple[str, str]]]:
    """Return the codes that each kind of scope may name, with names; products are those of routes."""
    routes = list(Routing.objects.values_list("code", "name", "product_code"))
    return {
        "LINE": list(Line.objects.values_list("code", "name")),
        "ROUTING": [(code, name) for code, name, _product in routes],
        "PRODUCT": sorted({(product, "") for _code, _name, product in routes if product}),
    }
