"""Deviations from the frozen route of a run: for how long, for which units, asked and approved by whom."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.production.decision_models import LONGEST_REASON, Approval
from mes.production.models import Run


class DeviationType(models.TextChoices):
    SKIP = "SKIP", _("Skip the step")
    STATION = "STATION", _("Run the step at another station")


class DeviationStatus(models.TextChoices):
    REQUESTED = "REQUESTED", _("Requested")
    IN_FORCE = "IN_FORCE", _("In force")
    ENDED = "ENDED", _("Ended")
    EXPIRED = "EXPIRED", _("Expired")
    REFUSED = "REFUSED", _("Refused")
    WITHDRAWN = "WITHDRAWN", _("Withdrawn")


class Deviation(models.Model):
    """Units of a run go past a step, or may run it at the named stations, until it expires or is ended.

    It is about a step with its operation, and covers the units in `unit_ids`; all of the run where that is null.
    """

    approval = models.OneToOneField(Approval, on_delete=models.PROTECT, related_name="deviation")
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="deviations", db_index=False, verbose_name=_("run")
    )
    type = models.CharField(_("type"), max_length=7, choices=DeviationType)
    status = models.CharField(_("status"), max_length=9, choices=DeviationStatus, default=DeviationStatus.REQUESTED)
    step_no = models.PositiveIntegerField(_("step"))
    operation_code = models.CharField(_("operation"), max_length=100)
    station_codes = ArrayField(models.CharField(max_length=100), default=list, verbose_name=_("stations"))
    unit_ids = ArrayField(models.BigIntegerField(), null=True, verbose_name=_("units"))
    expires_at = models.DateTimeField(_("expires"))
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON)
    requested_by = models.CharField(_("requested by"), max_length=150)
    requested_at = models.DateTimeField(_("requested"), default=timezone.now)
    approved_by = models.CharField(_("approved by"), max_length=150, blank=True)
    approved_at = models.DateTimeField(_("approved"), null=True)
    ended_by = models.CharField(_("ended by"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    end_reason = models.CharField(_("reason of its end"), max_length=LONGEST_REASON, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("deviation")
        verbose_name_plural = _("deviations")
        constraints = [
            models.CheckConstraint(
                condition=Q(type=DeviationType.SKIP, station_codes=[])
                | (Q(type=DeviationType.STATION) & ~Q(station_codes=[])),
                name="deviation_names_stations_where_it_is_about_them",
            ),
            models.CheckConstraint(
                condition=~Q(status=DeviationStatus.IN_FORCE) | Q(approved_at__isnull=False),
                name="deviation_in_force_is_approved",
            ),
        ]
        indexes = [
            models.Index(F("run"), F("id").desc(), name="deviation_by_run"),
            models.Index(F("expires_at"), condition=Q(status=DeviationStatus.IN_FORCE), name="deviation_by_expiry"),
        ]

    def __str__(self) -> str:
        return self.deviation_no

    @property
    def deviation_no(self) -> str:
        """Its number, as people name it."""
        return f"DEV-{self.pk}"

    @property
    def standing(self) -> str:
        """Its status; once the time is over, expired, though that is not written yet."""
        is_over = self.status == DeviationStatus.IN_FORCE and self.expires_at <= timezone.now()
        return DeviationStatus.EXPIRED if is_over else self.status
