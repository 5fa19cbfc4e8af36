"""Time rules: what must happen within which time, the clocks that run by them, and the marks they are read from."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line, OperationKind, code_field
from mes.platform.accounts.roles import Role
from mes.production.models import Run
from mes.time_rules.choices import ENTITY_OF_EVENT, EVENT_CHOICES, EntityType, TimeRuleAction, TimeRuleScope
from mes.time_rules.definitions import find_problems

LONGEST_MINUTES = 1_000_000  # nearly two years


def default_notified_roles() -> list[str]:
    """Those who may waive."""
    return [Role.SUPERVISOR.value, Role.QUALITY.value]


class TimeRuleDefinition(models.Model):
    """What must happen within which time. Of several definitions of one code, the most specific that fits applies."""

    code = code_field(verbose_name=_("code"), unique=False)
    name = models.CharField(_("name"), max_length=200)
    duration_minutes = models.PositiveIntegerField(
        _("most minutes"), null=True, blank=True, help_text=_("Within which it must happen; none: at any time.")
    )
    min_minutes = models.PositiveIntegerField(
        _("least minutes"), null=True, blank=True, help_text=_("Before which it must not happen; none: at once.")
    )
    action = models.CharField(
        _("action"),
        max_length=6,
        choices=TimeRuleAction,
        default=TimeRuleAction.NOTIFY,
        db_default=TimeRuleAction.NOTIFY,
        help_text=_("Refusing is for units that must not enter a step too early; holding for all that is not in time."),
    )
    warning_minutes = models.PositiveIntegerField(
        _("warning, minutes before"), default=0, help_text=_("How long before the end people are warned; 0: not.")
    )
    start_event = models.CharField(_("start event"), max_length=40, choices=EVENT_CHOICES)
    start_condition = models.JSONField(
        _("start condition"),
        default=dict,
        blank=True,
        help_text=_('Fields of the event with the values that count: {"operationKind": ["REFLOW"], "result": "PASS"}.'),
    )
    end_event = models.CharField(_("end event"), max_length=40, choices=EVENT_CHOICES)
    end_condition = models.JSONField(_("end condition"), default=dict, blank=True, help_text=_("As of the start."))
    scope = models.CharField(_("scope"), max_length=7, choices=TimeRuleScope, default=TimeRuleScope.GLOBAL)
    scope_value = models.CharField(
        _("scope value"),
        max_length=100,
        blank=True,
        db_collation="C",
        help_text=_("The code of the line, route or product."),
    )
    route_operation_kinds = ArrayField(
        models.CharField(max_length=8, choices=OperationKind),
        default=list,
        blank=True,
        verbose_name=_("only for routes with"),
        help_text=_("Operation kinds that the unit's route must contain, all of them; none: any route."),
    )
    restarts = models.BooleanField(
        _("a new start restarts"), default=False, help_text=_("Else a start while the clock runs changes nothing.")
    )
    is_waivable = models.BooleanField(_("waivable"), default=True)
    is_active = models.BooleanField(_("active"), default=True)
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Of definitions that are equally specific, the highest applies.")
    )
    notified_roles = ArrayField(
        models.CharField(max_length=20, choices=Role.choices),
        default=default_notified_roles,
        blank=True,
        verbose_name=_("roles that are told"),
        help_text=_("Who is told when a clock runs out: people of these roles who follow the line."),
    )
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["code", "-priority", "id"]
        verbose_name = _("time rule")
        verbose_name_plural = _("time rules")
        constraints = [
            models.CheckConstraint(
                condition=Q(duration_minutes=None) | Q(duration_minutes__gte=1, duration_minutes__lte=LONGEST_MINUTES),
                name="time_rule_duration_sensible",
            ),
            models.CheckConstraint(
                condition=Q(duration_minutes=None, warning_minutes=0)
                | Q(duration_minutes__isnull=False, warning_minutes__lt=F("duration_minutes")),
                name="time_rule_warns_before_its_end",
            ),
            models.CheckConstraint(
                condition=Q(min_minutes=None, duration_minutes__isnull=False)
                | Q(min_minutes__gte=1, min_minutes__lte=LONGEST_MINUTES, duration_minutes=None)
                | Q(min_minutes__gte=1, duration_minutes__isnull=False, min_minutes__lt=F("duration_minutes")),
                name="time_rule_least_before_most",
                violation_error_message=_("Give most minutes, or least minutes below them, or least minutes alone."),
            ),
            models.CheckConstraint(
                condition=~Q(action=TimeRuleAction.BLOCK) | Q(min_minutes__isnull=False),
                name="time_rule_refuses_too_early",
            ),
            models.CheckConstraint(
                condition=Q(scope=TimeRuleScope.GLOBAL, scope_value="")
                | (~Q(scope=TimeRuleScope.GLOBAL) & ~Q(scope_value="")),
                name="time_rule_scope_with_value",
            ),
            models.UniqueConstraint(
                fields=["code", "scope", "scope_value", "priority"],
                name="time_rule_once_per_scope",
                violation_error_message=_("There is such a rule for this scope; give one of them another priority."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} ({self.scope_value or self.get_scope_display()})"

    def clean(self) -> None:
        """Refuse what can never apply or contradicts itself, where it is typed."""
        problems: dict[str, Any] = find_problems(self)
        if problems:
            raise ValidationError(problems)

    @property
    def entity_type(self) -> str:
        """Of what the rule's events tell."""
        return ENTITY_OF_EVENT[self.start_event]


class InstanceStatus(models.TextChoices):
    ACTIVE = "ACTIVE", _("Running")
    COMPLETED = "COMPLETED", _("In time")
    EXPIRED = "EXPIRED", _("Expired")
    EARLY = "EARLY", _("Too early")
    WAIVED = "WAIVED", _("Waived")
    CANCELLED = "CANCELLED", _("Cancelled")


class Ending(models.TextChoices):
    END = "END", _("by its end event")
    RESTART = "RESTART", _("by a new start")
    SCRAP = "SCRAP", _("by scrapping")


class TimeRuleInstance(models.Model):
    """One clock: of a unit or lot, by a definition, with the durations as they were at its start.

    A decision is a waiver of a running clock, or the acknowledgement of an expired one, which stays expired. Written
    only by `services` and `sweep`, under the lock of its entity or of its row.
    """

    definition = models.ForeignKey(
        TimeRuleDefinition, on_delete=models.PROTECT, related_name="instances", verbose_name=_("rule")
    )
    definition_code = models.CharField(_("rule's code"), max_length=100, db_collation="C")
    entity_type = models.CharField(_("kind"), max_length=20, choices=EntityType)
    entity_id = models.CharField(_("serial number or lot"), max_length=100, db_collation="C")
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, blank=True, related_name="time_rules", verbose_name=_("run")
    )
    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, null=True, blank=True, related_name="time_rules", verbose_name=_("line")
    )
    status = models.CharField(_("status"), max_length=9, choices=InstanceStatus, default=InstanceStatus.ACTIVE)
    duration_minutes = models.PositiveIntegerField(_("most minutes"), null=True, blank=True)
    min_minutes = models.PositiveIntegerField(_("least minutes"), null=True, blank=True)
    warning_minutes = models.PositiveIntegerField(_("warning, minutes before"))
    start_key = models.CharField(_("started by"), max_length=200)
    started_at = models.DateTimeField(_("started"))
    warning_at = models.DateTimeField(_("warning"), null=True, blank=True)
    expires_at = models.DateTimeField(_("runs out"), null=True, blank=True)
    earliest_at = models.DateTimeField(_("not before"), null=True, blank=True)
    warned_at = models.DateTimeField(_("warned"), null=True, blank=True)
    expired_at = models.DateTimeField(_("found expired"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    ending = models.CharField(_("ended how"), max_length=7, choices=Ending, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    decision_reason = models.CharField(_("reason"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("clock")
        verbose_name_plural = _("clocks")
        constraints = [
            models.UniqueConstraint(
                fields=["definition", "entity_type", "entity_id"],
                condition=Q(status=InstanceStatus.ACTIVE),
                name="time_rule_one_active_per_entity",
            ),
            models.UniqueConstraint(fields=["definition", "start_key"], name="time_rule_once_per_start"),
            models.CheckConstraint(
                condition=~Q(status=InstanceStatus.WAIVED) | (Q(decided_at__isnull=False) & ~Q(decision_reason="")),
                name="time_rule_waived_with_reason",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[InstanceStatus.COMPLETED, InstanceStatus.EARLY]) | Q(ended_at__isnull=False),
                name="time_rule_completed_by_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(status=InstanceStatus.ACTIVE) | Q(ended_at=None), name="time_rule_active_without_end"
            ),
        ]
        indexes = [
            models.Index(F("expires_at"), condition=Q(status=InstanceStatus.ACTIVE), name="time_rule_due"),
            models.Index(
                F("warning_at"), condition=Q(status=InstanceStatus.ACTIVE, warned_at=None), name="time_rule_to_warn"
            ),
            models.Index(
                F("expires_at"),
                condition=Q(status=InstanceStatus.EXPIRED, decided_at=None),
                name="time_rule_to_deal_with",
            ),
            models.Index(F("entity_type"), F("entity_id"), name="time_rule_by_entity"),
            models.Index(F("status"), F("id").desc(), name="time_rule_by_status"),
            models.Index(
                F("run"),
                condition=Q(status__in=[InstanceStatus.ACTIVE, InstanceStatus.EXPIRED]),
                name="time_rule_open_by_run",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.definition_code} {self.entity_id}"


class TimeRuleMark(models.Model):
    """An event that started or may have ended clocks of a unit or lot, kept because events come in any order.

    `starts` maps definition ids to the terms of that moment, `ends` lists definition ids. Kept as long as an event
    may be repeated (`MES_KEY_DAYS`), and while a clock of the entity waits for its end. `supersedes` is the key of the
    event in whose place it is; "" of most.
    """

    event_key = models.CharField(_("event"), max_length=200, unique=True)
    event_type = models.CharField(_("type"), max_length=40)
    entity_type = models.CharField(_("kind"), max_length=20, choices=EntityType)
    entity_id = models.CharField(_("serial number or lot"), max_length=100, db_collation="C")
    at = models.DateTimeField(_("occurred"))
    sequence = models.BigIntegerField(
        _("order"), null=True, help_text=_("Steps order the moves of a unit, not clocks; of a lot, time does.")
    )
    belongs_at = models.DateTimeField(_("of the use begun"))
    starts = models.JSONField(_("starts"), default=dict)
    ends: Any = ArrayField(models.BigIntegerField(), default=list, verbose_name=_("ends"))
    run_id = models.BigIntegerField(_("run"), null=True)
    line_id = models.BigIntegerField(_("line"), null=True)
    supersedes = models.CharField(_("in place of"), max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("mark of a clock")
        verbose_name_plural = _("marks of clocks")
        indexes = [
            models.Index(F("entity_type"), F("entity_id"), name="time_rule_mark_by_entity"),
            models.Index(F("created_at"), name="time_rule_mark_age"),
        ]

    def __str__(self) -> str:
        return self.event_key
