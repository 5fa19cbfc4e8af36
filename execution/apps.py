"""The app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExecutionConfig(AppConfig):
    name = "execution"
    verbose_name = _("Execution")

    def ready(self) -> None:
        """Let values go in time, and tell readiness of stations, units and device values."""
        from execution import readiness_checks
        from mes.platform.database import retention

        readiness_checks.register()

        values = ("execution_datavalue",)
        retention.policies.register(
            retention.Months("values", _("Values"), "MES_VALUE_RETENTION", tables=values),
        )
