"""The readiness board of a run, and the board of the runs that come next."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from mes.errors import DomainError, RunNotFound
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.pages import mark_of, needs, show_live, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.production import runs
from mes.production.models import OPEN_RUN_STATUSES
from mes.production.run_changes import take_version
from mes.readiness import (
    board,
    confirmations,
    queries,
    services,
)
from mes.readiness.evaluation import evaluate
from mes.readiness.models import CheckKind, DataSource
from mes.readiness.newer import TAKES, find_newer
from mes.routing.preview import LARGEST_VERSION_NO

REASON_LENGTH = 500
PREPARES = (Capability.BIND, Capability.AUTHORIZE, Capability.FAI)


@signed_in
@require_GET
def next_runs(request: HttpRequest) -> HttpResponse:
    """The runs that are prepared or wait for their first unit, by line."""
    context = {"lines": queries.list_lines_ahead()}
    return show_live(request, "readiness/next.html", "readiness/_next_live.html", context)


@needs(*PREPARES)
@require_POST
def check_all(request: HttpRequest) -> HttpResponse:
    """Check every run in preparation, so that the board tells what is true now."""
    for next_run in queries.list_next_runs():
        if not next_run.is_authorized:
            _attempt(
                request, services.make_check, run_no=next_run.run.run_no, kind=CheckKind.PRECHECK, by=_name(request)
            )
    return redirect("readiness-next")


@signed_in
@require_GET
def run_board(request: HttpRequest, run_no: str) -> HttpResponse:
    """What a run needs, looked at now, and what to do about it."""
    try:
        run = queries.get_run(run_no)
    except RunNotFound as missing:
        raise Http404(str(missing)) from missing
    if run.status not in OPEN_RUN_STATUSES:
        return redirect("run", run_no=run_no)  # that page shows the check it was authorized by
    granted = role_capabilities(request.user)
    readiness_board = board.build(evaluate(run), granted)
    scans = [row for row in readiness_board.rows if row.scan]
    unbound = (row.scan for row in scans if row.judged.finding.code.endswith("_NOT_BOUND"))
    newer = find_newer(run, granted)
    context = {"board": readiness_board, "run": run, "scans": scans, "focus": next(unbound, "")}
    context["newer"] = newer
    newer_shown = newer and (newer.version_no, newer.has_begun, newer.may_take)
    mark = mark_of([(row.judged.finding, row.status) for row in readiness_board.rows], run.status, newer_shown)
    return show_live(request, "readiness/board.html", "readiness/_board_live.html", context, mark=mark)


# --- what people do on the board -----------------------------------------------------------------------------


@signed_in
@require_POST
def act(request: HttpRequest, run_no: str, action: str) -> HttpResponse:
    """Precheck, authorize, revoke, waive or confirm; refusals are shown on the board."""
    if action not in ACTIONS:
        raise Http404
    needed, do = ACTIONS[action]
    if role_capabilities(request.user).isdisjoint(needed):
        raise PermissionDenied(_("You may not do this."))
    do(request, run_no)
    return redirect("readiness", run_no=run_no)


def _precheck(request: HttpRequest, run_no: str) -> None:
    check = _attempt(request, services.make_check, run_no=run_no, kind=CheckKind.PRECHECK, by=_name(request))
    if check is not None:
        messages.info(request, _("Checked and kept: %(status)s.") % {"status": check.get_status_display()})


def _authorize(request: HttpRequest, run_no: str) -> None:
    try:
        runs.set_authorization(run_no=run_no, action="AUTHORIZE", by=_name(request))
    except DomainError as refusal:
        count = len(refusal.details.get("items", ()))
        text = ngettext("Not authorized: %d item is not right.", "Not authorized: %d items are not right.", count)
        messages.error(request, text % count if count else str(refusal))
    else:
        messages.success(request, _("The run is authorized: its first unit may enter."))


def _revoke(request: HttpRequest, run_no: str) -> None:
    reason = _read_reason(request)
    revoke = {"run_no": run_no, "action": "REVOKE", "by": _name(request), "reason": reason}
    if reason is not None and _attempt(request, runs.set_authorization, **revoke):
        messages.success(request, _("The authorization is taken back."))


def _take_version(request: HttpRequest, run_no: str) -> None:
    reason = _read_reason(request)
    number = whole_number(request.POST.get("version", ""))
    if reason is None:
        return
    if number is None or number > LARGEST_VERSION_NO:
        messages.error(request, _("There is no such version."))
        return
    take = {"run_no": run_no, "version_no": number, "by": _name(request), "reason": reason}
    if _attempt(request, take_version, **take):
        messages.success(request, _("The run has version %(number)d now.") % {"number": number})


def _waive(request: HttpRequest, run_no: str) -> None:
    reason = _read_reason(request)
    if reason is None:
        return
    names = {name: request.POST.get(name, "")[:200] for name in ("item_type", "item_key", "code")}
    try:
        services.waive_finding(run_no=run_no, reason=reason, by=_name(request), **names)
    except DomainError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Waived for this run."))


def _confirm(request: HttpRequest, run_no: str) -> None:
    confirmation = {
        "run_no": run_no,
        "code": request.POST.get("code", "")[:100],
        "source": DataSource.MANUAL,
        "by": _name(request),
        "is_done": request.POST.get("done") != "0",
        "remark": _clean(request.POST.get("remark", "")),
    }
    if _attempt(request, confirmations.confirm, **confirmation):
        messages.success(request, _("Confirmed.") if confirmation["is_done"] else _("Taken back."))


ACTIONS: dict[str, tuple[tuple[Capability, ...], Callable[[HttpRequest, str], None]]] = {
    "precheck": (PREPARES, _precheck),
    "authorize": ((Capability.AUTHORIZE,), _authorize),
    "revoke": ((Capability.AUTHORIZE,), _revoke),
    "versions": (TAKES, _take_version),
    "waive": ((Capability.WAIVE,), _waive),
    "confirm": ((Capability.BIND, Capability.AUTHORIZE), _confirm),
}


def _attempt(request: HttpRequest, service: Callable[..., Any], **arguments: Any) -> Any:
    """Return what a service returns; a refusal becomes a message, and None is returned."""
    try:
        return service(**arguments)
    except DomainError as refusal:
        messages.error(request, str(refusal))
        return None


def _name(request: HttpRequest) -> str:
    return str(request.user.get_username())


def _read_reason(request: HttpRequest) -> str | None:
    """Return the reason typed; say what is wrong with it and return None when it cannot be taken."""
    reason = request.POST.get("reason", "").strip()
    if not reason:
        messages.error(request, _("Say why: a reason is needed."))
    elif len(reason) > REASON_LENGTH or not reason.isprintable():
        messages.error(request, _("The reason is too long, or contains characters that cannot be kept."))
    else:
        return reason
    return None


def _clean(text: str) -> str:
    return "".join(letter for letter in text.strip() if letter.isprintable())[:REASON_LENGTH]
