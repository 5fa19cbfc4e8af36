"""The key table: what was received already, so that nothing counts twice."""

from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """One accepted event of a channel. Its digest tells a repeat from a conflict."""

    pk = models.CompositePrimaryKey("channel", "key")
    channel = models.CharField(max_length=120, db_collation="C")
    key = models.CharField(max_length=200, db_collation="C")
    digest = models.BinaryField()
    record_id = models.BigIntegerField(null=True)
    answer = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(F("created_at"), name="idempotency_key_age")]

    def __str__(self) -> str:
        return f"{self.channel} {self.key}"


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
