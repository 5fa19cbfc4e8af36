"""What every test has: its database, and a garbage collector that seldom runs."""

import gc
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from mes.platform.inbound import sources
from mes.platform.monitoring import survey
from mes.production import locking
from tests import databases

# Whether an example is made in time says how busy the machine is, and nothing of what is tested.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes hours, unless it is asked for by its mark.

    Begin with what mostly waits, so that the other workers compute meanwhile; the end is then shared well.
    """
    if "long" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    items.sort(key=lambda item: item.get_closest_marker("waiting") is None)


def pytest_collection_finish() -> None:
    """Leave what is loaded now out of the collections of garbage, and collect more seldom."""
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Give each worker a copy of the migrated database (`tests/databases.py`)."""
    databases.migrate()
    databases.copy(databases.migrated(), databases.own())
    connection.settings_dict["NAME"] = databases.own()


@pytest.fixture(scope="session", autouse=True)
def asked_at_once() -> Iterator[None]:
    """`/readyz` and `/metrics` ask in the transaction of the test, which no other thread sees, and remember nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "start", lambda ask: ask())
        patch.setattr(survey, "REMEMBERED", -1.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def seen_deadlocks() -> Iterator[None]:
    """A deadlock fails a test: nothing begins anew after one, or locks taken out of order would not be seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locking, "MOST_DEADLOCKS", 0)
        yield


@pytest.fixture(scope="module")
def around_all(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A transaction around those of the tests of a file, for what is dear: it is made once, and stays as it was made.

    All tests of the file see it, so each wants it, and none commits. The time of the database stands still meanwhile:
    what works events off by it does not belong there.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def no_sources() -> None:
    """Sources that another test remembered were rolled back with it."""
    sources.assume_sources({})
