"""The set-up page of a line: see what is bound, scan to bind, confirm to take off."""

from functools import partial
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes import errors
from mes.line_setup import bindings
from mes.line_setup.board import get_slots
from mes.line_setup.models import SetUpKind
from mes.line_setup.queries import get_set_up
from mes.line_setup.reports import report_solder_paste_usage
from mes.plant.models import Line
from mes.platform.accounts.roles import Capability
from mes.platform.http.pages import (
    in_words,
    is_live,
    needs,
    show_live,
    signed_in,
)
from mes.platform.scans import LOT, TOOL, take_part
from mes.platform.validators import validate_name
from mes.production.models import Run
from mes.status_reports.history import Report

KINDS = {"stencil": SetUpKind.STENCIL, "solder-paste": SetUpKind.SOLDER_PASTE}
PARTS = {"stencil": TOOL, "solder-paste": LOT}  # of the label that is scanned
ACTIONS = ("bind", "unbind", "issue")
IN_THE_WAY = "line_setup_in_the_way"  # of the session: what a scan found


@signed_in
@require_GET
def set_up(request: HttpRequest, code: str) -> HttpResponse:
    """What is bound to a line, and the fields to scan into."""
    line = Line.objects.filter(code=code).first()
    if line is None:
        raise Http404
    now = get_set_up(line)
    context = {
        "line": line,
        "slots": get_slots(now),
        "history": now.history,
        "kinds": list(KINDS),
        "asked": None if is_live(request) else _pop_question(request, line),
    }
    return show_live(request, "line_setup/set_up.html", "line_setup/_set_up_live.html", context)


def _pop_question(request: HttpRequest, line: Line) -> dict[str, str] | None:
    """Return what the scan before found in its way on this line; asked once."""
    asked: dict[str, str] = request.session.get(IN_THE_WAY) or {}
    if asked.get("line") != line.code:
        return None
    del request.session[IN_THE_WAY]
    return asked


@needs(Capability.BIND)
@require_POST
def scan(request: HttpRequest, code: str, kind: str, action: str) -> HttpResponse:
    """Bind what was scanned, take it off, or take the bound lot into use; refusals are shown on the page."""
    if kind not in KINDS or action not in ACTIONS or (action == "issue" and kind != "solder-paste"):
        raise Http404
    sent = request.POST.get("code", "")
    request.session.pop(IN_THE_WAY, None)
    try:
        is_scanned = action == "bind" and not request.POST.get("replace")
        scanned = take_part(sent, PARTS[kind]) if is_scanned else sent
        validate_name(scanned)
        messages.success(request, _run_action(request, code, KINDS[kind], action, scanned))
    except ValidationError as problem:
        messages.error(request, _("Nothing was bound: %(why)s") % {"why": " ".join(problem.messages)})
    except (errors.LineOccupied, errors.BoundElsewhere, errors.LoadedElsewhere) as refusal:
        request.session[IN_THE_WAY] = {"line": code, "kind": kind, "code": scanned, "why": str(refusal)}
    except errors.LineNotFound as refusal:
        raise Http404 from refusal
    except errors.DomainError as refusal:
        messages.error(request, in_words(refusal))
    run_no = request.POST.get("run", "")
    if run_no and IN_THE_WAY not in request.session and Run.objects.filter(run_no=run_no.replace("\0", "")).exists():
        return redirect("readiness", run_no=run_no)  # scanned on the readiness board
    return redirect("line-set-up", code=code)


def _run_action(request: HttpRequest, line_code: str, kind: SetUpKind, action: str, code: str) -> str:
    """Do it and return what to say about it."""
    by = request.user.get_username()
    changes: dict[str, Any] = {
        "bind": partial(bindings.bind, replace=request.POST.get("replace") == "1"),
        "unbind": bindings.unbind,
    }
    if action == "issue":
        _issue(line_code, code, by=by)
        return _("“%(code)s” is in use from now on.") % {"code": code}
    done = changes[action](line_code=line_code, kind=kind, code=code, by=by)
    if action == "unbind":
        return _("“%(code)s” is taken off the line.") % {"code": code}
    if not done.changed:
        return _("“%(code)s” was bound already.") % {"code": code}
    return _("“%(code)s” is bound to the line.") % {"code": code}


@transaction.atomic
def _issue(line_code: str, lot_id: str, *, by: str) -> None:
    """Report that a lot was issued just now: what the warehouse did not report, a person at the line may."""
    now = timezone.now()
    content = {"lotId": lot_id, "lineCode": line_code, "issuedAt": now.isoformat()}
    report = Report(f"set-up:{uuid4()}", now, "MANUAL", by, content, recorded_by=by)
    report_solder_paste_usage(report, lot_id=lot_id)
