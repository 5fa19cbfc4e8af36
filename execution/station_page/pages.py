"""The page of a station: an operator works there for a whole shift, by scanner and keys.

The page comes once. What it shows beside the work asks again every few seconds (`_live.html`); what is recorded goes
to the interface, as entries that the browser keeps (`static/entries.js`).
"""

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from execution.api import StationWorkViewSet
from execution.quality.defect_codes import catalogue
from execution.quality.defect_codes.catalogue import Catalogue, KnownCode
from execution.quality.defect_fields import LARGEST_QUANTITY, MOST_DEFECTS
from execution.quality.defects import LONGEST_LOCATION
from execution.station_page import commands, last_station, queries, words
from execution.station_page.commands import CommandKind
from execution.station_page.queries import StationNow
from mes.errors import StationNotFound
from mes.plant.models import StationType
from mes.platform.accounts.roles import Role, role_capabilities
from mes.platform.http.pages import is_live, show_live, signed_in
from mes.production.models import UnitStatus

NEEDED = StationWorkViewSet.capabilities["track_in"]
SHOWN = 8  # of what waits, of what is in the station; the rest is unfolded
PART = "stations/_station_live.html"


@signed_in
@require_GET
def station(request: HttpRequest, code: str) -> HttpResponse:
    """Show a station; its live part costs a fixed number of statements."""
    try:
        now = queries.load_now(code)
    except StationNotFound:
        raise Http404(_("There is no station “%(code)s”.") % {"code": code}) from None
    context: dict[str, Any] = {
        "now": now,
        "station": now.station,
        "shown": SHOWN,
        "shown_slice": f":{SHOWN}",
        "more_inside": len(now.inside) - SHOWN,
        "more_waiting": len(now.waiting) - SHOWN,
        "inside_sns": json.dumps([unit["sn"] for unit in now.inside]),
        "inside_held": json.dumps([unit["sn"] for unit in now.inside if unit["unitStatus"] == UnitStatus.ON_HOLD]),
        "figures": now.figures,
        "may_work": _may_work(request),
    }
    if not is_live(request):
        context |= {"config": _config(request, now), "works_itself": now.station.station_type != StationType.MANUAL}
    response = show_live(request, "stations/station.html", PART, context)
    last_station.remember(request, response, now.station)
    return response


@signed_in
@require_GET
def photos(request: HttpRequest, track_id: int) -> HttpResponse:
    """Show the defects of a pass, each with its files and the form that adds one: a part of the page of a station."""
    found = queries.list_defects(track_id)
    names = catalogue.load().codes
    lines = [(defect, names[defect.code].name if defect.code in names else defect.code) for defect in found]
    return render(request, "stations/_photos.html", {"lines": lines})


def _may_work(request: HttpRequest) -> bool:
    return not role_capabilities(request.user).isdisjoint(NEEDED)


def _config(request: HttpRequest, now: StationNow) -> dict[str, Any]:
    """Return what the script of the page is told."""
    codes = catalogue.load()
    return {
        "station": now.station.code,
        "user": request.user.get_username(),
        "zone": timezone.get_current_timezone_name(),
        "mayWork": _may_work(request),
        "prefix": commands.PREFIX,
        "commands": [{"kind": kind.name, "name": kind.value, "takesValue": kind.takes_value} for kind in CommandKind],
        "words": words.as_texts(words.WORDS),
        "heads": words.as_texts(words.HEADS),
        "releases": words.list_releases(),
        "roles": {role.value: str(role.label) for role in Role},
        "codes": [_describe(codes, known) for known in codes.codes.values() if known.is_active],
        "mostUsed": queries.list_most_used(now.station),
        "mostDefects": MOST_DEFECTS,
        "largestQuantity": LARGEST_QUANTITY,
        "longestLocation": LONGEST_LOCATION,
    }


def _describe(codes: Catalogue, known: KnownCode) -> dict[str, Any]:
    """Return a code with its name, and the names of those above it."""
    above = [each.name for each in codes.list_up(known.parent)]
    return {
        "code": known.code,
        "name": known.name,
        "above": " › ".join(reversed(above)),
        "isDefect": codes.is_defect(known.code),
    }
