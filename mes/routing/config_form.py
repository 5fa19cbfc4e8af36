"""The form of an execution config: where it applies, and what it sets; of each field whether it is set at all."""

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.contrib.admin.widgets import FilteredSelectMultiple
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.plant.models import Operation, Station, StationGroup, StationType
from mes.routing import services
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing
from mes.specs.models import DataCollectionSpec

INHERIT, EXACTLY, NONE = "inherit", "exactly", "none"
_INHERIT = gettext_lazy("Inherit")
PLACE = ("scope", "routing", "step_no", "source_step_key", "operation")
# Which fields of the place belong to a scope; a script shows only these.
PLACES = {
    ConfigScope.STEP: ("routing", "step_no", "source_step_key"),
    ConfigScope.OPERATION: ("operation",),
    ConfigScope.ROUTE: ("routing",),
    ConfigScope.GLOBAL: (),
}


class NamedChoices(forms.MultipleChoiceField):
    """Some of what there is, by name; what was chosen before stays a choice, also when it is gone."""

    def __init__(self, label: Any, plural: Any, **kwargs: Any) -> None:
        super().__init__(label=label, required=False, widget=FilteredSelectMultiple(plural, is_stacked=False), **kwargs)

    def offer(self, names: Iterable[str], kept: Sequence[str]) -> None:
        """Offer these, and what is set already."""
        self.choices = [(name, name) for name in dict.fromkeys([*names, *kept])]


class ConfigForm(forms.ModelForm):
    """Nothing empty means two things: what is inherited is said so."""

    routing = forms.ModelChoiceField(Routing.objects.order_by("code"), label=gettext_lazy("Route"), required=False)
    operation = forms.ModelChoiceField(
        Operation.objects.order_by("code"), label=gettext_lazy("Operation"), required=False
    )
    station_type = forms.TypedChoiceField(
        label=gettext_lazy("Station type"),
        choices=[("", _INHERIT), *StationType.choices],
        required=False,
        empty_value=None,
    )
    station_group = forms.ModelChoiceField(
        StationGroup.objects.order_by("code"),
        label=gettext_lazy("Station group"),
        required=False,
        empty_label=_INHERIT,
    )
    requires_fai = forms.TypedChoiceField(
        label=gettext_lazy("First article"),
        choices=[("", _INHERIT), ("true", gettext_lazy("Required")), ("false", gettext_lazy("Not required"))],
        required=False,
        coerce=lambda value: value in ("true", "True", True),
        empty_value=None,
    )
    retest_limit = forms.IntegerField(
        label=gettext_lazy("Retests"),
        required=False,
        min_value=0,
        max_value=2**15 - 1,
        widget=forms.NumberInput(attrs={"placeholder": _INHERIT}),
        help_text=gettext_lazy("Empty: inherit. 0: none."),
    )
    reentry_limit = forms.IntegerField(
        label=gettext_lazy("Re-entries"),
        required=False,
        min_value=0,
        max_value=2**15 - 1,
        widget=forms.NumberInput(attrs={"placeholder": _INHERIT}),
        help_text=gettext_lazy("How often rework may lead a unit into the step again. Empty: inherit. 0: never."),
    )
    is_optional = forms.TypedChoiceField(
        label=gettext_lazy("Optional"),
        choices=[("", _INHERIT), ("true", gettext_lazy("Yes")), ("false", gettext_lazy("No"))],
        required=False,
        coerce=lambda value: value in ("true", "True", True),
        empty_value=None,
        help_text=gettext_lazy("Then units may go on without it. Of a step only."),
    )
    requires_qualification = forms.TypedChoiceField(
        label=gettext_lazy("Qualification"),
        choices=[("", _INHERIT), ("true", gettext_lazy("Required")), ("false", gettext_lazy("Not required"))],
        required=False,
        coerce=lambda value: value in ("true", "True", True),
        empty_value=None,
        help_text=gettext_lazy("Then only people who are qualified for the operation take units in by hand."),
    )
    stations_mode = forms.ChoiceField(
        label=gettext_lazy("Allowed stations"),
        choices=[(INHERIT, _INHERIT), (EXACTLY, gettext_lazy("Exactly these"))],
        widget=forms.RadioSelect,
        required=False,
    )
    allowed_station_codes = NamedChoices("", gettext_lazy("stations"))
    specs_mode = forms.ChoiceField(
        label=gettext_lazy("Specs"),
        choices=[
            (INHERIT, gettext_lazy("Inherit: what a wider scope says, else all active specs of the operation")),
            (EXACTLY, gettext_lazy("Exactly these")),
            (NONE, gettext_lazy("None: collect nothing")),
        ],
        widget=forms.RadioSelect,
        required=False,
    )
    data_spec_names = NamedChoices("", gettext_lazy("specs"))

    class Meta:
        model = RouteExecutionConfig
        fields = (
            *PLACE,
            "station_type",
            "station_group",
            "allowed_station_codes",
            "requires_fai",
            "retest_limit",
            "reentry_limit",
            "is_optional",
            "requires_qualification",
            "data_spec_names",
            "ingest_mapping",
            "work_instructions",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config, fields = self.instance, self.fields
        if "scope" in fields:
            places = {scope.value: names for scope, names in PLACES.items()}
            fields["scope"].widget.attrs["data-places"] = ";".join(f"{s}:{','.join(n)}" for s, n in places.items())
        if "stations_mode" not in fields:  # shown, not edited
            return
        for name in ("requires_fai", "is_optional", "requires_qualification"):
            if (said := getattr(config, name)) is not None:
                self.initial[name] = "true" if said else "false"
        self.initial["stations_mode"] = INHERIT if config.allowed_station_codes is None else EXACTLY
        names = config.data_spec_names
        self.initial["specs_mode"] = INHERIT if names is None else EXACTLY if names else NONE
        stations = Station.objects.order_by("code").values_list("code", flat=True)
        fields["allowed_station_codes"].offer(stations, config.allowed_station_codes or ())  # type: ignore[attr-defined]
        fields["data_spec_names"].offer(_spec_names(config), names or ())  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Bring how a list is meant and its names together."""
        data = super().clean() or self.cleaned_data
        self._take("allowed_station_codes", "stations_mode")
        self._take("data_spec_names", "specs_mode")
        return data

    def _take(self, name: str, mode: str) -> None:
        data = self.cleaned_data
        if name not in data or mode not in data:
            return
        names = _in_order(data[name], getattr(self.instance, name))
        chosen = data[mode] or (EXACTLY if names else INHERIT)
        if chosen != EXACTLY:
            data[name] = None if chosen == INHERIT else []
        elif not names and getattr(self.instance, name) != []:
            self.add_error(mode, _("Choose at least one, or inherit."))
        else:
            data[name] = names

    def full_clean(self) -> None:
        """Look for what the fields do not show by themselves, when all else is right."""
        super().full_clean()
        if self.is_bound and not self.errors:
            for name, message in services.find_config_problems(self.instance).items():
                self.add_error(name if name in self.fields else None, message)


def _spec_names(config: RouteExecutionConfig) -> list[str]:
    """Return the names that a config may bind: of its operation where it has one."""
    specs = DataCollectionSpec.objects.filter(is_active=True)
    if config.operation_id is not None:
        specs = specs.filter(operation=config.operation_id)
    return list(specs.order_by("name").values_list("name", flat=True).distinct())


def _in_order(names: Sequence[str], before: Sequence[str] | None) -> list[str]:
    """Return names as they were ordered before, new ones behind: a form that is saved as it is changes nothing."""
    kept = [name for name in before or () if name in names]
    return [*kept, *(name for name in names if name not in kept)]
