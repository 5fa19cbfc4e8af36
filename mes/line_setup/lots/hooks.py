"""What rooms beside may do as lots change."""

from collections.abc import Callable, Collection

from mes.platform.hooks import Hook

# lots_changed(lot_ids): the status, material, expiry or floor life of these lots changed. Called once for each change,
# inside its transaction, under the locks of the lots and after all was written.
lots_changed: Hook[Callable[[Collection[int]], None]] = Hook()


def tell(lot_ids: Collection[int]) -> None:
    """Call what is registered."""
    for change in lots_changed:
        change(lot_ids)
