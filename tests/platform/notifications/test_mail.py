"""Mails: one to each address, and a server that hangs costs one time-out."""

import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.mail.backends import locmem
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.notifications import mail
from mes.platform.outbox.models import MesEvent
from tests.factories import make_user
from tests.platform.notifications.support import make_notice, make_rule, sent, tell, work_off

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def server(settings: Any) -> Iterator[None]:
    """Mails are taken in memory."""
    settings.MES_MAIL, settings.DEFAULT_FROM_EMAIL = True, "Linekeeper <mes@plant.example>"
    mail.pause.end()
    yield
    mail.pause.end()


@pytest.fixture
def quinn() -> Any:
    make_rule(channels=["MAIL"])
    return make_user(Role.QUALITY, email="quinn@plant.example")


def delivery(**fields: Any) -> MesEvent:
    """Tell of something, have it sent, and return how that went."""
    tell(make_notice(**fields))
    work_off()
    return sent("NOTICE_MAIL")[-1]


def test_a_person_gets_one(quinn: Any, settings: Any) -> None:
    settings.MES_ADDRESS, settings.TIME_ZONE = "https://mes.example", "Europe/Berlin"
    event = delivery(text="Two\r\nBcc: all@plant.example", address="/holds/H-1/")
    [message] = outbox.outbox
    assert (message.to, message.cc, message.bcc) == (["quinn@plant.example"], [], [])
    assert message.subject == "Something is held: Two Bcc: all@plant.example"
    assert "https://mes.example/holds/H-1/" in message.body
    assert message.extra_headers["Message-ID"] == f"<{event.payload['id']}@plant.example>"
    assert message.message()["Auto-Submitted"] == "auto-generated"
    assert event.status == "COMPLETED"


def test_sent_again_it_has_the_same_id(quinn: Any) -> None:
    delivery()
    MesEvent.objects.filter(event_type="NOTICE_MAIL").update(status="PENDING")  # as after a worker that died
    work_off()
    first, second = outbox.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]


def test_each_address_gets_its_own(quinn: Any) -> None:
    make_user(Role.QUALITY, email="QUINN@plant.example")
    make_user(Role.QUALITY, email="ann@plant.example")
    make_user(Role.QUALITY)
    delivery()
    assert sorted(message.to for message in outbox.outbox) == [["ann@plant.example"], ["quinn@plant.example"]]


@pytest.mark.parametrize("change", [{"is_active": False}, {"email": "other@plant.example"}])
def test_who_has_left_meanwhile_gets_none(quinn: Any, change: dict[str, Any]) -> None:
    tell(make_notice())
    type(quinn).objects.update(**change)
    work_off()
    assert (sent("NOTICE_MAIL")[0].status, outbox.outbox) == ("COMPLETED", [])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (smtplib.SMTPRecipientsRefused({"quinn@plant.example": (550, b"x" * 490 + b" quinn@plant.example")}), "DEAD"),
        (smtplib.SMTPRecipientsRefused({"quinn@plant.example": (450, b"<Quinn@plant.example>: later")}), "FAILED"),
        (smtplib.SMTPDataError(554, b"spam"), "DEAD"),
        (smtplib.SMTPSenderRefused(452, b"full", "mes@plant.example"), "FAILED"),
        (smtplib.SMTPAuthenticationError(535, b"bad password"), "FAILED"),
        (ValueError("Invalid address: quinn@plant.example"), "DEAD"),
        (ConnectionRefusedError(111, "Connection refused"), "FAILED"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_the_server_says_decides(
    quinn: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    def refuse(*args: Any) -> None:
        raise error

    monkeypatch.setattr(locmem.EmailBackend, "send_messages", refuse)
    mail.pause.begin(at=timezone.now())  # it was away a moment ago
    event = delivery()
    assert (event.status, event.attempts) == (status, 1)
    assert "quinn@" not in event.error.lower(), "a person's address is his own"
    is_away = isinstance(error, smtplib.SMTPAuthenticationError | ConnectionRefusedError)
    answers = 0 if isinstance(error, smtplib.SMTPException) else 1  # what cannot be sent asks nobody
    assert mail.pause.failures == (2 if is_away else answers), "a server that answers is there for the others"


def test_a_server_that_hangs_costs_one_time_out(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 0.3
    make_rule(channels=["APP", "MAIL"])
    people = [make_user(Role.QUALITY, email=f"q{number}@plant.example") for number in range(20)]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        settings.EMAIL_PORT = silent.getsockname()[1]
        tell(make_notice())
        began = time.monotonic()
        work_off()
        assert time.monotonic() - began < 4, "each mail would have taken the whole time-out"
    assert {user.notifications.count() for user in people} == {1}
    assert sorted(event.attempts for event in sent("NOTICE_MAIL"))[-2:] == [0, 1]
    assert {event.status for event in sent("NOTICE_MAIL")} == {"FAILED"}


def test_a_server_that_dribbles_is_hung_up_on(quinn: Any, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 0.3
    ended = threading.Event()

    def dribble() -> None:
        connection, _address = server.accept()
        with connection:
            while not ended.wait(0.2):
                try:
                    connection.sendall(b"220-welcome\r\n")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.EMAIL_PORT = server.getsockname()[1]
        thread = threading.Thread(target=dribble, daemon=True)
        thread.start()
        began = time.monotonic()
        event = delivery()
        assert time.monotonic() - began < 5
        ended.set()
        thread.join(timeout=5)
    assert event.status == "FAILED"
    assert mail.pause.until is not None


def test_without_a_server_nothing_waits(quinn: Any, settings: Any) -> None:
    settings.MES_MAIL = False
    event = delivery()
    assert (event.status, outbox.outbox) == ("COMPLETED", [])
