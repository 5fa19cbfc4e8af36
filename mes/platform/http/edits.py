"""Two people at once: whoever changes something may say which state of it was read, and is told what others changed.

The state of a thing changes with each change of it or of its parts. GET answers it as `ETag`; PATCH and DELETE compare
it with `If-Match`, under a lock, so that of two with the same tag one is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.db import models
from django.utils.translation import gettext as _

from mes.errors import EditConflict, ValidationFailed
from mes.platform.hooks import Hook

_TAG = re.compile(r'(?:W/)?"(\d{1,19}-\d{1,9})"', re.ASCII)  # a proxy that compresses makes tags weak
HEADER = "If-Match"


class EditGuard(Protocol):
    """What knows the states of things: the audit. `changes` are `{entity, name, action, changes, actor, at}` each."""

    def covers(self, model: type[models.Model]) -> bool:
        """Whether states of such things are known."""

    def state_of(self, things: Sequence[models.Model]) -> str:
        """Return the state of things of one kind, with their parts: two numbers with a hyphen between."""

    def lock(self, things: Sequence[models.Model]) -> None:
        """Let nobody else change the things by this way until the transaction ends."""

    def changes_since(self, things: Sequence[models.Model], state: str) -> list[dict[str, Any]]:
        """Return what was changed since a state, oldest first."""

    def tell_changes(self, things: Sequence[models.Model], state: str) -> list[str]:
        """Return the same in sentences."""

    def tell_deletion(self, model: type[models.Model], pk: Any) -> str:
        """Return who deleted a thing and when, as a sentence; empty where nobody did."""


# The one guard. Registered by the room that keeps what was changed.
guards: Hook[EditGuard] = Hook(key=lambda guard: "guard")


@dataclass(frozen=True)
class Expected:
    """The state that somebody read; None where any will do."""

    state: str | None


def read_if_match(header: str | None) -> Expected | None:
    """Return what an `If-Match` expects, None where there is none. Raises ValidationFailed."""
    if header is None:
        return None
    text = header.strip()
    if text == "*":
        return Expected(None)
    found = _TAG.fullmatch(text)
    if found is None:
        raise ValidationFailed({HEADER: _("Must be the ETag of an answer.")})
    return Expected(found[1])


def tag_of(*things: models.Model) -> str | None:
    """Return the ETag of a thing, or of several of one kind; None of what has none."""
    for guard in guards:
        if things and guard.covers(type(things[0])):
            return f'"{guard.state_of(things)}"'
    return None


def check(thing: models.Model, expected: Expected | None) -> None:
    """Lock a thing, and raise EditConflict when it was changed since the expected state (inside a transaction)."""
    check_all([thing], expected)


def check_all(things: Sequence[models.Model], expected: Expected | None) -> None:
    """Do so for several things of one kind, whose state was read together."""
    if expected is None or expected.state is None or not things:
        return
    for guard in guards:
        if guard.covers(type(things[0])):
            guard.lock(things)
            if guard.state_of(things) != expected.state:
                named = ", ".join(map(str, things))
                raise EditConflict(name=named, changes=guard.changes_since(things, expected.state))


def tell_changes(things: Sequence[models.Model], expected: Expected) -> list[str]:
    """Return what was changed since an expected state, in sentences, oldest first."""
    return [told for guard in guards for told in guard.tell_changes(things, expected.state or "")]


def tell_deletion(model: type[models.Model], pk: Any) -> str:
    """Return who deleted a thing and when, as a sentence; empty where nobody did."""
    return " ".join(guard.tell_deletion(model, pk) for guard in guards if guard.covers(model))
