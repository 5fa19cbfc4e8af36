"""People at a line that is being prepared."""

import pytest
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from tests.factories import api_client


@pytest.fixture
def admin(db: None) -> APIClient:
    return api_client()


@pytest.fixture
def operator(db: None) -> APIClient:
    return api_client(Role.OPERATOR)


@pytest.fixture
def supervisor(db: None) -> APIClient:
    return api_client(Role.SUPERVISOR)


@pytest.fixture
def engineer(db: None) -> APIClient:
    return api_client(Role.ENGINEER)
