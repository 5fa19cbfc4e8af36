"""What is known of a unit's materials beside the loads: exact rows, where a machine or a person reported them."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.line_setup.lots.models import MaterialLot, quantity_field
from mes.line_setup.tools.models import Tool
from mes.plant.models import Material, Station
from mes.production.models import Run, Unit
from mes.status_reports.models import recorded_by_field


class MaterialUse(models.Model):
    """A lot or a tool that was used for a unit, as it was reported; `is_removed` of what was taken out again.

    Partitioned by month of `received_at`. `track_id` is the pass that it belongs to; none where the unit was not at the
    station then. `material` is that of the lot, or what the report says. A row is never changed: what takes a part out
    is a row of its own, and counts for all that was put in up to its time.
    """

    received_at = models.DateTimeField(_("received"))
    unit = models.ForeignKey(Unit, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    run = models.ForeignKey(Run, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    track_id = models.BigIntegerField(_("pass"), null=True)
    station = models.ForeignKey(Station, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    lot = models.ForeignKey(
        MaterialLot, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    tool = models.ForeignKey(Tool, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    material = models.ForeignKey(
        Material, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    slot = models.CharField(_("slot"), max_length=100, blank=True, db_collation="C")
    ref_des = models.CharField(_("designator"), max_length=100, blank=True, db_collation="C")
    quantity = quantity_field(_("quantity"), null=True)
    is_removed = models.BooleanField(_("taken out"), default=False)
    used_at = models.DateTimeField(_("used"))
    event_id = models.CharField(_("message"), max_length=200, blank=True)
    recorded_by = recorded_by_field()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("use of a material")
        verbose_name_plural = _("uses of materials")
        constraints = [
            models.CheckConstraint(
                condition=Q(lot__isnull=False, tool=None) | Q(lot=None, tool__isnull=False), name="material_use_of_one"
            )
        ]
        indexes = [
            models.Index(F("unit"), F("track_id"), name="material_use_of_unit"),
            models.Index(F("lot"), condition=Q(lot__isnull=False), name="material_use_of_lot"),
            models.Index(F("tool"), condition=Q(tool__isnull=False), name="material_use_of_tool"),
            models.Index(F("station"), F("slot"), F("material"), name="material_use_at_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.unit_id} {self.slot}"


class InstalledSerial(models.Model):
    """A part with a serial number of its own in a unit, until `removed_at`. A `child` is a unit itself.

    Of a material, a serial number is in one unit at a time; so is a child.
    """

    unit = models.ForeignKey(
        Unit, on_delete=models.PROTECT, related_name="installed_serials", db_index=False, verbose_name=_("unit")
    )
    serial = models.CharField(_("serial number"), max_length=100, db_collation="C")
    material = models.ForeignKey(
        Material, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("material")
    )
    child = models.ForeignKey(
        Unit, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("as a unit")
    )
    ref_des = models.CharField(_("designator"), max_length=100, blank=True, db_collation="C")
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="+", db_index=False)
    track_id = models.BigIntegerField(_("pass"), null=True)
    installed_at = models.DateTimeField(_("installed"), default=timezone.now)
    installed_by = models.CharField(_("installed by"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    removed_at = models.DateTimeField(_("removed"), null=True)
    removed_by = models.CharField(_("removed by"), max_length=150, blank=True)
    remove_reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("installed serial number")
        verbose_name_plural = _("installed serial numbers")
        constraints = [
            models.UniqueConstraint(
                fields=["material", "serial"], condition=Q(removed_at=None), name="installed_serial_in_one_unit"
            ),
            models.UniqueConstraint(
                fields=["child"], condition=Q(removed_at=None), name="installed_serial_child_in_one_unit"
            ),
            models.CheckConstraint(condition=~Q(child=F("unit")), name="installed_serial_not_in_itself"),
            models.CheckConstraint(
                condition=Q(removed_at=None) | Q(removed_at__gte=F("installed_at")),
                name="installed_serial_removed_after",
            ),
        ]
        indexes = [
            models.Index(F("unit"), F("id"), name="installed_serial_of_unit"),
            models.Index(F("serial"), name="installed_serial_by_serial"),
        ]

    def __str__(self) -> str:
        return self.serial
