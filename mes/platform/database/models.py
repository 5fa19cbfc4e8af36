"""What the retention did, and the row that shows that writing works."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class RetentionRun(models.Model):
    """One night's removal of what may go: what it removed and what failed. It ends when a worker saw it through."""

    started_at = models.DateTimeField(_("started"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True)
    rows = models.JSONField(_("rows removed"), default=dict)
    tables = models.JSONField(_("tables dropped"), default=dict)
    errors = models.JSONField(_("errors"), default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("retention run")
        verbose_name_plural = _("retention runs")

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class WriteProbe(models.Model):
    """The one row that `/readyz` writes, to see whether writing works."""

    written_at = models.DateTimeField(_("last written"))

    class Meta:
        verbose_name = _("write probe")
        verbose_name_plural = _("write probes")

    def __str__(self) -> str:
        return f"{self.written_at:%Y-%m-%d %H:%M:%S}"
