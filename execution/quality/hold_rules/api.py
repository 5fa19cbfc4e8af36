"""Hold rules over HTTP."""

from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.plant.models import Line, Operation, Station
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, OptionalCodeField, PercentField, describe
from mes.platform.http.serializers import CodeRelatedField, IdField, StrictModelSerializer
from mes.platform.http.viewsets import CodeModelViewSet
from mes.production.hold_models import (
    LARGEST_WINDOW,
    LEAST_FOR_A_YIELD,
    HoldRule,
    HoldRuleAction,
    HoldRuleKind,
)


class HoldRuleSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A hold rule. Each kind takes its own numbers: CONSECUTIVE_FAIL `n`, SAME_DEFECT `n` and `of`, FPY_BELOW
    `percent` and `of`.
    """

    id = IdField()
    n = serializers.IntegerField(min_value=1, max_value=LARGEST_WINDOW, required=False, allow_null=True)
    of = serializers.IntegerField(
        min_value=1,
        max_value=LARGEST_WINDOW,
        required=False,
        allow_null=True,
        help_text=f"How many passes are looked at; of a yield at least {LEAST_FOR_A_YIELD}.",
    )
    percent = PercentField(required=False, allow_null=True)
    lineCode = CodeRelatedField(
        source="line", queryset=Line.objects.all(), not_found=errors.LineNotFound, required=False, allow_null=True
    )
    stationCode = CodeRelatedField(
        source="station",
        queryset=Station.objects.all(),
        not_found=errors.StationNotFound,
        required=False,
        allow_null=True,
    )
    operationCode = CodeRelatedField(
        source="operation",
        queryset=Operation.objects.all(),
        not_found=errors.OperationNotFound,
        required=False,
        allow_null=True,
    )
    productCode = OptionalCodeField()
    isActive = serializers.BooleanField(required=False)

    class Meta:
        model = HoldRule
        fields = (
            "id",
            "code",
            "name",
            "kind",
            "n",
            "of",
            "percent",
            "lineCode",
            "stationCode",
            "operationCode",
            "productCode",
            "action",
            "isActive",
        )


@describe(
    "hold rule",
    "hold rules",
    example={
        "code": "AOI-3",
        "name": "Three boards failed in a row",
        "kind": HoldRuleKind.CONSECUTIVE_FAIL,
        "n": 3,
        "stationCode": "AOI-01",
        "action": HoldRuleAction.STOP_STATION,
    },
    change={"n": 5},
    note="It concerns each station and step of its own that all named places fit; none named is every. What left the "
    "station is judged in the order of leaving: no trials, nothing that rework or scrapping closed, false calls as "
    "PASS, of a yield the first attempts, and only what left after the last release of what the rule held there.",
)
class HoldRuleViewSet(CodeModelViewSet):
    """When the system stops a station or a line by itself, or tells people."""

    queryset = HoldRule.objects.select_related("line", "station", "operation")
    serializer_class = HoldRuleSerializer
    not_found = errors.HoldRuleNotFound
    capabilities = {"*": (Capability.QUALITY_RULES,)}
    station_access = READS_SHARED
    filters = {
        "lineCode": "line__code",
        "stationCode": "station__code",
        "operationCode": "operation__code",
        "productCode": "product_code",
        "kind": "kind",
        "action": "action",
        "isActive": "is_active",
    }
    search_fields = ("code", "name")


def register(router: BaseRouter) -> None:
    """Add the address of the rules."""
    router.register("hold-rules", HoldRuleViewSet, basename="hold-rule")
