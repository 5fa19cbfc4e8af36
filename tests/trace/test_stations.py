"""All stations: what each does now, in a fixed number of statements, and the same on the page of a line."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from execution import queries
from execution.models import Track
from execution.station_page import last_station
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.platform.sign_in import terminals
from mes.platform.sign_in.models import Terminal
from mes.production import line_acts, station_acts
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig
from tests.execution.support import track_in, track_out
from tests.factories import Plant, api_client, hold_units, make_line, make_plant, make_run, make_station, make_user
from trace.stations_now import Doing, HeardBy, StationNow, list_stations, load_stations_now

pytestmark = pytest.mark.django_db
STATEMENTS = 9  # stations, why none may enter, what is inside, open runs, what waits, shifts, figures, heard; hold
LIVE = {"HX-Request": "true"}


@pytest.fixture
def plant() -> Plant:
    return make_plant(units=4)


@pytest.fixture
def operator():
    return api_client(Role.OPERATOR)


def sign_in(role: Role = Role.SUPERVISOR) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def now_of(code: str) -> StationNow:
    return next(each for each in load_stations_now(list_stations()) if each.station.code == code)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<main")[2]))


def test_a_station_shows_what_is_in_work_what_waits_and_that_it_has_nothing_to_do(plant, operator):
    track_in(operator)
    track_in(operator, sn="SN-2")
    hold_units("SN-2", held_from="IN_STATION")
    first = now_of("SMT-01")
    assert first.inside is not None
    assert (first.doing, first.inside.sn, first.inside.more, first.inside.held) == (Doing.WORKING, "SN-1", 1, 1)
    assert (first.waiting, first.figures.count_in) == (2, 2)
    assert now_of("REF-01").doing == Doing.IDLE
    track_out(operator)
    assert (now_of("REF-01").doing, now_of("REF-01").waiting) == (Doing.WAITED_FOR, 1)


@pytest.mark.parametrize("why", ["station", "line", "equipment"])
def test_a_station_that_stands_still_says_why(plant, why):
    if why == "station":
        station_acts.stop(station_code="SMT-01", reason="Nozzle worn", by="anna")
    elif why == "line":
        line_acts.hold(line_code="SMT-A", reason="Nozzle worn", by="anna")
    else:
        Equipment.objects.create(code="EQ-1", name="Printer", station=plant.stations["SMT-01"], status="maintenance")
    now = now_of("SMT-01")
    assert now.doing == Doing.STOPPED
    page = words(sign_in().get("/stations/").content.decode())
    assert ("EQ-1" if why == "equipment" else "Nozzle worn") in page and "Stopped" in page
    assert (now_of("REF-01").doing == Doing.STOPPED) == (why == "line")


def test_what_waits_is_what_each_queue_lists(plant, operator):
    """Also past optional steps, at parallel and shared stations, and of runs on other lines."""
    group = plant.groups["PRINTERS"]
    make_station("SMT-02", line=plant.line, group=group)
    make_station("SHARED", group=group)
    make_station("B-01", line=make_line("SMT-B"), group=group)
    RouteExecutionConfig.objects.filter(step_no=20).update(is_optional=True)
    version, _changed = compile_route(code=plant.routing.code)
    make_run(version, plant.line, run_no="RUN-2", sns=["A-1", "A-2", "A-3"])
    for sn in ("A-1", "A-2"):
        track_in(operator, sn=sn, run_no="RUN-2")
        track_out(operator, sn=sn, run_no="RUN-2")
    track_in(operator, "REF-01", sn="A-1", run_no="RUN-2")
    track_out(operator, "REF-01", sn="A-1", run_no="RUN-2", result="FAIL")
    stations = list_stations()
    listed = {each.pk: len(queries.get_station_queue(each.code)["waiting"]) for each in stations}
    assert queries.count_waiting(stations) == listed
    by_code = {each.code: listed[each.pk] for each in stations}
    assert by_code["SMT-02"] == by_code["SHARED"] == by_code["SMT-01"] == 5 and by_code["B-01"] == 0


def test_when_a_station_was_heard_last(plant, operator):
    assert now_of("SMT-01").heard is None
    track_in(operator)
    heard = now_of("SMT-01").heard
    assert heard is not None and heard[1] == HeardBy.MOVE
    terminal = Terminal.objects.create(name="T", station=plant.stations["SMT-01"], secret_hash="1", bound_by="x")
    Track.objects.update(created_at=timezone.now() - timedelta(hours=1))
    Terminal.objects.filter(pk=terminal.pk).update(last_heard_at=timezone.now())
    heard = now_of("SMT-01").heard
    assert heard is not None and heard[1] == HeardBy.TERMINAL
    Terminal.objects.update(revoked_at=timezone.now())
    heard = now_of("SMT-01").heard
    assert heard is not None and heard[1] == HeardBy.MOVE


def test_the_number_of_statements_is_the_same_for_any_number_of_stations(plant, operator):
    client = sign_in()
    counts = []
    for number in (0, 30):
        Station.objects.bulk_create(Station(code=f"X-{number}-{n}", name="X", line=plant.line) for n in range(number))
        station_acts.stop(station_code="TST-01", reason="Nozzle worn", by="anna") if number == 0 else None
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/stations/").status_code == 200
        counts.append(len(captured))
    assert counts == [STATEMENTS + 4] * 2  # with session, user, what the user may do; lines


def test_the_page_shows_the_line_that_is_chosen_and_what_all_share(plant):
    make_station("B-01", line=make_line("SMT-B"))
    make_station("SHARED")
    client = sign_in(Role.OPERATOR)
    page = client.get("/stations/?line=SMT-B").content.decode()
    assert "/stations/B-01/" in page and "/stations/SHARED/" in page and "/stations/SMT-01/" not in page
    assert client.get("/stations/?line=NOWHERE").status_code == 404
    live = client.get("/stations/", headers=LIVE).content.decode()
    [mark] = re.findall(r"seen=([0-9a-f]+)", live)
    assert client.get(f"/stations/?seen={mark}", headers=LIVE).status_code == 204


def test_the_page_of_a_line_shows_its_stations(plant, operator):
    track_in(operator)
    page = words(sign_in().get("/lines/SMT-A/").content.decode())
    assert "SMT-01" in page and "In work SN-1 entered just now" in page


def test_operators_are_led_to_the_station_that_their_browser_was_at_last(plant):
    client = sign_in(Role.OPERATOR)
    assert client.get("/")["Location"] == "/stations/"
    make_station("Prüfung/1")
    for code in ("SMT-01", "Prüfung/1"):
        assert client.get(reverse("station", args=[code])).status_code == 200
        assert client.get("/")["Location"] == reverse("station", args=[code])
    assert client.get("/?lines=mine").status_code == 200
    terminal, secret = terminals.bind(RequestFactory().get("/"), station_code="REF-01", name="T", by="x")
    client.cookies[terminals.COOKIE] = secret
    assert client.get("/")["Location"] == "/stations/REF-01/"
    terminals.revoke(terminal.pk, by="x")
    for unknown in ("NOWHERE", "%00", "%FF", "x" * 5000):
        client.cookies[last_station.COOKIE] = unknown
        assert client.get("/")["Location"] == "/stations/"
    other = sign_in(Role.SUPERVISOR)
    other.cookies[last_station.COOKIE] = "SMT-01"
    assert other.get("/").status_code == 200
