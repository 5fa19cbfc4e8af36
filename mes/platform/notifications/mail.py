"""Mails to people, by the mail server of the environment: one event for each, one attempt at a time.

A mail may be sent twice where a worker dies between the server's answer and its commit: its `Message-ID` is that of the
event, so that it is one mail to who reads it. A server that does not answer costs one time-out, not one for each mail.
"""

import re
import smtplib
import socket
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.stale import SPACING, is_left_out
from mes.platform.outbox.emit import GiveUp
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import backoff
from mes.platform.outbox.receivers import NotDelivered, Pause
from mes.platform.outbox.shown import HIDDEN
from mes.platform.outbox.time_limit import time_limit

LONGEST_SUBJECT = 120
FOR_GOOD = range(500, 600)  # what the server says to a mail that it will never take

pause = Pause(
    first=timedelta(seconds=15),
    longest=timedelta(minutes=5),
    reason="The mail server did not answer a moment ago.",
    spacing=SPACING,
)


def is_set_up() -> bool:
    """Whether there is a mail server."""
    return bool(settings.MES_MAIL)


def deliver(event: MesEvent) -> None:
    """Send the mail of a NOTICE_MAIL event; nothing to somebody who has left or has another address by now, without
    a mail server, or of what is stale. Raises TryAgain or GiveUp unless the server took it.
    """
    if is_left_out(event, is_set_up=is_set_up()):
        return
    to = event.payload["to"]
    if not User.objects.filter(email__iexact=to, is_active=True).exists():
        return
    pause.check()
    message = _compose(event.payload)
    try:
        with time_limit(2 * settings.EMAIL_TIMEOUT):  # each answer of the server has its own time
            message.send()
    except smtplib.SMTPRecipientsRefused as error:
        _refuse(event, *error.recipients[next(iter(error.recipients))])
    except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
        _refuse(event, error.smtp_code, error.smtp_error)
    except ValueError as error:  # what is no address of mail, or cannot stand in a mail
        raise GiveUp(f"It cannot be sent: {_without_address(str(error), event)}") from error
    except (smtplib.SMTPException, OSError) as error:
        pause.begin()
        reason = f"No answer: {error}"
        raise NotDelivered(reason, code=type(error).__name__, at=_later(event)) from error
    pause.end()


def note_failure(event: MesEvent, error: Exception) -> None:
    """Give a server a rest that dribbled until the time was spent."""
    if isinstance(error, TimeoutError):
        pause.begin()


def _refuse(event: MesEvent, code: int, said: bytes | str) -> None:
    """The server answers, and does not want this mail: now (4xx), or ever (5xx)."""
    pause.end()
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    reason = f"The mail server says {code}: {_without_address(text, event)[:500]}"
    if code in FOR_GOOD:
        raise GiveUp(reason)
    raise NotDelivered(reason, code=f"SMTP_{code}", at=_later(event))


def _without_address(text: str, event: MesEvent) -> str:
    """Return what was said of a mail as people may see it."""
    return re.sub(re.escape(event.payload["to"]), HIDDEN, text, flags=re.IGNORECASE)


def _later(event: MesEvent) -> datetime:
    return timezone.now() + backoff(attempts=event.attempts)


def _compose(told: dict[str, Any]) -> EmailMessage:
    """Return a mail in the language and the times of the plant."""
    label = str(NoticeEvent(told["event"]).label)
    subject = " ".join(f"{label}: {told['text']}".split())
    at = timezone.localtime(datetime.fromisoformat(told["at"]))
    lines = [told["text"], "", f"{label}, {date_format(at, 'DATETIME_FORMAT')}"]
    if told["address"]:
        lines.append(settings.MES_ADDRESS + told["address"])
    lines += ["", _("Linekeeper sends this by a notification rule. Who maintains the rules can change it.")]
    return EmailMessage(
        subject=subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 1]}…",
        body="\n".join(lines),
        to=[told["to"]],
        headers={"Message-ID": f"<{told['id']}@{_domain()}>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(),
    )


def _domain() -> str:
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ")
    return domain or socket.gethostname()
