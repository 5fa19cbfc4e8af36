"""Time rules and their clocks over HTTP."""

import math
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.plant.models import OperationKind
from mes.plant.reach import OfServedLines
from mes.platform.accounts.permissions import READS_OWN, READS_SHARED, operator_name
from mes.platform.accounts.roles import Capability, Role
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.master_data import FixedFieldsMixin, OptionalTextField, describe
from mes.platform.http.serializers import (
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictModelSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter, IdModelViewSet
from mes.platform.http.whole_numbers import id_or_raise
from mes.time_rules import services
from mes.time_rules.models import (
    EVENT_CHOICES,
    LONGEST_MINUTES,
    InstanceStatus,
    TimeRuleDefinition,
    TimeRuleInstance,
    TimeRuleScope,
)

LARGEST_PRIORITY = 2**31 - 1


class TimeRuleSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A time rule. A condition names fields of the event, each with the value, or the values, that count."""

    id = IdField()
    durationMinutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES)
    warningMinutes = serializers.IntegerField(min_value=0, max_value=LONGEST_MINUTES, required=False)
    startEvent = serializers.ChoiceField(choices=EVENT_CHOICES)
    startCondition = serializers.DictField(required=False)
    endEvent = serializers.ChoiceField(choices=EVENT_CHOICES)
    endCondition = serializers.DictField(required=False)
    scope = serializers.ChoiceField(choices=TimeRuleScope.choices, required=False)
    scopeValue = OptionalTextField(max_length=100, trim_whitespace=False)
    routeOperationKinds = serializers.ListField(
        child=serializers.ChoiceField(choices=OperationKind.choices), required=False
    )
    restarts = serializers.BooleanField(required=False)
    waivable = serializers.BooleanField(source="is_waivable", required=False)
    isActive = serializers.BooleanField(required=False)
    priority = serializers.IntegerField(min_value=-LARGEST_PRIORITY, max_value=LARGEST_PRIORITY, required=False)
    notifiedRoles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices), required=False)

    class Meta:
        model = TimeRuleDefinition
        fields = (
            "id",
            "code",
            "name",
            "durationMinutes",
            "warningMinutes",
            "startEvent",
            "startCondition",
            "endEvent",
            "endCondition",
            "scope",
            "scopeValue",
            "routeOperationKinds",
            "restarts",
            "waivable",
            "isActive",
            "priority",
            "notifiedRoles",
        )


@describe(
    "time rule",
    "time rules",
    example={
        "code": "COAT_8H",
        "name": "Coat within 8 hours after washing",
        "durationMinutes": 480,
        "warningMinutes": 30,
        "startEvent": "TRACK_OUT",
        "startCondition": {"operationKind": ["WASH"], "result": ["PASS"]},
        "endEvent": "TRACK_IN",
        "endCondition": {"operationKind": ["OTHER"]},
        "scope": "GLOBAL",
        "routeOperationKinds": ["WASH", "OTHER"],
    },
    change={"durationMinutes": 420},
    note="Of the definitions of one code the most specific that fits applies: PRODUCT, ROUTING, LINE, GLOBAL, then the "
    "highest priority. Clocks that run keep their durations.",
)
class TimeRuleViewSet(IdModelViewSet):
    """What must happen within which time."""

    queryset = TimeRuleDefinition.objects.all()
    serializer_class = TimeRuleSerializer
    not_found = errors.TimeRuleNotFound
    capabilities = {"*": (Capability.RULES,)}
    station_access = READS_SHARED
    filters = {"code": "code", "scope": "scope", "scopeValue": "scope_value", "isActive": "is_active"}
    search_fields = ("code", "name")


class TimeRuleInstanceAnswer(RowSerializer):
    """A clock."""

    id = IdField()
    definitionCode = serializers.CharField()
    entityType = serializers.CharField()
    entityId = serializers.CharField()
    runNo = serializers.CharField(source="run.run_no", allow_null=True, default=None)
    lineCode = serializers.CharField(source="line.code", allow_null=True, default=None)
    startedAt = OffsetDateTimeField()
    warningAt = OffsetDateTimeField(allow_null=True)
    expiresAt = OffsetDateTimeField()
    completedAt = serializers.SerializerMethodField(help_text="When it ended in time.")
    endedAt = OffsetDateTimeField(allow_null=True)
    remainingMinutes = serializers.SerializerMethodField(help_text="Begun minutes until it runs out; of running ones.")
    decidedAt = OffsetDateTimeField(allow_null=True)
    decidedBy = serializers.CharField(allow_blank=True)
    decisionReason = serializers.CharField(allow_blank=True)

    class Meta:
        model = TimeRuleInstance
        fields = (
            "id",
            "definitionCode",
            "entityType",
            "entityId",
            "runNo",
            "lineCode",
            "status",
            "startedAt",
            "warningAt",
            "expiresAt",
            "completedAt",
            "endedAt",
            "remainingMinutes",
            "decidedAt",
            "decidedBy",
            "decisionReason",
        )

    def get_completedAt(self, instance: TimeRuleInstance) -> str | None:
        """The end of a clock that was in time."""
        is_done = instance.status == InstanceStatus.COMPLETED
        return OffsetDateTimeField().to_representation(instance.ended_at) if is_done else None

    def get_remainingMinutes(self, instance: TimeRuleInstance) -> int | None:
        """Whole minutes, a begun one counted; 0 once the time is over."""
        if instance.status not in (InstanceStatus.ACTIVE, InstanceStatus.EXPIRED):
            return None
        left = (instance.expires_at - timezone.now()).total_seconds() / 60
        return max(0, math.ceil(left)) if instance.status == InstanceStatus.ACTIVE else 0


class ClockDecisionRequest(StrictSerializer):
    """Why."""

    reason = serializers.CharField(max_length=500)


@extend_schema_view(
    list=extend_schema(summary="List clocks, newest first"), retrieve=extend_schema(summary="Read one clock")
)
class TimeRuleInstanceViewSet(OfServedLines, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """The clocks of units and solder paste lots."""

    queryset = TimeRuleInstance.objects.select_related("run", "line").only(
        *(field.name for field in TimeRuleInstance._meta.fields), "run__run_no", "line__code"
    )
    serializer_class = TimeRuleInstanceAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {
        "status": "status",
        "runNo": "run__run_no",
        "entityId": "entity_id",
        "entityType": "entity_type",
        "definitionCode": "definition_code",
        "lineCode": "line__code",
    }
    capabilities = {"waive": (Capability.WAIVE,), "acknowledge": (Capability.WAIVE,)}
    station_access = READS_OWN

    def get_object(self) -> TimeRuleInstance:
        """Return the clock the address names."""
        pk = self.kwargs["pk"]
        id_or_raise(pk, errors.TimeRuleInstanceNotFound)
        clock = get_or_raise(self.get_queryset(), errors.TimeRuleInstanceNotFound, pk=pk)
        self.check_object_permissions(self.request, clock)
        return clock

    @extend_schema(
        summary="Waive a running clock",
        description="It is not obeyed any more. Refused where the rule is not waivable, or the clock no longer runs.",
        request=ClockDecisionRequest,
        responses=TimeRuleInstanceAnswer,
        examples=[OpenApiExample("Why", value={"reason": "No-clean flux, released by quality"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def waive(self, request: Request, pk: str) -> Response:
        """Waive the clock."""
        return self._decide(services.waive, request, pk)

    @extend_schema(
        summary="Acknowledge an expired clock",
        description="Says what was done about it. It stays expired, and nobody has to deal with it any more.",
        request=ClockDecisionRequest,
        responses=TimeRuleInstanceAnswer,
        examples=[OpenApiExample("Why", value={"reason": "Paste thrown away"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Acknowledge the clock."""
        return self._decide(services.acknowledge, request, pk)

    def _decide(self, service: Any, request: Request, pk: str) -> Response:
        body = read(ClockDecisionRequest, request)
        clock_id = id_or_raise(pk, errors.TimeRuleInstanceNotFound)
        instance = service(instance_id=clock_id, reason=body["reason"], by=operator_name(request))
        return Response(TimeRuleInstanceAnswer(instance).data)


def register(router: BaseRouter) -> None:
    """Add the addresses of the rules and their clocks."""
    router.register("time-rules/instances", TimeRuleInstanceViewSet, basename="time-rule-instance")
    router.register("time-rules", TimeRuleViewSet, basename="time-rule")
