"""What refused things have in common, as it is asked for and decided about: by query, by body and by form."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import F, Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers

from mes.errors import ValidationFailed
from mes.platform.bulk_actions.groups import figures
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import OffsetDateTimeField, StrictSerializer
from mes.platform.http.whole_numbers import whole_number

Thing = TypeVar("Thing", bound=Model)
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


class SpecNamesField(serializers.DictField):
    """Names of specs as they were sent, each with the one that was meant."""

    most = 100

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"child": serializers.CharField(max_length=100), "required": False, "allow_null": True, **kwargs}
        )

    def to_internal_value(self, data: Any) -> Any:
        """Refuse too many names."""
        names = super().to_internal_value(data)
        if len(names) > self.most:
            raise serializers.ValidationError([_("At most %(most)s names.") % {"most": self.most}])
        return names


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


class BulkReplayRequest(BulkRequest):
    """As it is decided about all of a cause; of readings, with the names of specs that were meant."""

    specNames = SpecNamesField()


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


def options_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a checked body wants it done: the reason, and what else it says."""
    said = {"spec_names": body.get("spec_names")} if body.get("spec_names") else {}
    return {"reason": body["reason"], "as_new": bool(body.get("as_new")), **said}


def check_status(selection: Selection, statuses: Collection[str]) -> None:
    """Raise ValidationFailed for a status that nothing which is listed has."""
    if selection.status is not None and selection.status not in statuses:
        raise ValidationFailed({"status": _("Must be one of %(known)s.") % {"known": ", ".join(statuses)}})


def select(
    things: QuerySet[Thing],
    selection: Selection,
    *,
    columns: Mapping[str, Any],
    places: Mapping[str, Any],
    statuses: Collection[str],
) -> QuerySet[Thing]:
    """Return those of kept things that a selection means; of these statuses, unless it names one.

    `columns` and `places` are values of the selection by the lookups that find them. Of a column an empty text is a
    value; who has no place has null there.
    """
    meant = Q(status__in=statuses if selection.status is None else (selection.status,))
    for lookup, value in {**columns, **places}.items():
        if value in ("", 0) and lookup in places:
            meant &= Q(**{f"{lookup}__isnull": True})
        elif value is not None:
            meant &= Q(**{lookup: value})
    received = {"gte": selection.since, "lt": selection.until, "lte": selection.up_to}
    for bound, at in received.items():
        if at is not None:
            meant &= Q(**{f"received_at__{bound}": at})
    return things.filter(meant)


def list_causes(things: QuerySet[Any], names: Mapping[str, str], *, failing: Q) -> dict[str, Any]:
    """Return `{items, upTo}`: the causes of things, most frequent first, at most MOST_CAUSES. One query.

    `names` are those of what a cause has in common beside code and subject, with their lookups.
    """
    up_to = timezone.now()
    shared = {"code": "error_code", "subject": "subject", **names}
    grouped = things.order_by().values(**{f"by_{name}": F(lookup) for name, lookup in shared.items()})
    causes = grouped.annotate(**figures(failing)).order_by("-number", "by_code", "by_subject", "example_id")
    items = [
        {
            **{name: cause[f"by_{name}"] for name in shared},
            "count": cause["number"],
            "failing": cause["failing"],
            "firstAt": cause["first_at"],
            "lastAt": cause["latest_at"],
            "exampleId": str(cause["example_id"]),
        }
        for cause in causes[:MOST_CAUSES]
    ]
    return {"items": items, "upTo": up_to}


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
