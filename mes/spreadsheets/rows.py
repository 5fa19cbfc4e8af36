"""The interface's serializers for thousands of rows: what they would ask the database for each is asked once."""

import copy
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import models
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from mes import errors
from mes.line_setup.set_up_lists.api import MOST_DESIGNATORS, MOST_NAMES
from mes.line_setup.set_up_lists.models import SetUpItem, SetUpItemKind
from mes.plant.models import Line, Material, Operation, Station
from mes.platform.http.envelope import camel_case
from mes.platform.http.master_data import OptionalTextField
from mes.platform.http.serializers import CodeField, CodeRelatedField, StrictModelSerializer
from mes.platform.validators import validate_line
from mes.routing.api import LARGEST_STEP_NO, ROUTE_SCOPES, ConfigSerializer
from mes.routing.models import RouteExecutionConfig, Routing, RoutingStep
from mes.routing.services import (
    find_instruction_problems,
    find_mapping_problems_of,
    find_optional_problems,
    find_place_problems,
)


class Known:
    """Stands where a field of references has its queryset: rows that were looked up already."""

    def __init__(self, model: type[models.Model], rows: Mapping[str, models.Model]) -> None:
        self.model = model
        self.rows = rows

    def get(self, **lookup: str) -> models.Model:
        """Return the row with this code. Raises the model's DoesNotExist."""
        (code,) = lookup.values()
        if code not in self.rows:
            raise self.model.DoesNotExist  # type: ignore[attr-defined]
        return self.rows[code]


class OneOfMany:
    """Mixin of serializers that check one row after the other, and leave what would be saved in `candidate`.

    That a key is new was asked for all rows, what rows refer to was looked up for all; what constraints say, the rules
    say before them. The reason belongs to the import.
    """

    candidate: Any = None

    def takes_reason(self) -> bool:
        """No."""
        return False

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return the fields without those checks that ask the database."""
        fields: dict[str, serializers.Field] = super().get_fields()  # type: ignore[misc]
        for field in fields.values():
            field.validators = [check for check in field.validators if not isinstance(check, UniqueValidator)]
        return fields

    def check_candidate(self, candidate: models.Model, excluded: Collection[str]) -> None:
        """Keep it, and check all that needs no database."""
        self.candidate = candidate
        references = {field.name for field in candidate._meta.fields if isinstance(field, models.ForeignKey)}
        candidate.full_clean(exclude={*excluded, *references}, validate_unique=False, validate_constraints=False)


class ConfigRowSerializer(OneOfMany, ConfigSerializer):
    """A row of execution configs: the config with its place."""

    routeCode = CodeRelatedField(  # type: ignore[assignment]
        source="routing",
        queryset=Routing.objects.all(),
        not_found=errors.RouteNotFound,
        required=False,
        allow_null=True,
    )
    operationCode = CodeRelatedField(  # type: ignore[assignment]
        source="operation",
        queryset=Operation.objects.all(),
        not_found=errors.OperationNotFound,
        required=False,
        allow_null=True,
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a place that the scope does not have, and a mapping that cannot be read."""
        present = self.instance
        config = copy.copy(present) if isinstance(present, RouteExecutionConfig) else RouteExecutionConfig()
        for name, value in attrs.items():
            setattr(config, name, value)
        try:
            self.check_candidate(config, ())
        except ModelValidationError as error:
            refused = {camel_case(name): messages for name, messages in error.message_dict.items()}
            raise serializers.ValidationError(refused) from None
        problems = find_optional_problems(config.scope, config.is_optional) | find_place_problems(
            scope=config.scope,
            step_no=config.step_no,
            source_step_key=config.source_step_key,
            operation_code=config.operation.code if config.operation else None,
        )
        needs_route = config.scope in ROUTE_SCOPES
        if needs_route != (config.routing is not None):
            says = _("Name the route.") if needs_route else _("Only the scopes STEP and ROUTE name a route.")
            problems["routeCode"] = says
        if found := find_mapping_problems_of(config):
            problems["ingestMapping"] = " ".join(found)
        if found := find_instruction_problems(config):
            problems["workInstructions"] = " ".join(found)
        if problems:
            raise serializers.ValidationError(problems)
        return attrs


class StepRowSerializer(OneOfMany, StrictModelSerializer):
    """A step with the route that it is of."""

    routeCode = CodeRelatedField(source="routing", queryset=Routing.objects.all(), not_found=errors.RouteNotFound)
    stepNo = serializers.IntegerField(min_value=0, max_value=LARGEST_STEP_NO)
    operationCode = CodeRelatedField(
        source="operation", queryset=Operation.objects.all(), not_found=errors.OperationNotFound
    )
    sourceStepKey = OptionalTextField(max_length=100)

    class Meta:
        model = RoutingStep
        fields = ("routeCode", "stepNo", "operationCode", "sourceStepKey")


def names_in(item: Any, relation: str) -> list[str]:
    """Return the codes of the alternates or tools of an item, as a sheet has them or as they are kept."""
    given: list[str] | None = item.__dict__.get(f"sheet_{relation}")
    if given is not None:
        return given
    if item.pk is None:
        return []
    return sorted(thing.code if relation == "alternates" else thing.tool_id for thing in getattr(item, relation).all())


class _OfListField(CodeRelatedField):
    """The route or the line of an item: of a new one, as the sheet has it."""

    def get_attribute(self, instance: Any) -> Any:
        """Return it."""
        given = instance.__dict__.get(f"sheet_{self.source}")
        return given if given is not None else getattr(instance.set_up_list, str(self.source))


class _NamesField(serializers.ListField):
    """Alternates or tools, by their codes."""

    def get_attribute(self, instance: Any) -> Any:
        """Return them."""
        return names_in(instance, str(self.source))


class ItemRowSerializer(OneOfMany, StrictModelSerializer):
    """An item with the route and the line of its list."""

    routeCode = _OfListField(source="route", queryset=Routing.objects.all(), not_found=errors.RouteNotFound)
    lineCode = _OfListField(source="line", queryset=Line.objects.all(), not_found=errors.LineNotFound)
    stationCode = CodeRelatedField(source="station", queryset=Station.objects.all(), not_found=errors.StationNotFound)
    slot = CodeField()
    kind = serializers.ChoiceField(choices=SetUpItemKind.choices, required=False)
    materialCode = CodeRelatedField(
        source="material",
        queryset=Material.objects.all(),
        not_found=errors.MaterialNotFound,
        required=False,
        allow_null=True,
    )
    alternates = _NamesField(child=CodeField(), required=False, allow_null=True, max_length=MOST_NAMES)
    quantityPerUnit = serializers.DecimalField(
        source="quantity_per_unit",
        max_digits=14,
        decimal_places=4,
        coerce_to_string=False,
        required=False,
        allow_null=True,
    )
    refDes = serializers.ListField(
        source="ref_des",
        child=serializers.CharField(max_length=100, validators=[validate_line]),
        required=False,
        allow_null=True,
        max_length=MOST_DESIGNATORS,
    )
    toolIds = _NamesField(source="tools", child=CodeField(), required=False, allow_null=True, max_length=MOST_NAMES)
    program = OptionalTextField(max_length=100, validators=[validate_line])

    class Meta:
        model = SetUpItem
        fields = (
            "routeCode",
            "lineCode",
            "stationCode",
            "slot",
            "kind",
            "materialCode",
            "alternates",
            "quantityPerUnit",
            "refDes",
            "toolIds",
            "program",
        )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Make what would be saved. What items may say, the rules of lists are asked about all of them."""
        present = self.instance
        item = copy.copy(present) if isinstance(present, SetUpItem) else SetUpItem()
        emptied = {"alternates": [], "tools": [], "ref_des": [], "quantity_per_unit": Decimal(1)}
        for name, given in attrs.items():
            value = emptied.get(name) if given is None else given
            if name in ("route", "line", "alternates", "tools"):
                item.__dict__[f"sheet_{name}"] = value
            else:
                setattr(item, name, value)
        self.candidate = item
        return attrs


def of_many(serializer: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """Return a serializer of the interface as one of many rows."""
    if issubclass(serializer, OneOfMany):
        return serializer
    return type(f"{serializer.__name__}OfMany", (OneOfMany, serializer), {})
