"""Tracks, carriers and values in the admin site: for looking. Gathers the registrations of quality for Django."""

from importlib import import_module

from django.contrib import admin
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from execution.models import Carrier, CarrierLoad, CarrierTrack, DataValue, Deviation, Track
from mes.platform.http.admin import AmongNewest, ReadOnlyAdmin, ScanSearch, choice_filter
from mes.production.models import Run
from mes.sections import ORDERS_AND_RUNS
from mes.specs.display import describe_limits
from mes.specs.models import Method

for subject in ("quality", "quality.first_article", "quality.oqc", "quality.repair", "quality.defect_codes"):
    import_module(f"execution.{subject}.admin")

ORDERS_AND_RUNS.add(Track, Deviation, Carrier, CarrierLoad, CarrierTrack, DataValue)


@admin.register(Track)
class TrackAdmin(ReadOnlyAdmin):
    """Passes of units through steps."""

    list_display = (
        "id",
        "unit",
        "run",
        "step_no",
        "operation_code",
        "station",
        "source",
        "attempt",
        "in_at",
        "out_at",
        "result",
        "result_override",
        "in_by",
        "out_by",
    )
    list_filter = ("result", "source", "is_trial", "is_time_doubtful", AmongNewest)
    list_select_related = ("unit", "run", "station")
    search_fields = ("unit__sn__exact", "run__run_no__exact", "station__code__exact")


@admin.register(Deviation)
class DeviationAdmin(ReadOnlyAdmin):
    """What units of a run may do otherwise than its route says."""

    list_display = ("deviation_no", "run", "type", "step_no", "status", "expires_at", "requested_by", "approved_by")
    list_filter = ("status", "type")
    list_select_related = ("run",)
    search_fields = ("run__run_no__exact",)


@admin.register(Carrier)
class CarrierAdmin(ScanSearch, ReadOnlyAdmin):
    """Panels, trays and racks."""

    list_display = ("carrier_no", "created_at")
    search_fields = ("carrier_no__startswith",)


@admin.register(CarrierTrack)
class CarrierTrackAdmin(ReadOnlyAdmin):
    """Passes of carriers through stations."""

    list_display = ("id", "carrier", "run", "step_no", "operation_code", "station", "in_at", "out_at")
    list_select_related = ("carrier", "run", "station")
    search_fields = ("carrier__carrier_no__exact", "run__run_no__exact")


@admin.register(DataValue)
class DataValueAdmin(ReadOnlyAdmin):
    """Collected values with the limits they were judged by."""

    list_display = (
        "id",
        "unit",
        "step_no",
        "operation_code",
        "name",
        "value",
        "limits",
        "judge",
        "alarmed",
        "source",
        "recorded_by",
        "collected_at",
    )
    list_filter = ("judge", "alarmed", "item_type", choice_filter("source", _("source"), Method.choices), AmongNewest)
    list_select_related = ("unit",)
    search_fields = ("unit__sn__exact", "run__run_no__exact", "spec__name__exact")

    def match(self, word: str) -> Q:
        """Those of a run are found by the units and carriers that passed in it: values have no index by run."""
        run = Run.objects.filter(run_no=word).first()
        if run is None:
            return super().match(word)
        units = Track.objects.filter(run=run).order_by().values("unit").distinct()
        passes = CarrierTrack.objects.filter(run=run).values("pk")
        return Q(run=run, unit__in=list(units.values_list("unit", flat=True))) | Q(
            run=run, carrier_track__in=list(passes.values_list("pk", flat=True))
        )

    @admin.display(description=_("value"))
    def value(self, item: DataValue) -> object:
        """The one value that is set, with its unit of measure."""
        values = (item.value_number, item.value_text, item.value_boolean, item.value_json)
        found = next((value for value in values if value is not None), "-")
        return f"{found} {item.measure}".rstrip()

    @admin.display(description=_("limits"))
    def limits(self, item: DataValue) -> str:
        """The limits at the time of judging."""
        return describe_limits(_Judged(item))


class _Judged:
    """A value's limits under the names of a spec's, without the unit that the value shows already."""

    def __init__(self, item: DataValue) -> None:
        self.lsl, self.usl, self.target, self.unit = item.lsl, item.usl, item.target, ""
