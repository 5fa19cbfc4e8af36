"""What goes wrong on purpose, seldom: as on a real line, and counted, so that nothing else is mistaken for it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from demo import plant

Event = dict[str, Any]


@dataclass(frozen=True)
class Chances:
    """How often each happens, of all events."""

    duplicate: float = 0.02
    late: float = 0.02
    text_for_number: float = 0.004
    unknown_word: float = 0.004
    misspelt: float = 0.004
    unknown_unit: float = 0.004
    outage: float = 0.0015
    runaway: float = 0.001
    restart: float = 0.03
    late_counts: float = 0.1

    def times(self, factor: float) -> "Chances":
        """Return the same, more or less often."""
        return Chances(**{name: min(1.0, chance * factor) for name, chance in vars(self).items()})


NOTHING_GOES_WRONG = Chances().times(0)
REFUSALS = {
    "text for a number": "DATA_TYPE_MISMATCH",
    "unknown result word": "INGEST_PAYLOAD_INVALID",
    "misspelt measurement": "REQUIRED_DATA_MISSING",
    "unknown unit": "UNIT_NOT_FOUND",
}


@dataclass
class Mischief:
    """Decides what goes wrong."""

    random: Random = field(default_factory=Random)
    chances: Chances = NOTHING_GOES_WRONG

    def happens(self, name: str) -> bool:
        """Whether a thing goes wrong now."""
        return self.random.random() < vars(self.chances)[name]

    def spoil(self, step: plant.Step, event: Event) -> tuple[str, Event] | None:
        """Return what is wrong and the spoilt event; seldom anything."""
        kinds: Sequence[tuple[str, str, Callable[[plant.Step, Event], Event | None]]] = (
            ("text_for_number", "text for a number", _write_number_as_text),
            ("unknown_word", "unknown result word", _say_unknown_word),
            ("misspelt", "misspelt measurement", _misspell),
        )
        for name, kind, change in kinds:
            if self.happens(name):
                spoilt = change(step, copy.deepcopy(event))
                return (kind, spoilt) if spoilt else None
        return None


def for_unknown_unit(step: plant.Step, event: Event, sn: str, key: str) -> Event | None:
    """Return the same event for a board that nobody knows; None for a whole carrier."""
    other = copy.deepcopy(event)
    report = other["payload"][step.format.root]
    if "board" not in report:
        return None
    report["board"] = sn
    if "testId" in report:
        report["testId"] = f"{report['testId']}-{sn}"
    return {**other, "dedupeKey": key}


def _write_number_as_text(step: plant.Step, event: Event) -> Event | None:
    numbers = [one for one in _values(step, event) if not isinstance(one["value"], bool | str)]
    if not numbers:
        return None
    numbers[0]["value"] = str(numbers[0]["value"])
    return event


def _say_unknown_word(step: plant.Step, event: Event) -> Event | None:
    event["payload"][step.format.root]["verdict"] = "UNDECIDED"
    return event


def _misspell(step: plant.Step, event: Event) -> Event | None:
    required = {each.reported for each in step.measurements if each.is_required}
    wanted = [one for one in _values(step, event) if one["name"] in required]
    if not wanted:
        return None
    wanted[0]["name"] = wanted[0]["name"][:-1]
    return event


def _values(step: plant.Step, event: Mapping[str, Any]) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = event["payload"][step.format.root]["values"]
    return values
