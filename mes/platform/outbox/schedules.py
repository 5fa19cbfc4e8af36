"""The worker's clock, made after every migration and safe to make again."""

from typing import Any

# Times are of the plant's time zone.
SCHEDULES = {
    "tick": {"func": "mes.platform.outbox.tasks.tick", "cron": "* * * * * */30"},
    "time rules": {"func": "mes.time_rules.sweep.sweep", "cron": "* * * * *"},
    "partitions": {"func": "mes.platform.outbox.tasks.make_partitions", "cron": "15 2 * * *"},
    "retention": {"func": "mes.platform.monitoring.retention_runs.retain", "cron": "0 3 * * *"},
}


def register_schedule(name: str, *, func: str, cron: str) -> None:
    """Have the worker call a function by the clock. Called in `AppConfig.ready()`."""
    SCHEDULES[name] = {"func": func, "cron": cron}


def create_schedules(**kwargs: Any) -> None:
    """Make or correct the schedules of django-q2. Seconds are possible only by a six-field cron."""
    from django.db import DEFAULT_DB_ALIAS, connections
    from django_q.models import Schedule

    if Schedule._meta.db_table not in connections[DEFAULT_DB_ALIAS].introspection.table_names():
        return  # django_q is migrated after us; its own post_migrate comes back here
    for name, options in SCHEDULES.items():
        Schedule.objects.update_or_create(
            name=name, defaults={**options, "schedule_type": Schedule.CRON, "repeats": -1}
        )
