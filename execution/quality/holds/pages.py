"""The pages of holds: what stands still, a new hold by its condition, and one hold up to its end."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from execution.quality.holds import board, condition, matching, services, wording
from execution.quality.holds.api import HoldViewSet, dispose, release
from execution.quality.holds.board import Chosen, Detail
from execution.quality.holds.bodies import (
    DisposeRequest,
    HoldPreviewRequest,
    HoldReleaseRequest,
    HoldRequest,
)
from execution.quality.holds.condition import Condition
from execution.quality.holds.page_acts import (
    CONDITION,
    ENDS,
    NAMES,
    RELEASE,
    condition_fields,
    fields_of,
    holding_fields,
    list_acts,
    may,
    most_chosen,
    signature_of,
)
from execution.quality.holds.queries import signed_at_of
from execution.quality.record_types import HOLD as HOLD_FILES
from mes.errors import DomainError, HoldNotFound, ValidationFailed
from mes.platform.files.queries import attach
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind, Refusal, Row
from mes.platform.http.pages import in_words, is_live, needs, show_live, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.production.hold_models import Hold, HoldScope, HoldSource, HoldStatus
from mes.production.models import UnitStatus
from mes.production.order_page_acts import line_codes

PREVIEW, HOLD = "preview", "hold"


# --- what stands still -------------------------------------------------------------------------------------------


@signed_in
@require_GET
def all_holds(request: HttpRequest) -> HttpResponse:
    """What stands still now, unless ended holds are asked for. What is called exactly so is shown at once."""
    chosen = _read_chosen(request)
    if chosen.q and not is_live(request) and (hold_no := board.find_exact(chosen.q)) is not None:
        return redirect("hold", hold_no=hold_no)
    page = board.list_holds(chosen)
    context = {
        "page": page,
        "chosen": chosen,
        "statuses": list(_status_links(chosen)),
        "scopes": list(_scope_links(chosen, page)),
        "sorts": [
            (_("Newest first"), _query(chosen, sort=board.NEWEST), chosen.sort == board.NEWEST),
            (_("Longest first"), _query(chosen, sort=board.OLDEST), chosen.sort == board.OLDEST),
        ],
        "previous": _query(chosen, page=chosen.page - 1) if chosen.page > 1 else "",
        "next": _query(chosen, page=chosen.page + 1) if page.has_next and chosen.page < board.MOST_PAGES else "",
        "may_hold": may(request, "preview"),
    }
    if not is_live(request):
        context |= {"lines": line_codes(), "sources": HoldSource.choices}
    return show_live(request, "holds/holds.html", "holds/_holds_live.html", context, seconds=15)


def _read_chosen(request: HttpRequest) -> Chosen:
    """Read the filters from the address; what makes no sense is left out."""
    texts = {name: request.GET.get(name, "").strip() for name in ("status", "scope", "source", "line", "owner", "q")}
    texts = {name: "" if "\0" in text else text[: board.LONGEST] for name, text in texts.items()}
    allowed = {"scope": HoldScope.values, "source": HoldSource.values, "status": (*HoldStatus.values, board.ALL)}
    for name, values in allowed.items():
        if texts[name] not in values:
            texts[name] = ""
    texts["status"] = texts["status"] or HoldStatus.OPEN
    page = whole_number(request.GET.get("page", "")) or 1
    sort = board.OLDEST if request.GET.get("sort") == board.OLDEST else board.NEWEST
    return Chosen(**texts, sort=sort, page=max(1, min(page, board.MOST_PAGES)))


def _query(chosen: Chosen, **changes: Any) -> str:
    """Return the arguments of an address that asks for this with changes."""
    arguments = {**vars(chosen), "page": 1, **changes}
    defaults = {"status": HoldStatus.OPEN, "sort": board.NEWEST, "page": 1}
    given = [(key, value) for key, value in arguments.items() if value not in ("", defaults.get(key))]
    return "?" + urlencode(given)


def _status_links(chosen: Chosen) -> Iterator[tuple[Any, str, bool]]:
    for value, label in ((HoldStatus.OPEN, _("Open")), (HoldStatus.RELEASED, _("Ended")), (board.ALL, _("All"))):
        yield label, _query(chosen, status=value), chosen.status == value


def _scope_links(chosen: Chosen, page: board.HoldPage) -> Iterator[tuple[Any, int | None, str, bool]]:
    """Yield the scopes that may be chosen: (label, how many are open, address, whether it is)."""
    yield _("Everything"), sum(page.counts.values()), _query(chosen, scope=""), not chosen.scope
    for value, label in HoldScope.choices:
        yield label, page.counts.get(value, 0), _query(chosen, scope=value), chosen.scope == value


# --- a new one -----------------------------------------------------------------------------------------------------


@needs(*HoldViewSet.capabilities["preview"])
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Say which units are meant, see them, and hold them. An address may name parts of the condition, as the interface
    does: then they are seen at once.
    """
    if request.method == "GET":
        return _show_new(request, _typed_in_address(request))
    if request.POST.get("do") == HOLD:
        return _hold(request)
    return _show_new(request, _typed_in_form(request))


def _hold(request: HttpRequest) -> HttpResponse:
    """Hold what was seen; where something is wrong, or another condition was seen, it is shown again."""
    typed = _typed_in_form(request)
    fields = (*condition_fields(), *_hidden(), *holding_fields())
    try:
        body = acts.read_form(HoldRequest, request, fields)
        meant = condition.build(body["condition"] or {})
        if _mark(meant) != request.POST.get("seen"):
            return _show_new(request, typed, note=_("The condition was changed: these are the units now."))
        done = services.hold_units(
            condition=meant,
            reason=body["reason"],
            by=request.user.get_username(),
            owner=body.get("owner") or "",
            catches=bool(body.get("catches")),
            expected_count=body.get("expected_count"),
        )
    except DomainError as refusal:
        return _show_new(request, typed, refusal=refusal)
    address = reverse("hold", args=[done.hold.hold_no])
    # The form is sent by htmx: its answer takes the place of the form, unless it leads elsewhere.
    return HttpResponse(status=204, headers={"HX-Redirect": address}) if is_live(request) else redirect(address)


def _hidden() -> tuple[Field, ...]:
    scope = Field("scope", kind=FieldKind.HIDDEN, value=HoldScope.UNITS)
    return (scope, Field("expectedCount", kind=FieldKind.HIDDEN, is_number=True))


def _typed_in_form(request: HttpRequest) -> dict[str, str]:
    return {name: "\n".join(request.POST.getlist(name)) for name in request.POST}


def _typed_in_address(request: HttpRequest) -> dict[str, str]:
    """Return the parts of a condition that an address names, as the form has them."""
    named = [name for name in wording.LABELS if request.GET.get(name)]
    typed = {f"{CONDITION}.{name}": "\n".join(request.GET.getlist(name)) for name in named}
    for name in ("from", "to"):
        if moment := typed.get(f"{CONDITION}.{name}"):
            typed[f"{CONDITION}.{name}"] = acts.in_form(moment)
    return typed


def _show_new(
    request: HttpRequest, typed: Mapping[str, str], *, refusal: DomainError | None = None, note: str = ""
) -> HttpResponse:
    """Show the form with what was typed; with any part of a condition, also what it fits now."""
    found, meant, problem = None, None, refusal
    if request.method == "POST" or typed:
        try:
            meant = _read_condition(typed)
            found = matching.preview(meant)
        except DomainError as malformed:
            problem = problem or malformed
    told = None if problem is None else _refusal_of(problem, typed)
    holding: list[Row] = []
    if meant and found:
        is_first = "seen" not in typed  # whether it catches is proposed once
        is_catching = is_first and meant.catches_by_default(timezone.now())
        holding = list(_rows(holding_fields(is_catching=is_catching), typed, told))
    context = {
        "groups": list(_groups(list(_rows(condition_fields(), typed, told)))),
        "holding": holding,
        "found": found,
        "statuses": [(status, UnitStatus(status).label, n) for status, n in found.by_status.items()] if found else (),
        "runs": list(found.by_run.items()) if found else (),
        "seen": _mark(meant) if meant else "",
        "refusal": told,
        "note": note,
        "is_refused": told is not None,
        "run_no": typed.get(f"{CONDITION}.runNo", ""),
        "words": wording.describe(meant.as_document()) if meant else (),
    }
    return render(request, "holds/new.html", context)


def _read_condition(typed: Mapping[str, str]) -> Condition:
    fields = condition_fields()
    texts = {each.name: typed.get(each.name, "").strip() for each in fields}
    return condition.build(
        acts.read_texts(HoldPreviewRequest, texts, fields)["condition"] if any(texts.values()) else {}
    )


def _mark(meant: Condition) -> str:
    """Stand for a condition: what is held is what was seen."""
    return hashlib.sha256(json.dumps(meant.as_document(), sort_keys=True).encode()).hexdigest()[:16]


def _refusal_of(refusal: DomainError, typed: Mapping[str, str]) -> Refusal:
    problems = refusal.details if isinstance(refusal, ValidationFailed) else {}
    return Refusal(in_words(refusal), refusal.code, {key: str(value) for key, value in problems.items()}, typed)


def _rows(fields: Sequence[Field], typed: Mapping[str, str], told: Refusal | None) -> Iterator[Row]:
    """Yield fields with what was typed, and what is wrong with it."""
    problems = told.problems if told else {}
    first = next((each.name for each in fields if each.name in problems), None)
    for each in fields:
        value = typed.get(each.name, each.value)
        yield Row(each, f"hold-{each.name}", value, problems.get(each.name, ""), each.name == first)


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row], bool]]:
    """Yield the parts of a condition: (heading, what it is about, fields, whether one of them is used)."""
    told = (
        (_("Units"), "", wording.OF_UNIT),
        (_("A pass"), _("All that is given here holds for one and the same pass."), wording.OF_PASS),
        (_("A defect"), _("Withdrawn ones and false calls do not count."), wording.OF_DEFECT),
        (_("A material"), _("What it is made of: one thing that is looked for in it."), wording.OF_MATERIAL),
    )
    for heading, about, names in told:
        of_it = [row for row in rows if row.field.name.partition(".")[2] in names]
        yield heading, about, of_it, any(row.value or row.problem for row in of_it)


# --- one hold ------------------------------------------------------------------------------------------------------


@signed_in
@require_GET
def hold(request: HttpRequest, hold_no: str) -> HttpResponse:
    """A hold: what it holds and why, how far it is, what was decided, and what may be. While units are being held it
    keeps itself up to date.
    """
    detail = _read_detail(request, hold_no)
    if detail is None:
        return _missing(request, hold_no)
    if detail.hold.hold_no != hold_no:
        return redirect("hold", hold_no=detail.hold.hold_no)
    attach(HOLD_FILES, [detail.hold])
    chosen = _read_chosen_units(request, detail)
    offered: Sequence[Act] = list_acts(request, detail, chosen)
    if not is_live(request):
        offered = acts.with_refusal(request, offered, place=_address(detail.hold))
    context = {
        "detail": detail,
        "hold": detail.hold,
        "signed_at": signed_at_of(detail.history),
        "acts": offered,
        "chosen": chosen,
        "may_choose": any(act.name != RELEASE for act in offered),
        "most_chosen": most_chosen(),
        "before": f"?show={detail.shown}&page={detail.page - 1}#units" if detail.page > 1 else "",
        "further": f"?show={detail.shown}&page={detail.page + 1}#units" if detail.has_next else "",
    }
    is_over = not detail.counts["pending"]
    return show_live(request, "holds/hold.html", "holds/_hold_live.html", context, is_over=is_over)


def _missing(request: HttpRequest, hold_no: str) -> HttpResponse:
    message = _("There is no hold “%(code)s”.") % {"code": hold_no}
    return render(request, "trace/missing.html", {"text": hold_no, "message": message}, status=404)


def _read_detail(request: HttpRequest, hold_no: str) -> Detail | None:
    try:
        found = services.get(hold_no)
    except HoldNotFound:
        return None
    shown = request.GET.get("show", "")
    page = max(1, min(whole_number(request.GET.get("page", "")) or 1, board.MOST_PAGES))
    return board.get_detail(found, shown=shown if shown in (board.HELD, board.ENDED) else "", page=page)


def _read_chosen_units(request: HttpRequest, detail: Detail) -> list[str]:
    """Return the units that were ticked, or all that it holds, for the forms that ask for units."""
    if "all" in request.GET:
        return board.list_held_sns(detail.hold, most=most_chosen())
    return [sn for sn in request.GET.getlist("sn") if "\0" not in sn][: most_chosen()]


def _address(found: Hold) -> str:
    return reverse("hold", args=[found.hold_no])


@signed_in
@require_POST
def act(request: HttpRequest, hold_no: str, name: str) -> HttpResponse:
    """Release, rework or scrap what a hold has; a refusal stands beside its button."""
    if name not in NAMES:
        raise Http404
    if not may(request, "dispose" if name in ENDS else "release"):
        raise PermissionDenied(_("You may not do this."))
    detail = _read_detail(request, hold_no)
    if detail is None:
        return _missing(request, hold_no)
    return acts.carry_out(request, partial(_decide, request, detail, name), place=_address(detail.hold), name=name)


def _decide(request: HttpRequest, detail: Detail, name: str) -> str:
    """Do it and say what is so now. Raises what the services do."""
    asked = DisposeRequest if name in ENDS else HoldReleaseRequest
    body = acts.read_form(asked, request, fields_of(name, signature_of(request, detail)))
    if name in ENDS:
        done = dispose(request, detail.hold, body, ENDS[name])
    else:
        done = release(request, detail.hold, body)
    if not done.is_done:
        return _("Decided: it is being done, this page tells how far.")
    return _("Decided and done.") if done.hold.status == HoldStatus.OPEN else _("The hold has ended.")
