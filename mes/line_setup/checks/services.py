"""Recording checks and verifying them; what follows for the tool or machine."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.line_setup.checks import queries
from mes.line_setup.checks.fields import specs_of
from mes.line_setup.checks.models import CheckForm, CheckRecord, OnPass, SubjectType, Verdict
from mes.line_setup.models import Tool
from mes.line_setup.tools import hooks
from mes.line_setup.tools import services as tools
from mes.plant.models import Equipment, Line, Station
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.times import check_bounds
from mes.routing import judging
from mes.routing.judging import VALUE_FIELDS, JudgedValue, Reading
from mes.routing.snapshots import SpecIndex, SpecSnapshot
from mes.specs.models import DataType

Subject = Tool | Equipment | None  # what is blocked by a check that fails; None: nothing is


@transaction.atomic
def record(
    *,
    form_code: str,
    subject_code: str,
    readings: Sequence[Reading],
    by: str,
    operator: str = "",
    at: datetime | None = None,
) -> CheckRecord:
    """Record what was seen, judged by the form as it is now; the latest record by `at` decides about its subject.

    `by` is who is signed in, `operator` who is said to have looked; blank: the same.
    Raises CheckFormNotFound, the refusal of a subject that is not there, CheckSubjectMismatch, ValidationFailed,
    DataSpecNotFound, DataTypeMismatch, RequiredDataMissing, EventTimeInFuture, EventTooOld.
    """
    now = timezone.now()
    at = at or now
    check_bounds(at, now=now)
    form = get_or_raise(CheckForm.objects, errors.CheckFormNotFound, code=form_code)
    subject = _lock(form, subject_code)
    if not _is_about(form, subject_code, subject):
        raise errors.CheckSubjectMismatch(form=form.code, subject=subject_code)
    judged = _judge(form, readings, at)
    verdict = Verdict(judging.event_judge(judged) or Verdict.PASS)
    made = CheckRecord.objects.create(
        form=form,
        subject_type=form.subject_type,
        subject_code=subject_code,
        values=[_as_kept(value) for value in judged],
        verdict=verdict,
        at=at,
        uses=subject.uses if isinstance(subject, Tool) else None,
        operator=operator or by,
        recorded_by=by,
        needs_verifier=form.needs_verifier,
    )
    _follow(made, subject)
    return made


@transaction.atomic
def verify(*, record_id: int, by: str) -> CheckRecord:
    """Confirm a record as another person than who made it; its PASS counts from now on.

    Raises CheckRecordNotFound, CheckNotToVerify, CheckVerifierIsRecorder.
    """
    found = get_or_raise(CheckRecord.objects.select_related("form"), errors.CheckRecordNotFound, pk=record_id)
    subject = _lock(found.form, found.subject_code)
    row = CheckRecord.objects.select_for_update(no_key=True, of=("self",)).select_related("form").get(pk=found.pk)
    if not row.needs_verifier or row.verified_at is not None:
        raise errors.CheckNotToVerify(code=str(row.pk))
    if by in (row.operator, row.recorded_by):
        raise errors.CheckVerifierIsRecorder(by=by)
    row.verified_by, row.verified_at = by[:150], timezone.now()
    row.save(update_fields=["verified_by", "verified_at"])
    _follow(row, subject)
    return row


@transaction.atomic
def settle(form: CheckForm) -> None:
    """Have what a form blocks follow a change of the form: switched off, or no longer blocking. All of it is locked
    before the first is told of: what follows locks what comes after tools.
    """
    codes = CheckRecord.objects.filter(form=form).values("subject_code")
    if form.subject_type == SubjectType.TOOL:
        found = Tool.objects.select_for_update(no_key=True).filter(tool_id__in=codes).order_by("pk")
        _note_failed(form.subject_type, {tool.tool_id: tool for tool in found})
    if form.subject_type == SubjectType.EQUIPMENT:
        machines = Equipment.objects.select_for_update(no_key=True).filter(code__in=codes).order_by("pk")
        _note_failed(form.subject_type, {machine.code: machine for machine in machines})


def _lock(form: CheckForm, code: str) -> Subject:
    """Lock a tool or machine by its code; of others see that they are there. Stores are named by their forms."""
    if form.subject_type == SubjectType.TOOL:
        return tools.lock(code)
    if form.subject_type == SubjectType.EQUIPMENT:
        machines = Equipment.objects.select_for_update(no_key=True, of=("self",))
        return get_or_raise(machines, errors.EquipmentNotFound, code=code)
    if form.subject_type == SubjectType.LINE:
        get_or_raise(Line.objects, errors.LineNotFound, code=code)
    if form.subject_type == SubjectType.STATION:
        get_or_raise(Station.objects, errors.StationNotFound, code=code)
    return None


def _is_about(form: CheckForm, code: str, subject: Subject) -> bool:
    if not form.is_active or (form.subject_codes and code not in form.subject_codes):
        return False
    return not form.tool_kind or (isinstance(subject, Tool) and subject.kind == form.tool_kind)


def _judge(form: CheckForm, readings: Sequence[Reading], at: datetime) -> list[JudgedValue]:
    """Judge values as those of specs are. A BOOLEAN is its own verdict: true is what it should be."""
    judging.check_shape(readings, path="values")
    specs = specs_of(form.fields)
    index = SpecIndex(specs)
    found = [index.find(reading.spec_name, None) for reading in readings]
    if unknown := [reading.label for reading, spec in zip(readings, found, strict=True) if spec is None]:
        raise errors.DataSpecNotFound(names=unknown)
    given = [spec for spec in found if spec is not None]
    names = [spec.name for spec in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.ValidationFailed({"values": _("Named more than once: %(names)s.") % {"names": ", ".join(twice)}})
    judging.check_fit(readings, given, source="MANUAL")
    if missing := [spec.name for spec in specs if spec.is_required and spec.name not in names]:
        raise errors.RequiredDataMissing(names=missing)
    for reading, spec in zip(readings, given, strict=True):
        if spec.data_type == DataType.BOOLEAN:
            reading.judge = "PASS" if reading.value_boolean else "FAIL"
    return judging.judge_all(readings, given, default_time=at)


def _as_kept(value: JudgedValue) -> dict[str, Any]:
    spec: SpecSnapshot = value.spec
    kept: Mapping[str, Any] = {
        "name": spec.name,
        "value": getattr(value.reading, VALUE_FIELDS[spec.data_type]),
        "judge": value.judge or None,
        "lsl": spec.lsl,
        "usl": spec.usl,
        "unit": spec.unit or None,
    }
    return {name: each for name, each in kept.items() if each is not None}


def _follow(row: CheckRecord, subject: Subject) -> None:
    """Have the locked subject say what its checks say."""
    if subject is not None:
        _note_failed(row.subject_type, {row.subject_code: subject})
    counts = row.verdict == Verdict.PASS and (not row.needs_verifier or row.verified_at is not None)
    if counts and row.form.on_pass == OnPass.SERVICED and isinstance(subject, Tool):
        tools.record_service(subject, row.at, source=f"check:{row.pk}")


def _note_failed(subject_type: str, subjects: Mapping[str, Tool | Equipment]) -> None:
    """Write at locked tools or machines, by their codes, which forms they failed."""
    told = []
    for code, forms in queries.list_failed_forms(subject_type, subjects.keys()).items():
        subject, failed = subjects[code], ", ".join(forms)[:200]
        if subject.failed_check == failed:
            continue
        subject.failed_check = failed
        subject.save(update_fields=["failed_check"])
        if isinstance(subject, Tool):
            told.append(subject.pk)
    hooks.tell(told)
