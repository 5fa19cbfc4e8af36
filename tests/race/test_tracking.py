"""Tracking under concurrency: a unit is in one place, a run makes no more than planned and ends complete."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event
from time import sleep
from typing import Any

import pytest
from django.db.models import Count
from rest_framework.test import APIClient

from execution import moves
from execution.models import Track
from mes.platform.outbox.models import MesEvent
from mes.production import runs
from mes.production.models import Run, Unit, WorkOrder
from tests.factories import Plant, make_plant, make_station
from tests.integration.helpers import another, at_once, into_oven, through_tests, track_out
from tests.race.conftest import put_into_oven

Slow = Callable[..., None]
Answer = tuple[int, str]


def call(client: APIClient, url: str, body: dict[str, Any], *, after: float = 0) -> Callable[[], Answer]:
    """Return a call that posts and returns (status, error code)."""

    def make() -> Answer:
        sleep(after)
        answer = another(client).post(f"/api/{url}", body)
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    return make


def scan(client: APIClient, station: str, sn: str, run_no: str = "RUN-1") -> Callable[[], Answer]:
    """Return a call that tracks a unit in."""
    return call(client, f"stations/{station}/track-in", {"runNo": run_no, "sn": sn})


def leave(client: APIClient, station: str, sn: str) -> Callable[[], Answer]:
    """Return a call that tracks a unit out as PASS."""
    return call(client, f"stations/{station}/track-out", {"runNo": "RUN-1", "sn": sn, "result": "PASS"})


def add_run(plant: Plant, run_no: str, *, sns: list[str] = [], plan_qty: int = 10) -> Run:  # noqa: B006
    """Make another authorized run of the plant's order."""
    WorkOrder.objects.filter(pk=plant.order.pk).update(planned_qty=10_000)
    runs.create(wo_no=plant.order.wo_no, line_code=plant.line.code, plan_qty=plan_qty, run_no=run_no)
    if sns:
        runs.register_units(run_no=run_no, sns=sns)
    return runs.set_authorization(run_no=run_no, action="AUTHORIZE", by="test")


# --- one unit, two stations -------------------------------------------------------------------------------


def wait_for_ovens(person: APIClient, *, units: int) -> Plant:
    """Make a plant with two ovens, for which these units wait; the run is in progress."""
    plant = make_plant(units=units)
    make_station("REF-02", line=plant.line, group=plant.groups["OVENS"])
    Unit.objects.update(current_step_no=20)
    Run.objects.update(status="IN_PROGRESS")
    return plant


def test_of_two_track_ins_at_two_stations_one_is_refused(person: APIClient) -> None:
    plant = wait_for_ovens(person, units=10)
    for sn in plant.sns:
        answers = at_once(scan(person, "REF-01", sn), scan(person, "REF-02", sn))
        assert sorted(answers) == [(201, ""), (409, "UNIT_ALREADY_IN_STATION")]
    assert Track.objects.filter(out_at=None).count() == 10
    assert MesEvent.objects.filter(event_type="TRACK_IN").count() == 10


def test_many_scans_at_one_station_are_one_track(person: APIClient) -> None:
    wait_for_ovens(person, units=1)
    answers = at_once(scan(person, "REF-01", "SN-1"), times=16)
    assert Counter(answers) == {(201, ""): 1, (200, ""): 15}


def test_control_without_lock_and_constraint_a_unit_is_in_two_stations(
    person: APIClient,
    slow: Slow,
    without_locks: None,
    without_constraint: Callable[[type, str], AbstractContextManager[None]],
) -> None:
    wait_for_ovens(person, units=1)
    slow(moves, "check_may_enter", after=0.2)
    with without_constraint(Track, "track_one_open_per_unit"):
        answers = at_once(scan(person, "REF-01", "SN-1"), scan(person, "REF-02", "SN-1"))
        assert answers == [(201, ""), (201, "")]
        assert Track.objects.filter(out_at=None).count() == 2


def test_without_the_lock_the_constraint_still_keeps_a_unit_in_one_station(
    person: APIClient, slow: Slow, without_locks: None
) -> None:
    wait_for_ovens(person, units=1)
    slow(moves, "check_may_enter", after=0.2)
    answers = at_once(scan(person, "REF-01", "SN-1"), scan(person, "REF-02", "SN-1"))
    assert sorted(status for status, _code in answers) == [201, 400]
    assert Track.objects.filter(out_at=None).count() == 1


def test_of_two_track_outs_one_is_refused(person: APIClient) -> None:
    plant = make_plant(units=10)
    for sn in plant.sns:
        put_into_oven(person, sn)
        answers = at_once(leave(person, "REF-01", sn), leave(person, "REF-01", sn))
        assert sorted(answers) == [(200, ""), (409, "UNIT_NOT_IN_STATION")]
    assert set(Unit.objects.values_list("status", "current_step_no")) == {("QUEUED", 30)}


def test_control_without_locks_a_unit_leaves_twice(person: APIClient, slow: Slow, without_locks: None) -> None:
    make_plant(units=1)
    put_into_oven(person, "SN-1")
    slow(moves, "leave", before=0.2)
    assert at_once(leave(person, "REF-01", "SN-1"), leave(person, "REF-01", "SN-1")) == [(200, ""), (200, "")]


# --- units made on the fly --------------------------------------------------------------------------------


def test_a_new_serial_number_enters_one_of_two_runs(person: APIClient) -> None:
    plant = make_plant(units=0)
    add_run(plant, "RUN-2", plan_qty=100)
    for number in range(12):
        answers = at_once(*(scan(person, "SMT-01", f"SN-{number}", run_no) for run_no in ("RUN-1", "RUN-2")))
        assert sorted(answers) == [(201, ""), (409, "UNIT_RUN_MISMATCH")]
    assert Unit.objects.count() == Track.objects.count() == 12
    assert all(track.run_id == track.unit.run_id for track in Track.objects.select_related("unit"))


def test_a_new_serial_number_scanned_often_is_one_unit(person: APIClient) -> None:
    make_plant(units=0, plan_qty=1)
    answers = at_once(scan(person, "SMT-01", "SN-1"), times=16)
    assert Counter(answers) == {(201, ""): 1, (200, ""): 15}
    assert Unit.objects.count() == Track.objects.count() == 1


def test_no_more_units_are_made_on_the_fly_than_planned(person: APIClient) -> None:
    make_plant(units=0, plan_qty=5)
    answers = at_once(*(scan(person, "SMT-01", f"SN-{number}") for number in range(16)))
    assert Counter(answers) == {(201, ""): 5, (409, "RUN_QTY_EXCEEDED"): 11}
    assert Unit.objects.count() == Track.objects.count() == 5
    assert Run.objects.get().status == "IN_PROGRESS"


def test_registering_and_scanning_at_once_keep_to_the_plan(person: APIClient) -> None:
    plant = make_plant(units=0)
    for number in range(5):
        run_no = f"RUN-{number + 2}"
        add_run(plant, run_no, plan_qty=2)
        register = call(person, f"runs/{run_no}/units", {"sns": [f"R{number}-1", f"R{number}-2"]})
        answers = at_once(register, *(scan(person, "SMT-01", f"S{number}-{n}", run_no) for n in range(4)))
        assert {code for _status, code in answers} <= {"", "RUN_QTY_EXCEEDED", "UNIT_NOT_FOUND"}
        assert Unit.objects.filter(run__run_no=run_no).count() == 2


def test_the_same_serial_numbers_are_registered_in_one_of_two_runs(person: APIClient) -> None:
    plant = make_plant(units=0)
    for number in range(4):
        pair = [f"A{number}", f"B{number}"]
        for run_no in pair:
            add_run(plant, run_no, plan_qty=1000)
        sns = [f"{number}-{n}" for n in range(500)]
        answers = at_once(
            call(person, f"runs/{pair[0]}/units", {"sns": sns}),
            call(person, f"runs/{pair[1]}/units", {"sns": sns[::-1]}),
        )
        assert sorted(answers) == [(201, ""), (409, "UNIT_RUN_MISMATCH")]
        assert Unit.objects.filter(sn__in=sns).values("run").distinct().count() == 1


def test_control_without_locks_more_units_are_made_than_planned(
    person: APIClient, slow: Slow, without_locks: None
) -> None:
    make_plant(units=0, plan_qty=2)
    slow(runs, "check_quantity", after=0.2)
    at_once(*(scan(person, "SMT-01", f"SN-{number}") for number in range(6)))
    assert Unit.objects.count() > 2


# --- closing a run ----------------------------------------------------------------------------------------


def finish_one(person: APIClient, plant: Plant, run_no: str, *, sns: list[str]) -> None:
    """Make a run in which one unit is done, and these are registered and not begun."""
    add_run(plant, run_no, sns=[f"{run_no}-done", *sns] if sns else [])
    into_oven(person, f"{run_no}-done", run_no)
    track_out(person, "REF-01", f"{run_no}-done", run_no=run_no)
    through_tests(person, f"{run_no}-done", run_no)


def close_and_enter(person: APIClient, run_no: str, sns: list[str]) -> list[Answer]:
    close = call(person, f"runs/{run_no}/close", {"reason": "No more are wanted"})
    return at_once(close, *(scan(person, "SMT-01", sn, run_no) for sn in sns))


def is_torn(run_no: str) -> bool:
    """Whether a closed run has open tracks, or a unit with tracks was taken out of its run."""
    run = Run.objects.get(run_no=run_no)
    is_closed_with_tracks = run.status == "COMPLETED" and Track.objects.filter(run=run, out_at=None).exists()
    return is_closed_with_tracks or Track.objects.filter(run=run).exclude(unit__run=run).exists()


@pytest.mark.parametrize("registered", [True, False], ids=["registered", "on the fly"])
def test_closing_a_run_and_entering_it_at_once_tears_nothing(person: APIClient, registered: bool) -> None:
    plant = make_plant(units=0)
    for number in range(5):
        run_no = f"R{number}"
        sns = [f"{run_no}-{n}" for n in range(4)]
        finish_one(person, plant, run_no, sns=sns if registered else [])
        closed, *entered = close_and_enter(person, run_no, sns)
        assert not is_torn(run_no)
        if closed == (200, ""):
            assert {code for _status, code in entered} <= {"RUN_CLOSED", "UNIT_RUN_MISMATCH", "UNIT_NOT_FOUND"}
            assert Unit.objects.filter(run__run_no=run_no).count() == 1
        else:
            assert closed == (409, "UNITS_NOT_FINISHED")
            assert set(entered) == {(201, "")}
            assert Unit.objects.filter(run__run_no=run_no).count() == 5
        assert Unit.objects.filter(sn__in=sns).count() == (
            4 if registered else len([a for a in entered if a[0] == 201])
        )


def test_control_without_locks_a_closed_run_has_open_tracks(
    person: APIClient, monkeypatch: pytest.MonkeyPatch, without_locks: None
) -> None:
    plant = make_plant(units=0)
    finish_one(person, plant, "R1", sns=["A", "B", "C"])
    inside, closed = Event(), Event()
    check = moves.check_may_enter

    def check_and_wait(entering: moves.Entering) -> Any:
        step = check(entering)
        inside.set()
        closed.wait(10)
        return step

    def close() -> Answer:
        inside.wait(10)
        answer = call(person, "runs/R1/close", {"reason": "No more are wanted"})()
        closed.set()
        return answer

    monkeypatch.setattr(moves, "check_may_enter", check_and_wait)
    at_once(close, *(scan(person, "SMT-01", sn, "R1") for sn in ("A", "B", "C")))
    assert is_torn("R1")


# --- holding ----------------------------------------------------------------------------------------------


def hold_and_leave(person: APIClient, sn: str, *, after: float = 0) -> tuple[Answer, Answer]:
    hold = call(person, f"units/{sn}/hold", {"reason": "looks odd"}, after=after)
    held, left = at_once(hold, leave(person, "REF-01", sn))
    return held, left


def is_consistent(sn: str, left: Answer) -> bool:
    """Whether a unit is on hold, from where its track says."""
    unit, track = Unit.objects.get(sn=sn), Track.objects.get(unit__sn=sn, step_no=20)
    if left[0] == 200:
        return (unit.status, unit.held_from, unit.current_step_no, track.result) == ("ON_HOLD", "QUEUED", 30, "PASS")
    return (unit.status, unit.held_from, unit.current_step_no, track.result) == ("ON_HOLD", "IN_STATION", 20, "")


def test_a_unit_held_while_it_leaves_is_held_from_where_it_is(person: APIClient) -> None:
    plant = make_plant(units=12)
    for sn in plant.sns:
        put_into_oven(person, sn)
        held, left = hold_and_leave(person, sn)
        assert held == (200, "")
        assert left in {(200, ""), (409, "UNIT_ON_HOLD")}
        assert is_consistent(sn, left)


def test_control_without_locks_a_hold_is_lost(person: APIClient, slow: Slow, without_locks: None) -> None:
    make_plant(units=1)
    put_into_oven(person, "SN-1")
    slow(moves, "_advance", before=0.4)
    _held, left = hold_and_leave(person, "SN-1", after=0.15)
    assert not is_consistent("SN-1", left)


def test_scrapping_and_leaving_at_once_end_in_scrap(person: APIClient) -> None:
    plant = make_plant(units=10)
    for sn in plant.sns:
        put_into_oven(person, sn)
        scrapped, left = at_once(call(person, f"units/{sn}/scrap", {"reason": "burnt"}), leave(person, "REF-01", sn))
        assert scrapped == (200, "")
        assert left in {(200, ""), (409, "UNIT_NOT_IN_STATION")}
        track = Track.objects.get(unit__sn=sn, step_no=20)
        assert (track.result, track.result_override) == (("PASS", "") if left[0] == 200 else ("FAIL", "SCRAP"))
    assert set(Unit.objects.values_list("status", flat=True)) == {"SCRAPPED"}
    outs = MesEvent.objects.filter(event_type="TRACK_OUT").values("idempotency_key").annotate(n=Count("id"))
    assert {row["n"] for row in outs} == {1}
