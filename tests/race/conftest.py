"""Races are run on committed rows, by threads with connections of their own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import sleep
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.db.models.constraints import BaseConstraint
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.production import locking
from mes.production.models import Unit
from tests.factories import api_client
from tests.integration.helpers import track_in


@pytest.fixture
def person(transactional_db: None) -> APIClient:
    """Somebody who may do everything."""
    return api_client(Role.ADMIN)


def put_into_oven(person: APIClient, sn: str) -> str:
    """Have a registered unit in the oven, without the way there; return its track's id."""
    Unit.objects.filter(sn=sn).update(current_step_no=20)
    return track_in(person, "REF-01", sn)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For controls: `select_for_update` and the statement that locks runs and units lock nothing."""
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, *args, **kwargs: self._chain())
    monkeypatch.setattr(locking, "LOCK", locking.LOCK.replace("FOR NO KEY UPDATE", "").replace("FOR SHARE", ""))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes a module's function wait before or after its work, to widen a race's window."""

    def make_slow(module: Any, name: str, *, before: float = 0, after: float = 0) -> None:
        original = getattr(module, name)

        def slowed(*args: Any, **kwargs: Any) -> Any:
            sleep(before)
            result = original(*args, **kwargs)
            sleep(after)
            return result

        monkeypatch.setattr(module, name, slowed)

    return make_slow


@pytest.fixture
def without_constraint(transactional_db: None) -> Callable[[type, str], AbstractContextManager[None]]:
    """For controls: return a context in which a table lacks a constraint. The table is emptied at its end."""

    @contextmanager
    def lacking(model: Any, name: str) -> Iterator[None]:
        constraint: BaseConstraint = next(c for c in model._meta.constraints if c.name == name)
        with connection.schema_editor() as editor:
            editor.remove_constraint(model, constraint)
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")
            with connection.schema_editor() as editor:
                editor.add_constraint(model, constraint)

    return lacking
