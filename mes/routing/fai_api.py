"""Templates of first article inspections over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, describe
from mes.platform.http.serializers import IdField, StrictModelSerializer
from mes.platform.http.viewsets import CodeModelViewSet
from mes.routing import fai_items
from mes.routing.models import FaiTemplate

_ITEMS_SCHEMA = {
    "type": "array",
    "maxItems": fai_items.MOST_ITEMS,
    "items": {
        "type": "object",
        "required": ["itemName"],
        "properties": {
            "itemName": {"type": "string", "minLength": 1, "maxLength": fai_items.LONGEST_NAME},
            "itemSpec": {"type": "string", "maxLength": fai_items.LONGEST_SPEC, "nullable": True},
            "stepNo": {"type": "integer", "minimum": 1, "maximum": fai_items.LARGEST_STEP, "nullable": True},
            "specName": {"type": "string", "maxLength": fai_items.LONGEST_NAME, "nullable": True},
            "lsl": {"type": "number", "nullable": True},
            "usl": {"type": "number", "nullable": True},
            "unit": {"type": "string", "maxLength": fai_items.LONGEST_UNIT, "nullable": True},
        },
    },
}


@extend_schema_field(_ITEMS_SCHEMA)
class ItemsField(serializers.JSONField):
    """What is looked at, in order."""


class FaiTemplateSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A first article template."""

    id = IdField()
    items = ItemsField()

    class Meta:
        model = FaiTemplate
        fields = ("id", "code", "name", "items")

    def validate_items(self, value: Any) -> Any:
        """Only items that can be inspected."""
        if problems := fai_items.find_problems(value):
            raise serializers.ValidationError({place or "items": str(text) for place, text in problems.items()})
        return value


@describe(
    "first article template",
    "first article templates",
    example={
        "code": "FAI-CTRL-100",
        "name": "First article of the control board",
        "items": [
            {"itemName": "Paste height", "stepNo": 10, "lsl": 100, "usl": 140, "unit": "µm"},
            {"itemName": "Peak temperature", "stepNo": 30, "specName": "Peak Temperature"},
            {"itemName": "Polarity of D1", "itemSpec": "as drawn"},
        ],
    },
    change={"name": "First article, revision B"},
    note="A route names its template; a change reaches new runs when the route is compiled again. `specName`: the "
    "value is read from the sample's latest pass of the item's step, with its judgement. A limit: the number that is "
    "measured is judged by the system, bounds in. Such an item, and one with a `stepNo`, is recorded once the sample "
    "passed its step; without one, the last.",
)
class FaiTemplateViewSet(CodeModelViewSet):
    """What first article inspections look at."""

    queryset = FaiTemplate.objects.all()
    serializer_class = FaiTemplateSerializer
    not_found = errors.FaiTemplateNotFound
    capabilities = {"*": (Capability.ROUTES,)}
    station_access = READS_SHARED
    search_fields = ("code", "name")


def register(router: BaseRouter) -> None:
    """Add the address of the templates."""
    router.register("fai-templates", FaiTemplateViewSet, basename="fai-template")
