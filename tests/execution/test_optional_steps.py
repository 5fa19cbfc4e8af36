"""Optional steps by hand: where a unit may go on, what a FAIL changes, what stations see."""

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from mes.plant.models import Line, Station
from mes.production.models import Run, Unit
from mes.routing.compilation import compile_route
from tests.execution.support import assert_done, assert_refused, decide, nothing_written, put_at, track_in, track_out
from tests.factories import build_config, build_station, make_line, make_route, make_run, save

STEPS = (10, 20, 30, 40, 50, 60)
OPTIONAL = (20, 30, 50)
ENTERABLE = {10: (10,), 20: (20, 30, 40), 30: (30, 40), 40: (40,), 50: (50, 60), 60: (60,)}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def run(db: None) -> Run:
    """A run of six steps with a station each, of which 20, 30 and 50 are optional, and two units."""
    line = make_line("SMT-A")
    save([build_station(f"ST-{no}", line=line) for no in STEPS])
    route = make_route(steps=[(no, f"OP-{no}") for no in STEPS])
    for no in STEPS:
        build_config(
            route,
            step_no=no,
            station_type="MANUAL",
            allowed_station_codes=[f"ST-{no}"],
            is_optional=no in OPTIONAL or None,
            retest_limit=1,
        ).save()
    version, _changed = compile_route(code=route.code)
    assert version.status == "READY", version.errors
    return make_run(version, line, sns=["SN-1", "SN-2"])


def waiting(client: APIClient, station: str) -> list[tuple[str, int]]:
    data = assert_done(client.get(f"/api/stations/{station}/queue"))
    return [(each["sn"], each["stepNo"]) for each in data["waiting"]]


@pytest.mark.parametrize("at", STEPS)
def test_from_each_step_those_up_to_the_next_mandatory_one_are_entered(operator: APIClient, at: int) -> None:
    for target in STEPS:
        Track.objects.all().delete()
        Unit.objects.filter(sn="SN-1").update(current_step_no=at, status="QUEUED")
        seen = ("SN-1", target) in waiting(operator, f"ST-{target}")
        may_enter = target in ENTERABLE[at]
        specs = operator.get(f"/api/stations/ST-{target}/unit/SN-1/data-specs")
        assert seen == may_enter == (specs.status_code == 200)
        if may_enter:
            assert specs.json()["data"]["stepNo"] == target
            assert assert_done(track_in(operator, f"ST-{target}"), 201)["stepNo"] == target
            assert Unit.objects.get(sn="SN-1").current_step_no == target
        else:
            with nothing_written():
                details = assert_refused(track_in(operator, f"ST-{target}"), "STATION_MISMATCH")
            assert details["stepNo"] == at


def test_past_an_optional_step_the_way_goes_on(operator: APIClient) -> None:
    for no in (10, 40, 60):
        assert_done(track_in(operator, f"ST-{no}"), 201)
        assert_done(track_out(operator, f"ST-{no}"))
    unit = Unit.objects.get(sn="SN-1")
    assert unit.status == "DONE"
    trace = assert_done(operator.get("/api/trace/units/SN-1"))
    states = {step["stepNo"]: step["state"] for step in trace["steps"]}
    assert states == {10: "PASSED", 20: "SKIPPED", 30: "SKIPPED", 40: "PASSED", 50: "SKIPPED", 60: "PASSED"}


def test_who_fails_an_optional_step_must_pass_it(operator: APIClient, supervisor: APIClient) -> None:
    put_at(20)
    assert_done(track_in(operator, "ST-20"), 201)
    assert assert_done(track_out(operator, "ST-20", result="FAIL"))["nextStepNo"] == 20  # one retest
    assert waiting(operator, "ST-40") == []
    assert waiting(operator, "ST-20") == [("SN-1", 20)]
    for station in ("ST-30", "ST-40"):
        with nothing_written():
            assert_refused(track_in(operator, station), "STATION_MISMATCH")
    assert_done(track_in(operator, "ST-20"), 201)
    assert assert_done(track_out(operator, "ST-20", result="FAIL"))["status"] == "OUT_FAILED"
    assert_done(decide(supervisor, "rework", toStepNo=10))
    assert_done(track_in(operator, "ST-10"), 201)
    assert_done(track_out(operator, "ST-10"))
    with nothing_written():
        assert_refused(track_in(operator, "ST-40"), "STATION_MISMATCH")  # the rework has not passed it
    assert_done(track_in(operator, "ST-20"), 201)
    assert_done(track_out(operator, "ST-20"))
    assert_done(track_in(operator, "ST-40"), 201)


def test_a_later_optional_step_that_failed_is_as_far_as_it_goes(operator: APIClient, supervisor: APIClient) -> None:
    put_at(20)
    assert_done(track_in(operator, "ST-30"), 201)
    assert_done(track_out(operator, "ST-30", result="FAIL"))
    assert_done(decide(supervisor, "hold"))
    assert_done(decide(supervisor, "rework", toStepNo=20))
    assert_refused(track_in(operator, "ST-40"), "STATION_MISMATCH")
    assert waiting(operator, "ST-40") == []
    assert waiting(operator, "ST-30") == [("SN-1", 30)]
    assert_done(track_in(operator, "ST-30"), 201)


def test_of_several_steps_the_first_that_the_station_fits_is_taken(operator: APIClient) -> None:
    """A station that may run an optional step and the one behind it runs the optional one."""
    route = make_route("ROUTE-2", steps=[(10, "OP-10"), (20, "OP-20"), (30, "OP-30")])
    for no, stations in ((10, ["ST-10"]), (20, ["ST-20", "ST-30"]), (30, ["ST-30"])):
        build_config(
            route,
            step_no=no,
            station_type="MANUAL",
            allowed_station_codes=stations,
            is_optional=True if no == 20 else None,
        ).save()
    make_run(compile_route(code="ROUTE-2")[0], make_line("SMT-A"), run_no="RUN-2", sns=["B-1"])
    put_at(20, "B-1")
    assert assert_done(track_in(operator, "ST-30", "B-1", "RUN-2"), 201)["stepNo"] == 20


def test_a_line_is_ready_without_a_station_for_what_is_optional(supervisor: APIClient) -> None:
    Line.objects.update(readiness_checks=["ROUTE"])
    Station.objects.exclude(code__in=["ST-10", "ST-60"]).update(station_type="AUTO")
    check = assert_done(supervisor.post("/api/runs/RUN-1/readiness/precheck", {}), 201)
    assert [item["itemKey"].split()[-1] for item in check["items"]] == ["40"]


def test_a_unit_in_its_station_at_an_optional_step_is_not_let_in_elsewhere(operator: APIClient) -> None:
    put_at(20)
    assert_done(track_in(operator, "ST-20"), 201)
    with nothing_written():
        assert_refused(track_in(operator, "ST-40"), "UNIT_ALREADY_IN_STATION")
