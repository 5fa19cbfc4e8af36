"""What IPC-CFX comes to is taken by the channels, and does there what the machine said."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.materials.models import MaterialUse
from integration.connectors import cfx
from integration.connectors.cfx import Endpoint
from mes.line_setup.loads.models import Load
from mes.line_setup.lots.models import LotEvent, MaterialLot
from mes.line_setup.models import Tool
from mes.plant.models import Material, Station
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.factories import api_client, make_line, make_plant, make_station
from tests.integration.helpers import into_oven

pytestmark = pytest.mark.django_db
PAYLOADS = Path(__file__).parents[1] / "payloads" / "cfx_materials"
HANDLE, STATION = "SMTPlus.Model_21232.SN23123", "REF-01"


@pytest.fixture
def machine() -> APIClient:
    return api_client(Role.INTEGRATION)


def report(machine: APIClient, example: str, **envelope: Any) -> list[tuple[int, dict[str, Any]]]:
    """Send what an example comes to; return status and data of each answer."""
    body = json.loads((PAYLOADS / f"{example}.json").read_text())
    name = f"CFX.Any.{example.partition('-')[0]}"
    message = {"MessageName": name, "UniqueID": "f3b2c8ec", "Source": HANDLE, "MessageBody": body, **envelope}
    bodies = cfx.translate(message, {HANDLE: Endpoint(STATION)}).bodies
    answers = [machine.post(f"/api/integration/{channel}", said) for channel, said in bodies]
    return [(answer.status_code, answer.json().get("data") or answer.json()) for answer in answers]


def now() -> str:
    return timezone.now().isoformat()


def test_a_cleaned_stencil_begins_a_new_count(machine: APIClient) -> None:
    Tool.objects.create(tool_id="ST1234567890", uses_since_service=7, status="NOT_READY")
    told = now()
    assert [status for status, _data in report(machine, "ToolsCleaned-1", TimeStamp=told)] == [201]
    assert [data["isDuplicate"] for _status, data in report(machine, "ToolsCleaned-1", TimeStamp=told)] == [True]
    stencil = Tool.objects.get()
    assert (stencil.uses_since_service, stencil.status) == (0, "NOT_READY")
    assert stencil.serviced_at is not None and stencil.serviced_at.isoformat() == told


def test_lots_are_opened_and_put_into_dry_storage(machine: APIClient) -> None:
    for example in ("MaterialsOpened-1", "MaterialsPlacedInDryStorage-1", "MaterialsRemovedFromDryStorage-1"):
        answers = report(machine, example, TimeStamp=now(), UniqueID=example)
        assert [status for status, _data in answers] == [201, 201], answers
    told = LotEvent.objects.order_by("id").values_list("lot__lot_id", "kind")
    lots = ("MAT4566556456", "MAT4566553421")
    assert list(told) == [(lot, kind) for kind in ("OPENED", "DRY_IN", "DRY_OUT") for lot in lots]


def test_a_lot_is_split(machine: APIClient) -> None:
    MaterialLot.objects.create(lot_id="MAT4566589856", quantity=500)
    assert [status for status, _data in report(machine, "MaterialsSplit-1", TimeStamp=now())] == [201]
    split = MaterialLot.objects.get(lot_id="MAT4563453457")
    assert (split.parent and split.parent.lot_id, split.quantity) == ("MAT4566589856", 151)


# --- slots ------------------------------------------------------------------------------------------------


@pytest.fixture
def station() -> Station:
    return make_station(STATION, line=make_line("SMT-A"))


def open_loads() -> dict[str, str]:
    rows = Load.objects.filter(ended_at=None).select_related("lot", "tool")
    return {row.slot: row.lot.lot_id if row.lot else row.tool.tool_id if row.tool else "" for row in rows}


@pytest.mark.usefixtures("station")
def test_reels_are_loaded_and_unloaded(machine: APIClient) -> None:
    assert [status for status, _data in report(machine, "MaterialsLoaded-1", TimeStamp=now())] == [201]
    loaded = open_loads()
    assert (len(loaded), loaded["5555646455:2"]) == (6, "MAT4566555547")
    unloaded = report(machine, "MaterialsUnloaded-1", TimeStamp=now(), UniqueID="2")
    assert [status for status, _data in unloaded] == [201]
    assert open_loads() == {"5555646456": "MAT4566588751", "5555646457": "MAT4566589856"}


@pytest.mark.usefixtures("station")
def test_an_empty_reel_and_a_splice(machine: APIClient) -> None:
    assert [status for status, _data in report(machine, "SplicePointDetected-1", TimeStamp=now())] == [201]
    assert open_loads() == {"3245435784": "MAT238908348904"}
    new = {"LocationIdentifier": "3245435784", "MaterialPackage": {"UniqueIdentifier": "MAT-NEXT", "Quantity": 500.0}}
    depleted = {**new, "MaterialPackage": {"UniqueIdentifier": "MAT238908348904", "Quantity": 0.0}}
    splice = {"DepletedMaterial": depleted, "NewlyActiveMaterial": new}
    answers = report(machine, "SplicePointDetected-1", TimeStamp=now(), UniqueID="2", MessageBody=splice)
    assert [status for status, _data in answers] == [201], answers
    assert open_loads() == {"3245435784": "MAT-NEXT"}
    assert Load.objects.get(ended_at=None).state == "ACTIVE"


@pytest.mark.usefixtures("station")
def test_a_stencil_is_changed_and_washed(machine: APIClient) -> None:
    assert [status for status, _data in report(machine, "StencilChanged-1", TimeStamp=now())] == [201]
    assert list(open_loads().values()) == ["UID234344455"]
    assert [status for status, _data in report(machine, "ToolsLoaded-1", TimeStamp=now(), UniqueID="2")] == [201]
    assert {"SQ1234567890", "ST1234567890"} < set(open_loads().values())
    assert [status for status, _data in report(machine, "ToolsUnloaded-1", TimeStamp=now(), UniqueID="3")] == [201]
    assert list(open_loads().values()) == ["UID234344455"]


# --- units -----------------------------------------------------------------------------------------------


@pytest.fixture
def panel() -> None:
    """Two units of a panel, in the oven."""
    units = make_plant(units=2).units
    Material.objects.create(code="IPN47788", name="Resistor")
    for position, unit in enumerate(units, start=1):
        Unit.objects.filter(pk=unit.pk).update(sn=f"PANEL23423432-{position}")
        into_oven(api_client(), f"PANEL23423432-{position}")


@pytest.mark.usefixtures("panel")
def test_what_was_installed_and_taken_out(machine: APIClient) -> None:
    for example in ("MaterialsInstalled-1", "MaterialsUninstalled-1"):
        answers = report(machine, example, TimeStamp=now(), UniqueID=example)
        assert [status for status, _data in answers] == [201], answers
    uses = MaterialUse.objects.order_by("id").values_list("unit__sn", "lot__lot_id", "slot", "ref_des", "is_removed")
    sns, designators = [f"PANEL23423432-{position}" for position in (1, 2)], ("R1", "R2", "R3")
    assert list(uses) == [
        (sn, "MAT4566556456", slot, ref_des, is_removed)
        for slot, is_removed in (("UID384234893", False), ("", True))
        for sn in sns
        for ref_des in designators
    ]


@pytest.mark.usefixtures("panel")
def test_what_was_applied_and_which_tools_were_used(machine: APIClient) -> None:
    for tool_id in ("UID234213421", "UID234223422"):
        Tool.objects.create(tool_id=tool_id, kind="NOZZLE")
    for example in ("MaterialsApplied-2", "ToolsUsed-1"):
        answers = report(machine, example, TimeStamp=now(), UniqueID=example)
        assert [status for status, _data in answers] == [201], answers
    applied = MaterialUse.objects.filter(lot__isnull=False).order_by("id").values_list("quantity", flat=True)
    assert [float(quantity) for quantity in applied if quantity is not None] == [3.57, 3.45]
    assert MaterialUse.objects.filter(tool__tool_id="UID234213421").count() == 3
