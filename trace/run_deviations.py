"""Deviations of a run on its page: asked for, those that wait or are in force, and their end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from execution.deviations import services
from execution.deviations.api import DeviationEndRequest, DeviationRequest, DeviationViewSet, find_sns
from execution.deviations.models import Deviation, DeviationStatus, DeviationType
from mes.errors import DeviationNotFound
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import signed_in
from mes.production.models import OPEN_RUN_STATUSES, Run
from trace.shown_run import RunAct, ShownRun, address_of, is_open, name_of

USUAL = timedelta(days=1)
SHOWN_SNS = 20


@dataclass(frozen=True)
class ShownDeviation:
    """A deviation with the units that it names (of many the first), and the act that ends it where somebody may."""

    deviation: Deviation
    sns: Sequence[str]
    end: Act | None = None

    @property
    def is_in_force(self) -> bool:
        """Whether units may go by it."""
        return self.deviation.standing == DeviationStatus.IN_FORCE

    @property
    def more(self) -> int:
        """How many units it names besides those shown."""
        return len(self.deviation.unit_ids or ()) - len(self.sns)


def list_deviations(run: Run) -> list[ShownDeviation]:
    """Return those of an open run that are in force or wait for approval, oldest first: one query, one more if any
    names units.
    """
    if run.status not in OPEN_RUN_STATUSES:
        return []
    open_ones = Deviation.objects.filter(run=run, status__in=(DeviationStatus.REQUESTED, DeviationStatus.IN_FORCE))
    found = [each for each in open_ones.order_by("id") if each.standing != DeviationStatus.EXPIRED]
    sns = find_sns(found)
    return [ShownDeviation(each, _first(each.unit_ids or (), sns)) for each in found]


def _first(pks: Iterable[int], sns: dict[int, str]) -> list[str]:
    return sorted(sns[pk] for pk in pks if pk in sns)[:SHOWN_SNS]


# --- asking ------------------------------------------------------------------------------------------------


def _ask_act(name: str, shown: ShownRun) -> Act:
    about = _(
        "Units go past a step, or another station may run it, for a time. It counts once somebody of Quality approved "
        "it."
    )
    return Act(
        name,
        _("Deviation"),
        address_of(name, shown),
        button=_("Ask for it"),
        about=about,
        symbol="alarm",
        fields=_ask_fields(shown),
        ways={"APPROVAL_REQUESTED": [(_("What waits for approval"), reverse("approvals"))]},
        at={
            "STEP_NOT_FOUND": "stepNo",
            "STATION_NOT_FOUND": "stationCodes",
            "UNIT_NOT_FOUND": "sns",
            "UNIT_RUN_MISMATCH": "sns",
            "SN_UNREADABLE": "sns",
            "SN_IS_REFERENCE": "sns",
        },
    )


def _ask_fields(shown: ShownRun) -> tuple[Field, ...]:
    kinds = [(kind.value, str(kind.label)) for kind in DeviationType]
    until = timezone.localtime() + USUAL
    return (
        Field("type", _("What may be different"), FieldKind.CHOICE, choices=kinds, is_required=True),
        Field("stepNo", _("Step"), FieldKind.CHOICE, choices=shown.steps, is_required=True, is_number=True),
        Field("stationCodes", _("Scan the stations (only to run it elsewhere)"), FieldKind.SCANS),
        Field("sns", _("Scan the units (without any, it is for all)"), FieldKind.SCANS),
        Field("expiresAt", _("Until"), FieldKind.MOMENT, value=f"{until:%Y-%m-%dT%H:%M}", is_required=True),
        acts.reason_field(),
    )


def _ask(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(DeviationRequest, request, fields)
    deviation = services.request(
        run_no=run_no,
        type=body["type"],
        step_no=body["step_no"],
        station_codes=body.get("station_codes") or (),
        sns=body.get("sns"),
        expires_at=body["expires_at"],
        reason=body["reason"],
        by=name_of(request),
    )
    return _("%(no)s is asked for: it waits for somebody of Quality.") % {"no": deviation.deviation_no}


DEVIATION_ACTS: dict[str, RunAct] = {"deviation": RunAct(services.KIND.asks, is_open, _ask_act, _ask)}


# --- ending ------------------------------------------------------------------------------------------------


def end_acts(request: HttpRequest, shown: Sequence[ShownDeviation]) -> list[Act]:
    """Return the acts that end those in force, for somebody who may."""
    if role_capabilities(request.user).isdisjoint(DeviationViewSet.capabilities["end"]):
        return []
    return [_end_act(each.deviation) for each in shown if each.is_in_force]


def with_ends(shown: Sequence[ShownDeviation], offered: Iterable[Act]) -> list[ShownDeviation]:
    """Return deviations with the acts that end them."""
    by_name = {act.name: act for act in offered}
    return [replace(each, end=by_name.get(_end_name(each.deviation))) for each in shown]


def _end_name(deviation: Deviation) -> str:
    return f"end-{deviation.deviation_no}"


def _end_act(deviation: Deviation) -> Act:
    return Act(
        _end_name(deviation),
        _("End it"),
        reverse("deviation-end", args=[deviation.deviation_no]),
        button=_("End the deviation"),
        about=_("From now on the route holds again for every unit."),
        symbol="rework",
        fields=(acts.reason_field(),),
    )


@signed_in
@require_POST
def end(request: HttpRequest, no: str) -> HttpResponse:
    """End a deviation; a refusal stands beside its button."""
    if role_capabilities(request.user).isdisjoint(DeviationViewSet.capabilities["end"]):
        raise PermissionDenied(_("You may not do this."))
    try:
        found = services.find(no)
    except DeviationNotFound as error:
        raise Http404 from error
    place = reverse("run", args=[found.run.run_no])
    return acts.carry_out(request, partial(_end, request, no), place=place, name=_end_name(found))


def _end(request: HttpRequest, no: str) -> str:
    body = acts.read_form(DeviationEndRequest, request, (acts.reason_field(),))
    services.end(deviation_no=no, reason=body["reason"], by=name_of(request))
    return _("%(no)s has ended.") % {"no": no}
