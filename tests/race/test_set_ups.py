"""A load that changes while a run is being authorized is seen by it, or sees what is kept of the run."""

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from mes import errors
from mes.line_setup.loads import hooks, locks
from mes.line_setup.loads import services as loads
from mes.line_setup.loads.models import Load
from mes.line_setup.loads.services import Scanned
from mes.line_setup.set_up_lists import goodness, services
from mes.line_setup.set_up_lists.models import RunStationSetUp
from mes.production import runs
from mes.production.models import Run
from tests.factories import Plant, make_plant
from tests.line_setup.set_up_lists.support import make_list, part
from tests.line_setup.set_up_lists.test_goodness import load, lot

LOCKED = {"slot": "F1", "code": "SLOT_LOCKED"}
EMPTY = {"slot": "F1", "code": "SLOT_EMPTY"}

pytestmark = pytest.mark.django_db(transaction=True)


def make_ready_plant() -> Plant:
    """Make a plant whose run has a list with one slot, which holds what it wants."""
    plant = make_plant(authorize=False)
    make_list(plant, part("F1"))
    services.bind_latest(plant.run)
    load("F1", lot())
    return plant


def empty_the_slot(plant: Plant) -> None:
    """Take the lot out as the service does: under the lock of the set-up, and told."""
    with transaction.atomic():
        locks.lock_set_up(lines=[plant.line.pk])
        Load.objects.update(ended_at=timezone.now())
        hooks.tell(hooks.Change(timezone.now(), stations=[plant.stations["SMT-01"].pk]))


def count_a_wrong_part(_plant: Plant) -> None:
    """Do what follows a scan that was refused: the lock of the set-up was given back with it."""

    def refuse() -> None:
        raise errors.WrongPart(loaded="C-1", slot="F1", station="SMT-01", expected=[])

    with suppress(errors.WrongPart):
        loads._keeping_scan(Scanned("SMT-01", "test", slot="F1", lot_id="C-1"), refuse)


def unlock(_plant: Plant) -> None:
    """Unlock the slot."""
    loads.unlock("SMT-01", "F1", reason="The label was covered", by="test")


def make_plant_of(wrong_parts: int) -> Plant:
    """Make a plant whose run has a list with one slot, which is empty and was scanned wrong so often."""
    plant = make_ready_plant()
    Load.objects.all().delete()
    for _wrong in range(wrong_parts):
        count_a_wrong_part(plant)
    return plant


def authorize_while(act: Callable[[Plant], None], plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Authorize the run; once it has looked, and before it is written, somebody does something, if that can be."""
    looked, done, original = Event(), Event(), goodness.look

    def look(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        if kwargs.get("is_locking"):
            looked.set()
            done.wait(0.5)
        return found

    def work() -> None:
        try:
            assert looked.wait(30)
            act(plant)
            done.set()
        finally:
            connection.close()

    monkeypatch.setattr(goodness, "look", look)
    thread = Thread(target=work)
    thread.start()
    runs.set_authorization(run_no="RUN-1", action="AUTHORIZE", by="test")
    thread.join(30)


def kept_faults() -> list[dict[str, str]]:
    """Return what is kept of the run."""
    return [fault for kept in RunStationSetUp.objects.all() for fault in kept.faults]


def test_a_slot_that_is_emptied_meanwhile_is_kept_as_empty(monkeypatch):
    plant = make_ready_plant()
    authorize_while(empty_the_slot, plant, monkeypatch)
    assert kept_faults() == [EMPTY]


def test_control_without_the_lock_of_the_set_up_it_is_kept_as_good(monkeypatch):
    plant = make_ready_plant()

    def lock_nothing(_run: Run, *_lists: Any) -> None:
        """Lock nothing."""

    monkeypatch.setattr(services, "lock_set_up_of", lock_nothing)
    authorize_while(empty_the_slot, plant, monkeypatch)
    assert kept_faults() == []


LOCKS = [(count_a_wrong_part, 2, [EMPTY, LOCKED]), (unlock, 3, [EMPTY])]


@pytest.mark.parametrize(("act", "wrong_parts", "faults"), LOCKS)
def test_it_is_kept_whether_a_slot_is_locked_meanwhile(act, wrong_parts, faults, monkeypatch):
    plant = make_plant_of(wrong_parts)
    authorize_while(act, plant, monkeypatch)
    assert kept_faults() == faults


@pytest.mark.parametrize(("act", "wrong_parts", "faults"), LOCKS)
def test_control_without_the_lock_of_the_set_up_it_is_kept_as_it_was(act, wrong_parts, faults, monkeypatch):
    plant = make_plant_of(wrong_parts)
    monkeypatch.setattr(locks, "lock_owners", lambda _owners: None)
    authorize_while(act, plant, monkeypatch)
    assert kept_faults() == ([EMPTY] if LOCKED in faults else [EMPTY, LOCKED])
