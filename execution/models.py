"""Units and carriers passing through stations, and the values collected on the way."""

from typing import Any

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from execution.deviations.models import Deviation
from execution.materials.models import InstalledSerial, MaterialUse
from execution.quality.defect_codes.models import DefectAlias, DefectCatalogue, DefectCode
from execution.quality.first_article.models import FirstArticle, FirstArticleItem, FirstArticleSample
from execution.quality.holds.models import HoldBatch
from execution.quality.models import Defect, InspectionResult
from execution.quality.oqc.models import OqcInspection, OqcItem, OqcSample, SamplingRule, SamplingState
from execution.quality.repair.models import RepairRecord, ReworkTask
from mes.plant.models import Station, code_field
from mes.production.hold_models import Hold
from mes.production.models import Run, Unit
from mes.specs.models import DataCollectionSpec, ItemType
from mes.status_reports.models import recorded_by_field

__all__ = [
    "Carrier",
    "CarrierLoad",
    "CarrierTrack",
    "CarrierTrackUnit",
    "DataValue",
    "Defect",
    "DefectAlias",
    "DefectCatalogue",
    "DefectCode",
    "Deviation",
    "Disposition",
    "DispositionAction",
    "FirstArticle",
    "FirstArticleItem",
    "FirstArticleSample",
    "HoldBatch",
    "InspectionResult",
    "InstalledSerial",
    "Judge",
    "MaterialUse",
    "OqcInspection",
    "OqcItem",
    "OqcSample",
    "RepairRecord",
    "ResultOverride",
    "ReworkTask",
    "SamplingRule",
    "SamplingState",
    "Track",
    "TrackResult",
    "TrackSource",
]


class TrackSource(models.TextChoices):
    MANUAL = "MANUAL", _("By hand")
    AUTO = "AUTO", _("Automatic")
    BATCH = "BATCH", _("Batch")
    TEST = "TEST", _("Test")


class TrackResult(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


class ResultOverride(models.TextChoices):
    DATA = "DATA", _("A key value failed")
    REWORK = "REWORK", _("Closed by rework")
    SCRAP = "SCRAP", _("Closed by scrapping")
    SKIP = "SKIP", _("Not processed by the machine")
    REPORT = "REPORT", _("Failed by a report")
    REVIEW = "REVIEW", _("Passed by a review")
    DEFECT = "DEFECT", _("Failed by a defect")


@models.DateTimeField.register_lookup
class DayAfter(models.Lookup):
    """More than a day after another time, as an index can say it: an interval is subtracted, nothing is added to a
    time with a zone.
    """

    lookup_name = "day_after"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the comparison."""
        later, later_values = self.process_lhs(compiler, connection)
        earlier, earlier_values = self.process_rhs(compiler, connection)
        return f"({later} - {earlier}) > interval '24:00'", (*later_values, *earlier_values)


class Track(models.Model):
    """One pass of a unit through a step. It is open while `out_at` is null, and keeps the run it was made in."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="tracks", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="tracks", db_index=False)
    step_no = models.PositiveIntegerField(_("step"))
    operation_code = models.CharField(_("operation"), max_length=100)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="tracks", db_index=False)
    source = models.CharField(_("source"), max_length=6, choices=TrackSource)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    rework_no = models.PositiveSmallIntegerField(_("times reworked"), default=0)
    in_at = models.DateTimeField(_("in"))
    out_at = models.DateTimeField(_("out"), null=True, blank=True)
    result = models.CharField(_("result"), max_length=4, choices=TrackResult, blank=True)
    claimed_result = models.CharField(_("claimed result"), max_length=4, choices=TrackResult, blank=True)
    result_override = models.CharField(_("override"), max_length=6, choices=ResultOverride, blank=True)
    inspection_override = models.BooleanField(_("failed by inspection"), default=False)
    operator_in = models.CharField(_("tracked in by"), max_length=150, blank=True)
    operator_out = models.CharField(_("tracked out by"), max_length=150, blank=True)
    in_by = recorded_by_field(_("entry recorded by"))
    out_by = recorded_by_field(_("exit recorded by"))
    is_trial = models.BooleanField(_("trial"), default=False)
    is_time_doubtful = models.BooleanField(_("time doubtful"), default=False)
    reported_at = models.DateTimeField(
        _("reported time"), null=True, help_text=_("Of the last move, as the machine said it, whose clock may be off.")
    )
    is_entry_inferred = models.BooleanField(
        _("entry not reported"), default=False, help_text=_("The machine reported only that the unit left.")
    )
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("track")
        verbose_name_plural = _("tracks")
        constraints = [
            models.UniqueConstraint(fields=["unit"], condition=Q(out_at=None), name="track_one_open_per_unit"),
            models.CheckConstraint(
                condition=Q(out_at=None) | Q(out_at__gte=F("in_at")) | Q(is_time_doubtful=True),
                name="track_out_after_in_or_doubtful",
            ),
            models.CheckConstraint(
                condition=Q(out_at=None, result="") | Q(out_at__isnull=False, result__in=["PASS", "FAIL"]),
                name="track_result_with_out",
            ),
        ]
        indexes = [
            models.Index(F("unit"), F("step_no"), name="track_by_unit_and_step"),
            models.Index(F("run"), F("step_no"), F("attempt"), name="track_by_run_and_step"),
            models.Index(F("station"), F("id").desc(), name="track_by_station_newest"),
            # What left a station last, at a step of its own: hold rules look at it.
            models.Index(
                *(F("station"), F("step_no"), F("out_at").desc(), F("id").desc()),
                condition=Q(out_at__isnull=False),
                name="track_by_station_and_out",
            ),
            # What left a station last, whatever the step: the figures of a shift.
            models.Index(
                *(F("station"), F("out_at").desc(), F("id").desc()),
                condition=Q(out_at__isnull=False),
                name="track_by_station_and_time",
            ),
            # What is in a station, those that entered first: few rows, whatever else the plant has.
            models.Index(
                *(F("station"), F("in_at"), F("id")), condition=Q(out_at__isnull=True), name="track_open_by_station"
            ),
            # What was in a station for more than a day: which loads it met, `out_at` does not tell.
            models.Index(F("station"), condition=Q(out_at__day_after=F("in_at")), name="track_long_at_station"),
        ]

    def __str__(self) -> str:
        return f"{self.unit_id} {self.step_no}"

    @property
    def is_failed_by_inspections_alone(self) -> bool:
        """Whether it was claimed as PASS, and nothing is noted against it but inspections."""
        said = (self.result, self.claimed_result, self.result_override, self.inspection_override)
        return said == (TrackResult.FAIL, TrackResult.PASS, "", True)


class DispositionAction(models.TextChoices):
    HOLD = "HOLD", _("Put on hold")
    RELEASE = "RELEASE", _("Released")
    REWORK = "REWORK", _("Sent to rework")
    SCRAP = "SCRAP", _("Scrapped")
    UNSCRAP = "UNSCRAP", _("Scrap undone")
    SKIP = "SKIP", _("Step skipped")


# What says nothing of whether a unit is held rightly: all others free it.
FREES_NOTHING = (DispositionAction.HOLD, DispositionAction.SKIP)


class Disposition(models.Model):
    """Who decided what about a unit, and why. The system decides too: an alarm holds."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="dispositions")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="dispositions")
    action = models.CharField(_("decision"), max_length=7, choices=DispositionAction)
    from_status = models.CharField(_("from"), max_length=10)
    to_status = models.CharField(_("to"), max_length=10)
    held_from = models.CharField(
        _("held from"),
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text=_("Of a held unit that was scrapped: the status behind the hold."),
    )
    step_no = models.PositiveIntegerField(_("step"), null=True)
    reason = models.CharField(_("reason"), max_length=500)
    decided_by = models.CharField(_("decided by"), max_length=150)
    approved_by = models.CharField(_("approved by"), max_length=150, blank=True, default="", db_default="")
    decided_at = models.DateTimeField(_("decided"), default=timezone.now)
    # Of a hold for a report that was refused: the step that it was about, and the machine event or the message.
    about_step_no = models.PositiveIntegerField(_("about step"), null=True)
    about_event_id = models.BigIntegerField(_("about event"), null=True, db_index=True)
    about_message_id = models.BigIntegerField(_("about message"), null=True)
    # Of a hold, the case that it belongs to; of a decision that ended one case alone, that case.
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, related_name="dispositions", db_index=False, verbose_name=_("case")
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("disposition")
        verbose_name_plural = _("dispositions")
        indexes = [models.Index(F("hold"), condition=Q(hold__isnull=False), name="disposition_by_hold")]

    def __str__(self) -> str:
        return f"{self.action} {self.unit_id}"


class Carrier(models.Model):
    """A panel, tray or rack that moves units together, each at a position."""

    carrier_no = code_field(verbose_name=_("carrier"))
    created_at = models.DateTimeField(_("first seen"), auto_now_add=True)
    changed_at = models.DateTimeField(_("loaded or unloaded last"), null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("carrier")
        verbose_name_plural = _("carriers")

    def __str__(self) -> str:
        return self.carrier_no


class CarrierLoad(models.Model):
    """A unit on a carrier, at a position, from one time to another. It is there while `unloaded_at` is null."""

    carrier = models.ForeignKey(Carrier, on_delete=models.PROTECT, related_name="loads")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="carrier_loads")
    position = models.CharField(_("position"), max_length=100, blank=True)
    loaded_at = models.DateTimeField(_("loaded"), default=timezone.now)
    unloaded_at = models.DateTimeField(_("unloaded"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("carrier load")
        verbose_name_plural = _("carrier loads")
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], condition=Q(unloaded_at=None), name="carrier_load_one_current_per_unit"
            ),
            models.UniqueConstraint(
                fields=["carrier", "position"],
                condition=Q(unloaded_at=None) & ~Q(position=""),
                name="carrier_load_one_unit_per_position",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.carrier_id} {self.position} {self.unit_id}"


class CarrierTrack(models.Model):
    """One pass of a carrier through a station, with values of its own."""

    carrier = models.ForeignKey(Carrier, on_delete=models.PROTECT, related_name="tracks")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="carrier_tracks")
    step_no = models.PositiveIntegerField(_("step"))
    operation_code = models.CharField(_("operation"), max_length=100)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="carrier_tracks")
    in_at = models.DateTimeField(_("in"))
    out_at = models.DateTimeField(_("out"), null=True, blank=True)
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("carrier track")
        verbose_name_plural = _("carrier tracks")

    def __str__(self) -> str:
        return f"{self.carrier_id} {self.step_no}"


class CarrierTrackUnit(models.Model):
    """The track of each unit that took part in a carrier's pass."""

    carrier_track = models.ForeignKey(CarrierTrack, on_delete=models.PROTECT, related_name="unit_tracks")
    track = models.OneToOneField(Track, on_delete=models.PROTECT, related_name="carrier_pass")

    class Meta:
        verbose_name = _("unit of a carrier track")
        verbose_name_plural = _("units of carrier tracks")

    def __str__(self) -> str:
        return f"{self.carrier_track_id} {self.track_id}"


class Judge(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


class DataValue(models.Model):
    """One collected value, with the limits it was judged by.

    Partitioned by month of `received_at` (the server's clock). Nothing refers to it by a foreign key, and its own
    references carry no constraint: they would lock hot master data rows on every insert.
    """

    received_at = models.DateTimeField(_("received"))
    unit = models.ForeignKey(Unit, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    track = models.ForeignKey(
        Track, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    carrier_track = models.ForeignKey(
        CarrierTrack, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    station = models.ForeignKey(
        Station, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    spec = models.ForeignKey(
        DataCollectionSpec, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    record_id = models.BigIntegerField(_("device record"), null=True)
    step_no = models.PositiveIntegerField(_("step"), null=True)
    operation_code = models.CharField(_("operation"), max_length=100)
    name = models.CharField(_("name"), max_length=100)
    item_type = models.CharField(_("item type"), max_length=11, choices=ItemType)
    value_number = models.FloatField(_("number"), null=True)
    value_text = models.TextField(_("text"), null=True)
    value_boolean = models.BooleanField(_("yes or no"), null=True)
    value_json = models.JSONField(_("JSON"), null=True)
    measure = models.CharField(_("unit of measure"), max_length=20, blank=True)
    lsl = models.FloatField(null=True)
    usl = models.FloatField(null=True)
    target = models.FloatField(null=True)
    alarm_min = models.FloatField(null=True)
    alarm_max = models.FloatField(null=True)
    judge = models.CharField(_("judge"), max_length=4, choices=Judge, blank=True)
    reported_judge = models.CharField(_("judged by the device"), max_length=4, choices=Judge, blank=True)
    alarmed = models.BooleanField(_("alarmed"), default=False)
    source = models.CharField(_("source"), max_length=6)
    operator = models.CharField(_("operator"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    collected_at = models.DateTimeField(_("collected"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("data value")
        verbose_name_plural = _("data values")
        constraints = [
            models.CheckConstraint(
                # PostgreSQL parses a condition again for every statement that inserts: a short one is quickly read.
                # Only the database checks it: validating an instance, Django would count a None as JSON's null.
                condition=Exact(
                    Func(
                        *("value_number", "value_text", "value_boolean", "value_json"),
                        function="num_nonnulls",
                        output_field=models.IntegerField(),
                    ),
                    1,
                ),
                name="data_value_exactly_one",
            )
        ]
        indexes = [
            models.Index(F("unit"), F("track"), name="data_value_by_unit_and_track"),
            models.Index(F("carrier_track"), condition=Q(carrier_track__isnull=False), name="data_value_by_carrier"),
            models.Index(F("spec"), F("collected_at"), name="data_value_by_spec"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of track {self.track_id}"
