"""Serial numbers that are not a unit's own: earlier ones of relabelled units, and those of reference boards.

Those of units, aliases and reference units are disjoint.
"""

from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Station, code_field
from mes.production.models import Unit


class UnitAlias(models.Model):
    """A serial number that a unit had before it was relabelled. It finds the unit for ever."""

    sn = code_field(verbose_name=_("earlier serial number"))
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="aliases")
    reason = models.CharField(_("reason"), max_length=500)
    relabelled_by = models.CharField(_("relabelled by"), max_length=150)
    relabelled_at = models.DateTimeField(_("relabelled"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("earlier serial number")
        verbose_name_plural = _("earlier serial numbers")

    def __str__(self) -> str:
        return self.sn


class ReferenceKind(models.TextChoices):
    GOLDEN = "GOLDEN", _("Golden board")
    DUMMY = "DUMMY", _("Dummy board")


class PassResult(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


class ReferenceUnit(models.Model):
    """A board by which machines are checked. It is no unit: it is recorded, and counts nowhere."""

    sn = code_field(verbose_name=_("serial number"))
    kind = models.CharField(_("kind"), max_length=6, choices=ReferenceKind)
    expected_result = models.CharField(
        _("expected result"), max_length=4, choices=PassResult, blank=True, help_text=_("Empty: any will do.")
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["sn"]
        verbose_name = _("reference unit")
        verbose_name_plural = _("reference units")

    def __str__(self) -> str:
        return self.sn


class ReferencePass(models.Model):
    """A reference unit that passed a station."""

    reference_unit = models.ForeignKey(ReferenceUnit, on_delete=models.PROTECT, related_name="passes", db_index=False)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="reference_passes")
    passed_at = models.DateTimeField(_("at"))
    result = models.CharField(
        _("result"), max_length=4, choices=PassResult, blank=True, help_text=_("Empty: the machine told none.")
    )
    event_id = models.BigIntegerField(_("machine event"), null=True)
    recorded_by = models.CharField(_("recorded by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("pass of a reference unit")
        verbose_name_plural = _("passes of reference units")
        indexes = [
            models.Index(F("reference_unit"), F("id").desc(), name="reference_pass_newest"),
            models.Index(F("created_at"), name="reference_pass_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.reference_unit_id} {self.passed_at}"
