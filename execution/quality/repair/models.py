"""Repair: what was sent to the bench, and what was done there about each defect."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from execution.quality.models import Defect
from mes.production.decision_models import LONGEST_REASON
from mes.production.models import Run, Unit
from mes.status_reports.models import recorded_by_field


class ReworkTaskStatus(models.TextChoices):
    OPEN = "OPEN", _("Open")
    DONE = "DONE", _("Done")
    CANCELLED = "CANCELLED", _("Cancelled")


class ReworkTask(models.Model):
    """A unit that is to be repaired before it enters the step that it was sent back to."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="rework_tasks", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="rework_tasks", db_index=False)
    to_step_no = models.PositiveIntegerField(_("back to step"))
    rework_no = models.PositiveSmallIntegerField(_("times reworked"))
    status = models.CharField(_("status"), max_length=9, choices=ReworkTaskStatus, default=ReworkTaskStatus.OPEN)
    defects = models.ManyToManyField(Defect, related_name="rework_tasks", verbose_name=_("defects"))
    reason = models.CharField(_("reason"), max_length=500)
    created_by = models.CharField(_("sent by"), max_length=150)
    created_at = models.DateTimeField(_("sent"), default=timezone.now)
    ended_by = models.CharField(_("ended by"), max_length=150, blank=True, default="", db_default="")
    ended_at = models.DateTimeField(_("ended"), null=True)
    end_reason = models.CharField(
        _("why it was cancelled"), max_length=LONGEST_REASON, blank=True, default="", db_default=""
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("rework task")
        verbose_name_plural = _("rework tasks")
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], condition=Q(status=ReworkTaskStatus.OPEN), name="rework_task_one_open_per_unit"
            ),
            models.CheckConstraint(
                condition=Q(status=ReworkTaskStatus.OPEN, ended_at=None)
                | (~Q(status=ReworkTaskStatus.OPEN) & Q(ended_at__isnull=False)),
                name="rework_task_ended_when_it_ends",
            ),
        ]
        indexes = [
            models.Index(F("unit"), F("id").desc(), name="rework_task_by_unit"),
            models.Index(F("id").desc(), condition=Q(status=ReworkTaskStatus.OPEN), name="rework_task_open"),
        ]

    def __str__(self) -> str:
        return f"{self.unit_id} {self.to_step_no}"


class RepairAction(models.TextChoices):
    RESOLDERED = "RESOLDERED", _("Resoldered")
    REPLACED = "REPLACED", _("Replaced")
    CLEANED = "CLEANED", _("Cleaned")
    ADJUSTED = "ADJUSTED", _("Adjusted")
    REPROGRAMMED = "REPROGRAMMED", _("Reprogrammed")
    NONE = "NONE", _("Nothing")


class RepairResult(models.TextChoices):
    FIXED = "FIXED", _("Fixed")
    NO_FAULT_FOUND = "NO_FAULT_FOUND", _("No fault found")
    NOT_FIXED = "NOT_FIXED", _("Not fixed")


class RepairRecord(models.Model):
    """What was done about a defect at the bench; of several the latest counts.

    `replaced` are the parts put in: `[{materialCode, lotNo?, location}]`.
    """

    task = models.ForeignKey(ReworkTask, on_delete=models.PROTECT, related_name="records", verbose_name=_("task"))
    defect = models.ForeignKey(Defect, on_delete=models.PROTECT, related_name="repairs", verbose_name=_("defect"))
    action = models.CharField(_("what was done"), max_length=12, choices=RepairAction)
    result = models.CharField(_("result"), max_length=14, choices=RepairResult)
    replaced = models.JSONField(_("replaced parts"), default=list, blank=True)
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    recorded_by = recorded_by_field()
    recorded_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("repair record")
        verbose_name_plural = _("repair records")

    def __str__(self) -> str:
        return f"{self.action} {self.defect_id}"
