"""Rules by which people and other systems are told of events, and the quiet times that run for them."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Severity
from mes.platform.notifications.receiver_addresses import LONGEST_ADDRESS, validate_webhook

LONGEST_QUIET = 24 * 60  # minutes
LONGEST_RECEIVER = LONGEST_ADDRESS


class NoticeEvent(models.TextChoices):
    """What people may be told of by a rule."""

    HOLD_OPENED = "HOLD_OPENED", _("Something is held")
    UNIT_FAILED = "UNIT_FAILED", _("A unit failed at a station")
    DATA_ALARM = "DATA_ALARM", _("A value is outside its alarm band")
    EVENT_REJECTED = "EVENT_REJECTED", _("A report of a machine or system was refused")
    CLOCK_WARNING = "CLOCK_WARNING", _("A clock runs out soon")
    CLOCK_EXPIRED = "CLOCK_EXPIRED", _("A clock ran out")
    CLOCK_EARLY = "CLOCK_EARLY", _("Something happened too early")
    FAI_FAILED = "FAI_FAILED", _("A first article failed")
    OQC_FAILED = "OQC_FAILED", _("An outgoing inspection failed")
    OUTBOX_DEAD = "OUTBOX_DEAD", _("Work of the system was given up")
    TOOL_NEAR_LIMIT = "TOOL_NEAR_LIMIT", _("A tool nears a limit")
    SYSTEM_TROUBLE = "SYSTEM_TROUBLE", _("The installation is in trouble")


OF_NO_LINE = (NoticeEvent.OUTBOX_DEAD, NoticeEvent.SYSTEM_TROUBLE)


class NoticeChannel(models.TextChoices):
    APP = "APP", _("In the application")
    MAIL = "MAIL", _("By mail")
    WEBHOOK = "WEBHOOK", _("By webhook")


class NotificationRule(models.Model):
    """Who is told of an event, and how. One of no line is for all.

    People of a role hear of the lines that they follow; who is named hears of every line of the rule. `quiet_minutes`:
    for so long after something was told, more of the same line is counted only, and told as a number when they end.
    """

    name = models.CharField(_("name"), max_length=200, unique=True)
    event = models.CharField(_("event"), max_length=20, choices=NoticeEvent)
    line = models.ForeignKey(
        "mes.Line", on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("line")
    )
    roles = ArrayField(models.CharField(max_length=20, choices=Role), default=list, blank=True, verbose_name=_("roles"))
    persons = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="+", verbose_name=_("persons"))
    channels = ArrayField(models.CharField(max_length=10, choices=NoticeChannel), verbose_name=_("ways"))
    webhook_url = models.CharField(
        _("address of the webhook"), max_length=LONGEST_ADDRESS, blank=True, validators=[validate_webhook]
    )
    quiet_minutes = models.PositiveSmallIntegerField(
        _("quiet minutes"), default=0, validators=[MaxValueValidator(LONGEST_QUIET)]
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("notification rule")
        verbose_name_plural = _("notification rules")
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_minutes__lte=LONGEST_QUIET), name="notification_rule_quiet_within_a_day"
            ),
            models.CheckConstraint(condition=~Q(channels=[]), name="notification_rule_has_a_way"),
            models.CheckConstraint(
                condition=Q(channels__contains=[NoticeChannel.WEBHOOK]) & ~Q(webhook_url="")
                | ~Q(channels__contains=[NoticeChannel.WEBHOOK]) & Q(webhook_url=""),
                name="notification_rule_webhook_has_an_address",
            ),
            models.CheckConstraint(
                condition=Q(line=None) | ~Q(event__in=OF_NO_LINE), name="notification_rule_line_of_its_event"
            ),
        ]
        indexes = [models.Index(F("event"), condition=Q(is_active=True), name="notification_rule_of_event")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Each way is named once, a webhook has an address, and what is of no line names none."""
        problems: dict[str, str] = {}
        if not self.channels:
            problems["channels"] = _now("Name at least one way.")
        self.channels = [each for each in NoticeChannel.values if each in (self.channels or ())]
        self.roles = [each for each in Role.values if each in (self.roles or ())]
        has_webhook = NoticeChannel.WEBHOOK in self.channels
        if has_webhook != bool(self.webhook_url):
            problems["webhook_url"] = (
                _now("A webhook needs an address.") if has_webhook else _now("Only a webhook has an address.")
            )
        if self.line_id is not None and self.event in OF_NO_LINE:
            problems["line"] = _now("This event is of no line.")
        if problems:
            raise ValidationError(problems)

    def concerns(self, line_ids: frozenset[int], *, is_of_all_lines: bool) -> bool:
        """Whether it is about something of these lines."""
        return self.line_id is None or is_of_all_lines or self.line_id in line_ids


class NoticeWindow(models.Model):
    """A quiet time that runs: what a receiver is not told by a rule on a way until it ends, and how much that is.

    `receiver` is the id of a person (APP), an address of mail, or one of a webhook. The row goes when the time ends.
    """

    rule = models.ForeignKey(NotificationRule, on_delete=models.CASCADE, related_name="windows", db_index=False)
    line = models.ForeignKey("mes.Line", on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    channel = models.CharField(_("way"), max_length=10, choices=NoticeChannel)
    receiver = models.CharField(_("receiver"), max_length=LONGEST_RECEIVER)
    begun_at = models.DateTimeField(_("begun"), default=timezone.now)
    ends_at = models.DateTimeField(_("ends"))
    more = models.PositiveIntegerField(_("not told"), default=0)
    last = models.JSONField(_("the last of them"), null=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("quiet time")
        verbose_name_plural = _("quiet times")
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "line", "channel", "receiver"], name="notice_window_once", nulls_distinct=False
            )
        ]
        indexes = [models.Index(F("ends_at"), name="notice_window_end")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.channel} {self.receiver}"

    @property
    def severity(self) -> str:
        """How bad the last of what was not told is."""
        return str((self.last or {}).get("severity", Severity.INFO))
