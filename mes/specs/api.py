"""Data collection specs over HTTP."""

from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.plant.models import Operation
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.database.references import check_unused
from mes.platform.http.master_data import (
    FixedFieldsMixin,
    OptionalChoiceField,
    OptionalTextField,
    describe,
)
from mes.platform.http.serializers import (
    CodeRelatedField,
    IdField,
    StrictModelSerializer,
    StrictSerializer,
)
from mes.platform.http.viewsets import IdModelViewSet
from mes.specs.models import AlarmAction, DataCollectionSpec, DataType, ItemType, Method, TriggerType
from mes.specs.rules import usual_alarm_action

PATHS = {
    "lsl": ("limits", "lsl"),
    "usl": ("limits", "usl"),
    "target": ("limits", "target"),
    "unit": ("limits", "unit"),
    "alarmMin": ("alarm", "min"),
    "alarmMax": ("alarm", "max"),
    "alarmAction": ("alarm", "action"),
}


class _WholeSerializer(StrictSerializer):
    """A nested object whose fields are columns of the spec: sent, it replaces all of them; null empties all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"source": "*", "required": False, "allow_null": True, **kwargs})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Take null as an empty object."""
        return super().run_validation({} if data is None else data)


def _number(source: str | None = None, **kwargs: Any) -> serializers.FloatField:
    return serializers.FloatField(source=source, required=False, allow_null=True, **kwargs)


class SpecLimitsSerializer(_WholeSerializer):
    """Limits, bounds included. `min` and `max` are other names for `lsl` and `usl`."""

    lsl = _number()
    usl = _number()
    target = _number()
    unit = OptionalTextField(max_length=20)
    min = _number(write_only=True)
    max = _number(write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return every column; what was not sent is empty."""
        lower, upper = _one_of_aliases(attrs, "lsl", "min"), _one_of_aliases(attrs, "usl", "max")
        return {"lsl": lower, "usl": upper, "target": attrs.get("target"), "unit": attrs.get("unit", "")}


def _one_of_aliases(attrs: dict[str, Any], name: str, alias: str) -> float | None:
    values = {attrs[key] for key in (name, alias) if attrs.get(key) is not None}
    if len(values) > 1:
        message = _("“%(alias)s” and “%(name)s” mean the same and differ.")
        raise serializers.ValidationError({alias: [message % {"alias": alias, "name": name}]})
    return values.pop() if values else None


class SpecAlarmSerializer(_WholeSerializer):
    """The band outside of which a value alarms, and what happens then (ALARM_ONLY unless said otherwise)."""

    min = _number("alarm_min")
    max = _number("alarm_max")
    action = OptionalChoiceField(source="alarm_action", choices=AlarmAction.choices)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return every column; what was not sent is empty."""
        lower, upper = attrs.get("alarm_min"), attrs.get("alarm_max")
        action = attrs.get("alarm_action") or usual_alarm_action(lower, upper)
        return {"alarm_min": lower, "alarm_max": upper, "alarm_action": action}


class SpecSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A data collection spec."""

    fixed = ("operationCode",)

    id = IdField()
    operationCode = CodeRelatedField(
        source="operation", queryset=Operation.objects.all(), not_found=errors.OperationNotFound
    )
    itemType = serializers.ChoiceField(choices=ItemType.choices)
    dataType = serializers.ChoiceField(choices=DataType.choices)
    method = serializers.ChoiceField(choices=Method.choices)
    triggerType = serializers.ChoiceField(choices=TriggerType.choices, required=False)
    triggerRule = serializers.JSONField(required=False, allow_null=True)
    limits = SpecLimitsSerializer()
    alarm = SpecAlarmSerializer()
    isRequired = serializers.BooleanField(required=False)
    isActive = serializers.BooleanField(required=False)

    class Meta:
        model = DataCollectionSpec
        fields = (
            "id",
            "operationCode",
            "name",
            "itemType",
            "dataType",
            "method",
            "triggerType",
            "triggerRule",
            "limits",
            "alarm",
            "isRequired",
            "isActive",
        )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Say what the model refuses at the place where it was sent."""
        try:
            return super().validate(attrs)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(nested_problems(error.detail)) from None  # type: ignore[arg-type]

    def create(self, validated_data: dict[str, Any]) -> DataCollectionSpec:
        """Nested objects are columns, so there is nothing nested to write."""
        return DataCollectionSpec.objects.create(**validated_data)

    def update(self, instance: DataCollectionSpec, validated_data: dict[str, Any]) -> DataCollectionSpec:
        """Write the columns that were sent."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.save(update_fields=list(validated_data))
        return instance


def nested_problems(problems: dict[str, Any]) -> dict[str, Any]:
    """Return problems by column at the places where these are sent."""
    nested: dict[str, Any] = {}
    for name, messages in problems.items():
        if name in PATHS:
            place, inner = PATHS[name]
            nested.setdefault(place, {})[inner] = messages
        else:
            nested[name] = messages
    return nested


@describe(
    "data collection spec",
    "data collection specs",
    example={
        "operationCode": "REFLOW",
        "name": "Peak Temperature",
        "itemType": "KEY",
        "dataType": "NUMBER",
        "method": "AUTO",
        "triggerType": "EACH_UNIT",
        "limits": {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"},
        "alarm": {"min": 230, "max": 255, "action": "HOLD"},
        "isRequired": True,
        "isActive": True,
    },
    change={"limits": {"lsl": 236, "usl": 250, "target": 245, "unit": "°C"}},
    note="Runs judge by the limits frozen in their route version: compile the routes again to publish a change.",
)
class SpecViewSet(IdModelViewSet):
    """What to collect at operations, and how to judge it."""

    queryset = DataCollectionSpec.objects.select_related("operation")
    serializer_class = SpecSerializer
    not_found = errors.SpecNotFound
    capabilities = {"*": (Capability.MASTER_DATA,)}
    station_access = READS_SHARED
    filters = {
        "operationCode": "operation__code",
        "name": "name",
        "itemType": "item_type",
        "dataType": "data_type",
        "method": "method",
        "triggerType": "trigger_type",
        "isRequired": "is_required",
        "isActive": "is_active",
    }
    search_fields = ("name", "operation__code", "operation__name")

    def perform_destroy(self, instance: models.Model) -> None:
        """Delete, unless a compiled route binds it."""
        with transaction.atomic():
            check_unused(instance, advice=_("deactivate it instead"))
            super().perform_destroy(instance)


def register(router: BaseRouter) -> None:
    """Add the address of the specs."""
    router.register("data-collection-specs", SpecViewSet, basename="data-collection-spec")
