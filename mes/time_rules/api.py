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
    CodeField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictModelSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter, IdModelViewSet
from mes.platform.http.whole_numbers import id_or_raise
from mes.time_rules import dry_run, services
from mes.time_rules.models import (
    EVENT_CHOICES,
    LONGEST_MINUTES,
    InstanceStatus,
    TimeRuleAction,
    TimeRuleDefinition,
    TimeRuleInstance,
    TimeRuleScope,
)
from mes.time_rules.sentences import describe_rule

LARGEST_PRIORITY = 2**31 - 1


class TimeRuleSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A time rule. A condition names fields of the event, each with the value, or the values, that count."""

    id = IdField()
    durationMinutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES, required=False, allow_null=True)
    minMinutes = serializers.IntegerField(min_value=1, max_value=LONGEST_MINUTES, required=False, allow_null=True)
    warningMinutes = serializers.IntegerField(min_value=0, max_value=LONGEST_MINUTES, required=False)
    action = serializers.ChoiceField(choices=TimeRuleAction.choices, required=False)
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
    sentence = serializers.SerializerMethodField(help_text="The rule in words.")

    class Meta:
        model = TimeRuleDefinition
        fields = (
            "id",
            "code",
            "name",
            "durationMinutes",
            "minMinutes",
            "warningMinutes",
            "action",
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
            "sentence",
        )

    def get_sentence(self, rule: TimeRuleDefinition) -> str:
        """Say it."""
        return describe_rule(rule)


class TimeRuleDryRunRequest(TimeRuleSerializer):
    """A rule as it would be saved, and the period to try it on; what is left out is as for a new rule."""

    code = CodeField(default="TRIED")
    name = serializers.CharField(max_length=200, default="-")
    to = OffsetDateTimeField(required=False, allow_null=True, help_text="Default: now.")

    is_saved = False

    class Meta(TimeRuleSerializer.Meta):
        fields: tuple[str, ...] = (  # type: ignore[assignment]
            *(name for name in TimeRuleSerializer.Meta.fields if name not in ("id", "sentence")),
            "to",
        )

    def takes_reason(self) -> bool:
        """Nothing is changed."""
        return False

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which Python keeps for itself."""
        since = OffsetDateTimeField(required=False, allow_null=True, help_text="Default: seven days before.")
        return {**super().get_fields(), "from": since}


class TimeRuleOutcomeAnswer(serializers.Serializer):
    """A clock as it would stand at the end of the period."""

    entityType = serializers.CharField(source="entity_type")
    entityId = serializers.CharField(source="entity_id")
    status = serializers.ChoiceField(choices=InstanceStatus.choices)
    startedAt = OffsetDateTimeField(source="started_at")
    earliestAt = OffsetDateTimeField(source="earliest_at", allow_null=True)
    expiresAt = OffsetDateTimeField(source="expires_at", allow_null=True)
    endedAt = OffsetDateTimeField(source="ended_at", allow_null=True)
    minutes = serializers.FloatField(help_text="From its start to its end; without one, to the end of the period.")


class TimeRuleDryRunAnswer(serializers.Serializer):
    """What a rule would have done."""

    sentence = serializers.CharField(help_text="The rule in words.")
    clocks = serializers.IntegerField(help_text="How many it would have started.")
    completed = serializers.IntegerField()
    expired = serializers.IntegerField()
    early = serializers.IntegerField()
    running = serializers.IntegerField(source="active")
    cancelled = serializers.IntegerField(help_text="Their units were scrapped.")
    longestMinutes = serializers.FloatField(
        allow_null=True, help_text="The longest time from a start to its end; null where nothing ended."
    )
    examples = TimeRuleOutcomeAnswer(many=True, help_text="At most 50: those that ran out, longest first, then others.")
    truncated = serializers.BooleanField(help_text="Whether only the newest 200,000 events were looked at.")
    to = OffsetDateTimeField()

    def get_fields(self) -> dict[str, Any]:
        """Add `from`."""
        return {**super().get_fields(), "from": OffsetDateTimeField(help_text="The beginning of what was looked at.")}


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
    note="`minMinutes` must be over before the end event; `durationMinutes` is what it must happen within; one of "
    "them may be null. `action` BLOCK refuses units that would enter too early, HOLD holds those that are not in time. "
    "Of the definitions of one code the most specific that fits applies: PRODUCT, ROUTING, LINE, GLOBAL, then the "
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

    @extend_schema(
        summary="Try a time rule on what happened",
        description="Returns the clocks that the rule would have started within the period (7 days, at most 30), had "
        "it been active. The clock reader reads the events that are kept; nothing is written, and nobody is told.",
        request=TimeRuleDryRunRequest,
        responses=TimeRuleDryRunAnswer,
        examples=[
            OpenApiExample(
                "A shorter time for washing",
                value={
                    "durationMinutes": 180,
                    "startEvent": "TRACK_OUT",
                    "startCondition": {"operationKind": ["REFLOW"], "result": ["PASS"]},
                    "endEvent": "TRACK_IN",
                    "endCondition": {"operationKind": ["WASH"]},
                    "from": "2026-03-02T00:00:00+01:00",
                    "to": "2026-03-09T00:00:00+01:00",
                },
                request_only=True,
            )
        ],
    )
    @action(detail=False, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request) -> Response:
        """Try the rule."""
        fields = read(TimeRuleDryRunRequest, request)
        since, until = dry_run.read_period(fields.pop("from", None), fields.pop("to", None))
        rule = TimeRuleDefinition(**fields)
        return Response(TimeRuleDryRunAnswer(_shown(rule, dry_run.try_rule(rule, since=since, until=until))).data)


def _shown(rule: TimeRuleDefinition, found: dry_run.DryRun) -> dict[str, Any]:
    return {
        "sentence": describe_rule(rule),
        "clocks": len(found.outcomes),
        **found.counts,
        "longestMinutes": found.longest_minutes,
        "examples": found.examples,
        "truncated": found.is_truncated,
        "from": found.since,
        "to": found.until,
    }


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
    earliestAt = OffsetDateTimeField(allow_null=True)
    expiresAt = OffsetDateTimeField(allow_null=True)
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
            "earliestAt",
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
        if instance.status not in (InstanceStatus.ACTIVE, InstanceStatus.EXPIRED) or instance.expires_at is None:
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
