"""Tools over HTTP: the limits they are used within, what they were used for, and what keeps them from being used."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.routers import BaseRouter

from mes import errors
from mes.line_setup.models import Tool, ToolKind, ToolStatus
from mes.line_setup.tools import services
from mes.line_setup.tools.models import MOST_HOURS
from mes.line_setup.tools.rules import TOOL_NOT_READY, TOOL_WORN, find_faults
from mes.platform.accounts.permissions import READS_SHARED
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, OptionalChoiceField, OptionalTextField, describe
from mes.platform.http.serializers import CodeField, IdField, OffsetDateTimeField, StrictModelSerializer
from mes.platform.http.viewsets import CodeModelViewSet


def _limit(most: int = 2**31 - 1) -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=most)


class ToolSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A tool. Its state is reported, or typed where nobody reports it; its uses are counted."""

    fixed = ("toolId",)

    id = IdField()
    toolId = CodeField(source="tool_id")
    kind = serializers.ChoiceField(choices=ToolKind.choices, required=False)
    version = OptionalTextField(max_length=100)
    tensionMin = serializers.FloatField(required=False, allow_null=True, min_value=0)
    maxUses = _limit()
    maxHoursSinceService = _limit(MOST_HOURS)
    lifeUses = _limit()
    status = OptionalChoiceField(choices=ToolStatus.choices)
    statusAt = OffsetDateTimeField(read_only=True, allow_null=True)
    tensionValue = serializers.FloatField(read_only=True, allow_null=True)
    servicedAt = OffsetDateTimeField(required=False, allow_null=True)
    usesSinceService = serializers.IntegerField(read_only=True)
    uses = serializers.IntegerField(read_only=True)
    faults = serializers.SerializerMethodField(help_text="What keeps it from being used now.")

    class Meta:
        model = Tool
        fields = (
            "id",
            "toolId",
            "kind",
            "version",
            "tensionMin",
            "maxUses",
            "maxHoursSinceService",
            "lifeUses",
            "status",
            "statusAt",
            "tensionValue",
            "servicedAt",
            "usesSinceService",
            "uses",
            "faults",
        )

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[TOOL_NOT_READY, TOOL_WORN])))
    def get_faults(self, tool: Tool) -> list[str]:
        """Find them."""
        return find_faults(tool, timezone.now())


class ToolRowSerializer(ToolSerializer):
    """A tool as a row of a sheet has it: services are told one by one."""

    servicedAt = OffsetDateTimeField(read_only=True, allow_null=True)


@describe(
    "tool",
    "tools",
    example={"toolId": "SQ-0042", "kind": "SQUEEGEE", "maxUses": 20000, "maxHoursSinceService": 168},
    change={"maxUses": 15000},
    note="Tools exist from their first mention, too. Uses are strokes: a print of four boards is one. At 90 % of a "
    "limit engineers and supervisors are told once; at a limit the tool is worn. A service (`servicedAt`) counts what "
    "came after it.",
)
class ToolViewSet(CodeModelViewSet):
    """Stencils, squeegees, fixtures, feeders …: their limits, and what they were used for."""

    queryset = Tool.objects.all()
    serializer_class = ToolSerializer
    lookup_field = "tool_id"
    lookup_url_kwarg = "tool_id"
    not_found = errors.ToolNotFound
    capabilities = {"*": (Capability.MASTER_DATA,)}
    station_access = READS_SHARED
    filters = {"kind": "kind", "status": "status"}
    search_fields = ("tool_id",)

    def perform_create(self, serializer: serializers.BaseSerializer) -> None:
        """Make it. A service lies behind it."""
        services.check(serializer.validated_data)
        super().perform_create(serializer)

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """Save only what is typed here: reports come in meanwhile."""
        tool: Any = serializer.instance
        serializer.instance = services.change(tool.tool_id, dict(serializer.validated_data))


def register(router: BaseRouter) -> None:
    """Add the addresses of tools."""
    router.register("tools", ToolViewSet, basename="tool")
