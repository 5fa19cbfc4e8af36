"""One decision about many kept messages."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class BulkVerb(models.TextChoices):
    REPLAY = "REPLAY", _("Try again")
    DISMISS = "DISMISS", _("Dismiss")


class BulkStatus(models.TextChoices):
    RUNNING = "RUNNING", _("Running")
    DONE = "DONE", _("Done")


class BulkAction(models.Model):
    """Refused things of one kind that are tried again or dismissed, one after the other, by the worker.

    `item_ids` are the things meant when it was asked for, in order of occurrence; `done` counts those that are through.
    While a process works on it, `leased_until` lies ahead; `stalls` counts the processes that died at the same thing.
    """

    kind = models.CharField(_("kind"), max_length=40)
    verb = models.CharField(_("action"), max_length=7, choices=BulkVerb)
    status = models.CharField(_("status"), max_length=7, choices=BulkStatus, default=BulkStatus.RUNNING)
    selection = models.JSONField(_("what is meant"), default=dict)
    as_new = models.BooleanField(_("conflicts as new"), default=False)
    spec_names = models.JSONField(
        _("names that were meant"), default=dict, db_default=models.Value({}, models.JSONField())
    )
    reason = models.CharField(_("reason"), max_length=500)
    by = models.CharField(_("by"), max_length=200)
    stations = ArrayField(models.CharField(max_length=100), null=True, verbose_name=_("only for stations"))
    item_ids = ArrayField(models.BigIntegerField(), default=list)
    matched = models.PositiveIntegerField(_("meant"))
    done = models.PositiveIntegerField(_("through"), default=0)
    applied = models.PositiveIntegerField(_("applied"), default=0)
    waiting = models.PositiveIntegerField(_("waiting"), default=0)
    refused = models.PositiveIntegerField(_("still refused"), default=0)
    dismissed = models.PositiveIntegerField(_("dismissed"), default=0)
    created_at = models.DateTimeField(_("asked for"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True)
    leased_until = models.DateTimeField(_("leased until"), null=True)
    stalls = models.PositiveSmallIntegerField(_("processes that died of it"), default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("bulk action")
        verbose_name_plural = _("bulk actions")
        constraints = [
            models.CheckConstraint(
                condition=Q(status=BulkStatus.RUNNING, ended_at=None)
                | Q(status=BulkStatus.DONE, ended_at__isnull=False, done=F("matched")),
                name="bulk_action_ends_once",
            ),
            models.CheckConstraint(
                condition=Q(done=F("applied") + F("waiting") + F("refused") + F("dismissed"), done__lte=F("matched")),
                name="bulk_action_counts_each",
            ),
        ]
        indexes = [
            models.Index(F("kind"), F("id"), condition=Q(status=BulkStatus.RUNNING), name="bulk_action_running"),
            models.Index(F("ended_at"), name="bulk_action_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.pk}"

    @property
    def remaining(self) -> int:
        """How many are still to be worked on."""
        return self.matched - self.done
