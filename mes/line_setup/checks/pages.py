"""The pages of checks: what is due on a line, and the form to fill, on a tablet with a scanner."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST
from rest_framework import serializers

from mes.line_setup.checks import queries, services
from mes.line_setup.checks.fields import specs_of
from mes.line_setup.checks.models import CheckForm
from mes.line_setup.checks.queries import Due, DueState
from mes.plant.models import Line
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.pages import needs, signed_in
from mes.platform.http.serializers import FiniteField, StrictSerializer
from mes.platform.http.whole_numbers import whole_number
from mes.platform.scans import TOOL, take_part
from mes.platform.validators import validate_name
from mes.routing.judging import Reading
from mes.routing.snapshots import SpecSnapshot
from mes.specs.display import describe_limits
from mes.specs.models import DataType

YES, NO = "yes", "no"
LOOKS = {
    DueState.NEVER: ("bad", "alarm"),
    DueState.DUE: ("hold", "alarm"),
    DueState.FAILED: ("bad", "fail"),
    DueState.TO_VERIFY: ("hold", "wait"),
    DueState.OK: ("good", "pass"),
}


class VerifyForm(StrictSerializer):
    """Nothing more is asked."""


@signed_in
@require_GET
def due(request: HttpRequest) -> HttpResponse:
    """What is to be checked on a line, and a field that takes the code of what is in hand."""
    lines = list(Line.objects.order_by("code"))
    line = _chosen(request, lines)
    found = queries.list_due(line, now=timezone.now())
    code = _scanned(request)
    mine = [each for each in found if each.subject_code == code] if code else found
    if code and len(mine) == 1:
        return redirect("check-fill", form_id=mine[0].form.pk, subject_code=code)
    may_record = Capability.BIND in role_capabilities(request.user)
    offered = [_verify_act(each, line) for each in mine if may_record and each.state == DueState.TO_VERIFY]
    place = _place(line)
    told = {act.name: act for act in acts.with_refusal(request, offered, place=place)}
    context = {
        "lines": lines,
        "line": line,
        "code": code,
        "rows": [(each, *LOOKS[each.state], told.get(_verify_name(each))) for each in mine],
        "may_record": may_record,
    }
    return render(request, "line_setup/checks.html", context)


def _chosen(request: HttpRequest, lines: Sequence[Line]) -> Line | None:
    asked = request.GET.get("line", "")
    if not asked:
        return lines[0] if len(lines) == 1 else None
    line = next((each for each in lines if each.code == asked), None)
    if line is None:
        raise Http404
    return line


def _scanned(request: HttpRequest) -> str:
    """Return the code that was scanned or typed; what can be none is as nothing."""
    try:
        code = take_part(request.GET.get("subject", ""), TOOL)
        validate_name(code) if code else None
    except ValidationError:
        return ""
    return code


def _place(line: Line | None) -> str:
    return reverse("checks") + (f"?{urlencode({'line': line.code})}" if line else "")


def _verify_name(each: Due) -> str:
    return f"verify-{each.last.pk}" if each.last is not None else ""


def _verify_act(each: Due, line: Line | None) -> Act:
    assert each.last is not None
    address = reverse("check-verify", args=[each.last.pk])
    return Act(_verify_name(each), _("Verify"), address, symbol="pass", fields=(_hidden_line(line),))


def _hidden_line(line: Line | None) -> Field:
    return Field("line", kind=FieldKind.HIDDEN, value=line.code if line else "")


@needs(Capability.BIND)
@require_POST
def verify(request: HttpRequest, record_id: int) -> HttpResponse:
    """Confirm a check of somebody else."""
    line = Line.objects.filter(code=request.POST.get("line", "").replace("\0", "")).first()

    def do() -> str:
        row = services.verify(record_id=record_id, by=operator_name(request))
        return _("The check of %(subject)s is verified.") % {"subject": row.subject_code}

    return acts.carry_out(request, do, place=_place(line), name=f"verify-{record_id}")


@signed_in
@require_GET
def fill(request: HttpRequest, form_id: str, subject_code: str) -> HttpResponse:
    """The form of a check, and how the thing stands."""
    form = _form(form_id)
    last = queries.find_latest([(form.pk, subject_code)], counting=False).get((form.pk, subject_code))
    place = reverse("check-fill", args=[form_id, subject_code])
    offered = [_record_act(form, subject_code)] if Capability.BIND in role_capabilities(request.user) else []
    context = {
        "form": form,
        "subject": subject_code,
        "last": last,
        "acts": acts.with_refusal(request, offered, place=place),
    }
    return render(request, "line_setup/check.html", context)


@needs(Capability.BIND)
@require_POST
def record(request: HttpRequest, form_id: str, subject_code: str) -> HttpResponse:
    """Record what was typed."""
    form = _form(form_id)
    fields = _record_act(form, subject_code).fields
    specs = specs_of(form.fields)

    def do() -> str:
        typed = acts.read_form(_serializer_of(specs), request, fields)
        made = services.record(
            form_code=form.code,
            subject_code=subject_code,
            readings=[_reading(spec, typed[_name(spec)]) for spec in specs if typed.get(_name(spec)) is not None],
            by=operator_name(request),
        )
        said = {"subject": subject_code, "verdict": made.get_verdict_display()}
        return _("%(subject)s is checked: %(verdict)s.") % said

    return acts.carry_out(request, do, place=reverse("check-fill", args=[form_id, subject_code]), name="record")


def _form(form_id: str) -> CheckForm:
    """Return an active form by its id as an address has it."""
    number = whole_number(form_id)
    form = None if number is None else CheckForm.objects.filter(pk=number, is_active=True).first()
    if form is None:
        raise Http404
    return form


def _record_act(form: CheckForm, subject_code: str) -> Act:
    return Act(
        "record",
        _("Fill in"),
        reverse("check-record", args=[form.pk, subject_code]),
        button=_("Record the check"),
        is_main=True,
        fields=[_field(spec) for spec in specs_of(form.fields)],
    )


def _name(spec: SpecSnapshot) -> str:
    return f"value{spec.id}"


def _field(spec: SpecSnapshot) -> Field:
    said = describe_limits(spec) if spec.has_limits else ""
    if spec.data_type == DataType.BOOLEAN:
        choices = [("", _("choose")), (YES, _("Yes")), (NO, _("No"))]
        return Field(_name(spec), spec.name, FieldKind.CHOICE, choices=choices, is_required=spec.is_required)
    if spec.data_type == DataType.NUMBER:
        return Field(_name(spec), spec.name, FieldKind.DECIMAL, help=said, is_required=spec.is_required)
    return Field(_name(spec), spec.name, is_required=spec.is_required, most=500)


def _serializer_of(specs: Sequence[SpecSnapshot]) -> type[serializers.Serializer]:
    """Return what reads a form: what is required, the service says."""
    kinds: dict[str, Any] = {
        DataType.BOOLEAN: lambda: serializers.ChoiceField(choices=[YES, NO], required=False),
        DataType.NUMBER: lambda: FiniteField(required=False),
        DataType.TEXT: lambda: serializers.CharField(max_length=500, required=False),
    }
    return type("FilledForm", (StrictSerializer,), {_name(spec): kinds[spec.data_type]() for spec in specs})


def _reading(spec: SpecSnapshot, value: Any) -> Reading:
    if spec.data_type == DataType.BOOLEAN:
        return Reading(spec_name=spec.name, value_boolean=value == YES)
    if spec.data_type == DataType.NUMBER:
        return Reading(spec_name=spec.name, value_number=value)
    return Reading(spec_name=spec.name, value_text=value)
