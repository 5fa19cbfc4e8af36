"""What templates of the admin site ask for."""

from typing import Any

from django import template
from django.forms.boundfield import BoundField
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from mes.platform.http.site import section_of as find_section

register = template.Library()


@register.simple_tag
def section_of(opts: Any) -> dict[str, Any] | None:
    """Return name and address of the section of the index to which a model belongs."""
    return find_section(opts.model)


@register.simple_tag
def in_cell(field: BoundField) -> SafeString:
    """Write the control of a cell: what its column is called is its label."""
    label = capfirst(str(field.label or field.name))
    return field.as_widget(attrs={"aria-label": label})
