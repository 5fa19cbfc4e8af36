"""Whether a run may start: what was checked, what was waived, and what preparation was confirmed."""

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.line_setup.checks.models import CheckForm
from mes.plant.models import Line
from mes.production.models import Run
from mes.readiness import rules
from mes.routing.models import Routing
from mes.specs.models import DataCollectionSpec


class CheckKind(models.TextChoices):
    PRECHECK = "PRECHECK", _("Precheck")
    FORMAL = "FORMAL", _("Formal check")


class CheckStatus(models.TextChoices):
    PENDING = "PENDING", _("Not checked yet")
    PASSED = "PASSED", _("Passed")
    FAILED = "FAILED", _("Failed")


class ItemStatus(models.TextChoices):
    PASSED = "PASSED", _("Passed")
    FAILED = "FAILED", _("Failed")
    WAIVED = "WAIVED", _("Waived")


class ReadinessCheck(models.Model):
    """What was found at one moment. It is never evaluated again; a newer check takes its place."""

    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="readiness_checks", db_index=False, verbose_name=_("run")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=CheckKind)
    status = models.CharField(_("status"), max_length=7, choices=CheckStatus)
    is_authorization = models.BooleanField(
        _("made to authorize"), default=False, help_text=_("Evaluated at the moment somebody authorized the run.")
    )
    checked_at = models.DateTimeField(_("checked"), default=timezone.now)
    checked_by = models.CharField(_("checked by"), max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("readiness check")
        verbose_name_plural = _("readiness checks")
        indexes = [
            models.Index(F("run"), F("id").desc(), name="readiness_check_by_run"),
            models.Index(F("checked_at"), name="readiness_check_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.run_id} {self.checked_at:%Y-%m-%d %H:%M}"


class ReadinessWaiver(models.Model):
    """Somebody answers for a failure of a run. It covers the same item failing for the same reason, nothing else."""

    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="readiness_waivers", db_index=False, verbose_name=_("run")
    )
    item_type = models.CharField(_("type"), max_length=100)
    item_key = models.CharField(_("item"), max_length=200, blank=True)
    code = models.CharField(_("code"), max_length=100)
    reason = models.CharField(_("reason"), max_length=500)
    waived_by = models.CharField(_("waived by"), max_length=150)
    waived_at = models.DateTimeField(_("waived"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("readiness waiver")
        verbose_name_plural = _("readiness waivers")
        constraints = [
            models.UniqueConstraint(
                fields=["run", "item_type", "item_key", "code"], name="readiness_waiver_once_per_failure"
            )
        ]

    def __str__(self) -> str:
        return f"{self.item_type} {self.item_key} {self.code}"


class ReadinessItem(models.Model):
    """One thing that was looked at. A thing with several faults gives an item for each."""

    check_made = models.ForeignKey(
        ReadinessCheck, on_delete=models.CASCADE, related_name="items", verbose_name=_("check")
    )
    item_type = models.CharField(_("type"), max_length=100)
    item_key = models.CharField(_("item"), max_length=200, blank=True)
    status = models.CharField(_("status"), max_length=6, choices=ItemStatus)
    code = models.CharField(_("code"), max_length=100, blank=True)
    reason = models.CharField(_("what is wrong"), max_length=1000, blank=True)
    action = models.CharField(_("what to do"), max_length=1000, blank=True)
    evidence = models.JSONField(_("evidence"), default=dict)
    waivable = models.BooleanField(_("may be waived"), default=True)
    waiver = models.ForeignKey(
        ReadinessWaiver, on_delete=models.PROTECT, null=True, blank=True, related_name="items", verbose_name=_("waiver")
    )

    class Meta:
        ordering = ["id"]
        verbose_name = _("readiness item")
        verbose_name_plural = _("readiness items")
        constraints = [
            models.CheckConstraint(
                condition=Q(status=ItemStatus.PASSED, code="") | (~Q(status=ItemStatus.PASSED) & ~Q(code="")),
                name="readiness_item_code_unless_passed",
            ),
            models.CheckConstraint(
                condition=Q(status=ItemStatus.WAIVED, waiver__isnull=False)
                | (~Q(status=ItemStatus.WAIVED) & Q(waiver=None)),
                name="readiness_item_waived_by_a_waiver",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_type} {self.item_key} {self.status}"


# --- preparation ------------------------------------------------------------------------------------------


class Gate(models.TextChoices):
    HARD = "HARD", _("Hard: cannot be waived")
    SOFT = "SOFT", _("Soft: may be waived")


class ConfirmMode(models.TextChoices):
    MANUAL = "MANUAL", _("A person confirms")
    AUTO = "AUTO", _("Confirms itself")


class DataSource(models.TextChoices):
    MANUAL = "MANUAL", _("None: the person looks")
    SYSTEM = "SYSTEM", _("Another system reports it")
    DEVICE = "DEVICE", _("A device value")
    RECORD = "RECORD", _("A check that passed")


_CODE = re.compile(rules.PREPARATION_CODE, re.ASCII)


def validate_preparation_code(value: str) -> None:
    """Raise ValidationError unless it reads like an item type."""
    if not _CODE.fullmatch(value):
        raise ValidationError(_("Must be PREP_ with capital letters, digits and underscores."))


class PrepPolicy(models.Model):
    """A preparation that runs of a line or of a route need, and how it is confirmed. `code` is its item type."""

    code = models.CharField(_("code"), max_length=100, validators=[validate_preparation_code])
    name = models.CharField(_("name"), max_length=200)
    instruction = models.CharField(
        _("instruction"), max_length=500, blank=True, help_text=_("What to do, as the readiness board says it.")
    )
    line = models.ForeignKey(
        Line, on_delete=models.CASCADE, null=True, blank=True, related_name="prep_policies", verbose_name=_("line")
    )
    routing = models.ForeignKey(
        Routing, on_delete=models.CASCADE, null=True, blank=True, related_name="prep_policies", verbose_name=_("route")
    )
    gate = models.CharField(_("gate"), max_length=4, choices=Gate, default=Gate.SOFT)
    confirm_mode = models.CharField(_("confirmation"), max_length=6, choices=ConfirmMode, default=ConfirmMode.MANUAL)
    data_source = models.CharField(_("data source"), max_length=6, choices=DataSource, default=DataSource.MANUAL)
    spec = models.ForeignKey(
        DataCollectionSpec,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="prep_policies",
        verbose_name=_("spec"),
        help_text=_("DEVICE: the value that confirms."),
    )
    form = models.ForeignKey(
        CheckForm,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="prep_policies",
        verbose_name=_("check form"),
        help_text=_("RECORD: the check that confirms, of all on the run's line that it is about."),
    )
    expected_text = models.CharField(
        _("expected text"),
        max_length=200,
        blank=True,
        help_text=_("DEVICE with a TEXT spec: what the value must be, for example the name of the program."),
    )
    max_age_minutes = models.PositiveIntegerField(
        _("valid for minutes"),
        null=True,
        blank=True,
        help_text=_("How long a confirmation or value counts. DEVICE needs it; otherwise empty means for the run."),
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["code", "id"]
        verbose_name = _("prep policy")
        verbose_name_plural = _("prep policies")
        constraints = [
            models.CheckConstraint(
                condition=Q(line__isnull=False, routing=None) | Q(line=None, routing__isnull=False),
                name="prep_policy_of_a_line_or_a_route",
                violation_error_message=_("Name a line or a route, not both."),
            ),
            models.UniqueConstraint(fields=["line", "code"], name="prep_policy_once_per_line"),
            models.UniqueConstraint(fields=["routing", "code"], name="prep_policy_once_per_route"),
            models.CheckConstraint(
                condition=~Q(confirm_mode=ConfirmMode.AUTO, data_source=DataSource.MANUAL),
                name="prep_policy_auto_needs_a_source",
                violation_error_message=_("AUTO needs the data source SYSTEM, DEVICE or RECORD."),
            ),
            models.CheckConstraint(
                condition=Q(data_source=DataSource.RECORD, form__isnull=False, max_age_minutes__gt=0)
                | (~Q(data_source=DataSource.RECORD) & Q(form=None)),
                name="prep_policy_record_names_its_form",
                violation_error_message=_("RECORD, and only RECORD, needs a check form and how long a check is valid."),
            ),
            models.CheckConstraint(
                condition=Q(data_source=DataSource.DEVICE, spec__isnull=False, max_age_minutes__gt=0)
                | (~Q(data_source=DataSource.DEVICE) & Q(spec=None, expected_text="")),
                name="prep_policy_device_names_its_spec",
                violation_error_message=_("DEVICE, and only DEVICE, needs a spec and how long its value is valid."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.line or self.routing}"

    def clean(self) -> None:
        """Refuse combinations that could never confirm, at the field they are typed in."""
        if problems := rules.find_policy_problems(self):
            raise ValidationError(problems)


class PrepConfirmation(models.Model):
    """Somebody, or another system, says that a preparation of a run is done. The latest of each source counts."""

    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="prep_confirmations", db_index=False, verbose_name=_("run")
    )
    code = models.CharField(_("preparation"), max_length=100)
    source = models.CharField(_("source"), max_length=6, choices=DataSource)
    is_done = models.BooleanField(_("done"), default=True, help_text=_("No: an earlier confirmation is taken back."))
    confirmed_by = models.CharField(_("confirmed by"), max_length=150)
    confirmed_at = models.DateTimeField(_("confirmed"), default=timezone.now)
    remark = models.CharField(_("remark"), max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("prep confirmation")
        verbose_name_plural = _("prep confirmations")
        indexes = [models.Index(F("run"), F("code"), F("id").desc(), name="prep_confirmation_latest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(source__in=[DataSource.MANUAL, DataSource.SYSTEM]), name="prep_confirmation_of_no_device"
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.run_id}"
