"""Addresses of the pages of this app."""

from django.urls import include, path

from mes.line_setup import pages as line_setup
from mes.platform.monitoring import pages as operations
from mes.platform.notifications import pages as notifications
from mes.time_rules import pages as time_rules

urlpatterns = [
    path("", include("mes.readiness.page_urls")),
    path("clocks/", time_rules.clocks, name="clocks"),
    path("clocks/<int:instance_id>/<str:action>/", time_rules.decide, name="clock-decision"),
    path("lines/<str:code>/set-up/", line_setup.set_up, name="line-set-up"),
    path("lines/<str:code>/set-up/<str:kind>/<str:action>/", line_setup.scan, name="line-set-up-scan"),
    path("notifications/", notifications.mine, name="notifications"),
    path("notifications/bell/", notifications.bell, name="notifications-bell"),
    path("notifications/read/", notifications.read, name="notifications-read"),
    path("notifications/lines/", notifications.follow, name="notifications-lines"),
    path("operations/", operations.operations, name="operations"),
    path("operations/tasks/", operations.scheduled_tasks, name="operations-tasks"),
    path("operations/retention/", operations.retention_preview, name="operations-retention"),
    path("operations/events/retry/", operations.retry_all, name="operations-retry-all"),
    path("operations/events/<int:event_id>/retry/", operations.retry, name="operations-retry"),
]
