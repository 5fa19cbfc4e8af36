"""The plant: lines, stations, equipment, operations and materials (ISA-95 role-based equipment, process segments)."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
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


class MaterialControl(models.TextChoices):
    """What a line does about a set-up that is not good."""

    OFF = "OFF", _("Off")
    RECORD = "RECORD", _("Record")
    ENFORCE = "ENFORCE", _("Enforce")


class Line(models.Model):
    """A production line. `shifts` holds `{code, start, end, weekdays}` in the plant's local time.

    `low_units`: people are told of a lot that is left for fewer units.
    """

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    process_type = models.CharField(_("process type"), max_length=3, choices=ProcessType)
    readiness_checks = ArrayField(
        models.CharField(max_length=100), default=list, blank=True, verbose_name=_("readiness checks")
    )
    shifts = models.JSONField(_("shifts"), default=list, blank=True)
    material_control = models.CharField(
        _("control of materials"),
        max_length=7,
        choices=MaterialControl,
        default=MaterialControl.OFF,
        db_default=MaterialControl.OFF,
        help_text=_("Enforced, no unit enters a station whose set-up is not good. Loads are recorded in any case."),
    )
    low_units = models.PositiveIntegerField(
        _("warn at a rest for so many units"),
        default=20,
        db_default=20,
        help_text=_("People are told when a lot is left for fewer."),
    )

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
    failed_check = models.CharField(
        _("failed checks"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("Its latest check by these forms failed: it is not ready until one passes."),
    )

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


class MoistureSensitivity(models.TextChoices):
    """Levels of J-STD-020."""

    MSL_1 = "1", "1"
    MSL_2 = "2", "2"
    MSL_2A = "2a", "2a"
    MSL_3 = "3", "3"
    MSL_4 = "4", "4"
    MSL_5 = "5", "5"
    MSL_5A = "5a", "5a"
    MSL_6 = "6", "6"


LONGEST_PART, MOST_PARTS = 100, 100  # of a manufacturer, and of a material


class Material(models.Model):
    """A part or product of the master data.

    `manufacturer_parts` are how makers call it; one that `is_shared` may stand in several slots at once, as glue does.
    `trace_level` is the level of IPC-1782 that boards of it, as a product, are meant to reach.
    """

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    unit = models.CharField(_("unit"), max_length=20, default="pcs")
    manufacturer_parts: Any = ArrayField(
        models.CharField(max_length=LONGEST_PART),
        default=list,
        db_default=[],
        blank=True,
        verbose_name=_("manufacturers' parts"),
    )
    msl = models.CharField(
        _("moisture sensitivity"),
        max_length=2,
        choices=MoistureSensitivity,
        blank=True,
        default="",
        db_default="",
        help_text=_("J-STD-020. Empty: it has no floor life."),
    )
    body_thickness_mm = models.DecimalField(
        _("body thickness in mm"), max_digits=6, decimal_places=3, null=True, blank=True
    )
    is_shared = models.BooleanField(
        _("in several slots at once"), default=False, db_default=False, help_text=_("Of one lot, as of glue or wire.")
    )
    trace_level = models.PositiveSmallIntegerField(
        _("trace level"), null=True, blank=True, help_text=_("IPC-1782, 1 to 4: what boards of this product must say.")
    )

    class Meta:
        ordering = ["code"]
        verbose_name = _("material")
        verbose_name_plural = _("materials")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(trace_level=None) | models.Q(trace_level__gte=1, trace_level__lte=4),
                name="material_trace_level_of_ipc_1782",
            )
        ]
        indexes = [GinIndex(F("manufacturer_parts"), name="material_by_manufacturer_part")]

    def __str__(self) -> str:
        return self.code


class BomItem(models.Model):
    """How many of a child material one parent takes."""

    parent = models.ForeignKey(Material, on_delete=models.CASCADE, related_name="bom_items", verbose_name=_("parent"))
    child = models.ForeignKey(Material, on_delete=models.PROTECT, related_name="used_in", verbose_name=_("child"))
    quantity = models.DecimalField(_("quantity"), max_digits=12, decimal_places=4)
    ref_des: Any = ArrayField(
        models.CharField(max_length=100), default=list, db_default=[], blank=True, verbose_name=_("designators")
    )

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
