"""What the checks of the stored data found."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class IntegrityCheck(models.Model):
    """One check of what is stored against the rules that must hold: what it found, of each rule that is broken."""

    started_at = models.DateTimeField(_("started"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), default=timezone.now)
    count = models.PositiveIntegerField(_("findings"))
    findings = models.JSONField(
        _("findings by rule"), default=list, help_text=_("As `manage.py check_integrity --json` writes them.")
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("integrity check")
        verbose_name_plural = _("integrity checks")

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class SystemTrouble(models.Model):
    """Something of the installation that is not as it should be, as long as it is: whoever is told is told once."""

    name = models.CharField(_("what"), max_length=60, unique=True)
    began_at = models.DateTimeField(_("since"), default=timezone.now)

    class Meta:
        ordering = ["name"]
        verbose_name = _("trouble of the installation")
        verbose_name_plural = _("troubles of the installation")

    def __str__(self) -> str:
        return self.name
