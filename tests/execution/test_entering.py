"""Units entering stations: every guard, their order, the unit made on the fly, times, the outbox."""

from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.utils import timezone

from execution import moves, tracking
from execution.entering import Entering
from execution.models import Track
from execution.unit_state import StationState, load_states
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import MesEvent
from mes.production.models import Run, RunStatus, Unit, UnitStatus, WorkOrder, WorkOrderStatus
from tests.execution.support import (
    assert_done,
    assert_refused,
    decide,
    make_run,
    nothing_written,
    put_at,
    track_in,
    track_out,
)
from tests.factories import Plant, api_client, make_config, make_group, make_line, make_plant, make_station, put_runs


def in_minutes(minutes: float) -> str:
    return (timezone.now() + timedelta(minutes=minutes)).isoformat()


# --- what it does ------------------------------------------------------------------------------------------


def test_track_in_opens_a_track_and_moves_the_unit(plant, operator):
    data = assert_done(track_in(operator), 201)
    track = Track.objects.get()
    assert data == {"sn": "SN-1", "status": "IN_STATION", "trackId": str(track.pk), "stepNo": 10, "attempt": 1}
    assert (track.unit.sn, track.run.run_no, track.station.code) == ("SN-1", "RUN-1", "SMT-01")
    assert (track.step_no, track.operation_code, track.source) == (10, "PRINT", "MANUAL")
    assert (track.out_at, track.result, track.is_time_doubtful, track.is_trial) == (None, "", False, False)
    assert track.operator_in
    unit = Unit.objects.get(sn="SN-1")
    assert (unit.status, unit.current_step_no) == ("IN_STATION", 10)


def test_a_repeated_scan_returns_the_open_track_and_changes_nothing(plant, operator):
    first = assert_done(track_in(operator), 201)
    with nothing_written():
        assert assert_done(track_in(operator), 200) == first


def test_a_repeated_scan_of_a_held_unit_returns_the_open_track(plant, operator, supervisor):
    first = assert_done(track_in(operator), 201)
    assert_done(decide(supervisor, "hold"))
    with nothing_written():
        again = assert_done(track_in(operator), 200)
    assert again == {**first, "status": "ON_HOLD"}


def test_the_same_unit_at_another_station_is_refused_while_its_track_is_open(plant, operator):
    make_station("SMT-02", line=plant.line, group=plant.groups["PRINTERS"])
    track_in(operator)
    with nothing_written():
        details = assert_refused(track_in(operator, "SMT-02"), "UNIT_ALREADY_IN_STATION")
    assert details["station"] == "SMT-01"


def test_the_first_track_starts_run_and_order_at_its_time(plant, operator):
    at = timezone.now() - timedelta(hours=2)
    WorkOrder.objects.filter(pk=plant.order.pk, status=WorkOrderStatus.RELEASED).get()
    track_in(operator, at=at.isoformat())
    run = Run.objects.get()
    assert (run.status, run.started_at) == (RunStatus.IN_PROGRESS, at)
    assert WorkOrder.objects.get().status == WorkOrderStatus.IN_PROGRESS
    track_in(operator, sn="SN-2")
    assert Run.objects.get().started_at == at


# --- the guards, one by one --------------------------------------------------------------------------------


def test_an_unknown_station_is_refused(plant, operator):
    with nothing_written():
        assert_refused(track_in(operator, "NOWHERE"), "STATION_NOT_FOUND", 404)


def test_an_unknown_run_is_refused(plant, operator):
    with nothing_written():
        assert_refused(track_in(operator, run_no="NO-RUN"), "RUN_NOT_FOUND", 404)


def test_another_work_order_than_the_run_s_is_refused(plant, operator):
    with nothing_written():
        details = assert_refused(track_in(operator, woNo="WO-X"), "RUN_WORK_ORDER_MISMATCH")
    assert details == {"run": "RUN-1", "expected": "WO-RUN-1", "workOrder": "WO-X"}
    assert_done(track_in(operator, woNo="WO-RUN-1"), 201)


def test_an_unknown_unit_is_refused_where_units_were_registered(plant, operator):
    with nothing_written():
        assert_refused(track_in(operator, sn="SN-X"), "UNIT_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (RunStatus.PREP, "RUN_NOT_AUTHORIZED"),
        (RunStatus.ON_HOLD, "RUN_ON_HOLD"),
        (RunStatus.COMPLETED, "RUN_CLOSED"),
        (RunStatus.CLOSED_REWORK, "RUN_CLOSED"),
        (RunStatus.SCRAPPED, "RUN_CLOSED"),
    ],
)
def test_a_run_that_is_not_open_refuses(plant, operator, status, code):
    put_runs(status)
    with nothing_written():
        assert_refused(track_in(operator), code)


def test_a_machine_is_told_that_the_run_is_in_preparation(plant):
    Run.objects.update(status=RunStatus.PREP)
    run, place = tracking.get_run("RUN-1"), StationState(tracking.get_station("SMT-01"))
    state = load_states(["SN-1"], locked=None).unit_states["SN-1"]
    with nothing_written(), pytest.raises(tracking.errors.RunInPrep):
        moves.check_may_enter(Entering(place, state, run, timezone.now(), by_machine=True))


def test_a_revoked_run_refuses(plant, operator, supervisor):
    assert_done(supervisor.post("/api/runs/RUN-1/authorize", {"action": "REVOKE"}))
    with nothing_written():
        assert_refused(track_in(operator), "RUN_NOT_AUTHORIZED")


def test_a_unit_of_another_run_is_refused(plant, operator):
    make_run(plant, run_no="RUN-2", sns=["SN-9"])
    with nothing_written():
        assert_refused(track_in(operator, sn="SN-9"), "UNIT_RUN_MISMATCH")


def test_a_unit_without_a_run_is_refused(plant, operator):
    Unit.objects.filter(sn="SN-1").update(run=None)
    with nothing_written():
        assert_refused(track_in(operator), "UNIT_RUN_MISMATCH")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (UnitStatus.DONE, "UNIT_ALREADY_DONE"),
        (UnitStatus.OUT_FAILED, "UNIT_OUT_FAILED"),
        (UnitStatus.ON_HOLD, "UNIT_ON_HOLD"),
        (UnitStatus.SCRAPPED, "UNIT_SCRAPPED"),
    ],
)
def test_a_unit_that_is_not_queued_is_refused(plant, operator, status, code):
    held = {"held_from": "QUEUED", "hold_reason": "Crack"} if status == UnitStatus.ON_HOLD else {}
    Unit.objects.filter(sn="SN-1").update(status=status, **held)
    with nothing_written():
        details = assert_refused(track_in(operator), code)
    assert details["sn"] == "SN-1"


def test_the_reason_of_a_hold_is_told(plant, operator, supervisor):
    decide(supervisor, "hold", reason="Crack at C12")
    response = track_in(operator)
    assert "Crack at C12" in response.json()["error"]["message"]


def test_a_unit_at_a_step_its_route_does_not_have_is_refused(plant, operator):
    put_at(99)
    with nothing_written():
        assert_refused(track_in(operator), "STEP_MISMATCH")


def test_a_station_of_another_step_is_refused(plant, operator):
    with nothing_written():
        details = assert_refused(track_in(operator, "REF-01"), "STATION_MISMATCH")
    assert (details["stepNo"], details["operation"]) == (10, "PRINT")


def test_a_station_of_another_type_is_refused(plant, operator):
    Station.objects.filter(code="SMT-01").update(station_type="AUTO")
    with nothing_written():
        assert_refused(track_in(operator), "STATION_MISMATCH")


def test_a_station_of_no_group_is_refused_where_the_step_names_one(plant, operator):
    Station.objects.filter(code="SMT-01").update(group=None)
    with nothing_written():
        assert_refused(track_in(operator), "STATION_MISMATCH")


def test_membership_of_a_group_is_live(plant, operator):
    other = make_group("OTHERS")
    new = make_station("SMT-09", line=plant.line, group=other)
    with nothing_written():
        assert_refused(track_in(operator, "SMT-09"), "STATION_MISMATCH")
    new.group = plant.groups["PRINTERS"]
    new.save()
    assert_done(track_in(operator, "SMT-09"), 201)
    Station.objects.filter(code="SMT-01").update(group=other)
    with nothing_written():
        assert_refused(track_in(operator, "SMT-01", sn="SN-2"), "STATION_MISMATCH")


def restrict(plant: Plant, **fields: Any) -> None:
    """Say anew how the first step runs, and put SN-9 into a new run RUN-2."""
    plant.routing.configs.filter(step_no=10).delete()
    make_config(plant.routing, step_no=10, station_type="MANUAL", **fields)
    make_run(plant, run_no="RUN-2", sns=["SN-9"])


def test_only_stations_on_the_list_of_the_step_may_run_it(plant, operator):
    make_station("SMT-02", line=plant.line, group=plant.groups["PRINTERS"])
    restrict(plant, station_group=plant.groups["PRINTERS"], allowed_station_codes=["SMT-02"])
    with nothing_written():
        assert_refused(track_in(operator, "SMT-01", sn="SN-9", run_no="RUN-2"), "STATION_MISMATCH")
    assert_done(track_in(operator, "SMT-02", sn="SN-9", run_no="RUN-2"), 201)


def test_a_station_on_the_list_but_outside_the_group_is_refused(plant, operator):
    make_station("SMT-02", line=plant.line)
    restrict(plant, station_group=plant.groups["PRINTERS"], allowed_station_codes=["SMT-02"])
    with nothing_written():
        assert_refused(track_in(operator, "SMT-02", sn="SN-9", run_no="RUN-2"), "STATION_MISMATCH")


def test_a_station_of_another_line_is_refused(plant, operator):
    make_station("B-01", line=make_line("SMT-B"), group=plant.groups["PRINTERS"])
    with nothing_written():
        details = assert_refused(track_in(operator, "B-01"), "STATION_LINE_MISMATCH")
    assert (details["line"], details["runLine"]) == ("SMT-B", "SMT-A")


def test_a_station_of_another_line_may_run_a_step_that_names_it(plant, operator):
    make_station("B-01", line=make_line("SMT-B"))
    restrict(plant, allowed_station_codes=["B-01"])
    assert_done(track_in(operator, "B-01", sn="SN-9", run_no="RUN-2"), 201)


def test_a_station_without_line_is_shared_by_all_lines(plant, operator):
    make_station("SHARED", group=plant.groups["PRINTERS"])
    assert_done(track_in(operator, "SHARED"), 201)


@pytest.mark.parametrize("status", ["maintenance", "broken", "NORMAL", ""])
def test_equipment_that_is_not_normal_keeps_units_out(plant, operator, status):
    station = plant.stations["SMT-01"]
    Equipment.objects.create(code="EQ-1", name="Printer", station=station)
    broken = Equipment.objects.create(code="EQ-2", name="Camera", station=station, status=status)
    with nothing_written():
        details = assert_refused(track_in(operator), "EQUIPMENT_UNAVAILABLE")
    assert details["equipment"] == "EQ-2"
    broken.status = "normal"
    broken.save()
    assert_done(track_in(operator), 201)


def test_broken_equipment_of_another_station_plays_no_part(plant, operator):
    Equipment.objects.create(code="EQ-1", name="Oven", station=plant.stations["REF-01"], status="broken")
    assert_done(track_in(operator), 201)


# --- the order of the guards -------------------------------------------------------------------------------


def another_run(plant: Plant) -> None:
    other = make_run(plant, run_no="RUN-2", sns=[])
    Unit.objects.filter(sn="SN-1").update(run=other)


def another_line(plant: Plant) -> None:
    Station.objects.filter(code="SMT-01").update(line=make_line("SMT-B"))


def broken_equipment(plant: Plant) -> None:
    Equipment.objects.create(code="EQ-1", name="Printer", station=plant.stations["SMT-01"], status="broken")


# fault → (what brings it about, the call that shows it, the code), in the order of contract 1.5
FAULTS: dict[str, tuple[Callable[[Plant], Any], dict[str, Any], str]] = {
    "station": (lambda plant: None, {"station": "NOWHERE"}, "STATION_NOT_FOUND"),
    "run": (lambda plant: None, {"run_no": "NO-RUN"}, "RUN_NOT_FOUND"),
    "run status": (lambda plant: Run.objects.filter(pk=plant.run.pk).update(status="PREP"), {}, "RUN_NOT_AUTHORIZED"),
    "membership": (another_run, {}, "UNIT_RUN_MISMATCH"),
    "unit state": (lambda plant: Unit.objects.filter(sn="SN-1").update(status="DONE"), {}, "UNIT_ALREADY_DONE"),
    "current step": (lambda plant: put_at(99), {}, "STEP_MISMATCH"),
    "station allowed": (
        lambda plant: Station.objects.filter(code="SMT-01").update(group=None),
        {},
        "STATION_MISMATCH",
    ),
    "line": (another_line, {}, "STATION_LINE_MISMATCH"),
    "equipment": (broken_equipment, {}, "EQUIPMENT_UNAVAILABLE"),
    "time": (lambda plant: None, {"at": "2199-01-01T00:00:00Z"}, "EVENT_TIME_IN_FUTURE"),
}


STATUS_OF = {"STATION_NOT_FOUND": 404, "RUN_NOT_FOUND": 404, "EVENT_TIME_IN_FUTURE": 422}


@pytest.mark.parametrize(("earlier", "later"), list(combinations(FAULTS, 2)))
def test_of_two_faults_the_earlier_guard_decides_the_code(plant, operator, earlier, later):
    call: dict[str, Any] = {}
    for name in (later, earlier):
        bring_about, arguments, _code = FAULTS[name]
        bring_about(plant)
        call |= arguments
    expected = FAULTS[earlier][2]
    with nothing_written():
        assert_refused(track_in(operator, **call), expected, STATUS_OF.get(expected, 409))


def test_everything_wrong_at_once_names_the_station(plant, operator):
    call: dict[str, Any] = {}
    for bring_about, arguments, _code in FAULTS.values():
        bring_about(plant)
        call |= arguments
    with nothing_written():
        assert_refused(track_in(operator, **call), "STATION_NOT_FOUND", 404)


@pytest.mark.parametrize("status", [RunStatus.PREP, RunStatus.ON_HOLD, RunStatus.COMPLETED])
def test_the_state_of_the_run_is_told_before_an_unknown_unit(plant, operator, status):
    put_runs(status)
    code = {"PREP": "RUN_NOT_AUTHORIZED", "ON_HOLD": "RUN_ON_HOLD", "COMPLETED": "RUN_CLOSED"}[status]
    with nothing_written():
        assert_refused(track_in(operator, sn="SN-X"), code)


# --- units made on the fly ---------------------------------------------------------------------------------


@pytest.fixture
def empty(db: None) -> Plant:
    """A plant whose run has no registered units and a plan of two."""
    return make_plant(units=0, plan_qty=2)


def test_the_first_track_in_at_the_first_step_makes_the_unit(empty, operator):
    assert_done(track_in(operator, sn="NEW-1"), 201)
    unit = Unit.objects.get()
    assert (unit.sn, unit.run, unit.work_order) == ("NEW-1", empty.run, empty.order)
    assert (unit.status, unit.current_step_no) == ("IN_STATION", 10)
    assert Run.objects.get().units_registered is False


def test_units_are_made_at_the_first_step_only(empty, operator):
    with nothing_written():
        assert_refused(track_in(operator, "REF-01", sn="NEW-1"), "UNIT_NOT_FOUND", 404)


def test_units_are_made_within_the_plan(empty, operator):
    track_in(operator, sn="NEW-1")
    track_in(operator, sn="NEW-2")
    with nothing_written():
        details = assert_refused(track_in(operator, sn="NEW-3"), "RUN_QTY_EXCEEDED")
    assert (details["plan"], details["count"]) == (2, 3)


def test_no_unit_is_made_once_units_were_registered(empty, operator, supervisor):
    assert_done(supervisor.post("/api/runs/RUN-1/units", {"sns": ["SN-1"]}), 201)
    with nothing_written():
        assert_refused(track_in(operator, sn="NEW-1"), "UNIT_NOT_FOUND", 404)


def test_a_refused_first_track_in_leaves_no_unit(empty, operator):
    another_line(empty)
    with nothing_written():
        assert_refused(track_in(operator, sn="NEW-1"), "STATION_LINE_MISMATCH")


def test_broken_equipment_leaves_no_unit(empty, operator):
    broken_equipment(empty)
    with nothing_written():
        assert_refused(track_in(operator, sn="NEW-1"), "EQUIPMENT_UNAVAILABLE")


def test_a_time_that_is_refused_leaves_no_unit(empty, operator):
    with nothing_written():
        assert_refused(track_in(operator, sn="NEW-1", at=in_minutes(6)), "EVENT_TIME_IN_FUTURE", 422)


@pytest.mark.parametrize(("status", "code"), [("PREP", "RUN_NOT_AUTHORIZED"), ("ON_HOLD", "RUN_ON_HOLD")])
def test_a_run_that_is_not_open_makes_no_unit(empty, operator, status, code):
    put_runs(status)
    with nothing_written():
        assert_refused(track_in(operator, sn="NEW-1"), code)


@pytest.mark.parametrize("sn", ["", " SN", "SN ", "a//b", "a\nb", "x" * 101, 7, None, ["SN-1"]])
def test_what_cannot_be_a_serial_number_is_malformed(empty, operator, sn):
    with nothing_written():
        details = assert_refused(track_in(operator, sn=sn), "VALIDATION_ERROR", 400)
    assert "sn" in details


@pytest.mark.parametrize("sn", ["SN.1", "SN+1", "SN:1", "SN#1", "SN 1", "板-①", "x" * 100])
def test_serial_numbers_are_taken_exactly(empty, operator, sn):
    assert_done(track_in(operator, sn=sn), 201)
    assert Unit.objects.get().sn == sn


def test_serial_numbers_differ_by_case(empty, operator):
    assert_done(track_in(operator, sn="sn-1"), 201)
    assert_done(track_in(operator, sn="SN-1"), 201)


def unmade(plant: Plant) -> None:
    """Leave a unit SN-9 that its closed run did not make."""
    run = make_run(plant, run_no="RUN-2", sns=["SN-9"])
    Unit.objects.filter(sn="SN-9").update(run=None, current_step_no=None)
    Run.objects.filter(pk=run.pk).update(status="COMPLETED")


def test_a_unit_that_was_never_made_enters_another_run_on_the_fly(empty, operator):
    unmade(empty)
    assert_done(track_in(operator, sn="SN-9"), 201)
    unit = Unit.objects.get()
    assert (unit.run, unit.work_order, unit.status, unit.current_step_no) == (empty.run, empty.order, "IN_STATION", 10)


def test_a_unit_that_was_never_made_counts_in_the_plan_of_its_new_run(empty, operator):
    unmade(empty)
    Run.objects.filter(run_no="RUN-1").update(plan_qty=1)
    track_in(operator, sn="NEW-1")
    with nothing_written():
        assert_refused(track_in(operator, sn="SN-9"), "RUN_QTY_EXCEEDED")


def test_a_unit_of_another_run_is_not_made_again_on_the_fly(empty, operator):
    make_run(empty, run_no="RUN-2", sns=["SN-9"])
    with nothing_written():
        assert_refused(track_in(operator, sn="SN-9"), "UNIT_RUN_MISMATCH")


# --- time --------------------------------------------------------------------------------------------------


def test_without_a_time_it_is_now(plant, operator):
    before = timezone.now()
    track_in(operator)
    assert before <= Track.objects.get().in_at <= timezone.now()


def test_an_offline_station_may_report_the_past(plant, operator):
    at = timezone.now() - timedelta(hours=8)
    assert_done(track_in(operator, at=at.astimezone(ZoneInfo("Europe/Helsinki")).isoformat()), 201)
    track = Track.objects.get()
    assert (track.in_at, track.is_time_doubtful) == (at, False)
    assert MesEvent.objects.get().occurred_at == track.in_at


def test_a_little_in_the_future_is_a_clock_that_runs_ahead(plant, operator):
    assert_done(track_in(operator, at=in_minutes(4.5)), 201)


def test_too_far_in_the_future_is_refused(plant, operator):
    with nothing_written():
        assert_refused(track_in(operator, at=in_minutes(5.5)), "EVENT_TIME_IN_FUTURE", 422)


@pytest.mark.parametrize("at", ["2026-01-24T10:00:00", "yesterday", "1899-12-31T23:59:59Z", "2201-01-01T00:00:00Z", 5])
def test_what_is_no_instant_is_malformed(plant, operator, at):
    with nothing_written():
        assert "at" in assert_refused(track_in(operator, at=at), "VALIDATION_ERROR", 400)


def pass_first_step(operator: Any, minutes_ago: float) -> None:
    """Let SN-1 leave the first step so long ago."""
    assert_done(track_in(operator, at=in_minutes(-minutes_ago - 30)), 201)
    assert_done(track_out(operator, at=in_minutes(-minutes_ago)))


def test_a_time_before_the_previous_out_is_doubtful_within_the_skew(plant, operator):
    pass_first_step(operator, 60)
    assert_done(track_in(operator, "REF-01", at=in_minutes(-64.5)), 201)
    assert Track.objects.get(step_no=20).is_time_doubtful is True


def test_a_time_long_before_the_previous_out_is_out_of_order(plant, operator):
    pass_first_step(operator, 60)
    with nothing_written():
        assert_refused(track_in(operator, "REF-01", at=in_minutes(-65.5)), "EVENT_TIME_OUT_OF_ORDER", 422)


def test_a_time_after_the_previous_out_is_not_doubtful(plant, operator):
    pass_first_step(operator, 60)
    assert_done(track_in(operator, "REF-01", at=in_minutes(-59)), 201)
    assert Track.objects.get(step_no=20).is_time_doubtful is False


# --- the outbox --------------------------------------------------------------------------------------------


def test_each_track_in_writes_its_event(plant, operator):
    track_id = assert_done(track_in(operator), 201)["trackId"]
    event = MesEvent.objects.get()
    assert (event.event_type, event.entity_type, event.entity_id) == ("TRACK_IN", "UNIT", "SN-1")
    assert (event.status, event.run_id) == ("COMPLETED", plant.run.pk)
    assert event.occurred_at == Track.objects.get().in_at
    assert event.payload == {
        "trackId": track_id,
        "sn": "SN-1",
        "runNo": "RUN-1",
        "lineId": plant.line.pk,
        "stationId": plant.stations["SMT-01"].pk,
        "stepNo": 10,
        "operationCode": "PRINT",
        "operationKind": "PRINT",
        "attempt": 1,
        "source": "MANUAL",
        "result": None,
    }


def test_a_rollback_takes_the_event_back_too(plant):
    with nothing_written(), pytest.raises(ZeroDivisionError), transaction.atomic():
        tracking.track_in(run_no="RUN-1", sn="SN-1", station_code="SMT-01")
        assert MesEvent.objects.count() == 1
        raise ZeroDivisionError


# --- who may -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
def test_operators_supervisors_and_administrators_track(plant, role):
    response = track_in(api_client(role))
    if role in (Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN):
        assert_done(response, 201)
    else:
        assert_refused(response, "PERMISSION_DENIED", 403)
        assert not Track.objects.exists()


def test_a_token_for_other_stations_is_refused(plant):
    client = api_client(Role.OPERATOR, stations=["REF-01"])
    with nothing_written():
        assert_refused(track_in(client), "PERMISSION_DENIED", 403)
    assert_done(track_in(api_client(Role.OPERATOR, stations=["SMT-01"])), 201)
    with nothing_written():
        assert_refused(track_out(client), "PERMISSION_DENIED", 403)
