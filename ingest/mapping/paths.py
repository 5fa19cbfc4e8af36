"""What paths find in an event, or in an item of it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from mes import errors
from mes.routing.paths import Path

_NOT_EVALUATED = object()


class _Failure:
    """What is kept of a path that could not be applied: it fails in the same words whenever it is asked for."""

    __slots__ = ("problems",)

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = problems


class EventDocument:
    """An event as mappings see it (null is absent). A path is evaluated in it once, whichever mappings name it."""

    __slots__ = ("_found", "fields")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self._found: dict[Any, Any] = {}

    def search(self, path: Path) -> Any:
        """Return what a path finds in the event. Raises IngestPayloadInvalid."""
        found = self._found.get(path, _NOT_EVALUATED)
        if found is _NOT_EVALUATED:
            try:
                found = path.search(self.fields)
            except errors.IngestPayloadInvalid as error:
                found = _Failure(error.details["problems"])
            self._found[path] = found
        return _unless_failed(found)

    def text_at(self, path: Path | None) -> str | None:
        """Return the text that a path finds in the event. Raises IngestPayloadInvalid."""
        return None if path is None else as_text(self.search(path))

    def list_at(self, path: Path) -> list[Any]:
        """Return the list that a path finds in the event, else none. Raises IngestPayloadInvalid."""
        found = self.search(path)
        return found if isinstance(found, list) else []

    def texts_at_items(self, items_path: Path, path: Path | None) -> list[str | None]:
        """Return the text that a path finds in each item of a list. Raises IngestPayloadInvalid."""
        key = (items_path, path)
        found = self._found.get(key, _NOT_EVALUATED)
        if found is _NOT_EVALUATED:
            try:
                found = [text_at(path, item) for item in self.list_at(items_path)]
            except errors.IngestPayloadInvalid as error:
                found = _Failure(error.details["problems"])
            self._found[key] = found
        return _unless_failed(found)


def _unless_failed(found: Any) -> Any:
    if isinstance(found, _Failure):
        raise invalid(*found.problems)
    return found


def invalid(*problems: str) -> errors.IngestPayloadInvalid:
    """Return the refusal of a payload that the mapping does not fit."""
    return errors.IngestPayloadInvalid(problems=list(problems))


def as_text(found: Any) -> str | None:
    """Return what was found as a text; numbers that name something are taken as they are written."""
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) and found else None


def text_at(path: Path | None, item: Any) -> str | None:
    """Return the text that a path finds in an item. Raises IngestPayloadInvalid."""
    return None if path is None else as_text(path.search(item))


def is_same(found: Any, word: Any) -> bool:
    """Compare without coercion: true is not 1, "1" is not 1."""
    return isinstance(found, bool) == isinstance(word, bool) and found == word and found is not None
