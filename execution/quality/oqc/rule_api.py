"""Sampling rules over HTTP, and what the tables of ISO 2859-1 say."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from execution.quality.oqc import plan
from execution.quality.oqc.models import InspectionLevel, SamplingRule, SamplingScheme
from execution.quality.oqc.switching import NORMAL
from mes import errors
from mes.plant.models import Line
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import (
    FixedFieldsMixin,
    OptionalChoiceField,
    OptionalCodeField,
    OptionalTextField,
    PercentField,
    describe,
)
from mes.platform.http.serializers import CodeRelatedField, IdField, StrictModelSerializer
from mes.platform.http.viewsets import IdModelViewSet
from mes.platform.http.whole_numbers import whole_number
from mes.routing import fai_items
from mes.routing.fai_api import ItemsField
from mes.routing.models import Routing

LARGEST_PRIORITY = 2**31 - 1
STATES = tuple(plan.PRINTED)


@extend_schema_field({"type": "string", "maxLength": 10, "nullable": True, "example": "0.65"})
class AqlField(OptionalTextField):
    """An AQL, as text; kept as the tables print it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=10, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return it as it is printed."""
        text = super().to_internal_value(data)
        try:
            return plan.printed_aql(text) if text else ""
        except errors.ValidationFailed as refusal:
            raise serializers.ValidationError(refusal.details["aql"]) from None


class SamplingRuleSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A sampling rule. Each scheme takes its own numbers: FIXED `n`, PERCENT `percent`, ISO2859 `level` and `aql`."""

    id = IdField()
    productCode = OptionalCodeField()
    routeCode = CodeRelatedField(
        source="routing",
        queryset=Routing.objects.all(),
        not_found=errors.RouteNotFound,
        required=False,
        allow_null=True,
    )
    lineCode = CodeRelatedField(
        source="line", queryset=Line.objects.all(), not_found=errors.LineNotFound, required=False, allow_null=True
    )
    priority = serializers.IntegerField(min_value=-LARGEST_PRIORITY, max_value=LARGEST_PRIORITY, required=False)
    n = serializers.IntegerField(min_value=1, max_value=plan.LARGEST_LOT, required=False, allow_null=True)
    percent = PercentField(required=False, allow_null=True)
    level = OptionalChoiceField(choices=InspectionLevel.choices)
    aql = AqlField()
    reducedAllowed = serializers.BooleanField(required=False)
    items = ItemsField(required=False, help_text="What is looked at on each sampled unit; none: anything.")
    isActive = serializers.BooleanField(required=False)

    class Meta:
        model = SamplingRule
        fields = (
            "id",
            "code",
            "name",
            "productCode",
            "routeCode",
            "lineCode",
            "priority",
            "scheme",
            "n",
            "percent",
            "level",
            "aql",
            "reducedAllowed",
            "items",
            "isActive",
        )

    def validate_items(self, value: Any) -> Any:
        """Only items that can be inspected."""
        if value and (problems := fai_items.find_problems(value)):
            raise serializers.ValidationError({place or "items": str(text) for place, text in problems.items()})
        return value or []


@describe(
    "sampling rule",
    "sampling rules",
    example={
        "code": "CTRL-100-OQC",
        "name": "Control boards before they leave",
        "productCode": "CTRL-100",
        "routeCode": None,
        "lineCode": None,
        "scheme": SamplingScheme.ISO2859,
        "level": InspectionLevel.II,
        "aql": "0.65",
        "reducedAllowed": True,
        "items": [{"itemName": "Solder joints", "itemSpec": "IPC-A-610 class 2"}, {"itemName": "Label"}],
    },
    change={"aql": "0.40", "routeCode": None, "lineCode": None},
    note="Of the rules that fit a run the most specific counts: one of its product, then of its route, then of its "
    "line; of equally specific ones the highest priority, then the latest. The scheme NONE asks for no inspection. "
    "An inspection keeps what its rule said when its sample was drawn.",
)
class SamplingRuleViewSet(IdModelViewSet):
    """How lots are sampled before they leave."""

    queryset = SamplingRule.objects.select_related("line", "routing")
    serializer_class = SamplingRuleSerializer
    not_found = errors.SamplingRuleNotFound
    capabilities = {"*": (Capability.QUALITY_RULES,)}
    station_access = READS_SHARED
    filters = {
        "code": "code",
        "productCode": "product_code",
        "routeCode": "routing__code",
        "lineCode": "line__code",
        "scheme": "scheme",
        "isActive": "is_active",
    }
    search_fields = ("code", "name")


class SamplingPlanAnswer(serializers.Serializer):
    """The plan of a lot."""

    letter = serializers.CharField(help_text="The code letter of the lot.")
    usedLetter = serializers.CharField(help_text="The letter whose plan is used: where an arrow of the table leads.")
    sampleSize = serializers.IntegerField()
    ac = serializers.IntegerField(help_text="Accepted with so many nonconforming units.")
    re = serializers.IntegerField(help_text="Not accepted from so many on.")
    all = serializers.BooleanField(help_text="Whether every unit of the lot is inspected.")


class SamplingPlanViewSet(GenericViewSet):
    """What the tables say."""

    queryset = SamplingRule.objects.none()
    serializer_class = SamplingPlanAnswer

    @extend_schema(
        summary="Read the sampling plan of a lot by ISO 2859-1",
        description="Single sampling, arrows resolved. Where the sample would be the lot or more, every unit is "
        "inspected with the same Ac.",
        parameters=[
            OpenApiParameter(
                "lotSize", {"type": "integer", "minimum": plan.SMALLEST_LOT, "maximum": plan.LARGEST_LOT}, required=True
            ),
            OpenApiParameter("level", {"type": "string", "enum": InspectionLevel.values, "default": "II"}),
            OpenApiParameter("aql", {"type": "string", "enum": list(plan.aqls())}, required=True),
            OpenApiParameter(
                "state", {"type": "string", "enum": [str(state) for state in STATES], "default": "NORMAL"}
            ),
        ],
        responses=SamplingPlanAnswer,
    )
    def read_plan(self, request: Request) -> Response:
        """Return it."""
        asked = request.query_params
        lot_size = whole_number(asked.get("lotSize", "")) or 0
        plan.check_lot_size(lot_size)
        level, state = asked.get("level") or InspectionLevel.II, asked.get("state") or NORMAL
        _check_one_of("level", level, InspectionLevel.values)
        _check_one_of("state", state, [str(each) for each in STATES])
        aql = plan.printed_aql(asked.get("aql", ""))
        found = plan.plan_by_tables(lot_size=lot_size, level=level, aql=aql, state=state)
        return Response(
            {
                "letter": found.letter,
                "usedLetter": found.used_letter,
                "sampleSize": found.sample_size,
                "ac": found.ac,
                "re": found.re,
                "all": found.is_all,
            }
        )


def _check_one_of(parameter: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise errors.ValidationFailed({parameter: _("Must be one of %(known)s.") % {"known": ", ".join(known)}})


def register(router: BaseRouter) -> None:
    """Add the address of the rules."""
    router.register("oqc/sampling-rules", SamplingRuleViewSet, basename="sampling-rule")
