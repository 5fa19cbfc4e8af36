"""A line of machines, who reports for them, and what happens after the commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rest_framework.test import APIClient

from ingest.models import OpenIngestEvent
from mes.platform.accounts.roles import Role
from mes.platform.inbound.digest import digest_of
from tests.factories import api_client
from tests.ingest.support import IngestPlant, make_ingest_plant, push
from tests.integration.helpers import nothing_changes

Send = Callable[..., dict[str, Any]]


@pytest.fixture
def plant(db: None) -> IngestPlant:
    return make_ingest_plant()


@pytest.fixture
def client(db: None) -> APIClient:
    """Somebody who may do everything."""
    return api_client(Role.ADMIN)


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Callable[[], Any]:
    """Return a context at whose end happens what follows a commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def send(client: APIClient, committed: Callable[[], Any]) -> Send:
    """Return a function that posts an event and lets follow what follows its commit."""

    def post(body: dict[str, Any], expect: int | None = None) -> dict[str, Any]:
        with committed():
            return push(client, body, expect)

    return post


@pytest.fixture
def refuse(client: APIClient) -> Send:
    """Return a function that posts an event which is refused and kept, and which leaves nothing else."""

    @contextmanager
    def only_kept() -> Iterator[None]:
        count = OpenIngestEvent.objects.count()
        with nothing_changes(but=(OpenIngestEvent,)):
            yield
        assert OpenIngestEvent.objects.count() == count + 1

    def post(body: dict[str, Any], code: str, status: int = 422) -> dict[str, Any]:
        with only_kept():
            error = push(client, body, status)
        assert error["code"] == code, error
        kept = OpenIngestEvent.objects.get(source_system=body["sourceSystem"], dedupe_key=body["dedupeKey"])
        assert (kept.status, kept.error_code) == ("REJECTED", code)
        assert digest_of(kept.payload) == digest_of(body)
        return error

    return post
