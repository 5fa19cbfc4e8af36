"""The page of a line, for the tablet that stands at it: what is made now, stop and go on, and what is made next."""

import re
from collections.abc import Sequence
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from rest_framework import serializers

from mes.errors import LineNotFound
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import is_live, show_live, signed_in
from mes.platform.http.serializers import CodeField, StrictSerializer
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import SignatureRequest
from mes.production import holds, line_acts, station_acts
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import HoldSource
from mes.production.line_api import ActiveRunRequest, GoOnRequest, LineStatusViewSet, StopRequest
from mes.production.run_acts_api import WHO_RESUMES
from trace.line_now import LineNow, OpenRun, Stopped, get_line_now
from trace.pages import missing
from trace.stations_now import load_stations_now

ACTIONS = {  # of the address → of the interface, whose capabilities it needs
    "hold": "hold",
    "resume": "resume",
    "active-run": "active_run",
    "stop-station": "hold",
    "go-on-station": "resume",
}
NAMED = {  # acts of which several lead to one action
    "active-run": re.compile(r"(?:de)?activate(?:-[0-9]+)?"),
    "go-on-station": re.compile(r"go-on-[0-9]+"),
}
ENDED_HERE = (HoldSource.PERSON, HoldSource.RULE)  # what else stops a station ends where it began


class _EndOfActive(StrictSerializer):
    """Where no run is to be active any more; of the line, where no station is named."""

    stationCode = CodeField(required=False)


class _StopStation(StrictSerializer):
    """Which station is stopped, and why."""

    stationCode = CodeField()
    reason = serializers.CharField(max_length=LONGEST_REASON)


class _GoOnStation(_StopStation):
    """Which station goes on of what stops it, and why; signed."""

    # The base class has an attribute of this name, for another use.
    source = serializers.ChoiceField(choices=[each.value for each in ENDED_HERE])  # type: ignore[assignment]
    signature = SignatureRequest(required=False)


@signed_in
@require_GET
def line(request: HttpRequest, code: str) -> HttpResponse:
    """What a line makes now and next, and what may be done about it."""
    try:
        now = get_line_now(code=code)
    except LineNotFound:
        return missing(request, code, _("There is no line “%(code)s”.") % {"code": code})
    place = reverse("line", args=[now.line.code])
    offered = list(_list_acts(now, request))
    if not is_live(request):
        offered = list(acts.with_refusal(request, offered, place=place))
    by_name = {act.name: act for act in offered}
    context = {
        "now": now,
        "acts": [by_name[name] for name in ("hold", "resume", "stop-station", "deactivate") if name in by_name],
        "scan": by_name.get("activate"),
        "is_refused": any(act.refusal for act in offered),
        "next": [(run, by_name.get(f"activate-{run.state.run.pk}")) for run in now.next_runs],
        "stopped": [(item, by_name.get(f"go-on-{item.hold.pk}")) for item in now.stopped],
        "stations_now": load_stations_now(now.stations),
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
    name = named if action in NAMED and NAMED[action].fullmatch(named) else action
    return acts.carry_out(request, lambda: _do(request, code, action), place=reverse("line", args=[code]), name=name)


def _do(request: HttpRequest, code: str, action: str) -> str:
    """Do it and say what is so now. Raises what the service does."""
    by = request.user.get_username()
    if action == "hold":
        given = acts.read_form(StopRequest, request, (acts.reason_field(),))
        line_acts.hold(line_code=code, reason=given["reason"], by=by)
        return _("The line is stopped.")
    if action == "resume":
        given = acts.read_form(GoOnRequest, request, _fields_of_going_on(by))
        signing = signatures.verify(request, given.get("signature"), *WHO_RESUMES)
        line_acts.resume(line_code=code, reason=given.get("reason") or "", by=by, signing=signing)
        return _("The line goes on.")
    if action == "stop-station":
        return _stop_station(request, by)
    if action == "go-on-station":
        return _let_station_go_on(request, by)
    return _set_active(request, code, by)


def _stop_station(request: HttpRequest, by: str) -> str:
    given = acts.read_form(_StopStation, request, (Field("stationCode", kind=FieldKind.CODE), acts.reason_field()))
    station_acts.stop(station_code=given["station_code"], reason=given["reason"], by=by)
    return _("Station %(station)s is stopped.") % {"station": given["station_code"]}


def _let_station_go_on(request: HttpRequest, by: str) -> str:
    fields = (*_hidden("", ""), acts.reason_field(), *acts.signature_fields(request, meaning=""))
    given = acts.read_form(_GoOnStation, request, fields)
    signing = signatures.verify(request, given.get("signature"), *WHO_RESUMES)
    source = HoldSource(given["source"])
    code, reason = given["station_code"], given["reason"]
    station = station_acts.go_on(station_code=code, reason=reason, by=by, source=source, signing=signing)
    if holds.list_open(station=station):
        return _("That hold has ended; something else stops station %(station)s.") % {"station": station.code}
    return _("Station %(station)s goes on.") % {"station": station.code}


def _hidden(station_code: str, source: str) -> Sequence[Field]:
    named = (("stationCode", station_code), ("source", source))
    return tuple(Field(name, kind=FieldKind.HIDDEN, value=value) for name, value in named)


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


def _list_acts(now: LineNow, request: HttpRequest) -> list[Act]:
    """Return what the line's state and somebody's capabilities allow."""
    granted, offered = role_capabilities(request.user), list[Act]()
    if now.hold is None and _may("hold", granted):
        offered.append(_stop(now))
    if now.hold is not None and _may("resume", granted):
        offered.append(_go_on(now, request.user.get_username()))
    if now.stations and _may("hold", granted):
        offered.append(_offer_to_stop_station(now))
    if _may("resume", granted):
        offered += [_offer_to_go_on(now, item, request) for item in now.stopped if item.hold.source in ENDED_HERE]
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


def _fields_of_going_on(viewer: str) -> Sequence[Field]:
    return (acts.reason_field(is_required=False), *acts.signature_fields_of(viewer, meaning=_("Released")))


def _go_on(now: LineNow, viewer: str) -> Act:
    return Act(
        "resume",
        _("Go on"),
        _address(now, "resume"),
        button=_("Let the line go on"),
        about=_("Units may enter its stations again."),
        symbol="next",
        tone="good",
        fields=_fields_of_going_on(viewer),
    )


def _offer_to_stop_station(now: LineNow) -> Act:
    places = [("", _("Choose one")), *((station.code, station.code) for station in now.stations)]
    station = Field("stationCode", _("Station"), FieldKind.CHOICE, choices=places, is_required=True)
    about = _("No unit enters this station until somebody lets it go on. What is in it may leave.")
    return Act(
        "stop-station",
        _("Stop a station"),
        _address(now, "stop-station"),
        button=_("Stop the station"),
        about=about,
        symbol="hold",
        tone="bad",
        is_harmful=True,
        fields=(station, acts.reason_field()),
    )


def _offer_to_go_on(now: LineNow, item: Stopped, request: HttpRequest) -> Act:
    name = f"go-on-{item.hold.pk}"
    fields = (
        *_hidden(item.station.code, item.hold.source),
        acts.reason_field(),
        *acts.signature_fields(request, meaning=_("Released")),
    )
    about = _("Units may enter it again, unless something else stops it, too.")
    return Act(
        name,
        _("Go on"),
        _address(now, "go-on-station", name),
        button=_("Let the station go on"),
        about=about,
        symbol="next",
        tone="good",
        fields=fields,
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
    codes = ("RUN_NOT_FOUND", "RUN_CLOSED", "STATION_LINE_MISMATCH", "SCAN_TYPE_MISMATCH")
    at = dict.fromkeys(codes, "runNo") if name == "activate" else {}
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
