"""Telling others, after the commit, that a unit moved. Events that overtook each other wait for this."""

from collections.abc import Callable

import structlog
from django.db import transaction

logger = structlog.get_logger(__name__)

Listener = Callable[[int], None]
_listeners: list[Listener] = []


def register_listener(listener: Listener) -> None:
    """Have `listener(unit_id)` called after the commit of each move. It is help, not the only way: it may be missed
    when the process dies, so a listener needs a task that catches up.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def announce(unit_id: int) -> None:
    """Call the listeners once the present transaction is committed."""
    if _listeners:
        transaction.on_commit(lambda: _tell(unit_id))


def _tell(unit_id: int) -> None:
    for listener in _listeners:
        try:
            listener(unit_id)
        except Exception:  # the move is committed; what follows from it must not turn it into an error
            logger.exception("listener failed", unit_id=unit_id)
