"""Who is writing: what the trigger of tracked tables (`mes.platform.database.tracking`) reads beside each change.

It is told to the database by `set_config(…, true)`, which ends with the transaction: were it told to the session, a
kept connection would sign the next person's change. It is told before each statement that writes a tracked table, and
before no other: readings, machine events and status reports run no statement for it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from mes.platform import request_ids
from mes.platform.database.tracking import tracked

SETTING = "linekeeper.audit"
SHORTEST_REASON, LONGEST_REASON = 3, 500  # characters


class ActorKind(TextChoices):
    """What somebody is who changes something."""

    PERSON = "PERSON", _("Person")
    TOKEN = "TOKEN", _("Token")
    SYSTEM = "SYSTEM", _("System")
    DATABASE = "DATABASE", _("User of the database")


class Via(TextChoices):
    """The way by which a change came."""

    PAGE = "PAGE", _("Page")
    ADMIN = "ADMIN", _("Administration")
    API = "API", _("Interface")
    TASK = "TASK", _("Task")
    DATABASE = "DATABASE", _("Database")


@dataclass
class Authorship:
    """Who writes, by which way and why. `find_actor` is asked when something tracked is written, not before."""

    find_actor: Callable[[], tuple[str, ActorKind]]
    via: Via
    reason: str = ""


_current: ContextVar[Authorship | None] = ContextVar("authorship", default=None)


@contextmanager
def signed_by(authorship: Authorship) -> Iterator[Authorship]:
    """Have what is written within the block signed so."""
    token = _current.set(authorship)
    try:
        yield authorship
    finally:
        _current.reset(token)


def by_system() -> Authorship:
    """Return the authorship of what happens by the clock."""
    return Authorship(lambda: ("", ActorKind.SYSTEM), Via.TASK)


def sign_process() -> None:
    """Have all that this process writes signed as the system's, where nothing else is said."""
    _current.set(by_system())


def give_reason(reason: str) -> None:
    """Keep why something is changed, beside each change of the request from now on. Blank says nothing."""
    authorship = _current.get()
    if authorship is not None and reason.strip():
        authorship.reason = reason.strip()[:LONGEST_REASON]


def sign(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Wrap every statement of a connection: one that writes a tracked table is told who writes."""
    authorship = _current.get()
    if authorship is None or not isinstance(sql, str) or not writes_tracked(sql):
        return execute(sql, params, many, context)
    connection = context["connection"]
    if connection.in_atomic_block:
        tell(connection, authorship)
        return execute(sql, params, many, context)
    with transaction.atomic(using=connection.alias):
        tell(connection, authorship)
        return execute(sql, params, many, context)


def tell(connection: Any, authorship: Authorship) -> None:
    """Tell the database who writes, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, document(authorship)])


def document(authorship: Authorship) -> str:
    """Return what the trigger reads."""
    actor, kind = authorship.find_actor()
    told = {
        "actor": actor,
        "actorKind": kind.value,
        "via": authorship.via.value,
        "requestId": request_ids.current(),
        "reason": authorship.reason,
    }
    return msgspec.json.encode(told).decode()


@lru_cache(maxsize=512)
def writes_tracked(sql: str) -> bool:
    """Whether a statement writes a tracked table, also in a part of it, and not only columns that are left out."""
    found = _pattern(frozenset(thing.table for thing in tracked)).search(sql)
    if found is None:
        return False
    left_out = next(thing.left_out for thing in tracked if thing.table == found[1].lower())
    update = _UPDATE.match(sql)
    return update is None or not set(_ASSIGNED.findall(update[1])) <= set(left_out)


# Updates as Django writes them. What stands like a column in a value counts as one: then it is told in vain.
_UPDATE = re.compile(r'UPDATE "\w+" SET (.*?)(?: WHERE |$)', re.S)
_ASSIGNED = re.compile(r'"(\w+)" = ')


@lru_cache(maxsize=4)
def _pattern(tables: frozenset[str]) -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, tables))) or r"(?!)"
    verbs = r"INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO"
    return re.compile(rf'\b(?:{verbs})\s+"?({names})"?(?![\w.])', re.I)
