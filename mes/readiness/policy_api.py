"""Prep policies over HTTP."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.line_setup.checks.models import CheckForm
from mes.plant.models import Line
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import (
    FixedFieldsMixin,
    OptionalTextField,
    WholeSerializer,
    describe,
)
from mes.platform.http.serializers import (
    CodeField,
    CodeRelatedField,
    IdField,
    StrictModelSerializer,
)
from mes.platform.http.viewsets import IdModelViewSet
from mes.readiness.models import ConfirmMode, DataSource, PrepPolicy
from mes.readiness.sentences import describe_policy
from mes.routing.models import Routing
from mes.specs.models import DataCollectionSpec

LONGEST_AGE = 525_600  # minutes of a year


class DeviceSpecSerializer(WholeSerializer):
    """The spec whose value confirms, named by its operation."""

    operationCode = CodeField(source="operation.code")
    specName = CodeField(source="name")

    def to_internal_value(self, data: Any) -> Any:
        """Return the spec."""
        named = super().to_internal_value(data)
        specs = DataCollectionSpec.objects.select_related("operation").filter(is_active=True)
        spec = specs.filter(operation__code=named["operation"]["code"], name=named["name"]).first()
        if spec is None:
            raise serializers.ValidationError({"specName": [_("The operation has no active spec of this name.")]})
        return spec


class PrepPolicySerializer(FixedFieldsMixin, StrictModelSerializer):
    """A prep policy. `code` is the type of its readiness item."""

    id = IdField()
    code = serializers.CharField(max_length=100, trim_whitespace=False)
    instruction = OptionalTextField(max_length=500)
    lineCode = CodeRelatedField(
        source="line", queryset=Line.objects.all(), not_found=errors.LineNotFound, required=False, allow_null=True
    )
    routeCode = CodeRelatedField(
        source="routing",
        queryset=Routing.objects.all(),
        not_found=errors.RouteNotFound,
        required=False,
        allow_null=True,
    )
    confirmMode = serializers.ChoiceField(choices=ConfirmMode.choices, required=False)
    formCode = CodeRelatedField(
        source="form",
        queryset=CheckForm.objects.all(),
        not_found=errors.CheckFormNotFound,
        required=False,
        allow_null=True,
    )
    dataSource = serializers.ChoiceField(choices=DataSource.choices, required=False)
    deviceSpec = DeviceSpecSerializer(source="spec", required=False, allow_null=True)
    expectedText = OptionalTextField(max_length=200)
    maxAgeMinutes = serializers.IntegerField(min_value=1, max_value=LONGEST_AGE, required=False, allow_null=True)
    isActive = serializers.BooleanField(required=False)
    sentence = serializers.SerializerMethodField(help_text="The policy in words.")

    class Meta:
        model = PrepPolicy
        fields = (
            "id",
            "code",
            "name",
            "instruction",
            "lineCode",
            "routeCode",
            "gate",
            "confirmMode",
            "dataSource",
            "deviceSpec",
            "expectedText",
            "formCode",
            "maxAgeMinutes",
            "isActive",
            "sentence",
        )

    def get_sentence(self, policy: PrepPolicy) -> str:
        """Say it."""
        return describe_policy(policy)


@describe(
    "prep policy",
    "prep policies",
    example={
        "code": "PREP_PROGRAM",
        "name": "Placement program",
        "lineCode": "SMT-A",
        "gate": "HARD",
        "confirmMode": "AUTO",
        "dataSource": "DEVICE",
        "deviceSpec": {"operationCode": "PLACE", "specName": "Program Name"},
        "expectedText": "CTRL-100",
        "maxAgeMinutes": 60,
    },
    change={"maxAgeMinutes": 120},
    note="Of a line or of a route; where both have one of the same code, the route's counts. AUTO needs SYSTEM, "
    "DEVICE or RECORD: a check by `formCode` that passed within `maxAgeMinutes`, of all on the line that it is about.",
)
class PrepPolicyViewSet(IdModelViewSet):
    """What runs of a line or of a route need, and how it is confirmed."""

    queryset = PrepPolicy.objects.select_related("line", "routing", "spec__operation", "form")
    serializer_class = PrepPolicySerializer
    not_found = errors.PrepPolicyNotFound
    capabilities = {"*": (Capability.RULES,)}
    station_access = READS_SHARED
    filters = {
        "code": "code",
        "lineCode": "line__code",
        "routeCode": "routing__code",
        "gate": "gate",
        "dataSource": "data_source",
        "isActive": "is_active",
    }
    search_fields = ("code", "name")


def register(router: BaseRouter) -> None:
    """Add the address of the policies."""
    router.register("prep-policies", PrepPolicyViewSet, basename="prep-policy")
