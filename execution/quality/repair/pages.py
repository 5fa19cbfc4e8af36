"""The pages of the bench: what waits, what was found and done about it, and where the board goes afterwards."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from execution.quality.repair import queries, services
from execution.quality.repair.api import RepairCancelRequest, RepairRecordRequest, ReworkTaskViewSet, as_record
from execution.quality.repair.models import RepairAction, RepairResult, ReworkTask, ReworkTaskStatus
from execution.quality.repair.queries import Bench
from mes.errors import DomainError, ValidationFailed
from mes.plant.models import Station
from mes.platform.accounts.roles import role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import in_words, signed_in
from mes.platform.http.whole_numbers import whole_number
from mes.platform.scans import LOT, MATERIAL, UNIT, read_scan, take_part
from mes.production.models import Unit
from mes.production.names import get_scanned_unit
from mes.routing.snapshots import StepSnapshot

NEEDED = ReworkTaskViewSet.capabilities
_LINE_ENDS = re.compile(r"[\r\n]+")  # a label holds separators of its own
BETWEEN = "|"  # parts a material and its lot where both are typed
RESULTS: Sequence[tuple[RepairResult, str, str]] = (
    (RepairResult.FIXED, "good", "pass"),
    (RepairResult.NO_FAULT_FOUND, "wait", "doubt"),
    (RepairResult.NOT_FIXED, "bad", "fail"),
)


def _may(request: HttpRequest, name: str) -> bool:
    return not role_capabilities(request.user).isdisjoint(NEEDED[name])


# --- what waits -------------------------------------------------------------------------------------------


@signed_in
@require_GET
def bench(request: HttpRequest) -> HttpResponse:
    """The units that wait for repair; a scanned one is opened."""
    scanned = request.GET.get("scan", "").strip()
    context: dict[str, Any] = {"scanned": scanned}
    if scanned:
        try:
            unit = get_scanned_unit(take_part(scanned, UNIT))
        except ValidationError as error:
            context["problem"] = " ".join(error.messages)
        except DomainError as refusal:
            context["problem"] = in_words(refusal)
        else:
            task = ReworkTask.objects.filter(unit=unit, status=ReworkTaskStatus.OPEN).first()
            if task is not None:
                return redirect("repair-task", task.pk)
            context["idle"] = unit
    return render(request, "repair/bench.html", context | {"tasks": list(queries.list_open_tasks())})


# --- one task ---------------------------------------------------------------------------------------------


def _find(task_id: int) -> ReworkTask:
    tasks = ReworkTask.objects.select_related("unit", "run__line", "run__route_version", "run__work_order")
    task = tasks.defer("run__route_version__snapshot").filter(pk=task_id).first()
    if task is None:
        raise Http404
    return task


@signed_in
@require_GET
def task(request: HttpRequest, task_id: int) -> HttpResponse:
    """A unit at the bench: each defect with what was done about it before and elsewhere, and what is done now."""
    shown = queries.load_bench(_find(task_id))
    place = reverse("repair-task", args=[task_id])
    offered = {act.name: act for act in acts.with_refusal(request, _list_acts(request, shown), place=place)}
    context = {
        "bench": shown,
        "lines": [(each, offered.get(f"record-{each.defect.pk}")) for each in shown.defects],
        "acts": [act for name, act in offered.items() if not name.startswith("record-")],
        "actions": RepairAction.choices,
        "results": [(value, value.label, tone, symbol) for value, tone, symbol in RESULTS],
        "stations": _list_stations(shown.step),
    }
    return render(request, "repair/task.html", context)


def _list_stations(step: StepSnapshot | None) -> list[str]:
    """Return the stations that a step names, where it does."""
    if step is None:
        return []
    if step.allowed_stations is not None:
        return list(step.allowed_stations)
    if step.station_group is None:
        return []
    return list(Station.objects.filter(group__code=step.station_group).order_by("code").values_list("code", flat=True))


def _list_acts(request: HttpRequest, shown: Bench) -> list[Act]:
    if not shown.is_open:
        return []
    found = []
    if _may(request, "repair_record"):
        found += [_record_act(shown, each.defect.pk) for each in shown.defects if each.is_open]
    if _may(request, "complete") and not shown.missing:
        address = reverse("repair-act", args=[shown.task.pk, "complete"])
        found.append(Act("complete", _("The repair is done"), address, symbol="pass", is_main=True))
    if _may(request, "cancel"):
        about = _("The unit may go on without its repair. Its defects stay open until it passes their steps again.")
        address = reverse("repair-act", args=[shown.task.pk, "cancel"])
        fields = (acts.reason_field(),)
        found.append(Act("cancel", _("Without repair"), address, about=about, symbol="ahead", fields=fields))
    return found


def _record_fields() -> tuple[Field, ...]:
    help_text = _("A label that names material and lot gives both. Typed: the material, and its lot behind |.")
    return (
        Field("defectId", kind=FieldKind.HIDDEN),
        Field("action", kind=FieldKind.HIDDEN),
        Field("result", kind=FieldKind.HIDDEN),
        Field("replaced", _("Scan the parts that you put in"), FieldKind.SCANS, help=help_text),
        Field("remark", _("Remark (optional)"), FieldKind.LONG, most=500),
    )


def _record_act(shown: Bench, defect_id: int) -> Act:
    address = reverse("repair-act", args=[shown.task.pk, "record"])
    fields = tuple(field for field in _record_fields() if field.kind is not FieldKind.HIDDEN)
    at = {"SCAN_TYPE_MISMATCH": "replaced"}
    return Act(f"record-{defect_id}", _("Record"), address, fields=fields, at=at)


# --- what is done -----------------------------------------------------------------------------------------


@signed_in
@require_POST
def act(request: HttpRequest, task_id: int, name: str) -> HttpResponse:
    """Record, complete or cancel; a refusal stands beside its button."""
    if name not in ACTS:
        raise Http404
    capability, do = ACTS[name]
    if not _may(request, capability):
        raise PermissionDenied(_("You may not do this."))
    found = _find(task_id)
    place = reverse("repair-task", args=[task_id])
    if name != "record":
        is_done = acts.attempt(request, partial(do, request, found), place=place, name=name)
        return redirect("repair" if is_done else f"{place}#act-{name}")
    act_name = f"record-{acts.typed(request, 'defectId')}"
    is_done = acts.attempt(request, partial(do, request, found), place=place, name=act_name)
    return redirect(f"{place}#next" if is_done else f"{place}#act-{act_name}")


def _record(request: HttpRequest, found: ReworkTask) -> str:
    body = _read_record(request, found)
    record = services.record(task_id=found.pk, by=request.user.get_username(), **as_record(body))
    told = {"defect": str(record.defect), "result": record.get_result_display()}
    return _("%(defect)s: %(result)s.") % told


def _read_record(request: HttpRequest, found: ReworkTask) -> dict[str, Any]:
    """Return what the form says, as the interface reads it; of each scanned label material and lot."""
    location = found.defects.filter(pk=_whole(acts.typed(request, "defectId"))).values_list("location", flat=True)
    place = next(iter(location), "") or "–"
    labels = [label for label in _LINE_ENDS.split(acts.typed(request, "replaced")) if label.strip()]
    body = RepairRecordRequest(
        data={
            "defectId": acts.typed(request, "defectId"),
            "action": acts.typed(request, "action") or None,
            "result": acts.typed(request, "result"),
            "replaced": [_read_part(label, place) for label in labels],
            "remark": acts.typed(request, "remark") or None,
        }
    )
    if not body.is_valid():
        problems = {name: acts.in_one_line(each, with_names=False) for name, each in body.errors.items()}
        if "action" in problems:
            problems["action"] = _("Say what was done.")
        raise ValidationFailed(problems)
    return dict(body.validated_data)


def _read_part(text: str, location: str) -> dict[str, str]:
    """Return a part that was put in: what its label names, or a material as it was typed, perhaps with its lot."""
    if read_scan(text).is_plain:
        material, _between, lot = (each.strip() for each in text.partition(BETWEEN))
    else:
        try:
            material = take_part(text, MATERIAL)
        except ValidationError as error:
            raise ValidationFailed({"replaced": " ".join(error.messages)}) from None
        lot = _read_lot(text)
    return {"materialCode": material, "location": location, **({"lotNo": lot} if lot else {})}


def _read_lot(text: str) -> str:
    try:
        return take_part(text, LOT)
    except ValidationError:  # a label may name the material alone
        return ""


def _complete(request: HttpRequest, found: ReworkTask) -> str:
    services.complete(task_id=found.pk, by=request.user.get_username())
    unit = Unit.objects.get(pk=found.unit_id)
    if unit.hold_reason:
        return _("%(sn)s is held: %(reason)s") % {"sn": unit.sn, "reason": unit.hold_reason}
    return _("%(sn)s goes to %(where)s.") % {"sn": unit.sn, "where": _say_where(found)}


def _say_where(found: ReworkTask) -> str:
    """Return where a repaired unit is tested again: the step, and its stations where it names some."""
    step = queries.load_step(found)
    if step is None:
        return _("step %(number)d") % {"number": found.to_step_no}
    told = {"number": step.step_no, "name": step.operation_name, "stations": ", ".join(_list_stations(step))}
    if told["stations"]:
        return _("step %(number)d %(name)s, at %(stations)s") % told
    return _("step %(number)d %(name)s") % told


def _cancel(request: HttpRequest, found: ReworkTask) -> str:
    body = acts.read_form(RepairCancelRequest, request, (acts.reason_field(),))
    services.cancel(task_id=found.pk, reason=body["reason"], by=request.user.get_username())
    return _("%(sn)s goes on without repair.") % {"sn": found.unit.sn}


ACTS = {"record": ("repair_record", _record), "complete": ("complete", _complete), "cancel": ("cancel", _cancel)}


def _whole(text: str) -> int:
    return whole_number(text) or 0
