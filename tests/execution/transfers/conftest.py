"""Everybody here asks with one token, made beforehand: a refusal is seen to write nothing."""

import pytest

from tests.execution.transfers import support
from tests.factories import api_client


@pytest.fixture(autouse=True)
def client(db: None) -> None:
    support.asking.client = api_client()
