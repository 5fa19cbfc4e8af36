"""The page that says where something was used."""

from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from execution.materials import recall
from execution.materials.api import answer_file, read_query
from execution.quality.holds.api import HoldViewSet
from execution.quality.holds.wording import LABELS
from mes.errors import DomainError, ValidationFailed
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import acts, tables
from mes.platform.http.pages import in_words, signed_in
from mes.platform.http.whole_numbers import whole_number

SHOWN = 50  # units on a page
THINGS = ("lotId", "materialCode", "supplierLot", "dateCode", "toolId", "program", "serial")
WHERE = ("stationCode", "from", "to")
LONGEST = 200  # characters of what an address asks: more is no name of anything


@signed_in
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Units that something is in, the newest first, with the counts of all; or a file of all."""
    names = (*THINGS, "includeSplits", *WHERE)
    asked = {name: request.GET.get(name, "").replace("\0", "").strip()[:LONGEST] for name in names}
    for name in ("from", "to"):
        asked[name] = acts.as_instant(asked[name])
    given = {name: text for name, text in asked.items() if text}
    context: dict[str, Any] = {
        "asked": asked,
        "things": [(name, LABELS[name], asked[name]) for name in THINGS],
        "where": [(name, LABELS[name], acts.in_form(asked[name])) for name in WHERE],
        "is_asked": bool(given),
    }
    if not given:
        return render(request, "materials/where_used.html", context)
    try:
        condition = read_query(given)
        if (chosen := tables.read_format(request.GET)) != "json":
            return cast(HttpResponse, answer_file(chosen, condition))
        page = recall.read_page(condition, size=SHOWN, after=whole_number(request.GET.get("after", "")))
    except DomainError as refusal:
        context["refusal"] = in_words(refusal)
        if isinstance(refusal, ValidationFailed):
            context["problems"] = [(LABELS.get(name, name), text) for name, text in refusal.details.items()]
        return render(request, "materials/where_used.html", context, status=refusal.status)
    context |= {
        "page": page,
        "older": urlencode({**given, "after": page.after}) if page.after is not None else "",
        "newest": urlencode(given) if "after" in request.GET else "",
        "files": {kind: urlencode({**given, "format": kind}) for kind in ("csv", "xlsx")},
        "hold": urlencode(given) if _may_hold(request) else "",
    }
    return render(request, "materials/where_used.html", context)


def _may_hold(request: HttpRequest) -> bool:
    return not role_capabilities(request.user).isdisjoint(HoldViewSet.capabilities["preview"])
