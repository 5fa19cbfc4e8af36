"""What a line is set up with: stencils, solder paste, and the maintenance its machines wait for.

Stencils and lots exist from their first mention. What other systems report of them comes in any order: each reported
field remembers when it was reported (`mes.status_reports.models.Reported`), and the latest counts.
"""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Equipment, Line, code_field
from mes.production.models import Run
from mes.status_reports.models import Reported


class StencilStatus(models.TextChoices):
    READY = "READY", _("Ready")
    NOT_READY = "NOT_READY", _("Not ready")
    MAINTENANCE = "MAINTENANCE", _("In maintenance")


class Stencil(Reported):
    """A stencil for printing solder paste, and the limits it is used within. Without a status, nobody reported one."""

    stencil_id = code_field(verbose_name=_("stencil"))
    version = models.CharField(_("version"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=11, choices=StencilStatus, blank=True)
    tension_value = models.FloatField(_("tension"), null=True, blank=True, help_text=_("Last measured, in N/cm."))
    last_cleaned_at = models.DateTimeField(_("last cleaned"), null=True, blank=True)
    usage_count = models.PositiveIntegerField(
        _("uses since cleaning"), default=0, help_text=_("Boards printed with it since it was cleaned.")
    )
    tension_min = models.FloatField(
        _("least tension"), null=True, blank=True, help_text=_("In N/cm; below it, the stencil is not used.")
    )
    max_uses = models.PositiveIntegerField(
        _("most uses"), null=True, blank=True, help_text=_("Boards that may be printed before it must be cleaned.")
    )
    max_hours_since_cleaning = models.PositiveIntegerField(
        _("most hours since cleaning"), null=True, blank=True, help_text=_("After them it must be cleaned again.")
    )
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("stencil")
        verbose_name_plural = _("stencils")

    def __str__(self) -> str:
        return self.stencil_id


class SolderPasteStatus(models.TextChoices):
    COMPLIANT = "COMPLIANT", _("Compliant")
    NON_COMPLIANT = "NON_COMPLIANT", _("Not compliant")
    EXPIRED = "EXPIRED", _("Expired")


class SolderPasteLot(Reported):
    """One container of solder paste. Without a status, nobody reported one."""

    lot_id = code_field(verbose_name=_("lot"))
    status = models.CharField(_("status"), max_length=13, choices=SolderPasteStatus, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    thawed_at = models.DateTimeField(_("thawed"), null=True, blank=True)
    stirred_at = models.DateTimeField(_("stirred"), null=True, blank=True)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("solder paste lot")
        verbose_name_plural = _("solder paste lots")

    def __str__(self) -> str:
        return self.lot_id


class SolderPasteUsage(models.Model):
    """One use of a lot, named by the time it was issued; it lasts while `returned_at` is null."""

    lot = models.ForeignKey(
        SolderPasteLot, on_delete=models.PROTECT, related_name="usages", db_index=False, verbose_name=_("lot")
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
    STENCIL = "STENCIL", _("Stencil")
    SOLDER_PASTE = "SOLDER_PASTE", _("Solder paste")


class LineBinding(models.Model):
    """A stencil or a lot on a line, from one scan to another. It is there while `unbound_at` is null."""

    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, related_name="set_up_bindings", db_index=False, verbose_name=_("line")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=SetUpKind)
    stencil = models.ForeignKey(
        Stencil, on_delete=models.PROTECT, null=True, blank=True, related_name="bindings", verbose_name=_("stencil")
    )
    lot = models.ForeignKey(
        SolderPasteLot, on_delete=models.PROTECT, null=True, blank=True, related_name="bindings", verbose_name=_("lot")
    )
    bound_at = models.DateTimeField(_("bound"))
    bound_by = models.CharField(_("bound by"), max_length=150)
    unbound_at = models.DateTimeField(_("unbound"), null=True, blank=True)
    unbound_by = models.CharField(_("unbound by"), max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("line binding")
        verbose_name_plural = _("line bindings")
        constraints = [
            models.UniqueConstraint(
                fields=["line", "kind"], condition=Q(unbound_at=None), name="line_binding_one_current_per_line"
            ),
            models.UniqueConstraint(
                fields=["stencil"], condition=Q(unbound_at=None), name="line_binding_stencil_on_one_line"
            ),
            models.UniqueConstraint(fields=["lot"], condition=Q(unbound_at=None), name="line_binding_lot_on_one_line"),
            models.CheckConstraint(
                condition=Q(kind=SetUpKind.STENCIL, stencil__isnull=False, lot=None)
                | Q(kind=SetUpKind.SOLDER_PASTE, stencil=None, lot__isnull=False),
                name="line_binding_of_its_kind",
            ),
            models.CheckConstraint(
                condition=Q(unbound_at=None) | Q(unbound_at__gte=F("bound_at")), name="line_binding_ends_after_start"
            ),
        ]
        indexes = [models.Index(F("line"), F("kind"), F("bound_at").desc(), name="line_binding_history")]

    def __str__(self) -> str:
        return f"{self.line_id} {self.kind}"

    @property
    def code(self) -> str:
        """What was scanned: the id of the stencil or lot."""
        if self.stencil is not None:
            return self.stencil.stencil_id
        assert self.lot is not None  # by constraint
        return self.lot.lot_id


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
