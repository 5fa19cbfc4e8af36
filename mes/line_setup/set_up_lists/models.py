"""Set-up lists: what the slots of a line must hold for a route. Released, a revision never changes."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.line_setup.lots.models import quantity_field
from mes.line_setup.tools.models import Tool
from mes.plant.models import Line, Material, Station
from mes.platform.validators import validate_code, validate_line
from mes.production.models import Run
from mes.routing.models import Routing


class SetUpListStatus(models.TextChoices):
    DRAFT = "DRAFT", _("Draft")
    RELEASED = "RELEASED", _("Released")


class SetUpList(models.Model):
    """What a route needs on a line; `revision` counts up from 1 for each of them."""

    route = models.ForeignKey(
        Routing, on_delete=models.PROTECT, related_name="set_up_lists", db_index=False, verbose_name=_("route")
    )
    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="set_up_lists", verbose_name=_("line"))
    revision = models.PositiveIntegerField(_("revision"))
    status = models.CharField(_("status"), max_length=8, choices=SetUpListStatus, default=SetUpListStatus.DRAFT)
    created_by = models.CharField(_("made by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("made"), default=timezone.now)
    released_by = models.CharField(_("released by"), max_length=150, blank=True)
    released_at = models.DateTimeField(_("released"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("set-up list")
        verbose_name_plural = _("set-up lists")
        constraints = [
            models.UniqueConstraint(fields=["route", "line", "revision"], name="set_up_list_once_per_revision"),
            models.CheckConstraint(
                condition=Q(status=SetUpListStatus.DRAFT, released_at=None)
                | Q(status=SetUpListStatus.RELEASED, released_at__isnull=False),
                name="set_up_list_released_at_some_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.route_id} {self.line_id} {self.revision}"


class SetUpItemKind(models.TextChoices):
    PART = "PART", _("Part")
    TOOL = "TOOL", _("Tool")
    PROGRAM = "PROGRAM", _("Program")


class SetUpItem(models.Model):
    """What one slot must hold: a part or one of its alternates, one of several tools, or a program.

    `quantity_per_unit` of a part goes into each unit at the designators `ref_des`.
    """

    set_up_list = models.ForeignKey(
        SetUpList, on_delete=models.CASCADE, related_name="items", db_index=False, verbose_name=_("set-up list")
    )
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="+", verbose_name=_("station"))
    slot = models.CharField(_("slot"), max_length=100, db_collation="C", validators=[validate_code])
    kind = models.CharField(_("kind"), max_length=7, choices=SetUpItemKind, default=SetUpItemKind.PART)
    material = models.ForeignKey(
        Material, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("material")
    )
    alternates = models.ManyToManyField(
        Material, blank=True, related_name="+", verbose_name=_("alternates"), help_text=_("Parts that may stand in.")
    )
    quantity_per_unit = quantity_field(_("quantity per unit"), default=1)
    ref_des: Any = ArrayField(models.CharField(max_length=100), default=list, blank=True, verbose_name=_("designators"))
    tools = models.ManyToManyField(Tool, blank=True, related_name="+", verbose_name=_("tools"))
    program = models.CharField(_("program"), max_length=100, blank=True, validators=[validate_line])

    class Meta:
        ordering = ["station", "slot", "id"]
        verbose_name = _("set-up item")
        verbose_name_plural = _("set-up items")
        constraints = [
            models.UniqueConstraint(fields=["set_up_list", "station", "slot"], name="set_up_item_once_per_slot"),
            models.CheckConstraint(
                condition=Q(kind=SetUpItemKind.PART, material__isnull=False, program="")
                | Q(kind=SetUpItemKind.TOOL, material=None, program="")
                | (Q(kind=SetUpItemKind.PROGRAM, material=None) & ~Q(program="")),
                name="set_up_item_of_its_kind",
            ),
            models.CheckConstraint(condition=Q(quantity_per_unit__gt=0), name="set_up_item_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.station_id} {self.slot}"


class RunSetUpList(models.Model):
    """Which list a run went by, from when on; its first counts for all its passes."""

    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="set_up_lists", db_index=False, verbose_name=_("run")
    )
    set_up_list = models.ForeignKey(
        SetUpList, on_delete=models.PROTECT, related_name="bound_runs", verbose_name=_("set-up list")
    )
    bound_at = models.DateTimeField(_("bound"), default=timezone.now)
    bound_by = models.CharField(_("bound by"), max_length=150, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        ordering = ["-bound_at", "-id"]
        verbose_name = _("set-up list of a run")
        verbose_name_plural = _("set-up lists of runs")
        indexes = [models.Index(F("run"), F("bound_at").desc(), F("id").desc(), name="run_set_up_list_history")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.set_up_list_id}"


class RunStationSetUp(models.Model):
    """Whether a station is set up for a run, as it was looked at last: kept while the run is on.

    `faults` are `{slot, code}`, `expiries` what will be wrong though nobody does anything: `{slot, code, at}`, the
    first at `good_until`.
    """

    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="set_ups", db_index=False, verbose_name=_("run")
    )
    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="+", verbose_name=_("station"))
    set_up_list = models.ForeignKey(
        SetUpList, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("set-up list")
    )
    faults = models.JSONField(_("faults"), default=list)
    expiries = models.JSONField(_("what will be wrong"), default=list)
    good_until = models.DateTimeField(_("good until"), null=True)
    looked_at = models.DateTimeField(_("looked at"))

    class Meta:
        ordering = ["run", "station"]
        verbose_name = _("set-up of a station for a run")
        verbose_name_plural = _("set-ups of stations for runs")
        constraints = [models.UniqueConstraint(fields=["run", "station"], name="run_station_set_up_once")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.station_id}"
