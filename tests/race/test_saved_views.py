"""Views that one person saves at the same time: no more than there may be, and one that the list opens with."""

from functools import partial

import pytest
from django.contrib.auth.models import User

from mes.errors import DomainError
from mes.platform.accounts.roles import Role
from mes.platform.lists import views
from mes.platform.lists.models import SavedView
from tests.factories import make_user
from tests.integration.helpers import at_once

AT_ONCE = 4


def save_at_once(pk: int) -> None:
    """Have one person save views under several names at once."""

    def save(name: str) -> None:
        user = User.objects.get(pk=pk)
        try:
            views.create(user, list_name="units", name=name, query="", shared=False, is_default=False)
        except DomainError as refusal:
            assert refusal.code == "TOO_MANY_SAVED_VIEWS"

    at_once(*(partial(save, str(number)) for number in range(AT_ONCE)))


@pytest.fixture
def person(transactional_db: None, monkeypatch: pytest.MonkeyPatch, slow) -> int:
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    slow(views, "_take_default", before=0.05)  # between counting and writing
    return make_user(Role.ENGINEER).pk


def test_nobody_saves_more_views_than_may_be(person: int) -> None:
    save_at_once(person)
    assert SavedView.objects.count() == 1


def test_without_the_lock_there_are_more(person: int, without_locks: None) -> None:
    save_at_once(person)
    assert SavedView.objects.count() > 1
