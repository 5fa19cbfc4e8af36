"""Two transactions that want the same units at once: one gets them, the other is told."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from mes.errors import UnitRunMismatch
from mes.production import locking, runs
from mes.production.models import Run, Unit
from tests.execution.support import make_run
from tests.factories import make_plant
from tests.integration.helpers import at_once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", [1, -1], ids=["in the same order", "in opposite orders"])
def test_of_two_runs_that_register_the_same_units_at_once_one_gets_all(order):
    plant = make_plant(units=0, plan_qty=100_000, authorize=False)
    make_run(plant, run_no="RUN-2", sns=[], plan_qty=100_000, authorize=False)
    for turn in range(3):
        sns = [f"SN-{turn}-{number}" for number in range(1500)]
        together = threading.Barrier(2)

        def register(run_no: str, wanted: list[str], together: threading.Barrier = together) -> Any:
            together.wait(timeout=20)
            try:
                return len(runs.register_units(run_no=run_no, sns=wanted)[1])
            except Exception as error:
                return type(error)
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(register, "RUN-1", sns), pool.submit(register, "RUN-2", sns[::order])]
            outcomes = [each.result(timeout=60) for each in both]
        assert set(outcomes) == {1500, UnitRunMismatch}
        assert Unit.objects.filter(sn__in=sns).values("run").distinct().count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("restarts", [True, False], ids=["restarted", "control"])
def test_a_lost_deadlock_restarts_the_transaction(restarts, monkeypatch):
    monkeypatch.setattr(locking, "MOST_DEADLOCKS", 3 if restarts else 0)
    plant = make_plant(units=0)
    make_run(plant, run_no="RUN-2", sns=[])
    meet = threading.Barrier(2)
    attempts: list[str] = []

    def lock_both(first: str, second: str) -> str:
        Run.objects.select_for_update().get(run_no=first)
        if first not in attempts:
            attempts.append(first)
            meet.wait(timeout=20)
        else:
            attempts.append("again")
        return Run.objects.select_for_update().get(run_no=second).run_no

    def make(first: str, second: str) -> str:
        try:
            return locking.atomically(lock_both)(first, second)
        except OperationalError as error:
            return type(error.__cause__).__name__

    answers = at_once(lambda: make("RUN-1", "RUN-2"), lambda: make("RUN-2", "RUN-1"))
    if restarts:
        assert set(answers) == {"RUN-1", "RUN-2"}
        # Once as a rule; a machine that is busy may wake the winner after the loser has begun again.
        assert set(attempts) == {"RUN-1", "RUN-2", "again"}
    else:
        assert "DeadlockDetected" in answers
