"""Readiness over HTTP: checks of a run, waivers, confirmations and exceptions."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.plant.reach import OfServedLines, check_serves_line, check_stands_on_line
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.serializers import ObjectSerializer, OffsetDateTimeField, RowSerializer, StrictSerializer, read
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import whole_number
from mes.platform.inbound.sender import sender_of
from mes.production.models import Run
from mes.readiness import confirmations, queries, services
from mes.readiness.models import CheckKind, CheckStatus, DataSource, ReadinessCheck, ReadinessItem

PREPARES = (Capability.BIND, Capability.AUTHORIZE, Capability.FAI)


class ReadinessWaiverAnswer(ObjectSerializer):
    """Who answers for a failure, and why."""

    reason = serializers.CharField()
    by = serializers.CharField(source="waived_by")
    at = OffsetDateTimeField(source="waived_at")


class ReadinessItemAnswer(RowSerializer):
    """One thing that was looked at. `action` says what to do about a failure."""

    id = serializers.CharField(source="pk")
    itemType = serializers.CharField()
    itemKey = serializers.CharField()
    code = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    action = serializers.CharField()
    evidence = serializers.DictField()
    waiver = ReadinessWaiverAnswer(allow_null=True)

    class Meta:
        model = ReadinessItem
        fields = [
            "id",
            "itemType",
            "itemKey",
            "status",
            "code",
            "reason",
            "action",
            "evidence",
            "waivable",
            "waiver",
        ]

    def to_representation(self, instance: ReadinessItem) -> dict[str, Any]:
        """An item that passed has no code, and neither reason nor action."""
        fields = super().to_representation(instance)
        return {**fields, **{name: fields[name] or None for name in ("code", "reason", "action")}}


class ReadinessCheckAnswer(RowSerializer):
    """A check with its items. `isAuthorization`: evaluated at the moment somebody authorized the run."""

    id = serializers.CharField(source="pk", allow_null=True)
    runNo = serializers.CharField(source="run.run_no")
    type = serializers.ChoiceField(source="kind", choices=CheckKind.choices)
    isAuthorization = serializers.BooleanField()
    checkedAt = OffsetDateTimeField(allow_null=True)
    checkedBy = serializers.CharField(allow_null=True)
    items = ReadinessItemAnswer(many=True)

    class Meta:
        model = ReadinessCheck
        fields = ["id", "runNo", "type", "status", "isAuthorization", "checkedAt", "checkedBy", "items"]


class ReadinessExceptionAnswer(ReadinessItemAnswer):
    """A failed or waived item of an open run."""

    runNo = serializers.CharField(source="check_made.run.run_no")
    lineCode = serializers.CharField(source="check_made.run.line.code")
    checkId = serializers.CharField(source="check_made_id")
    checkedAt = OffsetDateTimeField(source="check_made.checked_at")

    class Meta(ReadinessItemAnswer.Meta):
        fields = [*ReadinessItemAnswer.Meta.fields, "runNo", "lineCode", "checkId", "checkedAt"]


class WaiveRequest(StrictSerializer):
    """Why a failure may be lived with."""

    reason = serializers.CharField(max_length=500)


class PreparationRequest(StrictSerializer):
    """A preparation that is done; with `done` false, one that is not after all."""

    source = serializers.ChoiceField(choices=["MANUAL", "SYSTEM"], required=False)  # type: ignore[assignment]
    done = serializers.BooleanField(required=False)
    remark = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)


class PreparationAnswer(ObjectSerializer):
    """A confirmation as it was kept."""

    id = serializers.CharField(source="pk")
    code = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    done = serializers.BooleanField(source="is_done")
    confirmedBy = serializers.CharField()
    confirmedAt = OffsetDateTimeField()
    remark = serializers.CharField()


_TYPE = OpenApiParameter("type", str, enum=CheckKind.values, description="Only checks of this type.")


def _kind(request: Request) -> str:
    kind = request.query_params.get("type", "")
    if kind and kind not in CheckKind.values:
        raise errors.ValidationFailed({"type": "PRECHECK, FORMAL"})
    return kind


class RunReadinessViewSet(GenericViewSet):
    """Whether a run may start."""

    queryset = ReadinessCheck.objects.none()
    serializer_class = ReadinessCheckAnswer
    capabilities = {
        "precheck": PREPARES,
        "check": PREPARES,
        "waive": (Capability.WAIVE,),
        "confirm": (Capability.BIND, Capability.AUTHORIZE, Capability.STATUS),
    }
    station_access = dict.fromkeys(("precheck", "check", "latest", "history", "confirm"), StationAccess.OWN)

    @extend_schema(
        summary="Precheck a run",
        description="Looks at everything the run needs and keeps what it found. It decides nothing.",
        request=None,
        responses={201: ReadinessCheckAnswer},
    )
    def precheck(self, request: Request, run_no: str) -> Response:
        """Make an advisory check."""
        return self._make(request, run_no, CheckKind.PRECHECK)

    @extend_schema(
        summary="Check a run formally",
        description="As authorizing will do. Authorizing looks afresh: what this finds counts only for this moment.",
        request=None,
        responses={201: ReadinessCheckAnswer},
    )
    def check(self, request: Request, run_no: str) -> Response:
        """Make a formal check."""
        return self._make(request, run_no, CheckKind.FORMAL)

    def _make(self, request: Request, run_no: str, kind: CheckKind) -> Response:
        _check_sender(request, run_no)
        check = services.make_check(run_no=run_no, kind=kind, by=operator_name(request))
        return Response(ReadinessCheckAnswer(queries.list_checks_of(check.run).get(pk=check.pk)).data, status=201)

    @extend_schema(
        summary="Read the latest check of a run",
        description="`PENDING` while there is none.",
        parameters=[_TYPE],
        responses=ReadinessCheckAnswer,
    )
    def latest(self, request: Request, run_no: str) -> Response:
        """Return the latest check."""
        kind = _kind(request)
        run = _get_readable_run(request, run_no)
        check = queries.find_latest(run, kind)
        return Response(ReadinessCheckAnswer(check).data if check else _pending(run_no, kind))

    @extend_schema(
        summary="List the checks of a run, newest first", parameters=[_TYPE], responses=ReadinessCheckAnswer(many=True)
    )
    def history(self, request: Request, run_no: str) -> Response:
        """Return the checks."""
        kind = _kind(request)
        checks = queries.list_checks_of(_get_readable_run(request, run_no))
        page = self.paginate_queryset(checks.filter(kind=kind) if kind else checks)
        return self.get_paginated_response(ReadinessCheckAnswer(page, many=True).data)

    @extend_schema(
        summary="Waive a failed item",
        description="Later checks of the run heed it for the same item failing with the same code, and for nothing "
        "else.",
        request=WaiveRequest,
        responses=ReadinessItemAnswer,
        examples=[OpenApiExample("Why", value={"reason": "Measured by hand: 34 N/cm"}, request_only=True)],
    )
    def waive(self, request: Request, run_no: str, id: str) -> Response:
        """Waive it."""
        reason = read(WaiveRequest, request)["reason"]
        number = whole_number(id)
        if number is None:
            queries.get_run(run_no)
            raise errors.ReadinessItemNotFound(code=id)
        item = services.waive_item(run_no=run_no, item_id=number, reason=reason, by=operator_name(request))
        return Response(ReadinessItemAnswer(item).data)

    @extend_schema(
        summary="Confirm a preparation of a run",
        description="`source` MANUAL (the default) is a person; SYSTEM is another system and needs the role "
        "Integration. `done` false takes an earlier confirmation back.",
        request=PreparationRequest,
        responses={201: PreparationAnswer},
        examples=[OpenApiExample("By hand", value={"remark": "Feeders compared with the list"}, request_only=True)],
    )
    def confirm(self, request: Request, run_no: str, code: str) -> Response:
        """Keep the confirmation."""
        body = read(PreparationRequest, request)
        source = body.get("source") or DataSource.MANUAL
        _check_may_confirm(request, source)
        _check_sender(request, run_no)
        confirmation = confirmations.confirm(
            run_no=run_no,
            code=code,
            source=source,
            by=operator_name(request),
            is_done=body.get("done", True),
            remark=body.get("remark") or "",
        )
        return Response(PreparationAnswer(confirmation).data, status=201)


def _get_readable_run(request: Request, run_no: str) -> Run:
    """Return a run. Raises RunNotFound, and LineNotAllowed for one of a line that the sender has no station for."""
    run = queries.get_run(run_no)
    check_serves_line(sender_of(request), run.line)
    return run


def _check_sender(request: Request, run_no: str) -> None:
    """Raise LineNotAllowed where the sender is limited to stations none of which stands on the run's line."""
    sender = sender_of(request)
    if sender.is_limited:
        check_stands_on_line(sender, queries.get_run(run_no).line)


def _check_may_confirm(request: Request, source: str) -> None:
    """A system reports with the role of systems, a person confirms with a person's."""
    needed = {Capability.STATUS} if source == DataSource.SYSTEM else {Capability.BIND, Capability.AUTHORIZE}
    if role_capabilities(request.user).isdisjoint(needed):
        raise errors.ConfirmationNotAllowed(source=DataSource(source))


def _pending(run_no: str, kind: str) -> dict[str, Any]:
    return {
        "id": None,
        "runNo": run_no,
        "type": kind or CheckKind.FORMAL,
        "status": CheckStatus.PENDING,
        "isAuthorization": False,
        "checkedAt": None,
        "checkedBy": None,
        "items": [],
    }


@extend_schema_view(
    list=extend_schema(
        summary="List what failed or was waived in open runs",
        description="Of the latest check of each open run, newest first.",
    )
)
class ExceptionViewSet(OfServedLines, mixins.ListModelMixin, GenericViewSet):
    """Failed and waived items over all open runs."""

    queryset = ReadinessItem.objects.none()
    serializer_class = ReadinessExceptionAnswer
    station_access = {"list": StationAccess.OWN}
    line_lookup = "check_made__run__line"
    filter_backends = [ExactFilter]
    filters = {
        "status": "status",
        "itemType": "item_type",
        "runNo": "check_made__run__run_no",
        "lineCode": "check_made__run__line__code",
    }

    def get_queryset(self) -> Any:
        """Return the items."""
        return queries.list_exceptions()


def register(router: SimpleRouter) -> None:
    """Add the address of the exceptions; those of a run are in `urls`."""
    router.register("readiness/exceptions", ExceptionViewSet, "readiness-exception")
