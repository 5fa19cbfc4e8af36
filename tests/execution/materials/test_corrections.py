"""A wrong scan that is put right: how many boards have something else now, and which are held for it, once."""

from typing import Any

import pytest

from execution.quality.holds import batches
from mes.line_setup.loads.models import Load
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit
from tests.execution.materials.support import at, make_load, make_lot, make_track
from tests.execution.support import assert_done
from tests.factories import Plant, api_client, make_plant

pytestmark = pytest.mark.django_db


@pytest.fixture
def load() -> Load:
    """Two boards in the oven with reel A, and a third elsewhere."""
    plant: Plant = make_plant(units=3)
    part = Material.objects.create(code="R-10K", name="x")
    station = plant.stations["REF-01"]
    for number, unit in enumerate(plant.units):
        make_track(unit, station if number < 2 else plant.stations["TST-01"], at(10 * number), at(10 * number + 5))
    make_lot("B", material=part, supplier_lot="S")
    return make_load(at(-5), None, station=station, lot=make_lot("A", material=part))


def correct(load: Load, **body: Any) -> tuple[int, int]:
    client = api_client(Role.SUPERVISOR)
    told = assert_done(client.post(f"/api/loads/{load.pk}/correct", {"reason": "misread", **body}))
    return told["gained"], told["lost"]


def work_off() -> None:
    for event in MesEvent.objects.filter(event_type=EventType.HOLD_APPLY):
        batches.handle(event)


def held() -> list[str]:
    return sorted(HeldUnit.objects.filter(ended_at=None).values_list("unit__sn", flat=True))


def test_a_void_load_is_in_no_board(load):
    assert correct(load, isVoid=True) == (0, 2)
    assert not Hold.objects.exists()


@pytest.mark.parametrize(("status", "is_held"), [("AVAILABLE", False), ("USED_UP", False), ("BLOCKED", True)])
def test_boards_that_turn_out_to_have_a_blocked_lot_are_held_once(load, status, is_held):
    other = type(load.lot).objects.get(lot_id="B")
    other.status, other.blocked_from = status, "AVAILABLE" if status == "BLOCKED" else ""
    other.save()
    assert correct(load, lotId="B") == (2, 2)
    assert held() == []  # written with the correction, done by the worker
    for _time in range(2):  # one that died is begun anew
        work_off()
    assert held() == (["SN-1", "SN-2"] if is_held else [])
    assert Hold.objects.count() == is_held
    if is_held:
        hold = Hold.objects.get()
        assert (hold.source, hold.condition, hold.to_apply) == ("MATERIAL", {"lotId": "B"}, None)
        assert "LOT_BLOCKED" in hold.reason
    assert not Unit.objects.get(sn="SN-3").held_from
