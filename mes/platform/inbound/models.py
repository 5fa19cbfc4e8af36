"""The keys of what was received, so that nothing counts twice, and the clocks of those who send it."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.validators import CODE_LENGTH, validate_code, validate_time_zone

LARGEST_CORRECTION = 7 * 24 * 3600  # seconds: a clock that is further off has no time at all


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


class Source(models.Model):
    """A system that sends machine events or device data, and how to read the times it says.

    Its code is the `sourceSystem` of what it sends. Not every system has one: without, its times are taken as they are.
    """

    code = models.CharField(
        _("source system"),
        max_length=CODE_LENGTH,
        unique=True,
        db_collation="C",
        validators=[validate_code],
        help_text=_("As it calls itself in what it sends."),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("Of times that it says without an offset, such as “Europe/Berlin”."),
    )
    clock_correction_seconds = models.FloatField(
        _("clock correction (s)"),
        default=0,
        validators=[MinValueValidator(-LARGEST_CORRECTION), MaxValueValidator(LARGEST_CORRECTION)],
        help_text=_("By how much its clock is ahead; negative if it is behind. Subtracted from every time it says."),
    )

    class Meta:
        ordering = ["code"]
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        constraints = [
            models.CheckConstraint(
                condition=Q(clock_correction_seconds__range=(-LARGEST_CORRECTION, LARGEST_CORRECTION)),
                name="source_correction_within_a_week",
            )
        ]

    def __str__(self) -> str:
        return self.code
