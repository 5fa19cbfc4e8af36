"""The app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationConfig(AppConfig):
    """`integration`."""

    name = "integration"
    verbose_name = _("Integration")

    def ready(self) -> None:
        """Let device records and settled messages go in time."""
        from mes.database.retention import Months, register

        register(
            Months(
                "device records",
                _("Device records"),
                "MES_DEVICE_RECORD_RETENTION",
                tables=("integration_devicedatarecord",),
            ),
            Months(
                "messages",
                _("Settled messages"),
                "MES_MESSAGE_RETENTION",
                tables=("integration_settledmessage",),
                keep="status IN ('FAILED', 'RETRYING')",
            ),
        )
