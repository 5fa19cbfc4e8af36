"""Holds over HTTP."""

from typing import Any

from django.http import HttpRequest
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.quality.holds import condition, matching, places, services
from execution.quality.holds.bodies import (
    DisposeRequest,
    HoldDetail,
    HoldPreviewAnswer,
    HoldPreviewRequest,
    HoldReleaseRequest,
    HoldRequest,
    HoldRow,
)
from execution.quality.holds.services import Done
from mes.platform.accounts.permissions import StationAccess, check_capability, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import read
from mes.platform.http.viewsets import OnlyKnownFilter
from mes.platform.inbound.sender import sender_of
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import EXAMPLE as SIGNATURE
from mes.platform.signatures.services import Signing
from mes.production import names
from mes.production.hold_models import HeldUnitEnd, Hold, HoldScope
from mes.production.models import Unit

SUSPECT = {
    "stationCode": "REF-01",
    "from": "2026-03-02T06:00:00Z",
    "to": "2026-03-02T08:30:00Z",
    "specName": "Peak Temperature",
    "valueMin": 248,
}
ENDS = (Capability.HOLD,)


class HoldFilter(OnlyKnownFilter):
    """Also by a unit that a hold has or had, by its present or an earlier serial number."""

    also_known = ("sn",)

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Narrow the list."""
        rows = super().filter_queryset(request, queryset, view)
        if sn := request.query_params.get("sn", ""):
            found = names.find_units([sn], Unit.objects.only("sn"))
            rows = rows.filter(held_units__unit__in=[unit.pk for unit in found.values()]).distinct()
        return rows


@extend_schema_view(
    list=extend_schema(
        summary="List holds, newest first",
        description="Other query parameters are refused.",
        parameters=[OpenApiParameter("sn", str, description="Those that have or had this unit.")],
    )
)
class HoldViewSet(mixins.ListModelMixin, GenericViewSet):
    """What keeps units, runs, stations and lines still."""

    queryset = Hold.objects.select_related("run", "line", "station", "rule")
    serializer_class = HoldRow
    filter_backends = [HoldFilter]
    filters = {
        "scope": "scope",
        "status": "status",
        "source": "source",
        "runNo": "run__run_no",
        "lineCode": "line__code",
        "stationCode": "station__code",
    }
    capabilities = {
        "preview": (Capability.HOLD,),
        "create": (Capability.HOLD, Capability.STOP),
        "release": ENDS,
        "dispose": ENDS,
    }
    station_access = {"create": StationAccess.OWN}

    @extend_schema(
        summary="See which units a hold would be about",
        description="By the same rules as holding them. Codes that there are not are refused, so that a slip of the "
        "pen does not hold nothing. Nothing is written.",
        request=HoldPreviewRequest,
        responses=HoldPreviewAnswer,
        examples=[OpenApiExample("Through the oven while it ran hot", value={"condition": SUSPECT}, request_only=True)],
    )
    def preview(self, request: Request) -> Response:
        """Look, and hold nothing."""
        body = read(HoldPreviewRequest, request)
        found = matching.preview(condition.build(body["condition"]))
        return Response(
            {
                "count": found.count,
                "byStatus": found.by_status,
                "byRun": {run_no or "": count for run_no, count in found.by_run.items()},
                "alreadyHeld": found.already_held,
                "items": found.first,
            }
        )

    @extend_schema(
        summary="Hold units, a run, a station or a line",
        description="UNITS: those that the `condition` fits, and with `catches` those that come to fit later: by a "
        "move or a defect within 5 s, by a value within a minute. With `expectedCount`, as many as a preview told, "
        "another count holds nothing (HOLD_COUNT_CHANGED). Over 1,000 units the answer is 202 and the worker holds "
        "them. RUN, STATION, LINE: once it is answered, nothing enters there; what is held so by a person already is "
        "answered with 200. Operators may stop a station or a line.",
        request=HoldRequest,
        responses={201: HoldDetail, 200: HoldDetail, 202: HoldDetail},
        examples=[
            OpenApiExample(
                "Through the oven while it ran hot",
                value={"scope": "UNITS", "condition": SUSPECT, "reason": "Zone 5 was 8 K too hot", "expectedCount": 47},
                request_only=True,
            ),
            OpenApiExample(
                "Stop a station", value={"scope": "STATION", "code": "REF-01", "reason": "Smoke"}, request_only=True
            ),
        ],
    )
    def create(self, request: Request) -> Response:
        """Hold them."""
        body = read(HoldRequest, request)
        scope = HoldScope(body["scope"])
        if scope in (HoldScope.UNITS, HoldScope.RUN):
            check_capability(request, Capability.HOLD)
            if sender_of(request).is_limited:
                raise PermissionDenied
        by, owner = operator_name(request), body.get("owner") or ""
        if scope != HoldScope.UNITS:
            hold, is_new = places.hold(
                scope, body["code"], reason=body["reason"], by=by, owner=owner, sender=sender_of(request)
            )
            return _show(hold, 201 if is_new else 200)
        done = services.hold_units(
            condition=condition.build(body["condition"]),
            reason=body["reason"],
            by=by,
            owner=owner,
            catches=body.get("catches"),
            expected_count=body.get("expected_count"),
        )
        return _show(done.hold, 201 if done.is_done else 202)

    @extend_schema(summary="Read a hold with its units and what was decided about it", responses=HoldDetail)
    def retrieve(self, request: Request, no: str) -> Response:
        """Return one."""
        return Response(HoldDetail(services.get(no)).data)

    @extend_schema(
        summary="Release units from a hold, or end it",
        description="The named units, all or none (UNIT_NOT_IN_HOLD), or the whole hold; a unit goes on where it was "
        "held from unless something else holds it. That of a run in outgoing inspection ends by its material review "
        "alone. A person signs what ends a hold of several units, or of a run, a station or a line. Over 1,000 units "
        "the answer is 202 and the worker releases them.",
        request=HoldReleaseRequest,
        responses={200: HoldDetail, 202: HoldDetail},
        examples=[
            OpenApiExample(
                "All of them", value={"reason": "X-ray found nothing", "signature": SIGNATURE}, request_only=True
            )
        ],
    )
    def release(self, request: Request, no: str) -> Response:
        """Release them."""
        body = read(HoldReleaseRequest, request)
        done = release(request, services.get(no), body)
        return _show(done.hold, 200 if done.is_done else 202)

    @extend_schema(
        summary="Rework or scrap units of a hold",
        description="All or none (UNIT_NOT_IN_HOLD). Reworked units go to `toStepNo`, or to the step that failed last; "
        "other cases of people keep them (UNIT_ON_HOLD). Scrapping ends all that holds them. Over 1,000 units the "
        "answer is 202.",
        request=DisposeRequest,
        responses={200: HoldDetail, 202: HoldDetail},
        examples=[
            OpenApiExample(
                "Reflow again",
                value={"sns": ["SN-0001"], "type": "REWORK", "toStepNo": 20, "reason": "Cold joints"},
                request_only=True,
            )
        ],
    )
    def dispose(self, request: Request, no: str) -> Response:
        """Decide about them."""
        body = read(DisposeRequest, request)
        done = dispose(request, services.get(no), body, HeldUnitEnd(body["type"]))
        return _show(done.hold, 200 if done.is_done else 202)


def release(request: HttpRequest | Request, hold: Hold, body: dict[str, Any]) -> Done:
    """Release the units that a body names, or end the hold; a person signs where somebody must."""
    given: dict[str, Any] = {"reason": body["reason"], "by": operator_name(request)}
    signing = _verify_end(request, hold, body)
    if hold.scope == HoldScope.UNITS:
        return services.release(hold_no=hold.hold_no, sns=body.get("sns"), signing=signing, **given)
    if body.get("sns"):
        services.refuse_units_of_place()
    return Done(places.release(hold, signing=signing, **given))


def dispose(request: HttpRequest | Request, hold: Hold, body: dict[str, Any], end: HeldUnitEnd) -> Done:
    """Rework or scrap the units that a body names; a person signs where somebody must."""
    return services.dispose(
        hold_no=hold.hold_no,
        sns=body["sns"],
        end=end,
        to_step_no=body.get("to_step_no"),
        reason=body["reason"],
        by=operator_name(request),
        signing=_verify_end(request, hold, body),
    )


def _verify_end(request: HttpRequest | Request, hold: Hold, body: dict[str, Any]) -> Signing | None:
    """Return who signs, where somebody must or does."""
    given = body.get("signature")
    if given is None and not services.needs_signature(hold):
        return None
    return signatures.verify(request, given, *ENDS)


def _show(hold: Hold, status: int = 200) -> Response:
    return Response(HoldDetail(services.get(hold.hold_no)).data, status=status)
