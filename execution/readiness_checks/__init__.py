"""What this app adds to readiness: the checks that know units and stations, and where device values are found."""

from execution.readiness_checks import device_values, first_article, route
from mes.readiness.device_values import device_value_finders
from mes.readiness.registry import checks


def register() -> None:
    """Add the checks of this app."""
    checks.register(route.CHECK, first_article.CHECK)
    device_value_finders.register(device_values.find)
