"""How long count reports are kept."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.retention import Months

POLICY = Months("count reports", _("Count reports"), "MES_COUNT_REPORT_RETENTION", tables=("mes_countreport",))
