"""The app configuration."""

from django.apps import AppConfig
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class IntegrationConfig(AppConfig):
    """`integration`."""

    name = "integration"
    verbose_name = _("Integration")

    def ready(self) -> None:
        """Offer the ways in; tell the ERP of runs that end; hear of decisions about units, and catch up by the clock;
        let device records and settled messages go in time.
        """
        from execution.hooks import units_decided
        from integration.causes import BULK
        from integration.channels import CHANNELS
        from integration.dismissing import dismiss_decided, dismiss_missed
        from integration.engineer_work import WORK
        from integration.lists import MESSAGES
        from integration.models import REFUSED_STATUSES, FailedMessage
        from integration.outbound import completion
        from integration.outbound.delivery import deliver, note_failure
        from integration.outbound.integrity import RULE
        from mes.platform.bulk_actions.services import kinds
        from mes.platform.database.retention import Months, policies
        from mes.platform.inbound.channels import channels
        from mes.platform.lists.listing import lists
        from mes.platform.monitoring import engineer_work, open_work
        from mes.platform.monitoring.integrity import rules
        from mes.platform.outbox import schedules
        from mes.platform.outbox.emit import failure_listeners, handlers
        from mes.platform.outbox.models import EventType
        from mes.production.hooks import run_ended

        channels.register(*CHANNELS)
        kinds.register(BULK)
        lists.register(MESSAGES)
        run_ended.register(completion.tell_erp)
        units_decided.register(dismiss_decided)
        schedules.tasks.register(
            schedules.ScheduledTask(
                "messages", _("Messages that were decided about"), dismiss_missed, cron="* * * * * */30"
            )
        )
        rules.register(RULE)
        handlers[EventType.RUN_COUNTS_CHANGED].register(completion.HANDLER)
        handlers[EventType.OUTBOUND_FEEDBACK].register(deliver)
        failure_listeners[EventType.OUTBOUND_FEEDBACK].register(note_failure)
        policies.register(
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
            ),
        )
        engineer_work.kinds.register(WORK)
        open_work.kinds.register(
            open_work.OpenWork(
                "failed messages",
                _("Messages that could not be applied"),
                count=lambda: FailedMessage.objects.filter(status__in=REFUSED_STATUSES).count(),
                link=lambda: reverse("integration-messages"),
            )
        )
