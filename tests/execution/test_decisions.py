"""Units held, released, reworked and scrapped by hand."""

from typing import Any

import pytest

from execution.models import Disposition, Track
from mes.platform.accounts.roles import Role
from mes.platform.outbox.models import MesEvent
from mes.production import locking
from mes.production.models import Unit
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
from tests.factories import api_client, hold_units, make_plant, put_runs

STATES = ("QUEUED", "IN_STATION", "DONE", "OUT_FAILED", "ON_HOLD", "SCRAPPED")
# state → action → where it leads (contract 1.4); what is not named is refused
LEADS: dict[str, dict[str, str]] = {
    "QUEUED": {"hold": "ON_HOLD", "scrap": "SCRAPPED"},
    "IN_STATION": {"hold": "ON_HOLD", "scrap": "SCRAPPED"},
    "DONE": {"hold": "ON_HOLD", "scrap": "SCRAPPED", "rework": "QUEUED"},
    "OUT_FAILED": {"hold": "ON_HOLD", "scrap": "SCRAPPED", "rework": "QUEUED"},
    "ON_HOLD": {"release": "QUEUED", "scrap": "SCRAPPED", "rework": "QUEUED"},
    "SCRAPPED": {},
}
ACTIONS = ("hold", "release", "rework", "scrap")
ALLOWED = {
    "hold": {Role.SUPERVISOR, Role.QUALITY, Role.ADMIN},
    "release": {Role.SUPERVISOR, Role.QUALITY, Role.ADMIN},
    "rework": {Role.SUPERVISOR, Role.ADMIN},
    "scrap": {Role.SUPERVISOR, Role.ADMIN},
}


def state(sn: str = "SN-1") -> tuple[str, int | None, str]:
    return Unit.objects.values_list("status", "current_step_no", "held_from").get(sn=sn)


def fail_at(client: Any, station: str = "SMT-01", **call: Any) -> dict[str, Any]:
    assert_done(track_in(client, station, **call), 201)
    return assert_done(track_out(client, station, result="FAIL", **call))


def pass_at(client: Any, station: str = "SMT-01", **call: Any) -> dict[str, Any]:
    assert_done(track_in(client, station, **call), 201)
    data = [{"specName": "Supply Voltage", "valueNumber": 3.3}] if station == "TST-01" else []
    return assert_done(track_out(client, station, data=data, **call))


def bring_to(status: str, client: Any) -> None:
    """Bring SN-1 into a state the way people do."""
    if status == "IN_STATION":
        assert_done(track_in(client), 201)
    elif status == "OUT_FAILED":
        fail_at(client)
    elif status == "DONE":
        for station in ("SMT-01", "REF-01", "TST-01"):
            pass_at(client, station)
    elif status in ("ON_HOLD", "SCRAPPED"):
        assert_done(decide(client, "hold" if status == "ON_HOLD" else "scrap"))
    assert state()[0] == status


# --- transitions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("status", STATES)
def test_every_state_and_decision(plant, supervisor, status, action):
    bring_to(status, supervisor)
    expected = LEADS[status].get(action)
    if expected is None:
        with nothing_written():
            details = assert_refused(decide(supervisor, action), "INVALID_TRANSITION")
        assert details == {"action": action, "entity": "unit", "state": status}
    else:
        before = Disposition.objects.count()
        data = assert_done(decide(supervisor, action))
        assert data == {"sn": "SN-1", "status": expected, "currentStepNo": state()[1]}
        assert state()[0] == expected
        assert Disposition.objects.count() == before + 1


@pytest.mark.parametrize("status", ["QUEUED", "IN_STATION", "DONE", "OUT_FAILED"])
def test_release_leads_back_to_where_the_unit_was(plant, supervisor, status):
    bring_to(status, supervisor)
    before = state()
    assert_done(decide(supervisor, "hold", reason="Look"))
    assert state() == ("ON_HOLD", before[1], status)
    assert Unit.objects.get(sn="SN-1").hold_reason == "Look"
    assert_done(decide(supervisor, "release"))
    assert state() == before
    assert Unit.objects.get(sn="SN-1").hold_reason == ""


def test_a_unit_released_into_its_station_leaves_it_as_usual(plant, supervisor):
    bring_to("IN_STATION", supervisor)
    decide(supervisor, "hold")
    decide(supervisor, "release")
    assert assert_done(track_out(supervisor))["nextStepNo"] == 20


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unknown_unit_is_refused(plant, supervisor, action):
    with nothing_written():
        assert_refused(decide(supervisor, action, sn="SN-X"), "UNIT_NOT_FOUND", 404)


@pytest.mark.parametrize("reason", [None, "", "   ", 5, "x" * 501])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_decision_needs_a_reason(plant, supervisor, action, reason):
    bring_to("ON_HOLD" if action != "hold" else "QUEUED", supervisor)
    with nothing_written():
        assert "reason" in assert_refused(decide(supervisor, action, reason=reason), "VALIDATION_ERROR", 400)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", list(Role))
def test_who_may_decide(plant, supervisor, role, action):
    bring_to("QUEUED" if action == "hold" else "ON_HOLD", supervisor)
    client = api_client(role)
    if role in ALLOWED[action]:
        assert_done(decide(client, action))
    else:
        with nothing_written():
            assert_refused(decide(client, action), "PERMISSION_DENIED", 403)


def test_nobody_decides_without_signing_in(plant, client):
    with nothing_written():
        response = client.post("/api/units/SN-1/scrap", {"reason": "x"}, content_type="application/json")
        assert_refused(response, "NOT_AUTHENTICATED", 401)


# --- what is kept ------------------------------------------------------------------------------------------


def test_each_decision_is_kept_with_its_reason_and_who_made_it(plant, supervisor):
    bring_to("IN_STATION", supervisor)
    decide(supervisor, "hold", reason="Look")
    decide(supervisor, "rework", reason="Wash it")
    decide(supervisor, "scrap", reason="Broken")
    kept = Disposition.objects.order_by("id").values_list("action", "from_status", "to_status", "step_no", "reason")
    assert list(kept) == [
        ("HOLD", "IN_STATION", "ON_HOLD", 10, "Look"),
        ("REWORK", "ON_HOLD", "QUEUED", 10, "Wash it"),
        ("SCRAP", "QUEUED", "SCRAPPED", 10, "Broken"),
    ]
    assert all(item.decided_by and item.run == plant.run for item in Disposition.objects.all())


# --- rework ------------------------------------------------------------------------------------------------


def test_rework_leads_to_the_step_that_failed(plant, supervisor):
    pass_at(supervisor)
    fail_at(supervisor, "REF-01")
    assert assert_done(decide(supervisor, "rework"))["currentStepNo"] == 20


def test_rework_leads_to_the_named_step_and_later_steps_are_passed_again(plant, supervisor):
    bring_to("DONE", supervisor)
    assert assert_done(decide(supervisor, "rework", toStepNo=10)) == {
        "sn": "SN-1",
        "status": "QUEUED",
        "currentStepNo": 10,
    }
    with nothing_written():
        assert_refused(track_in(supervisor, "REF-01"), "STATION_MISMATCH")
    assert [pass_at(supervisor, station)["nextStepNo"] for station in ("SMT-01", "REF-01", "TST-01")] == [20, 30, None]
    assert state()[0] == "DONE"
    attempts = Track.objects.order_by("id").values_list("step_no", "attempt", "rework_no")
    assert list(attempts) == [(10, 1, 0), (20, 1, 0), (30, 1, 0), (10, 2, 1), (20, 2, 1), (30, 2, 1)]


@pytest.mark.parametrize("step_no", [30, 15, 0])
def test_rework_leads_neither_forward_nor_to_a_step_that_is_not_there(plant, supervisor, step_no):
    pass_at(supervisor)
    fail_at(supervisor, "REF-01")
    with nothing_written():
        assert_refused(decide(supervisor, "rework", toStepNo=step_no), "STEP_MISMATCH")


@pytest.mark.parametrize("step_no", [-1, "10", 1.5, 2**31])
def test_a_step_that_is_no_step_number_is_malformed(plant, supervisor, step_no):
    bring_to("OUT_FAILED", supervisor)
    with nothing_written():
        response = decide(supervisor, "rework", toStepNo=step_no)
        assert "toStepNo" in assert_refused(response, "VALIDATION_ERROR", 400)


def test_rework_without_a_named_step_never_leads_past_the_steps_to_be_done_again(plant, supervisor):
    pass_at(supervisor)
    fail_at(supervisor, "REF-01")
    assert_done(decide(supervisor, "rework", toStepNo=10))
    assert_done(decide(supervisor, "hold"))
    assert_done(decide(supervisor, "rework"))
    assert state() == ("QUEUED", 10, "")


def test_rework_counts_the_retests_afresh(plant, supervisor):
    plant.routing.configs.filter(step_no=10).update(retest_limit=1)
    make_run(plant, run_no="RUN-2", sns=["SN-9"])
    call = {"run_no": "RUN-2", "sn": "SN-9"}
    assert [fail_at(supervisor, **call)["status"] for _ in range(2)] == ["QUEUED", "OUT_FAILED"]
    assert_done(decide(supervisor, "rework", sn="SN-9"))
    assert [fail_at(supervisor, **call)["status"] for _ in range(2)] == ["QUEUED", "OUT_FAILED"]
    assert list(Track.objects.order_by("id").values_list("attempt", flat=True)) == [1, 2, 3, 4]


def test_rework_of_a_held_unit_closes_its_open_track_as_failed(plant, supervisor):
    bring_to("IN_STATION", supervisor)
    decide(supervisor, "hold")
    assert assert_done(decide(supervisor, "rework"))["currentStepNo"] == 10
    track = Track.objects.get()
    assert (track.result, track.result_override, track.out_at is not None) == ("FAIL", "REWORK", True)
    assert MesEvent.objects.get(event_type="TRACK_OUT").payload["result"] == "FAIL"
    assert assert_done(track_in(supervisor), 201)["attempt"] == 2


def test_rework_of_a_unit_that_is_in_no_run_is_refused(plant, supervisor):
    bring_to("ON_HOLD", supervisor)
    Unit.objects.filter(sn="SN-1").update(run=None)
    with nothing_written():
        assert_refused(decide(supervisor, "rework"), "UNIT_RUN_NOT_FOUND", 404)


@pytest.mark.parametrize(("status", "code"), [("COMPLETED", "RUN_CLOSED"), ("ON_HOLD", "RUN_ON_HOLD")])
def test_rework_needs_an_open_run(plant, supervisor, status, code):
    bring_to("DONE", supervisor)
    put_runs(status)
    with nothing_written():
        assert_refused(decide(supervisor, "rework", toStepNo=10), code)


# --- scrap -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [False, True])
def test_scrapping_closes_the_open_track_as_failed(plant, supervisor, held):
    bring_to("IN_STATION", supervisor)
    if held:
        decide(supervisor, "hold")
    assert_done(decide(supervisor, "scrap", reason="Broken"))
    track = Track.objects.get()
    assert (track.result, track.result_override, track.out_at is not None) == ("FAIL", "SCRAP", True)
    unit = Unit.objects.get(sn="SN-1")
    assert (unit.status, unit.scrap_reason, unit.held_from) == ("SCRAPPED", "Broken", "")
    assert MesEvent.objects.filter(event_type="TRACK_OUT").count() == 1


def test_a_scrapped_unit_enters_and_leaves_nothing_more(plant, supervisor):
    bring_to("IN_STATION", supervisor)
    decide(supervisor, "scrap")
    with nothing_written():
        assert_refused(track_in(supervisor), "UNIT_SCRAPPED")
        assert_refused(track_out(supervisor), "UNIT_NOT_IN_STATION")


def test_scrapped_units_do_not_use_up_the_plan(db, supervisor):
    make_plant(units=0, plan_qty=1)
    assert_done(track_in(supervisor, sn="NEW-1"), 201)
    with nothing_written():
        assert_refused(track_in(supervisor, sn="NEW-2"), "RUN_QTY_EXCEEDED")
    assert_done(decide(supervisor, "scrap", sn="NEW-1"))
    assert_done(track_in(supervisor, sn="NEW-2"), 201)


def test_scrapped_units_leave_room_for_registered_ones(db, supervisor):
    make_plant(units=2, plan_qty=2)
    with nothing_written():
        response = supervisor.post("/api/runs/RUN-1/units", {"sns": ["SN-3"]})
        assert_refused(response, "RUN_QTY_EXCEEDED")
    assert_done(decide(supervisor, "scrap"))
    assert_done(supervisor.post("/api/runs/RUN-1/units", {"sns": ["SN-3"]}), 201)


@pytest.mark.parametrize("action", ["hold", "release", "scrap"])
def test_a_unit_that_is_relabelled_at_that_moment_is_decided_about(plant, supervisor, monkeypatch, action):
    def lock(sns: list[str]) -> list[Unit]:
        monkeypatch.undo()
        raise locking.Outdated

    if action == "release":
        hold_units("SN-1")
    monkeypatch.setattr(locking, "lock_named_units", lock)
    assert_done(supervisor.post(f"/api/units/SN-1/{action}", {"reason": "Wrong board"}))


def test_scrapping_one_unit_touches_no_other(plant, supervisor):
    put_at(20, "SN-2")
    decide(supervisor, "scrap")
    assert state("SN-2") == ("QUEUED", 20, "")


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sn", ["SN.1", "SN+1", "SN:1", "SN#1", "SN 1", "板-①", "100%", "a?b"])
def test_the_address_may_hold_any_letter(db, supervisor, sn):
    from urllib.parse import quote

    make_plant(units=0)
    assert_done(track_in(supervisor, sn=sn), 201)
    assert assert_done(decide(supervisor, "hold", sn=quote(sn, safe="")))["sn"] == sn
