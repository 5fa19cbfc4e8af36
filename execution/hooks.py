"""Hooks for other rooms: what runs after a unit has moved, or was decided about."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import structlog
from django.db import transaction

from mes.platform.hooks import Hook

T = TypeVar("T")
logger = structlog.get_logger(__name__)

# listener(unit_id): called after the commit of each move, hold and scrapping of a unit, under no lock. It may be missed
# when the process dies, so a listener needs a task that catches up.
unit_moved: Hook[Callable[[int], None]] = Hook()

# listener(unit_ids): the same, called once for several units that were held or made together.
units_moved: Hook[Callable[[Sequence[int]], None]] = Hook()


# listener(unit_ids): called after the commit that ended what holds units, or some of it (release, rework, scrap), under
# no lock, once for all of them. It may be missed as well.
units_decided: Hook[Callable[[Sequence[int]], None]] = Hook()


# listener(unit_ids): called after the commit that put units into another run, under no lock, once for all of them. It
# may be missed as well.
units_transferred: Hook[Callable[[Sequence[int]], None]] = Hook()


def announce_transfer(unit_ids: Sequence[int]) -> None:
    """Call the listeners of transfers once the present transaction is committed."""
    if units_transferred:
        transaction.on_commit(lambda: _call(units_transferred, unit_ids))


def announce_decisions(unit_ids: Sequence[int]) -> None:
    """Call the listeners of decisions once the present transaction is committed."""
    if units_decided and unit_ids:
        transaction.on_commit(lambda: _call(units_decided, unit_ids))


def announce(unit_id: int) -> None:
    """Call the listeners once the present transaction is committed."""
    if unit_moved:
        transaction.on_commit(lambda: _call(unit_moved, unit_id))


def announce_all(unit_ids: Iterable[int]) -> None:
    """Call the listeners for several units at once, once the present transaction is committed."""
    told = list(unit_ids)
    if units_moved and told:
        transaction.on_commit(lambda: _call(units_moved, told))


def _call(listeners: Iterable[Callable[[T], None]], about: T) -> None:
    for listener in listeners:
        try:
            listener(about)
        except Exception:  # it is committed; what follows from it must not turn it into an error
            logger.exception("listener failed", unit_id=about)
