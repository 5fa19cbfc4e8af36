"""What this app adds to readiness: the checks that know units and stations, and where device values are found."""

from execution.readiness_checks import device_values, first_article, route
from mes.readiness.device_values import register_device_values
from mes.readiness.registry import register_check


def register() -> None:
    """Add the checks of this app."""
    register_check(route.CHECK)
    register_check(first_article.CHECK)
    register_device_values(device_values.find)
