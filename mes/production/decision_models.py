"""What people decided about orders, runs, lines and stations, and which run is active where."""

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line, Station
from mes.production.models import Run, Unit, UnitStatus, WorkOrder

LONGEST_REASON = 500


def _exactly_one(*columns: str) -> Exact:
    """Return the condition that exactly one of these columns is set."""
    return Exact(Func(*columns, function="num_nonnulls", output_field=models.IntegerField()), 1)


class Decision(models.Model):
    """One act on an order, a run, a line or a station: what it changed, by whom and why. Kept as it was written."""

    work_order = models.ForeignKey(
        WorkOrder, on_delete=models.PROTECT, null=True, related_name="decisions", db_index=False
    )
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="decisions", db_index=False)
    line = models.ForeignKey(Line, on_delete=models.PROTECT, null=True, related_name="decisions", db_index=False)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="decisions", db_index=False)
    act = models.CharField(_("decision"), max_length=40, help_text=_("A value of `mes.labels.Action`."))
    from_status = models.CharField(_("from"), max_length=13, blank=True)
    to_status = models.CharField(_("to"), max_length=13, blank=True)
    changes = models.JSONField(_("changes"), default=dict, help_text=_("Field to [old, new], named as in the API."))
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, blank=True)
    decided_by = models.CharField(_("decided by"), max_length=150)
    approved_by = models.CharField(_("approved by"), max_length=150, blank=True)
    decided_at = models.DateTimeField(_("decided"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        constraints = [
            models.CheckConstraint(
                condition=_exactly_one("work_order", "run", "line", "station"), name="decision_about_one_thing"
            )
        ]
        # The history of each is read the newest first.
        indexes = [
            models.Index(
                fields=["work_order", "-id"], condition=Q(work_order__isnull=False), name="decision_by_work_order"
            ),
            models.Index(fields=["run", "-id"], condition=Q(run__isnull=False), name="decision_by_run"),
            models.Index(fields=["line", "-id"], condition=Q(line__isnull=False), name="decision_by_line"),
            models.Index(fields=["station", "-id"], condition=Q(station__isnull=False), name="decision_by_station"),
        ]

    def __str__(self) -> str:
        return self.act


class UnitMoveAct(models.TextChoices):
    MOVE = "MOVE", _("Moved to another run")
    RETURN = "RETURN", _("Returned into a run")
    TAKE_BACK = "TAKE_BACK", _("Taken back")
    NOT_MADE = "NOT_MADE", _("Not made")


class CountedAs(models.TextChoices):
    DONE = "DONE", _("Done")
    SCRAPPED = "SCRAPPED", _("Scrapped")


class UnitMove(models.Model):
    """A unit that left a run. What it was made as there counts there for ever (`counted_as`)."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="moves")
    from_run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="moves_from", db_index=False)
    to_run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="moves_to")
    act = models.CharField(_("act"), max_length=9, choices=UnitMoveAct)
    status = models.CharField(_("status before"), max_length=10, choices=UnitStatus)
    step_no = models.PositiveIntegerField(_("step before"), null=True)
    counted_as = models.CharField(_("counted as"), max_length=8, choices=CountedAs, blank=True)
    ended_at = models.DateTimeField(
        _("ended there"), null=True, help_text=_("When the unit was done or scrapped in the run that it left.")
    )
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, blank=True)
    moved_by = models.CharField(_("moved by"), max_length=150)
    moved_at = models.DateTimeField(_("moved"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("unit move")
        verbose_name_plural = _("unit moves")
        indexes = [models.Index(F("from_run"), F("counted_as"), name="unit_move_by_run")]

    def __str__(self) -> str:
        return f"{self.act} {self.unit_id}"


class RunActivation(models.Model):
    """Which run was the active one of a line or of a station, from one time to another (none yet: still is).

    The database refuses two that overlap at one place (`run_activation_no_overlap_…` of the migration).
    """

    line = models.ForeignKey(Line, on_delete=models.PROTECT, null=True, related_name="activations", db_index=False)
    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, null=True, related_name="activations", db_index=False
    )
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="activations")
    active_from = models.DateTimeField(_("from"))
    active_to = models.DateTimeField(_("to"), null=True)
    set_by = models.CharField(_("set by"), max_length=150)
    ended_by = models.CharField(_("ended by"), max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("active run")
        verbose_name_plural = _("active runs")
        constraints = [
            models.CheckConstraint(condition=_exactly_one("line", "station"), name="run_activation_of_one_place"),
            models.CheckConstraint(
                condition=Q(active_to=None) | Q(active_to__gte=F("active_from")), name="run_activation_ends_after_start"
            ),
        ]
        indexes = [
            models.Index(F("line"), F("active_from").desc(), name="run_activation_by_line"),
            models.Index(F("station"), F("active_from").desc(), name="run_activation_by_station"),
            models.Index(F("active_to"), name="run_activation_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.active_from}"


class ApprovalType(models.TextChoices):
    UNSCRAP = "UNSCRAP", _("Undo a scrap")
    DEVIATION = "DEVIATION", _("Deviation")


class ApprovalStatus(models.TextChoices):
    REQUESTED = "REQUESTED", _("Requested")
    APPROVED = "APPROVED", _("Approved")
    REFUSED = "REFUSED", _("Refused")
    WITHDRAWN = "WITHDRAWN", _("Withdrawn")
    EXPIRED = "EXPIRED", _("Expired")


class Approval(models.Model):
    """What one person asked for and another one allows or refuses."""

    type = models.CharField(_("what"), max_length=9, choices=ApprovalType)
    status = models.CharField(_("status"), max_length=9, choices=ApprovalStatus, default=ApprovalStatus.REQUESTED)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, related_name="approvals")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="approvals")
    arguments = models.JSONField(_("arguments"), default=dict, help_text=_("What was asked for, named as in the API."))
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON)
    requested_by = models.CharField(_("requested by"), max_length=150)
    requested_at = models.DateTimeField(_("requested"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True)
    decision_reason = models.CharField(_("reason of the decision"), max_length=LONGEST_REASON, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [
            models.UniqueConstraint(
                fields=["type", "unit"],
                condition=Q(status=ApprovalStatus.REQUESTED, unit__isnull=False),
                name="approval_one_request_per_unit",
            ),
            models.CheckConstraint(
                condition=Q(status=ApprovalStatus.REQUESTED, decided_at__isnull=True)
                | (~Q(status=ApprovalStatus.REQUESTED) & Q(decided_at__isnull=False)),
                name="approval_decided_when_not_requested",
            ),
            models.CheckConstraint(
                condition=~Q(status=ApprovalStatus.APPROVED) | ~Q(decided_by=F("requested_by")),
                name="approval_by_another_person",
            ),
        ]
        indexes = [
            models.Index(F("status"), F("expires_at"), name="approval_by_status"),
            models.Index(fields=["status", "-id"], name="approval_newest_of_status"),
            models.Index(
                fields=["-decided_at", "-id"],
                condition=~Q(status=ApprovalStatus.REQUESTED),
                name="approval_by_decision",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
