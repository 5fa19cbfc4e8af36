"""The page of a station: what it shows of itself, to whom, and how many statements a refresh needs."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution import tracking
from execution.models import Defect, Track
from execution.quality.defects import ReportedDefect
from execution.station_page import queries, words
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.production import line_acts, station_acts
from tests.factories import hold_units, make_plant, make_station, make_user
from tests.test_docs import all_errors

pytestmark = pytest.mark.django_db

# Session, user, what the user may do; the station; its queue in three; its shift in two.
REFRESH_QUERIES = 9
PAGE_QUERIES = REFRESH_QUERIES + 2  # the defect codes, and which were used most


def sign_in(role: Role | None = Role.OPERATOR) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


def read(client: Client, path: str = "/stations/SMT-01/", **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def refresh(client: Client, path: str = "/stations/SMT-01/") -> str:
    return read(client, path, **{"HX-Request": "true"})


def count_queries(client: Client, path: str = "/stations/SMT-01/", **headers: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        read(client, path, **headers)
    return len(captured)


def config_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="station-config" type="application/json">(.*?)</script>', page)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


def fail(sn: str, *codes: str) -> None:
    unit = {"run_no": "RUN-1", "sn": sn, "station_code": "SMT-01"}
    tracking.track_in(**unit)
    tracking.track_out(**unit, result="FAIL", defects=[ReportedDefect(code, "R1") for code in codes])


def test_what_a_refresh_costs() -> None:
    make_plant(units=12)
    client = sign_in()
    read(client)
    counts = {count_queries(client, **{"HX-Request": "true"})}
    for number in range(10, 16):
        tracking.track_in(run_no="RUN-1", sn=f"SN-{number - 9}", station_code="SMT-01")
    counts.add(count_queries(client, **{"HX-Request": "true"}))
    assert counts == {REFRESH_QUERIES}
    assert count_queries(client) == PAGE_QUERIES
    station_acts.stop(station_code="SMT-01", reason="Nozzle", by="sue")
    assert count_queries(client, **{"HX-Request": "true"}) == REFRESH_QUERIES + 1  # by which hold


def test_what_waits_and_what_is_in_it() -> None:
    make_plant(units=12)
    for number in (1, 2):
        tracking.track_in(run_no="RUN-1", sn=f"SN-{number}", station_code="SMT-01")
    hold_units("SN-2", held_from="IN_STATION")
    live = refresh(sign_in())
    assert "and 2 more" in live
    assert 'data-sns="[&quot;SN-1&quot;, &quot;SN-2&quot;]" data-held="[&quot;SN-2&quot;]"' in live
    assert "On hold" in live


def test_the_shift_and_the_last_units() -> None:
    make_plant()
    fail("SN-1", "BRIDGE")
    live = refresh(sign_in())
    figures = re.findall(r"<dd>([^<]*)</dd>", live)
    assert figures == ["1", "0", "1", "0.0 %"]
    assert live.count('<span class="sn">SN-1</span>') == 1


def test_an_empty_station_without_a_line() -> None:
    make_station("SHARED-1")
    page = read(sign_in(), "/stations/SHARED-1/")
    assert "shared by all lines" in page
    for text in (
        "No unit is in this station.",
        "Nothing waits for this station.",
        "No unit has left this station yet.",
    ):
        assert text in page


def test_a_station_that_is_not_there() -> None:
    response = sign_in().get("/stations/NOWHERE/")
    assert response.status_code == 404


def test_a_code_with_a_slash() -> None:
    make_station("A/B")
    assert config_of(read(sign_in(), "/stations/A/B/"))["station"] == "A/B"


def test_nobody_sees_it_who_is_not_signed_in() -> None:
    make_station()
    assert Client().get("/stations/SMT-01/").status_code == 302


@pytest.mark.parametrize("role", [Role.QUALITY, Role.ENGINEER])
def test_who_may_not_work_sees_it_without_buttons(role: Role) -> None:
    make_plant()
    page = read(sign_in(role))
    assert config_of(page)["mayWork"] is False
    for name in ('id="pass"', 'id="scan"', "entries.js", "data-scan-page"):
        assert name not in page
    assert "You look on" in page


@pytest.mark.parametrize("kind", ["MANUAL", "AUTO", "BATCH", "TEST"])
def test_every_type_of_station_may_be_worked_by_hand(kind: str) -> None:
    make_station("ANY-1", station_type=kind)
    page = read(sign_in(), "/stations/ANY-1/")
    assert 'id="pass"' in page
    assert ("The machine of this station reports by itself" in page) == (kind != "MANUAL")


def stop_line() -> None:
    line_acts.hold(line_code="SMT-A", reason="Fire drill", by="sue")


def stop_station() -> None:
    station_acts.stop(station_code="SMT-01", reason="Nozzle", by="sue")


def stop_machine() -> None:
    Equipment.objects.create(code="PRN-1", name="Printer", station=Station.objects.get(code="SMT-01"), status="repair")


@pytest.mark.parametrize(
    ("stop", "texts"),
    [
        (stop_line, ("Fire drill", "Supervisor, Quality", "/holds/")),
        (stop_station, ("Nozzle", "Supervisor, Quality", "/holds/")),
        (stop_machine, ("PRN-1", "Engineer, Integration")),
    ],
)
def test_a_station_that_stands_still_says_why_and_who_releases_it(stop: Any, texts: tuple[str, ...]) -> None:
    make_plant()
    client = sign_in()
    assert "This station stands still" not in refresh(client)
    stop()
    live = refresh(client)
    assert "This station stands still" in live
    for text in texts:
        assert text in live


def test_the_codes_and_which_were_named_most() -> None:
    plant = make_plant(units=6)
    fail("SN-1", "OPEN", "BRIDGE")
    fail("SN-2", "BRIDGE")
    fail("SN-3", "TOMBSTONE")
    Defect.objects.filter(unit__sn="SN-3").update(found_at=timezone.now() - timedelta(weeks=5))
    fail("SN-4", "OPEN")
    fail("SN-5", "BRIDGE")
    assert queries.list_most_used(plant.stations["SMT-01"]) == {"PRINT": ["BRIDGE", "OPEN"]}
    assert queries.list_most_used(plant.stations["REF-01"]) == {}
    told = config_of(read(sign_in()))
    assert told["mostUsed"] == {"PRINT": ["BRIDGE", "OPEN"]}
    assert {"code": "BRIDGE", "name": "Solder bridge", "above": "", "isDefect": True} in told["codes"]


def test_who_releases_what_stands_with_every_refusal_that_somebody_lifts() -> None:
    make_station()
    told = config_of(read(sign_in()))
    assert told["releases"]["UNIT_ON_HOLD"] == ["Supervisor", "Quality", "Admin"]
    assert told["releases"]["REPAIR_OPEN"] == ["Operator", "Supervisor", "Quality", "Admin"]


def test_the_heads_of_refusals_are_those_of_codes_that_there_are() -> None:
    assert set(words.HEADS) - {error.code for error in all_errors()} == set()


def test_the_words_are_those_that_the_scripts_say() -> None:
    scripts = "".join(path.read_text() for path in (Path(settings.BASE_DIR) / "static").glob("station*.js"))
    said = set(re.findall(r"(?:\bsay|\bnote|makeButton)\(\s*\"(\w+)\"", scripts))
    assert said - set(words.WORDS) == set()
    assert {word for word in words.WORDS if f'"{word}"' not in scripts} == set()


def test_a_refused_scan_tells_all_reasons_in_its_one_answer() -> None:
    make_plant()
    hold_units("SN-1", reason="Scratch")
    stop_station()
    client = sign_in()
    path, body = "/api/stations/SMT-01/track-in", {"sn": "SN-1"}
    plain = client.post(path, body, content_type="application/json").json()["error"]
    assert "reasons" not in plain["details"]
    told = client.post(f"{path}?form=true", body, content_type="application/json").json()["error"]
    assert (told["code"], told["message"]) == (plain["code"], plain["message"])
    assert [reason["code"] for reason in told["details"]["reasons"]] == ["UNIT_ON_HOLD", "STATION_STOPPED"]
    assert told["details"]["reasons"][0]["holdNo"]
    malformed = client.post(f"{path}?form=true", {"sn": ""}, content_type="application/json").json()["error"]
    assert "reasons" not in malformed["details"]


def test_the_form_names_the_steps_of_the_route() -> None:
    make_plant()
    body = {"sn": "SN-1"}
    answer = sign_in().post("/api/stations/SMT-01/track-in?form=true", body, content_type="application/json").json()
    assert [step["stepNo"] for step in answer["data"]["steps"]] == [10, 20, 30]


def test_the_photos_of_a_pass() -> None:
    make_plant()
    fail("SN-1", "BRIDGE", "OPEN")
    client, track = sign_in(), Track.objects.get()
    page = read(client, f"/station-photos/{track.pk}/")
    assert page.index("Solder bridge") < page.index("Open joint")
    assert page.count('name="recordId"') == 2
    for track_id in (987654, 10**30):
        assert "No defect was recorded." in read(client, f"/station-photos/{track_id}/")
    assert 'name="recordId"' not in read(sign_in(Role.ENGINEER), f"/station-photos/{track.pk}/")
