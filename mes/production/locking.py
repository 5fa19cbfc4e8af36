"""Locks in one order, and runs with their units locked in one statement.

Whoever locks several things locks them in this order, several of a kind in the order of their ids and each once; what
decides is read again after the lock. Two that wait for each other would else end in a deadlock:

1. the key of a message, or the events of the outbox that are handled together
2. line
3. runs
4. the set-up of the lines, and of stations on none (advisory, `line_setup.loads.locks`)
5. units; then what keeps serial numbers apart (advisory, by triggers: whoever makes units shares it, whoever relabels
   has it alone); then those that are yet to be made, in the order of their serial numbers
6. an approval, then what it is about where that has a row of its own (a deviation)
7. carriers, each after the units on it
8. holds
   (with them, where sampling of a lot's product stands: who holds that waits for nobody)
9. lots and tools: stencils, lots of solder paste, machines' counters
   then whether stations are set up for runs (`set_up_lists.goodness`)
10. the clocks of a unit or lot (advisory, `time_rules.services`)
11. work orders

The gate of authorization also locks machines, prep policies and the first article of its run: nobody who holds one of
these waits for more. The key of device data is claimed by the statement that writes it, after the units: nobody who
holds such a key waits for a unit. Who takes what others leave (`SKIP LOCKED`) waits for nobody, in whatever order.

What is read to decide comes in a statement of its own after these: a statement that had to wait for a row lock still
sees the other tables as they were before it waited.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from random import uniform
from time import sleep
from typing import Any, ParamSpec, TypeVar

from django.db import OperationalError, transaction
from django.db.models import QuerySet
from psycopg.errors import DeadlockDetected

from mes.platform.database.prepared import as_json, fetch_all
from mes.production.active_runs import Moment, run_id_at
from mes.production.models import Unit
from mes.production.names import find_present, named

P = ParamSpec("P")
T = TypeVar("T")
MOST_OUTDATED = 20
MOST_DEADLOCKS = 3
PAUSE = (0.05, 0.2)  # seconds, at random: of two that lost, one comes first

# A run is held shared, so that its status stands still while units enter it, and exclusively where the entry may change
# it: it starts with its first track, or gets a unit that nobody registered. `runs` locks one after the other, each
# once: the laterals are carried out for each run in the order of the ids.
#
# Arrays, not joins: the plan is made once, perhaps while the tables are small, and must find rows by index for ever.
_CTES = """
    named AS MATERIALIZED (
        SELECT id, run_id FROM mes_unit
         WHERE sn = ANY(ARRAY(SELECT jsonb_array_elements_text(%(sns)s::jsonb))) {gate}
    ), taking AS MATERIALIZED (
        SELECT coalesce(%(run_no)s::text, CASE
                   WHEN %(at)s::timestamptz IS NOT NULL
                        AND jsonb_array_length(%(sns)s::jsonb) > (SELECT count(run_id) FROM named)
                   THEN (SELECT run_no FROM mes_run WHERE id = {active})
               END) AS run_no
    ), affected AS MATERIALIZED (
        SELECT id, status IN ('PREP', 'AUTHORIZED') OR coalesce(
                   run_no = (SELECT run_no FROM taking) AND NOT units_registered
                   AND jsonb_array_length(%(sns)s::jsonb) > (SELECT count(run_id) FROM named), false) AS may_change
          FROM mes_run
         WHERE id = ANY(ARRAY(SELECT run_id FROM named
                              UNION ALL SELECT id FROM mes_run
                                        WHERE run_no = (SELECT run_no FROM taking) {gate}))
         ORDER BY id
    ), runs AS MATERIALIZED (
        SELECT affected.id, changing.id IS NOT NULL AS may_change
          FROM affected
          LEFT JOIN LATERAL (
            SELECT id FROM mes_run WHERE id = affected.id AND affected.may_change FOR NO KEY UPDATE
          ) changing ON true
          LEFT JOIN LATERAL (
            SELECT id FROM mes_run WHERE id = affected.id AND NOT affected.may_change FOR SHARE
          ) entered ON true
         WHERE coalesce(changing.id, entered.id) IS NOT NULL
    ), units AS MATERIALIZED (
        SELECT id FROM mes_unit
         WHERE id = ANY(ARRAY(SELECT id FROM named)) AND (SELECT count(*) FROM runs) >= 0
         ORDER BY id FOR NO KEY UPDATE
    )
"""
_LOCKED = ", ".join(f"(SELECT array_agg(id) FROM {rows})" for rows in ("runs", "runs WHERE may_change", "units"))
_ACTIVE = run_id_at("%(station)s::text", "%(at)s::timestamptz")
LOCK = f"WITH {_CTES.format(gate='', active=_ACTIVE)} SELECT {_LOCKED}"


class Outdated(OperationalError):
    """State changed before the locks were taken; restart the transaction.

    After `MOST_OUTDATED` restarts the caller is answered TRY_AGAIN, as after a deadlock.
    """


def atomically(action: Callable[P, T]) -> Callable[P, T]:
    """Run a function in a transaction that is restarted when it raises Outdated or loses a deadlock.

    A deadlock is with somebody who keeps to no order, such as a statement of an administrator. PostgreSQL notices one
    after a second, so few are tolerated. Whoever lost one waits a moment before it starts again: else it may take the
    lock that it gave up before the other has woken to take it, and the two meet anew.
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
                if kind is DeadlockDetected:
                    sleep(uniform(*PAUSE))

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

    Whoever changes units without their runs locks them by this, once and all at once. The queryset selects them by what
    does not change, or by what is checked afterwards.
    """
    return list(units.select_for_update(no_key=True, of=("self",)).order_by("pk"))


def lock_named_units(sns: Sequence[str]) -> list[Unit]:
    """Return units with their rows locked, as they are named, by present or earlier serial numbers.

    Raises UnitNotFound, SnUnreadable for one unknown, SnIsReference.
    """
    return list(dict.fromkeys(lock_units_by_sn(sns).values()))


def lock_units_by_sn(sns: Sequence[str]) -> dict[str, Unit]:
    """Return units with their rows locked, by the serial numbers that name them. Raises as `lock_named_units` does."""
    by_sn = {unit.sn: unit for unit in lock_units(Unit.objects.filter(named(sns)))}
    units: dict[str, Unit] = {}
    for sn in sns:
        present = sn if sn in by_sn else find_present(sn)
        if present not in by_sn:  # relabelled at this moment
            raise Outdated
        units[sn] = by_sn[present]
    return units


NOTHING = Locked(frozenset(), frozenset(), frozenset())


def claim_and_lock(claim: str) -> str:
    """Return a statement that locks only where `claim`, an INSERT with RETURNING, inserts; its first column says so."""
    gated = _CTES.format(gate="AND EXISTS (SELECT FROM claimed)", active=_ACTIVE)
    return f"WITH claimed AS ({claim}), {gated} SELECT EXISTS (SELECT FROM claimed), {_LOCKED}"


def parameters(sns: Sequence[str], run_no: str | None, moment: Moment | None = None) -> dict[str, Any]:
    """Return the parameters of `LOCK`; no serial number twice."""
    station, at = (None, None) if moment is None or run_no is not None else moment
    return {"sns": as_json(sns), "run_no": run_no, "station": station, "at": at}


def lock(sns: Sequence[str], *, run_no: str | None = None, moment: Moment | None = None) -> Locked:
    """Lock the runs of these units, the named run, and the units, as far as they exist (inside a transaction).

    Where no run is named and not all units are in one, the run that was active at that `moment` may take the others.
    """
    return as_locked(fetch_all(LOCK, parameters(sns, run_no, moment))[0])


def as_locked(row: Sequence[list[int] | None]) -> Locked:
    """Return what the last three columns of a locking statement say."""
    return Locked(*(frozenset(ids or ()) for ids in row[-3:]))
