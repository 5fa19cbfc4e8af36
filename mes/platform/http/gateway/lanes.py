"""Threads for one kind of request, and the queue before them."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

import structlog

logger = structlog.get_logger(__name__)

Work = Callable[[], None]


class Overloaded(Exception):
    """Too much waits already, or it waited for too long. Nothing was begun."""


class Job:
    """Work that waits for a thread of its lane, and is either begun or given up."""

    __slots__ = ("_work", "done", "since")

    def __init__(self, work: Work, done: "asyncio.Future[None]") -> None:
        self.done = done
        self.since = monotonic()
        self._work = [work]

    @property
    def is_taken(self) -> bool:
        """Whether it waits no more."""
        return not self._work

    def take(self) -> Work | None:
        """Return the work to the first who asks, a thread or who gives it up; None to the second."""
        try:
            return self._work.pop()  # atomic
        except IndexError:
            return None


class Lane:
    """A fixed number of threads. They live as long as the process, and so do their connections to the database.

    At most `room` jobs wait; one that has waited for `patience` seconds is given up. What takes longer than `longest`
    seconds waits for somebody who does not answer (see `overdue`); None: anything may take its time.
    """

    def __init__(
        self, name: str, *, threads: int, room: int, patience: float = 2, longest: float | None = None
    ) -> None:
        self.name = name
        self.threads = threads
        self.room = room
        self.patience = patience
        self.longest = longest
        self.busy_since: dict[int, float] = {}  # by the ident of a thread, in seconds of `monotonic`
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._waiting: deque[Job] = deque()

    def start(self) -> None:
        """Start the threads."""
        for number in range(self.threads):
            threading.Thread(target=self._serve, name=f"{self.name}-{number + 1}", daemon=True).start()

    def stop(self) -> None:
        """Let each thread end after what it does."""
        for _ in range(self.threads):
            self._queue.put(None)

    async def run(self, work: Work) -> None:
        """Have a thread do the work. Raises Overloaded when none is free in time."""
        if self._queue.qsize() >= self.room:
            raise Overloaded
        job = Job(work, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._queue.put(job)
        await job.done

    def give_up(self) -> None:
        """Give up what has waited for too long. To be called in the loop, now and then."""
        expired = monotonic() - self.patience
        while self._waiting and (self._waiting[0].is_taken or self._waiting[0].since < expired):
            job = self._waiting.popleft()
            if job.take():
                job.done.set_exception(Overloaded())

    def overdue(self) -> list[int]:
        """Return the idents of the threads that have been at one job for longer than `longest`."""
        if self.longest is None:
            return []
        limit = monotonic() - self.longest
        return [ident for ident, since in self.busy_since.copy().items() if since < limit]

    def _serve(self) -> None:
        ident = threading.get_ident()
        while (job := self._queue.get()) is not None:
            work = job.take()
            if work is None:
                continue
            self.busy_since[ident] = monotonic()
            try:
                work()
            except BaseException:
                logger.exception("a request could not be answered", lane=self.name)
            finally:
                work = None
                del self.busy_since[ident]
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    job.done.get_loop().call_soon_threadsafe(_finish, job.done)


def _finish(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
