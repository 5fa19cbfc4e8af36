"""Going through rows of which some may fail: a bad one stops no other, and none fails unseen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection

logger = structlog.get_logger(__name__)

LONGEST_TEXT = 4000
NAMED = 20


class SweepIncomplete(Exception):
    """Raised at the end of a sweep in which rows failed: its scheduled task is shown as failed until one is whole."""


class Batch:
    """Some rows of a sweep, worked on together: at most `size`, none of those in `excluded`.

    Whoever takes rows notes their `keys` before it works on them. An error in the block ends the batch, not the sweep.
    """

    def __init__(self, size: int, excluded: Sequence[Any]) -> None:
        self.size = size
        self.excluded = excluded
        self.keys: Sequence[Any] = ()
        self.error: Exception | None = None

    @property
    def done(self) -> int:
        """How many rows were worked on."""
        return 0 if self.error else len(self.keys)

    def __enter__(self) -> "Batch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


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

    def batches(self, *, size: int, most: int | None = None, most_bad: int | None = None) -> Iterator[Batch]:
        """Yield batches until one takes no rows. One that fails is taken again by halves, until the bad row is alone:
        it is noted and left out, and the batches grow again.

        `most` limits the batches; of more than `most_bad` bad rows, the error is raised, and so is that of a batch that
        failed before it took any.

        >>> for batch in sweep.batches(size=200):
        ...     with batch, transaction.atomic():
        ...         rows = list(due.exclude(pk__in=batch.excluded).select_for_update(skip_locked=True)[: batch.size])
        ...         batch.keys = [row.pk for row in rows]
        ...         expire(rows)
        """
        bad: list[Any] = []
        wanted, suspected = size, 0  # rows of the next batch, and of those to come that a bad one is among
        for _number in count() if most is None else range(most):
            batch = Batch(wanted, tuple(bad))
            yield batch
            taken = len(batch.keys)
            if batch.error is None:
                if not taken:
                    return
                suspected = max(0, suspected - taken)
                wanted = suspected // 2 or 1 if suspected else min(size, wanted * 2)
                continue
            if not taken or is_connection_lost(batch.error) or len(bad) == most_bad:
                raise batch.error
            if taken == 1:
                self.note(batch.keys[0], batch.error)
                bad.extend(batch.keys)
            suspected = taken if taken > 1 else 0
            wanted = taken // 2 or 1

    def note(self, key: object, error: Exception) -> None:
        """Note a row that failed. Raises the error where the connection is lost: no other row would fare better."""
        if is_connection_lost(error):
            raise error
        logger.error("a row of a sweep failed", sweep=self.name, row=str(key), exc_info=error)
        self.failed[str(key)] = describe_error(error)

    def describe(self) -> str:
        """Return which rows failed, and why, as far as there is room."""
        named = [f"{key}: {text}" for key, text in list(self.failed.items())[:NAMED]]
        more = [f"… and {len(self.failed) - NAMED} more"] if len(self.failed) > NAMED else []
        return storable("\n".join([*named, *more]))


def is_connection_lost(error: Exception) -> bool:
    """Whether an error left a connection by which nothing more can be sent."""
    return isinstance(error, OperationalError | InterfaceError) and not connection.is_usable()


def describe_error(error: BaseException) -> str:
    """Return the kind of an error and its text, as it can be stored."""
    return storable(f"{type(error).__name__}: {error}")


def storable(text: str) -> str:
    """Return a text that the database can keep: without NUL and lone surrogates, of limited length."""
    return text[:LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()
