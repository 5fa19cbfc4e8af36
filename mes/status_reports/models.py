"""What other systems report of things here: each report, and things whose latest report by event time counts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

LONGEST_NAME = 200  # of an account, or of a token after `token:`


def recorded_by_field(label: Any = None) -> models.CharField:
    """Return a field for who was signed in when something was reported: an account, or `token:` and a token's name.

    An operator that a report names is a claim; this is what was authenticated. What is older than this field is "".
    """
    return models.CharField(label or _("recorded by"), max_length=LONGEST_NAME, blank=True, default="", db_default="")


class Reported(models.Model):
    """A row with reported fields. `field_sources`: of each, [event time, event id] of the report it came from."""

    status_at = models.DateTimeField(
        _("status since"), null=True, blank=True, help_text=_("The event time of the latest report of the status.")
    )
    field_sources = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        abstract = True

    def apply_report(
        self, fields: Mapping[str, Any], *, at: datetime, event_id: str, status: str = "status"
    ) -> list[str]:
        """Set the fields for which this report is the latest so far; return their names. Nulls say nothing.

        The caller holds the row's lock and saves. Each field counts by itself: an older report still fills a field
        that no newer one spoke of. Of two reports of the same instant the one with the greater id counts, so that
        the outcome does not depend on the order of arrival.
        """
        stamp = [at.isoformat(), event_id]
        applied = []
        for name, value in fields.items():
            current_stamp = self.field_sources.get(name)
            if value is None or (current_stamp is not None and _order(stamp) <= _order(current_stamp)):
                continue
            setattr(self, name, value)
            self.field_sources[name] = stamp
            applied.append(name)
        if status in applied:
            self.status_at = at
        return applied

    def note_typed(self, *names: str, status: str = "status") -> None:
        """Note that a person set these fields now: reports of earlier times no longer count for them."""
        now = timezone.now()
        for name in names:
            self.field_sources[name] = [now.isoformat(), ""]
        if status in names:
            self.status_at = now


def _order(stamp: list[str]) -> tuple[datetime, str]:
    return datetime.fromisoformat(stamp[0]), stamp[1]


class ReportKind(models.TextChoices):
    STENCIL_STATUS = "STENCIL_STATUS", _("Stencil status")
    SOLDER_PASTE_STATUS = "SOLDER_PASTE_STATUS", _("Solder paste status")
    SOLDER_PASTE_USAGE = "SOLDER_PASTE_USAGE", _("Solder paste usage")
    EQUIPMENT_STATUS = "EQUIPMENT_STATUS", _("Equipment status")
    MAINTENANCE_TASK = "MAINTENANCE_TASK", _("Maintenance task")
    INSPECTION_RESULT = "INSPECTION_RESULT", _("Inspection result")
    STATION_DATA = "STATION_DATA", _("Values of a station")
    LOT_EVENT = "LOT_EVENT", _("Event of a material lot")
    MATERIAL_LOADS = "MATERIAL_LOADS", _("What slots hold")
    MATERIAL_USES = "MATERIAL_USES", _("Uses of materials")


class StatusReport(models.Model):
    """One accepted report of another system about `subject` (a stencil, lot, machine or serial
    number): the history."""

    kind = models.CharField(_("kind"), max_length=20, choices=ReportKind)
    subject = models.CharField(_("about"), max_length=100, db_collation="C")
    event_id = models.CharField(_("event id"), max_length=200)
    event_time = models.DateTimeField(_("event time"))
    received_at = models.DateTimeField(_("received"), default=timezone.now)
    source = models.CharField(_("source"), max_length=6)
    operator_id = models.CharField(_("operator"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    content = models.JSONField(_("content"))
    meta = models.JSONField(_("meta"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("status report")
        verbose_name_plural = _("status reports")
        indexes = [
            models.Index(F("kind"), F("subject"), F("event_time").desc(), name="status_report_history"),
            models.Index(F("kind"), F("id").desc(), name="status_report_by_kind"),
            models.Index(F("received_at"), name="status_report_age"),
            models.Index(F("event_id"), name="status_report_by_event"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
