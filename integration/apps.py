"""The app configuration."""

from django.apps import AppConfig
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class IntegrationConfig(AppConfig):
    """`integration`."""

    name = "integration"
    verbose_name = _("Integration")

    def ready(self) -> None:
        """Tell the ERP of runs that end; let device records and settled messages go in time."""
        from integration.models import FailedMessage, MessageStatus
        from integration.outbound.completion import tell_erp
        from integration.outbound.delivery import deliver, note_failure
        from mes.platform.database.retention import Months, register
        from mes.platform.monitoring.open_work import OpenWork
        from mes.platform.monitoring.open_work import register as register_open_work
        from mes.platform.outbox.emit import register_failure_listener, register_handler
        from mes.platform.outbox.models import EventType
        from mes.production.endings import register_ending_listener

        register_ending_listener(tell_erp)
        register_handler(EventType.OUTBOUND_FEEDBACK, deliver)
        register_failure_listener(EventType.OUTBOUND_FEEDBACK, note_failure)
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
                count=lambda: FailedMessage.objects.filter(status=MessageStatus.FAILED).count(),
                link=lambda: f"{reverse('admin:integration_integrationmessage_changelist')}?status=FAILED",
            )
        )
