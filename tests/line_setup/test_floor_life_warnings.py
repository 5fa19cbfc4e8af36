"""People are told before a floor life ends, once for each lot and clock; a bad lot stops no other."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from mes.line_setup.lots import warnings
from mes.line_setup.models import LotEvent, MaterialLot
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from tests.factories import make_line, make_user
from tests.line_setup.loads.support import load_on_line


def make_lot(number: int, *, opened_hours_ago: float, **fields: Any) -> MaterialLot:
    lot = MaterialLot.objects.create(lot_id=f"R-{number}", **fields)
    LotEvent.objects.create(lot=lot, kind="OPENED", at=timezone.now() - timedelta(hours=opened_hours_ago))
    return lot


def told() -> list[str]:
    return list(Notification.objects.order_by("id").values_list("text", flat=True))


def test_people_are_told_once_of_each_clock(db):
    make_user(Role.SUPERVISOR)
    material = Material.objects.create(code="IC-1", name="IC", msl="3", body_thickness_mm=Decimal("1.4"))
    lot = make_lot(1, opened_hours_ago=165, material=material)
    make_lot(2, opened_hours_ago=100, material=material)  # not soon
    make_lot(3, opened_hours_ago=169, material=material)  # over
    make_lot(4, opened_hours_ago=165, material=material, status="USED_UP")
    make_lot(5, opened_hours_ago=165, material=material, msl="1")
    dry = make_lot(6, opened_hours_ago=165, material=material)
    LotEvent.objects.create(lot=dry, kind="DRY_IN", at=timezone.now())
    assert [warnings.sweep(), warnings.sweep()] == [{"ending": 1}] * 2
    [text] = told()
    assert "lot R-1 (IC-1) ends in 3 h" in text
    _bake(lot, timezone.now() - timedelta(hours=10))
    assert warnings.sweep() == {"ending": 0}
    LotEvent.objects.filter(lot=lot).update(at=timezone.now() - timedelta(hours=400))
    _bake(lot, timezone.now() - timedelta(hours=175))
    assert warnings.sweep() == {"ending": 1} and len(told()) == 2


def _bake(lot: MaterialLot, at: datetime) -> None:
    LotEvent.objects.create(lot=lot, kind="BAKE_START", at=at, temperature_c=125)
    LotEvent.objects.create(lot=lot, kind="BAKE_END", at=at + timedelta(hours=9))


def test_no_more_is_read_than_what_may_lie_open(db, monkeypatch):
    make_user(Role.SUPERVISOR)
    material = Material.objects.create(code="IC-1", name="IC", msl="3")
    MaterialLot.objects.create(lot_id="R-1", material=material)  # sealed
    make_lot(2, opened_hours_ago=9000, material=material)
    lot = make_lot(3, opened_hours_ago=165, material=material)
    now = timezone.now()
    part = MaterialLot.objects.create(lot_id="R-4", material=material, parent=lot, split_at=now)
    MaterialLot.objects.create(lot_id="R-5", material=material, parent=part, split_at=now)
    make_line("SMT-A")
    loaded = MaterialLot.objects.create(lot_id="R-6", material=material)
    load_on_line("SMT-A", "SOLDER_PASTE", lot=loaded, at=now - timedelta(hours=166))
    monkeypatch.setattr(warnings, "BATCH", 3)
    read = [[lot.lot_id for lot in lots] for lots in warnings._batches()]
    assert read == [["R-3", "R-4", "R-5"], ["R-6"]]
    assert warnings.sweep() == {"ending": 4}


def test_a_bad_batch_stops_no_other(db, monkeypatch):
    make_user(Role.SUPERVISOR)
    for number in range(3):
        make_lot(number, opened_hours_ago=22, msl="5a")
    monkeypatch.setattr(warnings, "BATCH", 1)
    tell = warnings.notify

    def fail_once(notices: Any) -> int:
        if "R-1" in notices[0].text:
            raise RuntimeError
        return tell(notices)

    monkeypatch.setattr(warnings, "notify", fail_once)
    with pytest.raises(Exception, match="R-1: RuntimeError"):
        warnings.sweep()
    assert len(told()) == 2
