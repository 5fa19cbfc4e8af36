"""What may be done to the thing that a page shows: a button that unfolds what it does and asks for what it needs.

A form is read by the serializer of the interface, so that both take the same. A refusal is kept in the session, and
shown beside the button when the page comes again, with what was typed (`templates/_act.html`).
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from mes.errors import DomainError, ValidationFailed
from mes.platform.http.pages import in_words
from mes.platform.http.whole_numbers import whole_number

KEPT = "refused_act"  # of the session
SIGNATURE = "signature"  # of the interface; the names of its fields begin with it
PASSWORD = f"{SIGNATURE}.password"
# At which field refusals are told whatever the act, where it has that field.
_AT = {
    "SIGNATURE_REQUIRED": PASSWORD,
    "SIGNATURE_REFUSED": PASSWORD,
    "SIGN_ON_LOCKED": PASSWORD,
    "SIGNER_MISMATCH": f"{SIGNATURE}.username",
}
LONGEST_TYPED = 130_000  # characters of a field that are kept: a thousand serial numbers
CONFIRM = "confirm"
FORM_TIME = "%Y-%m-%dT%H:%M:%S"  # as the fields of browsers have it
WAS = "was-"  # begins the name of a hidden field that says what a form showed
# What keeps one unit of several back: short, as its serial number stands beside it.
FAULTS = {
    "PRODUCT_MISMATCH": gettext_lazy("is of another product"),
    "RUN_CLOSED": gettext_lazy("its run has ended"),
    "RUN_QTY_EXCEEDED": gettext_lazy("is more than the plan has room for"),
    "SN_UNREADABLE": gettext_lazy("cannot be read as a serial number"),
    "STEP_MISMATCH": gettext_lazy("has not passed what comes before that step"),
    "STEP_REQUIRED": gettext_lazy("needs a step to go on at: the routes differ before its own"),
    "UNIT_ALREADY_DONE": gettext_lazy("is done"),
    "UNIT_ALREADY_IN_STATION": gettext_lazy("is in a station: let it leave first"),
    "UNIT_INSTALLED": gettext_lazy("is part of another unit"),
    "UNIT_IN_OPEN_RUN": gettext_lazy("is in an open run: move it instead"),
    "UNIT_IS_SAMPLE": gettext_lazy("is a sample of a first article that is not finished"),
    "UNIT_NOT_FOUND": gettext_lazy("is not known"),
    "UNIT_ON_HOLD": gettext_lazy("is on hold"),
    "UNIT_OUT_FAILED": gettext_lazy("failed and waits for a decision"),
    "UNIT_RUN_MISMATCH": gettext_lazy("is not in this run"),
    "UNIT_RUN_NOT_FOUND": gettext_lazy("is in no run"),
    "UNIT_SCRAPPED": gettext_lazy("is scrapped"),
    "UNIT_STARTED": gettext_lazy("has been in a station: move it to another run"),
}
_LINE_ENDS = re.compile(r"[\r\n]+")


class FieldKind(Enum):
    """How a field is drawn, and what is made of its text."""

    TEXT = "text"
    CODE = "code"  # what a scanner may type
    NUMBER = "number"
    DECIMAL = "decimal"
    DATE = "date"
    MOMENT = "moment"  # in the plant's time zone
    CHOICE = "choice"
    LONG = "long"  # a text of some lines
    LINES = "lines"  # codes, one a line, as a scanner types them
    SCANS = "scans"  # the same, as a list to scan into (`static/scan-list.js`), with its fault beside each
    TICK = "tick"
    SOME = "some"  # of several choices, any number
    HIDDEN = "hidden"
    WHO = "who"  # the account that is signed in: shown, not changed
    PASSWORD = "password"  # taken as it is typed, and never shown or kept


_NEVER_TYPED = (FieldKind.WHO, FieldKind.PASSWORD)


@dataclass(frozen=True)
class Field:
    """A field of a form, named as in the interface: `signature.meaning` is one of an object.

    `least` and `most` are of a number, or of a text's length.
    """

    name: str
    label: str = ""
    kind: FieldKind = FieldKind.TEXT
    value: str = ""
    choices: Sequence[tuple[str, Any]] = ()
    suggestions: Sequence[str] = ()
    help: str = ""
    is_required: bool = False
    least: int | None = None
    most: int | None = None
    is_focused: bool = False  # when the page comes, unless something was refused (`is_refused` of its context)
    is_number: bool = False  # what is chosen


@dataclass(frozen=True)
class Refusal:
    """Why an act was refused: in words, at its fields, and of each unit."""

    text: str
    code: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)
    faults: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Row:
    """A field as it is drawn: with what was typed, and what is wrong with that."""

    field: Field
    id: str
    value: str
    problem: str = ""
    is_first_problem: bool = False

    @property
    def kind(self) -> str:
        return self.field.kind.value

    @property
    def chosen(self) -> Sequence[str]:
        """What of several choices is chosen."""
        return self.value.split()


@dataclass(frozen=True)
class Act:
    """Something that somebody may do here. `ways` say by the code of a refusal where it is put right, as (label,
    address); `at` names by its code the field that it is about.
    """

    name: str
    label: str
    address: str
    button: str = ""
    about: str = ""
    symbol: str = "next"
    tone: str = ""
    is_main: bool = False
    is_harmful: bool = False
    fields: Sequence[Field] = ()
    ways: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    extra: str = ""  # a template, drawn above the button
    refusal: Refusal | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is just a button: nothing is asked, and it does no harm."""
        return not (self.about or self.is_harmful or any(each.kind is not FieldKind.HIDDEN for each in self.fields))

    @property
    def ways_out(self) -> Sequence[tuple[str, str]]:
        """Where what it was refused for is put right."""
        return self.ways.get(self.refusal.code, ()) if self.refusal else ()

    @cached_property
    def rows(self) -> Sequence[Row]:
        """Its fields as they are drawn."""
        return list(self._rows())

    def _rows(self) -> Iterator[Row]:
        problems = dict(self.refusal.problems) if self.refusal else {}
        if self.refusal and (name := self.at.get(self.refusal.code) or self._usual_place):
            problems.setdefault(name, self.refusal.text)
        first = next((each.name for each in self.fields if each.name in problems), None)
        typed = self.refusal.typed if self.refusal else {}
        for each in self.fields:
            problem = problems.get(each.name, "")
            value = typed.get(each.name, "" if self.refusal else each.value)
            if each.kind in _NEVER_TYPED:
                value = each.value
            yield Row(each, f"{self.name}-{each.name}", value, problem, each.name == first)

    @property
    def _usual_place(self) -> str | None:
        """The field at which the refusal is told whatever the act."""
        name = _AT.get(self.refusal.code) if self.refusal else None
        return name if any(each.name == name for each in self.fields) else None

    @property
    def is_told_at_fields(self) -> bool:
        """Whether its fields say all that is wrong."""
        told = {row.field.name for row in self.rows if row.problem}
        return self.refusal is not None and bool(told) and told >= set(self.refusal.problems)


def reason_field(*, is_required: bool = True) -> Field:
    """Return the field of a reason."""
    label = _("Reason") if is_required else _("Reason (optional)")
    return Field("reason", label, FieldKind.LONG, is_required=is_required, most=500)


def confirmation(label: str) -> Field:
    """Return the box that somebody ticks before harm is done."""
    return Field(CONFIRM, label, FieldKind.TICK, is_required=True)


def signature_fields(request: HttpRequest, *, meaning: str) -> Sequence[Field]:
    """Return the fields of `signature`, for an act that needs one: who is signed in signs, with `meaning` proposed.

    The serializer of the act has a `SignatureRequest` named `signature` (`mes.platform.signatures.serializers`).
    """
    return signature_fields_of(request.user.get_username(), meaning=meaning)


def signature_fields_of(who: str, *, meaning: str) -> Sequence[Field]:
    """Return the fields of `signature` for a person by name."""
    return (
        Field(f"{SIGNATURE}.username", _("Signed by"), FieldKind.WHO, value=who, is_required=True),
        Field(f"{SIGNATURE}.meaning", _("Meaning of the signature"), value=meaning, is_required=True, most=200),
        Field(PASSWORD, _("Your password"), FieldKind.PASSWORD, is_required=True, help=_("It is your signature.")),
    )


def with_shown(fields: Sequence[Field]) -> Sequence[Field]:
    """Return fields of what may be changed, with what each shows beside it (`list_changed`)."""
    shown = (Field(f"{WAS}{each.name}", kind=FieldKind.HIDDEN, value=each.value) for each in fields)
    return (*fields, *shown)


# --- reading a form ---------------------------------------------------------------------------------------------


def read_form(serializer: type[serializers.Serializer], request: HttpRequest, fields: Sequence[Field]) -> Any:
    """Return what a form says, as a serializer of the interface reads it. Raises ValidationFailed.

    An empty field is not there.
    """
    if any(each.name == CONFIRM for each in fields) and not request.POST.get(CONFIRM):
        raise ValidationFailed({CONFIRM: _("Tick this first: it says what will happen.")})
    asked = [each for each in fields if each.name != CONFIRM]
    return read_texts(serializer, {each.name: _text_of(each, request) for each in asked}, asked)


def read_texts(serializer: type[serializers.Serializer], given: Mapping[str, str], fields: Sequence[Field]) -> Any:
    """Return what texts of fields, by name, say as a serializer of the interface reads it. Raises ValidationFailed."""
    texts = [(each, given.get(each.name, "")) for each in fields]
    body = serializer(data=_nested({each.name: _value_of(each, text) for each, text in texts if text}))
    # A form may insist on what the interface leaves open: why somebody refuses.
    problems = {each.name: _("This field is required.") for each, text in texts if each.is_required and not text}
    if not body.is_valid():
        problems |= dict(_problems_of(body.errors, fields))
    if problems:
        raise ValidationFailed(problems)
    return body.validated_data


def _text_of(each: Field, request: HttpRequest) -> str:
    if each.kind is FieldKind.SOME:
        return "\n".join(request.POST.getlist(each.name))
    text = request.POST.get(each.name, "")
    return text if each.kind is FieldKind.PASSWORD else text.strip()


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of which these are the fields: `signature.meaning` is one of the object `signature`."""
    body: dict[str, Any] = {}
    for name, value in values.items():
        whole, _dot, part = name.partition(".")
        if part:
            body.setdefault(whole, {})[part] = value
        else:
            body[name] = value
    return body


def _problems_of(found: Mapping[str, Any], fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """Yield (name, problem), those of an object at the fields that it has in the form."""
    wholes = {each.name.partition(".")[0] for each in fields if "." in each.name}
    for name, problem in found.items():
        if name in wholes and isinstance(problem, Mapping):
            yield from ((f"{name}.{part}", in_one_line(each)) for part, each in problem.items())
        else:
            yield name, in_one_line(problem)


def typed(request: HttpRequest, name: str) -> str:
    """Return the text of a field as it was sent."""
    return request.POST.get(name, "").strip()


def list_changed(request: HttpRequest, fields: Sequence[Field]) -> list[Field]:
    """Return the fields that differ from what the form showed: what somebody else changed meanwhile is not set back.

    Raises ValidationFailed, at the first of them, where none does.
    """
    own = [each for each in fields if each.kind is not FieldKind.HIDDEN and each.name != "reason"]
    changed = [each for each in own if typed(request, each.name) != typed(request, f"{WAS}{each.name}")]
    if not changed:
        raise ValidationFailed({own[0].name: _("Nothing is different from how it was.")})
    return changed


def _value_of(each: Field, text: str) -> Any:
    """Return a text as the interface would be sent it; what is not of its kind is left as it is, and refused there."""
    if each.kind is FieldKind.NUMBER or each.is_number:
        number = whole_number(text)
        return text if number is None else number
    if each.kind is FieldKind.DECIMAL:
        return _decimal(text)
    if each.kind is FieldKind.TICK:
        return True
    if each.kind in (FieldKind.LINES, FieldKind.SOME):
        return text.split()
    if each.kind is FieldKind.SCANS:  # a label may hold blanks, and the separators of its syntax
        lines = (line.strip(" \t") for line in _LINE_ENDS.split(text))
        return [line for line in lines if line]
    return as_instant(text) if each.kind is FieldKind.MOMENT else text


def _decimal(text: str) -> float | str:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def as_instant(text: str) -> str:
    """Return a time of a form, which is the plant's, as one with its offset; anything else as it is."""
    try:
        moment = datetime.fromisoformat(text)
        return (timezone.make_aware(moment) if timezone.is_naive(moment) else moment).isoformat()
    except (ValueError, OverflowError):
        return text


def in_form(text: str) -> str:
    """Return a time as a field of a form has it: in the plant's zone; anything else as it is."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if timezone.is_naive(moment) else timezone.localtime(moment)).strftime(FORM_TIME)
    except (ValueError, OverflowError):
        return text


def in_one_line(problem: Any, *, with_names: bool = True) -> str:
    """Return in one line what a serializer says is wrong with a field, or with items of it, by the names of their
    parts. Without these where people do not know them.
    """
    if isinstance(problem, Mapping):
        parts = ((name, in_one_line(each, with_names=with_names)) for name, each in problem.items())
        return " ".join(f"{name}: {said}" if with_names else said for name, said in parts)
    if isinstance(problem, list):
        return " ".join(in_one_line(each, with_names=with_names) for each in problem if each)
    return str(problem)


# --- doing it -----------------------------------------------------------------------------------------------


def attempt(request: HttpRequest, do: Callable[[], str], *, place: str, name: str) -> bool:
    """Do something and say what was done; a refusal is kept for the act `name` of the page at `place`."""
    try:
        said = do()
    except DomainError as refusal:
        _keep(request, refusal, place=place, name=name)
        return False
    if said:
        messages.success(request, said)
    return True


def carry_out(request: HttpRequest, do: Callable[[], str], *, place: str, name: str) -> HttpResponse:
    """Do something to what the page at `place` shows, and go back there."""
    is_done = attempt(request, do, place=place, name=name)
    return redirect(place if is_done else f"{place}#act-{name}")


def _keep(request: HttpRequest, refusal: DomainError, *, place: str, name: str) -> None:
    is_malformed = isinstance(refusal, ValidationFailed)
    request.session[KEPT] = {
        "place": place,
        "name": name,
        "code": refusal.code,
        "text": in_words(refusal),
        "problems": {key: str(value) for key, value in refusal.details.items()} if is_malformed else {},
        "typed": {key: str(value)[:LONGEST_TYPED] for key, value in request.POST.items() if _may_be_kept(key)},
        "faults": list(_list_faults(refusal.details.get("units"))),
    }


def _may_be_kept(name: str) -> bool:
    """Whether what was typed may lie in the session and come back with the page: a password never."""
    return "csrf" not in name and "password" not in name.lower()


def _list_faults(units: Any) -> Iterator[dict[str, str]]:
    """Yield of each unit that a refusal names its serial number, code and reason: in words, if they are known."""
    for unit in units if isinstance(units, list) else ():
        if isinstance(unit, dict):
            told = {key: str(value) for key, value in unit.items()}
            code = told.get("code", "")
            yield told | {"reason": told.get("reason") or str(FAULTS.get(code, code))}


def with_refusal(request: HttpRequest, acts: Sequence[Act], *, place: str) -> Sequence[Act]:
    """Return acts, one of them with why it was refused a moment ago. What is no longer offered is told by a message.

    Asked of a whole page, not of a live part: it is told once.
    """
    kept = request.session.get(KEPT)
    if not kept or kept["place"] != place:
        return acts
    del request.session[KEPT]
    name = kept["name"]
    if all(act.name != name for act in acts):
        messages.error(request, kept["text"])
        return acts
    told = Refusal(**{key: kept[key] for key in ("text", "code", "problems", "typed", "faults")})
    return [replace(act, refusal=told) if act.name == name else act for act in acts]
