"""Two people sign on at one terminal at the same moment: one of them is, in the database and in the browser."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import Barrier, BrokenBarrierError, Event
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from mes.platform.accounts import people
from mes.platform.sign_in import badges, terminals
from mes.platform.sign_in import sign_on as signing_on
from mes.platform.sign_in.models import Badge, SignOn, Terminal
from tests.integration.helpers import at_once
from tests.platform.sign_in.support import make_badge, make_terminal, sign_on, who


def meet_once_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have both wait for each other when their PINs are found right."""
    both, check = Barrier(2), signing_on._check

    def check_and_meet(*args: Any) -> Any:
        person = check(*args)
        with suppress(BrokenBarrierError):
            both.wait(20)
        return person

    monkeypatch.setattr(signing_on, "_check", check_and_meet)


def meet_once_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have both wait for each other when they have seen that nobody else signed on."""
    both, end = Barrier(2), signing_on._end

    def meet_and_end(ids: Any) -> None:
        with suppress(BrokenBarrierError):
            both.wait(20)
        end(ids)

    monkeypatch.setattr(signing_on, "_end", meet_and_end)


@pytest.mark.parametrize("is_locked", [True, False], ids=["one is", "control"])
def test_of_two_who_sign_on_at_once_one_is_signed_on(
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    without_constraint: Callable[[type, str], AbstractContextManager[None]],
    *,
    is_locked: bool,
) -> None:
    for name in ("olga", "otto"):
        make_badge(name)
    _terminal, browser = make_terminal()
    make_badge("ada")
    sign_on(browser, "B-ada")  # whom both take the place of, and who was idle: the browser's session is none any more
    SignOn.objects.update(last_act_at=timezone.now() - settings.MES_SIGN_ON_IDLE)
    tabs = [Client() for _number in range(2)]
    for tab in tabs:
        tab.cookies.load({name: morsel.value for name, morsel in browser.cookies.items()})
    meet_once_checked(monkeypatch)
    if not is_locked:
        request.getfixturevalue("without_locks")
        meet_once_compared(monkeypatch)
    lacking = nullcontext() if is_locked else without_constraint(SignOn, "signon_one_at_a_terminal")
    with lacking:
        answers = at_once(
            *(
                lambda tab=tab, badge=badge: sign_on(tab, badge)
                for tab, badge in zip(tabs, ("B-olga", "B-otto"), strict=True)
            )
        )
        open_ones = SignOn.objects.filter(ended_at=None).count()
        people = [who(tab)["person"] for tab in tabs]
    if not is_locked:
        assert open_ones == 2
        assert sorted(people) == ["olga", "otto"]
        return
    assert open_ones == 1
    assert Session.objects.count() == 1
    [won], [lost] = ([each for each in answers if each.status_code == status] for status in (200, 409))
    assert lost.json()["error"]["code"] == "SIGN_ON_SUPERSEDED"
    assert "sessionid" not in lost.cookies  # else the browser would lose the one that the other answer brings
    assert SignOn.objects.get(ended_at=None).user.username == won.json()["data"]["person"]


MEANWHILE: dict[str, Callable[[User, Terminal], Any]] = {
    "TERMINAL_REVOKED": lambda _olga, terminal: terminals.revoke(terminal.pk, by="sue"),
    "SIGN_ON_REFUSED": lambda olga, _terminal: people.deactivate([olga.pk], by="ada"),
    "SIGN_ON_REFUSED by PIN": lambda olga, _terminal: badges.keep(olga, code="B-olga", pin="8264"),
    "SIGN_ON_REFUSED by badge": lambda olga, _terminal: badges.keep(olga, code=""),
}


@pytest.mark.parametrize("told", MEANWHILE)
def test_what_ends_while_the_pin_is_checked_signs_nobody_on(
    db: None, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    olga = make_badge("olga")
    terminal, browser = make_terminal()
    check = signing_on._check

    def check_and_end(*args: Any) -> Any:
        badge = check(*args)
        MEANWHILE[told](olga, terminal)
        return badge

    monkeypatch.setattr(signing_on, "_check", check_and_end)
    assert sign_on(browser).json()["error"]["code"] == told.partition(" ")[0]
    assert not SignOn.objects.exists()


@pytest.mark.parametrize("is_locked", [True, False], ids=["signed off", "control"])
def test_a_badge_that_is_changed_as_somebody_signs_on_signs_off(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, *, is_locked: bool
) -> None:
    olga, (_terminal, browser) = make_badge("olga"), make_terminal()
    if not is_locked:
        request.getfixturevalue("without_locks")
    found_good, changed, check = Event(), Event(), signing_on._is_still_good

    def check_and_wait(badge: Badge) -> bool:
        is_good = check(badge)
        found_good.set()
        changed.wait(20 if not is_locked else 0.3)  # it waits for this one, which ends first
        return is_good

    def change() -> None:
        assert found_good.wait(20)
        badges.keep(olga, code="B-olga", pin="8264")
        changed.set()

    monkeypatch.setattr(signing_on, "_is_still_good", check_and_wait)
    signed_on, _changed = at_once(lambda: sign_on(browser), change)
    assert signed_on.status_code == 200
    assert who(browser)["person"] == (None if is_locked else "olga")


class Meeting:
    """Two threads meet when each has locked the first of person and badge. Where one waits for the other's lock, they
    do not.
    """

    def __init__(self) -> None:
        self.both = Barrier(2)

    def __call__(self, execute: Any, sql: str, *given: Any) -> Any:
        """Execute a statement, and wait after one that locks."""
        result = execute(sql, *given)
        if " FOR " in sql and ('"auth_user"' in sql or '"mes_badge"' in sql):
            with suppress(BrokenBarrierError):
                self.both.wait(0.3)
        return result

    def of(self, act: Callable[[], Any]) -> Callable[[], Any]:
        """Return an act that comes to the meeting."""

        def go() -> Any:
            with connection.execute_wrapper(self):
                return act()

        return go


def change_pin(olga: User) -> None:
    badges.keep(olga, code="B-olga", pin="8264")


@transaction.atomic
def change_pin_crosswise(olga: User) -> None:
    """Do so as it is not done: the badge is locked before its person."""
    list(Badge.objects.select_for_update().filter(user=olga))
    change_pin(olga)


@pytest.mark.parametrize("change", [change_pin, change_pin_crosswise], ids=["in order", "control"])
def test_person_and_badge_are_locked_in_one_order(transactional_db: None, change: Callable[[User], None]) -> None:
    olga, (_terminal, browser) = make_badge("olga"), make_terminal()
    meeting = Meeting()

    def try_to_change() -> bool:
        try:
            change(olga)
        except OperationalError as error:
            assert "deadlock" in str(error)
            return False
        return True

    signed_on, is_changed = at_once(meeting.of(lambda: sign_on(browser)), meeting.of(try_to_change))
    are_through = is_changed and signed_on.status_code in (200, 403)
    assert are_through == (change is change_pin)
