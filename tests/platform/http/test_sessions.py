"""Who is signed in may post what machines post, as on the pages of the API, with the token of the CSRF check."""

import json
from typing import Any

import pytest
from django.test import Client

from mes.platform.accounts.roles import Role
from tests.factories import make_user

pytestmark = pytest.mark.django_db
STATUS = {"eventId": "e", "eventTime": "2026-01-24T10:00:00Z", "source": "AUTO"}
READING = {**STATUS, "trackId": "1", "data": [{"specName": "x", "valueNumber": 1}]}
EVENT = {
    "dedupeKey": "k",
    "sourceSystem": "s",
    "eventType": "AUTO",
    "occurredAt": "2026-01-24T10:00:00Z",
    "payload": {},
}
POSTED: dict[str, tuple[dict[str, Any], int]] = {
    "/api/integration/device-data": (READING, 404),
    "/api/integration/device-data/batch": ({"events": [READING]}, 200),
    "/api/integration/station-data": (
        {**STATUS, "stationCode": "x", "operationCode": "x", "data": [{"specName": "x", "valueNumber": 1}]},
        404,
    ),
    "/api/integration/stencil-status": ({**STATUS, "stencilId": "ST-1", "status": "READY"}, 201),
    "/api/integration/equipment-status": ({**STATUS, "equipmentCode": "x", "status": "normal"}, 404),
    "/api/ingest/events": (EVENT, 422),
    "/api/ingest/events/batch": ({"events": [EVENT]}, 200),
    "/api/routes/ROUTE-1/ingest-preview": ({"stepNo": 10, "event": EVENT}, 404),
}


@pytest.fixture
def person() -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(Role.ADMIN))
    return client


def token_of(client: Client) -> str:
    client.get("/trace/")
    return client.cookies["csrftoken"].value


@pytest.mark.parametrize("path", POSTED)
def test_who_is_signed_in_may_post_it(person: Client, path: str) -> None:
    body, status = POSTED[path]
    headers = {"X-CSRFToken": token_of(person)}
    answer = person.post(path, json.dumps(body), content_type="application/json", headers=headers)
    assert answer.status_code == status, answer.content


@pytest.mark.parametrize("path", POSTED)
def test_nobody_is_signed_in_without_the_token_of_the_csrf_check(person: Client, path: str) -> None:
    token_of(person)
    answer = person.post(path, json.dumps(POSTED[path][0]), content_type="application/json")
    assert answer.status_code == 403


@pytest.mark.parametrize("path", POSTED)
def test_another_type_of_body_is_refused_as_one(person: Client, path: str) -> None:
    answer = person.post(path, "<xml/>", content_type="text/xml", headers={"X-CSRFToken": token_of(person)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
