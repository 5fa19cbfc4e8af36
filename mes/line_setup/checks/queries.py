"""Which checks are due, and how the latest ones stand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.line_setup.checks.models import COUNTING, CheckForm, CheckRecord, OnFail, SubjectType, Verdict
from mes.line_setup.loads.models import Load
from mes.line_setup.models import Tool
from mes.plant import calendar
from mes.plant.models import Equipment, Line, Station

Key = tuple[int, str]  # a form and the code of its subject


class DueState(models.TextChoices):
    NEVER = "NEVER", _("Never done")
    DUE = "DUE", _("Due")
    FAILED = "FAILED", _("Failed")
    TO_VERIFY = "TO_VERIFY", _("To be verified")
    OK = "OK", _("In order")


@dataclass(frozen=True)
class Due:
    """A check of a thing: how its latest record stands, and when the next is due; None: at no time."""

    form: CheckForm
    subject_code: str
    state: DueState
    due_at: datetime | None
    uses_left: int | None
    last: CheckRecord | None


def list_due(line: Line | None, *, now: datetime) -> list[Due]:
    """Return the checks of what is on a line, and of stores; without a line of all stores alone. A fixed number of
    statements; what needs somebody comes first.
    """
    forms = list(CheckForm.objects.filter(is_active=True))
    subjects = _Subjects(line)
    keys = [(form, code) for form in forms for code in subjects.of(form)]
    latest = find_latest([(form.pk, code) for form, code in keys])
    waiting = find_latest([(form.pk, code) for form, code in keys if form.needs_verifier], counting=False)
    found = [
        _due(form, code, latest.get((form.pk, code)), waiting.get((form.pk, code)), subjects, now)
        for form, code in keys
    ]
    order = list(DueState.values)
    return sorted(found, key=lambda due: (order.index(due.state), due.form.code, due.subject_code))


def find_latest(keys: Sequence[Key], *, counting: bool = True) -> dict[Key, CheckRecord]:
    """Return the latest record of each form and subject, by its time; of those that count, or of all."""
    if not keys:
        return {}
    records: QuerySet[CheckRecord] = CheckRecord.objects.filter(
        form__in={form for form, _code in keys}, subject_code__in={code for _form, code in keys}
    )
    if counting:
        records = records.filter(COUNTING)
    rows = records.order_by("form_id", "subject_code", "-at", "-id").distinct("form_id", "subject_code")
    return {(row.form_id, row.subject_code): row for row in rows}


def list_subjects(form: CheckForm, line: Line) -> list[str]:
    """Return the codes of what a form is about on a line."""
    return _Subjects(line).of(form)


class _Subjects:
    """What is on a line, read at most once each: its stations, machines and tools."""

    def __init__(self, line: Line | None) -> None:
        self.line = line
        self._codes: dict[str, list[str]] = {}
        self.tools: dict[str, Tool] = {}

    def of(self, form: CheckForm) -> list[str]:
        """Return the codes that a form is about."""
        if form.subject_type == SubjectType.STORE:
            return list(form.subject_codes)
        codes = self._read(form.subject_type)
        if form.tool_kind:
            codes = [code for code in codes if self.tools[code].kind == form.tool_kind]
        return [code for code in codes if code in form.subject_codes] if form.subject_codes else codes

    def _read(self, subject_type: str) -> list[str]:
        if subject_type not in self._codes:
            self._codes[subject_type] = [] if self.line is None else self._find(subject_type, self.line)
        return self._codes[subject_type]

    def _find(self, subject_type: str, line: Line) -> list[str]:
        if subject_type == SubjectType.LINE:
            return [line.code]
        if subject_type == SubjectType.STATION:
            return list(Station.objects.filter(line=line).order_by("code").values_list("code", flat=True))
        if subject_type == SubjectType.EQUIPMENT:
            return list(Equipment.objects.filter(station__line=line).order_by("code").values_list("code", flat=True))
        loaded = Load.objects.filter(ended_at=None, tool__isnull=False)
        here = loaded.filter(models.Q(line=line) | models.Q(station__line=line)).values("tool")
        tools = Tool.objects.filter(pk__in=here).order_by("tool_id")
        self.tools = {tool.tool_id: tool for tool in tools}
        return list(self.tools)


def _due(
    form: CheckForm,
    code: str,
    last: CheckRecord | None,
    newest: CheckRecord | None,
    subjects: _Subjects,
    now: datetime,
) -> Due:
    due_at, uses_left = None, None
    if last is not None:
        due_at = next_due(form, last, subjects.line)
        tool = subjects.tools.get(code)
        if form.every_uses is not None and tool is not None:
            uses_left = form.every_uses - max(0, tool.uses - (last.uses or 0))
    has_interval = bool(form.every_hours or form.every_shift or form.every_uses)
    if newest is not None and newest.needs_verifier and newest.verified_at is None and newest.verdict == Verdict.PASS:
        state = DueState.TO_VERIFY
    elif last is None:
        state = DueState.NEVER if has_interval else DueState.OK
    elif last.verdict == Verdict.FAIL:
        state = DueState.FAILED
    else:
        is_over = (due_at is not None and due_at <= now) or (uses_left is not None and uses_left <= 0)
        state = DueState.DUE if is_over else DueState.OK
    return Due(form, code, state, due_at, uses_left, newest if state == DueState.TO_VERIFY else last)


def next_due(form: CheckForm, last: CheckRecord, line: Line | None) -> datetime | None:
    """Return when a check is due again by time: after its hours, or as the next shift of its line begins."""
    if form.every_hours is not None:
        return last.at + timedelta(hours=form.every_hours)
    if form.every_shift:
        shifts = line.shifts if line is not None else ()
        return calendar.shift_at(shifts, timezone.get_default_timezone(), last.at).ended_at
    return None


def line_of(subject_type: str, code: str) -> Line | None:
    """Return the line of a line, station or machine; None where it is on none."""
    lookup = {
        SubjectType.LINE: "code",
        SubjectType.STATION: "stations__code",
        SubjectType.EQUIPMENT: "stations__equipment__code",
    }
    return Line.objects.filter(**{lookup[SubjectType(subject_type)]: code}).first()


def list_failed_forms(subject_type: str, subject_codes: Collection[str]) -> dict[str, list[str]]:
    """Return the codes of the active forms that block things, by their codes: the latest record that counts failed."""
    forms = CheckForm.objects.filter(is_active=True, on_fail=OnFail.BLOCK, subject_type=subject_type)
    codes = dict(forms.order_by("code").values_list("pk", "code"))
    latest = find_latest([(form_id, subject) for form_id in codes for subject in subject_codes])
    failed = {key for key, row in latest.items() if row.verdict == Verdict.FAIL}
    return {subject: [codes[form] for form in codes if (form, subject) in failed] for subject in subject_codes}
