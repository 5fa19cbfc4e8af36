"""The second factor: who is asked for it, what it lets through, and what it does not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from structlog.testing import capture_logs

from mes.platform.accounts.roles import Role, create_roles
from mes.platform.sign_in import second_factor
from mes.platform.sign_in.attempts import LIMITS, Purpose
from mes.platform.sign_in.models import AttemptCount, Counted, RecoveryCode, SecondFactor, SecondFactorRule
from tests.factories import api_client, make_user

pytestmark = pytest.mark.django_db

ENTER, SET_UP = "/account/second-factor/", "/account/second-factor/set-up/"
SECRET = "ABCDEFGH" * 4
PAGES = ("/", "/account/", "/account/password/", "/notifications/", "/admin/", "/trace/", "/reports/record/")


def sign_in(user: User) -> Client:
    client = Client()
    assert client.post("/sign-in/", {"username": user.get_username(), "password": "secret"}).status_code == 302
    return client


def ask_of(role: Role = Role.QUALITY) -> None:
    SecondFactorRule.objects.create(group=Group.objects.get_or_create(name=role.group_name)[0])


def make_factor(user: User) -> SecondFactor:
    return SecondFactor.objects.create(user=user, secret=second_factor.make_secret(), last_step=0)


def code_of(factor: SecondFactor, *, steps: int = 0) -> str:
    """What the app shows, some steps from now."""
    return pyotp.TOTP(factor.secret).at(timezone.now(), counter_offset=steps)


def enter(client: Client, code: str, page: str = ENTER, **fields: str) -> Any:
    return client.post(page, {"code": code, **fields})


def is_let_in(client: Client) -> bool:
    return client.get("/notifications/").status_code == 200


@pytest.fixture
def quinn() -> User:
    return make_user(Role.QUALITY, username="quinn")


# --- who is asked ---------------------------------------------------------------------------------------------


def test_who_needs_one_sees_only_the_page_to_set_it_up(quinn: User) -> None:
    client = sign_in(quinn)
    assert is_let_in(client)
    ask_of()
    for page in PAGES:
        answer = client.get(page)
        assert (answer.status_code, answer["Location"]) == (302, f"{ENTER}?next={page.replace('/', '%2F')}")
    assert client.get(ENTER)["Location"] == SET_UP
    assert client.get(ENTER, {"next": "/trace/"})["Location"] == f"{SET_UP}?next=%2Ftrace%2F"
    assert client.get(SET_UP).status_code == 200
    assert client.post("/notifications/read/").status_code == 302
    assert client.get("/", headers={"hx-request": "true"}).headers["HX-Refresh"] == "true"
    assert is_let_in(sign_in(make_user(Role.OPERATOR)))
    assert client.post("/sign-out/").status_code == 302


def test_the_api_answers_sessions_without_it_by_a_code(quinn: User) -> None:
    ask_of()
    client = sign_in(quinn)
    for address in ("/api/lines", "/api/schema/", "/api/docs/"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "SECOND_FACTOR_REQUIRED")
    write = client.post("/api/fai/run/RUN-1", "{}", content_type="application/json")
    assert write.json()["error"]["code"] == "SECOND_FACTOR_REQUIRED"


def test_tokens_are_not_asked(quinn: User) -> None:
    ask_of()
    assert api_client(Role.QUALITY).get("/api/lines").status_code == 200


def test_a_superuser_is_an_administrator(quinn: User) -> None:
    ask_of(Role.ADMIN)
    assert not is_let_in(sign_in(make_user(is_superuser=True)))


def test_who_has_one_is_asked_although_no_role_needs_it(quinn: User) -> None:
    factor = make_factor(quinn)
    client = sign_in(quinn)
    assert client.get("/trace/")["Location"] == f"{ENTER}?next=%2Ftrace%2F"
    assert client.get(SET_UP)["Location"] == ENTER
    entered = enter(client, code_of(factor), next="/trace/")
    assert entered["Location"] == "/trace/"
    assert is_let_in(client)
    assert client.get("/api/lines").status_code == 200
    assert not is_let_in(sign_in(quinn))  # in each session


def test_nobody_is_led_elsewhere(quinn: User) -> None:
    factor = make_factor(quinn)
    assert enter(sign_in(quinn), code_of(factor), next="https://evil.example/")["Location"] == "/"


# --- setting up -----------------------------------------------------------------------------------------------


def test_it_is_set_up_by_a_qr_code_and_recovery_codes_are_shown_once(quinn: User) -> None:
    ask_of()
    client = sign_in(quinn)
    page = client.get(SET_UP, {"next": "/trace/"}).content.decode()
    assert "<svg" in page
    secret = client.session["second_factor_secret"]
    assert client.get(SET_UP).content.decode().count(secret[:4])
    assert client.session["second_factor_secret"] == secret
    assert enter(client, "000000", SET_UP).status_code == 200
    assert not SecondFactor.objects.exists()
    before = client.session.session_key
    done = enter(client, pyotp.TOTP(secret).now(), SET_UP, next="/trace/")
    codes = done.context["codes"]
    assert len(codes) == second_factor.RECOVERY_CODES == len(set(codes))
    assert all(code in done.content.decode() for code in codes)
    assert done["Cache-Control"].count("no-store")
    assert is_let_in(client)
    assert client.session.session_key != before
    assert "second_factor_secret" not in client.session
    kept = str(list(RecoveryCode.objects.values()))
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    assert enter(client, pyotp.TOTP(secret).now(), SET_UP)["Location"] == ENTER
    assert codes[0] not in client.get("/account/").content.decode()


def test_the_qr_code_says_who_and_where(quinn: User) -> None:
    parts = urlsplit(second_factor.provisioning_uri(SECRET, account="quinn"))
    assert (parts.scheme, parts.path) == ("otpauth", "/Linekeeper:quinn")
    assert parse_qs(parts.query) == {"secret": [SECRET], "issuer": ["Linekeeper"]}


def test_a_posted_secret_counts_for_nothing(quinn: User) -> None:
    client = sign_in(quinn)
    client.get(SET_UP)
    mine = pyotp.random_base32()
    enter(client, pyotp.TOTP(mine).now(), SET_UP, secret=mine)
    assert not SecondFactor.objects.exists()


# --- codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(quinn: User, steps: int, is_good: bool) -> None:
    factor = make_factor(quinn)
    assert second_factor.check(factor.pk, code_of(factor, steps=steps)) is is_good


def test_no_code_is_accepted_twice_nor_one_before_it(quinn: User) -> None:
    factor = make_factor(quinn)
    earlier, now, next_one = (code_of(factor, steps=steps) for steps in (-1, 0, 1))
    assert second_factor.check(factor.pk, now)
    assert not second_factor.check(factor.pk, now)
    assert not second_factor.check(factor.pk, earlier)
    assert second_factor.check(factor.pk, next_one)


def test_the_code_it_was_set_up_with_does_not_sign_in(quinn: User) -> None:
    secret = second_factor.make_secret()
    code = pyotp.TOTP(secret).now()
    factor, _codes = second_factor.set_up(quinn, secret=secret, code=code) or pytest.fail("not set up")
    assert not second_factor.check(factor.pk, code)


@pytest.mark.django_db(transaction=True)
def test_a_code_that_is_sent_at_once_counts_once(quinn: User) -> None:
    """The control is `check` without its lock: then all read the same last step."""
    factor = make_factor(quinn)
    code, barrier = code_of(factor), Barrier(8)

    def send(_number: int) -> bool:
        try:
            barrier.wait(timeout=10)
            return second_factor.check(factor.pk, code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(8))) == 1


def test_a_recovery_code_stands_in_once_and_is_logged(quinn: User) -> None:
    secret = second_factor.make_secret()
    factor, codes = second_factor.set_up(quinn, secret=secret, code=pyotp.TOTP(secret).now()) or pytest.fail()
    client = sign_in(quinn)
    with capture_logs() as logs:
        assert enter(client, f" {codes[0].upper().replace('-', ' ')}").status_code == 302
    assert [entry["account"] for entry in logs if entry["event"] == "recovery code used"] == ["quinn"]
    assert is_let_in(client)
    assert second_factor.count_recovery_codes(factor.pk) == second_factor.RECOVERY_CODES - 1
    assert enter(sign_in(quinn), codes[0]).status_code == 200
    assert not second_factor.check(factor.pk, "")


@pytest.mark.parametrize("code", ["", "123456", "x" * 5000, "\u0661\u0662\u0663\u0664\u0665\u0666", "\ud800"])
def test_nonsense_is_refused(quinn: User, code: str) -> None:
    assert not second_factor.check(make_factor(quinn).pk, code)


def test_codes_are_throttled_like_passwords(quinn: User) -> None:
    factor = make_factor(quinn)
    client = sign_in(quinn)
    free = LIMITS[Purpose.SECOND_FACTOR, Counted.BOTH].free
    for _time in range(free + 1):
        assert enter(client, "000000").status_code == 200
    refused = enter(client, code_of(factor))
    assert (refused.status_code, refused["Retry-After"]) == (429, "2")
    assert not is_let_in(client)
    AttemptCount.objects.update(blocked_until=None)
    assert enter(client, code_of(factor)).status_code == 302


# --- changing it ----------------------------------------------------------------------------------------------


@pytest.fixture
def shown(quinn: User) -> tuple[Client, SecondFactor]:
    """A session in which the factor was shown, its code of now being used."""
    factor = make_factor(quinn)
    client = sign_in(quinn)
    enter(client, code_of(factor, steps=-1))
    return client, factor


def test_new_recovery_codes_need_a_code(shown: tuple[Client, SecondFactor]) -> None:
    client, factor = shown
    address = "/account/second-factor/codes/"
    assert enter(client, "000000", address)["Location"] == "/account/"
    assert not RecoveryCode.objects.exists()
    assert len(enter(client, code_of(factor), address).context["codes"]) == second_factor.RECOVERY_CODES


def test_one_s_own_is_removed_with_a_code_unless_a_role_needs_it(shown: tuple[Client, SecondFactor]) -> None:
    client, factor = shown
    address = "/account/second-factor/off/"
    enter(client, "000000", address)
    ask_of()
    enter(client, code_of(factor), address)
    assert SecondFactor.objects.exists()
    SecondFactorRule.objects.all().delete()
    enter(client, code_of(factor), address)
    assert not SecondFactor.objects.exists()
    assert is_let_in(client)


def test_an_administrator_removes_that_of_somebody_whose_phone_is_lost(
    quinn: User, shown: tuple[Client, SecondFactor]
) -> None:
    create_roles()
    form = {"action": "reset_second_factor", "_selected_action": [quinn.pk]}
    users = reverse("admin:auth_user_changelist")
    engineer = sign_in(make_user(Role.ENGINEER))
    engineer.post(users, form)
    assert SecondFactor.objects.exists()
    ask_of()
    with capture_logs() as logs:
        sign_in(make_user(Role.ADMIN, username="root")).post(users, form)
    assert not SecondFactor.objects.exists()
    assert [entry["by"] for entry in logs if entry["event"] == "second factor removed"] == ["root"]
    assert not is_let_in(shown[0])  # the open session must set up another


def test_so_does_a_command_for_who_is_the_only_administrator(quinn: User) -> None:
    make_factor(quinn)
    out = StringIO()
    call_command("reset_second_factor", "quinn", stdout=out)
    assert "removed" in out.getvalue()
    assert not SecondFactor.objects.exists()
    for name, message in (("quinn", "no second factor"), ("nobody", "no user")):
        with pytest.raises(CommandError, match=message):
            call_command("reset_second_factor", name)


def test_an_administrator_says_which_roles_need_one() -> None:
    create_roles()
    admin = sign_in(make_user(Role.ADMIN))
    group = Group.objects.get(name="Engineer")
    assert admin.post(reverse("admin:mes_secondfactorrule_add"), {"group": group.pk}).status_code == 302
    assert not is_let_in(sign_in(make_user(Role.ENGINEER)))
    for role in (Role.ENGINEER, Role.SUPERVISOR):
        client = Client()
        client.force_login(make_user(role))
        SecondFactorRule.objects.filter(group__name="Engineer").exists()
        assert client.post(reverse("admin:mes_secondfactorrule_add"), {"group": group.pk}).status_code in (302, 403)
    assert SecondFactorRule.objects.count() == 1


def test_time_does_not_stand_still_for_a_secret(quinn: User, monkeypatch: pytest.MonkeyPatch) -> None:
    factor = make_factor(quinn)
    code = code_of(factor)
    later = timezone.now() + timedelta(minutes=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert not second_factor.check(factor.pk, code)


def test_standing_is_read_in_one_query(quinn: User, django_assert_num_queries: Callable[..., Any]) -> None:
    ask_of()
    make_factor(quinn)
    client = sign_in(quinn)
    with django_assert_num_queries(3):  # session, user, standing
        client.get("/")
