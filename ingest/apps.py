"""The app configuration."""

from django.apps import AppConfig
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class IngestConfig(AppConfig):
    """`ingest`: machine events in, execution calls out."""

    name = "ingest"
    verbose_name = _("Ingest")

    def ready(self) -> None:
        """Offer the way in, and to read examples; hear of moves, which may free waiting events, and of decisions; catch
        up by the clock; let old events go.
        """
        from execution.hooks import unit_moved, units_decided, units_moved, units_transferred
        from ingest.causes import BULK
        from ingest.dismissing import dismiss_decided
        from ingest.engineer_work import WORK
        from ingest.lists import EVENTS
        from ingest.mapping.examples import read_example
        from ingest.models import REFUSED_STATUSES, IngestStatus, OpenIngestEvent, PartialIngestEvent
        from ingest.processing import (
            CHANNEL,
            catch_up,
            try_all_blocked,
            try_blocked,
            try_in_new_run,
            try_line,
            try_run,
            try_station,
        )
        from mes.platform.bulk_actions.services import kinds
        from mes.platform.database import retention
        from mes.platform.inbound.channels import channels
        from mes.platform.lists.listing import lists
        from mes.platform.monitoring import engineer_work, open_work
        from mes.platform.outbox import schedules
        from mes.production.hooks import line_went_on, run_went_on, station_went_on
        from mes.routing.hooks import example_readers

        channels.register(CHANNEL)
        kinds.register(BULK)
        lists.register(EVENTS)
        run_went_on.register(try_run)
        line_went_on.register(try_line)
        station_went_on.register(try_station)
        unit_moved.register(try_blocked)
        units_moved.register(try_all_blocked)
        units_transferred.register(try_in_new_run)
        units_decided.register(dismiss_decided)
        example_readers.register(read_example)
        schedules.tasks.register(
            schedules.ScheduledTask("ingest waiting", _("Machine events that waited"), catch_up, cron="* * * * * */30")
        )
        tables = ("ingest_settledingestevent", "ingest_ingesteventunit")
        retention.policies.register(
            retention.Months(
                "ingest",
                _("Settled machine events"),
                "MES_INGEST_RETENTION",
                tables=tables,
                open_in=PartialIngestEvent._meta.db_table,
            )
        )
        engineer_work.kinds.register(WORK)
        open_work.kinds.register(
            open_work.OpenWork(
                "open machine events",
                _("Machine events that were refused"),
                count=lambda: OpenIngestEvent.objects.filter(status__in=REFUSED_STATUSES).count(),
                link=lambda: reverse("ingest-events"),
            )
        )
        open_work.kinds.register(
            open_work.OpenWork(
                "partly applied machine events",
                _("Machine events that left units out"),
                count=PartialIngestEvent.objects.count,
                link=lambda: f"{reverse('ingest-events')}?status={IngestStatus.APPLIED}",
            )
        )
