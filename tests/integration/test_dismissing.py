"""Messages that a person decides need no replay."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integration.models import FailedMessage, IntegrationMessage
from mes.platform.accounts.roles import Role
from tests.factories import api_client, make_user

pytestmark = pytest.mark.django_db


def make_failed(key: str = "evt-1") -> FailedMessage:
    return FailedMessage.objects.create(
        received_at=timezone.now(),
        direction="INBOUND",
        entity_type="DEVICE_DATA",
        dedupe_key=key,
        status="FAILED",
        payload={"eventId": key},
        error_code="TRACK_NOT_FOUND",
        digest=b"",
        note={"kept": True},
    )


def test_a_dismissed_message_is_history_with_who_and_why():
    message = make_failed()
    client = api_client(Role.ENGINEER)
    answer = client.post(f"/api/integration/messages/{message.pk}/dismiss", {"reason": "A trial."})
    assert answer.status_code == 200, answer.content
    assert not FailedMessage.objects.exists()
    kept = IntegrationMessage.objects.get()
    assert (kept.pk, kept.status, kept.payload, kept.error_code) == (
        message.pk,
        "DISMISSED",
        {"eventId": "evt-1"},
        "TRACK_NOT_FOUND",
    )
    assert kept.note["reason"] == "A trial."
    assert kept.note["dismissedBy"]
    assert kept.note["kept"] is True
    [item] = client.get("/api/integration/messages?status=DISMISSED").json()["data"]["items"]
    assert item["note"]["reason"] == "A trial."
    for action in ("dismiss", "replay"):
        again = client.post(
            f"/api/integration/messages/{message.pk}/{action}", {"reason": "x"} if action == "dismiss" else {}
        )
        assert again.json()["error"]["code"] == "INVALID_TRANSITION"


def test_a_message_that_is_still_tried_again_is_not_dismissed():
    message = make_failed()
    FailedMessage.objects.update(status="RETRYING", direction="OUTBOUND")
    answer = api_client(Role.ENGINEER).post(f"/api/integration/messages/{message.pk}/dismiss", {"reason": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_TRANSITION")
    assert FailedMessage.objects.exists()


def test_a_reason_is_needed():
    message = make_failed()
    answer = api_client(Role.ENGINEER).post(f"/api/integration/messages/{message.pk}/dismiss", {"reason": " "})
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert FailedMessage.objects.exists()


def test_it_is_for_engineers():
    message = make_failed()
    answer = api_client(Role.OPERATOR).post(f"/api/integration/messages/{message.pk}/dismiss", {"reason": "x"})
    assert answer.status_code == 403


@pytest.mark.parametrize("key", ["x", "99999999999", str(2**63), "1" * 40])
def test_a_message_that_is_not_there(key):
    answer = api_client(Role.ENGINEER).post(f"/api/integration/messages/{key}/dismiss", {"reason": "x"})
    assert answer.json()["error"]["code"] == "MESSAGE_NOT_FOUND"


def test_the_admin_dismisses_with_the_reason_beside_the_action():
    keys = [make_failed("a").pk, make_failed("b").pk]
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    page = reverse("admin:integration_integrationmessage_changelist")
    said = client.post(page, {"action": "dismiss", "_selected_action": keys}, follow=True).content.decode()
    assert "Say beside the action why" in said
    given = {"action": "dismiss", "_selected_action": keys, "reason": "Set-up"}
    assert "2 message(s) dismissed" in client.post(page, given, follow=True).content.decode()
    assert {message.note["reason"] for message in IntegrationMessage.objects.all()} == {"Set-up"}
