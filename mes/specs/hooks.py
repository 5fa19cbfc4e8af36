"""What rooms above add to specs."""

from collections.abc import Callable
from typing import Any

from mes.platform.hooks import Hook
from mes.specs.models import DataCollectionSpec
from mes.specs.usage import Usage

# find_usage(spec) → where it is used: routes, versions, runs, preparations. There is one; called by the form of a spec,
# under no lock.
usage_finders: Hook[Callable[[DataCollectionSpec], Usage]] = Hook(key=lambda find_usage: "usage")

# draw(spec) → how the kept values of a NUMBER spec lie: `{count, low, high, bins, below, above}`. There is one; called
# by the form of a spec, under no lock.
value_drawers: Hook[Callable[[DataCollectionSpec], dict[str, Any]]] = Hook(key=lambda draw: "values")


def find_usage(spec: DataCollectionSpec) -> Usage:
    """Return where a spec is used; nowhere where nobody tells."""
    for find in usage_finders:
        return find(spec)
    return Usage()


def draw_values(spec: DataCollectionSpec) -> dict[str, Any]:
    """Return how the kept values of a NUMBER spec lie; none where nobody keeps any."""
    for draw in value_drawers:
        return draw(spec)
    return {"count": 0, "low": None, "high": None, "bins": [], "below": 0, "above": 0}
