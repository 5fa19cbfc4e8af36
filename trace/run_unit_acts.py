"""Split a run, and move, take back and return units, by scanner: the forms of its page, and the doing."""

from collections.abc import Mapping, Sequence

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from execution.transfers import services, splits
from execution.transfers.api import MoveUnitsRequest, ReturnUnitsRequest, SplitRequest, TransferViewSet
from mes.platform.accounts.roles import Capability
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.production import runs
from mes.production.api import RunViewSet, UnitsRequest
from trace.shown_run import RunAct, ShownRun, address_of, is_open, name_of

NEEDED: Mapping[str, tuple[Capability, ...]] = TransferViewSet.capabilities


def _units_field(*, is_required: bool = True) -> Field:
    label = _("Scan the units") if is_required else _("Scan the units that go along (optional)")
    return Field("sns", label, FieldKind.SCANS, is_required=is_required)


def _register_act(name: str, shown: ShownRun) -> Act:
    about = _("These units are made in the run. From then on it takes registered units only.")
    fields = (_units_field(),)
    at = {"RUN_QTY_EXCEEDED": "sns", "SN_UNREADABLE": "sns", "SN_MASK_MISMATCH": "sns", "UNIT_RUN_MISMATCH": "sns"}
    button = _("Register the units")
    return Act(name, _("Register units"), address_of(name, shown), button, about, symbol="copy", fields=fields, at=at)


def _register(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(UnitsRequest, request, fields)
    _run, new_sns = runs.register_units(run_no=run_no, sns=body["sns"])
    return ngettext("%d unit is registered.", "%d units are registered.", len(new_sns)) % len(new_sns)


def _split_act(name: str, shown: ShownRun) -> Act:
    about = _("A part of the plan becomes a new run of the same order, kind and version, in preparation.")
    fields = (
        Field("planQty", _("Planned of the new run"), FieldKind.NUMBER, is_required=True),
        Field("lineCode", _("Line"), FieldKind.CHOICE, value=shown.run.line.code, choices=shown.lines),
        _units_field(is_required=False),
        acts.reason_field(),
    )
    at = {"RUN_QTY_TOO_LOW": "planQty", "RUN_QTY_EXCEEDED": "planQty"}
    button = _("Split the run")
    return Act(name, _("Split"), address_of(name, shown), button, about, symbol="ahead", fields=fields, at=at)


def _split(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(SplitRequest, request, fields)
    told = {"plan_qty": body["plan_qty"], "line_code": body.get("line_code"), "sns": body.get("sns")}
    run = splits.split_run(run_no=run_no, **told, reason=body["reason"], by=name_of(request))
    return _("Run %(run)s is split off, for %(count)d.") % {"run": run.run_no, "count": run.plan_qty}


def _move_act(name: str, shown: ShownRun) -> Act:
    fields = (
        _units_field(),
        Field("toRunNo", _("Scan the run that they go into"), FieldKind.CODE, is_required=True, most=100),
        _step_field(_("At step (only where the routes differ)")),
        acts.reason_field(),
    )
    about = _("Units that wait, failed, or are held go into another open run of the same product; holds go along.")
    at = {
        "STEP_REQUIRED": "toStepNo",
        "RUN_QTY_EXCEEDED": "toRunNo",
        "RUN_NOT_FOUND": "toRunNo",
        "RUN_CLOSED": "toRunNo",
    }
    button = _("Move the units")
    return Act(name, _("Move units"), address_of(name, shown), button, about, symbol="next", fields=fields, at=at)


def _step_field(label: str, choices: Sequence[tuple[str, str]] = ()) -> Field:
    if not choices:
        return Field("toStepNo", label, FieldKind.NUMBER)
    return Field("toStepNo", label, FieldKind.CHOICE, choices=[("", _("the first")), *choices], is_number=True)


def _move(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(MoveUnitsRequest, request, fields)
    moved = services.move_units(
        run_no=run_no,
        sns=body["sns"],
        to_run_no=body["to_run_no"],
        to_step_no=body.get("to_step_no"),
        reason=body["reason"],
        by=name_of(request),
    )
    said = ngettext("%(count)d unit is in %(run)s now.", "%(count)d units are in %(run)s now.", len(moved))
    return said % {"count": len(moved), "run": body["to_run_no"]}


def _take_back_act(name: str, shown: ShownRun) -> Act:
    about = _("Units that were not begun leave the run; they may be registered for any other.")
    fields = (_units_field(), acts.reason_field())
    button = _("Take the units back")
    return Act(name, _("Take back"), address_of(name, shown), button, about, symbol="rework", fields=fields)


def _take_back(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(ReturnUnitsRequest, request, fields)
    moved = services.take_back(run_no=run_no, sns=body["sns"], reason=body["reason"], by=name_of(request))
    return ngettext("%d unit is taken back.", "%d units are taken back.", len(moved)) % len(moved)


def _return_act(name: str, shown: ShownRun) -> Act:
    about = _("Finished units of runs that have ended come into this run. They count where they were made.")
    fields = (_units_field(), _step_field(_("At step"), shown.steps), acts.reason_field())
    at = {"RUN_QTY_EXCEEDED": "sns"}
    button = _("Return the units")
    return Act(name, _("Return units"), address_of(name, shown), button, about, symbol="rework", fields=fields, at=at)


def _return(request: HttpRequest, run_no: str, fields: Sequence[Field]) -> str:
    body = acts.read_form(ReturnUnitsRequest, request, fields)
    moved = services.return_units(
        run_no=run_no, sns=body["sns"], to_step_no=body.get("to_step_no"), reason=body["reason"], by=name_of(request)
    )
    return ngettext("%d unit is in this run now.", "%d units are in this run now.", len(moved)) % len(moved)


UNIT_ACTS: dict[str, RunAct] = {
    "register": RunAct(RunViewSet.capabilities["units"], is_open, _register_act, _register),
    "split": RunAct(NEEDED["split"], lambda shown: shown.is_open and shown.run.plan_qty > 1, _split_act, _split),
    "move": RunAct(NEEDED["move"], is_open, _move_act, _move),
    "take-back": RunAct(NEEDED["move"], is_open, _take_back_act, _take_back),
    "return": RunAct(NEEDED["come_back"], is_open, _return_act, _return),
}
