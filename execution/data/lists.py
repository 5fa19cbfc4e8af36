"""The list of collected values."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, Subquery
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from execution.models import DataValue, Judge
from mes.plant.models import Operation, Station
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period
from mes.production.models import Run, Unit
from mes.specs.models import DataCollectionSpec, ItemType

_PATHS = ("value_number", "value_text", "value_boolean", "value_json")


def _value(row: Mapping[str, Any]) -> Any:
    return next((row[path] for path in _PATHS if row[path] is not None), None)


def _limits(row: Mapping[str, Any]) -> str:
    low, high = row["lsl"], row["usl"]
    return (
        ""
        if low is None and high is None
        else f"{'' if low is None else f'{low:g}'} – {'' if high is None else f'{high:g}'}"
    )


def _of_run(run_no: str) -> Q:
    """Return the condition of a run's values: those of its units, by the index of these."""
    run = Run.objects.filter(run_no=run_no).values("pk")[:1]
    return Q(unit__in=Unit.objects.filter(run=Subquery(run)).values("pk"), run=Subquery(run))


def _of_spec(text: str) -> Q:
    """Return the condition of a spec's values: `OPERATION name`, or a name at any operation."""
    operation, _blank, name = text.partition(" ")
    specs = DataCollectionSpec.objects.filter(Q(name=text) | Q(operation__code=operation, name=name.strip()))
    return Q(spec__in=list(specs.values_list("pk", flat=True)[:500]))


def _spec_names() -> list[str]:
    names = DataCollectionSpec.objects.order_by("operation__code", "name").values_list("operation__code", "name")[:500]
    return [f"{operation} {name}" for operation, name in names]


def _station_codes() -> list[str]:
    return list(Station.objects.order_by("code").values_list("code", flat=True)[:500])


def _operation_codes() -> list[str]:
    return list(Operation.objects.order_by("code").values_list("code", flat=True)[:500])


VALUES = Listing(
    name="values",
    title=_("Values"),
    about=_("What devices and people measured, with the limits of that day and the verdict."),
    empty=_("No value was collected. Devices send them, or people type them at a station."),
    rows=lambda user: DataValue.objects.all(),
    columns=(
        Column("received", _("Received"), "received_at", Kind.TIME, sort="id"),
        Column("unit", _("Unit"), "unit__sn", Kind.CODE, link=lambda row: reverse("unit", args=[row["unit__sn"]])),
        Column("operation", _("Operation"), "operation_code", Kind.CODE),
        Column("name", _("Name"), "name", Kind.CODE),
        Column("value", _("Value"), kind=Kind.NUMBER, read=_value, reads=_PATHS),
        Column("measure", _("Unit of measure"), "measure"),
        Column("judge", _("Verdict"), "judge", Kind.STATE, choices=Judge.choices),
        Column("limits", _("Limits"), read=_limits, reads=("lsl", "usl")),
        Column("alarmed", _("Alarmed"), "alarmed", Kind.YES_NO),
        Column("station", _("Station"), "station__code", Kind.CODE),
        Column("run", _("Run"), "run__run_no", Kind.CODE, link=lambda row: reverse("run", args=[row["run__run_no"]])),
        Column("collected", _("Collected"), "collected_at", Kind.TIME, sort="collected_at", sort_needs="spec"),
        Column("step", _("Step"), "step_no", Kind.NUMBER, is_shown=False),
        Column("item-type", _("Item type"), "item_type", choices=ItemType.choices, is_shown=False),
        Column("lsl", _("Lower limit"), "lsl", Kind.NUMBER, is_shown=False),
        Column("usl", _("Upper limit"), "usl", Kind.NUMBER, is_shown=False),
        Column("target", _("Target"), "target", Kind.NUMBER, is_shown=False),
        Column("reported", _("Judged by the device"), "reported_judge", choices=Judge.choices, is_shown=False),
        Column("source", _("Source"), "source", is_shown=False),
        Column("operator", _("Operator"), "operator", is_shown=False),
        Column("recorded-by", _("Recorded by"), "recorded_by", is_shown=False),
    ),
    filters=(
        Filter("unit", _("Serial number"), lookup="unit__sn"),
        Filter("run", _("Run"), find=_of_run),
        Filter("spec", _("Spec"), find=_of_spec, suggest=_spec_names),
        Filter("judge", _("Verdict"), FilterKind.CHOICE, "judge", choices=Judge.choices, is_indexed=False),
        Filter("alarmed", _("Alarmed"), FilterKind.YES_NO, "alarmed", is_indexed=False),
        Filter("station", _("Station"), lookup="station__code", suggest=_station_codes, is_indexed=False),
        Filter("operation", _("Operation"), lookup="operation_code", suggest=_operation_codes, is_indexed=False),
    ),
    sort="-received",
    period=Period(_("Received"), "received_at"),
)
