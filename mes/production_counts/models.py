"""What machines counted: their reports as they came, what was counted in each hour, and the records people keep."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line, Station
from mes.production.models import Run


def counter_field(name: Any) -> models.BigIntegerField:
    """A number of boards or parts; null where the machine does not count it."""
    return models.BigIntegerField(name, null=True)


class Counters(models.Model):
    """What a machine may count. The names are those of `mes.production_counts.windows.COUNTERS`."""

    boards_in = counter_field(_("boards in"))
    boards_out = counter_field(_("boards out"))
    scrapped = counter_field(_("scrapped"))
    picked = counter_field(_("picked"))
    placed = counter_field(_("placed"))

    class Meta:
        abstract = True


class CountStream(models.Model):
    """The counters of one machine for one step of one run. Its row is locked while its counts are written."""

    run = models.ForeignKey(Run, models.PROTECT, related_name="count_streams", verbose_name=_("run"))
    line = models.ForeignKey(Line, models.PROTECT, related_name="+", db_index=False, verbose_name=_("line"))
    station = models.ForeignKey(Station, models.PROTECT, related_name="+", verbose_name=_("station"))
    step_no = models.PositiveIntegerField(_("step"))
    operation_code = models.CharField(_("operation"), max_length=100)
    equipment_id = models.CharField(
        _("equipment"), max_length=100, blank=True, help_text=_("As the machine calls itself; empty if it does not.")
    )
    counts_boards_in = models.BooleanField(_("counts boards in"), default=False)
    counts_boards_out = models.BooleanField(_("counts boards out"), default=False)
    created_at = models.DateTimeField(_("first report"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("counting machine of a run")
        verbose_name_plural = _("counting machines of runs")
        constraints = [
            models.UniqueConstraint(
                fields=["run", "station", "step_no", "equipment_id"], name="count_stream_one_per_machine"
            )
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.station_id} {self.step_no} {self.equipment_id}".rstrip()


class CountReport(Counters):
    """One accepted report, as it came. It has the id of its device data record.

    Partitioned by month of `received_at` (the server's clock); no foreign key to or from it.
    """

    received_at = models.DateTimeField(_("received"))
    stream = models.ForeignKey(
        CountStream, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", verbose_name=_("machine")
    )
    window_start = models.DateTimeField(_("from"))
    window_end = models.DateTimeField(_("to"))
    is_cumulative = models.BooleanField(_("counter readings"))
    moduli = models.JSONField(
        _("moduli"), null=True, help_text=_("By counter: the number at which it begins again from zero.")
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("count report")
        verbose_name_plural = _("count reports")
        indexes = [models.Index(F("stream"), F("window_end"), name="count_report_by_time")]
        constraints = [
            models.CheckConstraint(condition=Q(window_end__gte=F("window_start")), name="count_report_forward"),
        ]

    def __str__(self) -> str:
        return f"{self.stream_id} {self.window_end}"


class HourlyCount(Counters):
    """What a machine counted in one hour of the clock, or in the part of it that lies in one shift of one day.

    Worked out from the reports, in the transaction that takes one; `manage.py recount` recomputes it. Line, day and
    shift are those that applied then. `doubts` are reasons of `windows.Doubt`; `doubt_at_start` and
    `doubt_at_end` say how large a boundary (`mes.plant.calendar.Cut`) divides a window there: the sum of an hour may
    be doubtful and that of its shift not.
    """

    stream = models.ForeignKey(CountStream, models.CASCADE, db_index=False, related_name="hours")
    line = models.ForeignKey(Line, models.PROTECT, db_index=False, related_name="+", verbose_name=_("line"))
    date = models.DateField(_("day"))
    shift = models.CharField(_("shift"), max_length=100, blank=True)
    started_at = models.DateTimeField(_("from"))
    ended_at = models.DateTimeField(_("to"))
    first_at = models.DateTimeField(_("reported from"), null=True, help_text=_("None: nothing was reported."))
    last_at = models.DateTimeField(_("reported to"), null=True)
    doubts = models.PositiveSmallIntegerField(_("doubts"), default=0)
    doubt_at_start = models.PositiveSmallIntegerField(_("divided at the start"), default=0)
    doubt_at_end = models.PositiveSmallIntegerField(_("divided at the end"), default=0)

    class Meta:
        ordering = ["started_at", "id"]
        verbose_name = _("hourly count")
        verbose_name_plural = _("hourly counts")
        constraints = [
            models.UniqueConstraint(fields=["stream", "started_at"], name="hourly_count_once"),
            models.CheckConstraint(condition=Q(ended_at__gt=F("started_at")), name="hourly_count_forward"),
        ]
        indexes = [models.Index(fields=["line", "date"], name="hourly_count_by_day")]

    def __str__(self) -> str:
        return f"{self.stream_id} {self.started_at}"


class RecordEntry(models.Model):
    """What somebody wrote into the record of a line and day, with name and time. Nothing is changed afterwards."""

    line = models.ForeignKey(Line, models.PROTECT, db_index=False, related_name="+", verbose_name=_("line"))
    date = models.DateField(_("day"))
    hour = models.DateTimeField(_("hour"), null=True, help_text=_("Of the in/out record; none: the day as a whole."))
    written_by = models.CharField(_("by"), max_length=150)
    written_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        abstract = True


class RecordRemark(RecordEntry):
    """A remark. A correction is another remark in its place; the earlier text stays."""

    run = models.ForeignKey(Run, models.PROTECT, null=True, db_index=False, related_name="+", verbose_name=_("run"))
    station = models.ForeignKey(
        Station, models.PROTECT, null=True, db_index=False, related_name="+", verbose_name=_("station")
    )
    text = models.CharField(_("remark"), max_length=500)
    replaces = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="replaced_by", verbose_name=_("in place of")
    )

    class Meta:
        ordering = ["id"]
        verbose_name = _("remark in a production record")
        verbose_name_plural = _("remarks in production records")
        indexes = [models.Index(fields=["line", "date"], name="record_remark_by_day")]

    def __str__(self) -> str:
        return self.text


class RecordSignature(RecordEntry):
    """Somebody checked the record of a day, or signed an hour of it. `figures` are the sums that they saw."""

    figures = models.JSONField(_("figures"))

    class Meta:
        ordering = ["id"]
        verbose_name = _("signature in a production record")
        verbose_name_plural = _("signatures in production records")
        indexes = [models.Index(fields=["line", "date"], name="record_signature_by_day")]

    def __str__(self) -> str:
        return f"{self.line_id} {self.date} {self.written_by}"
