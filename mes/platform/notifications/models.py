"""Notifications of people inside the application, and the lines they follow."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Severity(models.TextChoices):
    INFO = "INFO", _("Information")
    WARNING = "WARNING", _("Warning")
    ALERT = "ALERT", _("Alert")


class Notification(models.Model):
    """One thing told to one person. Writing the same key twice tells it once."""

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="notifications",
        db_index=False,
        verbose_name=_("recipient"),
    )
    key = models.CharField(_("key"), max_length=200)
    severity = models.CharField(_("severity"), max_length=7, choices=Severity)
    text = models.CharField(_("text"), max_length=500)
    address = models.CharField(_("address"), max_length=500, blank=True, help_text=_("The page that tells more."))
    line = models.ForeignKey(
        "mes.Line", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("line")
    )
    created_at = models.DateTimeField(_("told"), default=timezone.now)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [models.UniqueConstraint(fields=["recipient", "key"], name="notification_once_per_person")]
        indexes = [
            models.Index(F("recipient"), F("id").desc(), name="notification_by_person"),
            models.Index(F("recipient"), condition=Q(read_at=None), name="notification_unread"),
            models.Index(F("created_at"), name="notification_age"),
        ]

    def __str__(self) -> str:
        return self.text


class FollowedLine(models.Model):
    """A line whose notifications a person wants. Who follows none gets those of all."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="followed_lines", db_index=False
    )
    line = models.ForeignKey("mes.Line", on_delete=models.CASCADE, related_name="+", verbose_name=_("line"))

    class Meta:
        ordering = ["id"]
        verbose_name = _("followed line")
        verbose_name_plural = _("followed lines")
        constraints = [models.UniqueConstraint(fields=["user", "line"], name="followed_line_once")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.line_id}"
