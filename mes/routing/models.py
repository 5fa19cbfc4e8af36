"""Routes as engineers edit them, and the immutable versions that runs execute."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, JSONField, Q, Value
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Operation, StationGroup, StationType, code_field
from mes.platform.files.models import StoredFile
from mes.routing import fai_items, sn_masks


class RouteSource(models.TextChoices):
    ERP = "ERP", _("ERP")
    MES = "MES", _("MES")


class FaiTemplate(models.Model):
    """What a first article inspection looks at: `items` is a list of `{itemName, itemSpec}`, in order."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    items = models.JSONField(
        _("items"), default=list, help_text=_('A list such as [{"itemName": "R1 value", "itemSpec": "10 kΩ ± 1 %"}].')
    )

    class Meta:
        ordering = ["code"]
        verbose_name = _("first article template")
        verbose_name_plural = _("first article templates")

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Refuse items that cannot be read, where they are typed."""
        if problems := fai_items.find_problems(self.items):
            raise ValidationError(
                {"items": [f"{place}: {text}".removeprefix(": ") for place, text in problems.items()]}
            )


class Routing(models.Model):
    """A route: the ordered steps by which a product is made."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    source_system = models.CharField(_("source"), max_length=3, choices=RouteSource, default=RouteSource.MES)
    source_key = models.CharField(_("source key"), max_length=100, blank=True)
    product_code = models.CharField(_("product"), max_length=100, blank=True, db_index=True)
    effective_from = models.DateTimeField(_("effective from"), null=True, blank=True)
    effective_to = models.DateTimeField(_("effective to"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    fai_template = models.ForeignKey(
        FaiTemplate,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="routings",
        verbose_name=_("first article template"),
        help_text=_("Frozen with the route when it is compiled; used where a step requires a first article."),
    )
    sn_masks = ArrayField(
        models.CharField(max_length=sn_masks.LONGEST_MASK),
        default=list,
        blank=True,
        verbose_name=_("masks of serial numbers"),
        help_text=_(
            "A unit is made only where its serial number fits one: # digit, @ letter A-Z, * either, ? any character, "
            "\\ takes the next as it is. Frozen with the route when it is compiled; none: any serial number."
        ),
    )
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        constraints = [
            models.CheckConstraint(
                condition=Q(effective_from=None) | Q(effective_to=None) | Q(effective_from__lt=F("effective_to")),
                name="routing_effective_in_order",
            )
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """Refuse masks that cannot be asked, where they are typed."""
        if problems := sn_masks.find_problems(self.sn_masks):
            raise ValidationError(
                {"sn_masks": [f"{place}: {text}".removeprefix(": ") for place, text in problems.items()]}
            )


class RoutingStep(models.Model):
    """One step. `step_no` orders the steps and has gaps: the next step is the next in order, never +1."""

    routing = models.ForeignKey(Routing, on_delete=models.CASCADE, related_name="steps", verbose_name=_("route"))
    step_no = models.PositiveIntegerField(_("step number"))
    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, related_name="routing_steps", verbose_name=_("operation")
    )
    source_step_key = models.CharField(_("source step key"), max_length=100, blank=True)

    class Meta:
        ordering = ["routing", "step_no"]
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        constraints = [
            # Asked at the end of a statement, so that two steps may exchange their numbers in one.
            models.UniqueConstraint(
                fields=["routing", "step_no"], name="routing_step_no_once", deferrable=models.Deferrable.IMMEDIATE
            )
        ]

    def __str__(self) -> str:
        return f"{self.step_no} {self.operation.code}"


class ConfigScope(models.TextChoices):
    """Where an execution config applies; an earlier one wins, field by field."""

    STEP = "STEP", _("Step")
    OPERATION = "OPERATION", _("Operation")
    ROUTE = "ROUTE", _("Route")
    GLOBAL = "GLOBAL", _("Everywhere")


class RouteExecutionConfig(models.Model):
    """How steps run. A null field says nothing and lets a wider scope decide."""

    scope = models.CharField(_("scope"), max_length=9, choices=ConfigScope)
    routing = models.ForeignKey(
        Routing, on_delete=models.CASCADE, null=True, blank=True, related_name="configs", verbose_name=_("route")
    )
    step_no = models.PositiveIntegerField(_("step number"), null=True, blank=True)
    source_step_key = models.CharField(
        _("source step key"),
        max_length=100,
        blank=True,
        help_text=_("Names the step when its number may change with the next import."),
    )
    operation = models.ForeignKey(
        Operation, on_delete=models.CASCADE, null=True, blank=True, related_name="configs", verbose_name=_("operation")
    )
    station_type = models.CharField(_("station type"), max_length=6, choices=StationType, null=True, blank=True)
    station_group = models.ForeignKey(
        StationGroup, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("station group")
    )
    allowed_station_codes = ArrayField(
        models.CharField(max_length=100), null=True, blank=True, verbose_name=_("allowed stations")
    )
    requires_fai = models.BooleanField(_("requires first article inspection"), null=True, blank=True)
    retest_limit = models.PositiveSmallIntegerField(_("retest limit"), null=True, blank=True)
    reentry_limit = models.PositiveSmallIntegerField(
        _("re-entry limit"),
        null=True,
        blank=True,
        help_text=_("How often rework may lead a unit into the step again. Of new versions 3 where nothing says it."),
    )
    is_optional = models.BooleanField(
        _("optional"), null=True, blank=True, help_text=_("Then units may go on without it. Of a step only.")
    )
    requires_qualification = models.BooleanField(
        _("requires a qualification"),
        null=True,
        blank=True,
        help_text=_("Only people who are qualified for the operation take units in by hand."),
    )
    data_spec_names = ArrayField(
        models.CharField(max_length=100),
        null=True,
        blank=True,
        verbose_name=_("bound specs"),
        help_text=_("Empty: all active specs of the operation, unless a wider scope names some."),
    )
    ingest_mapping = models.JSONField(_("ingest mapping"), null=True, blank=True)
    work_instructions = models.JSONField(
        _("work instructions"),
        null=True,
        blank=True,
        help_text=_(
            'A list such as [{"title": "How to solder", "url": "https://…"}, {"title": "Plan", "fileId": "7"}]. '
            "Empty: what a wider scope says. []: none."
        ),
    )
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["-updated_at", "-id"]
        verbose_name = _("execution config")
        verbose_name_plural = _("execution configs")
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(scope="STEP", routing__isnull=False, operation=None)
                    & (Q(step_no__isnull=False) | ~Q(source_step_key=""))
                )
                | Q(scope="ROUTE", routing__isnull=False, operation=None, step_no=None, source_step_key="")
                | Q(scope="OPERATION", routing=None, operation__isnull=False, step_no=None, source_step_key="")
                | Q(scope="GLOBAL", routing=None, operation=None, step_no=None, source_step_key=""),
                name="execution_config_scope_names_its_place",
                violation_error_message=_(
                    "STEP names a route and a step, ROUTE a route, OPERATION an operation, GLOBAL none of them."
                ),
            ),
            models.CheckConstraint(
                condition=Q(is_optional=None) | Q(scope="STEP"),
                name="execution_config_optional_only_of_a_step",
                violation_error_message=_("Only a single step can be optional."),
            ),
        ]

    def __str__(self) -> str:
        place = self.routing or (self.operation.code if self.operation else "")
        return f"{self.scope} {place} {self.step_no or self.source_step_key}".strip()


class MappingExample(models.Model):
    """An event that the mapping of a config must go on reading as it was read when it was kept.

    `expected` is `{phase, result, stationCode, carrierNo, units: [{sn, position, result, values}], values}`, values by
    spec, or `{code}` of the refusal. Compiling a route holds it against each step that the mapping is for.
    """

    config = models.ForeignKey(
        RouteExecutionConfig, on_delete=models.CASCADE, related_name="examples", verbose_name=_("execution config")
    )
    name = models.CharField(_("name"), max_length=100)
    event = models.JSONField(_("event"))
    expected = models.JSONField(_("expected"))
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["config", "name"]
        verbose_name = _("mapping example")
        verbose_name_plural = _("mapping examples")
        constraints = [models.UniqueConstraint(fields=["config", "name"], name="mapping_example_name_once")]

    def __str__(self) -> str:
        return self.name


class VersionStatus(models.TextChoices):
    READY = "READY", _("Ready")
    INVALID = "INVALID", _("Invalid")


def bound_spec_ids() -> Func:
    """Return the ids (texts) of the specs that a frozen route binds, as the index has them."""
    path = Value("$.steps[*].dataSpecs[*].id")
    return Func(F("snapshot"), path, function="jsonb_path_query_array", output_field=JSONField())


class RouteVersion(models.Model):
    """A compiled, self-contained, immutable copy of a route and its configuration (a trigger refuses changes)."""

    routing = models.ForeignKey(Routing, on_delete=models.PROTECT, related_name="versions", verbose_name=_("route"))
    version_no = models.PositiveIntegerField(_("version"))
    status = models.CharField(_("status"), max_length=7, choices=VersionStatus)
    errors = models.JSONField(_("errors"), default=list)
    snapshot = models.JSONField(_("snapshot"))
    digest = models.CharField(_("digest"), max_length=64)
    compiled_at = models.DateTimeField(_("compiled"), auto_now_add=True)
    compiled_by = models.CharField(_("compiled by"), max_length=150, blank=True)

    class Meta:
        ordering = ["routing", "-version_no"]
        verbose_name = _("route version")
        verbose_name_plural = _("route versions")
        constraints = [models.UniqueConstraint(fields=["routing", "version_no"], name="route_version_no_once")]
        # Documents are large and there may be thousands: who asks which bind a spec must not read them all.
        indexes = [GinIndex(bound_spec_ids(), name="route_version_by_spec")]

    def __str__(self) -> str:
        return f"{self.routing} v{self.version_no}"


class RouteVersionFile(models.Model):
    """A file that a version's instructions show: it stays as long as the version does."""

    version = models.ForeignKey(RouteVersion, on_delete=models.CASCADE, related_name="files", verbose_name=_("version"))
    file = models.ForeignKey(
        StoredFile, on_delete=models.PROTECT, related_name="route_versions", verbose_name=_("file")
    )

    class Meta:
        verbose_name = _("file of a route version")
        verbose_name_plural = _("files of route versions")
        constraints = [models.UniqueConstraint(fields=["version", "file"], name="route_version_file_once")]

    def __str__(self) -> str:
        return f"{self.version_id} {self.file_id}"
