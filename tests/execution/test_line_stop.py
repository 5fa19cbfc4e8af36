"""A line that is stopped: nothing enters its stations, nor a unit of its runs elsewhere; what is inside leaves."""

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from mes.errors import InvalidTransition
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.production import line_acts, station_acts
from mes.production.decisions import list_decisions
from mes.production.hold_models import Hold, HoldSource
from mes.production.models import Run
from tests.execution.support import assert_done, assert_refused, nothing_written
from tests.factories import api_client, make_line, make_plant, make_user, put_runs

IN, OUT = "/api/stations/SMT-01/track-in", "/api/stations/SMT-01/track-out"
ONE, TWO, NEW = ({"runNo": "RUN-1", "sn": sn} for sn in ("SN-1", "SN-2", "SN-NEW"))


@pytest.fixture
def operator(db: None) -> APIClient:
    make_plant()
    return api_client(Role.OPERATOR)


def stop(line_code: str = "SMT-A") -> None:
    line_acts.hold(line_code=line_code, reason="Wrong reel", by="sue")


def test_nothing_enters_and_what_is_inside_leaves(operator: APIClient) -> None:
    assert_done(operator.post(IN, ONE), 201)
    stop()
    with nothing_written():
        details = assert_refused(operator.post(IN, TWO), "LINE_ON_HOLD")
    assert details == {"line": "SMT-A", "reason": "Wrong reel"}
    assert_done(operator.post(OUT, {**ONE, "result": "PASS"}))
    line_acts.resume(line_code="SMT-A", by="sue")
    assert_done(operator.post(IN, TWO), 201)


def test_a_scan_that_is_repeated_is_answered_still(operator: APIClient) -> None:
    assert_done(operator.post(IN, ONE), 201)
    stop()
    assert_done(operator.post(IN, ONE), 200)


def test_no_unit_is_made_on_the_fly(db: None) -> None:
    make_plant(units=0)
    stop()
    with nothing_written():
        assert_refused(api_client().post(IN, NEW), "LINE_ON_HOLD")


def test_a_run_of_another_line_does_not_enter_its_station_either(operator: APIClient) -> None:
    Run.objects.update(line=make_line("SMT-B"))
    Station.objects.filter(code="SMT-01").update(line=None)
    stop()
    assert_done(operator.post(IN, ONE), 201)  # a station of no line takes the other's units
    stop("SMT-B")
    with nothing_written():
        assert assert_refused(operator.post(IN, TWO), "LINE_ON_HOLD")["line"] == "SMT-B"


def test_a_machine_that_is_down_is_told_first(operator: APIClient) -> None:
    stop()
    Equipment.objects.create(code="EQ-1", name="x", station=Station.objects.get(code="SMT-01"), status="down")
    assert_refused(operator.post(IN, ONE), "EQUIPMENT_UNAVAILABLE")


def test_a_held_run_is_told_before_its_line(operator: APIClient) -> None:
    stop()
    put_runs("ON_HOLD")
    assert_refused(operator.post(IN, ONE), "RUN_ON_HOLD")
    assert not Track.objects.exists()


def test_a_stopped_station_takes_nothing_in_and_what_is_inside_leaves(operator: APIClient) -> None:
    make_user(Role.OPERATOR)
    assert_done(operator.post(IN, ONE), 201)
    for source, reason in ((HoldSource.PERSON, "Smell"), (HoldSource.PERSON, "Smoke"), (HoldSource.RULE, "3 failed")):
        station_acts.stop(station_code="SMT-01", reason=reason, by="sue", source=source)
    with nothing_written():
        assert assert_refused(operator.post(IN, TWO), "STATION_STOPPED") == {"station": "SMT-01", "reason": "Smell"}
    stop()
    assert_refused(operator.post(IN, TWO), "LINE_ON_HOLD")
    line_acts.resume(line_code="SMT-A", by="sue")
    assert_done(operator.post(OUT, {**ONE, "result": "PASS"}))
    station_acts.go_on(station_code="SMT-01", by="sue", reason="Aired")
    assert_refused(operator.post(IN, TWO), "STATION_STOPPED")  # by the rule still
    with pytest.raises(InvalidTransition):
        station_acts.go_on(station_code="SMT-01", by="sue")
    station = station_acts.go_on(station_code="SMT-01", by="sue", source=HoldSource.RULE)
    assert_done(operator.post(IN, TWO), 201)
    assert [each.act for each in list_decisions(station)] == ["resume", "resume", "hold", "hold"]
    assert set(Hold.objects.filter(station=station).values_list("status", flat=True)) == {"RELEASED"}
    assert Notification.objects.filter(key__startswith="hold:", text__startswith="Station").count() == 2
