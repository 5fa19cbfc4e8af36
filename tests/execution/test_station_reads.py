"""What a station shows: its queue, what a scanned unit is, what is to be collected."""

from datetime import timedelta

import pytest
from django.db import connection

from execution import queries
from execution.station_page.figures import FIGURES
from mes.platform.database.prepared import numbered
from mes.production.models import Unit
from tests.execution.support import assert_done, assert_refused, decide, make_run, put_at, track_in, track_out
from tests.factories import make_line, make_spec, make_station, put_runs


def queue(client, station="SMT-01"):
    return assert_done(client.get(f"/api/stations/{station}/queue"))


def test_the_queue_shows_who_is_inside_and_who_waits(plant, operator):
    track_id = assert_done(track_in(operator), 201)["trackId"]
    data = queue(operator)
    assert data["stationCode"] == "SMT-01"
    (inside,) = data["inStation"]
    assert inside.pop("inAt")
    assert inside == {
        "sn": "SN-1",
        "runNo": "RUN-1",
        "stepNo": 10,
        "trackId": track_id,
        "unitStatus": "IN_STATION",
    }
    assert data["waiting"] == [{"sn": "SN-2", "runNo": "RUN-1", "stepNo": 10}]
    empty = queue(operator, "REF-01")
    assert (empty["inStation"], empty["waiting"]) == ([], [])


@pytest.mark.parametrize("statement", [queries.INSIDE, FIGURES], ids=["the queue", "the figures of a shift"])
def test_who_is_inside_is_found_by_the_station_however_many_are_inside_elsewhere(db, statement):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN (GENERIC_PLAN) {numbered(statement)[0]}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using track_open_by_station" in plan, plan


def test_a_unit_that_moved_on_waits_at_the_next_station(plant, operator):
    track_in(operator)
    track_out(operator)
    assert [item["sn"] for item in queue(operator)["waiting"]] == ["SN-2"]
    assert [item["sn"] for item in queue(operator, "REF-01")["waiting"]] == ["SN-1"]


def test_a_held_unit_stays_inside_and_does_not_wait(plant, operator, supervisor):
    track_in(operator)
    decide(supervisor, "hold", sn="SN-1")
    decide(supervisor, "hold", sn="SN-2")
    data = queue(operator)
    assert [item["unitStatus"] for item in data["inStation"]] == ["ON_HOLD"]
    assert data["waiting"] == []


@pytest.mark.parametrize("status", ["PREP", "ON_HOLD", "COMPLETED"])
def test_units_of_runs_that_are_not_open_do_not_wait(plant, operator, status):
    put_runs(status)
    assert queue(operator)["waiting"] == []


def test_units_of_another_line_do_not_wait(plant, operator):
    make_station("B-01", line=make_line("SMT-B"), group=plant.groups["PRINTERS"])
    make_station("SHARED", group=plant.groups["PRINTERS"])
    assert queue(operator, "B-01")["waiting"] == []
    assert [item["sn"] for item in queue(operator, "SHARED")["waiting"]] == ["SN-1", "SN-2"]


def test_the_queue_of_an_unknown_station_is_refused(plant, operator):
    assert_refused(operator.get("/api/stations/NOWHERE/queue"), "STATION_NOT_FOUND", 404)


def test_a_scanned_unit_tells_its_run(plant, operator):
    assert assert_done(operator.get("/api/stations/resolve-unit/SN-1")) == {
        "sn": "SN-1",
        "woNo": "WO-RUN-1",
        "runNo": "RUN-1",
        "status": "QUEUED",
        "currentStepNo": 10,
    }
    assert_refused(operator.get("/api/stations/resolve-unit/SN-X"), "UNIT_NOT_FOUND", 404)
    Unit.objects.filter(sn="SN-1").update(run=None)
    assert_refused(operator.get("/api/stations/resolve-unit/SN-1"), "UNIT_RUN_NOT_FOUND", 404)


def data_specs(client, station="REF-01", sn="SN-1"):
    return client.get(f"/api/stations/{station}/unit/{sn}/data-specs")


def test_a_station_shows_the_frozen_specs_of_the_step(plant, operator):
    make_spec("REFLOW", "Later")
    put_at(20)
    data = assert_done(data_specs(operator))
    assert (data["stepNo"], data["operationCode"]) == (20, "REFLOW")
    specs = {spec["name"]: spec for spec in data["specs"]}
    assert set(specs) == {"Peak Temperature", "Conveyor Speed"}
    assert specs["Peak Temperature"]["limits"] == {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"}
    assert specs["Peak Temperature"]["alarm"] == {"min": 230, "max": 255, "action": "HOLD"}


def test_specs_are_shown_for_an_open_track_though_the_station_left_the_group(plant, operator):
    put_at(20)
    assert_done(track_in(operator, "REF-01"), 201)
    plant.stations["REF-01"].group = None
    plant.stations["REF-01"].save()
    assert assert_done(data_specs(operator))["stepNo"] == 20


def test_specs_are_not_shown_at_a_station_that_may_not_run_the_step(plant, operator):
    assert_refused(data_specs(operator), "STATION_MISMATCH")
    assert_refused(data_specs(operator, sn="SN-X"), "UNIT_NOT_FOUND", 404)
    assert_refused(data_specs(operator, station="NOWHERE"), "STATION_NOT_FOUND", 404)


def test_specs_belong_to_the_version_of_the_unit_s_run(plant, operator):
    make_spec("REFLOW", "Later")
    make_run(plant, run_no="RUN-2", sns=["SN-9"])
    put_at(20, "SN-9")
    put_at(20, "SN-1")
    new, old = (assert_done(data_specs(operator, sn=sn))["specs"] for sn in ("SN-9", "SN-1"))
    assert {spec["name"] for spec in new} - {spec["name"] for spec in old} == {"Later"}


def test_a_step_that_two_runs_share_is_waited_for_in_both(plant, operator):
    make_run(plant, run_no="RUN-2", sns=["SN-9"])
    Unit.objects.filter(sn="SN-9").update(updated_at=Unit.objects.get(sn="SN-1").updated_at - timedelta(hours=1))
    assert [(item["sn"], item["runNo"]) for item in queue(operator)["waiting"]] == [
        ("SN-9", "RUN-2"),
        ("SN-1", "RUN-1"),
        ("SN-2", "RUN-1"),
    ]


def test_of_the_units_that_wait_the_first_are_shown(plant, operator, monkeypatch):
    sns = [f"SN-M{number:04}" for number in range(queries.QUEUE_LIMIT + 5)]
    make_run(plant, run_no="RUN-2", sns=sns)
    assert len(queue(operator)["waiting"]) == queries.QUEUE_LIMIT


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("SMT-01/queue", 3),
        ("OVEN-99/queue", 2),  # where nobody may wait
        ("resolve-unit/SN-1", 1),
        ("SMT-01/unit/SN-1/data-specs", 1),
    ],
)
def test_what_a_station_reads_takes_few_statements(plant, operator, django_assert_num_queries, path, statements):
    make_station("OVEN-99", station_type="OVEN")
    operator.get(f"/api/stations/{path}")  # looks up the token and the frozen route
    track_in(operator, sn="SN-2")
    with django_assert_num_queries(statements):
        assert_done(operator.get(f"/api/stations/{path}"))
