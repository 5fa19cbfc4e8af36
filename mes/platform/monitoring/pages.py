"""The page for those who run the installation."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from mes.errors import DomainError
from mes.platform.accounts.roles import Capability
from mes.platform.database import retention
from mes.platform.http.pages import is_live, needs, show_live
from mes.platform.monitoring import operations as facts
from mes.platform.outbox import dead_letters
from mes.platform.outbox.models import EventType
from mes.platform.outbox.run_now import run_now


@needs(Capability.REPLAY)
@require_GET
def operations(request: HttpRequest) -> HttpResponse:
    """How it is doing: workers, backlog, dead events, open work; and what is stored."""
    context: dict[str, Any] = {"now": facts.read_live()}
    if not is_live(request):
        storage = facts.read_storage()
        context |= {"storage": storage, "policies": retention.describe()}
        if storage.last_retention:
            context["removed"] = facts.describe_retention(storage.last_retention)
    return show_live(request, "operations/operations.html", "operations/_live.html", context)


@needs(Capability.REPLAY)
@require_GET
def scheduled_tasks(request: HttpRequest) -> HttpResponse:
    """Every task that the worker does by the clock: when it ran, when it will, and why it failed."""
    context = {"tasks": facts.read_tasks()}
    return show_live(request, "operations/tasks.html", "operations/_tasks.html", context)


@needs(Capability.REPLAY)
@require_POST
def run_task(request: HttpRequest) -> HttpResponse:
    """Have the worker run a scheduled task now; what comes of it is shown where the button was."""
    try:
        is_new = run_now(request.POST.get("task", ""), by=request.user.get_username())
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(
            request,
            _("The worker runs it now; what comes of it shows here in a moment.")
            if is_new
            else _("It is going to run already: somebody asked for it, or it is due."),
        )
    return redirect("admin:index" if request.POST.get("from") == "home" else "operations-tasks")


@needs(Capability.REPLAY)
@require_GET
def retention_preview(request: HttpRequest) -> HttpResponse:
    """What the retention would remove now."""
    return render(request, "operations/retention.html", {"previews": retention.preview()})


@needs(Capability.REPLAY)
@require_POST
def retry(request: HttpRequest, event_id: int) -> HttpResponse:
    """Try one dead event again."""
    try:
        dead_letters.retry(event_id=event_id, by=request.user.get_username())
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The event is tried again."))
    return redirect("operations")


@needs(Capability.REPLAY)
@require_POST
def retry_all(request: HttpRequest) -> HttpResponse:
    """Try all dead events of a type again."""
    event_type = request.POST.get("event_type", "")
    if event_type not in EventType.values:
        messages.error(request, _("There is no such type of event."))
        return redirect("operations")
    count = dead_letters.retry_all(event_type=event_type, by=request.user.get_username())
    text = ngettext("%(count)d event is tried again.", "%(count)d events are tried again.", count)
    messages.success(request, text % {"count": count})
    return redirect("operations")
