"""Two people sign on at one terminal at the same moment: one of them is, in the database and in the browser."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from mes.platform.accounts import people
from mes.platform.sign_in import badges, terminals
from mes.platform.sign_in import sign_on as signing_on
from mes.platform.sign_in.models import SignOn, Terminal
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
    sign_on(browser, "B-ada")  # whom both take the place of
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
