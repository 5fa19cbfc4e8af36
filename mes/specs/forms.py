"""Forms of data collection specs."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Operation
from mes.specs import services
from mes.specs.models import DataCollectionSpec
from mes.specs.rules import FITTING, find_misfits, usual_alarm_action


class SpecForm(forms.ModelForm):
    """A spec. What does not fit its data type or trigger is refused where it is typed; what stood there may stay."""

    class Meta:
        model = DataCollectionSpec
        fields = (
            "operation",
            "name",
            "item_type",
            "is_required",
            "is_active",
            "data_type",
            "unit",
            "method",
            "trigger_type",
            "trigger_rule",
            "lsl",
            "target",
            "usl",
            "alarm_min",
            "alarm_max",
            "alarm_action",
        )

    def clean(self) -> dict[str, Any]:
        """Look for what does not fit, and say what an alarm does of which nothing is said."""
        data = super().clean() or self.cleaned_data
        touched = {*self.changed_data}
        for decides, _fitting, names, _message in FITTING:
            if decides in touched:
                touched.update(names)
        for name, message in find_misfits({**self._standing(), **data}).items():
            if name in self.fields and name in touched:
                self.add_error(name, str(message))
        if data.get("alarm_action") == "":
            data["alarm_action"] = usual_alarm_action(data.get("alarm_min"), data.get("alarm_max"))
        return data

    def _standing(self) -> dict[str, Any]:
        """Return what stands in columns that the form does not show."""
        return {decides: getattr(self.instance, decides) for decides, *_others in FITTING}


class CopyForm(forms.Form):
    """Where a spec is copied to, and what it is called there."""

    operation = forms.ModelChoiceField(Operation.objects.order_by("code"), label=_("Operation"))
    name = forms.CharField(label=_("Name"), max_length=100, strip=False)

    def copy(self, source: DataCollectionSpec) -> DataCollectionSpec | None:
        """Make the copy. What keeps it from being made is told at the fields, and None is returned."""
        chosen = self.cleaned_data
        try:
            return services.copy_spec(source, operation=chosen["operation"], name=chosen["name"])
        except ValidationError as error:
            for name, messages in services.find_problems(error, tuple(self.fields)).items():
                self.add_error(name, messages)
            return None
