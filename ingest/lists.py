"""The list of machine events."""

from urllib.parse import urlencode

from django.db.models import Q, Subquery
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from ingest.models import EventType, IngestEvent, IngestEventUnit, IngestStatus
from mes.plant.models import Station
from mes.platform.accounts.roles import Capability
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period, Row
from mes.production.models import Unit
from mes.production.names import named


def names_unit(sn: str) -> Q:
    """Return the condition that an event names a unit. Those that were applied are found by their parts, in one query:
    no index looks into the names of all events.
    """
    unit = Unit.objects.filter(named([sn])).values("pk")[:1]
    parts = IngestEventUnit.objects.filter(unit_id=Subquery(unit)).values_list("event_id", flat=True)
    unapplied = [status for status in IngestStatus if status != IngestStatus.APPLIED]
    return Q(pk__in=list(parts)) | Q(status__in=unapplied, sns__contains=[sn])


def _station_codes() -> list[str]:
    return list(Station.objects.order_by("code").values_list("code", flat=True)[:500])


def _to_preview(row: Row) -> str:
    return f"{reverse('ingest-preview')}?{urlencode({'event': row['id']})}"


EVENTS = Listing(
    name="events",
    title=_("Machine events"),
    about=_("What machines reported, applied or not."),
    empty=_("No machine has reported. Connect one: a mapping of the route's step says how its events are read."),
    rows=lambda user: IngestEvent.objects.all(),
    capabilities=(Capability.REPLAY,),
    columns=(
        Column("received", _("Received"), "received_at", Kind.TIME, sort="id"),
        Column("key", _("Key"), "dedupe_key", Kind.CODE, reads=("id",), link=_to_preview),
        Column("source", _("Source system"), "source_system", Kind.CODE),
        Column("type", _("Type"), "event_type", choices=EventType.choices),
        Column("status", _("Status"), "status", Kind.STATE, choices=IngestStatus.choices),
        Column("code", _("Error code"), "error_code"),
        Column("units", _("Serial numbers"), read=lambda row: " ".join(row["sns"]), reads=("sns",)),
        Column("station", _("Station"), "station__code", Kind.CODE),
        Column("run", _("Run"), "run__run_no", Kind.CODE, link=lambda row: reverse("run", args=[row["run__run_no"]])),
        Column("step", _("Step"), "step_no", Kind.NUMBER),
        Column("result", _("Result"), "result", Kind.STATE),
        Column("occurred", _("Occurred"), "occurred_at", Kind.TIME),
        Column("carrier", _("Carrier"), "carrier_no", Kind.CODE, is_shown=False),
        Column("times", _("Times"), "count", Kind.NUMBER, is_shown=False),
        Column("last", _("Last time"), "last_at", Kind.TIME, is_shown=False),
        Column("unmapped", _("Measurements without a spec"), "unmapped_count", Kind.NUMBER, is_shown=False),
        Column("transaction", _("Transaction"), "transaction_id", Kind.CODE, is_shown=False),
        Column("recorded-by", _("Recorded by"), "recorded_by", is_shown=False),
        Column("request", _("Request"), "request_id", Kind.CODE, is_shown=False),
    ),
    filters=(
        Filter("unit", _("Serial number"), find=names_unit),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=IngestStatus.choices),
        Filter("code", _("Error code"), lookup="error_code"),
        Filter("station", _("Station"), lookup="station__code", suggest=_station_codes),
        Filter("run", _("Run"), lookup="run__run_no"),
        Filter("request", _("Request"), lookup="request_id"),
        Filter("source", _("Source system"), lookup="source_system", is_indexed=False),
        Filter("type", _("Type"), FilterKind.CHOICE, "event_type", choices=EventType.choices, is_indexed=False),
    ),
    sort="-received",
    period=Period(_("Received"), "received_at"),
    more=((_("Open events by cause"), lambda: reverse("ingest-events")),),
)
