"""The page of a lot: what it is, where it is loaded, its floor life, what happened to it, and what may be done."""

from functools import partial

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.errors import LotNotFound
from mes.line_setup.lots import rules
from mes.line_setup.lots.floor_life import hours_of, level_of
from mes.line_setup.lots.models import LotEvent, MaterialLot
from mes.line_setup.lots.page_acts import LOT_ACTS, list_offered
from mes.line_setup.lots.queries import describe, list_places
from mes.platform.http import acts
from mes.platform.http.pages import is_live, show_live, signed_in

SHOWN_EVENTS = 50
SHOWN_SPLITS = 50


@signed_in
@require_GET
def lot(request: HttpRequest, lot_id: str) -> HttpResponse:
    """A lot."""
    found = MaterialLot.objects.select_related("material", "parent").filter(lot_id=lot_id).first()
    if found is None:
        message = str(LotNotFound(code=lot_id))
        return render(request, "trace/missing.html", {"text": lot_id, "message": message}, status=404)
    now = timezone.now()
    [shown] = describe([found], now)
    offered = list(list_offered(request, shown))
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=_address_of(lot_id)))
    events = list(LotEvent.objects.filter(lot=found).select_related("other").order_by("-at", "-id")[: SHOWN_EVENTS + 1])
    splits = list(found.splits.order_by("pk")[: SHOWN_SPLITS + 1])
    context = {
        "shown": shown,
        "lot": found,
        "level": level_of(found),
        "limit_hours": hours_of(found, is_baked=shown.clock.began_at is not None),
        "left": _duration(shown.clock.left_minutes),
        "exposed": _duration(shown.clock.exposed_minutes),
        "faults": rules.find_faults(found, now, shown.clock),
        "places": list_places(found),
        "events": events[:SHOWN_EVENTS],
        "has_more_events": len(events) > SHOWN_EVENTS,
        "splits": splits[:SHOWN_SPLITS],
        "has_more_splits": len(splits) > SHOWN_SPLITS,
        "acts": offered,
    }
    return show_live(request, "lots/lot.html", "lots/_lot_live.html", context, seconds=10)


def _address_of(lot_id: str) -> str:
    return reverse("lot", args=[lot_id])


def _duration(minutes: int | None) -> str:
    """Return minutes in hours and minutes."""
    if minutes is None:
        return ""
    hours, rest = divmod(minutes, 60)
    return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": rest}


@signed_in
@require_POST
def act(request: HttpRequest, name: str, lot_id: str) -> HttpResponse:
    """Do something with a lot; a refusal stands beside its button."""
    chosen = LOT_ACTS.get(name)
    if chosen is None or not MaterialLot.objects.filter(lot_id=lot_id).exists():
        raise Http404
    if not chosen.is_allowed(request):
        raise PermissionDenied(_("You may not do this."))
    do = partial(chosen.do, request, lot_id, chosen.build().fields)
    return acts.carry_out(request, do, place=_address_of(lot_id), name=name)
