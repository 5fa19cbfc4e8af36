"""What every test has: a cheap hash of passwords, and a database that is emptied quickly."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests.cleaning import Cleaner
from tests.remembering import take_for_fresh


def pytest_configure() -> None:
    """Hash passwords by what is quick: none of them keeps anybody out."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Have what tests commit removed quickly, and plants remembered."""
    with django_db_blocker.unblock():
        cleaner = Cleaner()
        take_for_fresh()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: cleaner.clean())
        yield
