"""What machines reported, and what became of it."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Station
from mes.platform import request_ids
from mes.production.models import Run
from mes.status_reports.models import recorded_by_field


class EventType(models.TextChoices):
    AUTO = "AUTO", _("Automatic")
    TEST = "TEST", _("Test")
    BATCH = "BATCH", _("Batch")


class IngestStatus(models.TextChoices):
    APPLIED = "APPLIED", _("Applied")
    WAITING = "WAITING", _("Waiting")
    REJECTED = "REJECTED", _("Rejected")
    CONFLICT = "CONFLICT", _("Conflict")
    DISMISSED = "DISMISSED", _("Dismissed")


OPEN_STATUSES = (IngestStatus.WAITING, IngestStatus.REJECTED, IngestStatus.CONFLICT)
REFUSED_STATUSES = (IngestStatus.REJECTED, IngestStatus.CONFLICT)  # a person decides about them
DECIDED_STATUSES = (*REFUSED_STATUSES, IngestStatus.APPLIED)  # and about what applied ones left out
WORK_STATUSES = (*OPEN_STATUSES, IngestStatus.APPLIED)


class IngestBase(models.Model):
    """The fields that open, settled and listed events share. Links to what an event made are ids: no foreign keys.

    `note` says who had it replayed or dismissed, and why.
    """

    received_at = models.DateTimeField(_("received"))
    source_system = models.CharField(_("source system"), max_length=100, db_collation="C")
    dedupe_key = models.CharField(_("key"), max_length=200, db_collation="C")
    event_type = models.CharField(_("type"), max_length=5, choices=EventType, blank=True)
    occurred_at = models.DateTimeField(_("occurred"), null=True)
    # As its source says, whose clock may be off; null where it says no time.
    reported_at = models.DateTimeField(_("occurred by its source"), null=True)
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    station = models.ForeignKey(
        Station, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    step_no = models.PositiveIntegerField(_("step"), null=True)
    carrier_no = models.CharField(_("carrier"), max_length=100, blank=True)
    sns = ArrayField(models.CharField(max_length=100), default=list, verbose_name=_("serial numbers"))
    unit_ids = ArrayField(models.BigIntegerField(), default=list)
    track_ids = ArrayField(models.BigIntegerField(), default=list, verbose_name=_("tracks"))
    carrier_track_id = models.BigIntegerField(_("carrier track"), null=True)
    result = models.CharField(_("result"), max_length=4, blank=True)
    test_result_id = models.CharField(_("test result id"), max_length=200, blank=True)
    transaction_id = models.CharField(_("transaction"), max_length=200, blank=True)
    payload = models.JSONField(_("event as sent"))
    normalized = models.JSONField(_("what the mapping extracted"), null=True)
    skipped = models.JSONField(_("units left out"), default=list)
    unmapped_count = models.PositiveIntegerField(_("measurements without a spec"), default=0)
    status = models.CharField(_("status"), max_length=9, choices=IngestStatus)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error = models.JSONField(_("error"), null=True)
    attempts = models.JSONField(_("earlier attempts"), default=list)
    note = models.JSONField(_("note"), null=True)
    count = models.PositiveIntegerField(_("times"), default=1)
    last_at = models.DateTimeField(_("last time"), default=timezone.now)
    recorded_by = recorded_by_field()
    request_id = models.CharField(
        _("request"), max_length=request_ids.LONGEST, blank=True, default=request_ids.current, db_default=""
    )

    class Meta:
        abstract = True
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source_system} {self.dedupe_key}"

    @property
    def sent_key(self) -> str:
        """The key that it was sent with. A conflict is kept under a key of its own."""
        sent = self.payload.get("dedupeKey") if isinstance(self.payload, dict) else None
        return sent if isinstance(sent, str) and self.status == IngestStatus.CONFLICT else self.dedupe_key


class OpenIngestEvent(IngestBase):
    """Open work: an event that waits for its turn, was rejected, or has other content than the one that spent its key
    (CONFLICT: it lies under a key of its own). Small and unpartitioned.

    `subject` is what its refusal is about (a spec, machine, station, path or serial number), `is_failing` whether it
    says that a unit failed; `held_unit_ids` are the units that are held for it.
    `blocked_unit_id` and `blocked_step_no` name the move that lets it be tried again by itself; the clock tries what is
    due in order of `next_attempt_at`, first what it has not tried yet. `failures` counts attempts since the last one
    that came to an end that the product foresees.
    """

    digest = models.BinaryField()
    subject = models.CharField(_("about"), max_length=200, blank=True, default="", db_default="")
    is_failing = models.BooleanField(_("reports a failure"), default=False, db_default=False)
    held_unit_ids = ArrayField(
        models.BigIntegerField(), default=list, db_default=Value([], ArrayField(models.BigIntegerField()))
    )
    wait_seconds = models.PositiveIntegerField(_("seconds it may wait"), null=True)
    wait_until = models.DateTimeField(_("waits until"), null=True)
    failures = models.PositiveIntegerField(_("attempts that failed unexpectedly"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True)
    blocked_unit_id = models.BigIntegerField(null=True)
    blocked_step_no = models.PositiveIntegerField(null=True)

    class Meta(IngestBase.Meta):
        verbose_name = _("open ingest event")
        verbose_name_plural = _("open ingest events")
        constraints = [
            models.UniqueConstraint(fields=["source_system", "dedupe_key"], name="open_ingest_event_once"),
            models.CheckConstraint(
                condition=Q(status__in=REFUSED_STATUSES) | Q(status=IngestStatus.WAITING, wait_until__isnull=False),
                name="open_ingest_event_waits_or_is_refused",
            ),
        ]
        indexes = [
            models.Index(
                F("blocked_unit_id"),
                F("occurred_at"),
                condition=Q(blocked_unit_id__isnull=False),
                name="open_ingest_blocked",
            ),
            models.Index(F("wait_until"), condition=Q(status=IngestStatus.WAITING), name="open_ingest_waiting"),
            models.Index(F("status"), F("error_code"), F("source_system"), name="open_ingest_by_cause"),
            GinIndex(F("held_unit_ids"), name="open_ingest_holding", fastupdate=False),
        ]


class SettledIngestEvent(IngestBase):
    """History: an event that was applied or dismissed. Partitioned by month of `received_at`."""

    class Meta(IngestBase.Meta):
        verbose_name = _("settled ingest event")
        verbose_name_plural = _("settled ingest events")
        indexes = [
            models.Index(F("source_system"), F("dedupe_key"), name="settled_ingest_by_key"),
            models.Index(F("run"), F("id"), name="settled_ingest_by_run"),
            models.Index(F("station"), F("id"), name="settled_ingest_by_station"),
            models.Index(
                F("source_system"),
                F("transaction_id"),
                condition=~Q(transaction_id=""),
                name="settled_ingest_by_transaction",
            ),
            models.Index(F("request_id"), condition=Q(request_id__gt=""), name="settled_ingest_by_request"),
            # What is not simply applied is rare: these are found without reading the others, and cost those nothing.
            models.Index(
                F("status"), F("id"), condition=~Q(status=IngestStatus.APPLIED), name="settled_ingest_unusual"
            ),
            models.Index(F("error_code"), F("id"), condition=Q(error_code__gt=""), name="settled_ingest_by_code"),
            models.Index(
                F("source_system"),
                F("received_at"),
                condition=Q(reported_at__isnull=False),
                include=["reported_at"],
                name="settled_ingest_clocks",
            ),
        ]


class PartialIngestEvent(models.Model):
    """Open work: an applied event that left units or items out, until it is replayed or dismissed. Small and
    unpartitioned; while it stands, the month of its event stays.

    Its id and times are those of the settled event. `sns` are the units that are open still, `held_unit_ids` those that
    are held for what it says of them; `error`, `error_code` and `subject` are those of what it left out, first of what
    failed.
    """

    id = models.BigIntegerField(primary_key=True)
    received_at = models.DateTimeField(_("received"))
    source_system = models.CharField(_("source system"), max_length=100, db_collation="C")
    dedupe_key = models.CharField(_("key"), max_length=200, db_collation="C")
    occurred_at = models.DateTimeField(_("occurred"), null=True)
    last_at = models.DateTimeField(_("last time"))
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    station = models.ForeignKey(
        Station, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    step_no = models.PositiveIntegerField(_("step"), null=True)
    sns = ArrayField(models.CharField(max_length=100), default=list, verbose_name=_("serial numbers"))
    error_code = models.CharField(_("error code"), max_length=60)
    error = models.JSONField(_("error"))
    subject = models.CharField(_("about"), max_length=200, blank=True)
    is_failing = models.BooleanField(_("reports a failure"))
    held_unit_ids = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("partly applied ingest event")
        verbose_name_plural = _("partly applied ingest events")
        indexes = [
            models.Index(F("received_at"), name="partial_ingest_by_month"),
            GinIndex(F("held_unit_ids"), name="partial_ingest_holding", fastupdate=False),
        ]

    def __str__(self) -> str:
        return f"{self.source_system} {self.dedupe_key}"


class IngestWork(models.Model):
    """What is open, with why: events that wait or are refused, and applied ones (by that status) that left something
    out. A view over the two tables of open work; the events themselves are `IngestEvent`s of the same ids.
    """

    id = models.BigIntegerField(primary_key=True)
    received_at = models.DateTimeField()
    source_system = models.CharField(max_length=100, db_collation="C")
    dedupe_key = models.CharField(max_length=200, db_collation="C")
    occurred_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField()
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    station = models.ForeignKey(Station, models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    step_no = models.PositiveIntegerField(null=True)
    sns = ArrayField(models.CharField(max_length=100))
    status = models.CharField(max_length=9, choices=IngestStatus)
    error_code = models.CharField(max_length=60)
    error = models.JSONField(null=True)
    subject = models.CharField(max_length=200)
    is_failing = models.BooleanField()
    blocked_unit_id = models.BigIntegerField(null=True)
    wait_until = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField()
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "ingest_work"
        ordering = ["-id"]
        verbose_name = _("open ingest event")
        verbose_name_plural = _("open ingest events")

    def __str__(self) -> str:
        return f"{self.source_system} {self.dedupe_key}"


class IngestEventUnit(models.Model):
    """Which settled events a unit has part in. Partitioned like the events, so that both go together."""

    received_at = models.DateTimeField()
    unit_id = models.BigIntegerField()
    event_id = models.BigIntegerField()

    class Meta:
        verbose_name = _("unit of an ingest event")
        verbose_name_plural = _("units of ingest events")
        indexes = [models.Index(F("unit_id"), F("received_at"), name="ingest_event_by_unit")]

    def __str__(self) -> str:
        return f"{self.event_id} {self.unit_id}"


class IngestEvent(IngestBase):
    """Every event, open or settled: a view over the two tables."""

    class Meta(IngestBase.Meta):
        managed = False
        db_table = "ingest_event"
        verbose_name = _("ingest event")
        verbose_name_plural = _("ingest events")
