"""The app that holds what exists and what state it is in, and the frame all apps stand in."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_delete, post_migrate, post_save
from django.urls import register_converter
from django.utils.translation import gettext_lazy as _


class MesConfig(AppConfig):
    """`mes`: plant, specs, routes, production, events, accounts."""

    name = "mes"
    verbose_name = _("Manufacturing")

    def ready(self) -> None:
        """Register what must exist after every migration, what goes in time, who acts on events and by the clock."""
        from mes.line_setup import registration as line_setup
        from mes.plant import scan_sources as plant_scans
        from mes.plant import scans
        from mes.platform.accounts.roles import create_roles
        from mes.platform.audit import lists as audit_lists
        from mes.platform.audit import tasks as audit
        from mes.platform.audit.guard import AuditGuard
        from mes.platform.bulk_actions import services as bulk_actions
        from mes.platform.database import references, retention
        from mes.platform.database.partitions import make_months_after_migration
        from mes.platform.database.tracking import tracked
        from mes.platform.files import attachments
        from mes.platform.files import retention as files
        from mes.platform.files.hooks import file_uses
        from mes.platform.http import edits
        from mes.platform.http.addresses import NameConverter
        from mes.platform.inbound.models import Source
        from mes.platform.inbound.sources import forget_sources
        from mes.platform.lists.listing import lists
        from mes.platform.monitoring import (
            backups,
            engineer_work,
            integrity,
            integrity_checks,
            open_work,
            platform_work,
            retention_runs,
            troubles,
        )
        from mes.platform.monitoring import retention_policies as platform
        from mes.platform.notifications import lists as notification_lists
        from mes.platform.notifications import registration as notifications
        from mes.platform.outbox import schedules, task_outcomes
        from mes.platform.outbox import tasks as outbox
        from mes.platform.server.backup import drop_leftovers
        from mes.platform.signatures.hooks import signed_records
        from mes.production import active_runs, approvals
        from mes.production import engineer_work as production_work
        from mes.production import integrity as production_integrity
        from mes.production import lists as production_lists
        from mes.production import retention as production_retention
        from mes.production import scan_sources as production_scans
        from mes.production.hold_decisions import SIGNED
        from mes.production.hooks import run_ended
        from mes.production_counts import retention as production_counts
        from mes.qualifications.lists import QUALIFICATIONS
        from mes.readiness import registration as readiness
        from mes.routing import drift
        from mes.routing import engineer_work as routing_work
        from mes.routing import file_uses as route_files
        from mes.routing import lists as routing_lists
        from mes.routing.references import find_users
        from mes.specs import lists as spec_lists
        from mes.spreadsheets import retention as spreadsheets
        from mes.status_reports import retention as status_reports
        from mes.time_rules import handlers as time_rules
        from mes.time_rules import retention as time_rule_marks
        from mes.time_rules import sweep
        from mes.tracked import TRACKED

        register_converter(NameConverter, "name")
        tracked.register(*TRACKED)
        edits.guards.register(AuditGuard())
        lists.register(*production_lists.LISTS, spec_lists.SPECS, routing_lists.ROUTES, audit_lists.CHANGES)
        lists.register(notification_lists.RULES, QUALIFICATIONS)
        notifications.register()
        scans.sources.register(*production_scans.SOURCES, *plant_scans.SOURCES)
        time_rules.register_locks()
        line_setup.register()  # its gate locks the set-up before the checks lock what is in it
        readiness.register()
        run_ended.register(active_runs.end_all)
        signed_records.register(SIGNED)
        time_rules.register()
        references.user_finders.register(find_users)
        file_uses.register(attachments.attached, route_files.shown_by_versions, route_files.named_by_configs)
        retention.policies.register(
            *platform.POLICIES,
            audit.POLICY,
            files.POLICY,
            production_counts.POLICY,
            *production_retention.POLICIES,
            spreadsheets.POLICY,
            status_reports.POLICY,
            time_rule_marks.POLICY,
        )
        schedules.tasks.register(
            *outbox.TASKS,
            retention_runs.TASK,
            sweep.TASK,
            backups.TASK,
            bulk_actions.TASK,
            audit.TASK,
            drift.TASK,
            approvals.TASK,
            integrity_checks.TASK,
            troubles.TASK,
        )
        engineer_work.kinds.register(
            *platform_work.WORK, integrity_checks.WORK, *routing_work.WORK, production_work.WORK
        )
        open_work.kinds.register(integrity_checks.OPEN_WORK)
        integrity.rules.register(*production_integrity.RULES)
        task_outcomes.register()
        post_save.connect(forget_sources, sender=Source, dispatch_uid="mes.source_saved")
        post_delete.connect(forget_sources, sender=Source, dispatch_uid="mes.source_deleted")
        post_migrate.connect(drop_leftovers, sender=self, dispatch_uid="mes.restore")
        post_migrate.connect(make_months_after_migration, sender=self, dispatch_uid="mes.partitions")
        post_migrate.connect(schedules.create_schedules, sender=self, dispatch_uid="mes.schedules")
        # Last, because it alone may fail: without roles, an installation must not start.
        post_migrate.connect(create_roles, sender=self, dispatch_uid="mes.roles")


class MesAdminConfig(AdminConfig):
    """Django admin under the product's name."""

    default_site = "mes.platform.monitoring.home.Administration"
