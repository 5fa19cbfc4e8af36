"""What differs between two compilations of a route: frozen documents with their errors. Pure.

Two that have the same digest have no difference, and any two others have at least one. The other way round, a list is
its mirror image: what was added is removed, and `from` and `to` change places. A step is named by its number, and a
spec by its name, in the second document, where it is there.
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mes.routing.difference_words import describe

DEEPEST = 30  # a mapping nested deeper than this is compared as a whole
ABSENT = object()
_CONFIG = (
    "stationType",
    "stationGroupCode",
    "allowedStationCodes",
    "requiresFAI",
    "retestLimit",
    "reentryLimit",
    "isOptional",
    "workInstructions",
    "requiresQualification",
)

Document = Mapping[str, Any]
Problem = Mapping[str, Any]


class Kind(StrEnum):
    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"
    MOVED = "MOVED"


class Subject(StrEnum):
    ROUTE = "ROUTE"
    STEP = "STEP"
    CONFIG = "CONFIG"
    SPEC = "SPEC"
    MAPPING = "MAPPING"
    FAI_ITEM = "FAI_ITEM"


_SUBJECTS = {  # of errors of a step, by how their codes begin
    "INGEST_MAPPING": Subject.MAPPING,
    "MAPPING_EXAMPLE": Subject.MAPPING,
    "STATION": Subject.CONFIG,
    "OPTIONAL": Subject.CONFIG,
    "DATA_SPEC": Subject.SPEC,
}


@dataclass(frozen=True)
class Difference:
    """One thing that differs. `before` and `after` are JSON values, ABSENT where there is none to tell.

    `measures` are the units of measure that a limit had on both sides.
    """

    kind: Kind
    step_no: int | None
    subject: Subject
    name: str | None = None
    field: str | None = None
    before: Any = ABSENT
    after: Any = ABSENT
    measures: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        """The difference in words, with the step and the unit of measure."""
        return describe(
            kind=self.kind,
            step_no=self.step_no,
            subject=self.subject,
            name=self.name,
            field=self.field,
            before=None if self.before is ABSENT else self.before,
            after=None if self.after is ABSENT else self.after,
            measures=self.measures,
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as the interface answers it; what says nothing is left out."""
        told = {"name": self.name, "field": self.field}
        values = {"from": self.before, "to": self.after}
        return {
            "kind": str(self.kind),
            "stepNo": self.step_no,
            "subject": str(self.subject),
            **{key: value for key, value in told.items() if value is not None},
            **{key: value for key, value in values.items() if value is not ABSENT},
            "text": self.text,
        }


@dataclass(frozen=True)
class Side:
    """One of two that are compared: a frozen document, the errors it was compiled with, and the digest of both."""

    document: Document
    errors: Sequence[Problem]
    digest: str


def compare(first: Side, second: Side) -> list[Difference]:
    """Return what differs, in the order of the route; empty where the digests are equal, and only there."""
    if first.digest == second.digest:
        return []
    return compare_documents(first.document, second.document, first.errors, second.errors) or [
        Difference(Kind.CHANGED, None, Subject.ROUTE, field="digest", before=first.digest, after=second.digest)
    ]


def compare_documents(
    first: Document, second: Document, first_errors: Sequence[Problem] = (), second_errors: Sequence[Problem] = ()
) -> list[Difference]:
    """Return what differs between two documents and their errors, whatever their digests are."""
    found = [
        *_compare_route(first, second),
        *_compare_steps(first.get("steps", ()), second.get("steps", ())),
        *_compare_errors(first_errors, second_errors),
    ]
    if not found and not _is_same(first_errors, second_errors):
        found = [_changed(None, Subject.ROUTE, "errors", [*first_errors], [*second_errors])]
    return found


def list_added(document: Document, errors: Sequence[Problem]) -> list[Difference]:
    """Return what the first version of a route brings: its steps, and what is wrong with them."""
    return compare_documents({**document, "steps": []}, document, (), errors)


# --- route and first article ------------------------------------------------------------------------------


def _compare_route(first: Document, second: Document) -> Iterator[Difference]:
    apart = ("route", "steps")
    yield from _compare_fields(_without(first, apart), _without(second, apart), None, Subject.ROUTE)
    before, after = first.get("route", {}), second.get("route", {})
    yield from _compare_fields(_without(before, ("faiItems",)), _without(after, ("faiItems",)), None, Subject.ROUTE)
    yield from _compare_fai_items(before.get("faiItems", ()), after.get("faiItems", ()))


def _compare_fai_items(first: Sequence[Document], second: Sequence[Document]) -> Iterator[Difference]:
    first, second = _each_by_itself(first), _each_by_itself(second)
    pairs = _pair(first, second, [lambda item: item.get("itemName")])
    yield from _tell_unpaired(pairs, None, Subject.FAI_ITEM, lambda item: str(item.get("itemName")))
    matched = [(a, b) for a, b in pairs if a is not None and b is not None]
    for before, after in matched:
        yield from _compare_fields(before, after, None, Subject.FAI_ITEM, name=str(after.get("itemName")))
    yield from _compare_order(first, second, matched, None, Subject.FAI_ITEM, "itemName")


# --- steps ------------------------------------------------------------------------------------------------


def _compare_steps(first: Sequence[Document], second: Sequence[Document]) -> Iterator[Difference]:
    first, second = _each_by_itself(first), _each_by_itself(second)
    pairs = _pair(
        first,
        second,
        [
            lambda step: step.get("sourceStepKey") or None,
            lambda step: (step.get("stepNo"), _operation(step)),
            _operation,
        ],
    )
    pairs.sort(key=lambda pair: _number_of(*pair))
    for before, after in pairs:
        if before is None or after is None:
            step = after or before or {}
            kind = Kind.ADDED if before is None else Kind.REMOVED
            yield Difference(kind, step.get("stepNo"), Subject.STEP, name=_operation(step))
        else:
            yield from _compare_step(before, after)
    matched = [(a, b) for a, b in pairs if a is not None and b is not None]
    if all(a.get("stepNo") == b.get("stepNo") for a, b in matched):
        yield from _compare_order(first, second, matched, None, Subject.STEP, "stepNo")


def _compare_step(first: Document, second: Document) -> Iterator[Difference]:
    number, name = second.get("stepNo"), _operation(second)
    shown = name if name == _operation(first) else None
    if not _is_same(first.get("stepNo"), number):
        yield Difference(
            Kind.MOVED, number, Subject.STEP, name=name, field="stepNo", before=first.get("stepNo"), after=number
        )
    apart = ("stepNo", "dataSpecs", "ingestMapping", *_CONFIG)
    yield from _compare_fields(_without(first, apart), _without(second, apart), number, Subject.STEP, name=shown)
    yield from _compare_fields(_config_of(first), _config_of(second), number, Subject.CONFIG)
    yield from _compare_specs(first.get("dataSpecs", ()), second.get("dataSpecs", ()), number)
    yield from _compare_mappings(first.get("ingestMapping"), second.get("ingestMapping"), number)


def _config_of(step: Document) -> Document:
    unsaid = {"isOptional": False, "requiresQualification": False, "workInstructions": []}  # then it is not written
    return {**unsaid, **_only(step, _CONFIG)}


def _operation(step: Document) -> str:
    return str((step.get("operation") or {}).get("code", ""))


def _number_of(first: Document | None, second: Document | None) -> int:
    number = (second or first or {}).get("stepNo")
    return number if isinstance(number, int) else 0


# --- specs ------------------------------------------------------------------------------------------------


def _compare_specs(first: Sequence[Document], second: Sequence[Document], step_no: int | None) -> Iterator[Difference]:
    """By id; those of old documents, which have none, by name."""
    first, second = _each_by_itself(first), _each_by_itself(second)
    pairs = _pair(first, second, [lambda spec: spec.get("id")])
    lone = _lone(pairs)
    if any("id" not in spec for side in lone for spec in side):
        pairs = [pair for pair in pairs if None not in pair] + _pair(*lone, [lambda spec: spec.get("name")])
    pairs.sort(key=lambda pair: str((pair[1] or pair[0] or {}).get("name")))
    yield from _tell_unpaired(pairs, step_no, Subject.SPEC, lambda spec: str(spec.get("name")))
    matched = [(a, b) for a, b in pairs if a is not None and b is not None]
    for before, after in matched:
        measures = (_measure(before), _measure(after))
        for each in _compare_fields(before, after, step_no, Subject.SPEC, name=str(after.get("name"))):
            yield replace(each, measures=measures)
    if all(a.get("name") == b.get("name") for a, b in matched):  # they stand by their names: a new one is enough said
        yield from _compare_order(first, second, matched, step_no, Subject.SPEC, "name")


def _measure(spec: Document) -> str:
    return str((spec.get("limits") or {}).get("unit") or "")


# --- mappings ---------------------------------------------------------------------------------------------


def _compare_mappings(first: Any, second: Any, step_no: int | None) -> Iterator[Difference]:
    """Path by path; a mapping that comes or goes is one difference."""
    if first is None and second is None:
        return
    if first is None or second is None:
        kind = Kind.ADDED if first is None else Kind.REMOVED
        before, after = (ABSENT, second) if first is None else (first, ABSENT)
        yield Difference(kind, step_no, Subject.MAPPING, before=before, after=after)
        return
    for path, before, after in _compare_values(first, second):
        kind = Kind.ADDED if before is ABSENT else Kind.REMOVED if after is ABSENT else Kind.CHANGED
        yield Difference(kind, step_no, Subject.MAPPING, field=path or None, before=before, after=after)


def _compare_values(first: Any, second: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, before, after) of each leaf that differs. A list of single values is a leaf."""
    if first is not ABSENT and second is not ABSENT and _is_same(first, second):
        return
    before, after = _parts_of(first), _parts_of(second)
    missing = first is ABSENT or second is ABSENT
    alike = bool(before or after) if missing else bool(before) and bool(after) and type(first) is type(second)
    if not alike or depth == DEEPEST:
        yield path, first, second
        return
    for key in dict.fromkeys([*before, *after]):
        inner = f"{path}.{key}" if path else key
        yield from _compare_values(before.get(key, ABSENT), after.get(key, ABSENT), inner, depth + 1)


def list_leaves(value: Any) -> list[tuple[str, Any]]:
    """Return what a mapping says, path by path, as differences name it."""
    return [(path, leaf) for path, leaf, _absent in _compare_values(value, ABSENT)]


def _parts_of(value: Any) -> dict[str, Any]:
    """Return what is compared by itself within a value: members, or the objects of a list; none of a leaf."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        return {str(index): item for index, item in enumerate(value)}
    return {}


# --- errors -----------------------------------------------------------------------------------------------


def _compare_errors(first: Sequence[Problem], second: Sequence[Problem]) -> Iterator[Difference]:
    """What keeps the one from being used and not the other."""
    before, after = (Counter(_canonical(problem) for problem in side) for side in (first, second))
    for kind, texts in ((Kind.REMOVED, before - after), (Kind.ADDED, after - before)):
        for text in texts.elements():
            yield _tell_error(kind, json.loads(text))


def _tell_error(kind: Kind, problem: Problem) -> Difference:
    code, message = str(problem.get("code")), problem.get("message")
    step_no = problem.get("stepNo")
    subject = Subject.ROUTE if step_no is None else Subject.STEP
    if step_no is not None:
        subject = next((part for prefix, part in _SUBJECTS.items() if code.startswith(prefix)), subject)
    before, after = (message, ABSENT) if kind == Kind.REMOVED else (ABSENT, message)
    return Difference(kind, step_no, subject, name=code, field="error", before=before, after=after)


# --- the tools --------------------------------------------------------------------------------------------


def _compare_fields(
    first: Document, second: Document, step_no: int | None, subject: Subject, *, name: str | None = None
) -> Iterator[Difference]:
    for key in dict.fromkeys([*first, *second]):
        before, after = first.get(key, ABSENT), second.get(key, ABSENT)
        parts = _parts_of(before) or _parts_of(after)
        if parts and all(isinstance(value, Mapping) or value is ABSENT for value in (before, after)):
            inner = _compare_fields(_or_empty(before), _or_empty(after), step_no, subject, name=name)
            yield from (replace(each, field=f"{key}.{each.field}") for each in inner)
        elif before is ABSENT or after is ABSENT or not _is_same(before, after):
            yield _changed(step_no, subject, key, before, after, name=name)


def _or_empty(value: Any) -> Document:
    return {} if value is ABSENT else value


def _changed(
    step_no: int | None, subject: Subject, field: str, before: Any, after: Any, *, name: str | None = None
) -> Difference:
    # The name says itself what it was and is; named besides, the other way round would be no mirror image.
    shown = None if field in ("name", "itemName") and subject in (Subject.SPEC, Subject.FAI_ITEM) else name
    return Difference(Kind.CHANGED, step_no, subject, name=shown, field=field, before=before, after=after)


Pairs = list[tuple[Document | None, Document | None]]


def _pair(first: Iterable[Document], second: Iterable[Document], keys: Sequence[Callable[[Document], Any]]) -> Pairs:
    """Return which of the first is which of the second, by the first key that both have; of several alike, in order.

    What has no partner stands alone.
    """
    left, right = list(first), list(second)
    pairs: Pairs = []
    for key in keys:
        waiting: dict[Hashable, list[Document]] = {}
        for thing in right:
            if (value := key(thing)) is not None:
                waiting.setdefault(value, []).append(thing)
        rest = []
        for thing in left:
            partners = waiting.get(key(thing))
            if partners:
                pairs.append((thing, partners.pop(0)))
            else:
                rest.append(thing)
        taken = {id(partner) for _thing, partner in pairs}
        left, right = rest, [thing for thing in right if id(thing) not in taken]
    return [*pairs, *((thing, None) for thing in left), *((None, thing) for thing in right)]


def _each_by_itself(things: Iterable[Document]) -> list[Document]:
    """Return copies: what stands twice in a list is two things."""
    return [dict(thing) for thing in things]


def _lone(pairs: Pairs) -> tuple[list[Document], list[Document]]:
    return [a for a, b in pairs if a is not None and b is None], [b for a, b in pairs if b is not None and a is None]


def _tell_unpaired(
    pairs: Pairs, step_no: int | None, subject: Subject, name: Callable[[Document], str]
) -> Iterator[Difference]:
    for before, after in pairs:
        if before is None and after is not None:
            yield Difference(Kind.ADDED, step_no, subject, name=name(after), after=dict(after))
        elif after is None and before is not None:
            yield Difference(Kind.REMOVED, step_no, subject, name=name(before), before=dict(before))


def _compare_order(
    first: Sequence[Document],
    second: Sequence[Document],
    matched: Sequence[tuple[Document, Document]],
    step_no: int | None,
    subject: Subject,
    key: str,
) -> Iterator[Difference]:
    """Whether what is on both sides stands in another order."""
    place = {id(after): index for index, after in enumerate(second)}
    started = {id(before): index for index, before in enumerate(first)}
    by_first = sorted(matched, key=lambda pair: started[id(pair[0])])
    by_second = sorted(matched, key=lambda pair: place[id(pair[1])])
    if by_first != by_second:
        before, after = ([a.get(key) for a, _b in by_first], [b.get(key) for _a, b in by_second])
        yield _changed(step_no, subject, "order", before, after)


def _without(document: Document, names: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in names}


def _only(document: Document, names: Iterable[str]) -> dict[str, Any]:
    return {key: document[key] for key in names if key in document}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _is_same(first: Any, second: Any) -> bool:
    """Whether the digest takes two values for the same: 1 and 1.0 are not, nor are 1 and true."""
    return _canonical(first) == _canonical(second)
