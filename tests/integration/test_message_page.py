"""The page of refused messages."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from integration.models import FailedMessage, IntegrationMessage
from mes.platform.accounts.roles import Role
from mes.platform.bulk_actions import services
from tests.factories import make_user
from tests.integration.helpers import EVENTS, accept, into_oven, make_event, reading

pytestmark = pytest.mark.django_db
PAGE = "/integration/messages/"


def sign_in(role: Role = Role.ENGINEER) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read(client: Client, query: str = "") -> str:
    response = client.get(f"{PAGE}?{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_nothing_is_refused() -> None:
    assert "Nothing is refused." in read(sign_in(Role.OPERATOR))
    assert Client().get(PAGE).status_code == 302


def test_causes_and_messages_are_decided_about(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-0", reading(245.0)))
    assert device.post(EVENTS, make_event("evt-0", reading(246.0))).status_code == 409
    for number in range(3):
        device.post(EVENTS, make_event(f"evt-{number + 1}", reading(name="Flux")))
    device.post(EVENTS, b"{", content_type="application/json")
    client = sign_in()
    page = read(client)
    assert page.index("Why they are refused") < page.index('id="message-')
    assert page.count('id="message-') == 5
    assert read(client, "code=DATA_SPEC_NOT_FOUND&q=evt-2").count('id="message-') == 1
    assert read(client, "status=CONFLICT").count('id="message-') == 1
    assert "No refused message is like this." in read(client, "step=99&q=x&before=1")
    causes = {cause.code: cause for cause in client.get(PAGE).context["causes"]}
    assert causes["DATA_SPEC_NOT_FOUND"].number == 3
    [found] = [
        cause for cause in client.get(f"{PAGE}?q=evt-2").context["causes"] if cause.code == "DATA_SPEC_NOT_FOUND"
    ]
    assert found.number == 3  # as many as its form means
    fields = causes["DATA_SPEC_NOT_FOUND"].fields
    client.post(f"{PAGE}decide/", {**fields, "verb": "DISMISS", "reason": "misspelt"})
    assert "3 will be dismissed." in read(client)
    services.work_off()
    assert IntegrationMessage.objects.filter(status="DISMISSED").count() == 3
    conflict = FailedMessage.objects.get(status="CONFLICT")
    client.post(f"{PAGE}{conflict.pk}/replay/")
    assert "Still refused" in read(client)
    client.post(f"{PAGE}{conflict.pk}/replay/", {"asNew": "true", "query": "status=CONFLICT"})
    assert "It is applied." in read(client)
    malformed = FailedMessage.objects.get()
    client.post(f"{PAGE}{malformed.pk}/dismiss/", {"reason": ""})
    assert "Say why it is dismissed." in read(client)
    client.post(f"{PAGE}{malformed.pk}/dismiss/", {"reason": "nonsense"})
    assert "Nothing is refused." in read(client)
    assert sign_in(Role.OPERATOR).post(f"{PAGE}{malformed.pk}/dismiss/", {"reason": "x"}).status_code == 403
