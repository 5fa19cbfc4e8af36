"""The home of the administration: what needs an engineer now, then everything by subject."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from mes.platform.accounts.roles import role_capabilities
from mes.platform.http.pages import show_live
from mes.platform.http.site import LinekeeperAdminSite
from mes.platform.monitoring import engineer_work

SECONDS = 60


class Administration(LinekeeperAdminSite):
    """The admin site with its home."""

    def index(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # type: ignore[override]
        """Show the home; what needs an engineer is asked for again each minute."""
        found = engineer_work.find_all(role_capabilities(request.user))
        context = {
            "work": [(kind, what) for kind, what in found if what.count],
            "asked_for": [kind.label for kind, _what in found],
            "app_list": self.get_app_list(request),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return show_live(request, "admin/index.html", "admin/_needs_engineer.html", context, seconds=SECONDS)
