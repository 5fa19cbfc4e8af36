"""Whoever asks how it is waits a moment, never for what hangs; many that ask cost one round."""

from collections.abc import Callable, Iterator
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from django.test import Client

from mes.platform.monitoring import health, survey
from mes.platform.monitoring.survey import Survey

SOON = 2.0  # seconds


def start(ask: Callable[[], None]) -> None:
    Thread(target=ask, daemon=True).start()  # as the product does; but no test's connection is to be closed


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "start", start)
    monkeypatch.setattr(survey, "REMEMBERED", 1.0)


@pytest.fixture
def hanging() -> Iterator[Event]:
    """What hangs until it is set."""
    released = Event()
    yield released
    released.set()


def test_what_is_known_is_told_though_the_next_question_hangs(hanging: Event) -> None:
    asked = Survey(lambda: {"quick": lambda: 1, "slow": lambda: hanging.wait(60), "last": lambda: 3})
    begun = monotonic()
    assert asked.read() == {"quick": 1}
    assert monotonic() - begun < SOON
    begun = monotonic()
    assert asked.read() == {"quick": 1}
    assert monotonic() - begun < 0.2, "it is known by now that it hangs"
    hanging.set()
    for _number in range(100):
        if "last" in asked.read():
            break
        Event().wait(0.01)
    assert asked.read() == {"quick": 1, "slow": True, "last": 3}


def test_a_round_that_hangs_is_left_to_itself_in_the_end(hanging: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(survey, "ABANDONED", 0.1)
    hangs = [True]
    asked = Survey(lambda: {"question": lambda: hanging.wait(60) if hangs[0] else "answer"})
    assert asked.read() == {}
    hangs[0] = False
    Event().wait(0.15)
    assert asked.read() == {"question": "answer"}


def test_answers_hold_for_a_moment() -> None:
    rounds: list[int] = []
    asked = Survey(lambda: {"number": lambda: rounds.append(1) or len(rounds)})
    assert [asked.read() for _number in range(20)] == [{"number": 1}] * 20


def test_answers_are_asked_anew_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "REMEMBERED", 0.0)
    rounds: list[int] = []
    asked = Survey(lambda: {"number": lambda: rounds.append(1) or len(rounds)})
    assert asked.read() == {"number": 1}
    Event().wait(0.01)
    assert asked.read() == {"number": 2}


@pytest.mark.parametrize("name", ["database", "writes", "tasks"])
def test_readyz_tells_of_a_check_that_hangs(name: str, hanging: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    def well() -> dict[str, Any]:
        return {"ok": True}

    def hang() -> dict[str, Any]:
        hanging.wait(60)
        return {"ok": True}

    monkeypatch.setattr(health, "SURVEY", Survey(health.SURVEY.questions))  # which remembers nothing of other tests
    for checks in (health.CHECKS, health.WARNINGS):
        for known in checks:
            monkeypatch.setitem(checks, known, hang if known == name else well)
    begun = monotonic()
    answer = Client().get("/readyz")
    assert monotonic() - begun < SOON
    assert answer.json()["checks"][name] == {"ok": False, "error": "TimeoutError"}
    assert answer.status_code == 503 or name == "tasks"
    begun = monotonic()
    assert Client().get("/healthz").status_code == 200
    assert monotonic() - begun < SOON
