"""Messages to webhooks, signed as the ERP's: one event for each receiver, one attempt at a time.

The name of a receiver is resolved for each attempt, its addresses are checked (`receiver_addresses`), and the
connection goes to the very address that was checked. A redirect is not followed, and of an answer no more is read than
is kept. A receiver that does not answer has its own pause: it costs one time-out, and delays no other receiver.
"""

import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import urllib3
from django.conf import settings
from django.utils import timezone
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from mes.platform.notifications.receiver_addresses import NotAllowed, Target, read_target, resolve
from mes.platform.notifications.rule_models import NotificationRule
from mes.platform.notifications.stale import SPACING, is_left_out
from mes.platform.outbox.emit import GiveUp
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import backoff
from mes.platform.outbox.receivers import Answer, NotDelivered, Pause, judge, read_answer
from mes.platform.outbox.signing import sign
from mes.platform.outbox.time_limit import time_limit

TYPE = "NOTICE_V1"
CONNECT_TIMEOUT = 3  # seconds
MOST_PAUSES = 1000

_pauses: OrderedDict[str, Pause] = OrderedDict()


def is_set_up() -> bool:
    """Whether there is a secret to sign with."""
    return bool(settings.MES_WEBHOOK_SECRET)


def pause_of(target: Target) -> Pause:
    """Return the pause of a receiver's server, in this process."""
    name = f"{target.host}:{target.port}"
    pause = _pauses.get(name)
    if pause is None:
        pause = _pauses[name] = Pause(
            first=timedelta(seconds=15),
            longest=timedelta(minutes=5),
            reason=f"{name} did not answer a moment ago.",
            spacing=SPACING,
        )
        if len(_pauses) > MOST_PAUSES:
            _pauses.popitem(last=False)
    return pause


def forget_pauses() -> None:
    """Try every receiver anew."""
    _pauses.clear()


def deliver(event: MesEvent) -> None:
    """Deliver a NOTICE_WEBHOOK event; nothing without a secret, or of what is stale. Raises TryAgain or GiveUp unless
    the receiver took it.
    """
    if is_left_out(event, is_set_up=is_set_up()):
        return
    try:
        target = read_target(event.payload["to"])
    except NotAllowed as refusal:
        raise GiveUp(str(refusal)) from None
    pause = pause_of(target)
    pause.check()
    body = msgspec.json.encode(build(event.payload))
    try:
        with time_limit(CONNECT_TIMEOUT + settings.MES_WEBHOOK_TIMEOUT):
            answer = _post(target, body, key=event.payload["id"])
    except NotAllowed as refusal:
        raise GiveUp(str(refusal)) from None
    except (HTTPError, OSError) as error:
        pause.begin()
        at = timezone.now() + backoff(attempts=event.attempts)
        reason = f"No answer: {str(error).rsplit('>: ', 1)[-1]}"
        raise NotDelivered(reason, code=type(error).__name__, at=at) from error
    pause.end()
    judge(answer, pause, attempts=event.attempts)


def note_failure(event: MesEvent, error: Exception) -> None:
    """Give a receiver a rest that dribbled until its time was spent."""
    if isinstance(error, TimeoutError):
        pause_of(read_target(event.payload["to"])).begin()


def build(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is sent of something told."""
    return {
        "type": TYPE,
        "id": told["id"],
        "key": told["key"],
        "event": told["event"],
        "severity": told["severity"],
        "text": told["text"],
        "address": settings.MES_ADDRESS + told["address"] if told["address"] else None,
        "lineCodes": _line_codes(told["lineIds"]),
        "occurredAt": told["at"].replace("+00:00", "Z"),
        "more": told.get("more"),
        "isTrial": "ruleId" in told,
        "facts": told["facts"],
    }


def _line_codes(ids: list[int]) -> list[str]:
    if not ids:
        return []
    field: Any = NotificationRule._meta.get_field("line")
    return list(field.related_model.objects.filter(pk__in=ids).order_by("code").values_list("code", flat=True))


def _post(target: Target, body: bytes, *, key: str) -> Answer:
    now = int(time.time())
    headers = {
        "Host": target.host_header,
        "Content-Type": "application/json",
        "User-Agent": "Linekeeper",
        "Connection": "close",
        "Idempotency-Key": key,
        "X-Linekeeper-Timestamp": str(now),
        "X-Linekeeper-Signature": sign(body, secret=settings.MES_WEBHOOK_SECRET, timestamp=now),
    }
    connect = min(CONNECT_TIMEOUT, settings.MES_WEBHOOK_TIMEOUT)
    timeout = urllib3.Timeout(connect=connect, read=settings.MES_WEBHOOK_TIMEOUT)
    *others, last = resolve(target)
    for address in others:
        with suppress(NewConnectionError, ConnectTimeoutError):  # nothing was sent: the next one may be reached
            return _ask(target, address, body, headers, timeout)
    return _ask(target, last, body, headers, timeout)


def _ask(target: Target, address: str, body: bytes, headers: dict[str, str], timeout: urllib3.Timeout) -> Answer:
    with _pool(target, address) as pool:
        response = pool.urlopen(
            "POST", target.path, body=body, headers=headers, timeout=timeout, redirect=False, retries=False,
            assert_same_host=False, preload_content=False,
        )  # fmt: skip
        return replace(read_answer(response), body="")  # whatever it says is kept and shown nowhere


def _pool(target: Target, address: str) -> urllib3.HTTPConnectionPool:
    """Return connections to an address of a target; its certificate is asked for its name."""
    if not target.is_tls:
        return urllib3.HTTPConnectionPool(address, target.port, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        address, target.port, maxsize=1, server_hostname=target.host, assert_hostname=target.host
    )
