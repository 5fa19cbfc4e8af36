"""What inspections say of a unit's pass, and the defects they leave behind."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Station
from mes.production.hold_models import Hold
from mes.production.models import Run, Unit
from mes.status_reports.models import Reported, recorded_by_field


class InspectionType(models.TextChoices):
    SPI = "SPI", _("Solder paste inspection")
    AOI = "AOI", _("Automated optical inspection")


class InspectionVerdict(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


class InspectionResult(Reported):
    """The result of a kind of inspection for a track: the latest report by event time counts."""

    track = models.ForeignKey(
        "execution.Track",
        on_delete=models.PROTECT,
        related_name="inspections",
        db_index=False,
        verbose_name=_("track"),
    )
    inspection_type = models.CharField(_("inspection"), max_length=3, choices=InspectionType)
    result = models.CharField(_("result"), max_length=4, choices=InspectionVerdict)
    defects = models.JSONField(_("defects"), default=list, blank=True)
    source = models.CharField(_("source"), max_length=6)
    operator_id = models.CharField(_("operator"), max_length=150, blank=True)
    recorded_by = recorded_by_field()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("inspection result")
        verbose_name_plural = _("inspection results")
        constraints = [
            models.UniqueConstraint(fields=["track", "inspection_type"], name="inspection_once_per_track_and_type")
        ]

    def __str__(self) -> str:
        return f"{self.inspection_type} {self.track_id}"


class DefectStatus(models.TextChoices):
    """OPEN is undecided; all others settle a defect."""

    OPEN = "OPEN", _("Open")
    REPAIRED = "REPAIRED", _("Repaired")
    NO_FAULT_FOUND = "NO_FAULT_FOUND", _("No fault found")
    FALSE_CALL = "FALSE_CALL", _("False call")
    ACCEPTED = "ACCEPTED", _("Accepted")
    SCRAPPED = "SCRAPPED", _("Scrapped")
    WITHDRAWN = "WITHDRAWN", _("Withdrawn")


# What was no defect of the board: it does not count, and matches no condition.
NOT_A_DEFECT = (DefectStatus.FALSE_CALL, DefectStatus.WITHDRAWN)


class DefectSource(models.TextChoices):
    TRACK_OUT = "TRACK_OUT", _("Track-out")
    INSPECTION = "INSPECTION", _("Inspection")
    MACHINE = "MACHINE", _("Machine")
    VALUE = "VALUE", _("A value")
    HAND = "HAND", _("By hand")
    OQC = "OQC", _("Outgoing inspection")
    FAI = "FAI", _("First article")


class Defect(models.Model):
    """One thing that is wrong with a unit, found at a step, at one designator. The only home of defects.

    `code` is the code of the tree that it counts under, as far as `reported_code`, what was said, could be read as
    one; else what was said. `hold` is the case that was opened for it, which its release ends.
    """

    unit = models.ForeignKey(
        Unit, on_delete=models.PROTECT, related_name="defects", db_index=False, verbose_name=_("unit")
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="defects", db_index=False, verbose_name=_("run")
    )
    track = models.ForeignKey(
        "execution.Track", on_delete=models.PROTECT, null=True, related_name="defects", verbose_name=_("track")
    )
    station = models.ForeignKey(
        Station,
        on_delete=models.PROTECT,
        null=True,
        related_name="defects",
        db_index=False,
        verbose_name=_("station"),
    )
    inspection = models.ForeignKey(
        InspectionResult,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="found_defects",
        db_index=False,
        verbose_name=_("inspection"),
    )
    step_no = models.PositiveIntegerField(_("step"))
    rework_no = models.PositiveSmallIntegerField(
        _("times reworked"),
        default=0,
        db_default=0,
        help_text=_("How often the unit had been reworked when it was found."),
    )
    code = models.CharField(_("defect"), max_length=100)
    reported_code = models.CharField(_("reported code"), max_length=100, blank=True, default="", db_default="")
    source_system = models.CharField(_("source system"), max_length=100, blank=True, default="", db_default="")
    location = models.CharField(_("location"), max_length=100, blank=True)
    quantity = models.PositiveIntegerField(_("quantity"), default=1, db_default=1)
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    source = models.CharField(
        _("source"), max_length=10, choices=DefectSource, default=DefectSource.TRACK_OUT, db_default="TRACK_OUT"
    )
    status = models.CharField(_("status"), max_length=14, choices=DefectStatus, default=DefectStatus.OPEN)
    found_by = recorded_by_field(_("found by"))
    found_at = models.DateTimeField(_("found"))
    settled_by = models.CharField(_("settled by"), max_length=150, blank=True, default="", db_default="")
    settled_at = models.DateTimeField(_("settled"), null=True)
    settled_reason = models.CharField(_("why"), max_length=500, blank=True, default="", db_default="")
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, related_name="defects", db_index=False, verbose_name=_("case")
    )
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("defect")
        verbose_name_plural = _("defects")
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="defect_quantity_positive"),
        ]
        indexes = [
            models.Index(F("unit"), F("id").desc(), name="defect_by_unit"),
            models.Index(F("run"), F("id").desc(), name="defect_by_run"),
            models.Index(F("inspection"), condition=Q(inspection__isnull=False), name="defect_by_inspection"),
            models.Index(F("id").desc(), condition=Q(status=DefectStatus.OPEN), name="defect_open"),
            models.Index(F("code"), F("found_at"), name="defect_by_code_and_time"),
            models.Index(F("found_at"), name="defect_by_found_at"),
            models.Index(F("reported_code"), condition=~Q(reported_code=""), name="defect_by_reported_code"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.location}".strip()
