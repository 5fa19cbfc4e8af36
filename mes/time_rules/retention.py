"""How long the marks are kept that ended clocks were read from."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.retention import Rows
from mes.time_rules.queries import list_unneeded_marks

POLICY = Rows(
    "time rule marks",
    _("What ended clocks were read from"),
    "MES_KEY_RETENTION",
    expired=list_unneeded_marks,
)
