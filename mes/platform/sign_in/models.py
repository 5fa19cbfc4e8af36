"""Second factors and badges of people, the terminals where badges sign on, and how often somebody tried in vain."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mes.platform.validators import validate_code, validate_line

LONGEST_BADGE = 40  # of a barcode that fits a badge


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
    wrong_pins = models.PositiveIntegerField(
        _("wrong PINs"),
        default=0,
        db_default=0,
        help_text=_("How many of the failures were PINs; a right one ends them."),
    )
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


class Badge(models.Model):
    """What a person is known by at terminals: a code that is printed on a badge, and a PIN. Only a hash of the PIN is
    kept; without one nobody signs on by the badge.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="badge", verbose_name=_("person")
    )
    code = models.CharField(
        _("badge"), max_length=LONGEST_BADGE, unique=True, validators=[validate_code], db_collation="C"
    )
    pin_hash = models.CharField(_("hash of the PIN"), max_length=200, blank=True, editable=False)
    pin_set_at = models.DateTimeField(_("PIN set"), null=True, editable=False)

    class Meta:
        ordering = ["code"]
        verbose_name = _("badge")
        verbose_name_plural = _("badges")

    def __str__(self) -> str:
        return self.code


class Terminal(models.Model):
    """A browser that stands at a station, where people sign on by badge and PIN. Only a hash of its cookie is kept."""

    name = models.CharField(_("name"), max_length=100, validators=[validate_line])
    station = models.ForeignKey(
        "mes.Station", on_delete=models.PROTECT, related_name="terminals", verbose_name=_("station")
    )
    secret_hash = models.CharField(_("hash"), max_length=64, unique=True, editable=False)
    bound_by = models.CharField(_("bound by"), max_length=150)
    bound_at = models.DateTimeField(_("bound"), default=timezone.now)
    last_heard_at = models.DateTimeField(_("last heard"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    revoked_by = models.CharField(_("revoked by"), max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("terminal")
        verbose_name_plural = _("terminals")

    def __str__(self) -> str:
        return self.name


class SignOn(models.Model):
    """Somebody who is, or was, signed on at a terminal by badge and PIN. `session_key` names the session that it began;
    it ends that session when it ends, or when nothing was done for too long.
    """

    terminal = models.ForeignKey(Terminal, on_delete=models.CASCADE, related_name="sign_ons")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40, editable=False)
    began_at = models.DateTimeField(_("signed on"), default=timezone.now)
    last_act_at = models.DateTimeField(_("last act"), default=timezone.now)
    ended_at = models.DateTimeField(_("signed off"), null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("sign-on")
        verbose_name_plural = _("sign-ons")
        indexes = [models.Index(F("last_act_at"), name="signon_age")]
        constraints = [
            models.UniqueConstraint(fields=["terminal"], condition=Q(ended_at=None), name="signon_one_at_a_terminal"),
            models.UniqueConstraint(fields=["session_key"], name="signon_one_of_a_session"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
