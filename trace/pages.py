"""The pages: thin views around the queries of this app. Decisions go through the services of the HTTP interface."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from execution import dispositions
from execution.quality.holds import board as holds
from execution.quality.holds.queries import list_open_numbers
from execution.station_page.last_station import find_station
from mes.errors import CarrierNotFound, DomainError, RunNotFound, SnIsReference, SnUnreadable, UnitNotFound
from mes.plant.scans import Resolved, ScanKind, resolve
from mes.platform.accounts.roles import Capability, is_operator, role_capabilities
from mes.platform.http import acts
from mes.platform.http.pages import columns_of, is_live, mark_of, show_live, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.production.models import UnitStatus
from trace import carrier_act_pages, carriers, lines, run_act_pages, run_deviations, runs, start, unit_act_pages, units
from trace import search as searching
from trace.shown_run import ShownRun

DECISIONS: dict[str, tuple[Callable[..., Any], tuple[Capability, ...]]] = {
    "hold": (dispositions.hold_unit, (Capability.DISPOSITION, Capability.RELEASE)),
    "release": (dispositions.release_unit, (Capability.DISPOSITION, Capability.RELEASE)),
    "rework": (dispositions.rework_unit, (Capability.DISPOSITION,)),
    "scrap": (dispositions.scrap_unit, (Capability.DISPOSITION,)),
}
POSSIBLE: dict[str, tuple[str, ...]] = {
    UnitStatus.QUEUED: ("hold", "scrap"),
    UnitStatus.IN_STATION: ("hold", "scrap"),
    UnitStatus.DONE: ("hold", "rework", "scrap"),
    UnitStatus.OUT_FAILED: ("rework", "hold", "scrap"),
    UnitStatus.ON_HOLD: ("release", "rework", "scrap"),
    UnitStatus.SCRAPPED: (),
}
REASON_LENGTH = 500


# --- pages --------------------------------------------------------------------------------------------------


@signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The lines now, one's own unless all are asked for, and what waits for whoever looks. Operators are led to their
    station, unless they ask for lines.
    """
    if is_operator(request.user) and "lines" not in request.GET:
        station = find_station(request)
        return redirect("stations") if station is None else redirect("station", station.code)
    waiting = start.get_start(request.user, role_capabilities(request.user))
    is_all = not waiting.own_lines or request.GET.get("lines") == "all"
    floor = lines.get_floor(() if is_all else waiting.own_lines)
    mark = mark_of(_facts_of_floor(floor), waiting.facts, is_all, now=timezone.now())
    context = {"floor": floor, "start": waiting, "is_all": is_all, "shown": start.SHOWN}
    return show_live(request, "trace/home.html", "trace/_home_live.html", context, mark=mark)


@signed_in
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Find what is called as it was scanned, or begins so; one thing that is called exactly so is shown at once."""
    scanned = request.GET.get("q", "")
    text, refusal = searching.read_text(scanned)
    resolved = resolve(scanned)
    if address := _only_address(resolved):
        return redirect(address)
    results = searching.find(text[:100]) if text else None
    if results and results.text != text and (address := _only_address(resolved := resolve(results.text))):
        return redirect(address)
    if not resolved.meanings and results and results.exact_wo_no:
        return redirect("order", wo_no=results.exact_wo_no)
    if not resolved.meanings and text and (hold_no := holds.find_exact(text)) is not None:
        return redirect("hold", hold_no=hold_no)
    if resolved.meanings or (results and not results.is_empty):
        refusal = ""
    open_holds = _name_holds(results.units if results else ())
    context = {
        "text": text,
        "refusal": refusal,
        "results": results,
        "resolved": resolved,
        "open_holds": open_holds,
        "recent": runs.list_recent_runs(),
        "used_as": (ScanKind.LOT, ScanKind.PASTE_LOT, ScanKind.TOOL, ScanKind.STENCIL),
    }
    return render(request, "trace/search.html", context)


def _only_address(resolved: Resolved) -> str:
    """Return the address of the one thing that is called so, where it has a page."""
    return resolved.meanings[0].address if len(resolved.meanings) == 1 else ""


@signed_in
@require_GET
def run(request: HttpRequest, run_no: str) -> HttpResponse:
    """A run: where its units are, and how well the steps do."""
    try:
        page = runs.get_run_page(run_no=run_no, chosen=_read_filter(request))
    except RunNotFound:
        return missing(request, run_no, _("There is no run “%(code)s”.") % {"code": run_no})
    shown = ShownRun(page.state.run, page.holds, page.newer_version_no, request.user.get_username())
    mark = _mark_of_run(page, shown)
    if is_live(request) and request.GET.get("seen") == mark:
        return HttpResponse(status=204)  # without drawing it
    ends = run_deviations.end_acts(request, page.deviations)
    offered = [*run_act_pages.list_acts(request, shown), *ends]
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=reverse("run", args=[page.state.run.run_no])))
    above = offered[: len(offered) - len(ends)]
    deviations = run_deviations.with_ends(page.deviations, offered)
    context = {"page": page, "links": _links(page), "acts": above, "deviations": deviations}
    return show_live(request, "trace/run.html", "trace/_run_live.html", context, mark=mark)


@signed_in
@require_GET
def unit(request: HttpRequest, sn: str) -> HttpResponse:
    """A unit: where it is, whether it is good, and everything that is known of it."""
    try:
        trace = units.get_unit_trace(sn=sn)
    except UnitNotFound:
        return missing(request, sn, _("There is no unit “%(code)s”.") % {"code": sn})
    except (SnUnreadable, SnIsReference) as refusal:
        return missing(request, sn, str(refusal))
    if trace.unit.sn != sn:  # relabelled
        return redirect("unit", sn=trace.unit.sn)
    opened = whole_number(request.GET.get("pass", ""))
    if is_live(request) and opened is not None and "seen" not in request.GET:
        return _show_pass(request, trace, opened)
    waiting = unit_act_pages.find_request(trace.unit)
    mark = f"{trace.mark}-{waiting.pk if waiting else ''}-{timezone.now():%H%M}"  # “2 min ago” changes by the minute
    if is_live(request) and request.GET.get("seen") == mark:
        return HttpResponse(status=204)  # without drawing a thousand values again
    at_limit = trace.is_at_reentry_limit
    to_sign, is_all = unit_act_pages.list_to_sign(trace.unit)
    offered = unit_act_pages.list_acts(request, trace.unit, waiting, is_at_reentry_limit=at_limit, to_sign=to_sign)
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=reverse("unit", args=[trace.unit.sn])))
    context = {
        "trace": trace,
        "acts": offered,
        "waiting": waiting,
        "decisions": [name for name in _list_decisions(request, trace) if not (is_all and name == "release")],
        "rework_steps": _list_rework_steps(trace),
        "opened": opened,
    }
    template = "trace/_unit_live.html"
    return show_live(request, "trace/unit.html", template, context, mark=mark, is_over=trace.is_finished)


@signed_in
@require_GET
def carrier(request: HttpRequest, carrier_no: str) -> HttpResponse:
    """A carrier: what it carries, where it passed, what it carried before."""
    try:
        trace = carriers.get_carrier_trace(carrier_no=carrier_no)
    except CarrierNotFound:
        return missing(request, carrier_no, _("There is no carrier “%(code)s”.") % {"code": carrier_no})
    offered = carrier_act_pages.list_acts(request, trace)
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=reverse("carrier", args=[carrier_no])))
    open_holds = _name_holds(load.unit for load in trace.current)
    context = {"trace": trace, "acts": offered, "open_holds": open_holds}
    return show_live(request, "trace/carrier.html", "trace/_carrier_live.html", context)


def _name_holds(units: Iterable[Any]) -> dict[int, list[str]]:
    """Return the numbers of what holds the held ones of some units."""
    return list_open_numbers(unit.pk for unit in units if unit.status == UnitStatus.ON_HOLD)


def _show_pass(request: HttpRequest, trace: units.UnitTrace, track_id: int) -> HttpResponse:
    """What was collected on an older pass; asked for when somebody unfolds it."""
    chosen = next((item for item in trace.passes if item.track.pk == track_id), None)
    if chosen is None:
        raise Http404
    return render(request, "trace/_pass_inside.html", {"trace": trace, "pass": chosen})


@signed_in
@require_POST
def decide(request: HttpRequest, sn: str, action: str) -> HttpResponse:
    """Hold, release, rework or scrap a unit; refusals are shown on its page."""
    if action not in DECISIONS:
        raise Http404
    service, needed = DECISIONS[action]
    if role_capabilities(request.user).isdisjoint(needed):
        raise PermissionDenied(_("You may not decide this about units."))
    problem = _check_decision(request, sn, action)
    if problem:
        messages.error(request, problem)
        return redirect("unit", sn=sn)
    try:
        service(sn=sn, **_read_decision(request, action))
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The decision is recorded."))
    return redirect("unit", sn=sn)


def missing(request: HttpRequest, text: str, message: str) -> HttpResponse:
    """404 for what cannot be found, with the search filled in."""
    return render(request, "trace/missing.html", {"text": text, "message": message}, status=404)


# --- a run's list of units ----------------------------------------------------------------------------------


def _read_filter(request: HttpRequest) -> runs.Filter:
    """Read the filter from the address; what makes no sense is left out."""
    status, order = request.GET.get("status", ""), request.GET.get("order", "")
    return runs.Filter(
        status=status if status in UnitStatus.values else "",
        step_no=_step_number(request.GET.get("step", "")),
        order="newest" if order == "newest" else "attention",
        page=max(1, whole_number(request.GET.get("page", "")) or 1),
    )


def _step_number(text: str) -> int | None:
    number = whole_number(text)
    return None if number is None else min(number, runs.LARGEST_STEP_NO)


def _links(page: runs.RunPage) -> dict[str, Any]:
    """The addresses by which the filter is changed, each keeping the rest of it."""
    chosen = page.chosen
    parameters = {"status": chosen.status, "step": chosen.step_no, "order": chosen.order}
    number = min(chosen.page, page.pages)

    def link(**changes: Any) -> str:
        arguments = {
            key: value for key, value in {**parameters, **changes}.items() if value not in ("", None, "attention")
        }
        return f"?{urlencode(arguments)}#units"

    return {
        "statuses": [(value, label, count, link(status=value)) for value, label, count in page.statuses],
        "all_statuses": link(status=""),
        "steps": {node.step.step_no: link(step=node.step.step_no) for node in page.state.flow},
        "all_steps": link(step=None),
        "attention": link(order="attention"),
        "newest": link(order="newest"),
        "previous": link(page=number - 1) if number > 1 else "",
        "next": link(page=number + 1) if number < page.pages else "",
        "page": number,
    }


# --- decisions ----------------------------------------------------------------------------------------------


def _list_decisions(request: HttpRequest, trace: units.UnitTrace) -> list[str]:
    """The decisions that the unit's state allows and the user may take."""
    possible = [name for name in POSSIBLE[trace.unit.status] if name != "rework" or trace.unit.run_id]
    if not possible:
        return []
    granted = role_capabilities(request.user)
    return [name for name in possible if not granted.isdisjoint(DECISIONS[name][1])]


def _list_rework_steps(trace: units.UnitTrace) -> list[units.StepState]:
    current = trace.unit.current_step_no or 0
    return [state for state in trace.steps if state.step.step_no <= current]


def _check_decision(request: HttpRequest, sn: str, action: str) -> str:
    """Return what is wrong with a form; empty when nothing is."""
    reason = request.POST.get("reason", "").strip()
    if not reason.isprintable():
        return _("The reason contains characters that cannot be kept.")
    if not reason:
        return _("Say why: a reason is needed.")
    if len(reason) > REASON_LENGTH:
        return _("The reason is too long; %(length)d characters are enough.") % {"length": REASON_LENGTH}
    if action == "scrap" and searching.read_text(request.POST.get("confirm_sn", ""))[0] != sn:
        return _("Nothing was scrapped: the serial number typed does not match.")
    return ""


def _read_decision(request: HttpRequest, action: str) -> dict[str, Any]:
    """Return the arguments of the service."""
    arguments: dict[str, Any] = {"reason": request.POST["reason"].strip(), "by": request.user.get_username()}
    if action == "rework":
        arguments["to_step_no"] = _step_number(request.POST.get("to_step_no", ""))
        arguments["repair"] = True if request.POST.get("repair") else None
    return arguments


# --- what live parts are compared by --------------------------------------------------------------------------


def _facts_of_floor(floor: lines.Floor) -> tuple[Any, ...]:
    """Return what the lines do, for a mark: drawing it takes as long as reading it."""
    shown = [
        (columns_of(item.line), item.more_runs, [_facts_of_state(state) for state in item.runs], _stops_of(item))
        for item in floor.lines
    ]
    moves = [(columns_of(track), track.unit.sn, track.station.code) for track in (move.track for move in floor.moves)]
    return shown, moves


def _stops_of(item: lines.LineState) -> tuple[Any, ...]:
    return tuple(item.stopped), tuple(item.stopped_stations)


def _mark_of_run(page: runs.RunPage, shown: ShownRun) -> str:
    """Stand for what the page of a run shows."""
    checked = page.readiness and page.readiness.check
    numbers = (page.matching, page.clocks_over, page.clocks_soon, page.newer_version_no, page.counts)
    yields = [(item.step.step_no, item.finished, item.passed, item.passed_as_claimed) for item in page.yields]
    units = [_facts_of_unit(row) for row in page.units]
    open_ones = (*page.holds, *(shown.deviation for shown in page.deviations))
    decided = [columns_of(row) for row in (*open_ones, *(item.decision for item in page.decisions))]
    return mark_of(
        _facts_of_state(page.state), numbers, yields, units, checked, decided, shown.lines, now=timezone.now()
    )


def _facts_of_state(state: runs.RunState) -> tuple[Any, ...]:
    counts = sorted(state.tally.counts.items(), key=str)
    return columns_of(state.run), columns_of(state.run.work_order), counts, sorted(state.tally.left.items())


def _facts_of_unit(row: runs.UnitRow) -> tuple[Any, ...]:
    last = row.last_track
    return (
        columns_of(row.unit),
        columns_of(last),
        last and last.station.code,
        [columns_of(value) for value in row.failing],
        row.found,
    )
