"""A plant ready to work, and those who call it."""

import pytest
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from tests.factories import Plant, api_client, make_plant


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


@pytest.fixture
def device(plant: Plant) -> APIClient:
    """A machine that may send device data anywhere."""
    return api_client(Role.INTEGRATION)


@pytest.fixture
def person(plant: Plant) -> APIClient:
    """Somebody who may do everything else."""
    return api_client(Role.ADMIN)
