"""Tools: what boards are made with and is not in them, with the limits they are used within.

A tool exists from its first mention. Its state is reported (`mes.status_reports.models.Reported`), its uses counted.
"""

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import code_field
from mes.status_reports.models import Reported

MOST_HOURS = 100_000  # between two services: eleven years


class ToolKind(models.TextChoices):
    STENCIL = "STENCIL", _("Stencil")
    SQUEEGEE = "SQUEEGEE", _("Squeegee")
    FIXTURE = "FIXTURE", _("Fixture")
    FEEDER = "FEEDER", _("Feeder")
    NOZZLE = "NOZZLE", _("Nozzle")
    OTHER = "OTHER", _("Other")


class ToolStatus(models.TextChoices):
    READY = "READY", _("Ready")
    NOT_READY = "NOT_READY", _("Not ready")
    MAINTENANCE = "MAINTENANCE", _("In maintenance")


class Tool(Reported):
    """A stencil, a squeegee, a feeder …, and the limits it is used within. Without a status, nobody reported one.

    `uses_since_service` are strokes: a print of four boards is one use; `uses` are those of its life. At a limit it is
    worn. `warned_at` is when people were told that it nears one; a service takes that back.
    """

    tool_id = code_field(verbose_name=_("tool"))
    kind = models.CharField(
        _("kind"), max_length=8, choices=ToolKind, default=ToolKind.STENCIL, db_default=ToolKind.STENCIL
    )
    version = models.CharField(_("version"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=11, choices=ToolStatus, blank=True)
    failed_check = models.CharField(
        _("failed checks"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("Its latest check by these forms failed: it is not ready until one passes."),
    )
    tension_value = models.FloatField(_("tension"), null=True, blank=True, help_text=_("Last measured, in N/cm."))
    serviced_at = models.DateTimeField(_("last cleaned"), null=True, blank=True, help_text=_("Or serviced."))
    uses_since_service = models.PositiveIntegerField(
        _("uses since cleaning"), default=0, help_text=_("Strokes since it was cleaned or serviced.")
    )
    uses = models.PositiveIntegerField(_("uses"), default=0, db_default=0, help_text=_("Strokes of its life."))
    tension_min = models.FloatField(
        _("least tension"), null=True, blank=True, help_text=_("In N/cm; below it, a stencil is not used.")
    )
    max_uses = models.PositiveIntegerField(
        _("most uses"), null=True, blank=True, help_text=_("Strokes after which it must be cleaned or serviced.")
    )
    max_hours_since_service = models.PositiveIntegerField(
        _("most hours since cleaning"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_HOURS)],
        help_text=_("After them it must be cleaned or serviced again."),
    )
    life_uses = models.PositiveIntegerField(
        _("uses of its life"), null=True, blank=True, help_text=_("Strokes after which it is worn for good.")
    )
    warned_at = models.DateTimeField(_("warned"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("tool")
        verbose_name_plural = _("tools")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(max_hours_since_service=None) | models.Q(max_hours_since_service__lte=MOST_HOURS),
                name="tool_hours_since_service_bounded",
            )
        ]

    def __str__(self) -> str:
        return self.tool_id
