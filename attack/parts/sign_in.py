"""Guessers of passwords beside the readings of a line, alone and together with silent clients."""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from attack.client import Client
from attack.line import running
from attack.outcome import Outcome
from attack.parts.slow import (
    DEVICES,
    UNSTEADY,
    attackers,
    chunked_and_silent,
    end_line,
    judge,
    length_and_silent,
    watch,
)
from attack.target import Target

GUESSERS = 16
PAUSE = 0.05  # seconds between two guesses of a guesser, so that they do not only measure themselves
ROUNDS = (("16 guessers", 0), ("16 guessers, 24 silent", 24))
NAMES = ("admin", "quality", "operator")
FORMS = ("/sign-in/", "/admin/login/")


class Guesses:
    """How guesses were answered, by status."""

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self._lock = threading.Lock()

    def count(self, status: int) -> None:
        """Note an answer."""
        with self._lock:
            self.by_status[status] = self.by_status.get(status, 0) + 1

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.by_status.values())


@contextmanager
def guessers(port: int, count: int = GUESSERS) -> Iterator[Guesses]:
    """Have so many guess without an end."""
    over, guesses = threading.Event(), Guesses()
    threads = [
        threading.Thread(target=_guess, args=[port, index, over, guesses.count], daemon=True) for index in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield guesses
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=35)


def _guess(port: int, index: int, over: threading.Event, count: Callable[[int], None]) -> None:
    mark, form = secrets.token_hex(16), FORMS[index % len(FORMS)]
    headers = {"Cookie": f"csrftoken={mark}", "Content-Type": "application/x-www-form-urlencoded"}
    client = Client(port, headers=headers)
    while not over.wait(PAUSE):
        fields = {"username": NAMES[index % len(NAMES)], "password": secrets.token_hex(6), "csrfmiddlewaretoken": mark}
        with contextlib.suppress(OSError):
            count(client.ask("POST", form, urlencode(fields).encode()).status)
    client.close()


def run(target: Target) -> Iterator[Outcome]:
    """The guessers alone, then with silent connections; of a short attack at once."""
    chosen = ROUNDS[-1:] if target.is_short else ROUNDS
    span, least = target.seconds / 2 / len(chosen), UNSTEADY if target.is_short else 0
    with running(target.port, target.plant, DEVICES, round_no=target.next_round()) as line:
        time.sleep(1)
        quiet = watch(line, span)
        for name, silent in chosen:
            outcome = Outcome(f"sign-in: {name}")
            with attackers(target.port, [chunked_and_silent, length_and_silent], silent), guessers(target.port) as made:
                time.sleep(0.5)
                judge(outcome, quiet, watch(line, span), spans=(span, span), least=least)
                outcome.tried = made.total
            outcome.errors = made.by_status.get(500, 0)
            outcome.note += f"; guesses by status: {dict(sorted(made.by_status.items()))}"
            outcome.check(302 not in made.by_status, "a guess was let in")
            yield outcome
        end_line(line, outcome)
