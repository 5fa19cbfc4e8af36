"""What may be done with a carrier on its page: its boards are parted, those without a label get one by scanner."""

from collections.abc import Mapping, Sequence

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from execution import panels
from execution.panels import Label
from execution.panels_api import DepanelRequest, PanelViewSet
from mes.errors import CarrierNotFound, ValidationFailed
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.envelope import flatten
from mes.platform.http.pages import signed_in
from mes.platform.http.whole_numbers import whole_number
from trace.carriers import CarrierTrace, get_carrier_trace

DEPANEL = "depanel"
BOARD = "board-"
LONGEST_LABEL = 7089


def list_acts(request: HttpRequest, trace: CarrierTrace) -> list[Act]:
    """Return what somebody may do with what the carrier carries."""
    if not trace.current or not _may(request):
        return []
    unlabelled = _list_unlabelled(trace)
    about = (
        _("The boards leave the panel. Scan the labels of those that have none; without one they keep their place.")
        if unlabelled
        else _("All units leave the carrier; it keeps in its loads what it carried.")
    )
    return [
        Act(
            DEPANEL,
            _("Depanel") if unlabelled else _("Take all off"),
            reverse("carrier-depanel", args=[trace.carrier.carrier_no]),
            button=_("Part the boards") if unlabelled else _("Take all off"),
            about=about,
            symbol="ahead",
            fields=_fields(unlabelled),
        )
    ]


def _may(request: HttpRequest) -> bool:
    return not role_capabilities(request.user).isdisjoint(PanelViewSet.capabilities["depanel"])


def _list_unlabelled(trace: CarrierTrace) -> list[int]:
    """Return the positions at which boards have no label yet, in order."""
    number = trace.carrier.carrier_no
    places = [load.position for load in trace.current if load.unit.sn == panels.unlabelled_sn(number, load.position)]
    return sorted(int(place) for place in places if place.isdecimal())


def _fields(positions: Sequence[int]) -> tuple[Field, ...]:
    label = _("Label of position %(position)d")
    return tuple(
        Field(f"{BOARD}{position}", label % {"position": position}, FieldKind.CODE, most=LONGEST_LABEL)
        for position in positions
    )


@signed_in
@require_POST
def depanel(request: HttpRequest, carrier_no: str) -> HttpResponse:
    """Part the boards of a panel; a refusal stands beside its button."""
    if not _may(request):
        raise PermissionDenied(_("You may not do this."))

    try:
        trace = get_carrier_trace(carrier_no=carrier_no)
    except CarrierNotFound as error:
        raise Http404 from error

    def do() -> str:
        return _depanel(request, trace)

    return acts.carry_out(request, do, place=reverse("carrier", args=[carrier_no]), name=DEPANEL)


def _depanel(request: HttpRequest, trace: CarrierTrace) -> str:
    """Do it and say so. Raises what the service does; what is wrong with a label is told at its field."""
    carrier_no, positions = trace.carrier.carrier_no, _list_unlabelled(trace)
    typed = [(position, request.POST.get(f"{BOARD}{position}", "").strip()) for position in positions]
    named = [(position, sn) for position, sn in typed if sn]
    body = DepanelRequest(data={"boards": [{"position": position, "sn": sn} for position, sn in named]})
    if not body.is_valid():
        raise ValidationFailed(_at_fields(flatten(body.errors), named))
    boards = body.validated_data["boards"]
    given = [Label(str(board["position"]), board["sn"]) for board in boards]
    try:
        parted = panels.depanel(carrier_no=carrier_no, given=given, by=str(request.user.get_username()))
    except ValidationFailed as refusal:
        raise ValidationFailed(_at_fields(refusal.details, named)) from refusal
    said = ngettext("%d board left the carrier.", "%d boards left the carrier.", len(parted))
    return said % len(parted)


def _at_fields(problems: Mapping[str, str], named: Sequence[tuple[int, str]]) -> dict[str, str]:
    """Return what is wrong with boards, by their fields of the form."""
    found: dict[str, str] = {}
    for path, told in problems.items():
        index = whole_number(path.removeprefix("boards.").partition(".")[0])
        found.setdefault(path if index is None else f"{BOARD}{named[index][0]}", told)
    return found
