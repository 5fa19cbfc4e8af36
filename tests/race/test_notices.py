"""Two workers tell of things at one moment: each person is told once, and no number is lost."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.contrib.auth.models import User

from mes.platform.accounts.roles import Role
from mes.platform.notifications import telling
from mes.platform.notifications.models import Notification
from mes.platform.notifications.rule_models import NoticeWindow
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import process_due
from tests.factories import make_user
from tests.integration.helpers import at_once
from tests.platform.notifications.support import announce, end_quiet, make_notice, make_rule, tell, told


@pytest.fixture
def quinn(transactional_db: None, settings: Any) -> User:
    """Somebody whom a rule with quiet minutes tells, by workers that take one event each."""
    settings.MES_EVENT_BATCH = 1
    make_rule(quiet_minutes=10)
    return make_user(Role.QUALITY)


def meet_once_read(monkeypatch: pytest.MonkeyPatch, *, patience: float) -> None:
    """Have two workers wait for each other when they have read which quiet times run, for a while."""
    both, read = Barrier(2), telling.QuietTimes.__init__

    def read_and_meet(self: Any, *args: Any) -> None:
        read(self, *args)
        with suppress(BrokenBarrierError):
            both.wait(patience)

    monkeypatch.setattr(telling.QuietTimes, "__init__", read_and_meet)


@pytest.mark.parametrize("is_locked", [True, False], ids=["counted", "control"])
def test_two_things_within_a_quiet_time(
    quinn: User, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, *, is_locked: bool
) -> None:
    tell(make_notice("first"))
    announce(make_notice("a"))
    announce(make_notice("b"))
    meet_once_read(monkeypatch, patience=0.5 if is_locked else 20)
    if not is_locked:
        request.getfixturevalue("without_locks")
    at_once(process_due, process_due)
    assert told(quinn) == ["first"]
    assert NoticeWindow.objects.get().more == (2 if is_locked else 1)


@pytest.mark.parametrize("is_kept", [True, False], ids=["told once", "control"])
def test_two_things_of_which_each_would_be_the_first(
    quinn: User,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    without_constraint: Callable[..., Any],
    *,
    is_kept: bool,
) -> None:
    announce(make_notice("a"))
    announce(make_notice("b"))
    with ExitStack() as stack:
        if not is_kept:
            request.getfixturevalue("without_locks")
            stack.enter_context(without_constraint(NoticeWindow, "notice_window_once"))
        meet_once_read(monkeypatch, patience=0.5 if is_kept else 20)
        at_once(process_due, process_due)
        assert len(told(quinn)) == (1 if is_kept else 2)
        assert sum(NoticeWindow.objects.values_list("more", flat=True)) == (1 if is_kept else 0)


def test_without_the_lock_the_constraint_says_once(
    quinn: User, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    announce(make_notice("a"))
    announce(make_notice("b"))
    request.getfixturevalue("without_locks")
    meet_once_read(monkeypatch, patience=5)
    at_once(process_due, process_due)
    MesEvent.objects.exclude(status="COMPLETED").update(next_attempt_at="2020-01-01T00:00Z")
    process_due()
    assert len(told(quinn)) == 1
    assert NoticeWindow.objects.get().more == 1


@pytest.mark.parametrize("is_locked", [True, False], ids=["ends once", "control"])
def test_a_quiet_time_that_ends_at_two_workers(
    quinn: User, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, *, is_locked: bool
) -> None:
    for key in "abc":
        tell(make_notice(key))
    end_quiet()
    both, end = Barrier(2), telling.end_windows

    def meet_and_end(*args: Any) -> None:
        with suppress(BrokenBarrierError):
            both.wait(0.5 if is_locked else 20)
        end(*args)

    monkeypatch.setattr(telling, "end_windows", meet_and_end)
    if not is_locked:
        request.getfixturevalue("without_locks")
    ended = at_once(telling.end_quiet_times, telling.end_quiet_times)
    assert sum(ended) == (1 if is_locked else 2)
    assert Notification.objects.filter(recipient=quinn, key__startswith="quiet:").count() == 1  # else by its constraint


@pytest.mark.parametrize("times", [12])
def test_the_same_thing_announced_again_and_again(quinn: User, times: int) -> None:
    at_once(lambda: announce(make_notice("same")), times=times)
    at_once(process_due, times=3)
    assert told(quinn) == ["same"]
    assert not NoticeWindow.objects.filter(more__gt=0).exists()
