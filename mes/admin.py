"""The admin site, and the subjects' registrations gathered for Django."""

from importlib import import_module

from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _


class LinekeeperAdminSite(AdminSite):
    """Where engineers edit specs, routes and configurations."""

    site_header = _("Linekeeper administration")
    site_title = _("Linekeeper")
    index_title = _("Master data, routes and messages")
    site_url = "/"


for subject in ("accounts",):
    import_module(f"mes.{subject}.admin")
