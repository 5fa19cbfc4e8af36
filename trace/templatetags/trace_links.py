"""Small helpers of the run page."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def at(mapping: Mapping[Any, Any], key: Any) -> Any:
    """Return what a mapping holds under a key that is a variable."""
    return mapping.get(key, "")


@register.simple_tag
def yield_bar(percent: float | None) -> SafeString | str:
    """Draw a yield as a bar."""
    if percent is None:
        return ""
    return format_html('<span class="yield-bar" aria-hidden="true"><i style="width:{}%"></i></span>', f"{percent:.2f}")
