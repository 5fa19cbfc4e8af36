"""A plant and an operator at it."""

import pytest
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from tests.factories import Plant, api_client, make_plant


@pytest.fixture
def plant(db: None) -> Plant:
    """Three MANUAL steps with an authorized run RUN-1 and the registered units SN-1 and SN-2."""
    return make_plant()


@pytest.fixture
def operator(db: None) -> APIClient:
    return api_client(Role.OPERATOR)


@pytest.fixture
def supervisor(db: None) -> APIClient:
    return api_client(Role.SUPERVISOR)


@pytest.fixture
def device(db: None) -> APIClient:
    return api_client(Role.INTEGRATION)
