"""What inspections say of a unit's pass, and the defects they leave behind."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

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
    OPEN = "OPEN", _("Open")
    WITHDRAWN = "WITHDRAWN", _("Withdrawn")


class Defect(models.Model):
    """One thing that is wrong with a unit, found at a step. A later review of the inspection may withdraw it."""

    unit = models.ForeignKey(
        Unit, on_delete=models.PROTECT, related_name="defects", db_index=False, verbose_name=_("unit")
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="defects", db_index=False, verbose_name=_("run")
    )
    track = models.ForeignKey(
        "execution.Track", on_delete=models.PROTECT, related_name="defects", verbose_name=_("track")
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
    code = models.CharField(_("defect"), max_length=100)
    location = models.CharField(_("location"), max_length=100, blank=True)
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    status = models.CharField(_("status"), max_length=9, choices=DefectStatus, default=DefectStatus.OPEN)
    found_at = models.DateTimeField(_("found"))
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("defect")
        verbose_name_plural = _("defects")
        indexes = [
            models.Index(F("unit"), F("id").desc(), name="defect_by_unit"),
            models.Index(F("run"), F("id").desc(), name="defect_by_run"),
            models.Index(F("inspection"), condition=Q(inspection__isnull=False), name="defect_by_inspection"),
            models.Index(F("id").desc(), condition=Q(status=DefectStatus.OPEN), name="defect_open"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.location}".strip()
