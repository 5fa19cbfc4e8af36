"""What people decide about a run, over HTTP: hold, resume, close, reopen, change."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from mes.platform.accounts.permissions import check_capability, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    ObjectSerializer,
    OffsetDateTimeField,
    StrictSerializer,
    read,
)
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import EXAMPLE, SignatureRequest
from mes.production import holds, run_acts, run_changes, run_closing
from mes.production.models import Run, RunKind
from mes.routing.preview import LARGEST_VERSION_NO

LARGEST_QUANTITY = 1_000_000
# What an engineer may change of a run that has not begun; the rest is the supervisor's.
BY_ENGINEERS = frozenset({"route_version_no", "reason"})


WHO_RESUMES = (Capability.DISPOSITION, Capability.RELEASE)
SIGNED_BY_PEOPLE = "Of whoever is signed in. A token may do without, unless `MES_SIGNATURES` is STRICT."


class RunChangeRequest(StrictSerializer):
    """What is to be changed of a run, and why."""

    planQty = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY, required=False)
    lineCode = CodeField(required=False)
    shiftCode = CodeField(required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=RunKind.choices, required=False)
    routeVersionNo = serializers.IntegerField(min_value=1, max_value=LARGEST_VERSION_NO, required=False)
    reason = DecisionReasonField()


class DecisionRequest(StrictSerializer):
    """Why."""

    reason = DecisionReasonField()


class ResumeRequest(StrictSerializer):
    """Why a run goes on, where there is something to say."""

    reason = DecisionReasonField(required=False, allow_null=True)
    signature = SignatureRequest(required=False, allow_null=True, help_text=SIGNED_BY_PEOPLE)


class CloseRequest(StrictSerializer):
    """Why a run is closed: needed where less was made than planned."""

    reason = DecisionReasonField(required=False, allow_null=True)


class ReopenRunRequest(StrictSerializer):
    """Why a run is opened again, and for how many units."""

    planQty = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY, required=False, allow_null=True)
    reason = DecisionReasonField()


class StatusAnswer(serializers.Serializer):
    """A run's status after a change."""

    runNo = serializers.CharField()
    status = serializers.CharField()


class CloseAnswer(StatusAnswer):
    """A closed run, with the units that were registered and never made."""

    notMade = serializers.ListField(child=serializers.CharField())


class HoldAnswer(ObjectSerializer):
    """What holds a run."""

    holdNo = serializers.CharField()
    source = serializers.CharField(help_text="PERSON, or what else holds it.")  # type: ignore[assignment]
    reason = serializers.CharField()
    by = serializers.CharField(source="opened_by")
    at = OffsetDateTimeField(source="opened_at")


class HeldAnswer(StatusAnswer):
    """A run that is or was held."""

    heldFrom = serializers.CharField(allow_null=True, help_text="The status in which it goes on; null while it does.")
    holds = HoldAnswer(many=True)


class BlockerAnswer(serializers.Serializer):
    """What keeps a run from being closed."""

    code = serializers.CharField(help_text="The code with which closing is refused.")
    count = serializers.IntegerField(help_text="How many units it is about.")
    sns = serializers.ListField(child=serializers.CharField(), help_text="The first 20 of them.")


class CloseCheckAnswer(serializers.Serializer):
    """What closing a run would do now."""

    canClose = serializers.BooleanField(source="can_close")
    leadsTo = serializers.CharField(source="leads_to", allow_null=True, help_text="Null for a run that has ended.")
    isShort = serializers.BooleanField(
        source="is_short", help_text="Less was made than planned: closing it needs a reason."
    )
    blockers = BlockerAnswer(many=True)


REASON = OpenApiExample("Why", value={"reason": "Feeder 12 has the wrong reel"}, request_only=True)


class RunActs:
    """Acts on a run, as a mixin of its viewset."""

    @extend_schema(
        summary="Change an open run",
        description="Its quantity, within what its order allows (ORDER_QTY_EXCEEDED) and not below its units "
        "(RUN_QTY_TOO_LOW); its shift. Line and route version until its first track or first article that was begun, "
        "its kind until its first track (RUN_STARTED): a version that is READY and newer (else "
        "ROUTE_VERSION_NOT_READY). With another line or version an AUTHORIZED run falls back to PREP, with another "
        "version registered units are put to the new first step. What is as it should be changes nothing.",
        request=RunChangeRequest,
        examples=[
            OpenApiExample(
                "The tightened limit counts for it too",
                value={"routeVersionNo": 3, "reason": "Oven 2 drifts."},
                request_only=True,
            ),
            OpenApiExample("Ten more", value={"planQty": 50, "reason": "Ten were scrapped."}, request_only=True),
        ],
    )
    def partial_update(self, request: Request, run_no: str) -> Response:
        """Change what differs."""
        body = read(RunChangeRequest, request)
        if body.keys() - BY_ENGINEERS:
            check_capability(request, Capability.RUNS)
        reason = body.pop("reason")
        run = run_changes.change(run_no=run_no, wanted=body, by=operator_name(request), reason=reason)
        return Response(self.serializer_class(run).data)  # type: ignore[attr-defined]

    @extend_schema(
        summary="Put a run on hold",
        description="Once it is answered, no unit enters a station for it; units in stations leave them. Held again, "
        "nothing changes. A hold is no end: the run goes on where it was held from.",
        request=DecisionRequest,
        responses=HeldAnswer,
        examples=[REASON],
    )
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, run_no: str) -> Response:
        """Hold it."""
        body = read(DecisionRequest, request)
        opened, _is_new = run_acts.hold(run_no=run_no, by=operator_name(request), reason=body["reason"])
        assert opened.run is not None  # the one it holds
        return _held(opened.run)

    @extend_schema(
        summary="Let a run go on",
        description="Ends what a person holds; where something else holds it too, it stays on hold, and is refused "
        "where nothing else does (RUN_ON_HOLD). Readiness is not asked again. Machine events that were refused with "
        "RUN_ON_HOLD are tried again by themselves.",
        request=ResumeRequest,
        responses=HeldAnswer,
        examples=[
            OpenApiExample(
                "Why", value={"reason": "Reel changed and compared", "signature": EXAMPLE}, request_only=True
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, run_no: str) -> Response:
        """Let it go on."""
        body = read(ResumeRequest, request)
        signing = signatures.verify(request, body.get("signature"), *WHO_RESUMES)
        by, reason = operator_name(request), body.get("reason") or ""
        return _held(run_acts.resume(run_no=run_no, by=by, reason=reason, signing=signing))

    @extend_schema(
        summary="Close a run",
        description="Every unit that was started must be done or scrapped (UNITS_NOT_FINISHED). Units that never had a "
        "track are reported as not made and removed from the run. A run without any track becomes CANCELLED, any other "
        "COMPLETED. Where less was made than planned, a reason is needed.",
        request=CloseRequest,
        responses=CloseAnswer,
        examples=[OpenApiExample("Done", value={"reason": "All boards made"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def close(self, request: Request, run_no: str) -> Response:
        """Complete the run."""
        body = read(CloseRequest, request)
        run, not_made = run_acts.close(run_no=run_no, by=operator_name(request), reason=body.get("reason") or "")
        return Response({"runNo": run.run_no, "status": run.status, "notMade": not_made})

    @extend_schema(
        summary="Ask what closing a run would do",
        description="By the same rules as closing it. Nothing is written.",
        responses=CloseCheckAnswer,
    )
    @action(detail=True, methods=["get"], url_path="close-check", pagination_class=None, filter_backends=())
    def close_check(self, request: Request, run_no: str) -> Response:
        """Look what is in the way."""
        run: Run = self.get_object()  # type: ignore[attr-defined]
        answer: dict[str, Any] = dict(CloseCheckAnswer(run_closing.examine(run)).data)
        return Response(answer)

    @extend_schema(
        summary="Open an ended run again",
        description="A COMPLETED run is in progress again, a CANCELLED one in preparation; a COMPLETED order is "
        "reopened with it. Its quantity, which may be changed at once, must fit (ORDER_QTY_EXCEEDED).",
        request=ReopenRunRequest,
        examples=[OpenApiExample("Why", value={"reason": "Two boards came back from repair"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, run_no: str) -> Response:
        """Open it again."""
        body = read(ReopenRunRequest, request)
        run = run_acts.reopen(
            run_no=run_no, by=operator_name(request), reason=body["reason"], plan_qty=body.get("plan_qty")
        )
        return Response(self.serializer_class(run).data)  # type: ignore[attr-defined]


def _held(run: Run) -> Response:
    answer = {"runNo": run.run_no, "status": run.status, "heldFrom": run.held_from or None}
    return Response({**answer, "holds": HoldAnswer(holds.list_open(run=run), many=True).data})
