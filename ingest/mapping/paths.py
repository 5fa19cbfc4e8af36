"""What paths find in an event, or in an item of it. Pure, but for the time where nobody says when it came."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from mes import errors
from mes.platform.inbound.sources import NO_CORRECTION, SourceClock
from mes.routing.paths import Interpreters, Path

_NOT_EVALUATED = object()


class _Failure:
    """What is kept of a path that could not be applied: it fails in the same words whenever it is asked for."""

    __slots__ = ("problems", "refusal")

    def __init__(self, error: errors.IngestPayloadInvalid) -> None:
        self.refusal = type(error)
        self.problems: Sequence[str] = error.details["problems"]

    def error(self) -> errors.IngestPayloadInvalid:
        """Return the refusal, to be raised anew."""
        return self.refusal(problems=list(self.problems))


class EventDocument:
    """An event as mappings see it (null is absent). A path is evaluated in it once, whichever mappings name it.

    What a path costs in the event and in all its items counts together; each path for itself, so that one that costs
    too much spoils no other. What times in it mean, `received_at` (without one: now) and the clock of its source tell;
    `present_sns` are the present serial numbers of units that it names by earlier ones.
    """

    __slots__ = ("_found", "_interpreters", "clock", "fields", "present_sns", "received_at")

    def __init__(
        self, fields: Mapping[str, Any], *, received_at: datetime | None = None, clock: SourceClock = NO_CORRECTION
    ) -> None:
        self.fields = fields
        self.received_at = received_at or timezone.now()
        self.clock = clock
        self.present_sns: Mapping[str, str] = {}
        self._found: dict[Any, Any] = {}
        self._interpreters: Interpreters = {}

    def present(self, sn: str) -> str:
        """Return the present serial number of a unit that is named by an earlier one."""
        return self.present_sns.get(sn, sn)

    def find_excess(self) -> errors.IngestPayloadInvalid | None:
        """Return the refusal of a path that cost too much in the event; None when there was none."""
        failures = (found for found in self._found.values() if isinstance(found, _Failure))
        return next((it.error() for it in failures if it.refusal is errors.IngestMappingTooCostly), None)

    def search(self, path: Path) -> Any:
        """Return what a path finds in the event. Raises IngestPayloadInvalid."""
        found = self._found.get(path, _NOT_EVALUATED)
        if found is _NOT_EVALUATED:
            try:
                found = self.search_in(self.fields, path)
            except errors.IngestPayloadInvalid as error:
                found = _Failure(error)
            self._found[path] = found
        return _unless_failed(found)

    def search_in(self, item: Any, path: Path) -> Any:
        """Return what a path finds in an item of the event. Raises IngestPayloadInvalid."""
        return path.search(item, self._interpreters)

    def find_at(self, root: Any, path: Path) -> Any:
        """Return what a path finds in an item, or in the event itself: there it is evaluated once. Raises
        IngestPayloadInvalid.
        """
        return self.search(path) if root is self.fields else self.search_in(root, path)

    def search_once(self, item: Any, path: Path) -> Any:
        """Return what a path finds in an item of a list that `list_at` returned, where it is asked for more than once.
        Raises IngestPayloadInvalid.
        """
        key = (id(item), path)  # those lists are kept with what was found, and with them their items
        found = self._found.get(key, _NOT_EVALUATED)
        if found is _NOT_EVALUATED:
            try:
                found = self.search_in(item, path)
            except errors.IngestPayloadInvalid as error:
                found = _Failure(error)
            self._found[key] = found
        return _unless_failed(found)

    def text_in(self, item: Any, path: Path | None) -> str | None:
        """Return the text that a path finds in an item of the event. Raises IngestPayloadInvalid."""
        return None if path is None else as_text(self.search_in(item, path))

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
                found = [self.text_in(item, path) for item in self.list_at(items_path)]
            except errors.IngestPayloadInvalid as error:
                found = _Failure(error)
            self._found[key] = found
        return _unless_failed(found)


def _unless_failed(found: Any) -> Any:
    if isinstance(found, _Failure):
        raise found.error()
    return found


def invalid(*problems: str) -> errors.IngestPayloadInvalid:
    """Return the refusal of a payload that the mapping does not fit."""
    return errors.IngestPayloadInvalid(problems=list(problems))


def as_text(found: Any) -> str | None:
    """Return what was found as a text; numbers that name something are taken as they are written."""
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) and found else None


def is_same(found: Any, word: Any) -> bool:
    """Compare without coercion: true is not 1, "1" is not 1."""
    return isinstance(found, bool) == isinstance(word, bool) and found == word and found is not None
