"""FEEDER, TOOL, MSD and the lots of MATERIAL: an item for each slot and fault, one that passed for each station."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, Tool
from mes.line_setup.set_up_lists import services
from mes.line_setup.set_up_lists.models import RunSetUpList
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.production.models import Run
from mes.readiness.evaluation import evaluate
from tests.execution.support import assert_done, assert_refused
from tests.factories import Plant
from tests.line_setup.set_up_lists.support import make_list, make_materials, part
from tests.line_setup.set_up_lists.test_goodness import load, lot
from tests.readiness.support import authorize, check, make_unready_plant, waive


@pytest.fixture
def plant(db: None) -> Plant:
    """A run whose list wants two parts and a tool at the printer and a part at the oven; all are there."""
    plant = make_unready_plant("FEEDER", "TOOL", "MSD", "MATERIAL")
    tool = Tool.objects.create(tool_id="SQ-1", kind="SQUEEGEE")
    items = [part("F1"), part("F2", "C-1U"), part("P1", station="REF-01")]
    make_list(plant, *items, ItemInput("SMT-01", "T1", kind="TOOL", tool_ids=["SQ-1"]))
    services.bind_latest(plant.run)
    load("F1", lot("L-1"))
    load("F2", lot("L-2", "C-1U"))
    load("P1", lot("L-3"), station="REF-01")
    load("T1", tool)
    board = make_materials("BOARD-1", "R-10K")
    board["BOARD-1"].bom_items.create(child=board["R-10K"], quantity=1)
    return plant


def items(made: dict[str, Any], *, status: str) -> set[tuple[str, str, str | None]]:
    return {(it["itemType"], it["itemKey"], it["code"]) for it in made["items"] if it["status"] == status}


def test_what_is_there_is_one_item_for_each_station(plant, admin):
    made = check(admin)
    assert items(made, status="FAILED") == set()
    assert items(made, status="PASSED") >= {
        ("FEEDER", "SMT-01", None),
        ("FEEDER", "REF-01", None),
        ("TOOL", "SMT-01", None),
        ("MSD", "SMT-01", None),
        ("MATERIAL", "SMT-01", None),
    }
    assert_done(authorize(admin))


def test_a_run_is_looked_at_once_for_all_checks(plant):
    with CaptureQueriesContext(connection) as seen:
        evaluate(Run.objects.get())
    assert sum('FROM "mes_setupitem"' in query["sql"] for query in seen) == 1


def test_each_fault_of_each_slot_is_an_item_and_may_be_waived(plant, admin):
    Load.objects.filter(slot="F2").update(ended_at=timezone.now())
    MaterialLot.objects.filter(lot_id="L-1").update(
        status="BLOCKED", blocked_from="AVAILABLE", expires_at=timezone.now(), msl="5a"
    )
    Load.objects.filter(lot__lot_id="L-1").update(loaded_at=timezone.now() - timedelta(days=3))
    Tool.objects.update(max_uses=1, uses_since_service=1)
    made = check(admin)
    failed = {
        ("FEEDER", "SMT-01 F2", "SLOT_EMPTY"),
        ("MATERIAL", "SMT-01 F1", "LOT_BLOCKED"),
        ("MATERIAL", "SMT-01 F1", "LOT_EXPIRED"),
        ("MSD", "SMT-01 F1", "MSD_EXPIRED"),
        ("TOOL", "SMT-01 T1", "TOOL_WORN"),
    }
    assert items(made, status="FAILED") == failed
    assert ("FEEDER", "REF-01", None) in items(made, status="PASSED")
    assert ("FEEDER", "SMT-01", None) not in items(made, status="PASSED")
    assert all(it["reason"] and it["action"] for it in made["items"] if it["status"] == "FAILED")
    assert_refused(authorize(admin), "READINESS_CHECK_FAILED")
    for _kind, _key, code in failed:
        assert_done(waive(admin, next(it for it in made["items"] if it["code"] == code)))
    assert_done(authorize(admin))


def test_a_run_without_a_list_is_told(plant, admin):
    RunSetUpList.objects.all().delete()
    assert items(check(admin), status="FAILED") == {("FEEDER", "RUN-1", "SETUP_LIST_MISSING")}
