"""The review of what inspections and machines found: one defect after the other, by keyboard. False call, or real and
what becomes of its unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from execution.quality import defect_decisions
from execution.quality.defect_codes.models import DefectCode
from execution.quality.defect_decisions_api import DECIDES, DefectReleaseRequest
from execution.quality.models import Defect, DefectSource, DefectStatus
from mes.errors import DomainError
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import signed_in
from mes.platform.http.serializers import StrictSerializer
from mes.platform.http.whole_numbers import whole_number

REVIEWED = (DefectSource.INSPECTION, DefectSource.MACHINE)
MOST_OF_BATCH = 500
LOOKED_BACK = 50  # how many like it tell whether such a find is usually one
NAMED_ELSEWHERE = 5  # units
FALSE_CALL, BATCH, REWORK, HOLD, SCRAP = "false-call", "batch", "rework", "hold", "scrap"


@dataclass(frozen=True)
class Likeness:
    """Of the latest with the same code at the same designator: how many were decided, and how many of them false."""

    decided: int
    false: int


@dataclass(frozen=True)
class Shown:
    """The defect that is looked at, and what lies around it."""

    defect: Defect
    name: str
    previous_id: int | None
    next_id: int | None
    others: Sequence[Defect]
    likeness: Likeness


def list_waiting(station: str = "") -> QuerySet[Defect]:
    """Return what waits for review, the oldest first: what nobody has decided about yet."""
    rows = _undecided().filter(source__in=REVIEWED).order_by("id")
    return rows.filter(station__code=station) if station else rows


def _undecided() -> QuerySet[Defect]:
    return Defect.objects.filter(status=DefectStatus.OPEN, hold=None, rework_no=F("unit__rework_no"))


def list_units_with_values() -> QuerySet[Defect, str]:
    """Return the units with open defects that were made from values: no false calls, so no review has them."""
    rows = _undecided().filter(source=DefectSource.VALUE)
    return rows.order_by("unit__sn").values_list("unit__sn", flat=True).distinct()


@signed_in
@require_GET
def review(request: HttpRequest) -> HttpResponse:
    """The defect that the address names, or the next one after it that is still open."""
    station = request.GET.get("station", "")
    wanted = whole_number(request.GET.get("id", "")) or 0
    waiting = list_waiting(station)
    rows = waiting.select_related("unit", "run__work_order", "run__line", "station", "track", "inspection")
    defect = rows.filter(pk__gte=wanted).first() or rows.first()
    shown = _show(defect, waiting) if defect else None
    stations = list_waiting().exclude(station=None).values_list("station__code").annotate(Count("id"))
    place = _place(station, defect.pk if defect else None)
    offered = acts.with_refusal(request, _list_acts(request, shown, station) if shown else [], place=place)
    by_name = {each.name: each for each in offered}
    elsewhere = list(list_units_with_values())
    context = {
        "shown": shown,
        "left": waiting.count(),
        "station": station,
        "stations": [(code, count, _place(code)) for code, count in stations.order_by("station__code")],
        "all_url": _place(""),
        "elsewhere": elsewhere[:NAMED_ELSEWHERE],
        "elsewhere_count": len(elsewhere),
        "previous_url": _place(station, shown.previous_id) if shown and shown.previous_id else "",
        "next_url": _place(station, shown.next_id) if shown and shown.next_id else "",
        "false_call": by_name.get(FALSE_CALL),
        "batch": by_name.get(BATCH),
        "real": [by_name[name] for name in (REWORK, HOLD, SCRAP) if name in by_name],
    }
    return render(request, "repair/review.html", context)


def _place(station: str, defect_id: int | None = None) -> str:
    """Return the address of the page for a station's defects, or all; at one of them."""
    asked = {"station": station, "id": defect_id}
    told = urlencode({name: value for name, value in asked.items() if value})
    return reverse("defects-review") + (f"?{told}" if told else "")


def _show(defect: Defect, waiting: QuerySet[Defect]) -> Shown:
    name = DefectCode.objects.filter(code=defect.code).values_list("name", flat=True).first()
    alike = Defect.objects.filter(code=defect.code, location=defect.location).exclude(status=DefectStatus.OPEN)
    decided = list(alike.order_by("-id").values_list("status", flat=True)[:LOOKED_BACK])
    return Shown(
        defect=defect,
        name=name or "",
        previous_id=waiting.filter(pk__lt=defect.pk).values_list("pk", flat=True).last(),
        next_id=waiting.filter(pk__gt=defect.pk).values_list("pk", flat=True).first(),
        others=list(list_waiting().filter(unit=defect.unit_id).exclude(pk=defect.pk)),
        likeness=Likeness(len(decided), decided.count(DefectStatus.FALSE_CALL)),
    )


def _list_acts(request: HttpRequest, shown: Shown, station: str) -> list[Act]:
    if role_capabilities(request.user).isdisjoint(DECIDES):
        return []
    defect = shown.defect

    def address(name: str) -> str:
        return f"{reverse('defects-review-act', args=[defect.pk, name])}?{urlencode({'station': station})}"

    reason = Field("reason", _("Reason"), FieldKind.LONG, value=_say_real(defect), is_required=True, most=500)
    found = [Act(FALSE_CALL, _("False call"), address(FALSE_CALL), symbol="pass", tone="good")]
    if shown.others:
        found.append(_batch_act(shown, address(BATCH)))
    bench = _("Its unit goes to the bench, and then back to the step that failed. All its open defects go along.")
    kept = _("Its unit is held until somebody decides.")
    gone = _("Its unit is scrapped for good, with all its open defects.")
    confirmed = acts.confirmation(_("Scrap %(sn)s") % {"sn": defect.unit.sn})
    return [
        *found,
        Act(REWORK, _("Rework"), address(REWORK), _("To the bench"), bench, "rework", is_main=True, fields=(reason,)),
        Act(HOLD, _("Hold"), address(HOLD), _("Hold it"), kept, "hold", fields=(reason,)),
        Act(SCRAP, _("Scrap"), address(SCRAP), about=gone, symbol="scrap", is_harmful=True, fields=(reason, confirmed)),
    ]


def _say_real(defect: Defect) -> str:
    return _("Seen: %(defect)s") % {"defect": defect}


def _batch_act(shown: Shown, address: str) -> Act:
    """Return the act that calls all of a unit false calls: those that the page shows, and only after a confirmation."""
    ids = [shown.defect.pk, *(other.pk for other in shown.others)]
    count = {"count": len(ids), "sn": shown.defect.unit.sn}
    label = ngettext("All %(count)d are false", "All %(count)d are false", len(ids)) % count
    return Act(
        BATCH,
        label,
        address,
        about=_("Each of these is called a false call: %(all)s")
        % {"all": ", ".join(map(str, (shown.defect, *shown.others)))},
        symbol="pass",
        fields=(_ids_field(" ".join(map(str, ids))), acts.confirmation(_("I looked at each of them"))),
    )


def _ids_field(value: str = "") -> Field:
    return Field("ids", kind=FieldKind.HIDDEN, value=value)


# --- what is decided --------------------------------------------------------------------------------------


@signed_in
@require_POST
def act(request: HttpRequest, defect_id: int, name: str) -> HttpResponse:
    """Decide about a defect and go on to the next one; a refusal stands beside its button."""
    if name not in ACTS:
        raise Http404
    if role_capabilities(request.user).isdisjoint(DECIDES):
        raise PermissionDenied(_("You may not do this."))
    station = request.GET.get("station", "")
    place = _place(station, defect_id)
    is_done = acts.attempt(request, partial(ACTS[name], request, defect_id), place=place, name=name)
    return redirect(_place(station, defect_id + 1) if is_done else f"{place}#act-{name}")


def _call_false(request: HttpRequest, defect_id: int) -> str:
    return _say(_decide_false(request, defect_id), _("false call"))


def _decide_false(request: HttpRequest, defect_id: int) -> defect_decisions.Decided:
    reason = _("Reviewed: nothing wrong")
    return defect_decisions.call_false(defect_id=defect_id, reason=reason, by=request.user.get_username())


def _say(decided: defect_decisions.Decided, what: str) -> str:
    told = {"sn": decided.unit.sn, "defect": decided.defect, "what": what}
    told["state"] = decided.unit.get_status_display()
    return _("%(sn)s, %(defect)s: %(what)s. The unit is “%(state)s”.") % told


def _call_all_false(request: HttpRequest, defect_id: int) -> str:
    """Call each of those that were shown a false call. What somebody else decided meanwhile is left alone."""
    acts.read_form(StrictSerializer, request, (acts.confirmation(""),))
    ids = [pk for text in acts.typed(request, "ids").split()[:MOST_OF_BATCH] if (pk := whole_number(text))]
    done = 0
    refused: DomainError | None = None
    for pk in ids:
        try:
            _decide_false(request, pk)
            done += 1
        except DomainError as refusal:
            refused = refusal
    if refused is not None and not done:
        raise refused
    return ngettext("%(count)d false call.", "%(count)d false calls.", done) % {"count": done}


def _read_reason(request: HttpRequest, *more: Field) -> str:
    """Return the reason that a form gives, as the interface reads it."""
    return str(acts.read_form(DefectReleaseRequest, request, (acts.reason_field(), *more))["reason"])


def _rework(request: HttpRequest, defect_id: int) -> str:
    reason = _read_reason(request)
    decided = defect_decisions.rework(defect_id=defect_id, reason=reason, by=request.user.get_username())
    return _say(decided, _("to the bench"))


def _hold(request: HttpRequest, defect_id: int) -> str:
    reason = _read_reason(request)
    return _say(
        defect_decisions.hold(defect_id=defect_id, reason=reason, by=request.user.get_username()), _("its unit is held")
    )


def _scrap(request: HttpRequest, defect_id: int) -> str:
    reason = _read_reason(request, acts.confirmation(""))
    return _say(
        defect_decisions.scrap(defect_id=defect_id, reason=reason, by=request.user.get_username()), _("scrapped")
    )


ACTS = {
    FALSE_CALL: _call_false,
    BATCH: _call_all_false,
    REWORK: _rework,
    HOLD: _hold,
    SCRAP: _scrap,
}
