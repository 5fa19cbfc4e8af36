"""Where a lower room calls a higher one, which it must not import."""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Hook(Generic[T]):
    """What other rooms have added to this one, in order of registration.

    The room that offers a hook says beside it what is added, when it is called and under which locks. Others register
    in their `AppConfig.ready()`. Registered again, a thing is there once; with a `key`, of things of the same key the
    latest counts.
    """

    def __init__(self, *, key: Callable[[T], Hashable] | None = None) -> None:
        self._key = key
        self._registered: dict[Hashable, T] = {}

    def register(self, *things: T) -> None:
        """Add things, such as functions to be called."""
        for thing in things:
            self._registered[self._key(thing) if self._key else thing] = thing

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._registered.values()))

    def __bool__(self) -> bool:
        return bool(self._registered)
