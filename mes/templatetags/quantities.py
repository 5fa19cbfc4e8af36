"""How templates show how much there is of a material."""

from decimal import Decimal

from django import template

from mes.line_setup.lots.queries import plain

register = template.Library()


@register.filter
def quantity(value: Decimal | None) -> str:
    """Write a quantity as people do: 400 for 400.0000. None is blank."""
    return "" if value is None else plain(value)
