"""The app that holds what exists and what state it is in, and the frame all apps stand in."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class MesConfig(AppConfig):
    """`mes`: plant, specs, routes, production, events, accounts."""

    name = "mes"
    verbose_name = _("Manufacturing")

    def ready(self) -> None:
        """Register what must exist after every migration, readiness, what may go in time, and who acts on events."""
        from mes.housekeeping import register_policies
        from mes.line_setup.print_counts import count_print
        from mes.platform.accounts.roles import create_roles
        from mes.platform.database.partitions import make_months_after_migration
        from mes.platform.outbox.emit import register_handler
        from mes.platform.outbox.models import EventType
        from mes.platform.outbox.schedules import create_schedules
        from mes.readiness import registration as readiness
        from mes.time_rules import handlers

        readiness.register()
        register_policies()
        register_handler(EventType.TRACK_OUT, count_print)
        handlers.register()
        post_migrate.connect(make_months_after_migration, sender=self, dispatch_uid="mes.partitions")
        post_migrate.connect(create_roles, sender=self, dispatch_uid="mes.roles")
        post_migrate.connect(create_schedules, sender=self, dispatch_uid="mes.schedules")


class MesAdminConfig(AdminConfig):
    """Django admin under the product's name."""

    default_site = "mes.platform.http.site.LinekeeperAdminSite"
