"""Passwords are hashed one at a time, whoever waits waits briefly, and who cannot is told when to come back."""

import fcntl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, get_hasher, make_password
from django.test import Client

from mes.platform.accounts import hashers
from mes.platform.accounts.hashers import HashingBusy, OneAtATimeHasher
from mes.platform.accounts.roles import Role
from mes.platform.sign_in.models import AttemptCount
from tests.factories import make_user
from tests.platform.outbox.support import eventually


@pytest.fixture(autouse=True)
def product_hasher(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path  # others sign in, in tests beside these
    settings.PASSWORD_HASHERS = ["mes.platform.accounts.hashers.OneAtATimeHasher"]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Hashing that goes on until it may end, and notes how many are at it."""
    state: dict[str, Any] = {"running": 0, "most": 0, "end": threading.Event()}

    def encode(self: Any, *_args: Any, **_options: Any) -> str:
        state["running"] += 1
        state["most"] = max(state["most"], state["running"])
        state["end"].wait(10)
        state["running"] -= 1
        return "x"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)
    yield state
    state["end"].set()


def test_what_is_kept_is_django_s_own_hash() -> None:
    encoded = make_password("secret")
    assert isinstance(get_hasher(), OneAtATimeHasher)
    assert encoded.startswith("pbkdf2_sha256$")
    salt = encoded.split("$")[2]
    assert PBKDF2PasswordHasher().encode("secret", salt) == encoded
    assert check_password("secret", encoded)
    assert not check_password("Secret", encoded)


def test_one_is_hashed_one_waits_and_further_ones_are_refused_at_once(slow: dict[str, Any]) -> None:
    with ThreadPoolExecutor(2) as pool:
        hashed = [pool.submit(OneAtATimeHasher().encode, "x", "salt") for _number in range(2)]
        eventually(lambda: hashers._room._value == 0)
        with pytest.raises(HashingBusy):
            OneAtATimeHasher().encode("x", "salt")
        slow["end"].set()
        assert [one.result(10) for one in hashed] == ["x", "x"]
    assert slow["most"] == 1


def test_nobody_waits_for_long(slow: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "LONGEST_WAIT", 0.05)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(OneAtATimeHasher().encode, "x", "salt")
        eventually(lambda: slow["running"] == 1)
        with pytest.raises(HashingBusy):
            OneAtATimeHasher().encode("x", "salt")
        slow["end"].set()
        assert first.result(10) == "x"
    assert OneAtATimeHasher().encode("x", "salt") == "x"  # the turn was given back


def test_processes_of_one_machine_take_turns(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "LONGEST_WAIT", 0.1)
    with (settings.DATA_DIR / "hashing.lock").open("a") as others:
        fcntl.flock(others, fcntl.LOCK_EX)
        with pytest.raises(HashingBusy):
            OneAtATimeHasher().encode("x", "salt")
    assert OneAtATimeHasher().encode("x", "salt")


def test_where_there_can_be_no_file_people_sign_in_all_the_same(settings: Any) -> None:
    settings.DATA_DIR = settings.DATA_DIR / "missing"
    assert OneAtATimeHasher().encode("x", "salt")


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers, "_room", threading.BoundedSemaphore(1))
    hashers._room.acquire()


@pytest.mark.django_db
def test_who_signs_in_meanwhile_is_asked_to_come_back_and_counts_as_nothing(busy: None) -> None:
    answer = Client().post("/sign-in/", {"username": "olga", "password": "secret"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert "Try again" in answer.content.decode()
    assert set(AttemptCount.objects.values_list("failures", flat=True)) == {0}


@pytest.mark.django_db
def test_so_is_who_changes_a_password(settings: Any, request: pytest.FixtureRequest) -> None:
    user = make_user(Role.OPERATOR)
    client = Client()
    client.force_login(user)
    request.getfixturevalue("busy")
    form = {"old_password": "secret", "new_password1": "long enough 1", "new_password2": "long enough 1"}
    answer = client.post("/account/password/", form)
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
