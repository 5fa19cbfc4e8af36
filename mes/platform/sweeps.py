"""Going through rows of which some may fail: a bad one stops no other, and none fails unseen."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import structlog
from django.db import InterfaceError, OperationalError, connection

logger = structlog.get_logger(__name__)

LONGEST_TEXT = 4000
NAMED = 20


class SweepIncomplete(Exception):
    """Raised at the end of a sweep in which rows failed: its scheduled task is shown as failed until one is whole."""


class Sweep:
    """A pass over rows. Each is worked on in `row`; leaving the sweep raises SweepIncomplete when any failed.

    >>> with Sweep("clocks") as sweep:
    ...     for clock in due:
    ...         with sweep.row(clock.pk), transaction.atomic():
    ...             expire(clock)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed: dict[str, str] = {}

    def __enter__(self) -> "Sweep":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self.failed:
            raise SweepIncomplete(self.describe())

    @contextmanager
    def row(self, key: object) -> Iterator[None]:
        """Go on after whatever fails in the block, and note it under `key`. A lost connection is raised."""
        try:
            yield
        except Exception as error:
            self.note(key, error)

    def note(self, key: object, error: Exception) -> None:
        """Note a row that failed. Raises the error where the connection is lost: no other row would fare better."""
        if is_connection_lost(error):
            raise error
        logger.error("a row of a sweep failed", sweep=self.name, row=str(key), exc_info=error)
        self.failed[str(key)] = describe_error(error)

    def describe(self) -> str:
        """Return which rows failed, and why, as far as there is room."""
        named = [f"{key}: {text}" for key, text in list(self.failed.items())[:NAMED]]
        more = len(self.failed) - len(named)
        return storable("\n".join([*named, *([f"… and {more} more"] if more else [])]))


def is_connection_lost(error: Exception) -> bool:
    """Whether an error left a connection by which nothing more can be sent."""
    return isinstance(error, OperationalError | InterfaceError) and not connection.is_usable()


def describe_error(error: BaseException) -> str:
    """Return the kind of an error and its text, as it can be stored."""
    return storable(f"{type(error).__name__}: {error}")


def storable(text: str) -> str:
    """Return a text that the database can keep: without NUL and lone surrogates, of limited length."""
    return text[:LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()
