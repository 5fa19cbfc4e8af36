"""What other systems and devices sent, and what became of it."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Station
from mes.platform import request_ids
from mes.platform.inbound.keys import sent_key
from mes.production.models import Run, RunStatus, Unit


class DeviceDataRecord(models.Model):
    """One accepted device data event, resolved to what it belongs to. Partitioned by month of `received_at`.

    It is also the message that the event came in, under the id that the message has, unless that lies among the
    settled ones: a reading is kept once.
    """

    received_at = models.DateTimeField(_("received"))
    event_id = models.CharField(_("event id"), max_length=200)
    event_time = models.DateTimeField(_("event time"))
    source = models.CharField(_("source"), max_length=6)
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    unit = models.ForeignKey(Unit, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    station = models.ForeignKey(
        Station, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    track_id = models.BigIntegerField(_("track"), null=True)
    carrier_track_id = models.BigIntegerField(_("carrier track"), null=True)
    step_no = models.PositiveIntegerField(_("step"), null=True)
    equipment_id = models.CharField(_("equipment"), max_length=100, blank=True)
    operator_id = models.CharField(_("operator"), max_length=150, blank=True)
    system = models.CharField(_("system"), max_length=200, blank=True)
    payload = models.JSONField(_("payload"))
    is_message = models.BooleanField(_("is its message"), default=True)
    values_count = models.PositiveIntegerField(_("values"))
    judge = models.CharField(_("judge"), max_length=4, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("device data record")
        verbose_name_plural = _("device data records")
        indexes = [
            models.Index(F("unit"), F("received_at"), name="device_record_by_unit"),
            models.Index(F("run"), F("id"), name="device_record_by_run"),
            models.Index(F("station"), F("id"), name="device_record_by_station"),
            models.Index(F("event_id"), name="device_record_by_event"),
        ]

    def __str__(self) -> str:
        return self.event_id

    @property
    def data(self) -> list[dict[str, Any]]:
        """The values as they were sent; none of an event with counts."""
        return self.payload.get("data") or []

    @property
    def production(self) -> dict[str, Any] | None:
        """The counts as they were sent."""
        return self.payload.get("production")

    @property
    def meta(self) -> dict[str, Any] | None:
        """What else the device sent."""
        return self.payload.get("meta")


class Direction(models.TextChoices):
    INBOUND = "INBOUND", _("Inbound")
    OUTBOUND = "OUTBOUND", _("Outbound")


class MessageStatus(models.TextChoices):
    SUCCESS = "SUCCESS", _("Applied")
    DUPLICATE = "DUPLICATE", _("Duplicate")
    CONFLICT = "CONFLICT", _("Conflict")
    FAILED = "FAILED", _("Failed")
    REPLAYED = "REPLAYED", _("Replayed")
    RETRYING = "RETRYING", _("Will be tried again")
    DISMISSED = "DISMISSED", _("Dismissed")


REFUSED_STATUSES = (MessageStatus.FAILED, MessageStatus.CONFLICT)  # a person decides about them


class MessageBase(models.Model):
    """The fields that open, settled and listed messages share."""

    received_at = models.DateTimeField(_("received"))
    direction = models.CharField(_("direction"), max_length=8, choices=Direction)
    system = models.CharField(_("system"), max_length=200, blank=True)
    entity_type = models.CharField(_("entity type"), max_length=40)
    business_key = models.CharField(_("business key"), max_length=200, blank=True)
    dedupe_key = models.CharField(_("key"), max_length=200, blank=True)
    status = models.CharField(_("status"), max_length=9, choices=MessageStatus)
    payload = models.JSONField(_("payload"), null=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error = models.JSONField(_("error"), null=True)
    count = models.PositiveIntegerField(_("times"), default=1)
    last_at = models.DateTimeField(_("last time"), default=timezone.now)
    record_id = models.BigIntegerField(_("record"), null=True)
    note = models.JSONField(_("note"), null=True)
    request_id = models.CharField(
        _("request"), max_length=request_ids.LONGEST, blank=True, default=request_ids.current, db_default=""
    )

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.entity_type} {self.business_key}"

    @staticmethod
    def with_business_key(key: str) -> Q:
        """Return the condition of messages that have this business key and another key beside it, by its index."""
        return Q(business_key=key) & ~Q(business_key=F("dedupe_key"))

    @property
    def sent_key(self) -> str:
        """The key that it was sent with."""
        return self.business_key if self.status == MessageStatus.CONFLICT else sent_key(self.dedupe_key)


class FailedMessage(MessageBase):
    """Open work: a message that could not be applied, kept until somebody decides; of outbound ones also what will be
    tried again (RETRYING). Small and unpartitioned.

    A CONFLICT has other content than the message that spent its key: it lies under a key of its own. `subject` is what
    its refusal is about, `held_unit_ids` are the units that are held for it.
    """

    digest = models.BinaryField()
    subject = models.CharField(_("about"), max_length=200, blank=True, default="", db_default="")
    held_unit_ids = ArrayField(
        models.BigIntegerField(), default=list, db_default=Value([], ArrayField(models.BigIntegerField()))
    )

    class Meta(MessageBase.Meta):
        verbose_name = _("failed message")
        verbose_name_plural = _("failed messages")
        constraints = [
            models.UniqueConstraint(
                fields=["entity_type", "dedupe_key", "digest", "error_code"], name="failed_message_counts_up"
            ),
            models.CheckConstraint(
                condition=Q(status__in=[*REFUSED_STATUSES, MessageStatus.RETRYING]), name="failed_message_is_kept_open"
            ),
        ]
        indexes = [
            models.Index(F("status"), F("error_code"), F("system"), name="failed_message_by_cause"),
            GinIndex(F("held_unit_ids"), name="failed_message_holding", fastupdate=False),
        ]


class SettledMessage(MessageBase):
    """History: a message with its outcome. Partitioned by month of `received_at`. Device data that was applied at once
    is not here: its record says it all.
    """

    class Meta(MessageBase.Meta):
        verbose_name = _("settled message")
        verbose_name_plural = _("settled messages")
        indexes = [
            models.Index(F("entity_type"), F("dedupe_key"), name="settled_message_by_key"),
            # Few have two keys: a conflict, and what came from a source with keys of its own.
            models.Index(
                F("business_key"), condition=~Q(business_key=F("dedupe_key")), name="settled_message_by_other_key"
            ),
            models.Index(F("status"), F("id"), condition=~Q(status="SUCCESS"), name="settled_message_unusual"),
            models.Index(F("error_code"), F("id"), condition=Q(error_code__gt=""), name="settled_message_by_code"),
            models.Index(F("request_id"), condition=Q(request_id__gt=""), name="settled_message_by_request"),
        ]


class MessageManager(models.Manager["IntegrationMessage"]):
    """Messages only."""

    def get_queryset(self) -> models.QuerySet["IntegrationMessage"]:
        return super().get_queryset().filter(is_message=True)


class IntegrationMessage(MessageBase):
    """Every message, open or settled, and applied device data: a view over the three tables.

    Of applied device data the request is not kept: its event id finds it.
    The records that are no messages are left out by a condition outside of the view: with one inside, PostgreSQL would
    read and sort all records for a page of the list.
    """

    is_message = models.BooleanField()

    objects = MessageManager()

    class Meta(MessageBase.Meta):
        managed = False
        db_table = "integration_message"
        verbose_name = _("message")
        verbose_name_plural = _("messages")


class RunReport(models.Model):
    """What the ERP was told last of a run: the status and the units by status that the message said, none of them 0.

    The messages go in time, and a run may change years after its end: what was said last is kept with it.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="report")
    status = models.CharField(_("status"), max_length=13, choices=RunStatus)
    unit_counts = models.JSONField(_("units by status"))
    reported_at = models.DateTimeField(_("reported"), default=timezone.now)

    class Meta:
        verbose_name = _("report of a run")
        verbose_name_plural = _("reports of runs")

    def __str__(self) -> str:
        return f"{self.run_id} {self.status}"
