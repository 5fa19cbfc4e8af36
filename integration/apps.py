"""The app configuration."""

from django.apps import AppConfig
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class IntegrationConfig(AppConfig):
    """`integration`."""

    name = "integration"
    verbose_name = _("Integration")

    def ready(self) -> None:
        """Let device records and settled messages go in time."""
        from integration.models import FailedMessage
        from mes.database.retention import Months, register
        from mes.operations.open_work import OpenWork
        from mes.operations.open_work import register as register_open_work

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
        register_open_work(
            OpenWork(
                "failed messages",
                _("Messages that could not be applied"),
                count=lambda: FailedMessage.objects.count(),
                link=lambda: f"{reverse('admin:integration_integrationmessage_changelist')}?status=FAILED",
            )
        )
