"""A misspelt name is mended for one message, then for all of its cause; and the place of a fault is shown."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from execution.models import DataValue
from integration import causes, mends
from integration.models import FailedMessage, IntegrationMessage
from mes.platform.accounts.roles import Role
from mes.platform.bulk_actions import services
from mes.platform.bulk_actions.causes import Selection
from mes.platform.bulk_actions.faults import mark_faults
from mes.platform.bulk_actions.models import BulkAction, BulkVerb
from mes.platform.inbound.sender import Sender
from tests.factories import make_user
from tests.integration.helpers import EVENTS, into_oven, make_event, reading

PAGE = "/integration/messages/"
SENT, MEANT = "Peak Temprature", "Peak Temperature"


@pytest.fixture
def misspelt(person: APIClient, device: APIClient) -> int:
    """So many messages misspell a spec."""
    into_oven(person)
    for number in range(7):
        assert device.post(EVENTS, make_event(f"evt-{number}", reading(240.0 + number, name=SENT))).status_code == 422
    return 7


def engineer() -> Client:
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    return client


def replay_body(person: APIClient, **body: Any) -> dict[str, Any]:
    up_to = person.get("/api/integration/messages/causes").json()["data"]["upTo"]
    said = {"code": "DATA_SPEC_NOT_FOUND", "subject": SENT, "upTo": up_to, "reason": "the recipe misspells it"}
    return {**said, "specNames": {SENT: MEANT}, **body}


@pytest.mark.django_db
def test_all_of_a_cause_are_read_with_the_name_that_was_meant_and_keep_both(person: APIClient, misspelt: int) -> None:
    answer = person.post("/api/integration/messages/replay", replay_body(person))
    assert (answer.status_code, answer.json()["data"]["matched"]) == (202, misspelt)
    services.work_off()
    assert DataValue.objects.count() == misspelt
    settled = IntegrationMessage.objects.filter(status="REPLAYED")
    assert settled.count() == misspelt
    for message in settled:
        assert message.note["specNames"] == {SENT: MEANT} and message.note["reason"] == "the recipe misspells it"
        assert message.payload["data"][0]["specName"] == SENT


@pytest.mark.django_db
def test_what_fails_anew_moves_to_its_new_cause(person: APIClient, misspelt: int) -> None:
    person.post("/api/integration/messages/replay", replay_body(person, specNames={SENT: "Peek"}))
    services.work_off()
    [cause] = person.get("/api/integration/messages/causes").json()["data"]["items"]
    assert (cause["subject"], cause["count"]) == ("Peek", misspelt)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({SENT: 7 * "x" * 100}, "specNames"),
        ({SENT: ""}, "specNames"),
        ([SENT], "specNames"),
        ({f"name {number}": "x" for number in range(101)}, "specNames"),
        ({"a\0": "b"}, "specNames"),
    ],
)
def test_names_that_are_none_are_refused(person: APIClient, names: Any, said: str) -> None:
    answer = person.post("/api/integration/messages/replay", replay_body(person, specNames=names))
    assert answer.status_code == 400, answer.json()
    assert all(place.startswith(said) for place in answer.json()["error"]["details"])


@pytest.mark.django_db(transaction=True)
def test_of_four_who_press_at_once_each_message_is_applied_once(person: APIClient, misspelt: int) -> None:
    selection = Selection(error_code="DATA_SPEC_NOT_FOUND", subject=SENT)
    together = threading.Barrier(4)

    def press(number: int) -> None:
        try:
            together.wait(timeout=20)
            sender = Sender(f"engineer {number}")
            causes.decide(BulkVerb.REPLAY, selection, reason="misspelt", sender=sender, spec_names={SENT: MEANT})
            services.work_off()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(press, range(4)))
    services.work_off()
    assert DataValue.objects.count() == misspelt
    assert IntegrationMessage.objects.filter(status="REPLAYED").count() == misspelt
    assert not FailedMessage.objects.exists()


@pytest.mark.django_db
def test_on_the_page_one_is_tried_then_all(person: APIClient, misspelt: int) -> None:
    client = engineer()
    [cause] = client.get(PAGE).context["causes"]
    shown = client.get(f"{PAGE}mend/?{cause.mend_query}").content.decode()
    assert f'<mark class="fault">&quot;specName&quot;: &quot;{SENT}&quot;,</mark>' in shown
    assert f"<option>{MEANT}</option>" in shown and f"Replay all {misspelt}" in shown and "Make a spec" in shown
    form = {**cause.fields, "example": cause.example_id, "anchor": cause.anchor, "sent": SENT, "meant": MEANT}
    answer = client.post(f"{PAGE}decide/", {**form, "verb": "TRY_ONE"})
    assert answer["Location"].endswith(f"#why-{cause.anchor}")
    assert DataValue.objects.count() == 1
    [left] = client.get(PAGE).context["causes"]
    assert (left.number, left.anchor) == (misspelt - 1, cause.anchor)
    client.post(f"{PAGE}decide/", {**form, "verb": "REPLAY", "reason": "misspelt"})
    services.work_off()
    assert DataValue.objects.count() == misspelt


@pytest.mark.django_db
def test_machine_events_have_no_names_of_specs() -> None:
    form = {"code": "UNIT_NOT_FOUND", "upTo": "2026-01-24T10:00:00Z", "reason": "misspelt", "verb": "REPLAY"}
    answer = engineer().post("/ingest/events/decide/", {**form, "sent": SENT, "meant": MEANT}, follow=True)
    assert "Nothing was done. specNames" in answer.content.decode()
    assert not BulkAction.objects.exists()


@pytest.mark.django_db
def test_a_cause_that_ended_meanwhile_is_said(person: APIClient, misspelt: int) -> None:
    client = engineer()
    [cause] = client.get(PAGE).context["causes"]
    FailedMessage.objects.all().delete()
    assert client.get(f"{PAGE}mend/?{cause.mend_query}").status_code == 404
    assert client.get(f"{PAGE}mend/?example=99999999999999999999").status_code == 404
    assert client.post(f"{PAGE}decide/", {"verb": "TRY_ONE", "example": "x"}).status_code == 404
    answer = client.post(f"{PAGE}decide/", {"verb": "TRY_ONE", "example": str(cause.example_id)}, follow=True)
    assert "Still refused" in answer.content.decode()


def test_the_nearest_name_comes_first() -> None:
    known = ["Belt Speed", "Peak Temperature", "Temperature 1", "peak time"]
    assert mends.nearest_first("peak temprature", known)[0] == "Peak Temperature"


@pytest.mark.parametrize(
    ("payload", "refusal", "faulty"),
    [
        ({"a": [{"n": "X"}, {"n": "Y"}]}, {"details": {"names": ["Y"]}}, ['"n": "Y"']),
        ({"a": [{"n": 1}]}, {"code": "VALIDATION_ERROR", "details": {"a.0.n": "Must be text."}}, ['"n": 1']),
        ({"a": {"b": []}}, {"details": {"a.b": "Must not be empty."}}, ['"b": []']),
        ({"station": "S-1"}, {"details": {"code": "S-1"}}, ['"station": "S-1"']),
        ("raw", {"details": {"reason": "raw: not JSON"}}, ['"raw"']),
        ({"a": 1}, None, []),
        ({"a": 1}, {"details": 7}, []),
    ],
)
def test_the_place_of_a_fault(payload: Any, refusal: Any, faulty: list[str]) -> None:
    marked = [f"{line.key}{line.text}".rstrip(",") for line in mark_faults(payload, refusal) if line.is_faulty]
    assert marked == faulty


def test_what_is_long_is_cut() -> None:
    assert len(mark_faults(list(range(10_000)), {})) == 401
