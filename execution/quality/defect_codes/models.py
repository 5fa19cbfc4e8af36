"""The tree of defect codes, and what machines call them."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from mes.plant.models import code_field


class DefectCategory(models.TextChoices):
    """The indices of IPC-7912A."""

    COMPONENT = "COMPONENT", _("Component")
    PLACEMENT = "PLACEMENT", _("Placement")
    TERMINATION = "TERMINATION", _("Termination")
    ASSEMBLY = "ASSEMBLY", _("Assembly")


class DefectSeverity(models.TextChoices):
    """What IPC-A-610 tells apart: a process indicator is recorded, but the board is acceptable."""

    DEFECT = "DEFECT", _("Defect")
    PROCESS_INDICATOR = "PROCESS_INDICATOR", _("Process indicator")


class DefectCode(models.Model):
    """A kind of defect. Without a category of its own it has its parent's; at most four levels."""

    code = code_field(verbose_name=_("code"))
    name = models.CharField(_("name"), max_length=200)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children", verbose_name=_("parent")
    )
    category = models.CharField(_("category"), max_length=11, choices=DefectCategory, blank=True)
    severity = models.CharField(_("severity"), max_length=17, choices=DefectSeverity, default=DefectSeverity.DEFECT)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["code"]
        verbose_name = _("defect code")
        verbose_name_plural = _("defect codes")
        constraints = [
            models.CheckConstraint(condition=Q(parent=None) | ~Q(parent=F("id")), name="defect_code_not_its_own_parent")
        ]

    def __str__(self) -> str:
        return self.code


class DefectAlias(models.Model):
    """What a source system calls a defect code; one without a source system, what any does that has no alias of its own
    for it.
    """

    source_system = models.CharField(_("source system"), max_length=100, blank=True, db_collation="C")
    reported = models.CharField(_("reported code"), max_length=100, db_collation="C")
    code = models.ForeignKey(DefectCode, on_delete=models.PROTECT, related_name="aliases", verbose_name=_("code"))
    # Until then defects that were reported so are given the code (`aliases`); null when all have it.
    relabels_until = models.DateTimeField(_("relabels until"), null=True, editable=False)

    class Meta:
        ordering = ["source_system", "reported"]
        verbose_name = _("alias of a defect code")
        verbose_name_plural = _("aliases of defect codes")
        constraints = [
            models.UniqueConstraint(fields=["source_system", "reported"], name="defect_alias_once_per_source")
        ]

    def __str__(self) -> str:
        return f"{self.source_system} {self.reported}".strip()


class DefectCatalogue(models.Model):
    """The one row that says which state of codes and aliases there is. A trigger of both tables gives it a new version
    with every change, in the same transaction: who has read a version may remember what it was, for ever.
    """

    version = models.UUIDField(_("version"), default=uuid.uuid4)

    class Meta:
        verbose_name = _("state of the defect codes")
        verbose_name_plural = _("states of the defect codes")

    def __str__(self) -> str:
        return str(self.version)
