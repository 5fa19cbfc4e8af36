"""Hold, resume, close, reopen and change a run: the forms of its page, and the doing."""

from collections.abc import Iterator, Sequence

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mes.platform.accounts.roles import Capability
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.signatures import services as signatures
from mes.production import run_acts, run_changes
from mes.production.api import RunViewSet
from mes.production.models import RunKind, RunStatus
from mes.production.run_acts_api import (
    WHO_RESUMES,
    CloseRequest,
    DecisionRequest,
    ReopenRunRequest,
    ResumeRequest,
    RunChangeRequest,
)
from trace.shown_run import RunAct, ShownRun, address_of, is_open, name_of

REOPENED = (RunStatus.COMPLETED, RunStatus.CANCELLED)
NEEDED: dict[str, tuple[Capability, ...]] = RunViewSet.capabilities


def _hold_act(name: str, shown: ShownRun) -> Act:
    about = _("No unit enters a station for this run until it goes on. Units in stations may leave them.")
    fields = (acts.reason_field(),)
    button = _("Put the run on hold")
    return Act(name, _("Hold"), address_of(name, shown), button, about, symbol="hold", tone="hold", fields=fields)


def _hold(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(DecisionRequest, request, fields)
    run_acts.hold(run_no=run_no, by=name_of(request), reason=body["reason"])
    return _("The run is on hold.")


def _resume_act(name: str, shown: ShownRun) -> Act:
    about = _("The run goes on where it was held. What machines reported meanwhile is tried again.")
    fields = (acts.reason_field(is_required=False), *acts.signature_fields_of(shown.viewer, meaning=_("Released")))
    button = _("Let the run go on")
    return Act(name, _("Resume"), address_of(name, shown), button, about, symbol="next", tone="good", fields=fields)


def _resume(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(ResumeRequest, request, fields)
    signing = signatures.verify(request, body.get("signature"), *WHO_RESUMES)
    run = run_acts.resume(run_no=run_no, by=name_of(request), reason=body.get("reason") or "", signing=signing)
    if run.status == RunStatus.ON_HOLD:
        return _("Your hold has ended; something else holds the run still.")
    return _("The run goes on.")


def _close_act(name: str, shown: ShownRun) -> Act:
    return Act(
        name,
        _("Close"),
        address_of(name, shown),
        button=_("Close the run"),
        symbol="pass",
        is_harmful=True,
        fields=(acts.reason_field(is_required=False),),
        extra="trace/_close_check_ask.html",
        ways={
            "UNITS_NOT_FINISHED": [(_("Show these units"), "?order=attention#units")],
            "RUN_ON_HOLD": [(_("What holds it"), "#holds")],
        },
    )


def _close(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(CloseRequest, request, fields)
    run, not_made = run_acts.close(run_no=run_no, by=name_of(request), reason=body.get("reason") or "")
    said = _("The run is closed: %(status)s.") % {"status": run.get_status_display()}
    if not_made:
        left = ngettext("%d unit was never begun and left it.", "%d units were never begun and left it.", len(not_made))
        said += " " + left % len(not_made)
    return said


def _reopen_act(name: str, shown: ShownRun) -> Act:
    about = _("The run goes on: in progress, or in preparation where it never began. An order that is completed opens.")
    plan = Field("planQty", _("Planned"), FieldKind.NUMBER, value=str(shown.run.plan_qty), is_required=True)
    return Act(
        name,
        _("Reopen"),
        address_of(name, shown),
        button=_("Open the run again"),
        about=about,
        symbol="rework",
        fields=(plan, acts.reason_field()),
        at={"ORDER_QTY_EXCEEDED": "planQty", "RUN_QTY_TOO_LOW": "planQty"},
    )


def _reopen(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(ReopenRunRequest, request, fields)
    run = run_acts.reopen(run_no=run_no, by=name_of(request), reason=body["reason"], plan_qty=body.get("plan_qty"))
    return _("The run is open again: %(status)s.") % {"status": run.get_status_display()}


# --- change -------------------------------------------------------------------------------------------------------


def _change_act(name: str, shown: ShownRun) -> Act:
    return Act(
        name,
        _("Change"),
        address_of(name, shown),
        button=_("Change the run"),
        symbol="work",
        fields=(*acts.with_shown(list(_change_fields(shown))), acts.reason_field()),
        at={
            "ORDER_QTY_EXCEEDED": "planQty",
            "RUN_QTY_TOO_LOW": "planQty",
            "ROUTE_VERSION_NOT_READY": "routeVersionNo",
        },
    )


def _change_fields(shown: ShownRun) -> Iterator[Field]:
    """Yield what may change: line, kind and version until its first unit began."""
    run = shown.run
    yield Field("planQty", _("Planned"), FieldKind.NUMBER, value=str(run.plan_qty), is_required=True)
    shifts = [(str(shift["code"]), str(shift["code"])) for shift in run.line.shifts]
    if shifts:
        choices = shifts if run.shift_code else [("", _("none")), *shifts]
        yield Field("shiftCode", _("Shift"), FieldKind.CHOICE, value=run.shift_code, choices=choices)
    if run.started_at is not None:
        return
    yield Field("lineCode", _("Line"), FieldKind.CHOICE, value=run.line.code, choices=shown.lines)
    kinds = [(kind.value, str(kind.label)) for kind in RunKind]
    yield Field("kind", _("Kind"), FieldKind.CHOICE, value=run.kind, choices=kinds)
    if newer := shown.newer:
        present = run.route_version.version_no
        choices = [(str(present), str(present)), (str(newer), str(newer))]
        name, label = "routeVersionNo", _("Version of the route")
        yield Field(name, label, FieldKind.CHOICE, value=str(present), choices=choices, is_number=True)


def _change(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    reason = next(each for each in fields if each.name == "reason")
    body = acts.read_form(RunChangeRequest, request, (*acts.list_changed(request, fields), reason))
    run_changes.change(run_no=run_no, wanted=body, by=name_of(request), reason=body.pop("reason"))
    return _("The run is changed.")


STEERING: dict[str, RunAct] = {
    "hold": RunAct(NEEDED["hold"], lambda shown: shown.is_open and not shown.is_held_by_person, _hold_act, _hold),
    "resume": RunAct(NEEDED["resume"], lambda shown: shown.is_held_by_person, _resume_act, _resume),
    "close": RunAct(NEEDED["close"], is_open, _close_act, _close),
    "reopen": RunAct(NEEDED["reopen"], lambda shown: shown.run.status in REOPENED, _reopen_act, _reopen),
    "change": RunAct((Capability.RUNS,), is_open, _change_act, _change),
}
