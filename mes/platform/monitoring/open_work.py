"""Work that waits for people, counted on the operations page. Any app registers its own in `AppConfig.ready()`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OpenWork:
    """One kind: `count` says how much there is (one cheap query), `link` leads to its list."""

    name: str
    label: Any  # a translated text
    count: Callable[[], int]
    link: Callable[[], str]


_kinds: dict[str, OpenWork] = {}


def register(*kinds: OpenWork) -> None:
    """Have these counted."""
    for kind in kinds:
        _kinds[kind.name] = kind


def count_all() -> list[tuple[OpenWork, int]]:
    """Return each kind with how much of it there is."""
    return [(kind, kind.count()) for kind in _kinds.values()]
