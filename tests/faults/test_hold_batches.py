"""A worker that is killed while it holds many units: each is held once, and meanwhile nobody else waits."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections

from execution.models import HoldBatch
from execution.quality.holds import batches, services
from execution.quality.holds.condition import Condition
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit, UnitStatus
from tests import databases
from tests.execution.support import track_in
from tests.factories import api_client, make_plant
from tests.faults.conftest import ask, kill, not_completed
from tests.integration.helpers import another
from tests.platform.outbox.support import eventually

pytestmark = pytest.mark.waiting

SIZE, UNITS = 4, 12
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextmanager
def kept_from_ending(batch: HoldBatch) -> Iterator[None]:
    """Keep whoever does a batch from its last statement, by which the batch goes: all its units are written by then."""
    with psycopg.connect(databases.own_url()) as other:
        other.execute("SELECT FROM execution_holdbatch WHERE id = %s FOR UPDATE", [batch.pk])
        yield


def waiters() -> int:
    [(number,)] = ask(WAITING)
    return int(number)


def test_a_worker_killed_within_batches_of_a_hold_holds_every_unit_once(
    start: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LARGEST_AT_ONCE", SIZE)
    monkeypatch.setattr(batches, "BATCH", SIZE)
    make_plant(units=UNITS)
    operator = api_client(Role.OPERATOR)
    services.hold_units(condition=Condition(run_no="RUN-1"), reason="Hot oven", by="quinn", catches=False)
    first, second, third = HoldBatch.objects.order_by("pk")
    sns = dict(Unit.objects.values_list("pk", "sn"))
    inside, outside, another_outside = (sns[pk] for pk in (first.unit_ids[0], *third.unit_ids[:2]))

    with ThreadPoolExecutor(1) as thread:
        with kept_from_ending(first):
            pid = start()
            eventually(lambda: waiters() == 1)
            assert track_in(operator, sn=outside).status_code == 201  # of another batch: it waits for nobody

            def enter() -> int:
                try:
                    return int(track_in(another(operator), sn=inside).status_code)
                finally:
                    connections.close_all()

            entering: Any = thread.submit(enter)
            eventually(lambda: waiters() == 2)  # of this batch: it waits for this batch
            assert track_in(operator, sn=another_outside).status_code == 201  # and nobody for it
            kill(pid)
            assert not entering.done() and not HeldUnit.objects.exists()
        assert entering.result(timeout=20) == 201
    assert not HeldUnit.objects.exists()  # what died with the worker left nothing

    with kept_from_ending(second):
        pid = start()
        eventually(lambda: waiters() == 1 and HeldUnit.objects.count() == SIZE)
        kill(pid)
    start()
    eventually(lambda: not HoldBatch.objects.exists() and not_completed() == 0)
    assert sorted(HeldUnit.objects.values_list("unit__sn", flat=True)) == sorted(sns.values())
    assert set(Unit.objects.values_list("status", flat=True)) == {UnitStatus.ON_HOLD}
    entered = Unit.objects.filter(held_from=UnitStatus.IN_STATION)
    assert set(entered.values_list("sn", flat=True)) == {inside, outside, another_outside}
    assert Hold.objects.get().to_apply is None
    events = MesEvent.objects.filter(event_type=EventType.HOLD_APPLY).order_by("id")
    assert list(events.values_list("attempts", flat=True)) == [2, 2, 1]
