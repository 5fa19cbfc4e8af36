"""The keys of what was received, so that nothing counts twice."""

from django.db import models
from django.db.models import F
from django.utils import timezone


class IdempotencyKey(models.Model):
    """One accepted message of a channel. Its digest tells a repeat from a conflict."""

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
