"""What a station did in its shift: held against a count of every track, one by one."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.models import ResultOverride, Track, TrackResult, TrackSource
from execution.station_page.figures import LAST_UNITS, shift_figures
from mes.plant.models import Line, Station
from mes.production.models import Run, RunKind, Unit
from tests.execution.support import assert_done, assert_refused, track_in, track_out
from tests.factories import Plant, api_client, make_line, make_run, make_station

BERLIN = ZoneInfo("Europe/Berlin")
ALL = [1, 2, 3, 4, 5, 6, 7]
SHIFTS = [
    {"code": "EARLY", "start": "06:00", "end": "14:00", "weekdays": ALL},
    {"code": "LATE", "start": "14:00", "end": "20:00", "weekdays": ALL},
    {"code": "NIGHT", "start": "22:00", "end": "06:00", "weekdays": ALL},
]


@pytest.fixture(autouse=True)
def in_berlin(settings):
    settings.TIME_ZONE = "Europe/Berlin"


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def make_tracks(plant: Plant, stations: list[Station], around: datetime, rng: Random, count: int = 400) -> None:
    """Make passes of all kinds from a day and a half before an instant on, many of them to the hour, as shifts."""
    rework = make_run(plant.version, plant.line, run_no="RW-1")
    Run.objects.filter(pk=rework.pk).update(kind=RunKind.REWORK)
    order = plant.run.work_order
    units = Unit.objects.bulk_create(Unit(sn=f"R-{n}", run=plant.run, work_order=order) for n in range(count))
    tracks = []
    for unit in units:
        in_at = around + timedelta(minutes=rng.randint(-36 * 60, 300))
        in_at = in_at.replace(minute=0) if rng.random() < 0.4 else in_at
        stays = timedelta(minutes=rng.choice((0, 1, 30, 60, 600)))
        is_open = rng.random() < 0.1
        result = rng.choice(TrackResult.values)
        tracks.append(
            Track(
                unit=unit,
                run=rng.choice((plant.run, plant.run, rework)),
                step_no=rng.choice((10, 20, 30)),
                operation_code="PRINT",
                station=rng.choice(stations),
                source=TrackSource.MANUAL,
                attempt=rng.choice((1, 1, 1, 2)),
                in_at=in_at,
                out_at=None if is_open else in_at + stays,
                result="" if is_open else result,
                result_override=rng.choice(("", "", "", *ResultOverride.values)) if not is_open else "",
                is_trial=rng.random() < 0.1,
            )
        )
    Track.objects.bulk_create(tracks)


def count_one_by_one(station: Station, start: datetime, end: datetime) -> tuple[int, int, int, float | None]:
    entered = passed = failed = firsts = good_firsts = 0
    for track in Track.objects.filter(station=station).select_related("run"):
        if track.is_trial:
            continue
        entered += start <= track.in_at < end
        if track.result_override in ("REWORK", "SCRAP"):
            continue
        if track.out_at is not None and start <= track.out_at < end:
            passed += track.result == "PASS"
            failed += track.result == "FAIL"
            if track.attempt == 1 and track.run.kind == "PRODUCTION":
                firsts += 1
                good_firsts += track.result == "PASS"
    return entered, passed, failed, 100 * good_firsts / firsts if firsts else None


@pytest.mark.parametrize(
    ("at", "shift", "day", "start", "end"),
    [
        ("2026-03-10 13:59", "EARLY", "2026-03-10", "2026-03-10 06:00", "2026-03-10 14:00"),
        ("2026-03-10 14:00", "LATE", "2026-03-10", "2026-03-10 14:00", "2026-03-10 20:00"),
        ("2026-03-10 21:00", "", "2026-03-10", "2026-03-10 20:00", "2026-03-10 22:00"),
        ("2026-03-11 03:00", "NIGHT", "2026-03-10", "2026-03-10 22:00", "2026-03-11 06:00"),
        ("2026-03-29 04:00", "NIGHT", "2026-03-28", "2026-03-28 22:00", "2026-03-29 06:00"),  # an hour short
        ("2026-10-25 05:30", "NIGHT", "2026-10-24", "2026-10-24 22:00", "2026-10-25 06:00"),  # an hour longer
    ],
)
def test_a_shift_has_what_a_count_of_every_track_finds(plant, at, shift, day, start, end):
    Line.objects.filter(pk=plant.line.pk).update(shifts=SHIFTS)
    shared, bare = make_station("SHARED"), make_station("B-01", line=make_line("SMT-B"))
    stations = [plant.stations["SMT-01"], plant.stations["REF-01"], shared, bare]
    make_tracks(plant, stations, berlin(at), Random(at))
    found = shift_figures(stations, berlin(at))
    assert list(found) == [station.pk for station in stations]
    for station in stations:
        figures = found[station.pk]
        if station.line_id == plant.line.pk:
            told = (figures.shift, figures.date, figures.start, figures.end)
            assert told == (shift, date.fromisoformat(day), berlin(start), berlin(end))
        else:
            local = berlin(at).astimezone(BERLIN)
            assert (figures.shift, figures.date, figures.start.astimezone(BERLIN).hour) == ("", local.date(), 0)
            assert figures.end.astimezone(BERLIN).date() == local.date() + timedelta(days=1)
        counted = (figures.count_in, figures.count_pass, figures.count_fail, figures.first_pass_yield)
        assert counted == count_one_by_one(station, figures.start, figures.end)
        latest = Track.objects.filter(station=station, out_at__isnull=False).order_by("-out_at", "-id")
        assert [(unit.sn, unit.run_no, unit.out_at) for unit in figures.last_units] == list(
            latest.values_list("unit__sn", "run__run_no", "out_at")[:LAST_UNITS]
        )


def test_the_number_of_statements_is_the_same_for_any_number_of_stations(plant):
    stations = [make_station(f"X-{n}", line=make_line(f"L-{n % 5}")) for n in range(40)]
    for some in (stations[:1], stations, []):
        with CaptureQueriesContext(connection) as captured:
            assert len(shift_figures(some, timezone.now(), last_units=0)) == len(some)
        assert len(captured) == (2 if some else 1)


def test_what_an_operator_did_is_told_over_the_interface(plant, operator):
    Line.objects.filter(pk=plant.line.pk).update(
        shifts=[{"code": "ALL", "start": "00:00", "end": "00:00", "weekdays": ALL}]
    )
    assert track_in(operator).status_code == 201
    assert_done(track_out(operator))
    assert track_in(operator, sn="SN-2").status_code == 201
    told = assert_done(operator.get("/api/stations/SMT-01/shift"))
    unit = told["lastUnits"].pop()
    assert unit.pop("outAt")
    assert unit == {
        "sn": "SN-1",
        "runNo": "RUN-1",
        "stepNo": 10,
        "operationCode": "PRINT",
        "attempt": 1,
        "result": "PASS",
        "isTrial": False,
    }
    assert told.pop("start") < told.pop("end")
    assert told == {
        "date": timezone.localdate().isoformat(),
        "shift": "ALL",
        "in": 2,
        "pass": 1,
        "fail": 0,
        "firstPassYield": 100.0,
        "lastUnits": [],
    }
    assert assert_done(operator.get("/api/stations/TST-01/shift"))["firstPassYield"] is None


def test_no_other_station_is_told_to_a_token_of_stations(plant):
    device = api_client("INTEGRATION", stations=["SMT-01"])
    assert_done(device.get("/api/stations/SMT-01/shift"))
    assert_refused(device.get("/api/stations/REF-01/shift"), "PERMISSION_DENIED", 403)
    assert_refused(api_client().get("/api/stations/NOWHERE/shift"), "STATION_NOT_FOUND", 404)
