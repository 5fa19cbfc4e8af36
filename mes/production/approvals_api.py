"""What was asked for and waits for another person, over HTTP. Each kind is asked for where it belongs."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.serializers import (
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import OnlyKnownFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.production import approvals
from mes.production.decision_models import Approval


class ApprovalAnswer(RowSerializer):
    """What somebody asked for."""

    id = IdField()
    sn = serializers.CharField(source="unit.sn", allow_null=True, default=None)
    runNo = serializers.CharField(source="run.run_no", allow_null=True, default=None)
    description = serializers.SerializerMethodField(help_text="What was asked for, in words.")
    arguments = serializers.DictField(help_text="What was asked for, in the words of the request.")
    requestedBy = serializers.CharField()
    requestedAt = OffsetDateTimeField()
    expiresAt = OffsetDateTimeField(help_text="Until when it can be decided.")
    decidedBy = serializers.CharField(allow_blank=True)
    decidedAt = OffsetDateTimeField(allow_null=True)
    decisionReason = serializers.CharField(allow_blank=True)

    class Meta:
        model = Approval
        fields = (
            "id",
            "type",
            "status",
            "sn",
            "runNo",
            "description",
            "arguments",
            "reason",
            "requestedBy",
            "requestedAt",
            "expiresAt",
            "decidedBy",
            "decidedAt",
            "decisionReason",
        )

    def get_description(self, approval: Approval) -> str:
        """Say it."""
        return approvals.kind_of(approval).describe(approval)


class ApprovalDecisionRequest(StrictSerializer):
    """Why, where there is something to say."""

    reason = DecisionReasonField(required=False, allow_null=True)


DECISION = OpenApiExample("Why", value={"reason": "The drawing allows it."}, request_only=True)


@extend_schema_view(
    list=extend_schema(
        summary="List what was asked for, newest first", description="Other query parameters are refused."
    ),
    retrieve=extend_schema(summary="Read what was asked for"),
)
class ApprovalViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """What one person asked for and another one decides."""

    queryset = Approval.objects.select_related("unit", "run")
    serializer_class = ApprovalAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [OnlyKnownFilter]
    filters = {"status": "status", "type": "type"}
    # The widest of all kinds; each narrows it (`ApprovalKind.approves`).
    capabilities = {
        "approve": (Capability.RELEASE,),
        "refuse": (Capability.RELEASE,),
        "withdraw": (Capability.DISPOSITION, Capability.ROUTES),
    }

    def get_object(self) -> Approval:
        """Return the approval that the address names."""
        return approvals.find(id_or_raise(self.kwargs["pk"], errors.ApprovalNotFound))

    @extend_schema(
        summary="Approve what was asked for",
        description="Carries it out at once. Every rule is asked again. Whoever asked cannot approve.",
        request=ApprovalDecisionRequest,
        responses=ApprovalAnswer,
        examples=[DECISION],
    )
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Approve it."""
        approvals.check_may_decide(self.get_object(), role_capabilities(request.user))
        return self._decide(approvals.approve, request)

    @extend_schema(
        summary="Refuse what was asked for",
        request=ApprovalDecisionRequest,
        responses=ApprovalAnswer,
        examples=[DECISION],
    )
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str) -> Response:
        """Refuse it."""
        approvals.check_may_decide(self.get_object(), role_capabilities(request.user))
        return self._decide(approvals.refuse, request)

    @extend_schema(
        summary="Withdraw what was asked for",
        description="By whoever asked, or an administrator.",
        request=ApprovalDecisionRequest,
        responses=ApprovalAnswer,
        examples=[DECISION],
    )
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Withdraw it."""
        is_admin = Capability.ADMIN in role_capabilities(request.user)
        return self._decide(approvals.withdraw, request, is_for_others=is_admin)

    def _decide(self, service: Any, request: Request, **more: Any) -> Response:
        body = read(ApprovalDecisionRequest, request)
        approval_id = id_or_raise(self.kwargs["pk"], errors.ApprovalNotFound)
        approval = service(approval_id=approval_id, by=operator_name(request), reason=body.get("reason") or "", **more)
        return Response(ApprovalAnswer(approval).data)


def register(router: BaseRouter) -> None:
    """Add the addresses of this subject."""
    router.register("approvals", ApprovalViewSet, basename="approval")
