"""What higher rooms do for routes: reading the events of examples by mappings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mes.platform.hooks import Hook
from mes.routing.snapshots import StepSnapshot


@dataclass(frozen=True)
class Reading:
    """What a step makes of an event: what it extracts, or `{code}` of the refusal, with the refusal in words."""

    outcome: dict[str, Any]
    message: str = ""


# read_example(step, event): reads an event by the mapping of a step. Called when a route is compiled, under the lock of
# the route, and for previews. The same step and event give the same, whenever: no query decides, and no clock. It may
# raise, which is the failure of that example.
example_readers: Hook[Callable[[StepSnapshot, Any], Reading]] = Hook(key=lambda reader: "reader")


def read_example(step: StepSnapshot, event: Any) -> Reading:
    """Read an event by the mapping of a step."""
    [reader] = example_readers
    return reader(step, event)
