"""The admin site. It registers nothing itself: the subjects' `admin` modules do (gathered in `mes.admin`)."""

from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _


class LinekeeperAdminSite(AdminSite):
    """Where engineers edit specs, routes and configurations."""

    site_header = _("Linekeeper administration")
    site_title = _("Linekeeper")
    index_title = _("Master data, routes and messages")
    site_url = "/"
