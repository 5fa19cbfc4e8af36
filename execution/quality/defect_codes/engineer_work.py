"""What machines call defects and nobody knows: codes that want an alias, or a place in the tree."""

from urllib.parse import urlencode

from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from execution.quality.defects import UNMAPPED_CODES
from mes.platform.accounts.roles import Capability
from mes.platform.monitoring.engineer_work import MOST_ENTRIES, EngineerWork, Entry, Found


def find() -> Found:
    """Return them, in the order of the alphabet. One query, by the index of the codes."""
    with connection.cursor() as cursor:
        cursor.execute(UNMAPPED_CODES)
        codes = [code for (code,) in cursor.fetchall()]
    add = reverse("admin:execution_defectalias_add")
    entries = [Entry(code, link=f"{add}?{urlencode({'reported': code})}") for code in codes[:MOST_ENTRIES]]
    return Found(len(codes), entries=entries)


WORK = EngineerWork(
    "unknown defect codes",
    _("Codes of defects that nobody knows: make an alias for each, or a code"),
    find,
    link=lambda: reverse("admin:execution_defectalias_changelist"),
    needs=Capability.MASTER_DATA,
)
