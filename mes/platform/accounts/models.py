"""Tokens of machines and scripts. People use Django's own users, with groups as roles."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Role


class DeviceToken(models.Model):
    """The right of one machine or script to call the interface. Only a hash of its secret is kept."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    token_hash = models.CharField(_("hash"), max_length=64, unique=True, editable=False)
    prefix = models.CharField(_("begins with"), max_length=8, editable=False)
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    stations: models.ManyToManyField = models.ManyToManyField(
        "mes.Station",
        through="mes.DeviceTokenStation",
        related_name="device_tokens",
        verbose_name=_("stations"),
        help_text=_("Only for these; none means all."),
        blank=True,
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        related_name="+",
        verbose_name=_("created by"),
        null=True,
        blank=True,
        editable=False,
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("device token")
        verbose_name_plural = _("device tokens")
        ordering = ["name"]
        permissions = [("revoke_devicetoken", "Can revoke device token")]

    def __str__(self) -> str:
        return self.name


class DeviceTokenStation(models.Model):
    """A station a token is limited to. Protected: deleting the last one would make the token good for all."""

    token = models.ForeignKey(DeviceToken, on_delete=models.CASCADE, related_name="+", verbose_name=_("token"))
    station = models.ForeignKey("mes.Station", on_delete=models.PROTECT, related_name="+", verbose_name=_("station"))

    class Meta:
        verbose_name = _("station of a device token")
        verbose_name_plural = _("stations of device tokens")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["token", "station"], name="devicetokenstation_once"),
        ]

    def __str__(self) -> str:
        return f"{self.token_id}: {self.station_id}"
