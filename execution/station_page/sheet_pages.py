"""The pages of sheets to print: what may be printed, and each sheet. They only read.

The address of a sheet says all that is on it, so that it is printed again in a year. What is chosen is sent as a form,
because a list has ends of lines and may be longer than addresses are, and answered by that address.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from execution.quality.defect_codes import catalogue
from execution.quality.defect_codes.models import DefectCategory
from execution.station_page import sheets
from execution.station_page.barcodes import Symbology
from execution.station_page.sheets import Sheet
from mes.errors import ValidationFailed
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.pages import in_words, needs, signed_in
from mes.platform.http.whole_numbers import whole_number

PRINTS_BADGES = (Capability.TERMINALS,)
LONGEST_LIST = 4000  # characters of typed designators
MOST_CHOSEN = 150  # in an address

shows_or_takes = require_http_methods(["GET", "HEAD", "POST"])


@signed_in
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Say what may be printed."""
    return _show_index(request)


def _show_index(request: HttpRequest, *, refusal: str = "", status: int = 200) -> HttpResponse:
    prints_badges = not role_capabilities(request.user).isdisjoint(PRINTS_BADGES)
    codes = catalogue.load()
    context = {
        "branches": sheets.list_branches(codes),
        "categories": DefectCategory.choices,
        "codes": [known for known in codes.codes.values() if known.is_active],
        "badges": [(badge, sheets.name_of(badge)) for badge in sheets.list_badges()] if prints_badges else [],
        "prints_badges": prints_badges,
        "longest_list": LONGEST_LIST,
        "designators": request.POST.get("designators", request.GET.get("designators", ""))[:LONGEST_LIST],
        "refusal": refusal,
    }
    return render(request, "stations/sheets.html", context, status=status)


@signed_in
@require_GET
def commands(request: HttpRequest) -> HttpResponse:
    """Pass, fail, cancel."""
    return _show(request, sheets.make_commands(_wanted(request)))


@signed_in
@shows_or_takes
def defects(request: HttpRequest) -> HttpResponse:
    """The codes that are chosen, those of a branch of the tree or of a category, those that are found most, or all."""
    if request.method == "POST":
        return _lead_to_chosen(request, "sheet-defects", "code")
    codes, chosen, branch = catalogue.load(), request.GET.getlist("code"), request.GET.get("branch", "")
    category = request.GET.get("category", "")
    title = _("Defects")
    if chosen:
        named = chosen
    elif branch in codes.codes:
        named, title = codes.list_below(branch), f"{title}: {codes.codes[branch].name}"
    elif category in DefectCategory.values:
        named = [code for code in sorted(codes.codes) if codes.category_of(code) == category]
        title = f"{title}: {DefectCategory(category).label}"
    elif "most-used" in request.GET:
        named, title = sheets.list_most_used(), _("Defects found most in the last four weeks")
    else:
        named = sorted(codes.codes)
    return _show(request, sheets.make_defects(codes, named, _wanted(request), title=title))


@signed_in
@shows_or_takes
def designators(request: HttpRequest) -> HttpResponse:
    """Places on the board that were typed."""
    given = request.POST if request.method == "POST" else request.GET
    try:
        named = sheets.read_designators(given.get("designators", "")[:LONGEST_LIST])
    except ValidationFailed as refusal:
        return _show_index(request, refusal=in_words(refusal), status=422)
    if request.method == "POST":
        return redirect(f"{reverse('sheet-designators')}?{urlencode({'designators': ' '.join(named)})}")
    return _show(request, sheets.make_designators(named, _wanted(request)))


@needs(*PRINTS_BADGES)
@shows_or_takes
def badges(request: HttpRequest) -> HttpResponse:
    """The badges of the people who are chosen."""
    if request.method == "POST":
        return _lead_to_chosen(request, "sheet-badges", "badge")
    chosen = {whole_number(text) for text in request.GET.getlist("badge")}
    every = sheets.list_badges()
    return _show(request, sheets.make_badges([badge for badge in every if badge.pk in chosen], _wanted(request)))


def _lead_to_chosen(request: HttpRequest, page: str, name: str) -> HttpResponse:
    """Lead to the sheet of what a form chose, as far as an address has room for it."""
    chosen = request.POST.getlist(name)
    if len(chosen) > MOST_CHOSEN:
        messages.error(request, _("These are the first %(most)d of what you chose.") % {"most": MOST_CHOSEN})
    return redirect(f"{reverse(page)}?{urlencode([(name, value) for value in chosen[:MOST_CHOSEN]])}")


def _wanted(request: HttpRequest) -> Sequence[Symbology]:
    """Return what is to be printed: both, unless the address names one."""
    named = request.GET.get("as", "")
    return (Symbology(named),) if named in Symbology.values else tuple(Symbology)


def _show(request: HttpRequest, sheet: Sheet) -> HttpResponse:
    named = request.GET.get("as", "")
    others = [(key, value) for key, values in request.GET.lists() if key != "as" for value in values]
    choices = [("", _("Both")), *Symbology.choices]
    links = [(label, urlencode([*others, ("as", value)]), value == named) for value, label in choices]
    return render(request, "stations/sheet.html", {"sheet": sheet, "links": links})
