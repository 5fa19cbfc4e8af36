"""Work orders, runs and units: what is made, and what state it is in."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line, code_field
from mes.routing.models import RouteVersion, Routing


class WorkOrderStatus(models.TextChoices):
    RECEIVED = "RECEIVED", _("Received")
    RELEASED = "RELEASED", _("Released")
    IN_PROGRESS = "IN_PROGRESS", _("In progress")
    COMPLETED = "COMPLETED", _("Completed")
    CANCELLED = "CANCELLED", _("Cancelled")


OPEN_ORDER_STATUSES = (WorkOrderStatus.RECEIVED, WorkOrderStatus.RELEASED, WorkOrderStatus.IN_PROGRESS)


class RunKind(models.TextChoices):
    """What a run is made for. Only production counts in yields and totals; only runs of its order's kind use it up."""

    PRODUCTION = "PRODUCTION", _("Production")
    REWORK = "REWORK", _("Rework")
    ENGINEERING = "ENGINEERING", _("Engineering")


MOST_OVERRUN = 100  # percent


class WorkOrder(models.Model):
    """An order to make a quantity of a product."""

    wo_no = code_field(verbose_name=_("work order"))
    product_code = models.CharField(_("product"), max_length=100)
    planned_qty = models.PositiveIntegerField(_("planned quantity"))
    overrun_percent = models.PositiveSmallIntegerField(
        _("overrun in percent"),
        default=0,
        db_default=0,
        help_text=_("By how much its runs may exceed the planned quantity."),
    )
    kind = models.CharField(
        _("kind"), max_length=11, choices=RunKind, default=RunKind.PRODUCTION, db_default=RunKind.PRODUCTION
    )
    routing = models.ForeignKey(
        Routing, on_delete=models.PROTECT, null=True, blank=True, related_name="work_orders", verbose_name=_("route")
    )
    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, null=True, blank=True, related_name="work_orders", verbose_name=_("line")
    )
    due_date = models.DateField(_("due"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=11, choices=WorkOrderStatus, default=WorkOrderStatus.RECEIVED)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("work order")
        verbose_name_plural = _("work orders")
        constraints = [
            models.CheckConstraint(condition=Q(planned_qty__gt=0), name="work_order_quantity_positive"),
            models.CheckConstraint(condition=Q(overrun_percent__lte=MOST_OVERRUN), name="work_order_overrun_bounded"),
        ]
        indexes = [
            models.Index(
                F("due_date").asc(nulls_last=True),
                F("id"),
                condition=Q(status__in=OPEN_ORDER_STATUSES),
                name="work_order_open_by_due",
            ),
            models.Index(fields=["status", "-id"], name="work_order_by_status"),
        ]

    def __str__(self) -> str:
        return self.wo_no

    @property
    def allowed_qty(self) -> int:
        """How many units its runs may be for, the overrun included."""
        return self.planned_qty * (100 + self.overrun_percent) // 100


class RunStatus(models.TextChoices):
    PREP = "PREP", _("In preparation")
    AUTHORIZED = "AUTHORIZED", _("Authorized")
    IN_PROGRESS = "IN_PROGRESS", _("In progress")
    ON_HOLD = "ON_HOLD", _("On hold")
    COMPLETED = "COMPLETED", _("Completed")
    CLOSED_REWORK = "CLOSED_REWORK", _("Closed for rework")
    SCRAPPED = "SCRAPPED", _("Scrapped")
    CANCELLED = "CANCELLED", _("Cancelled")


OPEN_RUN_STATUSES = (RunStatus.PREP, RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS, RunStatus.ON_HOLD)
RUN_HELD_FROM = (RunStatus.PREP, RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS)


class Run(models.Model):
    """One batch of a work order on a line, bound to a frozen route version: to one once it has begun."""

    run_no = code_field(verbose_name=_("run"))
    work_order = models.ForeignKey(
        WorkOrder, on_delete=models.PROTECT, related_name="runs", verbose_name=_("work order")
    )
    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="runs", verbose_name=_("line"))
    route_version = models.ForeignKey(
        RouteVersion, on_delete=models.PROTECT, related_name="runs", verbose_name=_("route version")
    )
    plan_qty = models.PositiveIntegerField(_("planned quantity"))
    kind = models.CharField(
        _("kind"), max_length=11, choices=RunKind, default=RunKind.PRODUCTION, db_default=RunKind.PRODUCTION
    )
    shift_code = models.CharField(_("shift"), max_length=100, blank=True)
    status = models.CharField(_("status"), max_length=13, choices=RunStatus, default=RunStatus.PREP)
    held_from = models.CharField(
        _("held from"),
        max_length=13,
        choices=RunStatus,
        blank=True,
        default="",
        db_default="",
        help_text=_("The status in which it goes on when nothing holds it any more."),
    )
    units_registered = models.BooleanField(
        _("units registered beforehand"), default=False, help_text=_("Then no unit is created on the fly.")
    )
    # Kept here, because whoever moves a unit reads its run anyway.
    is_first_article_failed = models.BooleanField(
        _("first article failed"),
        default=False,
        db_default=False,
        help_text=_("Then no unit enters a station until another one passed and is signed."),
    )
    is_in_oqc = models.BooleanField(
        _("in outgoing inspection"),
        default=False,
        db_default=False,
        help_text=_("Then the lot stands still until it is decided: nothing enters, leaves the run or joins it."),
    )
    has_deviations = models.BooleanField(
        _("has deviations"),
        default=False,
        db_default=False,
        help_text=_("Then units are asked whether a deviation covers them."),
    )
    correction_no = models.PositiveIntegerField(
        _("corrections told"), default=0, db_default=0, help_text=_("The number of the last correction to the ERP.")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    authorized_at = models.DateTimeField(_("authorized"), null=True, blank=True)
    authorized_by = models.CharField(_("authorized by"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    status_by = models.CharField(_("last decided by"), max_length=150, blank=True)
    status_reason = models.CharField(
        _("reason"), max_length=500, blank=True, help_text=_("Of the last decision: authorized, revoked or closed.")
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            models.CheckConstraint(condition=Q(plan_qty__gt=0), name="run_quantity_positive"),
            models.CheckConstraint(
                condition=Q(status=RunStatus.ON_HOLD, held_from__in=RUN_HELD_FROM)
                | (~Q(status=RunStatus.ON_HOLD) & Q(held_from="")),
                name="run_held_from_only_on_hold",
            ),
        ]
        indexes = [
            models.Index(fields=["line", "-id"], condition=Q(status__in=OPEN_RUN_STATUSES), name="run_open_by_line"),
        ]

    def __str__(self) -> str:
        return self.run_no


class UnitStatus(models.TextChoices):
    QUEUED = "QUEUED", _("Queued")
    IN_STATION = "IN_STATION", _("In station")
    DONE = "DONE", _("Done")
    OUT_FAILED = "OUT_FAILED", _("Failed")
    ON_HOLD = "ON_HOLD", _("On hold")
    SCRAPPED = "SCRAPPED", _("Scrapped")


class Unit(models.Model):
    """One serialised board. Its row is locked for every change of its state."""

    sn = code_field(verbose_name=_("serial number"))
    work_order = models.ForeignKey(
        WorkOrder, on_delete=models.PROTECT, related_name="units", verbose_name=_("work order")
    )
    run = models.ForeignKey(
        Run,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="units",
        db_index=False,
        verbose_name=_("run"),
    )
    status = models.CharField(_("status"), max_length=10, choices=UnitStatus, default=UnitStatus.QUEUED)
    current_step_no = models.PositiveIntegerField(_("current step"), null=True, blank=True)
    held_from = models.CharField(
        _("held from"),
        max_length=10,
        choices=UnitStatus,
        blank=True,
        help_text=_("The status that a release gives back; it follows moves a machine reports meanwhile."),
    )
    hold_reason = models.CharField(_("reason of hold"), max_length=500, blank=True)
    scrap_reason = models.CharField(_("reason of scrap"), max_length=500, blank=True)
    rework_no = models.PositiveSmallIntegerField(_("times reworked"), default=0)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("unit")
        verbose_name_plural = _("units")
        constraints = [
            models.CheckConstraint(
                condition=Q(status=UnitStatus.ON_HOLD, held_from__gt="")
                | (~Q(status=UnitStatus.ON_HOLD) & Q(held_from="")),
                name="unit_held_from_only_on_hold",
            ),
            models.CheckConstraint(
                condition=~Q(held_from__in=[UnitStatus.ON_HOLD, UnitStatus.SCRAPPED]),
                name="unit_held_from_a_live_status",
            ),
        ]
        indexes = [
            models.Index(F("run"), F("status"), F("current_step_no"), name="unit_by_run_and_status"),
            models.Index(F("run"), F("id").desc(), name="unit_by_run_newest"),
        ]

    def __str__(self) -> str:
        return self.sn

    @property
    def standing(self) -> str:
        """Its status; of a held unit the one behind the hold, which its release gives back."""
        return self.held_from if self.status == UnitStatus.ON_HOLD else self.status

    def stand(self, status: str) -> None:
        """Set its status; a held unit stays held, and its release leads there."""
        if self.status == UnitStatus.ON_HOLD:
            self.held_from = status
        else:
            self.status = status
