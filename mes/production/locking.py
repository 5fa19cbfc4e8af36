"""Runs and units locked in the one order: the run before its units, several in key order. One statement.

What is read to decide comes in a statement of its own after this one: a statement that had to wait for a row lock still
sees the other tables as they were before it waited.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import OperationalError, transaction
from django.db.models import QuerySet
from psycopg.errors import DeadlockDetected

from mes.platform.database.prepared import as_json, fetch_all
from mes.production.models import Unit

P = ParamSpec("P")
T = TypeVar("T")
MOST_OUTDATED = 20
MOST_DEADLOCKS = 3

# A run is held shared, so that its status stands still while units enter it, and exclusively where the entry may change
# it: it starts with its first track, or gets a unit that nobody registered.
#
# Arrays, not joins: the plan is made once, perhaps while the tables are small, and must find rows by index for ever.
_CTES = """
    named AS MATERIALIZED (
        SELECT id, run_id FROM mes_unit
         WHERE sn = ANY(ARRAY(SELECT jsonb_array_elements_text(%(sns)s::jsonb))) {gate}
    ), affected AS MATERIALIZED (
        SELECT id, status IN ('PREP', 'AUTHORIZED') OR (
                   run_no = %(run_no)s::text AND NOT units_registered
                   AND jsonb_array_length(%(sns)s::jsonb) > (SELECT count(run_id) FROM named)) AS may_change
          FROM mes_run
         WHERE id = ANY(ARRAY(SELECT run_id FROM named
                              UNION ALL SELECT id FROM mes_run WHERE run_no = %(run_no)s::text {gate}))
    ), changing AS MATERIALIZED (
        SELECT id FROM mes_run WHERE id = ANY(ARRAY(SELECT id FROM affected WHERE may_change))
         ORDER BY id FOR NO KEY UPDATE
    ), entered AS MATERIALIZED (
        SELECT id FROM mes_run
         WHERE id = ANY(ARRAY(SELECT id FROM affected)) AND (SELECT count(*) FROM changing) >= 0
         ORDER BY id FOR SHARE
    ), locked AS MATERIALIZED (
        SELECT id FROM mes_unit
         WHERE id = ANY(ARRAY(SELECT id FROM named)) AND (SELECT count(*) FROM entered) >= 0
         ORDER BY id FOR NO KEY UPDATE
    )
"""
_LOCKED = ", ".join(f"(SELECT array_agg(id) FROM {rows})" for rows in ("entered", "changing", "locked"))
LOCK = f"WITH {_CTES.format(gate='')} SELECT {_LOCKED}"


class Outdated(OperationalError):
    """State changed before the locks were taken; restart the transaction.

    After `MOST_OUTDATED` restarts the caller is answered TRY_AGAIN, as after a deadlock.
    """


def atomically(action: Callable[P, T]) -> Callable[P, T]:
    """Run a function in a transaction that is restarted when it raises Outdated or loses a deadlock.

    Deadlocks are rare: two events name two runs crosswise, and one run starts between them. PostgreSQL notices one
    after a second, so few are tolerated.
    """

    @wraps(action)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        restarts_left = {Outdated: MOST_OUTDATED, DeadlockDetected: MOST_DEADLOCKS}
        while True:
            try:
                with transaction.atomic():
                    return action(*args, **kwargs)
            except OperationalError as error:
                kind = Outdated if isinstance(error, Outdated) else type(error.__cause__)
                if not restarts_left.get(kind):
                    raise
                restarts_left[kind] -= 1

    return run


@dataclass(frozen=True, slots=True)
class Locked:
    """The ids of the rows that a transaction holds; `changing` are the runs held exclusively."""

    runs: frozenset[int]
    changing: frozenset[int]
    units: frozenset[int]

    def check(self, *, unit_ids: Iterable[int], run_ids: Iterable[int]) -> None:
        """Raise Outdated unless these units and runs are held."""
        if not (self.units.issuperset(unit_ids) and self.runs.issuperset(run_ids)):
            raise Outdated


def lock_units(units: QuerySet[Unit]) -> list[Unit]:
    """Return units with their rows locked, in the order of their ids (inside a transaction).

    Whoever changes units without their runs locks them by this, all at once.
    """
    return list(units.select_for_update(no_key=True, of=("self",)).order_by("pk"))


NOTHING = Locked(frozenset(), frozenset(), frozenset())


def claim_and_lock(claim: str) -> str:
    """Return a statement that locks only where `claim`, an INSERT with RETURNING, inserts; its first column says so."""
    gated = _CTES.format(gate="AND EXISTS (SELECT FROM claimed)")
    return f"WITH claimed AS ({claim}), {gated} SELECT EXISTS (SELECT FROM claimed), {_LOCKED}"


def parameters(sns: Sequence[str], run_no: str | None) -> dict[str, Any]:
    """Return the parameters of `LOCK`; no serial number twice."""
    return {"sns": as_json(sns), "run_no": run_no}


def lock(sns: Sequence[str], *, run_no: str | None = None) -> Locked:
    """Lock the runs of these units, the named run, and the units, as far as they exist (inside a transaction)."""
    return as_locked(fetch_all(LOCK, parameters(sns, run_no))[0])


def as_locked(row: Sequence[list[int] | None]) -> Locked:
    """Return what the last three columns of a locking statement say."""
    return Locked(*(frozenset(ids or ()) for ids in row[-3:]))
