"""Badges and PINs of people, and the pages of terminals: who sets what, and that no PIN is ever seen."""

from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.sign_in import badges, terminals
from mes.platform.sign_in.models import AttemptCount, Badge, SignOn, Terminal
from tests.execution.support import assert_refused
from tests.factories import make_station, make_user
from tests.forms import filled
from tests.platform.sign_in.support import PIN, make_badge, make_terminal, sign_on, who

pytestmark = pytest.mark.django_db
USERS = "/admin/auth/user/"


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def admin(db: None) -> Client:
    return signed_in(make_user(Role.ADMIN, username="ada"))


def save(client: Client, person: User, **fields: Any) -> Any:
    page = f"{USERS}{person.pk}/change/"
    return client.post(page, filled(client, page, **fields))


def errors_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200
    found: dict[str, Any] = answer.context["adminform"].form.errors
    return found


# --- in the administration ----------------------------------------------------------------------------------------


def test_an_admin_gives_a_badge_and_a_pin_that_nobody_reads_again(admin: Client) -> None:
    olga = make_user(Role.OPERATOR, username="olga")
    assert save(admin, olga, badge="B-1", new_pin="8264").status_code == 302
    badge = Badge.objects.get()
    assert (badge.code, check_password("8264", badge.pin_hash)) == ("B-1", True)
    for page in (f"{USERS}{olga.pk}/change/", USERS, "/admin/mes/badge/", f"/admin/mes/badge/{badge.pk}/change/"):
        text = admin.get(page).content.decode()
        assert "B-1" in text
        assert "8264" not in text and badge.pin_hash not in text
    told = [f"{entry.before} {entry.after} {entry.reason}" for entry in AuditEntry.objects.filter(entity="badges")]
    assert told
    assert not [text for text in told if "8264" in text or badge.pin_hash in text]
    assert sign_on(make_terminal()[1], "B-1", "8264").status_code == 200


def test_a_changed_badge_or_pin_signs_off_and_an_unchanged_one_does_not(admin: Client) -> None:
    olga = make_badge("olga")
    browser = make_terminal()[1]
    sign_on(browser)
    save(admin, olga, first_name="Olga")
    assert who(browser)["person"] == "olga"
    save(admin, olga, new_pin="8264")
    assert who(browser)["person"] is None
    assert_refused(sign_on(browser), "SIGN_ON_REFUSED", 403)
    sign_on(browser, pin="8264")
    save(admin, olga, badge="")
    assert who(browser)["person"] is None
    assert not Badge.objects.exists()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"badge": "B-otto"}, "badge"),
        ({"badge": "otto"}, "badge"),  # a user name
        ({"badge": " B-1"}, "badge"),
        ({"badge": "B\t1"}, "badge"),
        ({"badge": "e\u0301"}, "badge"),  # not composed
        ({"badge": "B" * 41}, "badge"),
        ({"badge": "B-1", "new_pin": "123"}, "new_pin"),
        ({"badge": "B-1", "new_pin": "12a4"}, "new_pin"),
        ({"badge": "B-1", "new_pin": "٤٧١١"}, "new_pin"),
        ({"badge": "", "new_pin": "8264"}, "new_pin"),
        ({"username": "B-otto"}, "username"),
    ],
)
def test_what_cannot_be_is_told_at_its_field(admin: Client, fields: dict[str, str], wrong: str) -> None:
    make_badge("otto")
    olga = make_user(Role.OPERATOR, username="olga")
    answer = save(admin, olga, **fields)
    assert wrong in errors_of(answer)
    assert fields.get("new_pin", "8264") not in answer.content.decode()
    assert Badge.objects.count() == 1


def test_a_badge_that_another_admin_gives_at_the_same_moment_is_told(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_badge("otto")
    olga = make_user(Role.OPERATOR, username="olga")
    check, asked = badges.check_badge, []

    def check_too_early(code: str, *, person: User) -> None:
        asked.append(code)
        if len(asked) > 1:
            check(code, person=person)

    monkeypatch.setattr(badges, "check_badge", check_too_early)
    assert "badge" in errors_of(save(admin, olga, badge="B-otto", first_name="Olga"))
    assert not User.objects.filter(first_name="Olga").exists()


@pytest.mark.parametrize("pin", ["0000", "77777777", "1234", "4321", "56789", "12", "123456789", "", "48 2", "48.2"])
def test_pins_that_anybody_would_guess_first_are_none(pin: str) -> None:
    with pytest.raises(ValidationError):
        badges.check_pin(pin)


@pytest.mark.parametrize("pin", [PIN, "8264", "12345679", "1357"])
def test_other_pins_are_fine(pin: str) -> None:
    badges.check_pin(pin)


# --- one's own ----------------------------------------------------------------------------------------------------


def test_a_person_sets_the_own_pin_with_the_password() -> None:
    client = signed_in(make_badge("olga", pin=""))
    assert "No PIN is set yet" in client.get("/account/").content.decode()
    form = {"password": "secret", "pin": "8264", "again": "8264"}
    assert client.post("/account/pin/", form).status_code == 302
    assert check_password("8264", Badge.objects.get().pin_hash)
    assert "8264" not in client.get("/account/").content.decode()
    terminal = make_terminal()[1]
    sign_on(terminal, pin="8264")
    assert who(terminal)["person"] == "olga"
    client.post("/account/pin/", {"password": "secret", "pin": "4711", "again": "4711"})
    assert who(terminal)["person"] is None  # whoever was there knew the PIN before


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"password": "wrong"}, "password"),
        ({"again": "8265"}, "again"),
        ({"pin": "1111", "again": "1111"}, "pin"),
        ({"pin": "", "again": ""}, "pin"),
    ],
)
def test_a_pin_that_is_not_set(changed: dict[str, str], field: str) -> None:
    client = signed_in(make_badge("olga"))
    answer = client.post("/account/pin/", {"password": "secret", "pin": "8264", "again": "8264", **changed})
    assert (answer.status_code, field in answer.context["form"].errors) == (200, True)
    assert check_password(PIN, Badge.objects.get().pin_hash)
    assert bool(AttemptCount.objects.filter(failures__gt=0)) == (field == "password")


def test_the_password_is_not_guessed_at_the_page_of_the_pin() -> None:
    client = signed_in(make_badge("olga"))
    form = {"password": "wrong", "pin": "8264", "again": "8264"}
    assert [client.post("/account/pin/", form).status_code for _time in range(7)][-1] == 429


def test_without_a_badge_there_is_no_pin() -> None:
    client = signed_in(make_user(Role.OPERATOR, username="otto"))
    assert "You have no badge" in client.get("/account/pin/", follow=True).content.decode()


# --- terminals ----------------------------------------------------------------------------------------------------


def test_a_supervisor_makes_a_browser_a_terminal_moves_and_revokes_it(settings: Any) -> None:
    make_badge("olga")
    make_station("ICT-01"), make_station("ICT-02")
    sue = make_user(Role.SUPERVISOR, username="sue")
    tablet = signed_in(sue)
    assert "It is no terminal" in tablet.get("/terminals/").content.decode()
    assert tablet.post("/terminals/bind/", {"stationCode": "ICT-01", "name": "Left"}).status_code == 302
    terminal = Terminal.objects.get()
    secret = tablet.cookies[terminals.COOKIE].value
    assert secret not in terminal.secret_hash
    assert sign_on(tablet).json()["data"]["stationCode"] == "ICT-01"
    desk = signed_in(sue)
    page = desk.get("/terminals/").content.decode()
    assert "olga" in page and "Left" in page and "no terminal" in page
    SignOn.objects.update(last_act_at=timezone.now() - settings.MES_SIGN_ON_IDLE)
    assert "olga" not in desk.get("/terminals/").content.decode()
    tablet.force_login(sue)
    tablet.post("/terminals/bind/", {"stationCode": "ICT-02", "name": "Left"})
    terminal.refresh_from_db()
    assert (terminal.station.code, terminal.bound_by, Terminal.objects.count()) == ("ICT-02", "sue", 1)
    assert tablet.cookies[terminals.COOKIE].value != secret
    assert not SignOn.objects.filter(ended_at=None).exists()
    desk.post(f"/terminals/{terminal.pk}/revoke/", {"reason": "broken"})
    assert AuditEntry.objects.filter(entity="terminals", reason="broken").exists()
    assert_refused(sign_on(tablet), "TERMINAL_REVOKED", 403)
    tablet.force_login(sue)
    tablet.post("/terminals/bind/", {"stationCode": "ICT-02", "name": "Left again"})
    assert Terminal.objects.count() == 2  # the revoked one stays revoked
    assert not [entry for entry in AuditEntry.objects.filter(entity="terminals") if secret in str(entry.after)]


def test_a_cookie_is_secret_where_pages_are(settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    make_station("ICT-01")
    tablet = signed_in(make_user(Role.SUPERVISOR))
    cookie = tablet.post("/terminals/bind/", {"stationCode": "ICT-01", "name": "Left"}).cookies[terminals.COOKIE]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"stationCode": "NONE", "name": "Left"}, "There is no station"),
        ({"stationCode": "ICT-01", "name": ""}, "required"),
        ({"stationCode": "ICT-01", "name": "x" * 101}, "100"),
        ({}, "required"),
    ],
)
def test_a_terminal_that_is_not_made(form: dict[str, str], told: str) -> None:
    make_station("ICT-01")
    tablet = signed_in(make_user(Role.SUPERVISOR))
    answer = tablet.post("/terminals/bind/", form)
    assert terminals.COOKIE not in answer.cookies
    assert told in tablet.get("/terminals/").content.decode()
    assert not Terminal.objects.exists()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.QUALITY, Role.ENGINEER])
def test_others_make_and_revoke_none(role: Role) -> None:
    terminal, _browser = make_terminal()
    client = signed_in(make_user(role))
    assert client.get("/terminals/").status_code == 403
    assert client.post("/terminals/bind/", {"stationCode": "ICT-01", "name": "x"}).status_code == 403
    assert client.post(f"/terminals/{terminal.pk}/revoke/", {"reason": "x"}).status_code == 403
    assert Terminal.objects.filter(revoked_at=None).count() == 1
