"""Pages of a route's versions: what one freezes, how it differs from others, and what compiling would do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from mes.errors import EditConflict, RouteNotFound, RouteVersionNotFound
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.database.authorship import LONGEST_REASON, give_reason
from mes.platform.http.pages import needs, signed_in
from mes.platform.http.serializers import SHORTEST_REASON
from mes.routing import snapshots
from mes.routing.compilation import compile_route, compose, find_warnings
from mes.routing.difference_words import say
from mes.routing.differences import Difference, compare, list_leaves
from mes.routing.models import RouteVersion, Routing
from mes.routing.preview import LIVE, compare_with_live, find_version, preview_compilation, side_of
from mes.specs.display import describe_alarm, describe_limits

MOST_VERSIONS = 50  # offered to compare with
MOST_RUNS = 20  # named of each status
COMPILES = (Capability.ROUTES, Capability.MAPPINGS)


@dataclass(frozen=True)
class ReadableStep:
    """A frozen step as people read it: its specs with their bands, and what its mappings say, path by path."""

    step: snapshots.StepSnapshot
    reentry_limit: int | None
    stations: str
    specs: Sequence[dict[str, Any]]
    mappings: Sequence[Sequence[tuple[str, str]]]


# --- one version ------------------------------------------------------------------------------------------


@signed_in
@require_GET
def version(request: HttpRequest, route_code: str, no: str) -> HttpResponse:
    """A version: its steps, stations, specs, mappings and errors, its runs, and how it differs from another."""
    routing, shown = _find(route_code, no)
    rows = routing.versions.defer("snapshot", "errors").order_by("-version_no")[:MOST_VERSIONS]
    others = [each for each in rows if each.pk != shown.pk]
    base = _choose_base(request, shown, others)
    context = {
        "route": routing,
        "version": shown,
        "steps": list_readable_steps(snapshots.from_document(shown.snapshot)),
        "warnings": find_warnings(snapshots.from_document(shown.snapshot)),
        "others": others,
        "base": base,
        "differences": _compare(routing, shown, base),
        "runs": _list_runs(shown),
        "is_latest": all(each.version_no < shown.version_no for each in others),
        "may_compile": _may_compile(request),
    }
    return render(request, "routing/version.html", context)


def _find(code: str, no: str) -> tuple[Routing, RouteVersion]:
    routing = Routing.objects.select_related("fai_template").filter(code=code).first()
    if routing is None:
        raise Http404(str(RouteNotFound(code=code)))
    try:
        return routing, find_version(routing, no)
    except RouteVersionNotFound as missing:
        raise Http404(str(missing)) from missing


def _choose_base(request: HttpRequest, shown: RouteVersion, others: Sequence[RouteVersion]) -> str:
    """Return with what it is compared: what is asked for, else the one before it; empty where there is none."""
    asked = request.GET.get("with", "")
    if asked:
        return asked
    earlier = [each.version_no for each in others if each.version_no < shown.version_no]
    return str(max(earlier)) if earlier else ""


def _compare(routing: Routing, shown: RouteVersion, base: str) -> list[Difference]:
    """Return how a version differs from an older one, and what is newer from it."""
    if base == LIVE:
        return compare_with_live(shown, compose(routing))
    if not base:
        return []
    try:
        other = find_version(routing, base)
    except RouteVersionNotFound as missing:
        raise Http404(str(missing)) from missing
    first, second = sorted((other, shown), key=lambda each: each.version_no)
    return compare(side_of(first), side_of(second))


def _list_runs(shown: RouteVersion) -> list[dict[str, Any]]:
    """Return the runs of a version by status: how many, and the newest of them."""
    rows = list(shown.runs.values_list("status", "run_no").order_by("-id")[: MOST_RUNS * 10])
    counts = Counter(dict(shown.runs.order_by().values_list("status").annotate(Count("id"))))
    labels = dict(shown.runs.model._meta.get_field("status").flatchoices)
    return [
        {
            "status": status,
            "label": labels[status],
            "count": counts[status],
            "run_nos": [run_no for own, run_no in rows if own == status][:MOST_RUNS],
        }
        for status in labels
        if counts[status]
    ]


def list_readable_steps(snapshot: snapshots.RouteSnapshot) -> list[ReadableStep]:
    """Return frozen steps as people read them."""
    return [
        ReadableStep(
            step=step,
            reentry_limit=snapshot.find_reentry_limit(step),
            stations=", ".join(step.allowed_stations or ()),
            specs=[
                {"spec": spec, "limits": describe_limits(spec), "alarm": describe_alarm(spec)} for spec in step.specs
            ],
            mappings=[
                [(path, say(value)) for path, value in list_leaves(mapping.document)] for mapping in step.mappings
            ],
        )
        for step in snapshot.steps
    ]


# --- compiling --------------------------------------------------------------------------------------------


@needs(*COMPILES)
@require_http_methods(["GET", "POST"])
def compile_page(request: HttpRequest, route_code: str) -> HttpResponse:
    """What compiling a route would do; sent with a reason, it is done, if it is still what was shown."""
    if request.method == "POST":
        reason = request.POST.get("reason", "").strip()
        if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON or not reason.isprintable():
            messages.error(request, _("Say why, in 3 to 500 characters."))
        elif _publish(request, route_code, reason):
            return redirect("route-compile", route_code=route_code)
    try:
        preview = preview_compilation(code=route_code)
    except RouteNotFound as missing:
        raise Http404(str(missing)) from missing
    context = {
        "route": preview.routing,
        "preview": preview,
        "warnings": find_warnings(preview.compilation.snapshot),
        "reason": request.POST.get("reason", ""),
        "least": SHORTEST_REASON,
        "most": LONGEST_REASON,
    }
    return render(request, "routing/compile.html", context)


def _publish(request: HttpRequest, code: str, reason: str) -> bool:
    """Compile a route as it was shown; say so and return True, or say why not."""
    give_reason(reason)
    digest = request.POST.get("digest", "")
    try:
        made, changed = compile_route(code=code, compiled_by=request.user.get_username(), expected_digest=digest)
    except RouteNotFound as missing:
        raise Http404(str(missing)) from missing
    except EditConflict:
        messages.error(request, _("Something was changed since you looked: this is what it would do now."))
        return False
    text = _("Version %(number)d is published.") if changed else _("Version %(number)d was published already.")
    messages.success(request, text % {"number": made.version_no})
    return True


def _may_compile(request: HttpRequest) -> bool:
    return not role_capabilities(request.user).isdisjoint(COMPILES)
