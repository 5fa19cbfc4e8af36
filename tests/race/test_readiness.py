"""A status that turns bad while a run is being authorized: it is seen, or it waits until the run is authorized."""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from mes.line_setup import bindings, reports
from mes.line_setup.models import MaterialLot, SetUpKind, Tool
from mes.plant.models import Equipment, Station
from mes.production.models import Run
from mes.readiness import services
from mes.readiness.checks import solder_paste, stencil
from mes.readiness.models import ReadinessCheck
from mes.status_reports.history import Report
from tests.integration.helpers import at_once
from tests.readiness.support import authorize, bind_lot, bind_stencil, make_unready_plant

pytestmark = pytest.mark.django_db(transaction=True)
CHECKS = ("EQUIPMENT", "STENCIL", "SOLDER_PASTE")


def make_ready_plant() -> None:
    """Make a plant whose run could be authorized."""
    make_unready_plant(*CHECKS)
    bind_stencil()
    bind_lot()
    Equipment.objects.create(code="EQ-1", name="Printer", station=Station.objects.get(code="SMT-01"))


class Authorizing:
    """An authorization that stops after its check has passed, until it is told to go on."""

    def __init__(self, person: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checked, self.goes_on, self.ended = Event(), Event(), 0.0
        original = services.evaluate

        def evaluate(run: Run, *, is_gate: bool = False) -> Any:
            outcome = original(run, is_gate=is_gate)
            self.checked.set()
            assert self.goes_on.wait(30)
            return outcome

        monkeypatch.setattr(services, "evaluate", evaluate)
        self.answer: Any = None
        self.thread = Thread(target=self._work, args=(person,))
        self.thread.start()
        assert self.checked.wait(30)

    def _work(self, person: APIClient) -> None:
        try:
            self.answer = authorize(person)
            self.ended = monotonic()
        finally:
            connection.close()

    def finish(self) -> None:
        """Let it go on, and wait for its end."""
        self.goes_on.set()
        self.thread.join(30)


def turn_bad(change: Callable[[], Any]) -> tuple[Thread, list[float]]:
    """Report something bad in a thread of its own; return (thread, when it was written)."""
    written: list[float] = []

    def work() -> None:
        try:
            with transaction.atomic():
                change()
            written.append(monotonic())
        finally:
            connection.close()

    thread = Thread(target=work)
    thread.start()
    return thread, written


CHANGES: dict[str, Callable[[], Any]] = {
    "stencil": lambda: Tool.objects.update(status="NOT_READY"),
    "lot": lambda: MaterialLot.objects.update(paste_status="EXPIRED"),
    "binding": lambda: bindings.unbind(line_code="SMT-A", kind=SetUpKind.STENCIL, code="ST-1", by="somebody"),
    "task": lambda: reports.report_maintenance_task(
        Report(uuid4().hex, timezone.now(), "SYSTEM", "", {}),
        equipment_code="EQ-1",
        number="T-1",
        is_open=True,
        is_blocking=True,
    ),
    "machine": lambda: Equipment.objects.update(status="down"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_turns_bad_waits_until_the_run_is_authorized(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    make_ready_plant()
    authorizing = Authorizing(person, monkeypatch)
    thread, written = turn_bad(CHANGES[what])
    sleep(0.3)
    assert written == []  # it waits for the row that the check has read
    authorizing.finish()
    thread.join(30)
    assert authorizing.answer.status_code == 200
    assert written and Run.objects.get().status == "AUTHORIZED"


@pytest.mark.parametrize("what", CHANGES)
def test_control_without_locks_a_run_is_authorized_after_a_status_turned_bad(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, without_locks: None, what: str
) -> None:
    make_ready_plant()
    monkeypatch.setattr(stencil, "lock_set_up", lambda **_places: None)
    monkeypatch.setattr(solder_paste, "lock_set_up", lambda **_places: None)
    authorizing = Authorizing(person, monkeypatch)
    thread, written = turn_bad(CHANGES[what])
    thread.join(30)
    assert written  # known to be bad, and yet:
    authorizing.finish()
    assert authorizing.answer.status_code == 200
    assert authorizing.ended > written[0]


def test_what_turned_bad_first_is_seen(person: APIClient) -> None:
    """The check waits for a status that is being written, and reads what it became."""
    make_ready_plant()
    held, free_request = Event(), Event()

    def change() -> None:
        CHANGES["stencil"]()
        held.set()
        assert free_request.wait(30)

    thread, _written = turn_bad(change)
    assert held.wait(30)
    answers: list[Any] = []

    def work() -> None:
        try:
            answers.append(authorize(person))
        finally:
            connection.close()

    authorizing = Thread(target=work)
    authorizing.start()
    sleep(0.3)
    assert answers == []
    free_request.set()
    thread.join(30)
    authorizing.join(30)
    assert answers[0].status_code == 409
    assert answers[0].json()["error"]["details"]["items"][0]["code"] == "STENCIL_NOT_READY"
    assert ReadinessCheck.objects.get().status == "FAILED"


def test_of_many_authorizations_at_once_one_wins(person: APIClient) -> None:
    make_ready_plant()
    answers = at_once(lambda: authorize(person).status_code, times=8)
    assert sorted(answers) == [200] + [409] * 7
    assert ReadinessCheck.objects.filter(status="PASSED").count() == 1


def test_status_and_authorizations_at_once_do_not_block_each_other(person: APIClient) -> None:
    make_ready_plant()

    def flicker(what: str) -> Callable[[], int]:
        def work() -> int:
            for _ in range(10):
                with transaction.atomic():
                    CHANGES[what]()
                if what == "binding":
                    bindings.bind(line_code="SMT-A", kind=SetUpKind.STENCIL, code="ST-1", by="somebody")
            return 0

        return work

    def again() -> int:
        for _ in range(10):
            assert authorize(person).status_code in (200, 409)
            assert authorize(person, "REVOKE").status_code in (200, 409)
        return 0

    assert at_once(*(flicker(what) for what in CHANGES), again, again) == [0] * 7


def test_one_first_article_is_open_whoever_creates_it(person: APIClient) -> None:
    make_unready_plant()
    answers = at_once(lambda: person.post("/api/fai/run/RUN-1", {"sampleQty": 1}).status_code, times=6)
    assert sorted(answers) == [201] + [409] * 5
