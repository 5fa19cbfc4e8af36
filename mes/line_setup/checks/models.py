"""Checks of lines, stations, machines, tools and stores: forms that say what is looked at, and records of what was."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.line_setup.checks.fields import find_field_problems
from mes.line_setup.tools.models import ToolKind
from mes.plant.models import code_field
from mes.status_reports.models import recorded_by_field

CODE_LENGTH = 100


class SubjectType(models.TextChoices):
    LINE = "LINE", _("Line")
    STATION = "STATION", _("Station")
    EQUIPMENT = "EQUIPMENT", _("Machine")
    TOOL = "TOOL", _("Tool")
    STORE = "STORE", _("Store")


class OnPass(models.TextChoices):
    NONE = "NONE", _("Nothing")
    SERVICED = "SERVICED", _("The tool counts as serviced")


class OnFail(models.TextChoices):
    NONE = "NONE", _("Nothing")
    BLOCK = "BLOCK", _("The tool or machine is not ready until it passes")


class CheckForm(models.Model):
    """What is looked at, of what, and how often. `fields` are `{name, dataType, itemType, limits?, isRequired}`.

    It is of all things of its kind, or of `subject_codes` alone; of tools perhaps of one `tool_kind`. Stores have no
    table: their codes name them.
    """

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    subject_type = models.CharField(_("of a"), max_length=9, choices=SubjectType)
    tool_kind = models.CharField(
        _("kind of tool"), max_length=8, choices=ToolKind, blank=True, help_text=_("Of tools: these only.")
    )
    subject_codes: Any = ArrayField(
        models.CharField(max_length=CODE_LENGTH, db_collation="C"),
        default=list,
        blank=True,
        verbose_name=_("only of"),
        help_text=_("Codes of lines, stations, machines or tools; none: of all. A store is named here."),
    )
    fields = models.JSONField(_("fields"), default=list, help_text=_("What is looked at, each with its limits."))
    every_hours = models.PositiveIntegerField(_("every … hours"), null=True, blank=True)
    every_shift = models.BooleanField(_("every shift"), default=False)
    every_uses = models.PositiveIntegerField(_("every … uses"), null=True, blank=True, help_text=_("Of tools."))
    needs_verifier = models.BooleanField(
        _("verified by another person"), default=False, help_text=_("A PASS counts as somebody else confirms it.")
    )
    on_pass = models.CharField(_("if it passes"), max_length=8, choices=OnPass, default=OnPass.NONE)
    on_fail = models.CharField(_("if it fails"), max_length=5, choices=OnFail, default=OnFail.NONE)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("check form")
        verbose_name_plural = _("check forms")
        constraints = [
            models.CheckConstraint(
                condition=Q(every_hours=None, every_uses=None)
                | Q(every_hours__gte=1, every_shift=False, every_uses=None)
                | Q(every_hours=None, every_shift=False, every_uses__gte=1),
                name="check_form_one_interval",
                violation_error_message=_("Name one of hours, shifts and uses, or none; at least 1."),
            ),
            models.CheckConstraint(
                condition=Q(subject_type=SubjectType.TOOL) | Q(tool_kind="", every_uses=None, on_pass=OnPass.NONE),
                name="check_form_of_tools",
                violation_error_message=_("Only tools have kinds, uses and services."),
            ),
            models.CheckConstraint(
                condition=Q(on_fail=OnFail.NONE) | Q(subject_type__in=[SubjectType.TOOL, SubjectType.EQUIPMENT]),
                name="check_form_blocks_tools_and_machines",
                violation_error_message=_("Only tools and machines are blocked."),
            ),
            models.CheckConstraint(
                condition=~Q(subject_type=SubjectType.STORE, subject_codes=[]),
                name="check_form_names_its_stores",
                violation_error_message=_("Name the stores."),
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Refuse fields that could never be filled in."""
        if problems := find_field_problems(self.fields):
            raise ValidationError({"fields": [f"{place}: {message}" for place, message in problems.items()]})


class Verdict(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


class CheckRecord(models.Model):
    """What somebody saw. `values` keep the limits that they were judged by; the latest by `at` decides.

    Of a form that is verified, a PASS counts once another person confirmed it. `uses` are those of the tool then.
    """

    form = models.ForeignKey(
        CheckForm, on_delete=models.PROTECT, related_name="records", db_index=False, verbose_name=_("form")
    )
    subject_type = models.CharField(_("of a"), max_length=9, choices=SubjectType)
    subject_code = models.CharField(_("of"), max_length=CODE_LENGTH, db_collation="C")
    values = models.JSONField(_("values"), default=list)
    verdict = models.CharField(_("verdict"), max_length=4, choices=Verdict)
    at = models.DateTimeField(_("checked"))
    uses = models.PositiveIntegerField(_("uses then"), null=True)
    operator = models.CharField(_("by"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    needs_verifier = models.BooleanField(_("to be verified"), default=False)
    verified_by = models.CharField(_("verified by"), max_length=150, blank=True)
    verified_at = models.DateTimeField(_("verified"), null=True)
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("check record")
        verbose_name_plural = _("check records")
        constraints = [
            models.CheckConstraint(
                condition=Q(verified_at=None, verified_by="") | (Q(verified_at__isnull=False) & ~Q(verified_by="")),
                name="check_record_verified_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(verified_by="") | ~Q(verified_by=F("operator")), name="check_record_verified_by_another"
            ),
        ]
        indexes = [
            models.Index(F("form"), F("subject_code"), F("at").desc(), F("id").desc(), name="check_record_latest"),
            models.Index(F("at"), name="check_record_age"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_code} {self.at:%Y-%m-%d %H:%M}"


COUNTING = Q(verdict=Verdict.FAIL) | Q(needs_verifier=False) | Q(verified_at__isnull=False)
