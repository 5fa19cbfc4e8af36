"""The files of a record, and the form that adds one."""

from typing import Any

from django import template
from django.template import RequestContext

from mes.platform.accounts.roles import role_capabilities
from mes.platform.files import attachments as services
from mes.platform.files.api import QUALITY
from mes.platform.http.pages import is_live

register = template.Library()


@register.inclusion_tag("files/_attachments.html", takes_context=True)
def attachments(context: RequestContext, record_type: str, record: Any) -> dict[str, Any]:
    """Show the files of a record (its `files`, see `mes.platform.files.queries`), with what somebody may do."""
    request: Any = context["request"]
    kind = services.find_kind(record_type)
    granted = role_capabilities(request.user)
    return {
        "files": getattr(record, "files", ()),
        "record_type": record_type,
        "record_id": record.pk,
        "may_attach": kind is not None and not granted.isdisjoint(kind.capabilities),
        "may_remove_any": QUALITY in granted,
        "username": request.user.get_username(),
        "back": request.path if is_live(request) else request.get_full_path(),
        "csrf_token": context.get("csrf_token"),
    }
