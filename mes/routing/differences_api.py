"""Differences between versions of a route, and what compiling it would do, over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes.platform.accounts.permissions import StationAccess
from mes.platform.http.addresses import NAME
from mes.routing.compilation import find_warnings
from mes.routing.differences import Kind, Subject
from mes.routing.models import Routing
from mes.routing.preview import Preview, compare_versions


class DifferenceSerializer(serializers.Serializer):
    """One thing that differs. `from` and `to` are left out where there is nothing to tell."""

    kind = serializers.ChoiceField(choices=[str(kind) for kind in Kind])
    stepNo = serializers.IntegerField(allow_null=True)
    subject = serializers.ChoiceField(choices=[str(subject) for subject in Subject])
    name = serializers.CharField(required=False)
    field = serializers.CharField(required=False)
    to = serializers.JSONField(allow_null=True, required=False)
    text = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add what Python has as a word of its own."""
        return {**super().get_fields(), "from": serializers.JSONField(allow_null=True, required=False)}


DIFFERENCES = inline_serializer(
    "VersionDifferences", {"same": serializers.BooleanField(), "differences": DifferenceSerializer(many=True)}
)
EXAMPLES = inline_serializer(
    "CompiledExample",
    {"stepNo": serializers.IntegerField(), "name": serializers.CharField(), "passed": serializers.BooleanField()},
    many=True,
    required=False,
)
WAITING_RUNS = inline_serializer(
    "RunOfOlderVersion",
    {"runNo": serializers.CharField(), "versionNo": serializers.IntegerField()},
    many=True,
    required=False,
)


def answer_preview(preview: Preview) -> dict[str, Any]:
    """Return what compiling would do, as it is answered. `versionNo` is the number that the version has, or would."""
    compilation = preview.compilation
    return {
        "versionNo": preview.version_no,
        "status": compilation.status,
        "errors": compilation.problems,
        "warnings": find_warnings(compilation.snapshot),
        "changed": preview.changed,
        "differences": [difference.as_json() for difference in preview.differences],
        "examples": [example.as_json() for example in compilation.examples],
        "runs": [run.as_json() for run in preview.runs],
    }


class DifferencesViewSet(GenericViewSet):
    """What differs between two versions of a route, or between one and what is live."""

    queryset = Routing.objects.none()
    lookup_field = "code"
    lookup_value_regex = NAME
    serializer_class = serializers.Serializer
    pagination_class = None
    filter_backends = ()
    station_access = {"diff": StationAccess.SHARED}

    @extend_schema(
        operation_id="routes_versions_diff",
        summary="Compare two versions of a route",
        description="`second` is a number, or `live`: what compiling would freeze now. Steps are matched by their "
        "source step key, else by number and operation, else as the same operation in order (MOVED); specs by ids. "
        "`same` means that both have the same digest. Compared the other way round, the list is its mirror image; "
        "`stepNo` and the names of specs are those of the second, where they are there.",
        responses=DIFFERENCES,
    )
    @action(detail=True, methods=["get"], url_path="versions/(?P<first>[^/]+)/diff/(?P<second>[^/]+)")
    def diff(self, request: Request, code: str, first: str, second: str) -> Response:
        """Return every difference, in words too."""
        differences = compare_versions(code=code, first=first, second=second)
        return Response({"same": not differences, "differences": [each.as_json() for each in differences]})


def register(router: BaseRouter) -> None:
    """Add the address of the differences: before those of routes, whose codes may hold slashes."""
    router.register("routes", DifferencesViewSet, basename="route-differences")
