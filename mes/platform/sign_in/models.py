"""Second factors of people, the groups that need one, and how often somebody tried in vain."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class SecondFactor(models.Model):
    """What a person shows besides the password: six digits that an app computes from a shared secret and the time."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factor", verbose_name=_("person")
    )
    secret = models.CharField(_("secret"), max_length=64, editable=False)
    last_step = models.BigIntegerField(
        _("last step"), help_text=_("Of 30 seconds since 1970: no code of this or an earlier one is accepted again.")
    )
    created_at = models.DateTimeField(_("set up"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")
        permissions = [("reset_secondfactor", "Can reset second factor")]

    def __str__(self) -> str:
        return str(self.user_id)


class RecoveryCode(models.Model):
    """A code that stands in for the app once. Only a hash of it is kept, which needs no salt: the codes are random."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64, editable=False)
    used_at = models.DateTimeField(_("used"), null=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints = [models.UniqueConstraint(fields=["factor", "code_hash"], name="recoverycode_once")]

    def __str__(self) -> str:
        return str(self.pk)


class SecondFactorRule(models.Model):
    """A group, such as a role, whose members must have a second factor."""

    group = models.OneToOneField(
        Group, on_delete=models.CASCADE, related_name="second_factor_rule", verbose_name=_("role or group")
    )

    class Meta:
        ordering = ["id"]
        verbose_name = _("role that needs a second factor")
        verbose_name_plural = _("roles that need a second factor")

    def __str__(self) -> str:
        return str(self.group)


class Counted(models.TextChoices):
    """What attempts are counted by."""

    ACCOUNT = "ACCOUNT", _("Account, from anywhere")
    ADDRESS = "ADDRESS", _("Address, whichever account")
    BOTH = "BOTH", _("Account from one address")


class AttemptCount(models.Model):
    """How often somebody failed in a row to sign in, and until when nobody is heard."""

    key = models.CharField(max_length=64, primary_key=True, db_collation="C")
    counted = models.CharField(_("counted by"), max_length=7, choices=Counted)
    label = models.CharField(
        _("account or address"),
        max_length=200,
        blank=True,
        help_text=_("Empty for names that no account has: people type passwords there."),
    )
    failures = models.PositiveIntegerField(_("failures"), default=0)
    last_at = models.DateTimeField(_("last attempt"), default=timezone.now)
    blocked_until = models.DateTimeField(_("not heard until"), null=True)
    succeeded_at = models.DateTimeField(_("last signed in"), null=True)

    class Meta:
        ordering = ["-last_at", "key"]
        verbose_name = _("failed sign-in")
        verbose_name_plural = _("failed sign-ins")
        indexes = [models.Index(F("last_at"), name="attemptcount_age")]

    def __str__(self) -> str:
        return self.label or gettext("a name of no account")
