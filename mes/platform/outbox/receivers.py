"""What handlers share that send messages to receivers over the network: their answers, verdicts and pauses."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.utils import timezone
from urllib3.response import BaseHTTPResponse

from mes.platform.outbox.emit import GiveUp, TryAgain
from mes.platform.outbox.processor import backoff

KEPT_ANSWER = 4096  # bytes
LONGEST_WAIT = timedelta(days=1)  # that a receiver may ask for
RETRYABLE = {429, *range(500, 600)}


@dataclass(frozen=True)
class Answer:
    """The answer of a receiver over HTTP, cut to what is kept."""

    status: int
    body: str
    retry_after: str | None

    @property
    def reason(self) -> str:
        """The answer as the reason why something was not delivered."""
        return f"HTTP {self.status}: {self.body[:500]}".rstrip(": ")


def read_answer(response: BaseHTTPResponse) -> Answer:
    """Return the answer of a response that was not loaded yet, and close it: what was not read is nobody's."""
    try:
        kept = response.read(KEPT_ANSWER).decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        return Answer(response.status, kept, response.headers.get("Retry-After"))
    finally:
        response.close()


class NotDelivered(TryAgain):
    """The receiver is not there, or asked to wait."""

    def __init__(self, reason: str, *, code: str, at: datetime, answer: Answer | None = None) -> None:
        super().__init__(reason, at=at)
        self.code = code
        self.answer = answer


class Refused(GiveUp):
    """The receiver does not want it, and will not want it the next time."""

    def __init__(self, reason: str, *, answer: Answer) -> None:
        super().__init__(reason)
        self.code = f"HTTP_{answer.status}"
        self.answer = answer


class Pause:
    """Keeps a receiver that does not answer from holding up all other events: each attempt costs its whole timeout.

    After a failure of the network, nothing is sent to it for a while in this process: `first`, doubled at each further
    failure, at most `longest`. What was not tried is no attempt. With a `spacing` what waits is tried one by one, that
    far apart: due all at once, it would go before whatever else happens then.
    """

    def __init__(self, *, first: timedelta, longest: timedelta, reason: str, spacing: timedelta = timedelta(0)) -> None:
        self.first, self.longest, self.reason, self.spacing = first, longest, reason, spacing
        self.failures = 0
        self.until: datetime | None = None
        self._last: datetime | None = None  # place in the queue of what waits

    def begin(self, at: datetime | None = None) -> datetime:
        """Pause until then, or for longer with each failure in a row; return until when."""
        self.failures += 1
        wait = min(self.first * 2 ** min(self.failures - 1, 10), self.longest)
        self.until = timezone.now() + wait if at is None else at
        return self.until

    def end(self) -> None:
        """The receiver answers."""
        self.failures, self.until, self._last = 0, None, None

    def check(self) -> None:
        """Raise TryAgain while it lasts."""
        if self.until is not None and timezone.now() < self.until:
            self._last = self.until if self._last is None else max(self.until, self._last + self.spacing)
            raise TryAgain(self.reason, at=self._last if self.spacing else self.until, counts=False)


def judge(answer: Answer, pause: Pause, *, attempts: int) -> None:
    """Do nothing for an answer that says “taken”. Raises NotDelivered for one that asks for another attempt, which
    pauses where it says when, and Refused for any other.
    """
    if 200 <= answer.status < 300:
        return
    if answer.status not in RETRYABLE:
        raise Refused(answer.reason, answer=answer)
    asked = read_retry_after(answer.retry_after)
    if asked is not None:
        pause.begin(at=asked)
    at = asked or timezone.now() + backoff(attempts=attempts)
    raise NotDelivered(answer.reason, code=f"HTTP_{answer.status}", at=at, answer=answer)


def read_retry_after(text: str | None) -> datetime | None:
    """Return when the receiver wants to be asked again: seconds or an HTTP date; None when it does not say."""
    now = timezone.now()
    if not text:
        return None
    try:
        if text.strip().isascii() and text.strip().isdigit():
            return now + min(timedelta(seconds=min(int(text), 10**9)), LONGEST_WAIT)
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date, or figures of any length
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at, now), now + LONGEST_WAIT)
