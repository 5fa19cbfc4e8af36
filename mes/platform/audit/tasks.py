"""Sealing the audit by the clock, and how long it is kept."""

from django.utils.translation import gettext_lazy as _

from mes.platform.audit import seals
from mes.platform.database.retention import Months
from mes.platform.outbox.schedules import ScheduledTask


def seal_audit() -> int:
    """Seal what was written since the last seal; return how many seals."""
    return len(seals.seal())


TASK = ScheduledTask("audit seal", _("Sealing of the audit"), seal_audit, cron="40 1 * * *")
POLICY = Months("audit", _("Audit"), "MES_AUDIT_RETENTION", tables=(seals.TABLE,), dropped=seals.mark_dropped)
