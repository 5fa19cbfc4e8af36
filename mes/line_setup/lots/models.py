"""Material lots: packages of parts, paste or whatever boards are made of, and what happened to them.

A lot exists from its first mention. What is true of it is read from its events, in the order of their times.
"""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Material, MoistureSensitivity, code_field
from mes.status_reports.models import Reported, recorded_by_field

MOST = Decimal("1000000000")  # of anything in one package


def quantity_field(label: Any, **kwargs: Any) -> models.DecimalField:
    """A column for how much there is of a material, in its unit."""
    return models.DecimalField(label, max_digits=14, decimal_places=4, **kwargs)


class LotStatus(models.TextChoices):
    AVAILABLE = "AVAILABLE", _("Available")
    USED_UP = "USED_UP", _("Used up")
    BLOCKED = "BLOCKED", _("Blocked")
    SCRAPPED = "SCRAPPED", _("Scrapped")


class SolderPasteStatus(models.TextChoices):
    COMPLIANT = "COMPLIANT", _("Compliant")
    NON_COMPLIANT = "NON_COMPLIANT", _("Not compliant")
    EXPIRED = "EXPIRED", _("Expired")


class MaterialLot(Reported):
    """One package: a reel, a tray, a jar of solder paste. Without a material, nobody said what is in it.

    `parent` is the lot it was split from: it inherited its expiry, block, supplier data and floor life up to
    `split_at`. `quantity` is what it was registered with, `counted_quantity` what was in it at `counted_at`: what is
    left now is derived (`lots.queries.rest_of`). `blocked_from` is the status that it goes back to. Of solder paste,
    `paste_status`, `thawed_at` and `stirred_at` are reported.
    """

    lot_id = code_field(verbose_name=_("lot"))
    material = models.ForeignKey(
        Material, on_delete=models.PROTECT, null=True, blank=True, related_name="lots", verbose_name=_("material")
    )
    status = models.CharField(
        _("status"), max_length=9, choices=LotStatus, default=LotStatus.AVAILABLE, db_default=LotStatus.AVAILABLE
    )
    blocked_from = models.CharField(max_length=9, choices=LotStatus, blank=True, default="", db_default="")
    block_reason = models.CharField(_("reason"), max_length=500, blank=True, default="", db_default="")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="splits", verbose_name=_("split from")
    )
    split_at = models.DateTimeField(_("split"), null=True, blank=True)
    quantity = quantity_field(_("quantity"), null=True, blank=True)
    counted_quantity = quantity_field(_("counted"), null=True, blank=True)
    counted_at = models.DateTimeField(_("counted at"), null=True, blank=True)
    supplier = models.CharField(_("supplier"), max_length=100, blank=True, default="", db_default="")
    supplier_lot = models.CharField(
        _("supplier's lot"), max_length=100, blank=True, default="", db_default="", db_collation="C"
    )
    manufacturer_part = models.CharField(
        _("manufacturer's part"), max_length=100, blank=True, default="", db_default="", db_collation="C"
    )
    date_code = models.CharField(
        _("date code"), max_length=100, blank=True, default="", db_default="", db_collation="C"
    )
    msl = models.CharField(
        _("moisture sensitivity"),
        max_length=2,
        choices=MoistureSensitivity,
        blank=True,
        default="",
        db_default="",
        help_text=_("J-STD-020. Empty: as its material."),
    )
    body_thickness_mm = models.DecimalField(
        _("body thickness in mm"), max_digits=6, decimal_places=3, null=True, blank=True
    )
    floor_life_hours = models.PositiveIntegerField(
        _("floor life in hours"), null=True, blank=True, help_text=_("Of level 6, after a bake, as its label says.")
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    is_solder_paste = models.BooleanField(_("solder paste"), default=False, db_default=False)
    paste_status = models.CharField(_("reported status"), max_length=13, choices=SolderPasteStatus, blank=True)
    thawed_at = models.DateTimeField(_("thawed"), null=True, blank=True)
    stirred_at = models.DateTimeField(_("stirred"), null=True, blank=True)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("material lot")
        verbose_name_plural = _("material lots")
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity=None) | Q(quantity__gte=0), name="material_lot_quantity_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(counted_quantity=None, counted_at=None)
                | Q(counted_quantity__gte=0, counted_at__isnull=False),
                name="material_lot_counted_at_some_time",
            ),
            models.CheckConstraint(
                condition=Q(status=LotStatus.BLOCKED, blocked_from__in=[LotStatus.AVAILABLE, LotStatus.USED_UP])
                | (~Q(status=LotStatus.BLOCKED) & Q(blocked_from="")),
                name="material_lot_blocked_from_somewhere",
            ),
            models.CheckConstraint(
                condition=Q(parent=None, split_at=None) | Q(parent__isnull=False, split_at__isnull=False),
                name="material_lot_split_at_some_time",
            ),
            models.CheckConstraint(condition=~Q(parent=F("id")), name="material_lot_not_of_itself"),
        ]
        indexes = [
            models.Index(F("material"), F("supplier_lot"), name="material_lot_by_supplier_lot"),
            models.Index(F("material"), F("date_code"), name="material_lot_by_date_code"),
        ]

    def __str__(self) -> str:
        return self.lot_id


class LotEventKind(models.TextChoices):
    OPENED = "OPENED", _("Opened")
    DRY_IN = "DRY_IN", _("Put into dry storage")
    DRY_OUT = "DRY_OUT", _("Taken out of dry storage")
    SEALED = "SEALED", _("Sealed")
    BAKE_START = "BAKE_START", _("Bake begun")
    BAKE_END = "BAKE_END", _("Bake ended")
    COUNTED = "COUNTED", _("Counted")
    SPLIT = "SPLIT", _("Split")
    BLOCKED = "BLOCKED", _("Blocked")
    UNBLOCKED = "UNBLOCKED", _("Unblocked")
    USED_UP = "USED_UP", _("Used up")
    SCRAPPED = "SCRAPPED", _("Scrapped")


class LotEvent(models.Model):
    """What happened to a lot, once: it is never changed.

    `at` is when it happened, `temperature_c` that of a bake in °C, `quantity` what was counted, or went into the split
    lot `other`. `source` is MANUAL or AUTO, `operator` who is said to have done it, `recorded_by` who was signed in.
    """

    lot = models.ForeignKey(
        MaterialLot, on_delete=models.PROTECT, related_name="events", db_index=False, verbose_name=_("lot")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=LotEventKind)
    at = models.DateTimeField(_("happened"))
    temperature_c = models.DecimalField(_("temperature in °C"), max_digits=6, decimal_places=2, null=True, blank=True)
    quantity = quantity_field(_("quantity"), null=True, blank=True)
    other = models.ForeignKey(
        MaterialLot,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("other lot"),
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    source = models.CharField(_("source"), max_length=6, default="MANUAL")
    operator = models.CharField(_("by"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = _("event of a lot")
        verbose_name_plural = _("events of lots")
        indexes = [
            models.Index(F("lot"), F("at").desc(), F("id").desc(), name="lot_event_history"),
            models.Index(F("at"), condition=Q(kind__in=["OPENED", "DRY_OUT", "BAKE_END"]), name="lot_event_opened"),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id} {self.kind}"
