"""The plant that has run for a while: what SQL made is what the product reads."""

import pytest
from django.db import connection
from django.db.models import Exists, OuterRef

from bench import addresses, grown, grown_side, growth
from execution.models import DataValue, Track
from ingest.models import IngestEvent
from integration.models import DeviceDataRecord
from mes.platform.database import partitions
from mes.platform.monitoring.integrity import check_integrity
from mes.platform.outbox.models import MesEvent
from mes.production.decision_models import Approval, Decision, RunActivation, UnitMove
from mes.production.hold_models import Hold
from mes.production.identity_models import ReferencePass, UnitAlias
from mes.production.models import Unit
from tests.factories import api_client

LISTS = (
    "integration/messages",
    "integration/device-data",
    "ingest/events",
    "runs",
    "work-orders",
    "time-rules/instances",
    "events",
    "approvals",
    "deviations",
    "lines/GROWN-0/history",
    "runs/GROWN-R000000/history",
    "work-orders/GROWN-W000000/history",
    "reference-units/GROWN-GOLD-0/passes",
)
STEERED = (Approval, Decision, Hold, RunActivation, UnitMove, UnitAlias, ReferencePass)


@pytest.fixture
def size(db):
    """A tiny plant, whose foreign keys are checked."""
    size = grown.build(values=5000, months=2, say=lambda text: None, is_trusted=False)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return size


def test_the_product_reads_what_was_made(size):
    """One test for all, because a plant is dear."""
    assert size.units == Unit.objects.count() == 100
    assert Track.objects.count() == 100 * 10 - 50  # the last fifty wait for the last step
    assert DataValue.objects.count() == 5 * Track.objects.filter(out_at__isnull=False).count()
    of_record = DeviceDataRecord.objects.filter(pk=OuterRef("record_id"), track_id=OuterRef("track"))
    assert not DataValue.objects.exclude(record_id=None).exclude(Exists(of_record)).exists()
    assert MesEvent.objects.count() == 450  # those of the last 25 units, which wait for the last step
    assert IngestEvent.objects.filter(status="APPLIED").count() == 200
    assert len(partitions.list_months("execution_datavalue")) >= 5

    assert [model.__name__ for model in STEERED if not model.objects.exists()] == []
    assert check_integrity() == []
    taken = grown_side.time_rules()
    assert {"UNIT_STEP", "IN_STATION", "ERP_MESSAGE"} <= set(taken) and min(taken.values()) > 0

    client = api_client()
    unit = client.get("/api/trace/units/GROWN-00000007").json()["data"]
    assert len(unit["tracks"]) == 10
    for path in LISTS:
        assert client.get(f"/api/{path}").json()["data"]["items"], path

    assert client.post("/api/units/GROWN-00000045/scrap", {"reason": "broken"}).status_code == 200
    asked = {"runNo": "GROWN-R000000", "sn": "GROWN-00000060"}
    entered = client.post("/api/stations/GROWN-0-PACK/track-in", asked)
    assert entered.status_code in (200, 201), entered.content
    assert Track.objects.get(unit__sn="GROWN-00000060", step_no=100).attempt == 1

    status = client.get("/api/lines/GROWN-0/status").json()["data"]
    assert (status["activeRun"], status["openRuns"]) == ("GROWN-R000000", ["GROWN-MODEL", "GROWN-R000000"])

    found = {address.path for address in addresses.find_all()}
    assert {
        "/api/ingest/events?status=REJECTED",
        "/api/integration/messages?cursor=cj0xJnA9MA%3D%3D",
        "/trace/units/GROWN-00000007/",
        "/api/work-orders",
        "/api/lines/GROWN-0/status",
        "/api/approvals?status=EXPIRED",
        "/api/reference-units/GROWN-GOLD-0/passes",
        "/orders/",
        "/orders/?status=LATE",
        "/orders/GROWN-W000000/",
        "/lines/GROWN-0/",
        "/approvals/",
        "/admin/execution/track/?q=nothing-there",
        "/admin/execution/track/?result__exact=FAIL",
        "/lists/values/?page=200&period=all",
        "/lists/units/?period=all&status=ON_HOLD",
    } <= found
    assert len([path for path in found if path.startswith("/api/")]) > 300


def test_a_rule_that_takes_long_misses_its_target():
    slow = growth.Checked("UNIT_STEP", growth.MOST_OF_RULE + 0.1, 0.1)
    assert growth.missed([slow, growth.Checked("UNIT_MOVES", 0.1, 0.1)]) == ["rule UNIT_STEP"]
