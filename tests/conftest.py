"""What every test has, without what would be most of its time: hashing, searching, truncating."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker
from whitenoise.middleware import WhiteNoiseMiddleware

from mes.production import locking
from tests.cleaning import Cleaner
from tests.remembering import take_for_fresh


def pytest_configure() -> None:
    """Hash passwords by what is quick: none of them keeps anybody out."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what mostly waits, so that the other workers compute meanwhile; the end is then shared well."""
    items.sort(key=lambda item: item.get_closest_marker("waiting") is None)


@pytest.fixture(scope="session", autouse=True)
def seen_deadlocks() -> Iterator[None]:
    """A deadlock fails a test: nothing begins anew after one, or locks taken out of order would not be seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locking, "MOST_DEADLOCKS", 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def known_static_files() -> Iterator[None]:
    """Have static files looked for once, not by each client that a test makes: that takes 10 ms."""
    known: dict[str, Any] = {}
    search = WhiteNoiseMiddleware.add_files_from_finders

    def add_known(middleware: WhiteNoiseMiddleware) -> None:
        if not known:
            search(middleware)
            known.update(middleware.files)
        middleware.files.update(known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_known)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Have what tests commit removed quickly, and plants remembered."""
    with django_db_blocker.unblock():
        cleaner = Cleaner()
        take_for_fresh()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: cleaner.clean())
        yield
