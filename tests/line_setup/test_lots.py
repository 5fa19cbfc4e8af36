"""Material lots: registered, split, blocked, counted; what a refusal leaves; two at once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from mes.line_setup.lots import rules, services
from mes.line_setup.lots.services import Who
from mes.line_setup.models import LotEvent, LotEventKind, LotStatus, MaterialLot
from mes.plant.models import Material
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from tests.factories import api_client, make_plant
from tests.integration.helpers import nothing_changes

LOTS = "/api/material-lots"
WHO = Who("sue")


@pytest.fixture
def material(db: None) -> Material:
    Material.objects.create(code="R-22K", name="Resistor")
    return Material.objects.create(code="R-10K", name="Resistor", manufacturer_parts=["RC0402FR-0710KL"])


def register(client: Any, **body: Any) -> Any:
    return client.post(LOTS, {"lotId": "R-1", "materialCode": "R-10K", "quantity": 5000, **body})


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def data_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.json()
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_a_lot_is_registered_read_and_changed(material):
    client = api_client(Role.ENGINEER)
    said = {"supplier": "Yageo", "supplierLot": "L26", "dateCode": "2603", "msl": "3", "bodyThicknessMm": 1.2}
    lot = data_of(register(client, **said, expiresAt="2027-01-01T00:00:00Z"))
    assert {name: lot[name] for name in said} == said
    assert (lot["status"], lot["remaining"], lot["parentLotId"]) == ("AVAILABLE", 5000, None)
    assert lot["msd"] == {"state": "SEALED", "exposedMinutes": 0, "leftMinutes": 168 * 60}
    changed = data_of(client.patch(f"{LOTS}/R-1", {"dateCode": "2604", "expiresAt": None}))
    assert (changed["dateCode"], changed["expiresAt"]) == ("2604", None)
    assert data_of(client.get(f"{LOTS}/R-1")) == changed
    found = client.get(f"{LOTS}?supplierLot=L26&materialCode=R-10K").json()["data"]["items"]
    assert [each["lotId"] for each in found] == ["R-1"]
    assert client.get(f"{LOTS}?status=BLOCKED").json()["data"]["items"] == []
    assert AuditEntry.objects.filter(entity="material-lots").count() == 2


def test_a_lot_that_was_mentioned_is_said_to_be_of_a_material_once(material):
    client = api_client(Role.OPERATOR)
    MaterialLot.objects.create(lot_id="R-1")
    assert data_of(register(client))["materialCode"] == "R-10K"
    with nothing_changes():
        assert code_of(register(client)) == (409, "LOT_EXISTS")
        assert code_of(register(client, materialCode="R-22K")) == (409, "LOT_MATERIAL_MISMATCH")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"quantity": -1}, (400, "VALIDATION_ERROR")),
        ({"quantity": 10**12}, (400, "VALIDATION_ERROR")),
        ({"quantity": "NaN"}, (400, "VALIDATION_ERROR")),
        ({"lotId": " R-1"}, (400, "VALIDATION_ERROR")),
        ({"lotId": "R\u200b1"}, (400, "VALIDATION_ERROR")),
        ({"lotId": "R-1/block"}, (400, "VALIDATION_ERROR")),
        ({"materialCode": "NONE"}, (404, "MATERIAL_NOT_FOUND")),
        ({"msl": "7"}, (400, "VALIDATION_ERROR")),
        ({"label": "x"}, (400, "VALIDATION_ERROR")),
        ({"lotId": "SN-1"}, (422, "SCAN_TYPE_MISMATCH")),
    ],
)
def test_bad_registrations_leave_nothing(material, body, expected):
    make_plant()
    client = api_client(Role.ADMIN)
    client.post("/api/runs/RUN-1/units", {"sns": ["SN-1"]})
    with nothing_changes():
        assert code_of(register(client, **body)) == expected


def test_a_split_inherits_and_never_takes_more_than_there_is(material):
    client = api_client(Role.ADMIN)
    register(client, supplierLot="L26", expiresAt="2027-01-01T00:00:00Z")
    client.post(f"{LOTS}/R-1/block", {"reason": "Recall"})
    part = data_of(client.post(f"{LOTS}/R-1/split", {"newLotId": "R-1/2", "quantity": 2000.5}))
    assert (part["status"], part["blockReason"], part["parentLotId"]) == ("BLOCKED", "Recall", "R-1")
    assert (part["supplierLot"], part["expiresAt"], part["remaining"]) == ("L26", "2027-01-01T00:00:00Z", 2000.5)
    assert data_of(client.get(f"{LOTS}/R-1"))["remaining"] == 2999.5
    split = f"{LOTS}/R-1/split"
    with nothing_changes():
        assert code_of(client.post(split, {"newLotId": "R-3", "quantity": 3000})) == (409, "QUANTITY_EXCEEDED")
        assert code_of(client.post(split, {"newLotId": "R-1/2", "quantity": 1})) == (409, "LOT_EXISTS")
        assert code_of(client.post(split, {"newLotId": "R-1", "quantity": 1})) == (409, "LOT_EXISTS")
        assert code_of(client.post(split, {"newLotId": "R-3", "quantity": 0})) == (400, "VALIDATION_ERROR")
        circle = client.post(f"{LOTS}/R-1/2/split", {"newLotId": "R-1", "quantity": 1})
        assert code_of(circle) == (409, "LOT_EXISTS")
        assert code_of(client.post(f"{LOTS}/NONE/split", {"newLotId": "R-9", "quantity": 1})) == (404, "LOT_NOT_FOUND")


def test_blocking_blocks_all_that_was_split_off_and_unblocking_frees_one(material):
    client, operator = api_client(Role.QUALITY), api_client(Role.OPERATOR)
    lot = services.register("R-1", {"material": material, "quantity": Decimal(9)})
    for parent, child, quantity in (("R-1", "R-2", 3), ("R-2", "R-3", 1), ("R-1", "R-4", 1)):
        services.split(parent, new_lot_id=child, quantity=Decimal(quantity), who=WHO)
    services.record(services_lock("R-4"), LotEventKind.USED_UP, who=WHO)
    assert data_of(client.post(f"{LOTS}/R-1/block", {"reason": "Recall"}))["status"] == "BLOCKED"
    assert set(MaterialLot.objects.values_list("status", flat=True)) == {"BLOCKED"}
    assert LotEvent.objects.filter(kind=LotEventKind.BLOCKED, reason="Recall", recorded_by__gt="").count() == 4
    assert code_of(client.post(f"{LOTS}/R-1/block", {"reason": "Again"})) == (200, "")
    client.post(f"{LOTS}/R-4/unblock", {"reason": "Not concerned"})
    client.post(f"{LOTS}/R-2/unblock", {"reason": "Measured"})
    states = dict(MaterialLot.objects.values_list("lot_id", "status"))
    assert states == {"R-1": "BLOCKED", "R-2": "AVAILABLE", "R-3": "BLOCKED", "R-4": "USED_UP"}
    with nothing_changes():
        assert code_of(client.post(f"{LOTS}/R-2/unblock", {"reason": "x"})) == (409, "LOT_STATUS_INVALID")
        assert code_of(client.post(f"{LOTS}/R-1/block", {"reason": " "})) == (400, "VALIDATION_ERROR")
        assert operator.post(f"{LOTS}/R-2/block", {"reason": "x"}).status_code == 403
    assert lot.lot_id == "R-1"


def services_lock(code: str) -> MaterialLot:
    return services.lock_lots([code])[code]


def test_counts_count_in_the_order_of_their_times_and_never_leave_blocked(material):
    client = api_client(Role.ADMIN)
    register(client)
    now = timezone.now()

    def tell(kind: str, minutes: int, **said: Any) -> dict[str, Any]:
        at = (now - timedelta(minutes=minutes)).isoformat()
        return data_of(client.post(f"{LOTS}/R-1/events", {"kind": kind, "at": at, **said}))

    assert tell("COUNTED", 10, quantity=1200)["remaining"] == 1200
    assert tell("COUNTED", 20, quantity=9)["remaining"] == 1200  # told late
    services.split("R-1", new_lot_id="R-2", quantity=Decimal(200), who=WHO, at=now - timedelta(minutes=5))
    assert tell("COUNTED", 7, quantity=1100)["remaining"] == 900  # before the split, which took its part since
    used = tell("USED_UP", 4)
    assert (used["status"], used["remaining"]) == ("USED_UP", 0)
    assert tell("COUNTED", 3, quantity=3)["status"] == "AVAILABLE"
    client.post(f"{LOTS}/R-1/block", {"reason": "Recall"})
    assert tell("USED_UP", 2)["status"] == "BLOCKED"
    assert data_of(client.post(f"{LOTS}/R-1/unblock", {"reason": "x"}))["status"] == "USED_UP"
    assert tell("COUNTED", 1, quantity=0)["status"] == "USED_UP"
    told = client.get(f"{LOTS}/R-1/events").json()["data"]["items"]
    assert [each["kind"] for each in told][:3] == ["COUNTED", "UNBLOCKED", "USED_UP"]
    assert [each["otherLotId"] for each in told if each["kind"] == "SPLIT"] == ["R-2"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"kind": "COUNTED"}, (400, "VALIDATION_ERROR")),
        ({"kind": "COUNTED", "quantity": -1}, (400, "VALIDATION_ERROR")),
        ({"kind": "OPENED", "quantity": 1}, (400, "VALIDATION_ERROR")),
        ({"kind": "OPENED", "temperatureC": 125}, (400, "VALIDATION_ERROR")),
        ({"kind": "SCRAPPED"}, (400, "VALIDATION_ERROR")),
        ({"kind": "SPLIT"}, (400, "VALIDATION_ERROR")),
        ({"kind": "OPENED", "at": "2999-01-01T00:00:00Z"}, (400, "VALIDATION_ERROR")),
        ({"kind": "OPENED", "at": "2100-01-01T00:00:00Z"}, (422, "EVENT_TIME_IN_FUTURE")),
        ({"kind": "OPENED", "at": "2000-01-01T00:00:00Z"}, (422, "EVENT_TOO_OLD")),
    ],
)
def test_events_that_say_nothing_are_refused(material, body, expected):
    client = api_client(Role.ADMIN)
    register(client)
    with nothing_changes():
        assert code_of(client.post(f"{LOTS}/R-1/events", body)) == expected


def test_what_is_scrapped_stays_so(material):
    client = api_client(Role.ADMIN)
    register(client)
    assert api_client(Role.OPERATOR).post(f"{LOTS}/R-1/events", {"kind": "SCRAPPED", "reason": "x"}).status_code == 403
    assert data_of(client.post(f"{LOTS}/R-1/events", {"kind": "SCRAPPED", "reason": "Wet"}))["status"] == "SCRAPPED"
    with nothing_changes():
        for address, body in (
            ("events", {"kind": "COUNTED", "quantity": 1}),
            ("block", {"reason": "x"}),
            ("unblock", {"reason": "x"}),
            ("split", {"newLotId": "R-2", "quantity": 1}),
        ):
            assert code_of(client.post(f"{LOTS}/R-1/{address}", body)) == (409, "LOT_STATUS_INVALID")


def test_faults_come_in_their_order(material):
    now = timezone.now()
    lot = MaterialLot.objects.create(lot_id="R-1", material=material, msl="5a", expires_at=now)
    assert rules.find_faults(lot, now - timedelta(seconds=1)) == []
    LotEvent.objects.create(lot=lot, kind="OPENED", at=now - timedelta(hours=24))
    lot.status = LotStatus.SCRAPPED
    assert rules.find_faults(lot, now) == ["LOT_BLOCKED", "LOT_EXPIRED", "MSD_EXPIRED"]
    lot.status, lot.expires_at = LotStatus.USED_UP, None
    assert rules.find_faults(lot, now) == ["LOT_USED_UP", "MSD_EXPIRED"]
    assert rules.find_faults(lot, now - timedelta(seconds=1)) == ["LOT_USED_UP"]  # it expires by time alone


def test_a_list_reads_floor_life_at_once(material, django_assert_num_queries):
    for number in range(5):
        MaterialLot.objects.create(lot_id=f"R-{number}", material=material, msl="3")
    client = api_client(Role.ADMIN)
    client.get(LOTS)
    with django_assert_num_queries(2):  # the page, the events of its lots
        assert len(client.get(LOTS).json()["data"]["items"]) == 5


def test_materials_say_how_makers_call_them(db):
    client = api_client(Role.ENGINEER)
    said = {"manufacturerParts": ["ABC-1"], "msl": "3", "bodyThicknessMm": 1.4, "isShared": True, "traceLevel": 2}
    answer = data_of(client.post("/api/materials", {"code": "IC-1", "name": "IC", **said}))
    assert {name: answer[name] for name in said} == said
    for bad in ({"msl": "9"}, {"traceLevel": 5}, {"bodyThicknessMm": -1}, {"manufacturerParts": ["x" * 101]}):
        assert client.patch("/api/materials/IC-1", bad).status_code == 400
    client.post("/api/materials", {"code": "B-1", "name": "Board"})
    item = data_of(
        client.post("/api/bom-items", {"parentCode": "B-1", "childCode": "IC-1", "quantity": 2, "refDes": ["U1", "U2"]})
    )
    assert item["refDes"] == ["U1", "U2"]


def report(client: Any, event_id: str, **said: Any) -> Any:
    at = (timezone.now() - timedelta(minutes=1)).isoformat()
    body = {"eventId": event_id, "eventTime": at, "source": "AUTO", "lotId": "R-1", **said}
    return client.post("/api/integration/lot-events", body)


def test_machines_report_what_happened_to_lots_that_nobody_registered(material):
    client = api_client(Role.INTEGRATION)
    assert data_of(report(client, "e-1", kind="OPENED"))["status"] == "AVAILABLE"
    assert data_of(report(client, "e-2", kind="COUNTED", quantity=10))["kind"] == "COUNTED"
    assert data_of(report(client, "e-3", kind="SPLIT", quantity=4, newLotId="R-2"))["lotId"] == "R-1"
    part = MaterialLot.objects.get(lot_id="R-2")
    assert (part.parent.lot_id if part.parent else "", part.quantity, part.material) == ("R-1", 4, None)
    assert data_of(register(client, quantity=50))["remaining"] == 6
    told = LotEvent.objects.values_list("source", "recorded_by")
    assert {source for source, _by in told} == {"AUTO"} and all(by for _source, by in told)
    for number, (said, expected) in enumerate(
        (
            ({"kind": "SPLIT", "quantity": 9, "newLotId": "R-3"}, (409, "QUANTITY_EXCEEDED")),
            ({"kind": "SPLIT", "quantity": 1, "newLotId": "R-1"}, (409, "LOT_EXISTS")),
            ({"kind": "SPLIT", "quantity": 1}, (400, "VALIDATION_ERROR")),
            ({"kind": "SPLIT", "quantity": 0, "newLotId": "R-3"}, (400, "VALIDATION_ERROR")),
            ({"kind": "SPLIT", "quantity": 0.00004, "newLotId": "R-3"}, (400, "VALIDATION_ERROR")),
            ({"kind": "SCRAPPED"}, (400, "VALIDATION_ERROR")),
            ({"kind": "COUNTED"}, (400, "VALIDATION_ERROR")),
            ({"kind": "COUNTED", "quantity": -1}, (400, "VALIDATION_ERROR")),
            ({"kind": "OPENED", "quantity": 1}, (400, "VALIDATION_ERROR")),
            ({"kind": "OPENED", "temperatureC": 1}, (400, "VALIDATION_ERROR")),
            ({"kind": "OPENED", "lotId": "R\u200b1"}, (400, "VALIDATION_ERROR")),
        )
    ):
        with nothing_changes():
            assert code_of(report(client, f"bad-{number}", **said)) == expected


def test_a_split_may_be_reported_after_what_happened_to_the_part(material):
    client = api_client(Role.INTEGRATION)
    register(client, supplierLot="L26")
    services.block("R-1", reason="Recall", who=WHO)
    report(client, "e-1", kind="OPENED", lotId="R-2")
    report(client, "e-2", kind="OPENED", lotId="R-3")
    data_of(report(client, "e-3", kind="SPLIT", lotId="R-2", quantity=1, newLotId="R-3"))
    data_of(report(client, "e-4", kind="SPLIT", quantity=4, newLotId="R-2"))
    part = MaterialLot.objects.get(lot_id="R-2")
    assert (part.parent.lot_id if part.parent else "", part.supplier_lot, part.material) == ("R-1", "L26", material)
    assert set(MaterialLot.objects.values_list("status", flat=True)) == {"BLOCKED"}
    MaterialLot.objects.create(lot_id="R-9", material=Material.objects.get(code="R-22K"))
    for number, (lot, new) in enumerate((("R-3", "R-1"), ("R-1", "R-2"), ("R-1", "R-1"), ("R-1", "R-9"))):
        with nothing_changes():
            answer = report(client, f"bad-{number}", kind="SPLIT", lotId=lot, quantity=1, newLotId=new)
            assert code_of(answer) == (409, "LOT_EXISTS")
