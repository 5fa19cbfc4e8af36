"""Which checks there are. Any app adds its own in `AppConfig.ready()`; a line says which of them it wants.

A check is a function of `Facts` that yields `Finding`s: one for each thing it looked at, or, of a thing with faults,
one for each fault.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from mes.errors import DomainError
from mes.plant.hooks import LineCheck
from mes.platform.hooks import Hook
from mes.production.models import Run
from mes.routing.snapshots import RouteSnapshot

Row = TypeVar("Row", bound=Model)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Facts:
    """What a check may look at: the run with its line and route version, its frozen route, and the time."""

    run: Run
    snapshot: RouteSnapshot
    now: datetime
    is_gate: bool
    _found: dict[Callable[["Facts"], Any], Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, look: Callable[["Facts"], Found]) -> Found:
        """Return what several checks go by; the first of them has it looked up."""
        if look not in self._found:
            self._found[look] = look(self)
        return cast(Found, self._found[look])

    def read(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        """Read rows whose change could turn the finding: at the gate they stay as they are until it is passed.

        Without the lock, a status that turns bad after it was read and before the run is authorized would be
        overlooked. Give the rows an order, or two that lock several of them block each other.
        """
        return rows.select_for_update(no_key=True, of=("self",)) if self.is_gate else rows


@dataclass(frozen=True)
class Finding:
    """What was found about one thing. Without `code` it is all right.

    `reason` says what is wrong, `action` what to do about it; `evidence` is what was seen, in camelCase.
    """

    item_type: str
    key: str
    code: str = ""
    reason: str = ""
    action: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    waivable: bool = True


Evaluate = Callable[[Facts], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """A kind of check. `refusals`: what authorizing is refused with when nothing but these codes failed.

    `page` names the page, of a run number, where people put right what failed; empty where the board is enough.
    """

    item_type: str
    title: str | Promise
    evaluate: Evaluate
    position: int
    presets: tuple[str, ...] = ()
    is_always_on: bool = False
    page: str = ""
    refusals: Mapping[str, type[DomainError]] = field(default_factory=dict)


# Those of a lower `position` are made, and shown, first.
checks: Hook[Check] = Hook(key=lambda check: check.item_type)


def list_checks() -> list[Check]:
    """Return every check in the order in which they are made."""
    return sorted(checks, key=lambda check: (check.position, check.item_type))


def list_line_checks() -> list[LineCheck]:
    """Return the checks that a line may enable."""
    return [LineCheck(check.item_type, check.title, check.presets) for check in list_checks() if not check.is_always_on]
