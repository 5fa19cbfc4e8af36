"""What refused things have in common, as it is asked for and decided about: by query, by body and by form."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from mes.errors import ValidationFailed
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import OffsetDateTimeField, StrictSerializer
from mes.platform.http.whole_numbers import whole_number

MOST_CAUSES = 500
PARAMETERS = {
    "code": "error_code",
    "subject": "subject",
    "status": "status",
    "sourceSystem": "source_system",
    "stationCode": "station_code",
    "runNo": "run_no",
    "entityType": "entity_type",
}


@dataclass(frozen=True)
class Selection:
    """Which refused things are meant. None is any; an empty text, and 0 for the step, is none: those without one.

    Received from `since` (included) to `until`, and no later than `up_to`.
    """

    error_code: str | None = None
    subject: str | None = None
    status: str | None = None
    source_system: str | None = None
    station_code: str | None = None
    run_no: str | None = None
    step_no: int | None = None
    entity_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    up_to: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what is told of it, as it is kept."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items()}


def read_query(parameters: Mapping[str, str]) -> Selection:
    """Return what a query string asks for; what is empty there is any. Raises ValidationFailed."""
    given: dict[str, Any] = {
        field: parameters[name][:200] for name, field in PARAMETERS.items() if parameters.get(name)
    }
    step_no = parameters.get("stepNo", "")
    number = whole_number(step_no) if step_no else None
    if step_no and (number is None or number >= 2**31):
        raise ValidationFailed({"stepNo": _("Must be a whole number.")})
    since, until = read_moment(parameters, "from"), read_moment(parameters, "to", end=True)
    if any("\0" in text for text in given.values()):
        raise ValidationFailed({"code": _("Null characters are not allowed.")})
    return Selection(**given, step_no=number, since=since, until=until)


class BulkRequest(StrictSerializer):
    """Which refused things are meant, up to when they were received, and why.

    A filter that is left out, or null, means any; an empty text, and step 0, those that have none.
    """

    code = serializers.CharField(max_length=60)
    subject = serializers.CharField(max_length=200, required=False, allow_null=True, allow_blank=True)
    status = serializers.CharField(max_length=9, required=False, allow_null=True)
    sourceSystem = serializers.CharField(max_length=200, required=False, allow_null=True, allow_blank=True)
    stationCode = serializers.CharField(max_length=100, required=False, allow_null=True, allow_blank=True)
    runNo = serializers.CharField(max_length=100, required=False, allow_null=True, allow_blank=True)
    stepNo = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    entityType = serializers.CharField(max_length=40, required=False, allow_null=True)
    upTo = OffsetDateTimeField()
    reason = serializers.CharField(max_length=500)
    asNew = serializers.BooleanField(required=False, allow_null=True)
    to = OffsetDateTimeField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add `from`, which no attribute can be named."""
        return {**super().get_fields(), "from": OffsetDateTimeField(required=False, allow_null=True)}


def selection_of(body: Mapping[str, Any]) -> Selection:
    """Return which things a checked body means."""
    return Selection(
        error_code=body["code"],
        subject=body.get("subject"),
        status=body.get("status"),
        source_system=body.get("source_system"),
        station_code=body.get("station_code"),
        run_no=body.get("run_no"),
        step_no=body.get("step_no"),
        entity_type=body.get("entity_type"),
        since=body.get("from"),
        until=body.get("to"),
        up_to=body["up_to"],
    )


def any_of(selection: Selection) -> Selection:
    """Return a selection of things of any cause, with the same filters."""
    return replace(selection, error_code=None, subject=None)


def is_meant(selection: Mapping[str, Any], *, error_code: str, subject: str) -> bool:
    """Whether a thing is still refused for what a kept selection means: it may have been tried, or sent anew."""
    now = {"error_code": error_code, "subject": subject}
    return all(selection.get(name, value) == value for name, value in now.items())


class CauseItem(serializers.Serializer):
    """Refused things that have a reason in common."""

    code = serializers.CharField()
    subject = serializers.CharField()
    sourceSystem = serializers.CharField()
    stationCode = serializers.CharField(allow_null=True)
    runNo = serializers.CharField(allow_null=True)
    stepNo = serializers.IntegerField(allow_null=True)
    count = serializers.IntegerField()
    failing = serializers.IntegerField(help_text="How many of them say that a unit failed.")
    firstAt = OffsetDateTimeField()
    lastAt = OffsetDateTimeField()
    exampleId = serializers.CharField()


class Causes(serializers.Serializer):
    """The causes, most frequent first, and up to when what was received is among them."""

    items = CauseItem(many=True)
    upTo = OffsetDateTimeField()


class Started(serializers.Serializer):
    """A bulk action that the worker works off."""

    id = serializers.CharField()
    matched = serializers.IntegerField()
