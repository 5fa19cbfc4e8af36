"""First article inspections of runs, what was inspected, and which units were the samples."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.production.models import Run, Unit


class FaiStatus(models.TextChoices):
    CREATED = "CREATED", _("Created")
    INSPECTING = "INSPECTING", _("Inspecting")
    PASSED = "PASSED", _("Passed")
    FAILED = "FAILED", _("Failed")
    CANCELLED = "CANCELLED", _("Cancelled")


class FaiResult(models.TextChoices):
    PASS = "PASS", _("Pass")
    FAIL = "FAIL", _("Fail")


class FirstArticle(models.Model):
    """One inspection of a run's first article. What it looks at is frozen in the run's route version."""

    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="first_articles", db_index=False, verbose_name=_("run")
    )
    status = models.CharField(_("status"), max_length=10, choices=FaiStatus, default=FaiStatus.CREATED)
    sample_qty = models.PositiveIntegerField(_("sample quantity"))
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    created_by = models.CharField(_("created by"), max_length=150)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    started_by = models.CharField(_("started by"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    completed_by = models.CharField(_("decided by"), max_length=150, blank=True)
    completed_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decision_remark = models.CharField(_("remark of the decision"), max_length=500, blank=True)
    signed_by = models.CharField(_("signed by"), max_length=150, blank=True)
    signed_at = models.DateTimeField(_("signed"), null=True, blank=True)
    sign_remark = models.CharField(_("remark of the signature"), max_length=500, blank=True)
    lacks_signature = models.BooleanField(
        _("without an electronic signature"),
        default=False,
        db_default=False,
        help_text=_("A token signed it, and nobody with a password. What was signed before that was asked for is not."),
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("first article inspection")
        verbose_name_plural = _("first article inspections")
        indexes = [models.Index(F("run"), F("id").desc(), name="first_article_by_run")]
        constraints = [
            models.UniqueConstraint(
                fields=["run"],
                condition=Q(status__in=[FaiStatus.CREATED, FaiStatus.INSPECTING]),
                name="first_article_one_open_per_run",
            ),
            models.CheckConstraint(condition=Q(sample_qty__gt=0), name="first_article_has_samples"),
            models.CheckConstraint(
                condition=Q(signed_at=None) | Q(status=FaiStatus.PASSED), name="first_article_signed_when_passed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.status}"

    @property
    def signed(self) -> bool:
        """Whether a person signed it: by an electronic signature, or before that was asked for."""
        return self.signed_at is not None and not self.lacks_signature


class FirstArticleSample(models.Model):
    """A unit that runs through the steps before its run is authorized, because its first article is inspected."""

    first_article = models.ForeignKey(FirstArticle, on_delete=models.CASCADE, related_name="samples")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="first_articles")
    claimed_at = models.DateTimeField(_("since"), default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = _("sample unit")
        verbose_name_plural = _("sample units")
        constraints = [models.UniqueConstraint(fields=["first_article", "unit"], name="first_article_sample_once")]

    def __str__(self) -> str:
        return f"{self.first_article_id} {self.unit_id}"


class FirstArticleItem(models.Model):
    """One thing looked at on a unit. Of several with one name on a unit, the latest counts; all are kept."""

    first_article = models.ForeignKey(FirstArticle, on_delete=models.CASCADE, related_name="items")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="first_article_items")
    item_name = models.CharField(_("item"), max_length=100)
    item_spec = models.CharField(_("what it should be"), max_length=200, blank=True)
    actual_value = models.CharField(_("what it is"), max_length=200, blank=True)
    actual_number = models.FloatField(_("measured"), null=True, blank=True)
    result = models.CharField(_("result"), max_length=4, choices=FaiResult)
    claimed_result = models.CharField(
        _("claimed result"),
        max_length=4,
        choices=FaiResult,
        blank=True,
        default="",
        db_default="",
        help_text=_("What was said, where the system judged otherwise."),
    )
    remark = models.CharField(_("remark"), max_length=500, blank=True)
    recorded_by = models.CharField(_("recorded by"), max_length=150)
    recorded_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = _("inspected item")
        verbose_name_plural = _("inspected items")

    def __str__(self) -> str:
        return f"{self.item_name} {self.result}"
