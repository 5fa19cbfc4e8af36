"""Routes, their execution configs and their compiled versions over HTTP."""

import re
from typing import Any, cast

from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter

from mes import errors
from mes.plant.models import StationGroup, StationType
from mes.platform.accounts.permissions import READS_SHARED, StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import (
    FixedFieldsMixin,
    OptionalCodeField,
    OptionalTextField,
    WholeSerializer,
    describe,
)
from mes.platform.http.serializers import (
    CHANGE_REASON,
    CodeField,
    CodeRelatedField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictModelSerializer,
    StrictSerializer,
    WithChangeReason,
    read,
)
from mes.platform.http.viewsets import CodeModelViewSet, IdModelViewSet
from mes.routing import services, sn_masks
from mes.routing.compilation import compile_route, compose, find_warnings
from mes.routing.differences import Difference
from mes.routing.differences_api import EXAMPLES, WAITING_RUNS, DifferenceSerializer, answer_preview
from mes.routing.fields import WorkInstructionsField
from mes.routing.models import (
    ConfigScope,
    FaiTemplate,
    RouteExecutionConfig,
    RouteSource,
    RouteVersion,
    Routing,
    VersionStatus,
)
from mes.routing.preview import compare_with_live, preview_compilation
from mes.routing.services import StepInput
from mes.routing.snapshots import from_document

CAPABILITIES = {"*": (Capability.ROUTES, Capability.MAPPINGS)}
LARGEST_STEP_NO = 2**31 - 1
LARGEST_RETEST_LIMIT = 2**15 - 1
ROUTE_SCOPES = (ConfigScope.STEP, ConfigScope.ROUTE)
WIDE_SCOPES = (ConfigScope.OPERATION, ConfigScope.GLOBAL)

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


# --- routes -----------------------------------------------------------------------------------------------


class StepSerializer(WholeSerializer):
    """A step of a route."""

    stepNo = serializers.IntegerField(min_value=0, max_value=LARGEST_STEP_NO)
    operationCode = CodeField(source="operation.code")
    sourceStepKey = OptionalTextField(max_length=100)


class RouteSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A route with its steps."""

    id = IdField()
    sourceSystem = serializers.ChoiceField(choices=RouteSource.choices, required=False)
    sourceKey = OptionalTextField(max_length=100)
    productCode = OptionalCodeField()
    effectiveFrom = OffsetDateTimeField(required=False, allow_null=True)
    effectiveTo = OffsetDateTimeField(required=False, allow_null=True)
    isActive = serializers.BooleanField(required=False)
    faiTemplateCode = CodeRelatedField(
        source="fai_template",
        queryset=FaiTemplate.objects.all(),
        not_found=errors.FaiTemplateNotFound,
        required=False,
        allow_null=True,
    )
    snMasks = serializers.ListField(
        child=serializers.CharField(max_length=sn_masks.LONGEST_MASK, trim_whitespace=False),
        max_length=sn_masks.MOST_MASKS,
        required=False,
        help_text="Masks of serial numbers, frozen with it: # digit, @ letter, * either, ? any, \\ next literal.",
    )
    steps = StepSerializer(many=True, required=False)
    updatedAt = OffsetDateTimeField(read_only=True)

    class Meta:
        model = Routing
        fields = (
            "id",
            "code",
            "name",
            "sourceSystem",
            "sourceKey",
            "productCode",
            "effectiveFrom",
            "effectiveTo",
            "isActive",
            "faiTemplateCode",
            "snMasks",
            "steps",
            "updatedAt",
        )

    def validate_snMasks(self, value: list[str]) -> list[str]:
        """Only masks that can be asked."""
        if problems := sn_masks.find_problems(value):
            raise serializers.ValidationError({place or "snMasks": str(text) for place, text in problems.items()})
        return value

    def create(self, validated_data: dict[str, Any]) -> Routing:
        """Leave it to the service."""
        return services.create_route(steps=_steps_of(validated_data) or (), **validated_data)

    def update(self, instance: Routing, validated_data: dict[str, Any]) -> Routing:
        """Leave it to the service."""
        validated_data.pop("code", None)
        steps = _steps_of(validated_data)
        return services.update_route(code=instance.code, steps=steps, **validated_data)


def _steps_of(validated_data: dict[str, Any]) -> list[StepInput] | None:
    steps = validated_data.pop("steps", None)
    if steps is None:
        return None
    return [
        StepInput(
            step_no=step["step_no"],
            operation_code=step["operation"]["code"],
            source_step_key=step.get("source_step_key", ""),
        )
        for step in steps
    ]


# --- execution configs ------------------------------------------------------------------------------------


class ConfigValuesSerializer(StrictSerializer):
    """What a config says. Null lets a wider scope decide; an empty list of specs binds none."""

    stationType = serializers.ChoiceField(choices=StationType.choices, required=False, allow_null=True)
    stationGroupCode = CodeRelatedField(
        source="station_group",
        queryset=StationGroup.objects.all(),
        not_found=errors.StationGroupNotFound,
        required=False,
        allow_null=True,
    )
    allowedStationCodes = serializers.ListField(child=CodeField(), required=False, allow_null=True)
    requiresFAI = serializers.BooleanField(required=False, allow_null=True)
    retestLimit = serializers.IntegerField(min_value=0, max_value=LARGEST_RETEST_LIMIT, required=False, allow_null=True)
    reentryLimit = serializers.IntegerField(
        min_value=0,
        max_value=LARGEST_RETEST_LIMIT,
        required=False,
        allow_null=True,
        help_text="How often rework may lead a unit into the step again; 3 in new versions where no config says it.",
    )
    isOptional = serializers.BooleanField(
        required=False, allow_null=True, help_text="Units may go on without it. Of a step only."
    )
    requiresQualification = serializers.BooleanField(
        required=False, allow_null=True, help_text="By hand, only who is qualified for the operation takes units in."
    )
    dataSpecNames = serializers.ListField(child=CodeField(), required=False, allow_null=True)
    ingestMapping = serializers.JSONField(required=False, allow_null=True)
    workInstructions = WorkInstructionsField(
        required=False, allow_null=True, help_text="What the step is worked by; at most 20. [] shows none."
    )


class ConfigSerializer(WithChangeReason, ConfigValuesSerializer):
    """An execution config with its place. The place never changes."""

    id = IdField()
    scope = serializers.ChoiceField(choices=ConfigScope.choices)
    # Without a default, which a change in part would leave out of its answer.
    routeCode = serializers.CharField(source="routing.code", read_only=True, allow_null=True)
    stepNo = serializers.IntegerField(min_value=0, max_value=LARGEST_STEP_NO, required=False, allow_null=True)
    sourceStepKey = OptionalTextField(max_length=100)
    operationCode = serializers.CharField(source="operation.code", required=False, allow_null=True)
    updatedAt = OffsetDateTimeField(read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse another place for a config that exists, and a place that the scope does not have."""
        scope = self.instance.scope if isinstance(self.instance, RouteExecutionConfig) else attrs["scope"]
        if unfit := services.find_optional_problems(scope, attrs.get("is_optional")):
            raise serializers.ValidationError(unfit)
        if isinstance(self.instance, RouteExecutionConfig):
            _refuse_another_place(self.instance, attrs)
            return attrs
        problems = services.find_place_problems(
            scope=attrs["scope"],
            step_no=attrs.get("step_no"),
            source_step_key=attrs.get("source_step_key", ""),
            operation_code=_operation_code(attrs),
        )
        if problems:
            raise serializers.ValidationError(problems)
        return attrs


def _operation_code(attrs: dict[str, Any]) -> str | None:
    return (attrs.get("operation") or {}).get("code")


class RouteConfigSerializer(ConfigSerializer):
    """The config of a step or of all steps of one route."""

    scope = serializers.ChoiceField(choices=[(scope.value, scope.label) for scope in ROUTE_SCOPES])


class WideConfigSerializer(ConfigSerializer):
    """The config of an operation on every route, or of everything."""

    scope = serializers.ChoiceField(choices=[(scope.value, scope.label) for scope in WIDE_SCOPES])


_PLACE = {"scope": "scope", "step_no": "stepNo", "source_step_key": "sourceStepKey"}


def _refuse_another_place(config: RouteExecutionConfig, attrs: dict[str, Any]) -> None:
    names = [name for key, name in _PLACE.items() if key in attrs and attrs[key] != getattr(config, key)]
    if "operation" in attrs:
        present = config.operation.code if config.operation else None
        if _operation_code(attrs) != present:
            names.append("operationCode")
    if names:
        raise serializers.ValidationError({name: [_("Cannot be changed; make another config.")] for name in names})


def _values_of(validated_data: dict[str, Any]) -> dict[str, Any]:
    fields = ConfigValuesSerializer().fields.values()
    return {field.source: validated_data[field.source] for field in fields if field.source in validated_data}


def _save_route_config(route_code: str, data: dict[str, Any]) -> tuple[RouteExecutionConfig, bool]:
    if data["scope"] == ConfigScope.ROUTE:
        return services.save_route_config(route_code=route_code, values=_values_of(data))
    return services.save_step_config(
        route_code=route_code,
        step_no=data.get("step_no"),
        source_step_key=data.get("source_step_key", ""),
        values=_values_of(data),
    )


def _save_wide_config(data: dict[str, Any]) -> tuple[RouteExecutionConfig, bool]:
    if data["scope"] == ConfigScope.GLOBAL:
        return services.save_global_config(values=_values_of(data))
    return services.save_operation_config(operation_code=data["operation"]["code"], values=_values_of(data))


CONFIGS = RouteExecutionConfig.objects.select_related("routing", "operation", "station_group").order_by("-id")
STEP_EXAMPLE = OpenApiExample(
    "An oven that reports each board",
    value={
        "scope": "STEP",
        "stepNo": 20,
        "stationType": "AUTO",
        "stationGroupCode": "OVENS",
        "requiresFAI": True,
        "retestLimit": 0,
        "dataSpecNames": ["Peak Temperature", "Conveyor Speed"],
        "ingestMapping": {
            "stationCodePath": "payload.device.code",
            "snPath": "payload.board.sn",
            "result": {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]},
            "measurements": {"itemsPath": "payload.readings", "namePath": "name", "valuePath": "value"},
            "dataSpecMap": {"peak": "Peak Temperature"},
        },
    },
    request_only=True,
)
WIDE_EXAMPLE = OpenApiExample(
    "Every test may be repeated twice",
    value={"scope": "OPERATION", "operationCode": "TEST", "stationType": "MANUAL", "retestLimit": 2},
    request_only=True,
)
SAVE_NOTE = "When this place has a config already, the fields that are sent change and the answer is 200."


# --- versions ---------------------------------------------------------------------------------------------


class VersionSerializer(RowSerializer):
    """A compiled version without its content. `drift` of the latest: compiling now would give another one, which has
    `driftDifferences`.
    """

    id = IdField()
    versionNo = serializers.IntegerField()
    errors = serializers.JSONField()  # type: ignore[assignment]
    compiledAt = OffsetDateTimeField()
    compiledBy = serializers.CharField()
    drift = serializers.SerializerMethodField()
    driftDifferences = serializers.SerializerMethodField()

    class Meta:
        model = RouteVersion
        fields: tuple[str, ...] = (
            "id",
            "versionNo",
            "status",
            "errors",
            "compiledAt",
            "compiledBy",
            "drift",
            "driftDifferences",
        )

    def get_drift(self, version: RouteVersion) -> bool | None:
        """Only the latest version is compared; older ones are superseded anyway."""
        found = self._compare(version)
        return None if found is None else bool(found)

    @extend_schema_field(DifferenceSerializer(many=True, allow_null=True))
    def get_driftDifferences(self, version: RouteVersion) -> list[dict[str, Any]] | None:
        """Return what compiling now would change."""
        found = self._compare(version)
        return None if found is None else [difference.as_json() for difference in found]

    def _compare(self, version: RouteVersion) -> list[Difference] | None:
        if version.version_no != self.context["latest"]:
            return None
        if "differences" not in self.context:  # once for both fields
            cast(dict[str, Any], self.context)["differences"] = compare_with_live(version, compose(version.routing))
        found: list[Difference] = self.context["differences"]
        return found


class VersionDetailSerializer(VersionSerializer):
    """A compiled version with its snapshot."""

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "snapshot")


class CompileRequest(WithChangeReason, StrictSerializer):
    """Why a version is made; may be empty. With `dryRun`, none is."""

    dryRun = serializers.BooleanField(required=False)

    def to_internal_value(self, data: Any) -> Any:
        """A dry run changes nothing and needs no reason."""
        if isinstance(data, dict) and data.get("dryRun") is True:
            self.fields[CHANGE_REASON].required = False
            return StrictSerializer.to_internal_value(self, data)
        return super().to_internal_value(data)


_PROBLEM = inline_serializer(
    "CompileProblem",
    {
        "stepNo": serializers.IntegerField(allow_null=True),
        "code": serializers.CharField(),
        "message": serializers.CharField(),
    },
    many=True,
)
_COMPILED = inline_serializer(
    "CompileResult",
    {
        "versionNo": serializers.IntegerField(),
        "status": serializers.ChoiceField(choices=VersionStatus.choices),
        "errors": _PROBLEM,
        "warnings": _PROBLEM,
        "changed": serializers.BooleanField(),
        "differences": DifferenceSerializer(many=True, required=False),
        "examples": EXAMPLES,
        "runs": WAITING_RUNS,
    },
)


# --- views ------------------------------------------------------------------------------------------------


@describe(
    "route",
    "routes",
    example={
        "code": "ROUTE-1",
        "name": "Board 1, top side",
        "sourceSystem": "MES",
        "productCode": "BOARD-1",
        "isActive": True,
        "steps": [
            {"stepNo": 10, "operationCode": "PRINT"},
            {"stepNo": 20, "operationCode": "REFLOW"},
            {"stepNo": 30, "operationCode": "TEST"},
        ],
    },
    change={"effectiveFrom": "2026-02-01T00:00:00Z", "effectiveTo": None},
    note="Step numbers order the steps and may have gaps. Steps of an ERP route are read-only once it exists.",
)
class RouteViewSet(CodeModelViewSet):
    """Routes: edited here, compiled into the immutable versions that runs execute."""

    queryset = Routing.objects.select_related("fai_template").prefetch_related("steps__operation")
    serializer_class = RouteSerializer
    not_found = errors.RouteNotFound
    capabilities = CAPABILITIES
    station_access = READS_SHARED | dict.fromkeys(("execution_config", "versions", "version"), StationAccess.SHARED)
    filters = {
        "productCode": "product_code",
        "sourceSystem": "source_system",
        "sourceKey": "source_key",
        "isActive": "is_active",
        "operationCode": "steps__operation__code",
    }
    search_fields = ("code", "name", "product_code")

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        """A route with an operation twice is still one route."""
        narrowed = super().filter_queryset(queryset)
        if self.request.query_params.get("operationCode"):
            return self.get_queryset().filter(pk__in=narrowed.values("pk"))
        return narrowed

    @extend_schema(
        summary="List the configs of a route and its steps", responses=ConfigSerializer(many=True), filters=False
    )
    @action(detail=True, methods=["get"], url_path="execution-config", filter_backends=[])
    def execution_config(self, request: Request, code: str) -> Response:
        """Newest first; configs of operations and global ones are under /api/execution-configs."""
        page = self.paginate_queryset(CONFIGS.filter(routing=self.get_object()))
        return self.get_paginated_response(ConfigSerializer(page, many=True).data)

    @extend_schema(
        summary="Say how a step, or every step of a route, runs",
        description=SAVE_NOTE,
        request=RouteConfigSerializer,
        responses={201: ConfigSerializer, 200: ConfigSerializer},
        examples=[STEP_EXAMPLE],
    )
    @execution_config.mapping.post
    def save_execution_config(self, request: Request, code: str) -> Response:
        """Create or change the config of this place."""
        body = RouteConfigSerializer(data=request.data)
        self.get_object()
        body.is_valid(raise_exception=True)
        config, created = _save_route_config(code, body.validated_data)
        return Response(ConfigSerializer(config).data, status=201 if created else 200)

    @extend_schema(
        summary="Compile a route",
        description="An unchanged route keeps its latest version (`changed` false). An INVALID version is kept with "
        "its errors; runs bind READY ones. `warnings` keep nothing from being used, but are rarely meant. "
        "With `dryRun`, nothing is stored, and the answer says besides what would change, what became of the "
        "kept examples of the mappings, and which runs in preparation have an older version.",
        request=CompileRequest,
        responses={200: _COMPILED},
        examples=[
            OpenApiExample("A tightened limit", value={"changeReason": "Oven 2 drifts."}, request_only=True),
            OpenApiExample("What would it do?", value={"dryRun": True}, request_only=True),
        ],
    )
    @action(detail=True, methods=["post"])
    def compile(self, request: Request, code: str) -> Response:
        """Freeze the route and its configs into a version."""
        if read(CompileRequest, request).get("dry_run"):
            return Response(answer_preview(preview_compilation(code=code)))
        version, changed = compile_route(code=code, compiled_by=operator_name(request))
        return Response(
            {
                "versionNo": version.version_no,
                "status": version.status,
                "errors": version.errors,
                "warnings": find_warnings(from_document(version.snapshot)),
                "changed": changed,
            }
        )

    @extend_schema(
        summary="List the versions of a route, newest first", responses=VersionSerializer(many=True), filters=False
    )
    @action(detail=True, methods=["get"], filter_backends=[])
    def versions(self, request: Request, code: str) -> Response:
        """Without their snapshots; `drift` of the latest version says whether it should be compiled again."""
        routing = self.get_object()
        page = self.paginate_queryset(routing.versions.select_related("routing").defer("snapshot"))
        context = {"latest": _latest_version_no(routing)}
        return self.get_paginated_response(VersionSerializer(page, many=True, context=context).data)

    @extend_schema(summary="Read one version with its snapshot", responses=VersionDetailSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path="versions/(?P<no>[^/]+)", url_name="version", filter_backends=[])
    def version(self, request: Request, code: str, no: str) -> Response:
        """The snapshot is what runs execute: operations, stations, specs with their limits, mappings."""
        routing = self.get_object()
        versions = routing.versions.select_related("routing")
        version = versions.filter(version_no=int(no)).first() if _NUMBER.fullmatch(no) else None
        if version is None:
            raise errors.RouteVersionNotFound(route=code, code=no)
        context = {"latest": _latest_version_no(routing)}
        return Response(VersionDetailSerializer(version, context=context).data)


def _latest_version_no(routing: Routing) -> int | None:
    return routing.versions.aggregate(latest=Max("version_no"))["latest"]


@extend_schema_view(
    list=extend_schema(summary="List all execution configs, newest first"),
    retrieve=extend_schema(summary="Read one execution config"),
    create=extend_schema(
        summary="Say how an operation, or everything, runs",
        description=SAVE_NOTE,
        request=WideConfigSerializer,
        responses={201: ConfigSerializer, 200: ConfigSerializer},
        examples=[WIDE_EXAMPLE],
    ),
    partial_update=extend_schema(
        summary="Change an execution config",
        description="Null lets a wider scope decide; an empty `dataSpecNames` binds none.",
        examples=[
            OpenApiExample("Two retests, no specs", value={"retestLimit": 2, "dataSpecNames": []}, request_only=True)
        ],
    ),
    destroy=extend_schema(summary="Delete an execution config"),
)
class ConfigViewSet(IdModelViewSet):
    """How steps run. Narrow scopes win over wide ones, field by field: STEP, OPERATION, ROUTE, GLOBAL."""

    queryset = CONFIGS
    serializer_class = ConfigSerializer
    not_found = errors.ExecutionConfigNotFound
    capabilities = CAPABILITIES
    station_access = READS_SHARED
    filters = {
        "scope": "scope",
        "routeCode": "routing__code",
        "stepNo": "step_no",
        "operationCode": "operation__code",
        "stationType": "station_type",
        "groupCode": "station_group__code",
    }
    search_fields = ("routing__code", "operation__code", "source_step_key")

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Create or change the config of this place."""
        body = WideConfigSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        config, created = _save_wide_config(body.validated_data)
        return Response(ConfigSerializer(config).data, status=201 if created else 200)

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """Leave it to the service."""
        config, values = serializer.instance, _values_of(serializer.validated_data)
        serializer.instance = services.update_config(cast(RouteExecutionConfig, config), values=values)


def register(router: BaseRouter) -> None:
    """Add the addresses of routes and execution configs."""
    router.register("routes", RouteViewSet, basename="route")
    router.register("execution-configs", ConfigViewSet, basename="execution-config")
