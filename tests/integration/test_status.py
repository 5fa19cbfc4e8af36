"""Inbound status: each event counts once, and the latest by event time counts whatever the order of arrival."""

import pickle
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Disposition
from execution.quality.models import Defect, InspectionResult
from integration.models import FailedMessage, SettledMessage
from integration.status.kinds import KINDS
from mes.line_setup.models import MaintenanceTask, MaterialLot, Tool
from mes.plant.models import Equipment
from mes.platform.accounts.roles import Role
from mes.platform.inbound.models import IdempotencyKey
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Unit
from mes.status_reports.models import StatusReport
from tests.execution.support import assert_done, assert_refused
from tests.factories import Plant, api_client, make_line, make_plant, make_user
from tests.integration.helpers import (
    LOG,
    MESSAGES,
    into_oven,
    list_messages,
    moment,
    nothing_changes,
    track_in,
    track_out,
)

pytestmark = pytest.mark.django_db

BODIES: dict[str, dict[str, Any]] = {
    "stencil-status": {"stencilId": "ST-1", "status": "READY"},
    "solder-paste-status": {"lotId": "L-1", "status": "COMPLIANT"},
    "solder-paste-usage": {"lotId": "L-1", "issuedAt": moment(hours=1)},
    "material-loads": {"stationCode": "REF-01", "loads": [{"action": "LOADED", "slot": "F1", "lotId": "R-1"}]},
    "lot-events": {"lotId": "R-1", "kind": "COUNTED", "quantity": 5},
    "equipment-status": {"equipmentCode": "EQ-1", "status": "broken"},
    "maintenance-task": {"equipmentCode": "EQ-1", "taskNo": "MT-1", "status": "OPEN"},
    "inspection-result": {
        "runNo": "RUN-1",
        "stationCode": "REF-01",
        "unitSn": "SN-1",
        "stepNo": 20,
        "inspectionType": "AOI",
        "result": "PASS",
    },
    "station-data": {
        "stationCode": "REF-01",
        "operationCode": "REFLOW",
        "data": [{"specName": "Peak Temperature", "valueNumber": 245}],
    },
    "material-uses": {"stationCode": "REF-01", "uses": [{"unitSn": "SN-1", "lotId": "L-1", "refDes": "R1"}]},
}
OTHER: dict[str, dict[str, Any]] = {
    "stencil-status": {"status": "MAINTENANCE"},
    "solder-paste-status": {"status": "EXPIRED"},
    "solder-paste-usage": {"issuedAt": moment(hours=2)},
    "material-loads": {"loads": [{"action": "UNLOADED", "slot": "F1"}]},
    "lot-events": {"quantity": 6},
    "equipment-status": {"status": "normal"},
    "maintenance-task": {"status": "CLOSED"},
    "inspection-result": {"result": "FAIL"},
    "station-data": {"data": [{"specName": "Peak Temperature", "valueNumber": 246}]},
    "material-uses": {"uses": [{"unitSn": "SN-1", "lotId": "L-2", "refDes": "R1"}]},
}
MISSING: dict[str, tuple[dict[str, Any], str, int]] = {
    "solder-paste-usage": ({"lineCode": "X"}, "LINE_NOT_FOUND", 404),
    "equipment-status": ({"equipmentCode": "X"}, "EQUIPMENT_NOT_FOUND", 404),
    "maintenance-task": ({"equipmentCode": "X"}, "EQUIPMENT_NOT_FOUND", 404),
    "inspection-result": ({"unitSn": "X"}, "UNIT_NOT_FOUND", 404),
}
every_channel = pytest.mark.parametrize("name", BODIES)


@pytest.fixture(scope="module")
def made(around_all: None) -> bytes:
    return pickle.dumps(make_plant_at_work())


@pytest.fixture
def plant(made: bytes, db: None) -> Plant:
    return pickle.loads(made)  # each its own


def make_plant_at_work() -> Plant:
    """Make a plant with a machine and a unit in the oven."""
    plant = make_plant()
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"])
    into_oven(api_client(Role.ADMIN))
    return plant


@pytest.fixture
def sender(plant: Plant) -> APIClient:
    return api_client(Role.INTEGRATION)


def body(name: str, event_id: str = "evt-1", **fields: Any) -> dict[str, Any]:
    given = {"eventId": event_id, "eventTime": moment(minutes=1), "source": "AUTO", **BODIES[name], **fields}
    return {key: value for key, value in given.items() if value is not ...}


def send(client: APIClient, name: str, sent: dict[str, Any] | None = None, **fields: Any) -> Any:
    return client.post(f"/api/integration/{name}", body(name, **fields) if sent is None else sent)


def test_the_tests_know_every_channel():
    assert set(BODIES) == set(OTHER) == set(KINDS)


# --- once -------------------------------------------------------------------------------------------------


@every_channel
def test_a_report_is_taken_kept_and_logged(sender, name):
    answer = assert_done(send(sender, name, meta={"line": 7}), 201)
    assert (answer["eventId"], answer["isDuplicate"]) == ("evt-1", False)
    report = StatusReport.objects.get()
    assert (answer["id"], report.kind, report.source, report.meta) == (
        str(report.pk),
        KINDS[name].report_kind,
        "AUTO",
        {"line": 7},
    )
    assert report.content["status" if "status" in BODIES[name] else next(iter(BODIES[name]))]
    assert "eventId" not in report.content
    [message] = list_messages(sender)
    assert (message["status"], message["entityType"], message["recordId"]) == ("SUCCESS", report.kind, answer["id"])
    [listed] = assert_done(sender.get(f"/api/integration/{name}"))["items"]
    assert listed["id"] == answer["id"]


@every_channel
def test_the_same_again_is_a_duplicate_without_effect(sender, name):
    sent = body(name)
    first = assert_done(send(sender, name, sent), 201)
    with nothing_changes():
        again = assert_done(send(sender, name, {**sent, "meta": {"retry": 1}}))
    assert again == {**first, "isDuplicate": True}
    assert [message["status"] for message in list_messages(sender)] == ["DUPLICATE", "SUCCESS"]


@every_channel
def test_times_are_compared_as_instants(sender, name):
    at = timezone.now() - timedelta(minutes=1)
    sent = body(name, eventTime=at.isoformat())
    assert_done(send(sender, name, sent), 201)
    elsewhere = at.astimezone(timezone.get_fixed_timezone(120)).isoformat()
    assert assert_done(send(sender, name, {**sent, "eventTime": elsewhere}))["isDuplicate"]


@every_channel
def test_other_content_under_the_same_id_is_a_conflict_and_kept(sender, name):
    assert_done(send(sender, name), 201)
    with nothing_changes(
        but=(*LOG, Unit, Disposition, Hold, HeldUnit) if name == "inspection-result" else LOG
    ):  # its FAIL holds
        assert_refused(send(sender, name, **OTHER[name]), "EVENT_ID_CONFLICT")
    assert [message["status"] for message in list_messages(sender)] == ["CONFLICT", "SUCCESS"]


def test_each_channel_has_ids_of_its_own(sender):
    for name in BODIES:
        assert_done(send(sender, name), 201)
    assert IdempotencyKey.objects.count() == len(BODIES)


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("eventId", ..., "eventId"),
        ("eventId", " ", "eventId"),
        ("eventTime", ..., "eventTime"),
        ("eventTime", "2026-01-24T10:00:00", "eventTime"),
        ("eventTime", "1800-01-01T00:00:00Z", "eventTime"),
        ("source", "ERP", "source"),
        ("source", "MANUAL", "operatorId"),
        ("meta", 5, "meta"),
    ],
)
@every_channel
def test_a_malformed_envelope_is_refused_and_kept(sender, name, field, value, problem):
    with nothing_changes():
        details = assert_refused(send(sender, name, **{field: value}), "VALIDATION_ERROR", 400)
    assert problem in details
    assert FailedMessage.objects.get().entity_type == KINDS[name].report_kind


@pytest.mark.parametrize(
    ("name", "fields", "problem"),
    [
        ("stencil-status", {"status": "OK"}, "status"),
        ("stencil-status", {"stencilId": "a//b"}, "stencilId"),
        ("stencil-status", {"status": ...}, "status"),
        ("stencil-status", {"tensionValue": -1}, "tensionValue"),
        ("stencil-status", {"tensionValue": "35"}, "tensionValue"),
        ("solder-paste-status", {"status": "READY"}, "status"),
        ("solder-paste-usage", {"issuedAt": ...}, "issuedAt"),
        ("solder-paste-usage", {"returnedAt": moment(hours=3)}, "returnedAt"),
        ("equipment-status", {"status": ""}, "status"),
        ("maintenance-task", {"taskNo": " x"}, "taskNo"),
        ("inspection-result", {"inspectionType": "XRAY"}, "inspectionType"),
        ("inspection-result", {"defects": [{"location": "U7"}]}, "defects.0.code"),
    ],
)
def test_a_malformed_content_is_refused(sender, name, fields, problem):
    assert problem in assert_refused(send(sender, name, **fields), "VALIDATION_ERROR", 400)


@every_channel
def test_times_of_the_future_and_of_long_ago_are_refused(sender, name):
    with nothing_changes():
        assert_refused(send(sender, name, eventTime=moment(hours=-1)), "EVENT_TIME_IN_FUTURE", 422)
        assert_refused(send(sender, name, eventTime=moment(days=401)), "EVENT_TOO_OLD", 422)
    assert FailedMessage.objects.count() == 2


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("stencil-status", "lastCleanedAt"),
        ("solder-paste-status", "thawedAt"),
        ("solder-paste-usage", "issuedAt"),
        ("solder-paste-usage", "returnedAt"),
    ],
)
def test_what_was_done_was_done_before_now(sender, name, field):
    assert_refused(send(sender, name, **{field: moment(hours=-1)}), "EVENT_TIME_IN_FUTURE", 422)


def test_a_lot_may_expire_in_the_future(sender):
    assert_done(send(sender, "solder-paste-status", expiresAt=moment(days=-90)), 201)


@pytest.mark.parametrize("name", MISSING)
def test_what_nobody_knows_is_kept_and_replayed_once_it_is_there(sender, plant, name):
    fields, code, status = MISSING[name]
    sent = body(name, **fields)
    with nothing_changes():
        assert_refused(send(sender, name, sent), code, status)
        assert_refused(send(sender, name, sent), code, status)
    failed = FailedMessage.objects.get()
    assert (failed.count, failed.error_code) == (2, code)
    engineer = api_client(Role.ENGINEER)
    assert_refused(engineer.post(f"{MESSAGES}/{failed.pk}/replay", {}), code, status)
    Unit.objects.filter(sn="SN-1").update(sn="X")
    make_line("X")
    Equipment.objects.create(code="X", name="X", station=plant.stations["REF-01"])
    answer = assert_done(engineer.post(f"{MESSAGES}/{failed.pk}/replay", {}))
    assert not answer["isDuplicate"]
    replayed = SettledMessage.objects.get()
    assert (replayed.pk, replayed.status, replayed.record_id) == (failed.pk, "REPLAYED", int(answer["id"]))
    assert_refused(engineer.post(f"{MESSAGES}/{failed.pk}/replay", {}), "INVALID_TRANSITION")
    assert StatusReport.objects.count() == 1


def test_sent_again_a_failed_report_is_settled(sender):
    sent = body("equipment-status", equipmentCode="X")
    send(sender, "equipment-status", sent)
    Equipment.objects.create(code="X", name="X")
    assert_done(send(sender, "equipment-status", sent), 201)
    assert not FailedMessage.objects.exists()
    assert sorted(SettledMessage.objects.values_list("status", flat=True)) == ["REPLAYED", "SUCCESS"]


def test_only_device_data_names_specs(sender):
    send(sender, "equipment-status", equipmentCode="X")
    url = f"{MESSAGES}/{FailedMessage.objects.get().pk}/replay"
    assert_refused(api_client(Role.ENGINEER).post(url, {"specNames": {"a": "b"}}), "VALIDATION_ERROR", 400)


@pytest.mark.parametrize("role", Role)
@every_channel
def test_who_may_report(sender, name, role):
    allowed = role in (Role.INTEGRATION, Role.ADMIN)
    allowed |= name == "solder-paste-usage" and role in (Role.OPERATOR, Role.SUPERVISOR)
    assert send(api_client(role), name).status_code == (201 if allowed else 403)


@every_channel
def test_a_token_of_stations_reports_for_them_alone(sender, name):
    of_a_station = name in (
        "equipment-status",
        "maintenance-task",
        "inspection-result",
        "station-data",
        "material-loads",
        "material-uses",
    )
    elsewhere = api_client(Role.INTEGRATION, ["SMT-01"])
    assert_refused(send(elsewhere, name), "PERMISSION_DENIED", 403)
    assert not StatusReport.objects.exists() and not FailedMessage.objects.exists()
    allowed = send(api_client(Role.INTEGRATION, ["REF-01"]), name)
    assert allowed.status_code == (201 if of_a_station else 403)


@every_channel
def test_a_list_takes_a_fixed_number_of_queries(sender, name, django_assert_num_queries):
    for number in range(3):
        send(sender, name, event_id=f"evt-{number}")
    sender.get("/api/lines")
    with django_assert_num_queries(1):
        answer = assert_done(sender.get(f"/api/integration/{name}", {"eventFrom": "2020-01-01"}))
    assert [item["eventId"] for item in answer["items"]] == ["evt-2", "evt-1", "evt-0"]
    assert assert_done(sender.get(f"/api/integration/{name}", {"eventTo": "2020-01-01"}))["items"] == []


# --- the latest counts --------------------------------------------------------------------------------------


def in_any_order(sender: APIClient, name: str, reports: list[dict[str, Any]], order: tuple[int, ...]) -> None:
    for index in order:
        assert_done(send(sender, name, event_id=f"evt-{index}", **reports[index]), 201)


ORDERS = list(permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
def test_a_stencil_is_what_was_last_said_of_each_of_its_fields(sender, order):
    cleaned = timezone.now() - timedelta(hours=2)
    reports = [
        {"eventTime": moment(minutes=30), "status": "READY", "version": "A", "lastCleanedAt": cleaned.isoformat()},
        {"eventTime": moment(minutes=20), "status": "NOT_READY", "tensionValue": 33.5},
        {"eventTime": moment(minutes=10), "status": "MAINTENANCE", "version": "B"},
    ]
    in_any_order(sender, "stencil-status", reports, order)
    stencil = Tool.objects.get()
    assert (stencil.status, stencil.version, stencil.tension_value) == ("MAINTENANCE", "B", 33.5)
    assert (stencil.serviced_at, stencil.status_at.isoformat()) == (cleaned, reports[2]["eventTime"])
    assert StatusReport.objects.count() == 3


@pytest.mark.parametrize("order", ORDERS)
def test_of_the_same_instant_the_greater_id_counts(sender, order):
    at = moment(minutes=5)
    reports = [{"eventTime": at, "status": status} for status in ("COMPLIANT", "NON_COMPLIANT", "EXPIRED")]
    in_any_order(sender, "solder-paste-status", reports, order)
    assert MaterialLot.objects.get().paste_status == "EXPIRED"


@pytest.mark.parametrize("order", ORDERS)
def test_a_machine_is_what_was_last_said(sender, order):
    reports = [
        {"eventTime": moment(minutes=minutes), "status": status}
        for minutes, status in ((30, "normal"), (20, "broken"), (10, "normal"))
    ]
    in_any_order(sender, "equipment-status", reports, order)
    assert Equipment.objects.get().status == "normal"


@pytest.mark.parametrize("order", ORDERS)
def test_a_task_is_what_was_last_said(sender, order):
    reports = [
        {"eventTime": moment(minutes=30), "status": "OPEN", "isBlocking": True, "title": "Nozzles"},
        {"eventTime": moment(minutes=20), "status": "CLOSED"},
        {"eventTime": moment(minutes=10), "status": "OPEN", "isBlocking": False},
    ]
    in_any_order(sender, "maintenance-task", reports, order)
    task = MaintenanceTask.objects.get()
    assert (task.is_open, task.is_blocking, task.title) == (True, False, "Nozzles")


def test_the_answer_says_what_counts_now(sender):
    late = assert_done(send(sender, "equipment-status", eventTime=moment(minutes=1), status="broken"), 201)
    early = assert_done(
        send(sender, "equipment-status", event_id="evt-2", eventTime=moment(minutes=2), status="normal"), 201
    )
    assert (late["status"], late["isCurrent"]) == ("broken", True)
    assert (early["status"], early["isCurrent"], early["statusAt"]) == ("broken", False, late["statusAt"])


def test_what_a_person_types_counts_from_then_on(sender):
    engineer = api_client(Role.ENGINEER)
    assert_done(engineer.patch("/api/equipment/EQ-1", {"status": "maintenance"}))
    assert not assert_done(send(sender, "equipment-status", status="normal"), 201)["isCurrent"]
    assert Equipment.objects.get().status == "maintenance"
    assert assert_done(send(sender, "equipment-status", event_id="e", status="normal", eventTime=moment()), 201)[
        "isCurrent"
    ]
    assert_done(engineer.patch("/api/equipment/EQ-1", {"name": "Oven 1"}))
    assert Equipment.objects.get().status == "normal"


def test_a_machine_that_is_broken_lets_nobody_in(sender, plant):
    admin = api_client(Role.ADMIN)
    track_out(admin, "REF-01")
    Equipment.objects.create(code="EQ-2", name="Tester", station=plant.stations["TST-01"])
    send(sender, "equipment-status", equipmentCode="EQ-2", status="broken")
    refused = admin.post("/api/stations/TST-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"})
    assert_refused(refused, "EQUIPMENT_UNAVAILABLE")
    send(sender, "equipment-status", event_id="e", equipmentCode="EQ-2", status="normal", eventTime=moment())
    track_in(admin, "TST-01")


def test_a_cleaning_begins_a_new_count_of_uses(sender):
    send(sender, "stencil-status", lastCleanedAt=moment(hours=3))
    Tool.objects.update(uses_since_service=7)
    send(sender, "stencil-status", event_id="e2", lastCleanedAt=..., eventTime=moment(seconds=30))
    assert Tool.objects.get().uses_since_service == 7
    send(sender, "stencil-status", event_id="e3", lastCleanedAt=moment(hours=5), eventTime=moment(hours=4))
    assert Tool.objects.get().uses_since_service == 7
    send(sender, "stencil-status", event_id="e4", lastCleanedAt=moment(hours=1), eventTime=moment(seconds=20))
    assert Tool.objects.get().uses_since_service == 0


def test_a_cleaning_alone_says_nothing_of_the_status(sender):
    alone = {"status": ..., "lastCleanedAt": moment(hours=3), "eventTime": moment(hours=2)}
    answer = assert_done(send(sender, "stencil-status", **alone), 201)
    assert (answer["status"], answer["statusAt"]) == (None, None)
    send(sender, "stencil-status", event_id="e2", status="NOT_READY", eventTime=moment(hours=1))
    later = {"status": ..., "lastCleanedAt": moment(), "eventTime": moment()}
    answer = assert_done(send(sender, "stencil-status", event_id="e3", **later), 201)
    assert (answer["status"], answer["isCurrent"]) == ("NOT_READY", False)


# --- inspections --------------------------------------------------------------------------------------------


def inspect(sender: APIClient, event_id: str = "evt-1", **fields: Any) -> dict[str, Any]:
    return assert_done(send(sender, "inspection-result", event_id=event_id, **fields), 201)


def test_a_fail_of_a_closed_track_makes_the_defects_and_holds_the_unit(sender, plant):
    track_out(api_client(), "REF-01")
    defects = [{"code": "BRIDGE", "location": "U7"}, {"code": "TOMBSTONE", "location": "R1", "remark": "left"}]
    answer = inspect(sender, result="FAIL", defects=defects)
    assert (answer["result"], answer["unitStatus"], answer["isCurrent"]) == ("FAIL", "ON_HOLD", True)
    assert list(Defect.objects.order_by("id").values_list("code", "location", "remark", "status", "step_no")) == [
        ("BRIDGE", "U7", "", "OPEN", 20),
        ("TOMBSTONE", "R1", "left", "OPEN", 20),
    ]
    unit = plant.units[0]
    unit.refresh_from_db()
    assert "AOI" in unit.hold_reason and "BRIDGE" in unit.hold_reason


def test_a_fail_that_names_no_defect_makes_one(sender):
    track_out(api_client(), "REF-01")
    inspect(sender, result="FAIL", inspectionType="SPI")
    assert Defect.objects.get().code == "UNSPECIFIED"


def test_a_pass_for_a_closed_track_changes_nothing(sender, plant):
    track_out(api_client(), "REF-01")
    assert inspect(sender)["unitStatus"] == "QUEUED"
    assert not Defect.objects.exists()


def test_a_pass_that_failed_anyway_is_not_held_a_second_time(sender):
    track_out(api_client(), "REF-01", result="FAIL")
    assert inspect(sender, result="FAIL")["unitStatus"] == "OUT_FAILED"
    assert list(Defect.objects.order_by("id").values_list("source", flat=True)) == ["TRACK_OUT", "INSPECTION"]


def test_a_review_after_the_fact_withdraws_the_defects_and_leaves_the_hold_to_people(sender):
    track_out(api_client(), "REF-01")
    inspect(sender, result="FAIL", eventTime=moment(minutes=2))
    answer = inspect(sender, "evt-2", result="PASS", eventTime=moment(minutes=1), source="MANUAL", operatorId="olga")
    assert (answer["result"], answer["unitStatus"]) == ("PASS", "ON_HOLD")
    assert Defect.objects.get().status == "WITHDRAWN"
    assert InspectionResult.objects.get().operator_id == "olga"


def test_a_fail_that_a_later_review_overtook_does_nothing(sender):
    track_out(api_client(), "REF-01")
    inspect(sender, result="PASS", eventTime=moment(minutes=1))
    answer = inspect(sender, "evt-2", result="FAIL", eventTime=moment(minutes=2))
    assert (answer["result"], answer["unitStatus"], answer["isCurrent"]) == ("PASS", "QUEUED", False)
    assert not Defect.objects.exists()


def test_kinds_of_inspection_count_by_themselves(sender):
    track_out(api_client(), "REF-01")
    inspect(sender, inspectionType="SPI", result="PASS", eventTime=moment(minutes=1))
    assert inspect(sender, "evt-2", result="FAIL", eventTime=moment(minutes=2))["unitStatus"] == "ON_HOLD"


def leave(result: str = "PASS", **body: Any) -> tuple[str, str | None, bool, str]:
    answer = track_out(api_client(), "REF-01", result=result, **body)
    return answer["result"], answer["resultOverride"], answer["inspectionOverride"], answer["status"]


def test_a_fail_on_the_open_track_forces_its_track_out_to_fail(sender):
    assert inspect(sender, result="FAIL", defects=[{"code": "BRIDGE"}])["unitStatus"] == "IN_STATION"
    assert leave() == ("FAIL", None, True, "OUT_FAILED")
    assert Defect.objects.get().code == "BRIDGE"


def test_a_claimed_fail_is_a_fail(sender):
    inspect(sender, result="FAIL")
    assert leave("FAIL") == ("FAIL", None, True, "OUT_FAILED")


def test_a_pass_leaves_the_claim(sender):
    inspect(sender)
    assert leave() == ("PASS", None, False, "QUEUED")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_review_lifts_a_fail_before_track_out(sender, order):
    reports = [
        {"result": "FAIL", "eventTime": moment(minutes=2), "defects": [{"code": "BRIDGE"}]},
        {"result": "PASS", "eventTime": moment(minutes=1), "source": "MANUAL", "operatorId": "olga"},
    ]
    for index in order:
        inspect(sender, f"evt-{index}", **reports[index])
    assert leave() == ("PASS", None, False, "QUEUED")
    assert not Defect.objects.filter(status="OPEN").exists()


def test_a_review_lifts_its_own_kind_alone(sender):
    inspect(sender, "evt-1", result="FAIL", inspectionType="SPI", eventTime=moment(minutes=3))
    inspect(sender, "evt-2", result="FAIL", inspectionType="AOI", eventTime=moment(minutes=2))
    inspect(sender, "evt-3", result="PASS", inspectionType="AOI", eventTime=moment(minutes=1))
    assert leave()[0] == "FAIL"


def test_it_fails_the_pass_it_was_reported_of_and_no_later_one(sender):
    inspect(sender, result="FAIL")
    leave()
    admin = api_client()
    assert_done(admin.post("/api/units/SN-1/rework", {"reason": "again"}))
    track_in(admin, "REF-01")
    assert leave() == ("PASS", None, False, "QUEUED")


def test_the_trace_tells_of_inspections_and_their_defects(sender):
    defect = {"code": "BRIDGE", "location": "U7", "remark": None}
    inspect(sender, result="FAIL", defects=[defect])
    trace = assert_done(sender.get("/api/trace/units/SN-1"))
    [told] = trace["inspections"]
    assert (told["inspectionType"], told["result"], told["stepNo"]) == ("AOI", "FAIL", 20)
    assert told["defects"] == [defect]
    [found] = trace["defects"]
    assert (found["code"], found["inspectionType"], found["status"]) == ("BRIDGE", "AOI", "OPEN")
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    page = client.get("/trace/units/SN-1/").content.decode()
    assert "BRIDGE" in page and "unless a review says Pass before" in page


def test_rework_goes_by_default_to_the_pass_that_an_inspection_failed_late(sender):
    admin = api_client()
    track_out(admin, "REF-01")
    inspect(sender, result="FAIL")
    assert assert_done(admin.post("/api/units/SN-1/rework", {"reason": "bridge"}))["currentStepNo"] == 20


def test_the_latest_such_track_is_meant(sender, plant):
    admin = api_client()
    track_out(admin, "REF-01", result="FAIL")
    assert_done(admin.post("/api/units/SN-1/rework", {"reason": "again"}))
    second = track_in(admin, "REF-01")
    assert inspect(sender)["trackId"] == second


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"runNo": "X"}, "RUN_NOT_FOUND"),
        ({"unitSn": "X"}, "UNIT_NOT_FOUND"),
        ({"stationCode": "X"}, "STATION_NOT_FOUND"),
        ({"stepNo": 30}, "TRACK_NOT_FOUND"),
        ({"stationCode": "SMT-01"}, "TRACK_NOT_FOUND"),
    ],
)
def test_an_inspection_without_track_is_refused(sender, fields, code):
    assert_refused(send(sender, "inspection-result", **fields), code, 404)
