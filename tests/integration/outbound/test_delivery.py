"""Delivery: signed, once at the receiver, tried again when that can help and given up when it cannot."""

import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone

from integration.models import FailedMessage, SettledMessage
from integration.outbound import delivery, log
from mes.platform.outbox import receivers
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import process_due
from mes.platform.outbox.signing import sign
from tests.execution.support import assert_done, assert_refused
from tests.integration.helpers import MESSAGES, list_messages
from tests.integration.outbound.conftest import close, work_off
from tests.platform.outbox.support import make_event

pytestmark = pytest.mark.django_db

EVENTS = "/api/integration/outbound/events"


@pytest.fixture
def ended(admin, erp):
    """Somebody who may do everything, at a plant whose run has just ended."""
    close(admin)
    return admin


def wait_of(event: MesEvent) -> float:
    """Return in how many seconds it is tried again."""
    return (event.next_attempt_at - timezone.now()).total_seconds()


def test_the_signature_is_what_the_documentation_says():
    expected = hmac.new(b"secret", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert sign(b'{"a":1}', secret="secret", timestamp=1700000000) == f"sha256={expected}"


def test_it_is_delivered_signed_and_logged(ended, erp):
    event = work_off()
    assert (event.status, event.attempts, event.error) == ("COMPLETED", 1, "")
    [received] = erp.received.values()
    assert (received.body, received.deliveries, erp.refused) == (event.payload, 1, [])
    [message] = list_messages(ended)
    assert (message["status"], message["direction"], message["entityType"], message["businessKey"]) == (
        "SUCCESS",
        "OUTBOUND",
        "RUN_COMPLETION_V1",
        "RUN-1",
    )
    assert message["note"] == {"httpStatus": 201, "answer": '{"taken": true}'}
    assert (message["payload"], message["recordId"]) == (event.payload, str(event.pk))


def test_a_wrong_secret_is_refused_for_good(ended, erp, settings):
    settings.MES_ERP_SECRET = "another"
    event = work_off()
    assert (event.status, erp.received) == ("DEAD", {})
    assert event.error.startswith("HTTP 401") and "signature" in event.error


def test_handled_twice_it_has_one_effect_at_the_receiver(ended, erp):
    event = work_off()
    MesEvent.objects.update(status="PENDING")
    work_off()
    [received] = erp.received.values()
    assert (received.key, received.deliveries) == (event.payload["idempotencyKey"], 2)


@pytest.mark.parametrize("fault", ["500", "503", "429", "timeout", "reset", "lost", "dribble"])
def test_what_may_pass_is_tried_again_and_takes_effect_once(ended, erp, settings, fault):
    settings.MES_EVENT_TIME_LIMIT = timedelta(seconds=2)
    erp.switch_on(fault)
    event = work_off()
    assert (event.status, event.attempts) == ("FAILED", 1)
    [message] = list_messages(ended)
    assert (message["status"], message["count"], message["direction"]) == ("RETRYING", 1, "OUTBOUND")
    assert message["error"]["message"] == event.error
    assert_refused(ended.post(f"{MESSAGES}/{message['id']}/replay", {}), "INVALID_TRANSITION")
    delivery.pause.end()
    event = work_off()
    assert (event.status, event.attempts) == ("COMPLETED", 2)
    [received] = erp.received.values()
    assert received.deliveries == (2 if fault == "lost" else 1)
    [settled] = list_messages(ended)
    assert (settled["id"], settled["status"], settled["count"]) == (message["id"], "SUCCESS", 2)


def test_the_same_failure_counts_up(ended, erp):
    erp.switch_on("500", 3)
    for _attempt in range(3):
        work_off()
    [message] = list_messages(ended)
    assert (message["count"], message["error"]["httpStatus"]) == (3, 500)


def test_nobody_listens(ended, erp, settings):
    settings.MES_ERP_URL = "http://127.0.0.1:9/"
    event = work_off()
    assert (event.status, event.attempts) == ("FAILED", 1)
    assert event.error.startswith("No answer: ") and "refused" in event.error.lower() and "0x" not in event.error


@pytest.mark.parametrize("fault", ["400", "redirect"])
def test_what_will_not_get_better_is_given_up_with_the_answer_kept(ended, erp, fault):
    erp.switch_on(fault)
    event = work_off()
    assert (event.status, event.attempts, erp.requests) == ("DEAD", 1, 1), "a redirect is not followed"
    [message] = list_messages(ended)
    assert (message["status"], message["error"]["answer"] is not None) == ("FAILED", True)
    assert message["error"]["httpStatus"] == (400 if fault == "400" else 302)
    assert assert_done(ended.get(EVENTS, {"status": "DEAD"}))["items"][0]["error"] == event.error


@pytest.mark.parametrize("way", ["retry", "replay"])
def test_given_up_it_can_be_tried_again(ended, erp, way):
    erp.switch_on("400")
    event = work_off()
    [message] = list_messages(ended)
    url = f"{EVENTS}/{event.pk}/retry" if way == "retry" else f"{MESSAGES}/{message['id']}/replay"
    assert assert_done(ended.post(url, {}))["id"] == str(event.pk)
    assert work_off().status == "COMPLETED"
    [settled] = list_messages(ended)
    assert (settled["id"], settled["status"]) == (message["id"], "REPLAYED")
    assert_refused(ended.post(url, {}), "INVALID_TRANSITION")


def test_one_that_waits_can_be_tried_before_its_time(ended, erp):
    erp.switch_on("500")
    event = work_off()
    assert wait_of(event) > 5
    assert_done(ended.post(f"{EVENTS}/{event.pk}/retry"))
    event.refresh_from_db()
    assert wait_of(event) <= 0 and event.attempts == 1


def test_only_messages_can_be_retried_here(ended, erp):
    other = make_event("k")
    assert_refused(ended.post(f"{EVENTS}/{other.pk}/retry"), "EVENT_NOT_FOUND", 404)
    assert_refused(ended.post(f"{EVENTS}/{'9' * 30}/retry"), "EVENT_NOT_FOUND", 404)


def test_the_attempts_end(ended, erp):
    MesEvent.objects.update(max_attempts=2)
    erp.switch_on("500", 2)
    work_off()
    assert work_off().status == "DEAD"
    assert FailedMessage.objects.get().status == "FAILED"


def test_a_given_up_message_may_be_dismissed_but_not_one_that_is_still_tried(ended, erp):
    erp.switch_on("500")
    work_off()
    url = f"{MESSAGES}/{FailedMessage.objects.get().pk}/dismiss"
    assert_refused(ended.post(url, {"reason": "no"}), "INVALID_TRANSITION")
    erp.switch_on("400")
    work_off()
    assert_done(ended.post(url, {"reason": "told by phone"}))
    assert SettledMessage.objects.get().status == "DISMISSED"


# --- when --------------------------------------------------------------------------------------------------


def a_date(**later: int) -> str:
    """Return an HTTP date so much later."""
    return format_datetime(datetime.now(UTC) + timedelta(**later), usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (lambda: "120", 120),
        (lambda: " 120 ", 120),
        (lambda: "0", 0),
        (lambda: a_date(minutes=10), 600),
        (lambda: a_date(minutes=-10), 0),
        (lambda: "999999999999999999999", 86400),
        (lambda: a_date(days=900), 86400),
    ],
    ids=["seconds", "blanks", "at once", "a date", "a past date", "too many seconds", "too late a date"],
)
def test_the_receiver_says_when(ended, erp, text, seconds):
    erp.retry_after = text()
    erp.switch_on("429")
    assert wait_of(work_off()) == pytest.approx(seconds, abs=10)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "-1",
        "1.5",
        "Thu, 99 Foo 2026 99:99:99 GMT",
        "١٢",
        "9" * 5000,
        f"Sat, 21 Nov {10**20} 10:00:00 GMT",
        f"Sat, 21 Nov 2026 10:00:00 +{10**20}",
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_read_is_as_if_it_were_not_said(text):
    assert receivers.read_retry_after(text) is None


def test_a_receiver_that_does_not_answer_holds_nobody_up(ended, erp, settings):
    erp.switch_on("timeout")
    work_off()
    others = [
        make_event(
            f"k{number}",
            event_type="OUTBOUND_FEEDBACK",
            due_ago=60,
            entity_type="RUN",
            payload={"type": "X", "idempotencyKey": f"k{number}"},
        )
        for number in range(20)
    ]
    quick = make_event("quick", due_ago=60)
    began = time.monotonic()
    process_due()
    assert time.monotonic() - began < 10, "each would have taken the whole timeout"
    quick.refresh_from_db()
    assert quick.status == "COMPLETED"
    states = MesEvent.objects.filter(pk__in=[event.pk for event in others]).values_list("status", "attempts")
    assert set(states) == {("FAILED", 0)}, "what was not tried is no attempt"
    assert FailedMessage.objects.count() == 1, "nor is it logged"
    assert erp.requests == 1


def test_a_receiver_that_dribbles_costs_one_timeout(ended, erp, settings):
    settings.MES_ERP_CONNECT_TIMEOUT = 0.5
    erp.hang = 20
    erp.switch_on("dribble")
    began = time.monotonic()
    event = work_off()
    assert time.monotonic() - began < 10, "it dribbles for twenty seconds"
    assert (event.status, event.attempts) == ("FAILED", 1)
    assert delivery.pause.until is not None


def test_the_pause_grows_and_ends_with_an_answer(erp):
    waits = [(delivery.pause.begin() - timezone.now()).total_seconds() for _failure in range(8)]
    assert waits == pytest.approx([15, 30, 60, 120, 240, 300, 300, 300], abs=1)
    delivery.pause.end()
    delivery.pause.check()


def test_an_error_of_one_message_delays_no_other(ended, erp):
    erp.switch_on("500")
    work_off()
    delivery.pause.check()


def test_switched_off_it_waits_without_using_its_attempts(ended, erp, settings):
    settings.MES_ERP_URL = ""
    event = work_off()
    assert (event.status, event.attempts) == ("FAILED", 0)


def test_what_the_receiver_says_is_kept_in_bounds(ended, erp, monkeypatch):
    monkeypatch.setattr("demo.erp.Erp.take", lambda *args: (400, {"error": "x" * 100_000 + "\x00"}))
    event = work_off()
    assert event.status == "DEAD" and len(event.error) < 1000
    assert len(FailedMessage.objects.get().error["answer"]) == receivers.KEPT_ANSWER


def test_a_key_of_any_letters_travels_in_the_header(ended, erp):
    event = MesEvent.objects.get(event_type="OUTBOUND_FEEDBACK")
    payload = {**event.payload, "idempotencyKey": "RUN_COMPLETION_V1:Lauf №7 “ä”"}
    MesEvent.objects.filter(pk=event.pk).update(payload=payload)
    assert work_off().status == "COMPLETED"
    assert list(erp.received) == ["RUN_COMPLETION_V1:Lauf%20%E2%84%967%20%E2%80%9C%C3%A4%E2%80%9D"]


def test_nothing_is_logged_of_what_was_not_tried(ended, erp, monkeypatch):
    delivery.pause.begin()
    work_off()
    assert not FailedMessage.objects.exists()
    assert log.ERP == "ERP"


def test_a_message_that_cannot_be_read_keeps_no_other(erp):
    """Nor does one that the receiver refuses."""
    payload = {"type": "RUN_COMPLETION_V1", "idempotencyKey": "good", "run": {}}
    for number, given in enumerate(
        ({**payload, "idempotencyKey": "first"}, {"nothing": "known"}, {**payload, "idempotencyKey": "last"})
    ):
        make_event(f"k{number}", due_ago=10 - number, event_type="OUTBOUND_FEEDBACK", payload=given)
    assert process_due() == 3
    assert set(erp.received) == {"first", "last"}
    found = dict(MesEvent.objects.values_list("idempotency_key", "status"))
    assert found == {"k0": "COMPLETED", "k1": "FAILED", "k2": "COMPLETED"}
    assert "KeyError" in MesEvent.objects.get(idempotency_key="k1").error
