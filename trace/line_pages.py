"""The page of a line, for the tablet that stands at it: what is made now, stop and go on, and what is made next."""

import re
from collections.abc import Sequence
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.errors import LineNotFound
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import is_live, show_live, signed_in
from mes.platform.http.serializers import CodeField, StrictSerializer
from mes.production import line_acts
from mes.production.line_api import ActiveRunRequest, GoOnRequest, LineStatusViewSet, StopRequest
from trace.line_now import LineNow, OpenRun, get_line_now
from trace.pages import missing

ACTIONS = {"hold": "hold", "resume": "resume", "active-run": "active_run"}  # of the address → of the interface
NAMED = re.compile(r"(?:de)?activate(?:-[0-9]+)?")  # an act that leads to “active-run”


class _EndOfActive(StrictSerializer):
    """Where no run is to be active any more; of the line, where no station is named."""

    stationCode = CodeField(required=False)


@signed_in
@require_GET
def line(request: HttpRequest, code: str) -> HttpResponse:
    """What a line makes now and next, and what may be done about it."""
    try:
        now = get_line_now(code=code)
    except LineNotFound:
        return missing(request, code, _("There is no line “%(code)s”.") % {"code": code})
    place = reverse("line", args=[now.line.code])
    offered = list(_list_acts(now, role_capabilities(request.user)))
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=place))
    by_name = {act.name: act for act in offered}
    context = {
        "now": now,
        "acts": [by_name[name] for name in ("hold", "resume", "deactivate") if name in by_name],
        "scan": by_name.get("activate"),
        "is_refused": any(act.refusal for act in offered),
        "next": [(run, by_name.get(f"activate-{run.state.run.pk}")) for run in now.next_runs],
        "stations": [(item, by_name.get(f"deactivate-{item.station.pk}")) for item in now.at_stations if item.station],
    }
    return show_live(request, "trace/line.html", "trace/_line_live.html", context)


@signed_in
@require_POST
def act(request: HttpRequest, code: str, action: str) -> HttpResponse:
    """Stop the line, let it go on, or make a run active; a refusal is shown beside its button."""
    if not _may(action, role_capabilities(request.user)):
        raise PermissionDenied(_("You may not do this."))
    named = request.GET.get("act", "")
    name = named if action == "active-run" and NAMED.fullmatch(named) else action
    return acts.carry_out(request, lambda: _do(request, code, action), place=reverse("line", args=[code]), name=name)


def _do(request: HttpRequest, code: str, action: str) -> str:
    """Do it and say what is so now. Raises what the service does."""
    by = request.user.get_username()
    if action == "hold":
        given = acts.read_form(StopRequest, request, (acts.reason_field(),))
        line_acts.hold(line_code=code, reason=given["reason"], by=by)
        return _("The line is stopped.")
    if action == "resume":
        given = acts.read_form(GoOnRequest, request, (acts.reason_field(is_required=False),))
        line_acts.resume(line_code=code, reason=given.get("reason") or "", by=by)
        return _("The line goes on.")
    return _set_active(request, code, by)


def _set_active(request: HttpRequest, code: str, by: str) -> str:
    station = Field("stationCode", kind=FieldKind.CODE)
    is_end = request.GET.get("act", "").startswith("deactivate")
    fields = (station,) if is_end else (Field("runNo", kind=FieldKind.CODE), station)
    given = acts.read_form(_EndOfActive if is_end else ActiveRunRequest, request, fields)
    run_no, station_code = given.get("run_no"), given.get("station_code")
    line_acts.set_active_run(line_code=code, run_no=run_no, station_code=station_code, at=None, by=by)
    if is_end:
        return _("No run is active there any more.")
    return _("%(run)s is the active run now.") % {"run": run_no}


def _may(action: str, granted: frozenset[Capability]) -> bool:
    return not granted.isdisjoint(LineStatusViewSet.capabilities[ACTIONS[action]])


# --- what may be done -----------------------------------------------------------------------------------------


def _list_acts(now: LineNow, granted: frozenset[Capability]) -> list[Act]:
    """Return what the line's state and somebody's capabilities allow."""
    offered: list[Act] = []
    if now.hold is None and _may("hold", granted):
        offered.append(_stop(now))
    if now.hold is not None and _may("resume", granted):
        offered.append(_go_on(now))
    if _may("active-run", granted):
        offered.extend(_list_activations(now))
    return offered


def _address(now: LineNow, action: str, name: str = "") -> str:
    """Return where an act is sent to; `name` says which of those that lead to one action it is."""
    address = reverse("line-act", args=[now.line.code, action])
    return f"{address}?{urlencode({'act': name})}" if name else address


def _stop(now: LineNow) -> Act:
    return Act(
        "hold",
        _("Stop the line"),
        _address(now, "hold"),
        about=_("No unit enters a station of this line until somebody lets it go on. What is in a station may leave."),
        symbol="hold",
        tone="bad",
        is_harmful=True,
        fields=(acts.reason_field(),),
        extra="trace/_usual_reasons.html",
    )


def _go_on(now: LineNow) -> Act:
    return Act(
        "resume",
        _("Go on"),
        _address(now, "resume"),
        button=_("Let the line go on"),
        about=_("Units may enter its stations again."),
        symbol="next",
        tone="good",
        fields=(acts.reason_field(is_required=False),),
    )


def _list_activations(now: LineNow) -> list[Act]:
    offered = [_activate(now, "activate", _scan_fields(now)), *(_activate_run(now, run) for run in now.next_runs)]
    if now.active is not None:
        about = _("Then no run is active here: what machines report without a run is refused, until one is.")
        offered.append(_deactivate(now, "deactivate", _("No run"), about=about))
    for item in now.at_stations:
        if item.station is not None:
            hidden = Field("stationCode", kind=FieldKind.HIDDEN, value=item.station.code)
            offered.append(_deactivate(now, f"deactivate-{item.station.pk}", _("As the line"), fields=(hidden,)))
    return offered


def _activate_run(now: LineNow, run: OpenRun) -> Act:
    hidden = Field("runNo", kind=FieldKind.HIDDEN, value=run.state.run.run_no)
    return _activate(now, f"activate-{run.state.run.pk}", (hidden,))


def _activate(now: LineNow, name: str, fields: Sequence[Field]) -> Act:
    at = (
        {}
        if name != "activate"
        else {"RUN_NOT_FOUND": "runNo", "RUN_CLOSED": "runNo", "STATION_LINE_MISMATCH": "runNo"}
    )
    return Act(name, _("Make active"), _address(now, "active-run", name), symbol="next", fields=fields, at=at)


def _deactivate(now: LineNow, name: str, label: str, about: str = "", fields: Sequence[Field] = ()) -> Act:
    address = _address(now, "active-run", name)
    return Act(name, label, address, button=_("End it"), about=about, symbol="ahead", fields=fields)


def _scan_fields(now: LineNow) -> Sequence[Field]:
    places = [("", _("the whole line")), *((station.code, station.code) for station in now.stations)]
    return (
        Field("runNo", _("Scan a run to make it active"), FieldKind.CODE, is_required=True, most=100, is_focused=True),
        Field("stationCode", _("For"), FieldKind.CHOICE, choices=places),
    )
