"""The form of a prep policy: only what goes together is offered."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from mes.readiness.models import ConfirmMode, DataSource, PrepPolicy
from mes.specs.models import DataCollectionSpec


class SpecChoice(forms.ModelChoiceField):
    """Active specs, named by their operation."""

    def label_from_instance(self, spec: Any) -> str:
        """Return operation and name."""
        return f"{spec.operation.code} – {spec.name}"


class PrepPolicyForm(forms.ModelForm):
    """A prep policy. What only a device value has is shown where a device confirms."""

    spec = SpecChoice(
        queryset=DataCollectionSpec.objects.none(),
        required=False,
        label=_("Spec"),
        help_text=_("The value that confirms. Its device reports it from a station of the line."),
    )

    class Meta:
        model = PrepPolicy
        fields = (
            "code",
            "name",
            "instruction",
            "is_active",
            "line",
            "routing",
            "gate",
            "data_source",
            "confirm_mode",
            "spec",
            "expected_text",
            "form",
            "max_age_minutes",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "spec" not in self.fields:  # somebody who looks only
            return
        specs = DataCollectionSpec.objects.filter(Q(is_active=True) | Q(pk=self.instance.spec_id))
        self.fields["spec"].queryset = specs.select_related("operation").order_by("operation__code", "name")  # type: ignore[attr-defined]
        only_with_device = {"data-only-with": f"data_source={DataSource.DEVICE.value}"}
        self.fields["spec"].widget.attrs |= only_with_device
        self.fields["expected_text"].widget.attrs |= only_with_device
        self.fields["form"].widget.attrs |= {"data-only-with": f"data_source={DataSource.RECORD.value}"}
        self.fields["confirm_mode"].required = False
        self.fields["confirm_mode"].widget.attrs |= {
            "data-only-with": "data_source=" + " ".join([DataSource.SYSTEM, DataSource.DEVICE, DataSource.RECORD])
        }

    def clean(self) -> dict[str, Any]:
        """Where no source reports it, a person confirms: the form does not ask."""
        data = super().clean() or self.cleaned_data
        data["confirm_mode"] = data.get("confirm_mode") or ConfirmMode.MANUAL
        return data
