"""What line set-up adds to others at the start."""

from django.utils.translation import gettext_lazy as _

from mes.line_setup import print_counts, scan_sources
from mes.line_setup.checks.lists import RECORDS
from mes.line_setup.checks.models import CheckRecord
from mes.line_setup.loads.hooks import loads_changed
from mes.line_setup.loads.models import LoadScan
from mes.line_setup.lots import warnings
from mes.line_setup.lots.hooks import lots_changed
from mes.line_setup.lots.lists import LOTS
from mes.line_setup.set_up_lists import goodness
from mes.line_setup.set_up_lists.services import bind_latest, keep_of_reopened, keep_set_up
from mes.line_setup.tools import nearing
from mes.line_setup.tools.hooks import tools_changed
from mes.line_setup.tools.lists import TOOLS
from mes.plant import scans
from mes.plant.hooks import materials_changed
from mes.platform.database import retention
from mes.platform.lists.listing import lists
from mes.platform.outbox import schedules
from mes.platform.outbox.emit import handlers
from mes.platform.outbox.models import EventType
from mes.production.hooks import authorization_gates, run_ended, run_placed, run_reopened


def register() -> None:
    """Add what scans mean here, what happens as boards are printed and runs are made, and what may go in time."""
    scans.sources.register(*scan_sources.SOURCES)
    lists.register(LOTS)
    schedules.tasks.register(warnings.TASK)
    run_placed.register(bind_latest)
    handlers[EventType.TRACK_OUT].register(print_counts.HANDLER)  # tools are locked before clocks
    schedules.tasks.register(nearing.TASK)
    lists.register(TOOLS, RECORDS)
    authorization_gates.register(keep_set_up)
    run_ended.register(goodness.forget)
    run_reopened.register(keep_of_reopened)
    loads_changed.register(goodness.refresh_of_change)
    lots_changed.register(goodness.refresh_of_lots)
    tools_changed.register(goodness.refresh_of_tools)
    materials_changed.register(goodness.refresh_of_materials)
    retention.policies.register(
        retention.Rows(
            "scans at slots",
            _("Scans at slots"),
            "MES_LOAD_SCAN_RETENTION",
            expired=lambda cutoff: LoadScan.objects.filter(at__lt=cutoff),
        ),
        retention.Rows(
            "checks",
            _("Checks of tools, machines and lines"),
            "MES_CHECK_RETENTION",
            expired=lambda cutoff: CheckRecord.objects.filter(at__lt=cutoff).exclude(
                pk__in=CheckRecord.objects.order_by("form_id", "subject_code", "-at", "-id")
                .distinct("form_id", "subject_code")
                .values("pk")
            ),
        ),
    )
