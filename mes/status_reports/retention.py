"""How long reports of other systems are kept."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.retention import Rows
from mes.status_reports.models import StatusReport

POLICY = Rows(
    "status reports",
    _("Status reports of other systems"),
    "MES_STATUS_REPORT_RETENTION",
    expired=lambda cutoff: StatusReport.objects.filter(received_at__lt=cutoff),
)
