"""Slots are loaded by scanning: each scan is checked, done or refused, and kept."""

from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mes.line_setup.loads import hooks
from mes.line_setup.loads.models import Load, LoadMark, LoadScan, SlotLock
from mes.line_setup.models import MaterialLot
from mes.line_setup.set_up_lists.models import RunSetUpList
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.platform.accounts.roles import Role
from mes.platform.hooks import Hook
from mes.platform.outbox.models import MesEvent
from tests.execution.support import assert_done, assert_refused
from tests.factories import api_client, make_plant
from tests.line_setup.loads.support import (
    OTHER,
    PLACER,
    ago,
    make_material,
    make_placers,
    make_reel,
    make_tool,
    scan,
    take_out,
    text,
    there,
    told,
)
from tests.line_setup.set_up_lists.support import make_list, part

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> APIClient:
    make_placers()
    for lot in ("A", "B", "C"):
        make_reel(lot)
    return api_client(Role.OPERATOR)


def outcomes() -> list[str]:
    return list(LoadScan.objects.order_by("id").values_list("outcome", flat=True))


def test_a_reel_is_loaded_and_shown(operator):
    answer = assert_done(scan(operator, "F1", "A"), 201)
    assert answer == {
        "id": str(Load.objects.get().pk),
        "stationCode": PLACER,
        "slot": "F1",
        "lotId": "A",
        "materialCode": "R-10K",
        "toolId": None,
        "program": "",
        "feederId": None,
        "verify": "NO_LIST",
        "state": "ACTIVE",
        "from": answer["from"],
        "to": None,
    }
    assert assert_done(operator.get(f"/api/stations/{PLACER}/loads"))["loads"] == [answer]
    event = MesEvent.objects.get(event_type="LOAD_CHANGED")
    assert (event.entity_id, event.payload["lotIds"]) == (PLACER, [MaterialLot.objects.get(lot_id="A").pk])


def test_the_same_again_changes_nothing(operator):
    first = assert_done(scan(operator, "F1", "A"), 201)
    for action in ("LOAD", "REPLACE", "SPLICE"):
        assert assert_done(scan(operator, "F1", "A", action=action), 200) == first
    assert (Load.objects.count(), MesEvent.objects.count(), outcomes()) == (1, 1, [""] * 4)


def test_replace_and_splice(operator):
    scan(operator, "F1", "A")
    details = assert_refused(scan(operator, "F1", "B"), "SLOT_OCCUPIED")
    assert details == {"slot": "F1", "station": PLACER, "loaded": "A"}
    assert assert_done(scan(operator, "F1", "B", action="SPLICE"), 201)["state"] == "NEXT"
    assert there() == [(PLACER, "F1", "A", "ACTIVE"), (PLACER, "F1", "B", "NEXT")]
    assert_done(scan(operator, "F1", "C", action="SPLICE"), 201)
    assert there() == [(PLACER, "F1", "B", "ACTIVE"), (PLACER, "F1", "C", "NEXT")]
    came_into_use = assert_done(scan(operator, "F1", "C", action="REPLACE"), 201)
    assert came_into_use["state"] == "ACTIVE"
    assert_done(scan(operator, "F1", "A", action="REPLACE"), 201)
    assert there() == [(PLACER, "F1", "A", "ACTIVE")]
    assert_refused(scan(operator, "F2", "B", action="SPLICE"), "SLOT_EMPTY")


def test_one_place_at_a_time(operator):
    scan(operator, "F1", "A")
    for slot, station in (("F2", PLACER), ("F1", OTHER), ("F1", "SMT-12"), ("F1", "SHARED")):
        details = assert_refused(scan(operator, slot, "A", station=station), "BOUND_ELSEWHERE")
        assert details == {"code": "A", "slot": "F1", "place": PLACER}
    assert_done(scan(operator, "F9", "A", station="SHARED", move=True), 201)
    assert there() == [("SHARED", "F9", "A", "ACTIVE")]


def test_shared_material_and_programs_are_in_several_places(operator):
    make_reel("GLUE", "GLUE")
    make_material("GLUE").__class__.objects.filter(code="GLUE").update(is_shared=True)
    for station in (PLACER, "SMT-12"):
        assert_done(scan(operator, "F1", "GLUE", station=station), 201)
        assert_done(scan(operator, "PROGRAM", program="TOP-1", station=station), 201)
    assert len(there()) == 4
    assert_done(take_out(operator, slot="F1"))
    assert len(there()) == 3


def test_tools_and_feeders(operator):
    make_tool("SQ-1")
    make_tool("FD-7", kind="FEEDER")
    assert assert_done(scan(operator, "FRONT", toolId="SQ-1"), 201)["toolId"] == "SQ-1"
    assert assert_done(scan(operator, "F1", "A", feederId="FD-7"), 201)["feederId"] == "FD-7"
    assert_refused(scan(operator, "F2", "B", feederId="FD-8"), "TOOL_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": "BLOCKED", "blocked_from": "AVAILABLE"}, "LOT_BLOCKED"),
        ({"status": "SCRAPPED"}, "LOT_BLOCKED"),
        ({"status": "USED_UP"}, "LOT_USED_UP"),
        ({"expires_at": ago(1)}, "LOT_EXPIRED"),
        ({"msl": "6"}, "MSD_EXPIRED"),
    ],
)
def test_a_lot_that_may_not_be_used(operator, fields, code):
    make_reel("BAD", **fields)
    scan(operator, "F1", "A")
    assert_refused(scan(operator, "F1", "BAD"), code)  # before that the slot is taken
    assert (outcomes(), LoadMark.objects.count()) == (["", code], 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"status": "MAINTENANCE"}, "TOOL_NOT_READY"), ({"max_uses": 5, "uses_since_service": 6}, "TOOL_WORN")],
)
def test_a_tool_that_may_not_be_used(operator, fields, code):
    make_tool("SQ-1", **fields)
    assert_refused(scan(operator, "FRONT", toolId="SQ-1"), code)


LABEL = "[)>{RS}06{GS}PR-10K{GS}Q5000{GS}1TL2601{GS}10D2603{GS}3SREEL-7{RS}{EOT}"


def test_a_label_makes_its_lot_and_loads_it(operator):
    assert assert_done(scan(operator, "F1", label=LABEL), 201)["lotId"] == "REEL-7"
    assert assert_done(scan(operator, "F1", label=LABEL), 200)["materialCode"] == "R-10K"
    elsewhere = assert_refused(scan(operator, "F2", label=LABEL), "BOUND_ELSEWHERE")
    assert elsewhere["code"] == "REEL-7"  # nobody is shown what only a scanner reads
    assert_refused(scan(operator, "F1", label=LABEL.replace("R-10K", "NONE")), "MATERIAL_NOT_FOUND", 404)
    make_material("C-1")
    assert_refused(scan(operator, "F1", label=LABEL.replace("R-10K", "C-1")), "LOT_MATERIAL_MISMATCH")
    for broken in (LABEL[:30], LABEL * 2, "x" * 7000, "[)>"):
        assert_refused(scan(operator, "F1", label=broken), "LABEL_UNREADABLE", 422)
    assert_refused(scan(operator, "F1", "A", label=LABEL), "VALIDATION_ERROR", 400)
    assert MaterialLot.objects.count() == 4


def test_a_refused_label_leaves_no_lot(operator):
    scan(operator, "F1", "A")
    assert_refused(scan(operator, "F1", label=LABEL), "SLOT_OCCUPIED")
    assert not MaterialLot.objects.filter(lot_id="REEL-7").exists()


def test_what_is_not_known_or_something_else(operator):
    make_tool("SQ-1")
    assert_refused(scan(operator, "F1", "NOBODY"), "LOT_NOT_FOUND", 404)
    assert_refused(scan(operator, "F1", toolId="NOBODY"), "TOOL_NOT_FOUND", 404)
    assert assert_refused(scan(operator, "F1", "SQ-1"), "SCAN_TYPE_MISMATCH", 422)["wanted"] == "LOT"
    assert_refused(scan(operator, "F1", toolId="A"), "SCAN_TYPE_MISMATCH", 422)
    assert_refused(scan(operator, "F1", "A", station="NONE"), "STATION_NOT_FOUND", 404)
    assert_refused(scan(operator, "F1", "A", runNo="NONE"), "RUN_NOT_FOUND", 404)
    assert not Load.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"slot": ""},
        {"slot": " F1"},
        {"slot": "F\u200b1"},
        {"slot": "a//b"},
        {"slot": "x" * 101},
        {"slot": "F\x001"},
        {"lotId": "x" * 101},
        {"lotId": None},
        {"lotId": "A", "toolId": "T"},
        {"action": "EAT"},
        {"at": "yesterday"},
        {"at": "9999-12-31T00:00:00Z"},
        {"move": "yes"},
        {"extra": 1},
    ],
    ids=repr,
)
def test_bad_input(operator, body):
    assert_refused(
        operator.post(f"/api/stations/{PLACER}/loads", {"slot": "F1", "lotId": "A", **body}), "VALIDATION_ERROR", 400
    )
    assert not Load.objects.exists()


@pytest.mark.parametrize("quantity", [-1, 1e300, 10**15, "12", "NaN", 0.00001])
def test_bad_quantities(operator, quantity):
    scan(operator, "F1", "A")
    answer = take_out(operator, slot="F1", quantity=quantity)
    assert answer.status_code == 400
    assert len(there()) == 1


def test_times_ahead_and_long_ago(operator):
    assert_refused(scan(operator, "F1", "A", at=text(ago(-60))), "EVENT_TIME_IN_FUTURE", 422)
    assert_refused(scan(operator, "F1", "A", at=text(ago(60 * 24 * 4000))), "EVENT_TOO_OLD", 422)


# --- unloading ----------------------------------------------------------------------------------------------


def test_unloading_by_slot_and_by_lot(operator):
    scan(operator, "F1", "A")
    scan(operator, "F1", "B", action="SPLICE")
    scan(operator, "F2", "C")
    [ended] = assert_done(take_out(operator, lotId="A", quantity=120.5))["loads"]
    assert (ended["lotId"], ended["to"] is None) == ("A", False)
    assert there() == [(PLACER, "F1", "B", "ACTIVE"), (PLACER, "F2", "C", "ACTIVE")]
    assert MaterialLot.objects.get(lot_id="A").counted_quantity == 120.5
    assert_refused(take_out(operator, lotId="A"), "SLOT_EMPTY")
    assert_refused(take_out(operator, slot="F1", lotId="C"), "SLOT_EMPTY")
    assert_done(take_out(operator, slot="F2", quantity=0))
    assert MaterialLot.objects.get(lot_id="C").status == "USED_UP"
    assert_refused(take_out(operator, slot="F2"), "SLOT_EMPTY")
    assert_refused(take_out(operator), "VALIDATION_ERROR", 400)
    assert there() == [(PLACER, "F1", "B", "ACTIVE")]


def test_a_count_of_two_lots_is_of_neither(operator):
    scan(operator, "F1", "A")
    scan(operator, "F1", "B", action="SPLICE")
    assert_refused(take_out(operator, slot="F1", quantity=5), "VALIDATION_ERROR", 400)
    assert len(assert_done(take_out(operator, slot="F1"))["loads"]) == 2
    assert there() == []


# --- late scans ---------------------------------------------------------------------------------------------


def test_a_late_scan_counts_at_its_time(operator):
    late, before = ago(10), ago(20)
    scan(operator, "F1", "A")
    now = Load.objects.get().loaded_at
    assert_done(scan(operator, "F1", "B", at=text(late)), 201)
    assert told() == [("F1", "B", late, now), ("F1", "A", now, None)]
    assert_done(scan(operator, "F2", "A", at=text(before)), 201)
    assert told()[0] == ("F2", "A", before, now)
    shown = assert_done(operator.get(f"/api/stations/{PLACER}/loads", {"at": text(late)}))["loads"]
    assert [(load["slot"], load["lotId"]) for load in shown] == [("F1", "B"), ("F2", "A")]


def test_earlier_news_of_a_load_begins_it_earlier(operator):
    scan(operator, "F1", "A", at=text(ago(5)))
    earlier = ago(9)
    assert_done(scan(operator, "F1", "A", at=text(earlier)), 201)
    assert told() == [("F1", "A", earlier, None)]
    assert LoadScan.objects.filter(load=None).count() == 1  # the load that it was answered with is gone


def play(client: APIClient, steps: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    Load.objects.all().delete()
    LoadScan.objects.all().delete()
    LoadMark.objects.all().delete()
    for step in steps:
        body = {name: value for name, value in step.items() if name != "unload"}
        answer = take_out(client, **body) if step.get("unload") else scan(client, **body, move=True)
        assert answer.status_code in (200, 201), answer.json()
    return told()


@pytest.mark.parametrize("seed", range(12))
def test_scans_in_any_order_leave_the_same_loads(operator, seed):
    """What every order accepts: replacements and moves over two lines."""
    random = Random(seed)
    steps = []
    for minute in range(9):
        station, slot = random.choice([(PLACER, "F1"), (PLACER, "F2"), ("SMT-12", "F1")])
        steps.append(
            {
                "slot": slot,
                "lot_id": random.choice("ABC"),
                "station": station,
                "action": "REPLACE",
                "at": text(ago(100 - minute)),
            }
        )
    ordered = play(operator, steps)
    shuffled = random.sample(steps, len(steps))
    assert play(operator, shuffled) == ordered


# --- locked slots -------------------------------------------------------------------------------------------


@pytest.fixture
def listed(operator: APIClient) -> APIClient:
    """A run that goes by a list: F/1 takes R-10K or R-10K-B, F2 another part, FRONT one of two tools."""
    plant = make_plant(units=1)
    make_tool("SQ-1")
    made = make_list(
        plant,
        part("F/1", alternates=["R-10K-B"]),
        part("F2", "C-100N"),
        ItemInput("SMT-01", "FRONT", "TOOL", tool_ids=["SQ-1"]),
        ItemInput("SMT-01", "TOP", "PROGRAM", program="P-7"),
    )
    RunSetUpList.objects.create(run=plant.run, set_up_list=made)
    make_reel("ALT", "R-10K-B")
    make_reel("CAP", "C-100N")
    make_reel("NOBODY-KNOWS")
    MaterialLot.objects.filter(lot_id="NOBODY-KNOWS").update(material=None)
    return operator


def at_printer(client: APIClient, slot: str, lot_id: str | None = None, **body: Any) -> Any:
    return scan(client, slot, lot_id, station="SMT-01", **body)


def test_a_scan_is_compared_with_the_list_of_the_run(listed):
    assert assert_done(at_printer(listed, "F/1", "A"), 201)["verify"] == "PASS"
    assert assert_done(at_printer(listed, "F/1", "ALT", action="SPLICE"), 201)["verify"] == "ALTERNATE"
    assert assert_done(at_printer(listed, "FRONT", toolId="SQ-1"), 201)["verify"] == "PASS"
    assert assert_done(at_printer(listed, "TOP", program="P-7", runNo="RUN-1"), 201)["verify"] == "PASS"
    make_tool("SQ-2")
    for slot, body in (("F/1", {"toolId": "SQ-1"}), ("FRONT", {"toolId": "SQ-2"}), ("TOP", {"program": "P-8"})):
        assert_refused(at_printer(listed, slot, **body), "WRONG_PART")
    assert_refused(at_printer(listed, "F/1", "NOBODY-KNOWS"), "WRONG_PART")
    assert_refused(at_printer(listed, "F99", "A"), "SLOT_UNKNOWN", 422)
    assert set(LoadMark.objects.values_list("run__run_no", flat=True)) == {"RUN-1"}


def test_the_third_wrong_part_in_a_row_locks_the_slot(listed):
    assert_done(at_printer(listed, "F2", "CAP"), 201)
    for _wrong in range(2):
        details = assert_refused(at_printer(listed, "F/1", "CAP", move=True), "WRONG_PART")
        assert (details["expected"], details["locked"]) == (["R-10K", "R-10K-B"], False)
    assert_done(at_printer(listed, "F/1", "A"), 201)  # a good one begins the count anew
    locked = [assert_refused(at_printer(listed, "F/1", "CAP"), "WRONG_PART")["locked"] for _wrong in range(3)]
    assert locked == [False, False, True]
    assert assert_refused(at_printer(listed, "F/1", "B", action="SPLICE"), "SLOT_LOCKED")["wrong"] == 3
    assert_done(at_printer(listed, "F2", "CAP"))  # the others are open
    assert outcomes().count("WRONG_PART") == 5 and len(there()) == 2


def test_a_wrong_label_is_called_by_the_id_of_its_lot(listed):
    label = LABEL.replace("R-10K", "C-100N").replace("{GS}", "\x1d")
    assert assert_refused(at_printer(listed, "F/1", label=label), "WRONG_PART")["loaded"] == "REEL-7"


def test_a_locked_slot_is_unlocked_with_a_reason(listed):
    supervisor = api_client(Role.SUPERVISOR)
    address = "/api/stations/SMT-01/slots/F/1/unlock"
    assert_refused(supervisor.post(address, {"reason": "x"}), "NOT_FOUND", 404)
    for _wrong in range(3):
        at_printer(listed, "F/1", "CAP")
    assert_refused(listed.post(address, {"reason": "x"}), "PERMISSION_DENIED", 403)
    assert_refused(supervisor.post(address, {"reason": " "}), "VALIDATION_ERROR", 400)
    assert_done(supervisor.post(address, {"reason": "the label was covered"}))
    assert_done(supervisor.post(address, {"reason": "again"}))
    lock = SlotLock.objects.get()
    assert (lock.locked_at, lock.wrong_parts, lock.unlock_reason) == (None, 0, "the label was covered")
    assert_done(at_printer(listed, "F/1", "A"), 201)


# --- who, how much, and what others hear --------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_who_may_load(operator, role):
    client = api_client(role)
    allowed = role in (Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN)
    assert scan(client, "F1", "A").status_code == (201 if allowed else 403)
    assert take_out(client, slot="F1").status_code == (200 if allowed else 403)


def test_a_token_of_its_station_takes_there_what_another_had(operator):
    scan(operator, "F1", "A")
    assert_done(scan(api_client(Role.OPERATOR, ["SMT-12"]), "F1", "A", station="SMT-12", move=True), 201)
    assert there() == [("SMT-12", "F1", "A", "ACTIVE")]


def test_a_token_of_another_station_loads_nothing(operator):
    client = api_client(Role.OPERATOR, [OTHER])
    assert_refused(scan(client, "F1", "A"), "PERMISSION_DENIED", 403)
    assert_refused(client.get(f"/api/stations/{PLACER}/loads"), "PERMISSION_DENIED", 403)
    assert_done(scan(client, "F1", "A", station=OTHER), 201)


def test_rooms_beside_hear_of_a_change(operator, monkeypatch):
    heard: list[hooks.Change] = []
    hook: Hook[Any] = Hook()
    hook.register(heard.append)
    monkeypatch.setattr(hooks, "loads_changed", hook)
    scan(operator, "F1", "A")
    scan(operator, "F1", "A")
    scan(operator, "F1", "B")
    scan(operator, "F1", "A", station="SMT-12", move=True)
    assert len(heard) == 2
    assert (len(heard[0].stations), len(heard[1].stations)) == (1, 2)


def count_statements(client: APIClient, slot: str, lot: str, **body: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert_done(scan(client, slot, lot, **body), 201)
    return len(captured)


SCAN_STATEMENTS = 18


def test_a_scan_takes_a_fixed_number_of_statements(operator):
    assert_done(scan(operator, "F0", "C"), 201)
    first = count_statements(operator, "F1", "A")
    for number in range(30):
        make_reel(f"R-{number}")
        scan(operator, f"G{number}", f"R-{number}")
        scan(operator, "F1", "B" if number % 2 else "A", action="REPLACE")
    take_out(operator, slot="F1")
    assert (first, count_statements(operator, "F1", "A")) == (SCAN_STATEMENTS, SCAN_STATEMENTS)
