"""Data collection specs: what to collect at an operation and how to judge it."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Operation, code_field
from mes.specs import rules


class ItemType(models.TextChoices):
    KEY = "KEY", _("Key: part of the verdict")
    OBSERVATION = "OBSERVATION", _("Observation")


class DataType(models.TextChoices):
    NUMBER = "NUMBER", _("Number")
    TEXT = "TEXT", _("Text")
    BOOLEAN = "BOOLEAN", _("Yes or no")
    JSON = "JSON", _("JSON")


class Method(models.TextChoices):
    AUTO = "AUTO", _("By a device")
    MANUAL = "MANUAL", _("By hand")


class TriggerType(models.TextChoices):
    EVENT = "EVENT", _("On an event")
    TIME = "TIME", _("By time")
    EACH_UNIT = "EACH_UNIT", _("Each unit")
    EACH_CARRIER = "EACH_CARRIER", _("Each carrier")


class AlarmAction(models.TextChoices):
    ALARM_ONLY = "ALARM_ONLY", _("Alarm only")
    HOLD = "HOLD", _("Put the unit on hold")


class DataCollectionSpec(models.Model):
    """One value to collect at an operation. Runs judge by the copy frozen in their route version."""

    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, related_name="specs", verbose_name=_("operation")
    )
    name = code_field(verbose_name=_("name"), unique=False)
    item_type = models.CharField(_("item type"), max_length=11, choices=ItemType)
    data_type = models.CharField(_("data type"), max_length=7, choices=DataType)
    method = models.CharField(_("method"), max_length=6, choices=Method)
    trigger_type = models.CharField(_("trigger"), max_length=12, choices=TriggerType, default=TriggerType.EACH_UNIT)
    trigger_rule = models.JSONField(_("trigger rule"), null=True, blank=True)
    lsl = models.FloatField(_("lower limit"), null=True, blank=True)
    usl = models.FloatField(_("upper limit"), null=True, blank=True)
    target = models.FloatField(_("target"), null=True, blank=True)
    unit = models.CharField(_("unit of measure"), max_length=20, blank=True)
    alarm_min = models.FloatField(_("alarm below"), null=True, blank=True)
    alarm_max = models.FloatField(_("alarm above"), null=True, blank=True)
    alarm_action = models.CharField(_("alarm action"), max_length=10, choices=AlarmAction, blank=True)
    is_required = models.BooleanField(_("required"), default=False)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["operation", "name"]
        verbose_name = _("data collection spec")
        verbose_name_plural = _("data collection specs")
        constraints = [
            models.UniqueConstraint(fields=["operation", "name"], name="spec_name_once_per_operation"),
            models.CheckConstraint(condition=Q(lsl=None) | Q(usl=None) | Q(lsl__lte=F("usl")), name="spec_lsl_to_usl"),
            models.CheckConstraint(
                condition=(Q(target=None) | Q(lsl=None) | Q(target__gte=F("lsl")))
                & (Q(target=None) | Q(usl=None) | Q(target__lte=F("usl"))),
                name="spec_target_within_limits",
            ),
            models.CheckConstraint(
                condition=(Q(alarm_min=None) | Q(lsl=None) | Q(alarm_min__lte=F("lsl")))
                & (Q(alarm_max=None) | Q(usl=None) | Q(alarm_max__gte=F("usl"))),
                name="spec_alarm_band_outside_limits",
            ),
            models.CheckConstraint(
                condition=Q(data_type=DataType.NUMBER)
                | Q(lsl=None, usl=None, target=None, alarm_min=None, alarm_max=None),
                name="spec_limits_only_on_numbers",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation.code} {self.name}"

    def clean(self) -> None:
        """Refuse limits that contradict each other, where they are typed."""
        problems = rules.find_limit_problems(self)
        if problems:
            raise ValidationError(problems)
