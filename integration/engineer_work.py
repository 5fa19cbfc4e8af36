"""What other systems sent and needs an engineer: refused messages, by cause."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integration import causes
from integration.pages import ADVICE
from mes.platform.accounts.roles import Capability
from mes.platform.bulk_actions.causes import Selection
from mes.platform.monitoring.engineer_work import EngineerWork, Found, find_by_cause


def find() -> Found:
    """Return them by cause. One query."""
    return find_by_cause(causes.select(Selection()), page=reverse("integration-messages"), advice=ADVICE)


WORK = EngineerWork(
    "refused messages",
    _("Messages that were refused"),
    find,
    link=lambda: reverse("integration-messages"),
    needs=Capability.REPLAY,
)
