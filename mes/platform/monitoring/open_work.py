"""Work that waits for people, counted on the operations page. Any app registers its own in `AppConfig.ready()`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mes.platform.hooks import Hook


@dataclass(frozen=True)
class OpenWork:
    """One kind: `count` says how much there is (one cheap query), `link` leads to its list."""

    name: str
    label: Any  # a translated text
    count: Callable[[], int]
    link: Callable[[], str]


# Counted on the operations page.
kinds: Hook[OpenWork] = Hook(key=lambda kind: kind.name)


def count_all() -> list[tuple[OpenWork, int]]:
    """Return each kind with how much of it there is."""
    return [(kind, kind.count()) for kind in kinds]
