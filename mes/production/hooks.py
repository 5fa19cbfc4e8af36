"""Hooks for other rooms in the life of a run: what may refuse a step of it, and what runs after one."""

from collections.abc import Callable, Iterable, Sequence

from mes.errors import DomainError
from mes.platform.hooks import Hook
from mes.production.models import Run

# gate(run, by): called at each authorization, with the run locked; raises a DomainError to refuse. What must survive
# the refusal goes into the error's `keep`.
authorization_gates: Hook[Callable[[Run, str], None]] = Hook()

# listener(unit_ids): called in the transaction that gives a run a newer version of its route, with the run and its
# units locked, once they stand at that version's first step.
units_placed: Hook[Callable[[Sequence[int]], None]] = Hook()

# listener(code): called after the commit that ends the last hold of a run, of a line or of a station, or the outgoing
# inspection of a run, under no lock, with its number or code. It may be missed when the process dies, so a listener
# needs a task that catches up.
run_went_on: Hook[Callable[[str], None]] = Hook()
line_went_on: Hook[Callable[[str], None]] = Hook()
station_went_on: Hook[Callable[[str], None]] = Hook()

# listener(run): called in the transaction that makes a run, or puts an open one on another line, once that is written.
run_placed: Hook[Callable[[Run], None]] = Hook()

# check(run): yields the refusals of closing a run, beside those that are known here. It is asked when a run is closed,
# with the run and its unfinished units locked, and by whoever looks whether it could be, without.
closing_checks: Hook[Callable[[Run], Iterable[DomainError]]] = Hook()

# listener(run): called in the transaction that ends a run, with the run locked, once its end is written. It has only
# the database.
run_ended: Hook[Callable[[Run], None]] = Hook()

# listener(run): called in the transaction that opens an ended run again, with the run and its order locked, once that
# is written. It has only the database.
run_reopened: Hook[Callable[[Run], None]] = Hook()
