"""Two Admins who remove each other at once: one of them stays."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connections

from mes.errors import LastAdmin
from mes.platform.accounts import people
from mes.platform.accounts.roles import Role
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


def remove_each_other(remove: str) -> int:
    """Have two Admins remove each other at the same moment; return how many stay."""
    pair = [make_user(Role.ADMIN), make_user(Role.ADMIN)]
    start = Barrier(2)

    def go(other: User) -> bool:
        try:
            start.wait(5)
            if remove == "role":
                people.save_person(User.objects.get(pk=other.pk), roles=[Role.ENGINEER])
            elif remove == "deletion":
                people.delete([other.pk])
            else:
                people.deactivate([other.pk], by="the other")
        except LastAdmin:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(go, reversed(pair)))
    return people.active_admins().count()


@pytest.fixture
def looks_long(slow) -> None:  # type: ignore[no-untyped-def]
    """Let time pass between the look and the write."""
    slow(people, "keep_an_admin", after=0.3)


@pytest.mark.parametrize("remove", ["role", "deletion", "deactivation"])
def test_one_of_two_who_remove_each_other_stays(looks_long: None, remove: str) -> None:
    assert remove_each_other(remove) == 1


def test_without_the_lock_nobody_stays(looks_long: None, without_locks: None) -> None:
    assert remove_each_other("deactivation") == 0
