"""Sessions are Django's own, read another way."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.accounts.sessions import SessionStore
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> str:
    """The key of a session that Django's own store wrote."""
    store = db.SessionStore()
    store["basket"] = {"n": 1}
    store.create()
    store["basket"] = {"n": 2}
    store.save()
    return str(store.session_key)


def test_the_product_uses_it() -> None:
    assert import_module(settings.SESSION_ENGINE).SessionStore is SessionStore


def test_what_django_wrote_is_read(key: str) -> None:
    store = SessionStore(key)
    assert store["basket"] == {"n": 2} and store.session_key == key
    assert dict(store.items()) == dict(db.SessionStore(key).items())


def test_what_it_writes_django_reads(key: str) -> None:
    store = SessionStore(key)
    store["more"] = "é"
    store.save()
    assert db.SessionStore(key)["more"] == "é"


def test_an_ended_session_is_none(key: str) -> None:
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))
    store = SessionStore(key)
    assert not store.keys() and store.session_key is None


@pytest.mark.parametrize("foreign", ["unheard-of-key", "'; DROP TABLE x; --", "é" * 40])
def test_an_unknown_key_is_none_and_not_taken_for_a_new_session(foreign: str) -> None:
    store = SessionStore(foreign)
    assert not store.keys() and store.session_key is None
    store["n"] = 1
    store.save()
    assert store.session_key not in (None, foreign)


def test_content_that_was_tampered_with_is_none(key: str) -> None:
    Session.objects.filter(pk=key).update(session_data="tampered:with")
    assert not SessionStore(key).keys()


def test_a_page_reads_session_user_and_standing(django_assert_num_queries) -> None:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    with django_assert_num_queries(4):  # and the count
        assert client.get("/notifications/bell/").status_code == 200
