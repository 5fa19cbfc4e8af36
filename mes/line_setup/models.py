"""What a line is set up with: stencils, solder paste, and the maintenance its machines wait for.

What other systems report of things comes in any order: each reported field remembers when it was reported
(`mes.status_reports.models.Reported`), and the latest counts.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from mes.line_setup.lots.models import LotEvent, LotEventKind, LotStatus, MaterialLot, SolderPasteStatus
from mes.line_setup.tools.models import Tool, ToolKind, ToolStatus
from mes.plant.models import Equipment, Line
from mes.production.models import Run
from mes.status_reports.models import Reported

__all__ = [
    "LotEvent",
    "LotEventKind",
    "LotStatus",
    "MaintenanceTask",
    "MaterialLot",
    "SetUpKind",
    "SolderPasteStatus",
    "SolderPasteUsage",
    "Tool",
    "ToolKind",
    "ToolStatus",
]


class SolderPasteUsage(models.Model):
    """One use of a lot, named by the time it was issued; it lasts while `returned_at` is null."""

    lot = models.ForeignKey(
        MaterialLot, on_delete=models.PROTECT, related_name="usages", db_index=False, verbose_name=_("lot")
    )
    line = models.ForeignKey(
        Line,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="solder_paste_usages",
        verbose_name=_("line"),
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, blank=True, related_name="solder_paste_usages", verbose_name=_("run")
    )
    received_at = models.DateTimeField(_("received"), null=True, blank=True)
    thawed_at = models.DateTimeField(_("thawed"), null=True, blank=True)
    issued_at = models.DateTimeField(_("issued"))
    returned_at = models.DateTimeField(
        _("taken out of use"), null=True, blank=True, help_text=_("Returned or unbound from its line.")
    )

    class Meta:
        ordering = ["-issued_at", "-id"]
        verbose_name = _("solder paste usage")
        verbose_name_plural = _("solder paste usages")
        constraints = [
            models.UniqueConstraint(fields=["lot", "issued_at"], name="solder_paste_usage_once_per_issue"),
            models.CheckConstraint(
                condition=Q(returned_at=None) | Q(returned_at__gte=F("issued_at")),
                name="solder_paste_usage_returned_after_issue",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id} {self.issued_at:%Y-%m-%d %H:%M}"


class SetUpKind(models.TextChoices):
    """The slots of a line."""

    STENCIL = "STENCIL", _("Stencil")
    SOLDER_PASTE = "SOLDER_PASTE", _("Solder paste")


class MaintenanceTask(Reported):
    """A task of the maintenance system for a machine. While an open one blocks, the machine is not ready."""

    equipment = models.ForeignKey(
        Equipment,
        on_delete=models.CASCADE,
        related_name="maintenance_tasks",
        db_index=False,
        verbose_name=_("equipment"),
    )
    number = models.CharField(_("task"), max_length=100, db_collation="C")
    title = models.CharField(_("title"), max_length=200, blank=True)
    is_blocking = models.BooleanField(_("blocks the machine"), default=False)
    is_open = models.BooleanField(_("open"), default=True)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("maintenance task")
        verbose_name_plural = _("maintenance tasks")
        constraints = [
            models.UniqueConstraint(fields=["equipment", "number"], name="maintenance_task_once_per_equipment")
        ]
        indexes = [
            models.Index(F("equipment"), condition=Q(is_open=True), name="maintenance_task_open"),
        ]

    def __str__(self) -> str:
        return self.number
