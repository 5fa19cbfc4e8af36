"""The files of a record, and the form that adds one."""

from datetime import datetime
from typing import Any

from django import template
from django.template import RequestContext

from mes.platform.accounts.roles import role_capabilities
from mes.platform.files import attachments as services
from mes.platform.files.api import may_remove_any
from mes.platform.http.pages import is_live

register = template.Library()


@register.inclusion_tag("files/_attachments.html", takes_context=True)
def attachments(
    context: RequestContext, record_type: str, record: Any, signed_at: datetime | None = None
) -> dict[str, Any]:
    """Show the files of a record (its `files`, see `mes.platform.files.queries`), which was signed last at that time,
    with what somebody may do.
    """
    request: Any = context["request"]
    kind = services.find_kind(record_type)
    asking: dict[str, Any] = {
        "by": request.user.get_username(),
        "may_remove_any": may_remove_any(request.user),
        "signed_at": signed_at,
    }
    return {
        "files": [(each, services.find_refusal(each, **asking) is None) for each in getattr(record, "files", ())],
        "record_type": record_type,
        "record_id": record.pk,
        "may_attach": kind is not None and not role_capabilities(request.user).isdisjoint(kind.capabilities),
        "back": request.path if is_live(request) else request.get_full_path(),
        "csrf_token": context.get("csrf_token"),
    }
