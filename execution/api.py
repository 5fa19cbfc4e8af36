"""Stations and units over HTTP: what an operator's scanner or a hand station calls."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution import dispositions, labels, permits, queries, station_work
from execution.models import Track, TrackResult
from execution.permits_api import PermitReason
from execution.quality.defect_fields import (
    MOST_DEFECTS,
    DefectCodeField,
    DesignatorField,
    NamedDefect,
    RemarkField,
)
from execution.quality.repair.overrides import LimitOverride, read_override, tell_signature
from execution.station_work import EntryKind
from mes.errors import DomainError
from mes.platform.accounts.permissions import StationAccess, check_capability, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.envelope import encode
from mes.platform.http.serializers import (
    CodeField,
    OffsetDateTimeField,
    ScannedField,
    StrictSerializer,
    read,
)
from mes.platform.inbound.channels import get_channel
from mes.platform.inbound.sender import sender_of
from mes.platform.scans import UNIT
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import SignatureBrief, SignatureRequest
from mes.production.fields import SerialNumberField
from mes.production.models import Unit
from mes.qualifications.queries import worker_of
from mes.routing.judging import LONGEST_TEXT

RUN_OF_UNIT = (
    "By default the unit's run; a new unit is made in the run that was active at the station then, else on its line."
)
ENTRY_ID = (
    "The key of an entry that is kept until it is answered, and may be sent again; then `at` must be given. The same "
    "content is answered as the first time, other content is EVENT_ID_CONFLICT, and what is refused is kept."
)
TRACK_ID = (
    "The open track that it is about, as track-in answered it: another one is never closed (UNIT_NOT_IN_STATION). "
    "Without it, an entry that was made before the open track began is refused (EVENT_TIME_OUT_OF_ORDER)."
)
OPERATOR = "Who is said to do it; by default who is signed in."
KEPT = (
    "sent again it gets the first answer. Refused, it is kept as a failed message, and holds the unit that it says has "
    "failed (`details.held`). One that was dismissed meanwhile is answered `isDuplicate`, `isDismissed` and `message`."
)
FORM = (
    "Whether to answer what the form of the step shows. A refusal then tells all reasons and who may release each, as "
    "the permit does (`details.reasons`)."
)
OF_FORM = "With `?form=true` only."
IS_DUPLICATE = "With `entryId` only: whether it was taken in before."


class Entry(StrictSerializer):
    """What is done at a station by hand."""

    at = OffsetDateTimeField(required=False, allow_null=True)
    operatorId = serializers.CharField(max_length=150, required=False, allow_null=True, help_text=OPERATOR)
    entryId = CodeField(required=False, allow_null=True, help_text=ENTRY_ID)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Have an entry say when it was made: it may come late, and is recognised for a limited time."""
        if attrs.get("entry_id") is not None and attrs.get("at") is None:
            raise serializers.ValidationError({"at": [_("Required with entryId.")]})
        return attrs


class TrackInRequest(Entry):
    """A unit enters a station."""

    runNo = CodeField(required=False, allow_null=True, help_text=RUN_OF_UNIT)
    sn = SerialNumberField()
    woNo = CodeField(required=False, allow_null=True)


class WorkInstruction(serializers.Serializer):
    """What is shown beside the work."""

    title = serializers.CharField()
    address = serializers.CharField()


class StepOfRoute(serializers.Serializer):
    """A step of the unit's route."""

    stepNo = serializers.IntegerField()
    name = serializers.CharField()


class OperationOfStep(serializers.Serializer):
    """The operation of a step."""

    code = serializers.CharField()
    name = serializers.CharField()


class TrackInAnswer(serializers.Serializer):
    """The open track; with `?form=true` also what its form shows."""

    sn = serializers.CharField()
    status = serializers.CharField()
    trackId = serializers.CharField()
    stepNo = serializers.IntegerField()
    attempt = serializers.IntegerField()
    isDuplicate = serializers.BooleanField(required=False, help_text=IS_DUPLICATE)
    operation = OperationOfStep(required=False, help_text=OF_FORM)
    dataSpecs = serializers.ListField(child=serializers.DictField(), required=False, help_text=OF_FORM)
    workInstructions = WorkInstruction(many=True, required=False, help_text=OF_FORM)
    steps = StepOfRoute(many=True, required=False, help_text=OF_FORM)


class TypedValue(StrictSerializer):
    """A value typed at the station: exactly one of the value fields."""

    specName = CodeField()
    valueNumber = serializers.FloatField(required=False, allow_null=True)
    valueText = serializers.CharField(
        max_length=LONGEST_TEXT, required=False, allow_null=True, allow_blank=True, trim_whitespace=False
    )
    valueBoolean = serializers.BooleanField(required=False, allow_null=True)
    valueJson = serializers.JSONField(required=False, allow_null=True)
    judge = serializers.ChoiceField(choices=["PASS", "FAIL"], required=False, allow_null=True)


class TrackOutRequest(Entry):
    """A unit leaves a station with a result."""

    runNo = CodeField(required=False, allow_null=True, help_text="By default the run of its open track.")
    sn = ScannedField(UNIT)
    result = serializers.ChoiceField(choices=TrackResult.choices)
    trackId = serializers.CharField(max_length=20, required=False, allow_null=True, help_text=TRACK_ID)
    # Not by `many`, which would let each of them be null as well.
    data = serializers.ListField(child=TypedValue(), required=False, allow_null=True)  # type: ignore[assignment]
    defects = serializers.ListField(child=NamedDefect(), max_length=MOST_DEFECTS, required=False, allow_null=True)
    defectCode = DefectCodeField(required=False, allow_null=True, help_text="As one of `defects`; so the other two.")
    defectLocation = DesignatorField(required=False, allow_null=True)
    defectRemark = RemarkField(required=False, allow_null=True)


_PROBLEMS = "Why values did not fit that a failing pass was closed without."


class TrackOutAnswer(serializers.Serializer):
    """The closed track and where it led."""

    sn = serializers.CharField()
    status = serializers.CharField()
    trackId = serializers.CharField()
    result = serializers.CharField()
    resultOverride = serializers.CharField(allow_null=True, help_text="Why the result is not the one that was claimed.")
    inspectionOverride = serializers.BooleanField()
    nextStepNo = serializers.IntegerField(allow_null=True)
    problems = serializers.ListField(child=serializers.CharField(), required=False, help_text=_PROBLEMS)
    isDuplicate = serializers.BooleanField(required=False, help_text=IS_DUPLICATE)


class InStation(serializers.Serializer):
    """A unit in a station."""

    sn = serializers.CharField()
    runNo = serializers.CharField()
    stepNo = serializers.IntegerField()
    trackId = serializers.CharField()
    inAt = OffsetDateTimeField()
    unitStatus = serializers.CharField()


class Waiting(serializers.Serializer):
    """A unit that waits for a step the station may run."""

    sn = serializers.CharField()
    runNo = serializers.CharField()
    stepNo = serializers.IntegerField()


class QueueAnswer(serializers.Serializer):
    """The units at a station."""

    stationCode = serializers.CharField()
    inStation = InStation(many=True)
    waiting = Waiting(many=True)


class ResolvedUnit(serializers.Serializer):
    """What a scanned serial number is."""

    sn = serializers.CharField()
    woNo = serializers.CharField()
    runNo = serializers.CharField()
    status = serializers.CharField()
    currentStepNo = serializers.IntegerField(allow_null=True)


class DataSpecsAnswer(serializers.Serializer):
    """What is to be collected."""

    stepNo = serializers.IntegerField()
    operationCode = serializers.CharField()
    specs = serializers.ListField(child=serializers.DictField())


class StationWorkViewSet(GenericViewSet):
    """Work at a station."""

    queryset = Track.objects.none()
    serializer_class = TrackInAnswer
    capabilities = {"track_in": (Capability.TRACK,), "track_out": (Capability.TRACK,)}
    station_access = {"*": StationAccess.OWN}

    @extend_schema(summary="List the units in a station and waiting for it", responses=QueueAnswer)
    def queue(self, request: Request, code: str) -> Response:
        """Return the queue."""
        sender_of(request).check_station(code)
        return Response(queries.get_station_queue(code))

    @extend_schema(summary="Find the run of a scanned unit", responses=ResolvedUnit)
    def resolve_unit(self, request: Request, sn: str) -> Response:
        """Return where the unit belongs."""
        return Response(queries.resolve_unit(sn, sender=sender_of(request)))

    @extend_schema(summary="List what is to be collected for a unit here", responses=DataSpecsAnswer)
    def data_specs(self, request: Request, code: str, sn: str) -> Response:
        """Return the specs of the unit's step."""
        sender_of(request).check_station(code)
        return Response(queries.get_data_specs(code, sn))

    @extend_schema(
        summary="Track a unit in",
        description="A repeated call at the same station returns the open track. `at` may lie in the past. An entry "
        f"with `entryId` is done once: {KEPT}",
        parameters=[OpenApiParameter("form", bool, description=FORM)],
        request=TrackInRequest,
        responses={201: TrackInAnswer, 200: TrackInAnswer},
        examples=[OpenApiExample("A scan", value={"runNo": "WO-4711-01", "sn": "SN-0001"}, request_only=True)],
    )
    def track_in(self, request: Request, code: str) -> Response:
        """Open a track."""
        sender_of(request).check_station(code)
        shows_form = request.query_params.get("form") == "true"
        try:
            done = _do(request, EntryKind.TRACK_IN, code)
        except DomainError as refusal:
            reasons = _list_reasons(request, code, refusal) if shows_form else []
            raise refusal.with_details(reasons=reasons) if reasons else refusal from None
        answer = done.answer
        if shows_form and "trackId" in answer:
            answer = {**answer, **queries.get_form(int(answer["trackId"]))}
        return Response(answer, status=201 if done.is_new else 200)

    @extend_schema(
        summary="Track a unit out",
        description="A failing KEY value forces the result to FAIL (`resultOverride` DATA). What is said to be "
        "wrong becomes defects; their codes must be active ones (DEFECT_CODE_NOT_FOUND tells the nearest). A unit "
        "with an open defect does not pass (RESULT_CONTRADICTS_DEFECT), one with process indicators does. A FAIL "
        "always has a defect: where nothing is named, its values outside their limits, else `UNSPECIFIED`. An entry "
        f"with `entryId` is done once: {KEPT}",
        request=TrackOutRequest,
        responses=TrackOutAnswer,
        examples=[
            OpenApiExample(
                "Passed, with a typed value",
                value={
                    "runNo": "WO-4711-01",
                    "sn": "SN-0001",
                    "result": "PASS",
                    "data": [{"specName": "Supply Voltage", "valueNumber": 3.31}],
                },
                request_only=True,
            ),
            OpenApiExample(
                "Failed, with what is wrong",
                value={
                    "sn": "SN-0001",
                    "result": "FAIL",
                    "defects": [{"code": "BRIDGE", "location": "U3"}, {"code": "SOLDER_BALL", "quantity": 3}],
                },
                request_only=True,
            ),
        ],
    )
    def track_out(self, request: Request, code: str) -> Response:
        """Close the open track."""
        sender_of(request).check_station(code)
        return Response(_do(request, EntryKind.TRACK_OUT, code).answer)


REQUESTS: dict[EntryKind, type[Entry]] = {
    EntryKind.TRACK_IN: TrackInRequest,
    EntryKind.TRACK_OUT: TrackOutRequest,
}


def _do(request: Request, kind: EntryKind, code: str) -> station_work.Done:
    """Do what a body says, or hand it to the channel of entries where it has a key: there it is done once."""
    given = request.data
    if isinstance(given, dict) and given.get("entryId") is not None:
        envelope = {"entryId": given["entryId"], "stationCode": code, "kind": kind.value}
        raw = encode({**envelope, "body": {name: value for name, value in given.items() if name != "entryId"}})
        received = get_channel(station_work.CHANNEL).receive(raw, sender_of(request))
        return station_work.Done(received.answer, received.record_id, getattr(received, "is_new", False))
    act = station_work.ACTS[kind]
    return act(read(REQUESTS[kind], request), station_code=code, by=sender_of(request).system)


def _list_reasons(request: Request, code: str, refusal: DomainError) -> list[dict[str, Any]]:
    """Return every reason why a unit may not enter, for people at a station; none where the refusal is about what was
    sent, or is so no more.
    """
    asked = TrackInRequest(data=request.data)
    if not asked.is_valid():
        return []
    given, by = asked.validated_data, sender_of(request).system
    worker = worker_of(by, given.get("operator_id"))
    try:
        permit = permits.ask_for_unit(
            station_code=code, sn=given["sn"], run_no=given.get("run_no"), by_machine=False, worker=worker
        )
    except DomainError:
        return []
    told = any(reason.code == refusal.code for reason in permit.reasons)
    return [dict(PermitReason(reason).data) for reason in permit.reasons] if told else []


class ReasonRequest(StrictSerializer):
    """Why."""

    reason = serializers.CharField(max_length=500)


class ReleaseRequest(ReasonRequest):
    """Why, and a signature where a case of several units ends for this one."""

    signature = SignatureRequest(required=False, allow_null=True)


class ReworkRequest(LimitOverride):
    """Where a unit goes back to; by default to the step that failed last."""

    reason = serializers.CharField(max_length=500)
    toStepNo = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    repair = serializers.BooleanField(
        required=False,
        allow_null=True,
        help_text="To the bench first. By default not; a unit that waits for its repair still does, but for `false`.",
    )


REASON = OpenApiExample("Why", value={"reason": "Scratch on the solder mask"}, request_only=True)
REWORK = OpenApiExample("Back to reflow", value={"reason": "Cold joint on R22", "toStepNo": 40}, request_only=True)


class RelabelRequest(StrictSerializer):
    """The serial number that a unit gets, and why."""

    newSn = SerialNumberField()
    reason = serializers.CharField(max_length=500)


class RelabelAnswer(serializers.Serializer):
    """A unit under its new serial number."""

    sn = serializers.CharField()
    earlierSn = serializers.CharField(help_text="The one that it had; it finds the unit for ever.")
    status = serializers.CharField()
    currentStepNo = serializers.IntegerField(allow_null=True)


class UnitStateAnswer(serializers.Serializer):
    """A unit after a decision."""

    sn = serializers.CharField()
    status = serializers.CharField()
    currentStepNo = serializers.IntegerField(allow_null=True)


class ReworkAnswer(UnitStateAnswer):
    """A unit after it was sent back; of one that was sent beyond the limit of re-entries, by whose signature."""

    signed = serializers.BooleanField(required=False, help_text="With `overrideLimit` only.")
    signature = SignatureBrief(required=False, allow_null=True, help_text="With `overrideLimit` only.")


MAY_REWORK = (Capability.DISPOSITION,)


class UnitDecisionViewSet(GenericViewSet):
    """Decisions about single units."""

    queryset = Unit.objects.none()
    serializer_class = UnitStateAnswer
    capabilities = {
        "hold": (Capability.DISPOSITION, Capability.RELEASE),
        "release": (Capability.RELEASE, Capability.DISPOSITION),
        "rework": (*MAY_REWORK, Capability.MRB),  # of those who only have the latter, beyond the limit of re-entries
        "scrap": (Capability.DISPOSITION,),
        "relabel": (Capability.DISPOSITION, Capability.RELEASE),
    }

    @extend_schema(summary="Put a unit on hold", request=ReasonRequest, responses=UnitStateAnswer, examples=[REASON])
    def hold(self, request: Request, sn: str) -> Response:
        """Hold it."""
        return _state(
            dispositions.hold_unit(sn=sn, reason=read(ReasonRequest, request)["reason"], by=operator_name(request))
        )

    @extend_schema(
        summary="Release a held unit",
        description="All cases end that need no signature. Those of several units, or of units yet to come, end too "
        "where the request is signed; a token may do without, unless MES_SIGNATURES is STRICT. Without a signature, a "
        "unit that only these hold is refused (UNIT_ON_HOLD, `details.holds` names them).",
        request=ReleaseRequest,
        responses=UnitStateAnswer,
        examples=[REASON],
    )
    def release(self, request: Request, sn: str) -> Response:
        """Release it to where it was, or where its closed track led, unless something else holds it still."""
        body, is_token = read(ReleaseRequest, request), signatures.acts_unsigned(request)
        given = body.get("signature")
        signing = None if given is None else signatures.verify(request, given, Capability.HOLD)
        by = operator_name(request)
        unit = dispositions.release_unit(sn=sn, reason=body["reason"], by=by, signing=signing, may_end_all=is_token)
        return _state(unit)

    @extend_schema(
        summary="Send a unit back for rework", request=ReworkRequest, responses=ReworkAnswer, examples=[REWORK]
    )
    def rework(self, request: Request, sn: str) -> Response:
        """Send it back; later steps are passed again."""
        body = read(ReworkRequest, request)
        if not body["override_limit"]:
            check_capability(request, *MAY_REWORK)
        override = read_override(request, body)
        unit = dispositions.rework_unit(
            sn=sn,
            to_step_no=body.get("to_step_no"),
            reason=body["reason"],
            by=operator_name(request) if override is None else override.decided_by(operator_name(request)),
            repair=body.get("repair"),
            override=override,
        )
        answer = _state(unit)
        if override is not None:
            answer.data |= tell_signature(override)
        return answer

    @extend_schema(summary="Scrap a unit", request=ReasonRequest, responses=UnitStateAnswer, examples=[REASON])
    def scrap(self, request: Request, sn: str) -> Response:
        """Scrap it for good."""
        return _state(
            dispositions.scrap_unit(sn=sn, reason=read(ReasonRequest, request)["reason"], by=operator_name(request))
        )

    @extend_schema(
        summary="Relabel a unit",
        description="The serial number that it had finds it for ever. It may have one of its earlier ones again; else "
        "the new one must be free (SN_TAKEN) and fit the masks of the unit's route.",
        request=RelabelRequest,
        responses=RelabelAnswer,
        examples=[
            OpenApiExample(
                "A new label", value={"newSn": "SN-0042", "reason": "Label burnt in reflow"}, request_only=True
            )
        ],
    )
    def relabel(self, request: Request, sn: str) -> Response:
        """Give it another serial number."""
        body = read(RelabelRequest, request)
        done = labels.relabel(sn=sn, new_sn=body["new_sn"], reason=body["reason"], by=operator_name(request))
        unit = done.unit
        return Response(
            {
                "sn": unit.sn,
                "earlierSn": done.earlier_sn,
                "status": unit.status,
                "currentStepNo": unit.current_step_no,
            }
        )


def _state(unit: Unit) -> Response:
    return Response({"sn": unit.sn, "status": unit.status, "currentStepNo": unit.current_step_no})
