"""The page that says where something was used."""

from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from execution.materials import recall
from execution.materials.api import answer_file, read_query
from execution.quality.holds.api import HoldViewSet
from execution.quality.holds.wording import LABELS
from mes.errors import DomainError, ValidationFailed
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import tables
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
        asked[name] = _as_instant(asked[name])
    given = {name: text for name, text in asked.items() if text}
    context: dict[str, Any] = {
        "asked": asked,
        "things": [(name, LABELS[name], asked[name]) for name in THINGS],
        "where": [(name, LABELS[name], _in_form(asked[name])) for name in WHERE],
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


def _as_instant(text: str) -> str:
    """Return a time of a form, which is the plant's, as one with its offset; anything else as it is."""
    try:
        at = datetime.fromisoformat(text)
        return timezone.make_aware(at).isoformat() if timezone.is_naive(at) else text
    except (ValueError, OverflowError):
        return text


def _in_form(text: str) -> str:
    """Return an instant as a field of a form has it; anything else as it is."""
    try:
        return timezone.localtime(datetime.fromisoformat(text)).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError):
        return text


def _may_hold(request: HttpRequest) -> bool:
    return not role_capabilities(request.user).isdisjoint(HoldViewSet.capabilities["preview"])
