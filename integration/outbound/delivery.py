"""Delivering messages to the ERP over HTTP, in the worker: one request for each attempt, each with a verdict.

2xx: delivered. 429, 5xx and a network that fails: tried again, when the receiver says (`Retry-After`) or after the
usual backoff. Anything else will not get better: the event is DEAD with the answer kept. A redirect is not followed,
because it would carry order data to an address that nobody configured.
"""

import time
from datetime import timedelta
from urllib.parse import quote

import msgspec
import urllib3
from django.conf import settings
from django.utils import timezone
from urllib3.exceptions import HTTPError

from integration.outbound import log
from mes.platform.outbox.emit import TryAgain
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import backoff
from mes.platform.outbox.receivers import Answer, NotDelivered, Pause, judge, read_answer
from mes.platform.outbox.signing import sign
from mes.platform.outbox.time_limit import time_limit

OFF_WAIT = timedelta(minutes=10)

_http = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False)

pause = Pause(
    first=timedelta(seconds=15),
    longest=timedelta(minutes=5),
    reason="The ERP did not answer a moment ago.",
)


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
    judge(answer, pause, attempts=event.attempts)
    log.delivered(event, status=answer.status, answer=answer.body)


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
    return read_answer(response)
