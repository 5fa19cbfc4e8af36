"""What may be done with a run on its page: offered where its state and somebody's role allow it, and done."""

from functools import partial

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.errors import RunNotFound, UnitsNotFinished
from mes.platform.accounts.roles import role_capabilities
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import acts
from mes.platform.http.acts import Act
from mes.platform.http.pages import signed_in
from mes.production import run_closing
from mes.production.models import Run
from mes.production.queries import find_newer_version
from trace.run_deviations import DEVIATION_ACTS
from trace.run_steering import STEERING
from trace.run_unit_acts import UNIT_ACTS
from trace.shown_run import RunAct, ShownRun

RUN_ACTS: dict[str, RunAct] = {**STEERING, **UNIT_ACTS, **DEVIATION_ACTS}


def list_acts(request: HttpRequest, shown: ShownRun) -> list[Act]:
    """Return what the run's state allows and somebody may do."""
    granted = role_capabilities(request.user)
    return [
        each.build(name, shown)
        for name, each in RUN_ACTS.items()
        if not granted.isdisjoint(each.needed) and each.is_possible(shown)
    ]


@signed_in
@require_POST
def act(request: HttpRequest, name: str, run_no: str) -> HttpResponse:
    """Do something with a run; a refusal stands beside its button."""
    if name not in RUN_ACTS:
        raise Http404
    each = RUN_ACTS[name]
    if role_capabilities(request.user).isdisjoint(each.needed):
        raise PermissionDenied(_("You may not do this."))
    run = _find_run(run_no)
    shown = ShownRun(run, (), find_newer_version(run), request.user.get_username())
    do = partial(each.do, request, run_no, each.build(name, shown).fields)
    return acts.carry_out(request, do, place=reverse("run", args=[run_no]), name=name)


@signed_in
@require_GET
def close_check(request: HttpRequest, run_no: str) -> HttpResponse:
    """What closing a run would do now; asked for by its form when that is unfolded."""
    run = _find_run(run_no)
    closing = run_closing.examine(run)
    blockers = [
        {
            "text": str(refusal),
            "sns": refusal.details.get("sns", []),
            "is_units": isinstance(refusal, UnitsNotFinished),
            "more": max(0, int(refusal.details.get("count", 0)) - len(refusal.details.get("sns", []))),
        }
        for refusal in closing.refusals
    ]
    context = {"run": run, "closing": closing, "blockers": blockers}
    return render(request, "trace/_close_check.html", context)


def _find_run(run_no: str) -> Run:
    runs = Run.objects.select_related("work_order", "line", "route_version__routing").defer("route_version__snapshot")
    try:
        return get_or_raise(runs, RunNotFound, run_no=run_no)
    except RunNotFound as missing:
        raise Http404(str(missing)) from missing
