"""Guessing passwords: how soon one is not heard any more, who else is not, and what it costs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from structlog.testing import capture_logs

from mes.platform.accounts.roles import Role
from mes.platform.database import retention
from mes.platform.notifications.models import Notification
from mes.platform.sign_in import attempts
from mes.platform.sign_in.attempts import LIMITS, Purpose, Throttled
from mes.platform.sign_in.models import AttemptCount, Counted
from tests.factories import make_user

pytestmark = pytest.mark.django_db

PAGE = "/sign-in/"
HERE, THERE = "10.0.0.1", "203.0.113.9"
FREE = {kind: LIMITS[Purpose.PASSWORD, kind].free for kind in Counted}


@pytest.fixture
def olga() -> User:
    return make_user(Role.OPERATOR, username="olga")


def guess(name: str = "olga", password: str = "wrong", *, address: str = HERE, page: str = PAGE) -> Any:
    return Client().post(page, {"username": name, "password": password}, REMOTE_ADDR=address)


def fail(times: int, name: str = "olga", *, address: str = HERE) -> None:
    """Fail so often, however long it takes."""
    for _time in range(times):
        attempts.begin(Purpose.PASSWORD, account=name, address=address)
        AttemptCount.objects.update(blocked_until=None)


def is_heard(name: str = "olga", *, address: str = HERE) -> bool:
    try:
        attempts.begin(Purpose.PASSWORD, account=name, address=address).take_back()
    except Throttled:
        return False
    return True


def later(monkeypatch: pytest.MonkeyPatch, **duration: float) -> None:
    now = timezone.now() + timedelta(**duration)
    monkeypatch.setattr(timezone, "now", lambda: now)


# --- delays ---------------------------------------------------------------------------------------------------


def test_who_takes_a_failure_back_takes_no_delay_of_others_back(olga: User) -> None:
    fail(FREE[Counted.BOTH] - 1)
    mine = attempts.begin(Purpose.PASSWORD, account="olga", address=HERE)
    attempts.begin(Purpose.PASSWORD, account="olga", address=HERE)  # one too many, while this one is checked
    mine.take_back()
    assert not is_heard()


def test_some_failures_are_free_then_each_delays_the_next_longer(olga: User) -> None:
    for _time in range(FREE[Counted.BOTH]):
        assert guess().status_code == 200
    waits = []
    for _time in range(4):
        assert guess().status_code == 200
        refused = guess()
        assert refused.status_code == 429
        waits.append(int(refused["Retry-After"]))
        AttemptCount.objects.update(blocked_until=None)
    assert waits == [2, 4, 8, 16]


def test_while_nobody_is_heard_the_right_password_is_not_either(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(FREE[Counted.BOTH])
    guess()
    refused = guess(password="secret")
    assert refused.status_code == 429
    assert "Try again in 2 seconds" in refused.content.decode()
    assert "olga" in refused.content.decode()
    later(monkeypatch, seconds=2.1)
    assert guess(password="secret").status_code == 302


def test_no_delay_grows_beyond_its_ceiling() -> None:
    for (_purpose, _kind), limit in LIMITS.items():
        assert limit.delay(10_000) == limit.longest <= timedelta(minutes=15)
        assert limit.delay(limit.free) == timedelta(0)


def test_success_ends_the_row_of_failures(olga: User) -> None:
    fail(FREE[Counted.BOTH])
    assert guess(password="secret").status_code == 302
    for _time in range(FREE[Counted.BOTH]):
        assert guess().status_code == 200
    assert is_heard()


def test_failures_of_another_day_are_forgotten(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(FREE[Counted.BOTH] + 5)
    later(monkeypatch, hours=13)
    guess()
    assert is_heard()


def test_the_admin_site_signs_in_at_the_same_page(olga: User) -> None:
    fail(FREE[Counted.BOTH])
    assert guess(page="/admin/login/").status_code == 200
    assert guess(page="/admin/login/").status_code == 429
    assert guess().status_code == 429


# --- by account, by address -----------------------------------------------------------------------------------


def test_many_addresses_that_guess_one_account_are_delayed_together(olga: User) -> None:
    for number in range(FREE[Counted.ACCOUNT] + 1):
        fail(1, address=f"198.51.100.{number}")
    guess(address="198.51.100.200")
    assert not is_heard(address="198.51.100.201")
    assert is_heard("paul", address="198.51.100.201")


def test_one_address_that_guesses_many_accounts_is_delayed(olga: User) -> None:
    for number in range(FREE[Counted.ADDRESS] + 1):
        fail(1, f"name-{number}", address=THERE)
    guess("name-x", address=THERE)
    assert not is_heard("paul", address=THERE)
    assert is_heard("paul", address=HERE)


def test_nobody_is_locked_out_from_elsewhere_where_they_signed_in_before(olga: User) -> None:
    assert guess(password="secret").status_code == 302
    for number in range(FREE[Counted.ACCOUNT] + 1):
        fail(1, address=f"198.51.100.{number}")
    guess(address="198.51.100.200")
    assert not is_heard(address="198.51.100.201")
    assert guess(password="secret").status_code == 302


def test_who_signs_in_lifts_no_delay_that_others_brought_about(olga: User) -> None:
    """An attacker with an account of their own would guess on at once."""
    make_user(username="mallory")
    assert guess("mallory", "secret", address=THERE).status_code == 302
    fail(FREE[Counted.ADDRESS] + 1, address=THERE)
    guess("paul", address=THERE)
    until = AttemptCount.objects.get(counted=Counted.ADDRESS, label=THERE).blocked_until
    assert guess("mallory", "secret", address=THERE).status_code == 302
    assert AttemptCount.objects.get(counted=Counted.ADDRESS, label=THERE).blocked_until == until
    assert not is_heard("paul", address=THERE)


def test_who_is_not_heard_fills_no_table(olga: User) -> None:
    """Names are invented faster than rows go."""
    fail(FREE[Counted.ADDRESS], address=THERE)
    guess("one more", address=THERE)
    before = AttemptCount.objects.count()
    for number in range(5):
        assert guess(f"invented-{number}", address=THERE).status_code == 429
    assert AttemptCount.objects.count() == before


def test_a_name_is_one_name_however_it_is_written(olga: User) -> None:
    for name in ("olga", " olga", "OLGA", "ol\u0067a ", "Olga", "\uff4flga"):
        guess(name)
    assert AttemptCount.objects.filter(counted=Counted.ACCOUNT).count() == 1


def test_behind_proxies_the_address_is_what_the_own_ones_saw(olga: User, settings: Any) -> None:
    def counted(forwarded: str, remote: str = "10.9.9.9") -> str:
        AttemptCount.objects.all().delete()
        Client().post(
            PAGE, {"username": "x", "password": "y"}, REMOTE_ADDR=remote, headers={"x-forwarded-for": forwarded}
        )
        return AttemptCount.objects.get(counted=Counted.ADDRESS).label

    assert counted("1.1.1.1") == "10.9.9.9"
    settings.MES_TRUSTED_PROXIES = 1
    assert counted("6.6.6.6, 1.1.1.1") == "1.1.1.1"
    assert counted("nonsense") == "10.9.9.9"
    assert counted("1.1.1.1", remote="::ffff:10.9.9.9") == "1.1.1.1"
    assert counted("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    settings.MES_TRUSTED_PROXIES = 2
    assert counted("6.6.6.6, 1.1.1.1, 10.8.8.8") == "1.1.1.1"
    assert counted("1.1.1.1") == "10.9.9.9"


# --- nobody learns whether there is an account ----------------------------------------------------------------


def test_unknown_accounts_are_answered_and_delayed_alike(olga: User) -> None:
    make_user(username="gone", is_active=False)
    answers = {}
    for name, address in (("olga", "10.1.1.1"), ("nobody", "10.1.1.2"), ("gone", "10.1.1.3")):
        pages = [guess(name, address=address) for _time in range(FREE[Counted.BOTH] + 2)]
        answers[name] = [(page.status_code, page.get("Retry-After")) for page in pages]
        assert all("do not belong together" in page.content.decode() for page in pages[:-1])
    assert answers["olga"] == answers["nobody"] == answers["gone"]
    assert answers["olga"][-1] == (429, "2")


def test_an_unknown_account_costs_one_hash_like_a_known_one(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {name: count_hashes(monkeypatch, lambda name=name: guess(name)) for name in ("olga", "nobody")}
    assert counts == {"olga": 1, "nobody": 1}


def test_who_is_not_heard_costs_no_hashing(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(FREE[Counted.BOTH])
    guess()
    assert count_hashes(monkeypatch, lambda: guess(password="secret")) == 0


def count_hashes(monkeypatch: pytest.MonkeyPatch, act: Any) -> int:
    hasher = type(hashers.get_hasher())
    encode, calls = hasher.encode, []

    def counted(self: Any, *args: Any, **options: Any) -> str:
        calls.append(args)
        return encode(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(hasher, "encode", counted)
        act()
    return len(calls)


# --- logs and administrators ----------------------------------------------------------------------------------


def test_failures_are_logged_without_what_may_be_a_password(olga: User) -> None:
    with capture_logs() as logs:
        guess("olga")
        guess("MyPassw0rd!")
    failed = [entry for entry in logs if entry["event"] == "sign-in failed"]
    assert [(entry["account"], entry["address"]) for entry in failed] == [("olga", HERE), (None, HERE)]
    assert "MyPassw0rd!" not in str(logs) + str(list(AttemptCount.objects.values()))


def test_administrators_are_told_once_a_day(olga: User) -> None:
    root = make_user(Role.ADMIN)
    fail(FREE[Counted.ACCOUNT])
    assert not Notification.objects.exists()
    with capture_logs() as logs:
        for number in range(3):
            guess(address=f"198.51.100.{number}")
            AttemptCount.objects.update(blocked_until=None)
    assert [entry["counted"] for entry in logs if entry["event"] == "sign-in delayed"] == ["ACCOUNT"] * 3
    [told] = Notification.objects.filter(recipient=root)
    assert "olga" in told.text
    assert not Notification.objects.exclude(recipient=root).exists()


def test_so_is_a_superuser_without_a_group(olga: User) -> None:
    root = make_user(is_superuser=True)
    fail(FREE[Counted.ACCOUNT])
    guess()
    assert Notification.objects.get().recipient == root


def test_an_administrator_sees_who_is_delayed_and_ends_it(olga: User) -> None:
    client = Client()
    client.force_login(make_user(Role.ADMIN))
    fail(FREE[Counted.BOTH])
    guess()
    page = client.get(reverse("admin:mes_attemptcount_changelist")).content.decode()
    assert f"olga, {HERE}" in page
    assert page.count('name="_selected_action"') == 3
    chosen = list(AttemptCount.objects.values_list("pk", flat=True))
    client.post(reverse("admin:mes_attemptcount_changelist"), {"action": "forget", "_selected_action": chosen})
    assert is_heard()


# --- at once --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_guesses_sent_at_once_do_not_pass_together() -> None:
    """The control is `begin` without its lock: then all read the same count."""
    sent = 24
    barrier = Barrier(8)

    def send(number: int) -> bool:
        try:
            barrier.wait(timeout=10)
            attempts.begin(Purpose.PASSWORD, account="olga", address=HERE)
            return True
        except Throttled:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        heard = sum(pool.map(send, range(sent)))
    assert heard == FREE[Counted.BOTH] + 1


def test_the_retention_removes_what_nobody_tried_for_long(olga: User) -> None:
    guess("old")
    AttemptCount.objects.update(last_at=timezone.now() - timedelta(days=91))
    guess("new")
    [policy] = [policy for policy in retention.policies if policy.name == "failed sign-ins"]
    gone = policy.expired(timezone.now() - timedelta(days=90))
    assert gone.count() == 2  # account, and account from here; the address was used since
