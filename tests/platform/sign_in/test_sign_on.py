"""Signing on at terminals by badge and PIN: who is, what is refused and how often, and when it ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.views import APIView

from mes.platform.accounts import people
from mes.platform.accounts.hashers import HashingBusy
from mes.platform.accounts.roles import Capability, Role, Standing, at_terminal
from mes.platform.database import retention
from mes.platform.database.retention import Rows
from mes.platform.sign_in import attempts, badges, terminals
from mes.platform.sign_in.models import AttemptCount, SecondFactor, SecondFactorRule, SignOn, Terminal
from tests.execution.support import assert_refused
from tests.factories import api_client, make_plant, make_user
from tests.platform.sign_in.support import PIN, make_badge, make_terminal, sign_off, sign_on, who

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(db: None) -> User:
    return make_badge("olga", first_name="Olga", last_name="Meier")


@pytest.fixture
def browser(db: None) -> Client:
    return make_terminal()[1]


def age(**ago: Any) -> None:
    """Let the last act of everybody who is signed on lie so long ago."""
    SignOn.objects.update(last_act_at=timezone.now() - timedelta(**ago))


# --- who is signed on ---------------------------------------------------------------------------------------------


def test_badge_and_pin_change_the_person_of_the_browser(browser: Client, olga: User) -> None:
    sue = make_user(Role.SUPERVISOR, username="sue")
    browser.force_login(sue)
    before, token = browser.cookies["sessionid"].value, browser.get("/account/").context["csrf_token"]
    assert who(browser)["person"] == "sue"
    answer = sign_on(browser)
    assert answer.status_code == 200
    told = answer.json()["data"]
    assert told | {"until": ""} == {
        "terminal": "Tablet left",
        "stationCode": "ICT-01",
        "person": "olga",
        "printedName": "Olga Meier",
        "roles": ["OPERATOR"],
        "until": "",
    }
    assert who(browser) == told
    assert browser.cookies["sessionid"].value != before
    assert not Session.objects.filter(session_key=before).exists()
    assert browser.cookies["csrftoken"].value
    assert browser.get("/account/").context["csrf_token"] != token
    cookie = answer.cookies[terminals.COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_scanner_may_say_how_it_read_the_badge(browser: Client, olga: User) -> None:
    assert sign_on(browser, "]C1B-olga").json()["data"]["person"] == "olga"


def test_the_next_person_ends_the_session_of_the_one_before(browser: Client, olga: User) -> None:
    make_badge("otto")
    sign_on(browser)
    stolen = Client()
    stolen.cookies["sessionid"] = browser.cookies["sessionid"].value
    assert stolen.get("/account/").status_code == 200
    assert sign_on(browser, "B-otto").json()["data"]["person"] == "otto"
    assert stolen.get("/account/").status_code == 302
    assert SignOn.objects.filter(ended_at=None).count() == 1


def test_who_signs_off_is_gone_and_again_it_changes_nothing(browser: Client, olga: User) -> None:
    sign_on(browser)
    for _time in range(2):
        answer = sign_off(browser)
        assert (answer.status_code, answer.json()["data"]["person"]) == (200, None)
    assert not SignOn.objects.filter(ended_at=None).exists()
    assert browser.get("/account/").status_code == 302
    sign_on(browser)
    browser.post("/sign-out/")
    assert not SignOn.objects.filter(ended_at=None).exists()


# --- what is refused ----------------------------------------------------------------------------------------------


def test_only_a_terminal_signs_on(olga: User) -> None:
    assert_refused(sign_on(Client()), "TERMINAL_REQUIRED", 403)
    guessing = Client()
    guessing.cookies[terminals.COOKIE] = "x" * 43
    assert_refused(sign_on(guessing), "TERMINAL_REQUIRED", 403)
    assert not AttemptCount.objects.exists()
    assert who(Client())["terminal"] is None


def test_a_token_is_nobody_at_a_terminal(browser: Client, olga: User) -> None:
    token = api_client(Role.ADMIN)._credentials["HTTP_AUTHORIZATION"]
    assert_refused(sign_on(browser, HTTP_AUTHORIZATION=token), "PERMISSION_DENIED", 403)
    assert_refused(browser.get("/api/sign-on", HTTP_AUTHORIZATION=token), "PERMISSION_DENIED", 403)
    assert_refused(browser.post("/api/sign-off", HTTP_AUTHORIZATION=token), "PERMISSION_DENIED", 403)
    assert not SignOn.objects.exists()


def test_a_revoked_terminal_says_what_becomes_of_what_waits(browser: Client, olga: User) -> None:
    sign_on(browser)
    terminals.revoke(Terminal.objects.get().pk, by="sue")
    assert who(browser)["person"] is None  # whoever was signed on is signed off
    refused = sign_on(browser)
    assert_refused(refused, "TERMINAL_REVOKED", 403)
    assert "stays in this browser until somebody signs in" in refused.json()["error"]["message"]
    page = browser.get("/sign-in/").content.decode()
    assert "stays in this browser until somebody signs in" in page
    assert "sign-on-pin" not in page


def test_a_forged_request_is_refused(olga: User) -> None:
    _terminal, plain = make_terminal()
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = plain.cookies
    for address in ("/api/sign-on", "/api/sign-on/stay", "/api/sign-off"):
        body = {"badge": "B-olga", "pin": PIN} if address == "/api/sign-on" else {}
        forged = browser.post(address, body, content_type="application/json")
        assert_refused(forged, "PERMISSION_DENIED", 403)
    browser.get("/sign-in/")
    token = browser.cookies["csrftoken"].value
    assert sign_on(browser, headers={"X-CSRFToken": token}).status_code == 200
    assert_refused(sign_on(browser, headers={"X-CSRFToken": token}), "PERMISSION_DENIED", 403)  # it changed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "badge"),
        ({"badge": "B-olga"}, "pin"),
        ({"badge": "B-olga", "pin": 4711}, "pin"),
        ({"badge": "B-olga", "pin": "471"}, "pin"),
        ({"badge": "B-olga", "pin": "471147114"}, "pin"),
        ({"badge": "B-olga", "pin": "４７１１"}, "pin"),
        ({"badge": "B-olga\0", "pin": PIN}, "badge"),
        ({"badge": "", "pin": PIN}, "badge"),
        ({"badge": ["B-olga"], "pin": PIN}, "badge"),
        ({"badge": "B-olga", "pin": PIN, "as": "sue"}, "as"),
    ],
)
def test_malformed_bodies_are_told_and_not_counted(browser: Client, olga: User, body: Any, field: str) -> None:
    answer = browser.post("/api/sign-on", body, content_type="application/json")
    assert (answer.status_code, field in answer.json()["error"]["details"]) == (400, True)
    assert not AttemptCount.objects.exists()


def test_unknown_badges_and_wrong_pins_look_alike_and_cost_alike(
    browser: Client, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_badge("gone", is_active=False)
    make_badge("new", pin="")
    hashes: list[str] = []
    verify = badges.check_password
    monkeypatch.setattr(badges, "check_password", lambda *given: hashes.append(given[1]) or verify(*given))
    who(browser)  # it is noted that it was heard
    seen = []
    for badge, pin in (("B-olga", "8264"), ("B-NOBODY", "8264"), ("B-gone", PIN), ("B-new", PIN)):
        with CaptureQueriesContext(connection) as statements:
            refused = sign_on(browser, badge, pin)
        assert_refused(refused, "SIGN_ON_REFUSED", 403)
        seen.append((refused.json()["error"]["message"], len(statements)))
    assert len(set(seen)) == 1
    assert len(hashes) == 4  # each computes one


def test_who_is_asked_for_a_second_factor_signs_in_by_password(browser: Client, olga: User) -> None:
    SecondFactorRule.objects.create(group=Group.objects.get(name="Operator"))
    assert_refused(sign_on(browser), "SECOND_FACTOR_REQUIRED", 403)
    SecondFactorRule.objects.all().delete()
    SecondFactor.objects.create(user=olga, secret="A" * 32, last_step=1)
    assert_refused(sign_on(browser), "SECOND_FACTOR_REQUIRED", 403)
    assert not AttemptCount.objects.filter(failures__gt=0).exists()  # it was no guess


def test_what_was_no_guess_keeps_no_wrong_pin_for_longer(browser: Client, olga: User) -> None:
    sign_on(browser, pin="8264")
    AttemptCount.objects.update(last_at=timezone.now() - timedelta(minutes=14))
    SecondFactorRule.objects.create(group=Group.objects.get(name="Operator"))
    assert_refused(sign_on(browser), "SECOND_FACTOR_REQUIRED", 403)
    assert not AttemptCount.objects.filter(last_at__gt=timezone.now() - timedelta(minutes=13)).exists()


@pytest.mark.parametrize("role", [None, Role.ENGINEER, Role.INTEGRATION])
def test_who_has_no_work_at_stations_does_not_sign_on(browser: Client, role: Role | None) -> None:
    make_badge("eva", role)
    assert_refused(sign_on(browser, "B-eva"), "PERMISSION_DENIED", 403)


def test_a_badge_opens_the_work_of_stations_only(browser: Client) -> None:
    make_plant()
    ada = make_badge("ada", Role.ADMIN)
    assert sign_on(browser, "B-ada").json()["data"]["roles"] == ["OPERATOR", "SUPERVISOR", "QUALITY"]
    for address in ("/admin/", "/admin/auth/user/", "/terminals/", "/qualifications/", "/account/pin/"):
        assert browser.get(address).status_code in (302, 403), address
        assert browser.get(address, follow=True).status_code == 403, address
    assert browser.post("/api/lines", {"code": "L", "name": "L"}, content_type="application/json").status_code == 403
    for address in ("/account/password/", "/account/pin/", "/qualifications/give/"):
        assert browser.post(address, {}).status_code == 403, address
    assert browser.get("/account/second-factor/set-up/").status_code == 403
    assert browser.get("/").status_code == 200
    other = Client()
    other.force_login(ada)
    assert other.get("/admin/").status_code == 200


def test_no_role_of_the_floor_keeps_rules_or_people_by_badge() -> None:
    every = Standing(roles=frozenset(Role), capabilities=frozenset(Capability))
    work = (
        "track readings bind stop runs units authorize waive close disposition remark hold defect fai oqc mrb release"
    )
    assert at_terminal(every).capabilities == {Capability(name) for name in work.split()}


# --- the lock -----------------------------------------------------------------------------------------------------


def test_five_wrong_pins_lock_pin_and_signature_for_a_quarter_of_an_hour(browser: Client, olga: User) -> None:
    for _time in range(5):
        assert_refused(sign_on(browser, pin="8264"), "SIGN_ON_REFUSED", 403)
    locked = sign_on(browser)  # the right one is not heard either
    assert_refused(locked, "SIGN_ON_LOCKED", 429)
    assert 890 <= locked.json()["error"]["details"]["seconds"] <= 900
    assert int(locked["Retry-After"]) == locked.json()["error"]["details"]["seconds"]
    make_badge("otto")
    assert sign_on(browser, "B-otto").status_code == 200  # nobody else is kept out
    signed = sign_with_password(make_user(Role.QUALITY), "olga", "secret")
    assert_refused(signed, "SIGN_ON_LOCKED", 429)
    AttemptCount.objects.update(blocked_until=timezone.now(), last_at=timezone.now() - timedelta(minutes=15, seconds=1))
    assert sign_on(browser).status_code == 200


def test_wrong_signatures_and_wrong_pins_are_counted_together(browser: Client, olga: User) -> None:
    for _time in range(3):
        assert_refused(sign_with_password(olga, "olga", "wrong"), "SIGNATURE_REFUSED", 403)
    for _time in range(2):
        assert_refused(sign_on(browser, pin="8264"), "SIGN_ON_REFUSED", 403)
    assert_refused(sign_on(browser), "SIGN_ON_LOCKED", 429)
    assert_refused(sign_with_password(olga, "olga", "secret"), "SIGN_ON_LOCKED", 429)


def test_wrong_pins_count_in_the_throttle_of_the_sign_in(browser: Client, olga: User) -> None:
    for _time in range(5):
        sign_on(browser, pin="8264")
    counts = AttemptCount.objects.filter(counted="BOTH", label__startswith="olga")
    assert counts.get().failures == 5
    form = {"username": "olga", "password": "wrong"}
    assert browser.post("/sign-in/", form).status_code == 200
    assert browser.post("/sign-in/", form).status_code == 429


def test_a_right_pin_ends_the_row_of_failures(browser: Client, olga: User) -> None:
    for _round in range(3):
        for _time in range(4):
            sign_on(browser, pin="8264")
        assert sign_on(browser).status_code == 200


def test_a_right_pin_leaves_wrong_passwords_counted(browser: Client, olga: User) -> None:
    form = {"username": "olga", "password": "wrong"}
    answers = [browser.post("/sign-in/", form).status_code for _time in range(4)]
    assert sign_on(browser).status_code == 200
    sign_off(browser)
    answers += [browser.post("/sign-in/", form).status_code for _time in range(3)]
    assert answers == [200] * 6 + [429]


def test_a_right_pin_leaves_wrong_signatures_counted(browser: Client, olga: User) -> None:
    for _time in range(3):
        assert_refused(sign_with_password(olga, "olga", "wrong"), "SIGNATURE_REFUSED", 403)
    sign_on(browser, pin="8264")
    assert sign_on(browser).status_code == 200
    assert_refused(sign_with_password(olga, "olga", "wrong"), "SIGNATURE_REFUSED", 403)
    assert_refused(sign_with_password(olga, "olga", "wrong"), "SIGNATURE_REFUSED", 403)
    assert_refused(sign_with_password(olga, "olga", "secret"), "SIGN_ON_LOCKED", 429)


def test_a_right_pin_excuses_no_guess_for_pins_that_a_signature_took_back(browser: Client) -> None:
    quinn = make_badge("quinn", Role.QUALITY)
    for _time in range(3):
        sign_on(browser, "B-quinn", "8264")
    assert_refused(sign_with_password(quinn, "quinn", "secret"), "UNIT_NOT_FOUND", 404)
    for _time in range(3):
        assert_refused(sign_with_password(quinn, "quinn", "wrong"), "SIGNATURE_REFUSED", 403)
    assert sign_on(browser, "B-quinn").status_code == 200
    for _time in range(2):
        assert_refused(sign_with_password(quinn, "quinn", "wrong"), "SIGNATURE_REFUSED", 403)
    assert_refused(sign_with_password(quinn, "quinn", "secret"), "SIGN_ON_LOCKED", 429)


def test_a_right_pin_takes_wrong_ones_back_from_each_count_for_as_long_as_it_counts(
    browser: Client, olga: User
) -> None:
    for _time in range(4):
        sign_on(browser, pin="8264")
    AttemptCount.objects.update(last_at=timezone.now() - timedelta(minutes=16))
    assert sign_on(browser).status_code == 200
    assert not AttemptCount.objects.filter(label__startswith="olga", counted="BOTH", failures__gt=0).exists()
    for _time in range(5):
        assert_refused(sign_on(browser, pin="8264"), "SIGN_ON_REFUSED", 403)


def test_what_a_delay_of_passwords_refuses_is_no_guess_at_a_pin(browser: Client, olga: User) -> None:
    attempts.begin(attempts.Purpose.PASSWORD, account="olga", address="127.0.0.1")
    AttemptCount.objects.update(blocked_until=timezone.now() + timedelta(minutes=1))
    assert_refused(sign_on(browser), "SIGN_ON_LOCKED", 429)
    assert not AttemptCount.objects.filter(label__contains="signature", failures__gt=0).exists()


def test_guesses_at_a_badge_that_nobody_has_lock_nobody(browser: Client, olga: User) -> None:
    for _time in range(5):
        assert_refused(sign_on(browser, "olga", "8264"), "SIGN_ON_REFUSED", 403)
    assert_refused(sign_on(browser, "olga", "8264"), "SIGN_ON_LOCKED", 429)
    assert sign_on(browser).status_code == 200


def test_what_could_not_be_checked_is_not_counted(browser: Client, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_given: Any) -> bool:
        raise HashingBusy

    monkeypatch.setattr(badges, "check_password", busy)
    assert_refused(sign_on(browser), "TRY_AGAIN", 503)
    assert not AttemptCount.objects.filter(failures__gt=0).exists()


def sign_with_password(person: User, name: str, password: str) -> Any:
    """Sign something as somebody, with a token so that any name may be given."""
    body = {"reason": "x", "signature": {"username": name, "password": password, "meaning": "x"}}
    return api_client(Role.QUALITY).post("/api/units/SN-NONE/release", body)


# --- idle, deactivated --------------------------------------------------------------------------------------------


def test_who_does_nothing_is_signed_off(browser: Client, olga: User, settings: Any) -> None:
    sign_on(browser)
    age(minutes=14, seconds=55)
    assert who(browser)["person"] == "olga"
    settings.MES_SIGN_ON_IDLE = timedelta(minutes=14)
    age(minutes=13, seconds=59)
    assert who(browser)["person"] == "olga"
    settings.MES_SIGN_ON_IDLE = timedelta(minutes=15)
    age(minutes=15)
    assert who(browser)["person"] is None
    assert browser.get("/").status_code == 302


def test_looking_is_no_act_and_acting_is(browser: Client, olga: User) -> None:
    make_plant()
    sign_on(browser)
    age(minutes=10)
    browser.get("/", headers={"hx-request": "true"})
    browser.get("/api/sign-on")
    assert SignOn.objects.get().last_act_at < timezone.now() - timedelta(minutes=9)
    body = {"sn": "SN-1"}
    browser.post("/api/stations/SMT-01/track-in", body, content_type="application/json")
    assert SignOn.objects.get().last_act_at > timezone.now() - timedelta(minutes=1)
    with CaptureQueriesContext(connection) as statements:
        browser.post("/api/stations/SMT-01/track-in", body, content_type="application/json")
    assert not [each for each in statements if "UPDATE" in each["sql"] and "mes_signon" in each["sql"]]


def test_what_is_sent_again_by_itself_is_no_act(browser: Client, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plant()
    sign_on(browser)
    age(minutes=10)
    refused = browser.post("/api/lines", {"code": "L", "name": "L"}, content_type="application/json")
    monkeypatch.setattr(APIView, "initial", lambda *_request, **_names: 1 / 0)
    browser.raise_request_exception = False
    failed = browser.post("/api/stations/SMT-01/track-in", {"sn": "SN-1"}, content_type="application/json")
    assert (refused.status_code, failed.status_code) == (403, 500)
    assert SignOn.objects.get().last_act_at < timezone.now() - timedelta(minutes=9)


def test_a_terminal_is_answered_where_nothing_can_be_written(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any, **_values: Any) -> int:
        raise DatabaseError("read only")

    monkeypatch.setattr(QuerySet, "update", refuse)
    assert who(browser)["person"] is None


def test_who_types_and_sends_nothing_stays(browser: Client, olga: User) -> None:
    sign_on(browser)
    age(minutes=10)
    told = browser.post("/api/sign-on/stay", {}, content_type="application/json").json()["data"]
    assert told["person"] == "olga"
    assert who(browser)["until"] == told["until"]
    assert SignOn.objects.get().last_act_at > timezone.now() - timedelta(minutes=1)
    sign_off(browser)
    assert browser.post("/api/sign-on/stay", {}, content_type="application/json").json()["data"]["person"] is None


def test_who_signed_in_by_password_is_not_signed_off(browser: Client, olga: User) -> None:
    browser.force_login(olga)
    assert who(browser)["until"] is None
    age(hours=1)
    assert who(browser)["person"] == "olga"


def test_who_is_deactivated_during_a_shift_is_out(browser: Client, olga: User) -> None:
    sign_on(browser)
    people.deactivate([olga.pk], by="ada")
    assert browser.get("/").status_code == 302
    assert_refused(sign_on(browser), "SIGN_ON_REFUSED", 403)
    people.activate([olga.pk], by="ada")
    assert who(browser)["person"] is None


def test_a_session_that_outlives_its_sign_on_is_no_session(browser: Client, olga: User) -> None:
    sign_on(browser)
    session = browser.session
    session.cycle_key()  # under another key it has no sign-on, and would never be idle
    browser.cookies["sessionid"] = session.session_key
    assert who(browser)["person"] is None


def test_sign_ons_of_long_ago_go_and_those_that_last_stay(browser: Client, olga: User) -> None:
    sign_on(browser)
    SignOn.objects.update(last_act_at=timezone.now() - timedelta(days=91))
    make_badge("otto")
    sign_on(browser, "B-otto")
    [policy] = [policy for policy in retention.policies if policy.name == "sign-ons"]
    assert isinstance(policy, Rows)
    expired = policy.expired(timezone.now() - timedelta(days=90))
    assert list(expired.values_list("user__username", flat=True)) == ["olga"]


# --- who is here --------------------------------------------------------------------------------------------------


def test_the_sign_in_page_of_a_terminal_has_the_form_and_others_have_not(browser: Client, olga: User) -> None:
    page = browser.get("/sign-in/?next=/orders/").content.decode()
    for text in ("sign-on-badge", 'inputmode="numeric"', 'data-next="/orders/"', "Station ICT-01", 'data-digit="0"'):
        assert text in page
    assert "sign-on-badge" not in Client().get("/sign-in/").content.decode()


def test_a_terminal_is_heard_once_a_minute(browser: Client, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.get("/sign-in/")
    heard = Terminal.objects.get().last_heard_at
    assert heard is not None
    with CaptureQueriesContext(connection) as statements:
        browser.get("/api/sign-on")
    assert not [each for each in statements if "UPDATE" in each["sql"]]
    assert Terminal.objects.get().last_heard_at == heard
    Terminal.objects.update(last_heard_at=None, revoked_at=timezone.now())
    monkeypatch.setattr(terminals, "HEARD_EVERY", -1.0)
    browser.get("/api/sign-on")
    assert Terminal.objects.get().last_heard_at is None, "it is none any more"
