"""Who is told when a run has ended. Feedback to other systems and others hang in here from their own apps."""

from collections.abc import Callable

from mes.production.models import Run

Listener = Callable[[Run], None]
_listeners: list[Listener] = []


def register_ending_listener(listener: Listener) -> None:
    """Have `listener(run)` called in the transaction that ends a run, once it is written; it has only the database."""
    if listener not in _listeners:
        _listeners.append(listener)


def tell(run: Run) -> None:
    """Tell all listeners that the locked run has ended."""
    for listener in _listeners:
        listener(run)
