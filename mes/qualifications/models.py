"""Qualifications of people for operations."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Operation
from mes.platform.validators import validate_line, validate_year


class Qualification(models.Model):
    """A person may do an operation, up to and including the day `until` (in the plant's time zone), None for good."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="qualifications", verbose_name=_("person")
    )
    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, related_name="qualifications", verbose_name=_("operation")
    )
    until = models.DateField(
        _("until"), null=True, blank=True, validators=[validate_year], help_text=_("The last day. Empty: for good.")
    )
    note = models.CharField(_("note"), max_length=500, blank=True, validators=[validate_line])
    given_by = models.CharField(_("given by"), max_length=150, blank=True, editable=False)
    given_at = models.DateTimeField(_("given"), default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("qualification")
        verbose_name_plural = _("qualifications")
        constraints = [
            models.UniqueConstraint(
                fields=["person", "operation"],
                name="qualification_once",
                violation_error_message=_("This person has a qualification for this operation; change that one."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.person_id}: {self.operation_id}"
