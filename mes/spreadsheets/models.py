"""Imports of spreadsheets: what a sheet said, what it would do, and whether it was applied."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.database.authorship import LONGEST_REASON
from mes.status_reports.models import LONGEST_NAME


class ImportStatus(models.TextChoices):
    CHECKED = "CHECKED", _("Checked")
    APPLIED = "APPLIED", _("Applied")


class SheetImport(models.Model):
    """A sheet that was sent. `document` has its rows as they were read; `report` what is wrong with them and what they
    would do; `states` those of what they name, by which one knows that nobody changed it since.
    """

    collection = models.CharField(_("collection"), max_length=40)
    file_name = models.CharField(_("file"), max_length=200, blank=True)
    status = models.CharField(_("status"), max_length=7, choices=ImportStatus, default=ImportStatus.CHECKED)
    created = models.PositiveIntegerField(_("new"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    deleted = models.PositiveIntegerField(_("removed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    error_count = models.PositiveIntegerField(_("errors"), default=0)
    created_by = models.CharField(_("by"), max_length=LONGEST_NAME)
    created_at = models.DateTimeField(_("sent"), default=timezone.now)
    applied_by = models.CharField(_("applied by"), max_length=LONGEST_NAME, blank=True)
    applied_at = models.DateTimeField(_("applied"), null=True)
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, blank=True)
    document = models.JSONField(default=dict)
    report = models.JSONField(default=dict)
    states = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("import of a spreadsheet")
        verbose_name_plural = _("imports of spreadsheets")
        constraints = [
            models.CheckConstraint(
                condition=Q(status=ImportStatus.CHECKED, applied_at=None)
                | Q(status=ImportStatus.APPLIED, applied_at__isnull=False, error_count=0),
                name="sheet_import_applied_once",
            )
        ]
        indexes = [
            models.Index(F("created_by"), F("id").desc(), name="sheet_import_of"),
            models.Index(F("created_at"), name="sheet_import_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.collection} {self.pk}"
