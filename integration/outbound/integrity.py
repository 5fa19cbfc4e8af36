"""What must hold of what the ERP was told."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from mes.platform.monitoring.integrity import Rule
from mes.platform.outbox.models import DUE_STATUSES, EventType
from mes.production.integrity import OPEN, run_page

DUE = ", ".join(f"'{status}'" for status in DUE_STATUSES)

# While a run is open again its units move, and are told when it ends; while an event of it is due, a correction may
# follow.
STALE_REPORTS = f"""
    WITH waiting AS MATERIALIZED (
        SELECT run_id FROM mes_mesevent WHERE status IN ({DUE}) AND event_type = '{EventType.RUN_COUNTS_CHANGED}'
    )
    SELECT r.run_no, concat_ws(' ', 'told', told.status, told.unit_counts, 'is', r.status, counted.units)
      FROM integration_runreport told
      JOIN mes_run r ON r.id = told.run_id AND r.status NOT IN ({OPEN})
      CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_object_agg(status, units), '{{}}') FROM (
            SELECT status, sum(units)::bigint FROM (
                SELECT status, count(*) FROM mes_unit WHERE run_id = r.id GROUP BY status
                 UNION ALL
                SELECT counted_as, count(*) FROM mes_unitmove
                 WHERE from_run_id = r.id AND counted_as <> '' GROUP BY counted_as) part (status, units)
             GROUP BY status) whole (status, units)
      ) counted (units)
     WHERE (told.status <> r.status OR told.unit_counts <> counted.units)
       AND r.id NOT IN (SELECT run_id FROM waiting WHERE run_id IS NOT NULL)
"""

RULE = Rule(
    "ERP_MESSAGE",
    _("What the ERP was told last of a run is what is counted. Else report its completion again."),
    STALE_REPORTS,
    run_page,
    applies=lambda: bool(settings.MES_ERP_URL),
)
