"""How clocks are read from marks. Pure: the same marks give the same clocks, in whatever order they arrived.

A clock begins with a start and ends with the first end after it. What lies before or after what is decided by the
order of a unit's steps, because the clocks of stations differ; whether it was in time, by the times of the events.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

SPECIFICITY = {"GLOBAL": 0, "LINE": 1, "ROUTING": 2, "PRODUCT": 3}


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a definition when a start was recorded: most, warning and least, in minutes."""

    duration: int | None
    warning: int
    restarts: bool
    minimum: int | None = None

    @classmethod
    def of(cls, rule: Any) -> "Terms":
        """Return the terms of a definition."""
        return cls(rule.duration_minutes, rule.warning_minutes, rule.restarts, rule.min_minutes)

    def as_document(self) -> dict[str, Any]:
        """Return what a mark keeps."""
        kept = {"duration": self.duration, "warning": self.warning, "restarts": self.restarts}
        return kept if self.minimum is None else {**kept, "minimum": self.minimum}


@dataclass(frozen=True, slots=True)
class Mark:
    """One event, as one definition sees it: a start (with terms), an end, or both: then it ends before it starts."""

    key: str
    at: datetime
    sequence: int | None = None
    belongs_at: datetime | None = None
    terms: Terms | None = None
    is_end: bool = False
    run_id: int | None = None
    line_id: int | None = None


@dataclass(slots=True)
class Clock:
    """A start with the terms it runs by, the starts it took in, and how it ended.

    `has_lapsed`: a later start began a clock of its own before it ended; the end of that one ends it, too.
    """

    start: Mark
    terms: Terms
    start_keys: set[str] = field(default_factory=set)
    end: Mark | None = None
    is_restarted: bool = False
    has_lapsed: bool = False

    @property
    def expires_at(self) -> datetime | None:
        """The last moment that is in time; None: any. Elapsed time: no clock change moves it."""
        return None if self.terms.duration is None else self.start.at + timedelta(minutes=self.terms.duration)

    @property
    def earliest_at(self) -> datetime | None:
        """The first moment that is not too early; None: any."""
        return None if self.terms.minimum is None else self.start.at + timedelta(minutes=self.terms.minimum)

    @property
    def warning_at(self) -> datetime | None:
        """When to warn; None where the definition warns of nothing."""
        last = self.expires_at
        return last - timedelta(minutes=self.terms.warning) if last and self.terms.warning else None

    @property
    def is_in_time(self) -> bool:
        """Whether it ended, and not too late."""
        return self.end is not None and (self.expires_at is None or self.end.at <= self.expires_at)

    @property
    def is_early(self) -> bool:
        """Whether it ended too early. A new start is no end that could be."""
        first = self.earliest_at
        return self.end is not None and not self.is_restarted and first is not None and self.end.at < first


def read_clocks(marks: Iterable[Mark], *, waived: Mapping[str, datetime] | None = None) -> list[Clock]:
    """Return the clocks of one definition and entity, in order. `waived`: start key → when it was waived.

    A start while a clock runs changes nothing, unless it restarts, the clock's time was over by then, or it was waived
    before: then a clock of its own begins.
    """
    clocks: list[Clock] = []
    running: Clock | None = None
    for mark in in_order(marks):
        if mark.is_end:
            for clock in clocks:
                clock.end = clock.end or mark
            running = None
        if mark.terms is None:
            continue
        if running is not None and not _starts_new_clock(running, mark, waived or {}):
            running.start_keys.add(mark.key)
            continue
        if running is not None:
            _end_superseded(running, mark)
        running = Clock(start=mark, terms=mark.terms, start_keys={mark.key})
        clocks.append(running)
    return clocks


def in_order(marks: Iterable[Mark]) -> list[Mark]:
    """Return marks in the order things happened; at the same instant starts go first, that no clock runs for ever.

    Of a lot, what belongs to an earlier use goes before what belongs to a later one.
    """
    listed = list(marks)
    by_steps = all(mark.sequence is not None for mark in listed)

    def place(mark: Mark) -> tuple[Any, ...]:
        ends_only = mark.is_end and mark.terms is None
        if by_steps:
            return (mark.sequence, mark.key)
        return (mark.at, mark.belongs_at or mark.at, ends_only, mark.key)

    return sorted(listed, key=place)


def _starts_new_clock(running: Clock, mark: Mark, waived: Mapping[str, datetime]) -> bool:
    assert mark.terms is not None
    if mark.terms.restarts or (running.expires_at is not None and mark.at > running.expires_at):
        return True
    return any(key in waived and mark.at > waived[key] for key in running.start_keys)


def _end_superseded(running: Clock, mark: Mark) -> None:
    """End the running clock where a new one starts: it was restarted, or lapses without an end."""
    assert mark.terms is not None
    if mark.terms.restarts:
        running.end, running.is_restarted = mark, True
    else:
        running.has_lapsed = True


def matches(condition: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether each named field of an event has the value, or one of the values, given for it."""
    return all(facts.get(name) in as_list(values) for name, values in condition.items())


def as_list(values: Any) -> list[Any]:
    """Return the values of a condition's field: it may be one value, or a list of them."""
    return values if isinstance(values, list) else [values]


@dataclass(frozen=True)
class Context:
    """Where an event happened: what scopes and route conditions are compared with. None where it is not known."""

    line_code: str | None = None
    routing_code: str | None = None
    product_code: str | None = None
    route_kinds: frozenset[str] = frozenset()


def applies(definition: Any, context: Context) -> bool:
    """Whether a definition's scope and route condition fit."""
    value = {
        "GLOBAL": "",
        "LINE": context.line_code,
        "ROUTING": context.routing_code,
        "PRODUCT": context.product_code,
    }[definition.scope]
    return value == definition.scope_value and context.route_kinds.issuperset(definition.route_operation_kinds)


def choose(definitions: Iterable[Any], context: Context) -> list[Any]:
    """Return the definition of each code that applies: the most specific (product, route, line, everywhere).

    A product is more specific than a route, which is one way to make it; a line makes many products. Then the
    highest priority decides.
    """
    chosen: dict[str, Any] = {}
    fitting = [definition for definition in definitions if definition.is_active and applies(definition, context)]
    for definition in sorted(fitting, key=lambda definition: (SPECIFICITY[definition.scope], definition.priority)):
        chosen[definition.code] = definition
    return list(chosen.values())
