"""Hooks for other rooms: what runs when clocks expire or stop blocking, and who knows when units were scrapped.

Those of clocks are called inside the transaction that changes the clocks, with all of them at once; they may be called
again for the same clocks. They must not raise, and take no lock of a run or unit: who holds those may be waiting for
the clocks.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from mes.platform.hooks import Hook
from mes.time_rules.models import TimeRuleInstance

Listener = Callable[[Sequence[TimeRuleInstance]], None]

# listener(instances): clocks that expired.
clocks_expired: Hook[Listener] = Hook()

# listener(instances): clocks whose expiry no longer blocks, because the end turned out to be in time, came late, was
# acknowledged, or the unit was scrapped.
clocks_released: Hook[Listener] = Hook()

# hold(reasons): holds units for rules that say so, by their serial numbers with the reason; their rows are locked.
holders: Hook[Callable[[Mapping[str, str]], None]] = Hook()


# find(sns): when each of these units was scrapped; without those that are not. Read by dry runs, without locks.
scrap_finders: Hook[Callable[[Collection[str]], Mapping[str, datetime]]] = Hook()


def tell_expired(instances: Sequence[TimeRuleInstance]) -> None:
    """Notify the listeners that these clocks expired."""
    if instances:
        for listener in clocks_expired:
            listener(instances)


def hold(reasons: Mapping[str, str]) -> None:
    """Have units held, whose rows are locked."""
    if reasons:
        for holder in holders:
            holder(reasons)


def tell_released(instances: Sequence[TimeRuleInstance]) -> None:
    """Notify the listeners that the expiry of these clocks no longer blocks."""
    if instances:
        for listener in clocks_released:
            listener(instances)
