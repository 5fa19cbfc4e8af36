"""What IPC-CFX comes to is taken by the channels, and does there what the machine said."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from integration.connectors import cfx
from integration.connectors.cfx import Endpoint
from mes.line_setup.lots.models import LotEvent, MaterialLot
from mes.line_setup.models import Tool
from mes.platform.accounts.roles import Role
from tests.factories import api_client

pytestmark = pytest.mark.django_db
PAYLOADS = Path(__file__).parents[1] / "payloads" / "cfx"
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
