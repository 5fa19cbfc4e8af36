"""Sampling rules, where sampling stands by them, and the inspections of lots with their samples and items."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line, code_field
from mes.production.hold_models import Hold
from mes.production.models import Run, Unit
from mes.routing import fai_items
from mes.routing.models import Routing


class SamplingScheme(models.TextChoices):
    NONE = "NONE", _("No inspection")
    ALL = "ALL", _("Every unit")
    FIXED = "FIXED", _("A fixed number")
    PERCENT = "PERCENT", _("A percentage")
    ISO2859 = "ISO2859", _("ISO 2859-1")


class InspectionLevel(models.TextChoices):
    S1 = "S-1", "S-1"
    S2 = "S-2", "S-2"
    S3 = "S-3", "S-3"
    S4 = "S-4", "S-4"
    I = "I", "I"  # noqa: E741 (as the standard calls it)
    II = "II", "II"
    III = "III", "III"


class SamplingStateName(models.TextChoices):
    NORMAL = "NORMAL", _("Normal")
    TIGHTENED = "TIGHTENED", _("Tightened")
    REDUCED = "REDUCED", _("Reduced")
    DISCONTINUED = "DISCONTINUED", _("Discontinued")


class OqcStatus(models.TextChoices):
    CREATED = "CREATED", _("Created")
    INSPECTING = "INSPECTING", _("Inspecting")
    PASSED = "PASSED", _("Passed")
    FAILED = "FAILED", _("Failed")
    CANCELLED = "CANCELLED", _("Cancelled")


class OqcResult(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


OPEN_STATUSES = (OqcStatus.CREATED, OqcStatus.INSPECTING)
DECIDED_STATUSES = (OqcStatus.PASSED, OqcStatus.FAILED)


_NUMBERS: dict[str, tuple[str, ...]] = {
    SamplingScheme.FIXED: ("n",),
    SamplingScheme.PERCENT: ("percent",),
    SamplingScheme.ISO2859: ("level", "aql"),
}


class SamplingRule(models.Model):
    """How lots are sampled: of a product, a route, a line, as far as they are named. The most specific one counts.

    `items` says what is looked at on each sampled unit, named as in the API; it is frozen into an inspection.
    """

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    product_code = models.CharField(_("product"), max_length=100, blank=True)
    routing = models.ForeignKey(
        Routing, on_delete=models.PROTECT, null=True, blank=True, related_name="sampling_rules", verbose_name=_("route")
    )
    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, null=True, blank=True, related_name="sampling_rules", verbose_name=_("line")
    )
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Of rules that are equally specific, the highest counts.")
    )
    scheme = models.CharField(_("scheme"), max_length=8, choices=SamplingScheme)
    n = models.PositiveIntegerField(_("how many"), null=True, blank=True)
    percent = models.DecimalField(_("percent"), max_digits=5, decimal_places=2, null=True, blank=True)
    level = models.CharField(_("inspection level"), max_length=3, choices=InspectionLevel, blank=True)
    aql = models.CharField(_("AQL"), max_length=5, blank=True)
    reduced_allowed = models.BooleanField(_("reduced inspection allowed"), default=False)
    items = models.JSONField(_("what is looked at"), default=list, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("sampling rule")
        verbose_name_plural = _("sampling rules")
        constraints = [
            models.CheckConstraint(
                condition=Q(scheme=SamplingScheme.FIXED, n__isnull=False, n__gt=0)
                | (~Q(scheme=SamplingScheme.FIXED) & Q(n=None)),
                name="sampling_rule_n_of_fixed",
            ),
            models.CheckConstraint(
                condition=Q(scheme=SamplingScheme.PERCENT, percent__isnull=False, percent__gt=0, percent__lte=100)
                | (~Q(scheme=SamplingScheme.PERCENT) & Q(percent=None)),
                name="sampling_rule_percent_of_percent",
            ),
            models.CheckConstraint(
                condition=(Q(scheme=SamplingScheme.ISO2859) & ~Q(level="") & ~Q(aql=""))
                | (~Q(scheme=SamplingScheme.ISO2859) & Q(level="", aql="", reduced_allowed=False)),
                name="sampling_rule_level_of_iso2859",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Each scheme has the numbers that it needs, and no others; items are such as can be inspected."""
        needed = _NUMBERS.get(self.scheme, ())
        problems: dict[str, str] = {}
        for name in ("n", "percent", "level", "aql"):
            is_given = getattr(self, name) not in (None, "")
            if is_given != (name in needed):
                problems[name] = _now("The scheme needs this.") if name in needed else _now("Not of this scheme.")
        if self.n == 0:
            problems["n"] = _now("Must be at least 1.")
        if self.reduced_allowed and self.scheme != SamplingScheme.ISO2859:
            problems["reduced_allowed"] = _now("Not of this scheme.")
        if self.items and (wrong := fai_items.find_problems(self.items)):
            problems["items"] = " ".join(f"{place}: {text}" if place else str(text) for place, text in wrong.items())
        if problems:
            raise ValidationError(problems)


class SamplingState(models.Model):
    """Where sampling by ISO 2859-1 stands for a product by a rule, as its original lots have led there.

    `recent` are the last lots of normal inspection, at most five, the latest last, true where accepted; in tightened
    inspection `accepted_in_row` and `not_accepted` count the lots.
    """

    rule = models.ForeignKey(SamplingRule, on_delete=models.PROTECT, related_name="states", verbose_name=_("rule"))
    product_code = models.CharField(_("product"), max_length=100)
    state = models.CharField(_("state"), max_length=12, choices=SamplingStateName, default=SamplingStateName.NORMAL)
    score = models.PositiveIntegerField(_("switching score"), default=0)
    recent = ArrayField(models.BooleanField(), default=list, verbose_name=_("last lots"))
    accepted_in_row = models.PositiveSmallIntegerField(_("accepted in a row"), default=0)
    not_accepted = models.PositiveSmallIntegerField(_("not accepted"), default=0)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now)
    resumed_by = models.CharField(_("resumed by"), max_length=150, blank=True)
    resumed_at = models.DateTimeField(_("resumed"), null=True, blank=True)
    resume_reason = models.CharField(_("why"), max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("sampling state")
        verbose_name_plural = _("sampling states")
        constraints = [
            models.UniqueConstraint(fields=["rule", "product_code"], name="sampling_state_of_rule_and_product")
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(state=SamplingStateName.DISCONTINUED), name="sampling_state_discontinued"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.product_code} {self.state}"


class OqcInspection(models.Model):
    """The inspection of a run's lot: its sample, drawn once, and what that was drawn by.

    `lot_unit_ids` are the units that were done then; `seed` is what the sample was drawn with, so that it can be drawn
    again. `state` is the state of sampling that the plan was taken from, `score_after` the score once it was decided.
    """

    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="outgoing_inspections", db_index=False, verbose_name=_("run")
    )
    status = models.CharField(_("status"), max_length=10, choices=OqcStatus, default=OqcStatus.CREATED)
    rule = models.ForeignKey(
        SamplingRule, on_delete=models.PROTECT, null=True, related_name="inspections", verbose_name=_("rule")
    )
    scheme = models.CharField(_("scheme"), max_length=8, choices=SamplingScheme)
    level = models.CharField(_("inspection level"), max_length=3, blank=True)
    aql = models.CharField(_("AQL"), max_length=5, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=SamplingStateName, blank=True)
    letter = models.CharField(_("code letter"), max_length=1, blank=True)
    used_letter = models.CharField(_("letter used"), max_length=1, blank=True)
    lot_size = models.PositiveIntegerField(_("lot size"))
    sample_qty = models.PositiveIntegerField(_("sample"))
    ac = models.PositiveIntegerField(_("Ac"))
    re = models.PositiveIntegerField(_("Re"))
    lower_ac = models.PositiveIntegerField(_("Ac of the next lower AQL"), null=True)
    items_asked = models.JSONField(_("what is looked at"), default=list)
    seed = models.CharField(_("seed"), max_length=32)
    lot_unit_ids = ArrayField(models.BigIntegerField(), default=list, verbose_name=_("units of the lot"))
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    created_by = models.CharField(_("created by"), max_length=150)
    created_at = models.DateTimeField(_("drawn"), default=timezone.now)
    started_by = models.CharField(_("started by"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    completed_by = models.CharField(_("decided by"), max_length=150, blank=True)
    completed_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decision_remark = models.CharField(_("remark of the decision"), max_length=500, blank=True)
    nonconforming = models.PositiveIntegerField(_("nonconforming"), null=True, blank=True)
    hold = models.ForeignKey(
        Hold,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("hold of its nonconforming units"),
    )
    score_after = models.PositiveIntegerField(_("switching score"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("outgoing inspection")
        verbose_name_plural = _("outgoing inspections")
        indexes = [
            models.Index(F("run"), F("id").desc(), name="oqc_by_run"),
            models.Index(fields=["id"], condition=Q(status__in=OPEN_STATUSES), name="oqc_open"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run"], condition=Q(status__in=OPEN_STATUSES), name="oqc_one_open_per_run"),
            models.CheckConstraint(
                condition=Q(sample_qty__gt=0, lot_size__gte=F("sample_qty"), re__gt=F("ac")),
                name="oqc_sample_of_the_lot",
            ),
            models.CheckConstraint(
                condition=(Q(status__in=OPEN_STATUSES) & Q(completed_at=None))
                | (~Q(status__in=OPEN_STATUSES) & Q(completed_at__isnull=False)),
                name="oqc_completed_when_it_ends",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=DECIDED_STATUSES) | Q(nonconforming__isnull=False),
                name="oqc_decided_by_its_nonconforming",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.status}"


class OqcSample(models.Model):
    """A unit that was drawn."""

    inspection = models.ForeignKey(
        OqcInspection, on_delete=models.CASCADE, related_name="samples", db_index=False, verbose_name=_("inspection")
    )
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="oqc_samples", verbose_name=_("unit"))

    class Meta:
        ordering = ["id"]
        verbose_name = _("sampled unit")
        verbose_name_plural = _("sampled units")
        constraints = [models.UniqueConstraint(fields=["inspection", "unit"], name="oqc_sample_once")]

    def __str__(self) -> str:
        return f"{self.inspection_id} {self.unit_id}"


class OqcItem(models.Model):
    """One thing looked at on a sampled unit. Of several with one name on a unit, the latest counts; all are kept.

    Of one with limits the system judges `actual_number`; another result that was claimed is kept beside it.
    """

    inspection = models.ForeignKey(
        OqcInspection, on_delete=models.CASCADE, related_name="items", verbose_name=_("inspection")
    )
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="oqc_items", verbose_name=_("unit"))
    item_name = models.CharField(_("item"), max_length=100)
    item_spec = models.CharField(_("what it should be"), max_length=200, blank=True)
    actual_value = models.CharField(_("what it is"), max_length=200, blank=True)
    actual_number = models.FloatField(_("measured"), null=True, blank=True)
    result = models.CharField(_("result"), max_length=4, choices=OqcResult)
    claimed_result = models.CharField(_("claimed result"), max_length=4, choices=OqcResult, blank=True)
    defect_code = models.CharField(_("defect"), max_length=100, blank=True)
    location = models.CharField(_("location"), max_length=100, blank=True)
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    recorded_by = models.CharField(_("recorded by"), max_length=150)
    recorded_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = _("inspected item")
        verbose_name_plural = _("inspected items")

    def __str__(self) -> str:
        return f"{self.item_name} {self.result}"
