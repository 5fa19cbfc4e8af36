"""The app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExecutionConfig(AppConfig):
    """`execution`."""

    name = "execution"
    verbose_name = _("Execution")
