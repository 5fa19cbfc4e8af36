"""The plant: lines, stations, equipment, operations and materials (ISA-95 role-based equipment, process segments)."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from mes.platform.validators import validate_code
from mes.status_reports.models import Reported


class CodeCharField(models.CharField):
    """A column of codes. What a code may be is asked of new rows: those that exist keep theirs, and are found by it."""

    def deconstruct(self) -> Any:
        """Be a plain column of text in migrations."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def run_validators(self, value: Any) -> None:
        """Leave `validate_code` to `clean`, which knows the row."""
        for check in self.validators:
            if check is not validate_code:
                check(value)

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        """Check the code, unless the row has it already."""
        value = super().clean(value, model_instance)
        try:
            validate_code(value or "")
        except ValidationError:
            if value not in self.empty_values and not self._is_kept(value, model_instance):
                raise
        return value

    def _is_kept(self, value: str, row: models.Model | None) -> bool:
        if row is None or row.pk is None:
            return False
        return type(row)._default_manager.filter(**{"pk": row.pk, self.attname: value}).exists()


def code_field(**kwargs: object) -> models.CharField:
    """A business code: 1 to 100 characters, compared exactly, unique in its table."""
    options = {"max_length": 100, "unique": True, "validators": [validate_code], "db_collation": "C", **kwargs}
    return CodeCharField(**options)  # type: ignore[arg-type]


class ProcessType(models.TextChoices):
    SMT = "SMT", _("SMT")
    DIP = "DIP", _("DIP")


class StationType(models.TextChoices):
    """How a station reports: by hand, one unit at a time, many at once, or with test results."""

    MANUAL = "MANUAL", _("Manual")
    AUTO = "AUTO", _("Automatic")
    BATCH = "BATCH", _("Batch")
    TEST = "TEST", _("Test")


class OperationKind(models.TextChoices):
    """What an operation does. Rules name kinds; they never match names."""

    PRINT = "PRINT", _("Solder paste printing")
    SPI = "SPI", _("Solder paste inspection")
    PLACE = "PLACE", _("Component placement")
    REFLOW = "REFLOW", _("Reflow soldering")
    AOI = "AOI", _("Automated optical inspection")
    XRAY = "XRAY", _("X-ray inspection")
    INSERT = "INSERT", _("Through-hole insertion")
    WAVE = "WAVE", _("Wave soldering")
    WASH = "WASH", _("Washing")
    ASSEMBLE = "ASSEMBLE", _("Assembly")
    TEST = "TEST", _("Test")
    REPAIR = "REPAIR", _("Repair")
    PACK = "PACK", _("Packing")
    OTHER = "OTHER", _("Other")


class Line(models.Model):
    """A production line. `shifts` holds `{code, start, end, weekdays}` in the plant's local time."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    process_type = models.CharField(_("process type"), max_length=3, choices=ProcessType)
    readiness_checks = ArrayField(
        models.CharField(max_length=100), default=list, blank=True, verbose_name=_("readiness checks")
    )
    shifts = models.JSONField(_("shifts"), default=list, blank=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("line")
        verbose_name_plural = _("lines")

    def __str__(self) -> str:
        return self.code


class StationGroup(models.Model):
    """Stations that may stand in for one another. Membership is live: a replaced machine may step in."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)

    class Meta:
        ordering = ["code"]
        verbose_name = _("station group")
        verbose_name_plural = _("station groups")

    def __str__(self) -> str:
        return self.code


class Station(models.Model):
    """A place where a step is done. Without a line it is shared by all lines."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, null=True, blank=True, related_name="stations", verbose_name=_("line")
    )
    group = models.ForeignKey(
        StationGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="stations", verbose_name=_("group")
    )
    station_type = models.CharField(_("station type"), max_length=6, choices=StationType)

    class Meta:
        ordering = ["code"]
        verbose_name = _("station")
        verbose_name_plural = _("stations")

    def __str__(self) -> str:
        return self.code


EQUIPMENT_NORMAL = "normal"


class Equipment(Reported):
    """A machine. Its status comes from the maintenance system; any but `normal` keeps units from entering."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, null=True, blank=True, related_name="equipment", verbose_name=_("station")
    )
    status = models.CharField(_("status"), max_length=50, default=EQUIPMENT_NORMAL)

    class Meta:
        ordering = ["code"]
        verbose_name = _("equipment")
        verbose_name_plural = _("equipment")

    def __str__(self) -> str:
        return self.code


class Operation(models.Model):
    """A kind of work, used by the steps of routes."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=8, choices=OperationKind, default=OperationKind.OTHER)
    default_station_type = models.CharField(
        _("default station type"),
        max_length=6,
        choices=StationType,
        blank=True,
        help_text=_("Used by steps whose execution config names no station type."),
    )

    class Meta:
        ordering = ["code"]
        verbose_name = _("operation")
        verbose_name_plural = _("operations")

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Material(models.Model):
    """A part or product of the master data."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    unit = models.CharField(_("unit"), max_length=20, default="pcs")

    class Meta:
        ordering = ["code"]
        verbose_name = _("material")
        verbose_name_plural = _("materials")

    def __str__(self) -> str:
        return self.code


class BomItem(models.Model):
    """How many of a child material one parent takes."""

    parent = models.ForeignKey(Material, on_delete=models.CASCADE, related_name="bom_items", verbose_name=_("parent"))
    child = models.ForeignKey(Material, on_delete=models.PROTECT, related_name="used_in", verbose_name=_("child"))
    quantity = models.DecimalField(_("quantity"), max_digits=12, decimal_places=4)

    class Meta:
        ordering = ["parent", "child"]
        verbose_name = _("BOM item")
        verbose_name_plural = _("BOM items")
        constraints = [
            models.UniqueConstraint(fields=["parent", "child"], name="bom_item_once_per_parent"),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="bom_item_quantity_positive"),
            models.CheckConstraint(condition=~models.Q(parent=models.F("child")), name="bom_item_not_of_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.parent_id} ← {self.child_id}"
