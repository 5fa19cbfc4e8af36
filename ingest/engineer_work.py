"""What machines sent and needs an engineer: events that were refused or left something out, by cause."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from ingest import causes
from ingest.pages import ADVICE
from mes.platform.accounts.roles import Capability
from mes.platform.bulk_actions.causes import Selection
from mes.platform.monitoring.engineer_work import EngineerWork, Found, find_by_cause


def find() -> Found:
    """Return them by cause. One query."""
    return find_by_cause(causes.select(Selection()), page=reverse("ingest-events"), advice=ADVICE)


WORK = EngineerWork(
    "refused machine events",
    _("Machine events that were refused, or left units out"),
    find,
    link=lambda: reverse("ingest-events"),
    needs=Capability.REPLAY,
)
