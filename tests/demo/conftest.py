"""A live server that has the plant of the demo."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.core.servers.basehttp import WSGIRequestHandler
from django.db import connection
from pytest_django import DjangoDbBlocker

from demo import plant
from demo.client import Client
from ingest import candidates
from tests import databases
from tests.factories import make_token


@pytest.fixture(scope="module")
def with_plant(live_server: Any, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a database that has the plant: that takes a hundred requests, so it is made once."""
    name = f"{databases.own()}_with_plant"
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        patch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
        with closing(Client(live_server.url, make_token(), patience=60)) as client:
            assert plant.make(client)
        connection.close()
        databases.copy(databases.own(), name)
        yield name


@pytest.fixture
def client(with_plant: str, live_server: Any) -> Iterator[Client]:
    """A client of a live server that has the plant."""
    connection.close()
    databases.copy(with_plant, databases.own())
    candidates.forget()  # the runs of the database before, which had the same ids
    client = Client(live_server.url, make_token(), patience=60)
    yield client
    client.close()
    while _signers:
        _signers.pop().close()


_signers: list[Client] = []  # the fixture closes them


def make_signer(client: Client) -> Client:
    """A client that signs first articles."""
    _signers.append(Client(client.url, make_token("QUALITY"), patience=60))
    return _signers[-1]
