"""The outbox: what happened, waiting for those who must act on it."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform import request_ids
from mes.platform.outbox.shown import HIDDEN, without_path


class EventType(models.TextChoices):
    TRACK_IN = "TRACK_IN", _("Track in")
    TRACK_OUT = "TRACK_OUT", _("Track out")
    SOLDER_PASTE_THAW = "SOLDER_PASTE_THAW", _("Solder paste thawed")
    SOLDER_PASTE_USAGE_CREATE = "SOLDER_PASTE_USAGE_CREATE", _("Solder paste taken into use")
    SOLDER_PASTE_USAGE_UNBIND = "SOLDER_PASTE_USAGE_UNBIND", _("Solder paste taken out of use")
    DATA_ALARM = "DATA_ALARM", _("Data alarm")
    OUTBOUND_FEEDBACK = "OUTBOUND_FEEDBACK", _("Feedback to another system")
    HOLD_APPLY = "HOLD_APPLY", _("Units are held or decided about together")
    DEFECT_FOUND = "DEFECT_FOUND", _("A defect was found otherwise than by a move")
    HOLD_RULE_BROKEN = "HOLD_RULE_BROKEN", _("Passes that a hold rule does not let go by")
    NOTICE = "NOTICE", _("Something that people are told by rules")
    NOTICE_MAIL = "NOTICE_MAIL", _("A mail to a person")
    NOTICE_WEBHOOK = "NOTICE_WEBHOOK", _("A message to a webhook")
    LOAD_CHANGED = "LOAD_CHANGED", _("What a slot holds changed")
    MATERIAL_CORRECTED = "MATERIAL_CORRECTED", _("A load was corrected")
    RUN_COUNTS_CHANGED = "RUN_COUNTS_CHANGED", _("Counts or status of a run changed after its end")


class EventStatus(models.TextChoices):
    PENDING = "PENDING", _("Pending")
    PROCESSING = "PROCESSING", _("In work")
    COMPLETED = "COMPLETED", _("Completed")
    FAILED = "FAILED", _("Failed, will be tried again")
    DEAD = "DEAD", _("Given up")


DUE_STATUSES = (EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.FAILED)


class MesEvent(models.Model):
    """One thing that happened, written in the transaction that made it happen.

    `next_attempt_at` is when it is due: while PROCESSING, it is the end of the lease, after which the worker
    that took the event counts as dead and another may take it. So one index serves the claim.
    """

    event_type = models.CharField(_("type"), max_length=40, choices=EventType)
    status = models.CharField(_("status"), max_length=10, choices=EventStatus, default=EventStatus.PENDING)
    idempotency_key = models.CharField(_("key"), max_length=200, unique=True)
    entity_type = models.CharField(_("entity type"), max_length=40)
    entity_id = models.CharField(_("entity"), max_length=100)
    run_id = models.BigIntegerField(_("run"), null=True, blank=True)
    request_id = models.CharField(_("request"), max_length=request_ids.LONGEST, blank=True, default="", db_default="")
    payload = models.JSONField(_("payload"), default=dict)
    occurred_at = models.DateTimeField(_("occurred"))
    created_at = models.DateTimeField(_("written"), default=timezone.now)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    max_attempts = models.PositiveSmallIntegerField(_("most attempts"), default=10)
    next_attempt_at = models.DateTimeField(_("due"), default=timezone.now)
    begun_at = models.DateTimeField(_("begun"), null=True, blank=True)
    claim_token = models.UUIDField(_("claim"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    retried_at = models.DateTimeField(_("tried again by hand"), null=True, blank=True)
    retention_until = models.DateTimeField(_("kept until"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(F("next_attempt_at"), F("id"), condition=Q(status__in=DUE_STATUSES), name="event_due"),
            models.Index(F("id"), condition=Q(status=EventStatus.DEAD), name="event_dead"),
            models.Index(F("retention_until"), condition=Q(status=EventStatus.COMPLETED), name="event_retention"),
            models.Index(F("entity_type"), F("entity_id"), name="event_by_entity"),
            models.Index(F("request_id"), condition=~Q(request_id=""), name="event_by_request"),
            models.Index(
                F("id").desc(), condition=Q(event_type=EventType.OUTBOUND_FEEDBACK), name="event_outbound_newest"
            ),
            models.Index(F("event_type"), F("occurred_at"), name="event_by_type_and_time"),
            # Moves are nearly all there is: the others are found without reading them.
            models.Index(
                F("event_type"),
                F("id"),
                condition=~Q(event_type=EventType.TRACK_IN) & ~Q(event_type=EventType.TRACK_OUT),
                name="event_of_no_move",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.entity_id}"

    @property
    def shown_payload(self) -> Any:
        """The payload without the address to which a notice goes: who looks into the outbox may know less than its
        handlers, and a person's mail is his own.
        """
        if not isinstance(self.payload, dict) or "to" not in self.payload:
            return self.payload
        if self.event_type == EventType.NOTICE_WEBHOOK:
            return self.payload | {"to": without_path(str(self.payload["to"]))}
        if self.event_type == EventType.NOTICE_MAIL:
            return self.payload | {"to": HIDDEN}
        return self.payload


class WorkerHeartbeat(models.Model):
    """When each worker last showed itself; `/readyz` reads it. A worker that is stopped takes its row away."""

    name = models.CharField(_("worker"), max_length=100, unique=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    beat_at = models.DateTimeField(_("last heartbeat"), default=timezone.now)
    ticked_at = models.DateTimeField(_("last tick"), null=True)
    processed = models.PositiveIntegerField(_("events since its start"), default=0)

    class Meta:
        ordering = ["name"]
        verbose_name = _("worker heartbeat")
        verbose_name_plural = _("worker heartbeats")

    def __str__(self) -> str:
        return self.name


class TaskOutcome(models.Model):
    """How a scheduled task fares: one row for each schedule, written when django-q2 begins and ends a run of it.

    django-q2's own results do not say it: they go after a while, a run whose process was killed leaves none, and they
    keep the names of functions that were moved since.
    """

    name = models.CharField(_("task"), max_length=100, unique=True)
    created_at = models.DateTimeField(_("expected since"), default=timezone.now)
    begun_at = models.DateTimeField(_("last begun"), null=True)
    running_since = models.DateTimeField(_("running since"), null=True)
    succeeded_at = models.DateTimeField(_("last succeeded"), null=True)
    failed_at = models.DateTimeField(_("last failed"), null=True)
    failing_since = models.DateTimeField(_("failing since"), null=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("outcome of a scheduled task")
        verbose_name_plural = _("outcomes of scheduled tasks")

    def __str__(self) -> str:
        return self.name
