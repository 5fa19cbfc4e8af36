"""What other limits would have done, over HTTP."""

from copy import copy
from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.data import what_if
from mes.platform.accounts.roles import Capability
from mes.platform.http.envelope import camel_case
from mes.platform.http.serializers import OffsetDateTimeField, StrictSerializer
from mes.specs.api import SpecAlarmSerializer, SpecLimitsSerializer, nested_problems
from mes.specs.models import DataCollectionSpec
from mes.specs.queries import get_spec
from mes.specs.rules import find_limit_problems


class WhatIfRequest(StrictSerializer):
    """Limits and an alarm to be tried on kept values. What is left out is as the spec says it now."""

    limits = SpecLimitsSerializer()
    alarm = SpecAlarmSerializer()

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add the period, whose names no attribute can have."""
        since = OffsetDateTimeField(source="since", required=False, allow_null=True, help_text="30 days before `to`.")
        until = OffsetDateTimeField(source="until", required=False, allow_null=True, help_text="Now.")
        return {**super().get_fields(), "from": since, "to": until}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the spec as it would be, and the period; what contradicts is told as the spec itself tells it."""
        since, until = attrs.pop("since", None), attrs.pop("until", None)
        tried = copy(self.context["spec"])
        for name, value in attrs.items():
            setattr(tried, name, value)
        if problems := find_limit_problems(tried):
            messages = {camel_case(name): [str(message)] for name, message in problems.items()}
            raise serializers.ValidationError(nested_problems(messages))
        return {"spec": tried, "period": what_if.choose_period(since, until)}


class WhatIfVerdicts(serializers.Serializer):
    """How many passed, failed, and were not judged."""

    # "pass" is no name that an attribute can have.
    def get_fields(self) -> dict[str, serializers.Field]:
        """Return a number for each verdict."""
        return {name: serializers.IntegerField() for name in what_if.VERDICTS.values()}


class WhatIfAlarmed(serializers.Serializer):
    """How many lay outside of the alarm band."""

    before = serializers.IntegerField()
    after = serializers.IntegerField()


def _verdict() -> serializers.Field:
    return serializers.CharField(allow_null=True, help_text="PASS, FAIL, or null where none was given.")


_EXAMPLE = inline_serializer(
    "WhatIfExample",
    {
        "sn": serializers.CharField(allow_null=True, help_text="Null of a value of a carrier or of a station."),
        "value": serializers.FloatField(),
        "collectedAt": OffsetDateTimeField(),
        "before": _verdict(),
        "after": _verdict(),
    },
    many=True,
    help_text="Values whose verdict would be another: at most 50, those that would fail first, newest first.",
)


class WhatIfAnswer(serializers.Serializer):
    """How kept values were judged, and how they would have been."""

    count = serializers.IntegerField(help_text="Values that were looked at: at most the newest 50,000.")
    before = WhatIfVerdicts()
    after = WhatIfVerdicts()
    newlyFailing = serializers.IntegerField(help_text="Values that would fail, and did not.")
    newlyPassing = serializers.IntegerField(help_text="Values that would pass, and did not.")
    alarmed = WhatIfAlarmed()
    units = serializers.IntegerField(help_text="Units with a value whose verdict would be another.")
    examples = _EXAMPLE
    truncated = serializers.BooleanField(help_text="Whether there are older values in the period.")

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add the period, whose names no attribute can have."""
        return {**super().get_fields(), "from": OffsetDateTimeField(), "to": OffsetDateTimeField()}


class WhatIfViewSet(GenericViewSet):
    """Trying limits."""

    queryset = DataCollectionSpec.objects.none()
    serializer_class = WhatIfRequest
    capabilities = {"*": (Capability.MASTER_DATA,)}

    @extend_schema(
        summary="Say what other limits would have done",
        description="Values of the period as they were judged, by the limits of their day, and as they would be judged "
        "by these. Without limits, what the device said stands. Nothing is stored. At most 92 days.",
        request=WhatIfRequest,
        responses={200: WhatIfAnswer},
        examples=[
            OpenApiExample(
                "A tighter upper limit",
                value={"limits": {"lsl": 235, "usl": 248, "target": 245, "unit": "°C"}, "alarm": {"min": 230}},
                request_only=True,
            )
        ],
    )
    def ask(self, request: Request, id: str) -> Response:
        """Judge again."""
        spec = get_spec(id)
        what_if.check_has_numbers(spec)
        body = WhatIfRequest(data=request.data, context={"spec": spec})
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        return Response(WhatIfAnswer(what_if.ask(asked["spec"], asked["period"])).data)


urlpatterns = [path("data-collection-specs/<str:id>/what-if", WhatIfViewSet.as_view({"post": "ask"}))]
