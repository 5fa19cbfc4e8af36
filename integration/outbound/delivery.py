"""Delivering messages to the ERP over HTTP, in the worker: one request for each attempt, each with a verdict.

2xx: delivered. 429, 5xx and a network that fails: tried again, when the receiver says (`Retry-After`) or after the
usual backoff. Anything else will not get better: the event is DEAD with the answer kept. A redirect is not followed,
because it would carry order data to an address that nobody configured.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import msgspec
import urllib3
from django.conf import settings
from django.utils import timezone
from urllib3.exceptions import HTTPError

from integration.outbound import log
from integration.outbound.signing import sign
from mes.platform.outbox.emit import GiveUp, TryAgain
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import backoff
from mes.platform.outbox.time_limit import time_limit

KEPT_ANSWER = 4096  # bytes
LONGEST_WAIT = timedelta(days=1)  # that a receiver may ask for
OFF_WAIT = timedelta(minutes=10)
PAUSE = timedelta(seconds=15)  # doubled at each further failure of the network
LONGEST_PAUSE = timedelta(minutes=5)
RETRYABLE = {429, *range(500, 600)}

_http = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False)


@dataclass(frozen=True)
class Answer:
    """The answer of the receiver, cut to what is kept."""

    status: int
    body: str
    retry_after: str | None


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

    After a failure of the network, nothing is tried for a while in this process. What was not tried is no attempt.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.until: datetime | None = None

    def begin(self, at: datetime | None = None) -> datetime:
        """Pause until then, or for longer with each failure in a row; return until when."""
        self.failures += 1
        wait = min(PAUSE * 2 ** min(self.failures - 1, 10), LONGEST_PAUSE)
        self.until = timezone.now() + wait if at is None else at
        return self.until

    def end(self) -> None:
        """The receiver answers."""
        self.failures, self.until = 0, None

    def check(self) -> None:
        """Raise TryAgain while it lasts."""
        if self.until is not None and timezone.now() < self.until:
            raise TryAgain("The ERP did not answer a moment ago.", at=self.until, counts=False)


pause = Pause()


def deliver(event: MesEvent) -> None:
    """Deliver an OUTBOUND_FEEDBACK event. Raises TryAgain or GiveUp unless the receiver took it."""
    if not settings.MES_ERP_URL:
        raise TryAgain("There is no ERP (MES_ERP_URL).", at=timezone.now() + OFF_WAIT, counts=False)
    pause.check()
    body = msgspec.json.encode(event.payload, order="sorted")
    try:
        with time_limit(
            settings.MES_ERP_CONNECT_TIMEOUT + settings.MES_ERP_TIMEOUT
        ):  # a dribble is no time-out to HTTP
            answer = _post(body, key=event.payload["idempotencyKey"])
    except HTTPError as error:
        pause.begin()
        at = timezone.now() + backoff(attempts=event.attempts)
        reason = f"No answer: {str(error).rsplit('>: ', 1)[-1]}"
        raise NotDelivered(reason, code=type(error).__name__, at=at) from error
    pause.end()
    if 200 <= answer.status < 300:
        log.delivered(event, status=answer.status, answer=answer.body)
        return
    reason = f"HTTP {answer.status}: {answer.body[:500]}".rstrip(": ")
    if answer.status not in RETRYABLE:
        raise Refused(reason, answer=answer)
    asked = _read_retry_after(answer.retry_after)
    if asked is not None:
        pause.begin(at=asked)
    at = asked or timezone.now() + backoff(attempts=event.attempts)
    raise NotDelivered(reason, code=f"HTTP_{answer.status}", at=at, answer=answer)


def note_failure(event: MesEvent, error: Exception) -> None:
    """Log a failed attempt. A receiver that dribbled until its time was spent is given a rest, too."""
    if isinstance(error, TimeoutError):
        pause.begin()
    log.not_delivered(event, error)


def _post(body: bytes, *, key: str) -> Answer:
    now = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Linekeeper",
        "Connection": "close",  # one that idled since the last run would break under the next message
        "Idempotency-Key": quote(key, safe=":-._~"),
        "X-Linekeeper-Timestamp": str(now),
        "X-Linekeeper-Signature": sign(body, secret=settings.MES_ERP_SECRET, timestamp=now),
    }
    timeout = urllib3.Timeout(connect=settings.MES_ERP_CONNECT_TIMEOUT, read=settings.MES_ERP_TIMEOUT)
    response = _http.request(
        "POST",
        settings.MES_ERP_URL,
        body=body,
        headers=headers,
        timeout=timeout,
        redirect=False,
        preload_content=False,
    )
    try:
        kept = response.read(KEPT_ANSWER).decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
        return Answer(response.status, kept, response.headers.get("Retry-After"))
    finally:
        response.close()  # what was not read is nobody's: the connection is not used again


def _read_retry_after(text: str | None) -> datetime | None:
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
