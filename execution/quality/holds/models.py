"""What a hold is yet to do."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.production.hold_models import Hold, HoldDecision


class HoldBatch(models.Model):
    """Units that a hold is yet to hold, or that were decided about together. It goes with the transaction that does it.

    What was caught goes by itself; of all others of a hold, or of a decision, one follows the other.
    """

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="batches")
    decision = models.ForeignKey(HoldDecision, on_delete=models.PROTECT, null=True, related_name="batches")
    is_caught = models.BooleanField(_("caught"), default=False)
    unit_ids = ArrayField(models.BigIntegerField(), verbose_name=_("units"))
    created_at = models.DateTimeField(_("planned"), default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = _("batch of a hold")
        verbose_name_plural = _("batches of holds")

    def __str__(self) -> str:
        return f"{self.hold_id} {self.pk}"
