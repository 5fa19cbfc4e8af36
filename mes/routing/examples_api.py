"""Examples of mappings over HTTP."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import IdField, OffsetDateTimeField, StrictSerializer, WithChangeReason
from mes.platform.http.viewsets import IdModelViewSet
from mes.platform.http.whole_numbers import whole_number
from mes.routing import examples
from mes.routing.example_steps import find_step
from mes.routing.models import MappingExample, RouteExecutionConfig

LARGEST_STEP_NO = 2**31 - 1
_EXPECTED = (
    "What the step must read: `phase`, `result`, `stationCode`, `carrierNo`, `units` (each with `sn`, `position`, "
    "`result`, `values`) and `values` by the names of specs; or `code` of the refusal. Left out or null: what it reads "
    "now."
)
_EVENT = {
    "dedupeKey": "oven-2:4711",
    "sourceSystem": "oven-2",
    "eventType": "AUTO",
    "occurredAt": "2026-01-24T10:00:00Z",
    "payload": {"device": {"code": "REF-01"}, "board": {"sn": "SN-1"}, "result": "OK"},
}


@extend_schema_field({"type": "object", "nullable": True, "description": _EXPECTED})
class ExpectedField(serializers.JSONField):
    """What is expected of an event."""


@extend_schema_field({"type": "object", "description": "The body of `POST /api/ingest/events`; at most 64 KiB."})
class EventField(serializers.JSONField):
    """The event of an example."""


class ExampleSerializer(WithChangeReason, StrictSerializer):
    """An event, and what the mapping must go on reading in it."""

    id = IdField()
    name = serializers.CharField(max_length=100)
    event = EventField()
    expected = ExpectedField(required=False, allow_null=True)
    routeCode = serializers.CharField(
        required=False,
        allow_null=True,
        write_only=True,
        help_text="Of a config of several routes: the one whose step reads the event, where `expected` is left out.",
    )
    stepNo = serializers.IntegerField(
        required=False,
        allow_null=True,
        write_only=True,
        min_value=0,
        max_value=LARGEST_STEP_NO,
        help_text="The step that reads it then; left out: the first step whose mapping it is.",
    )
    updatedAt = OffsetDateTimeField(read_only=True)

    def create(self, validated_data: dict[str, Any]) -> MappingExample:
        """Leave it to the service."""
        config: RouteExecutionConfig = self.context["config"]
        values = _with_expected(config, validated_data, validated_data["event"])
        return examples.create_example(config, **values)

    def update(self, instance: MappingExample, validated_data: dict[str, Any]) -> MappingExample:
        """Leave it to the service. Of another event, or where null is expected, it is read anew."""
        if "event" in validated_data or validated_data.get("expected", instance) is None:
            event = validated_data.get("event", instance.event)
            validated_data = _with_expected(instance.config, validated_data, event)
        values = {name: value for name, value in validated_data.items() if name in ("name", "event", "expected")}
        return examples.update_example(instance, **values)


def _with_expected(config: RouteExecutionConfig, data: dict[str, Any], event: Any) -> dict[str, Any]:
    """Add what is expected where that is left out: what the config's mapping reads now."""
    route_code, step_no = data.pop("route_code", None), data.pop("step_no", None)
    if data.get("expected") is not None:
        return data
    if problems := examples.find_event_problems(event):
        raise errors.ValidationFailed(problems)
    step = find_step(config, route_code=route_code, step_no=step_no)
    if step is None:
        text = _("No step has its mapping from this config: say what is expected.")
        raise errors.ValidationFailed({"expected": text})
    return {**data, "expected": examples.read_outcome(step, event)}


@extend_schema_view(
    list=extend_schema(summary="List the examples of a config's mapping, newest first"),
    retrieve=extend_schema(summary="Read one example"),
    create=extend_schema(
        summary="Keep an event as an example",
        description="Compiling a route holds the examples of each step's mapping against the step: one that is read "
        "otherwise makes the version INVALID (`MAPPING_EXAMPLE_FAILED`). Units and stations need not exist. "
        f"At most {examples.MOST_EXAMPLES} for a config.",
        examples=[
            OpenApiExample(
                "A board that passes",
                value={
                    "name": "A board that passes",
                    "event": _EVENT,
                    "expected": {"result": None, "units": [{"sn": "SN-1", "result": "PASS", "values": {}}]},
                },
                request_only=True,
            )
        ],
    ),
    partial_update=extend_schema(
        summary="Change an example",
        description="Where only the event is sent, or `expected` is null, it is read anew.",
        examples=[OpenApiExample("As it is read now", value={"name": "A board of batch 7"}, request_only=True)],
    ),
    destroy=extend_schema(summary="Delete an example"),
)
class ExampleViewSet(IdModelViewSet):
    """Events that the mapping of a config must go on reading as it does."""

    queryset = MappingExample.objects.select_related("config__routing")
    serializer_class = ExampleSerializer
    not_found = errors.MappingExampleNotFound
    capabilities = {"*": (Capability.MAPPINGS,)}
    station_access = READS_SHARED
    lookup_url_kwarg = "example_id"
    filters = {"name": "name"}

    def get_queryset(self) -> QuerySet[MappingExample]:
        """Return those of the config that the address names."""
        found = super().get_queryset().order_by("-id")
        return found if "config_id" not in self.kwargs else found.filter(config=self.config)

    @property
    def config(self) -> RouteExecutionConfig:
        """The config. Raises ExecutionConfigNotFound."""
        number = whole_number(self.kwargs["config_id"])
        config = None if number is None else RouteExecutionConfig.objects.filter(pk=number).first()
        if config is None:
            raise errors.ExecutionConfigNotFound(code=self.kwargs["config_id"])
        return config

    def get_serializer_context(self) -> dict[str, Any]:
        """Tell the serializer the config of a new one."""
        context = dict(super().get_serializer_context())
        if self.action == "create" and "config_id" in self.kwargs:
            context["config"] = self.config
        return context


def register(router: BaseRouter) -> None:
    """Add the addresses of examples."""
    router.register("execution-configs/(?P<config_id>[^/]+)/examples", ExampleViewSet, basename="mapping-example")
