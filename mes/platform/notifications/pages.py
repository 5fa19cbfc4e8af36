"""One's own notifications: the bell, the list, and which lines one wants to hear of."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.database.prepared import fetch_all
from mes.platform.http.pages import signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.platform.notifications import services
from mes.platform.notifications.models import FollowedLine, Notification

PAGE_SIZE = 50
MOST_COUNTED = 99


@signed_in
@require_GET
def mine(request: HttpRequest) -> HttpResponse:
    """The notifications of the signed-in person, newest first."""
    own = Notification.objects.filter(recipient=request.user.pk).select_related("line")
    unread_only = request.GET.get("show") == "unread"
    rows = own.filter(read_at=None) if unread_only else own
    before = whole_number(request.GET.get("before", ""))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    notifications = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    followed = set(FollowedLine.objects.filter(user=request.user.pk).values_list("line_id", flat=True))
    context = {
        "notifications": notifications[:PAGE_SIZE],
        "next": notifications[PAGE_SIZE - 1].pk if len(notifications) > PAGE_SIZE else None,
        "unread_only": unread_only,
        "unread": _count_unread(request),
        "lines": [(line, line.pk in followed) for line in services.list_lines()],
        "follows_all": not followed,
        "keeps_rules": Capability.NOTIFICATIONS in role_capabilities(request.user),
    }
    return render(request, "notifications/mine.html", context)


@signed_in
@require_GET
def bell(request: HttpRequest) -> HttpResponse:
    """The number of unread notifications; every page polls it."""
    return render(request, "notifications/_bell.html", {"unread": _count_unread(request)})


UNREAD = """
    SELECT count(*) FROM (
        SELECT FROM mes_notification
         WHERE recipient_id = ANY(ARRAY[%(person)s::integer]) AND read_at IS NULL LIMIT %(most)s) AS unread
"""


def _count_unread(request: HttpRequest) -> int:
    """Count no further than is shown."""
    count: int = fetch_all(UNREAD, {"person": request.user.pk, "most": MOST_COUNTED + 1})[0][0]
    return count


@signed_in
@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Mark one notification as read and go where it leads, or mark all as read."""
    chosen = whole_number(request.POST.get("id", ""))
    if chosen is None:
        services.mark_read(request.user)
        return redirect("notifications")
    services.mark_read(request.user, ids=[chosen])
    notification = Notification.objects.filter(recipient=request.user.pk, pk=chosen).first()
    address = notification.address if notification is not None and "open" in request.POST else ""
    return redirect(address or "notifications")


@signed_in
@require_POST
def follow(request: HttpRequest) -> HttpResponse:
    """Choose the lines whose notifications one gets."""
    services.follow(request.user, line_codes=request.POST.getlist("line"))
    messages.success(request, _("Your lines are saved."))
    return redirect("notifications")
