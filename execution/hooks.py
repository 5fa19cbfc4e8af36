"""Hooks for other rooms: what runs after a unit has moved."""

from collections.abc import Callable

import structlog
from django.db import transaction

from mes.platform.hooks import Hook

logger = structlog.get_logger(__name__)

# listener(unit_id): called after the commit of each move, hold and scrapping of a unit, under no lock. It may be missed
# when the process dies, so a listener needs a task that catches up.
unit_moved: Hook[Callable[[int], None]] = Hook()


def announce(unit_id: int) -> None:
    """Call the listeners once the present transaction is committed."""
    if unit_moved:
        transaction.on_commit(lambda: _call_listeners(unit_id))


def _call_listeners(unit_id: int) -> None:
    for listener in unit_moved:
        try:
            listener(unit_id)
        except Exception:  # the move is committed; what follows from it must not turn it into an error
            logger.exception("listener failed", unit_id=unit_id)
