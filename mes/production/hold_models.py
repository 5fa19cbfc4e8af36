"""What keeps units, runs, stations and lines still, and the rules by which the system stops a station by itself."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line, Operation, Station, code_field
from mes.production.decision_models import LONGEST_REASON
from mes.production.models import Run, Unit


class HoldScope(models.TextChoices):
    UNITS = "UNITS", _("Units")
    RUN = "RUN", _("Run")
    STATION = "STATION", _("Station")
    LINE = "LINE", _("Line")


class HoldSource(models.TextChoices):
    PERSON = "PERSON", _("A person")
    REPORT = "REPORT", _("A refused report")
    ALARM = "ALARM", _("An alarm")
    DATA = "DATA", _("A value")
    INSPECTION = "INSPECTION", _("An inspection")
    DEFECT = "DEFECT", _("A defect")
    REPAIR = "REPAIR", _("A repair")
    FAI = "FAI", _("First article")
    OQC = "OQC", _("Outgoing inspection")
    RULE = "RULE", _("A hold rule")
    TIME = "TIME", _("A time rule")
    MATERIAL = "MATERIAL", _("Material")
    ERP = "ERP", _("ERP")


class HoldStatus(models.TextChoices):
    OPEN = "OPEN", _("Open")
    RELEASED = "RELEASED", _("Released")


class HoldRuleKind(models.TextChoices):
    CONSECUTIVE_FAIL = "CONSECUTIVE_FAIL", _("Failed in a row")
    SAME_DEFECT = "SAME_DEFECT", _("The same defect")
    FPY_BELOW = "FPY_BELOW", _("First-pass yield below")


class HoldRuleAction(models.TextChoices):
    STOP_STATION = "STOP_STATION", _("Stop the station")
    HOLD_LINE = "HOLD_LINE", _("Stop the line")
    NOTIFY = "NOTIFY", _("Tell")


LARGEST_WINDOW = 500
LEAST_FOR_A_YIELD = 20

# The numbers that each kind of rule has.
NUMBERS_OF_KIND: dict[str, tuple[str, ...]] = {
    HoldRuleKind.CONSECUTIVE_FAIL: ("n",),
    HoldRuleKind.SAME_DEFECT: ("n", "of"),
    HoldRuleKind.FPY_BELOW: ("of", "percent"),
}


class HoldRule(models.Model):
    """When the system stops a station or a line by itself, or tells people, by what was tracked out there.

    It concerns each station and step of its own that all named places fit; none named is every.
    """

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    line = models.ForeignKey(Line, on_delete=models.PROTECT, null=True, blank=True, related_name="hold_rules")
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, blank=True, related_name="hold_rules")
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, null=True, blank=True, related_name="hold_rules")
    product_code = models.CharField(_("product"), max_length=100, blank=True)
    kind = models.CharField(_("kind"), max_length=16, choices=HoldRuleKind)
    n = models.PositiveSmallIntegerField(_("how many"), null=True, blank=True)
    of = models.PositiveSmallIntegerField(_("of the last"), null=True, blank=True)
    percent = models.DecimalField(_("percent"), max_digits=5, decimal_places=2, null=True, blank=True)
    action = models.CharField(_("what then"), max_length=12, choices=HoldRuleAction)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("hold rule")
        verbose_name_plural = _("hold rules")
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    kind=HoldRuleKind.CONSECUTIVE_FAIL,
                    n__isnull=False,
                    n__gte=1,
                    n__lte=LARGEST_WINDOW,
                    of=None,
                    percent=None,
                )
                | Q(
                    kind=HoldRuleKind.SAME_DEFECT,
                    n__isnull=False,
                    n__gte=1,
                    of__isnull=False,
                    of__gte=F("n"),
                    of__lte=LARGEST_WINDOW,
                    percent=None,
                )
                | Q(
                    kind=HoldRuleKind.FPY_BELOW,
                    n=None,
                    of__isnull=False,
                    of__gte=LEAST_FOR_A_YIELD,
                    of__lte=LARGEST_WINDOW,
                    percent__isnull=False,
                    percent__gt=0,
                    percent__lte=100,
                ),
                name="hold_rule_numbers_of_its_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Each kind has the numbers that it needs, and no others; the station is one of the line."""
        problems = self._find_wrong_numbers()
        if self.line_id and self.station and self.station.line_id not in (None, self.line_id):
            problems["station"] = _now("Is not a station of this line.")
        if problems:
            raise ValidationError(problems)

    def _find_wrong_numbers(self) -> dict[str, str]:
        needed = NUMBERS_OF_KIND.get(self.kind, ())
        problems: dict[str, str] = {}
        for name in ("n", "of", "percent"):
            if (getattr(self, name) is not None) != (name in needed):
                problems[name] = _now("The kind needs this.") if name in needed else _now("Not of this kind.")
        if problems:
            return problems
        if self.n is not None and not 1 <= self.n <= LARGEST_WINDOW:
            problems["n"] = _now("Must be from 1 to %(most)d.") % {"most": LARGEST_WINDOW}
        least = LEAST_FOR_A_YIELD if self.kind == HoldRuleKind.FPY_BELOW else 1
        if self.of is not None and not least <= self.of <= LARGEST_WINDOW:
            problems["of"] = _now("Must be from %(least)d to %(most)d.") % {"least": least, "most": LARGEST_WINDOW}
        elif self.of is not None and self.n is not None and self.n > self.of:
            problems["n"] = _now("Cannot be more than of how many.")
        if self.percent is not None and not 0 < self.percent <= 100:
            problems["percent"] = _now("Must be above 0, and 100 at most.")
        return problems

    @property
    def window(self) -> int:
        """How many passes it looks at, at most."""
        return (self.n if self.kind == HoldRuleKind.CONSECUTIVE_FAIL else self.of) or 1


class HoldRuleNotice(models.Model):
    """What a rule that only tells has told: after it, counting begins anew there. `passed_at` is when the pass left
    that made it tell.
    """

    rule = models.ForeignKey(HoldRule, on_delete=models.PROTECT, related_name="notices", db_index=False)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="+", db_index=False)
    step_no = models.PositiveIntegerField(_("step"))
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON)
    passed_at = models.DateTimeField(_("passed"))
    noticed_at = models.DateTimeField(_("told"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("notice of a hold rule")
        verbose_name_plural = _("notices of hold rules")
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "station", "step_no", "passed_at"], name="hold_rule_notice_once_for_a_pass"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.station_id} {self.step_no}"


class Hold(models.Model):
    """A case: what keeps units, a run, a station or a line still. Of a place one is open for each source.

    A case of units has a row for each of them (`HeldUnit`). `condition` says which were meant, named as in the API;
    one that `catches` holds what comes to match later, too. While units are still being held, `applied_up_to` is the
    id of the last unit that was looked at and `to_apply` how many were meant. `caught_up_to` and `caught_up_value_id`
    say how far a hold that catches has looked for what came by without an event.
    """

    scope = models.CharField(_("scope"), max_length=7, choices=HoldScope)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="holds")
    line = models.ForeignKey(Line, on_delete=models.PROTECT, null=True, related_name="holds")
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="holds")
    source = models.CharField(_("source"), max_length=10, choices=HoldSource, default=HoldSource.PERSON)
    rule = models.ForeignKey(HoldRule, on_delete=models.PROTECT, null=True, related_name="holds")
    status = models.CharField(_("status"), max_length=8, choices=HoldStatus, default=HoldStatus.OPEN)
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON)
    condition = models.JSONField(_("condition"), null=True)
    owner = models.CharField(_("owner"), max_length=150, blank=True, default="", db_default="")
    catches = models.BooleanField(_("catches what comes"), default=False, db_default=False)
    to_apply = models.PositiveIntegerField(_("to be held"), null=True)
    applied_up_to = models.BigIntegerField(_("held up to"), null=True)
    caught_up_to = models.DateTimeField(_("looked at what came until"), null=True)
    caught_up_value_id = models.BigIntegerField(_("last value looked at"), null=True)
    opened_by = models.CharField(_("held by"), max_length=150)
    opened_at = models.DateTimeField(_("held"), default=timezone.now)
    ended_by = models.CharField(_("released by"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("released"), null=True)
    end_reason = models.CharField(_("reason of release"), max_length=LONGEST_REASON, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.UniqueConstraint(
                fields=["run", "source"], condition=Q(status=HoldStatus.OPEN, scope=HoldScope.RUN), name="hold_open_run"
            ),
            models.UniqueConstraint(
                fields=["line", "source"],
                condition=Q(status=HoldStatus.OPEN, scope=HoldScope.LINE),
                name="hold_open_line",
            ),
            models.UniqueConstraint(
                fields=["station", "source"],
                condition=Q(status=HoldStatus.OPEN, scope=HoldScope.STATION),
                name="hold_open_station",
            ),
            models.CheckConstraint(
                condition=Q(scope=HoldScope.RUN, run__isnull=False, line__isnull=True, station__isnull=True)
                | Q(scope=HoldScope.LINE, run__isnull=True, line__isnull=False, station__isnull=True)
                | Q(scope=HoldScope.STATION, run__isnull=True, line__isnull=True, station__isnull=False)
                | Q(scope=HoldScope.UNITS, run__isnull=True, line__isnull=True, station__isnull=True),
                name="hold_of_what_its_scope_says",
            ),
            models.CheckConstraint(
                condition=Q(status=HoldStatus.OPEN, ended_at__isnull=True)
                | Q(status=HoldStatus.RELEASED, ended_at__isnull=False),
                name="hold_ended_when_released",
            ),
        ]
        # Few are open, however many there were.
        indexes = [
            models.Index(fields=["id"], condition=Q(status=HoldStatus.OPEN), name="hold_open"),
            models.Index(
                fields=["id"], condition=Q(status=HoldStatus.OPEN, catches=True), name="hold_open_that_catches"
            ),
        ]

    def __str__(self) -> str:
        return self.hold_no

    @property
    def hold_no(self) -> str:
        """Its number, as people name it."""
        return self.number_of(self.pk)

    @staticmethod
    def number_of(hold_id: int) -> str:
        """Return the number of the case with this id."""
        return f"H-{hold_id}"


class HeldUnitEnd(models.TextChoices):
    RELEASED = "RELEASED", _("Released")
    REWORK = "REWORK", _("Reworked")
    SCRAP = "SCRAP", _("Scrapped")


class HeldUnit(models.Model):
    """A unit that a case holds, until `ended_at`. A unit is ON_HOLD while it has one that is open."""

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="held_units", db_index=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="held_units", db_index=False)
    held_at = models.DateTimeField(_("held"), default=timezone.now)
    held_by = models.CharField(_("held by"), max_length=150)
    ended_at = models.DateTimeField(_("ended"), null=True)
    ended_by = models.CharField(_("ended by"), max_length=150, blank=True, default="", db_default="")
    end = models.CharField(_("end"), max_length=8, choices=HeldUnitEnd, blank=True, default="", db_default="")
    end_reason = models.CharField(_("why"), max_length=LONGEST_REASON, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("held unit")
        verbose_name_plural = _("held units")
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "hold"], condition=Q(ended_at=None), name="held_unit_once_open_per_hold"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, end="") | (Q(ended_at__isnull=False) & ~Q(end="")),
                name="held_unit_ended_with_its_end",
            ),
        ]
        indexes = [
            models.Index(fields=["hold", "id"], name="held_unit_by_hold"),
            models.Index(fields=["unit", "-id"], name="held_unit_by_unit"),
        ]

    def __str__(self) -> str:
        return f"{self.hold_id} {self.unit_id}"


class HoldDecision(models.Model):
    """What was decided about a hold: released as a whole, or units of it released, reworked or scrapped.

    It is what is signed. `sns` are the units' serial numbers at that time; a run, line or station has none.
    """

    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="decisions")
    end = models.CharField(_("decision"), max_length=8, choices=HeldUnitEnd)
    to_step_no = models.PositiveIntegerField(_("to step"), null=True)
    sns = ArrayField(models.CharField(max_length=100), default=list, verbose_name=_("units"))
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, blank=True)
    decided_by = models.CharField(_("decided by"), max_length=150)
    decided_at = models.DateTimeField(_("decided"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("decision about a hold")
        verbose_name_plural = _("decisions about holds")

    def __str__(self) -> str:
        return f"{self.hold_id} {self.end}"
