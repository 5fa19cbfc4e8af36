"""The app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationConfig(AppConfig):
    """`integration`."""

    name = "integration"
    verbose_name = _("Integration")
