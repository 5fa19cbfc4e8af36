"""Where tools are shown."""

from urllib.parse import urlencode

from django.urls import reverse


def page_of(tool_id: str) -> str:
    """Return the address of a tool: the list of tools, of which it shows this one."""
    return f"{reverse('list', args=['tools'])}?{urlencode({'q': tool_id})}"
