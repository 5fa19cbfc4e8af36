"""Who is told when clocks expire, and when what their expiry stopped is free again.

Any app registers in its `AppConfig.ready()`. Listeners are called inside the transaction that changes the clocks, with
all of them at once; they may be called again for the same clocks. They must not raise, and take no lock of a run or
unit: who holds those may be waiting for the clocks.
"""

from collections.abc import Callable, Sequence

from mes.time_rules.models import TimeRuleInstance

Listener = Callable[[Sequence[TimeRuleInstance]], None]
_expired: list[Listener] = []
_lifted: list[Listener] = []


def register_listener(*, expired: Listener | None = None, lifted: Listener | None = None) -> None:
    """Have `expired(instances)` called when clocks expire, `lifted(instances)` when an expiry no longer blocks.

    It no longer blocks when the end turned out to be in time, came late, was acknowledged, or the unit was scrapped.
    """
    if expired and expired not in _expired:
        _expired.append(expired)
    if lifted and lifted not in _lifted:
        _lifted.append(lifted)


def tell_expired(instances: Sequence[TimeRuleInstance]) -> None:
    """Tell the listeners that these clocks expired."""
    if instances:
        for listener in _expired:
            listener(instances)


def tell_lifted(instances: Sequence[TimeRuleInstance]) -> None:
    """Tell the listeners that the expiry of these clocks no longer blocks."""
    if instances:
        for listener in _lifted:
            listener(instances)
