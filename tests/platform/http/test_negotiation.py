"""Who asks for JSON, or for anything, gets it; who asks for something else is told."""

import pytest
from rest_framework.test import APIClient

from tests.factories import api_client


@pytest.fixture
def client(db: None) -> APIClient:
    return api_client()


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/*", 200),
        ("text/html, application/json;q=0.9", 200),
        ("application/json; charset=utf-8", 200),
        ("text/html", 406),
        ("", 406),
        ("nonsense", 406),
    ],
)
def test_answers_are_json(client: APIClient, accept: str, status: int) -> None:
    response = client.get("/api/lines", headers={"Accept": accept})
    assert response.status_code == status
    assert response["Content-Type"].startswith("application/json")


def test_without_a_wish_too(client: APIClient) -> None:
    assert client.get("/api/lines")["Content-Type"] == "application/json"
