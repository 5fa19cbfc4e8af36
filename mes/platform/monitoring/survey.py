"""Asking how it is beside the requests: whoever asks waits a moment, never for what hangs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from django.db import connection

LONGEST_WAIT = 1.5  # seconds after which those who ask get what is known by then
REMEMBERED = 1.0  # seconds for which answers hold
ABANDONED = 30.0  # seconds after which a round that hangs is left to itself, and a new one begins


@dataclass(eq=False)
class _Round:
    """The questions asked once, one after the other; `answers` are those that came so far."""

    began_at: float = field(default_factory=monotonic)
    ended_at: float | None = None
    ended: Event = field(default_factory=Event)
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def is_outdated(self) -> bool:
        """Whether it takes a new round to know."""
        if self.ended_at is None:
            return monotonic() > self.began_at + ABANDONED
        return monotonic() > self.ended_at + REMEMBERED


class Survey:
    """Named questions to the database and the disk, asked in a thread with a connection of its own.

    One round at a time, however many ask; its answers hold for a moment.
    """

    def __init__(self, questions: Callable[[], Mapping[str, Callable[[], Any]]]) -> None:
        self.questions = questions
        self._lock = Lock()
        self._round: _Round | None = None

    def read(self) -> dict[str, Any]:
        """Return the answers by name, without those that did not come in time."""
        latest = self._latest_round()
        latest.ended.wait(max(0.0, latest.began_at + LONGEST_WAIT - monotonic()))
        return dict(latest.answers)

    def _latest_round(self) -> _Round:
        with self._lock:
            if self._round is None or self._round.is_outdated:
                asked = self._round = _Round()
                start(lambda: self._ask(asked))
            return self._round

    def _ask(self, asked: _Round) -> None:
        try:
            for name, question in self.questions().items():
                asked.answers[name] = question()
        finally:
            asked.ended_at = monotonic()
            asked.ended.set()


def start(ask: Callable[[], None]) -> None:
    """Run in a thread; its connection to the database is closed at its end."""

    def run() -> None:
        try:
            ask()
        finally:
            connection.close()

    Thread(target=run, name="survey", daemon=True).start()
