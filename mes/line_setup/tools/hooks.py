"""What rooms beside may do as tools change."""

from collections.abc import Callable, Collection

from mes.platform.hooks import Hook

# tools_changed(tool_ids): what keeps these tools from being used may have changed. Called inside the transaction, under
# the locks of the tools and after all was written.
tools_changed: Hook[Callable[[Collection[int]], None]] = Hook()


def tell(tool_ids: Collection[int]) -> None:
    """Call what is registered."""
    for listener in tools_changed:
        listener(tool_ids)
