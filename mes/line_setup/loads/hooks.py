"""What rooms beside may do as slots change."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from mes.platform.hooks import Hook


@dataclass(frozen=True)
class Change:
    """Loads that began, ended or are told differently since `since`, by the ids of what they concern."""

    since: datetime
    stations: Collection[int] = field(default=())
    lines: Collection[int] = field(default=())
    lots: Collection[int] = field(default=())
    tools: Collection[int] = field(default=())
    loads: Collection[int] = field(default=())


# loads_changed(change): called in the transaction that changed what slots hold, under the locks of the set-up and of
# the lots and tools, after all was written.
loads_changed: Hook[Callable[[Change], None]] = Hook()


def tell(change: Change) -> None:
    """Call what is registered."""
    for listener in loads_changed:
        listener(change)


# watch(lot_ids, tool_ids, since): called in the transaction of a correction, under its locks, before anything is
# written; returns a function that is called after all was written and says of how many units it is told now that they
# have one of these lots or tools (gained), and of how many no more (lost).
Watch = Callable[[Collection[int], Collection[int], datetime], Callable[[], tuple[int, int]]]
correction_watchers: Hook[Watch] = Hook()
