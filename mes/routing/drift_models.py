"""Which routes differ from what compiling them would give: kept, so that lists need not compile."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mes.routing.models import Routing


class RouteDrift(models.Model):
    """How the latest version of a route differs from what is live, as it was looked at last.

    `version_no` is the version that was compared, null of a route without one; `differences` are the first of `count`,
    in words. While `due_since` is set, something was changed that the row does not tell yet.
    """

    routing = models.OneToOneField(
        Routing, on_delete=models.CASCADE, primary_key=True, related_name="drift", verbose_name=_("route")
    )
    version_no = models.PositiveIntegerField(_("version"), null=True)
    count = models.PositiveIntegerField(_("differences"), default=0)
    differences = models.JSONField(_("the first of them"), default=list)
    digest = models.CharField(_("digest of what is live"), max_length=64, blank=True)
    drifted_at = models.DateTimeField(_("differs since"), null=True)
    looked_at = models.DateTimeField(_("looked at"), null=True)
    due_since = models.DateTimeField(_("to be looked at since"), null=True)

    class Meta:
        ordering = ["routing"]
        verbose_name = _("drift of a route")
        verbose_name_plural = _("drifts of routes")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["due_since"], condition=models.Q(due_since__isnull=False), name="route_drift_due"),
            models.Index(fields=["looked_at"], name="route_drift_looked_at"),
        ]

    def __str__(self) -> str:
        return f"{self.routing_id}: {self.count}"


class DriftPosition(models.Model):
    """Up to where the audit was read for changes of what routes are compiled from: one row.

    Entries are read in the order of their transactions, and none of one that is not over: a smaller id may commit
    later. `read_at` is when.
    """

    transaction = models.BigIntegerField(_("transaction"))
    entry_id = models.BigIntegerField(_("entry"))
    read_at = models.DateTimeField(_("read"))

    class Meta:
        verbose_name = _("position of the drift")
        verbose_name_plural = _("positions of the drift")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.transaction}/{self.entry_id}"
