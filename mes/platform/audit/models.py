"""What the triggers of tracked tables write, and the seals by which it shows that nobody bent it since."""

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from mes.platform.database.authorship import ActorKind, Via


class AuditAction(models.TextChoices):
    CREATE = "CREATE", _("Created")
    UPDATE = "UPDATE", _("Changed")
    DELETE = "DELETE", _("Deleted")


class AuditEntry(models.Model):
    """One change of one row. `before` and `after` are by column; of an update, only columns that differ.

    `root` is the thing that people know the row by: a step's is its route. `entity_id` and `root_id` are what the
    interface's addresses take; `row_id` is the row's own.
    """

    # By month, as every big table here: the column has the name that partitions go by.
    at = models.DateTimeField(_("at"), db_column="received_at")
    entity = models.CharField(_("kind"), max_length=40)
    row_id = models.BigIntegerField(_("row"))
    entity_id = models.CharField(_("of"), max_length=200)
    root_entity = models.CharField(_("kind of the thing"), max_length=40)
    root_id = models.CharField(_("thing"), max_length=200)
    name = models.CharField(_("name"), max_length=300)
    action = models.CharField(_("action"), max_length=6, choices=AuditAction)
    before = models.JSONField(_("before"), null=True)
    after = models.JSONField(_("after"), null=True)
    actor = models.CharField(_("who"), max_length=200, blank=True)
    actor_kind = models.CharField(_("who that is"), max_length=8, choices=ActorKind)
    via = models.CharField(_("way"), max_length=8, choices=Via)
    request_id = models.CharField(_("request"), max_length=64, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    transaction = models.BigIntegerField(_("transaction"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        default_permissions = ("view",)
        indexes = [
            models.Index(F("entity"), F("entity_id"), F("id"), name="audit_by_entity"),
            models.Index(F("root_entity"), F("root_id"), F("id"), name="audit_by_root"),
            models.Index(F("entity"), F("row_id"), F("id"), name="audit_by_row"),
            models.Index(F("name"), F("id"), name="audit_by_name"),
            models.Index(F("actor"), F("id"), name="audit_by_actor"),
            models.Index(F("request_id"), name="audit_by_request"),
            models.Index(F("at"), name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.entity} {self.entity_id}"


class AuditSeal(models.Model):
    """What the entries of a month between two ids were when they were sealed.

    `digest` is the SHA-256 of the seal before and of the entries by id. When the retention drops the month, the seal
    stays, with `dropped_at`. The database refuses every other change of it.
    """

    month = models.DateField(_("month"))
    first_id = models.BigIntegerField(_("first entry"))
    last_id = models.BigIntegerField(_("last entry"))
    count = models.PositiveIntegerField(_("entries"))
    digest = models.CharField(_("digest"), max_length=64)
    sealed_at = models.DateTimeField(_("sealed"))
    dropped_at = models.DateTimeField(_("dropped"), null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("seal of changes")
        verbose_name_plural = _("seals of changes")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["month", "last_id"], name="audit_seal_once")]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.first_id}–{self.last_id}"
