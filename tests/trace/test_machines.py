"""Machine events and carriers in the trace of a unit, and the trace of a carrier."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.models import Carrier
from ingest.models import OpenIngestEvent
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from tests.factories import api_client, make_user
from tests.ingest.support import IngestPlant, final_test, inspected, make_ingest_plant, printed, push, reflowed

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant() -> IngestPlant:
    """A plant whose first unit was printed, inspected and went through the oven with its panel."""
    made = make_ingest_plant()
    client = api_client()
    for number, sn in enumerate(made.sns):
        values = [{"name": "Paste Height", "value": 120 + number, "unit": "µm"}, {"name": "Speed", "value": 1}]
        push(client, printed(sn, values=values), 201)
        push(client, inspected(sn, "start"), 201)
        push(client, inspected(sn, "end"), 201)
    push(client, reflowed("PANEL-1", made.sns), 201)
    return made


def trace(sn: str) -> dict[str, Any]:
    return api_client().get(f"/api/trace/units/{sn}").json()["data"]


def signed_in() -> Client:
    client = Client()
    client.force_login(make_user(Role.SUPERVISOR))
    return client


def test_events_link_to_the_pass_and_the_values_they_made(plant):
    data = trace(plant.sns[0])
    events = data["ingestEvents"]
    assert [(event["eventType"], event["stepNo"], event["status"]) for event in events] == [
        ("AUTO", 10, "APPLIED"),
        ("AUTO", 20, "APPLIED"),
        ("AUTO", 20, "APPLIED"),
        ("BATCH", 30, "APPLIED"),
    ]
    tracks = {track["stepNo"]: track["id"] for track in data["tracks"]}
    assert [event["trackId"] for event in events] == [tracks[10], tracks[20], tracks[20], tracks[30]]
    (value,) = data["dataValues"]
    assert (value["value"], value["ingestEventId"]) == (120, events[0]["id"])
    assert events[0]["dataValueIds"] == [value["id"]]
    assert (events[0]["unmappedCount"], events[0]["skipped"]) == (1, [])
    assert events[0]["payload"]["payload"]["sn"] == plant.sns[0]


def test_carriers_of_a_unit(plant):
    data = trace(plant.sns[0])
    (load,) = data["carrierLoads"]
    assert (load["carrierNo"], load["unloadedAt"]) == ("PANEL-1", None)
    (carried,) = data["carrierTracks"]
    assert (carried["carrierNo"], carried["stepNo"], carried["stationCode"]) == ("PANEL-1", 30, "OVN-1")
    assert carried["trackId"] == data["tracks"][-1]["id"]
    (value,) = data["carrierDataValues"]
    assert (value["name"], value["value"], value["carrierTrackId"]) == ("Peak Temperature", 245, carried["id"])
    assert value["ingestEventId"] == data["ingestEvents"][-1]["id"]
    assert data["ingestEvents"][-1]["carrierTrackId"] == carried["id"]


def test_what_a_web_server_with_a_slow_clock_received_is_shown_too(plant):
    Unit.objects.update(created_at=timezone.now() + timedelta(minutes=1))
    data = trace(plant.sns[0])
    assert [len(data[name]) for name in ("dataValues", "carrierDataValues")] == [1, 1]


def test_an_event_that_waits_is_shown(plant):
    late = make_ingest_plant(run_no="RUN-2", units=1)
    push(api_client(), final_test(late.sns[0]), 202)
    (event,) = trace(late.sns[0])["ingestEvents"]
    assert (event["status"], event["error"]["code"]) == ("WAITING", "STEP_MISMATCH")
    assert "Waiting" in signed_in().get(f"/trace/units/{late.sns[0]}/").content.decode()


def test_an_event_kept_before_its_unit_was_known_is_shown_once_it_is_applied():
    plant = make_ingest_plant(units=0)
    client = api_client()
    push(client, printed("LATE-1"), 404)
    body = OpenIngestEvent.objects.get().payload
    push(client, {**body, "runNo": plant.run.run_no}, 201)
    assert [event["status"] for event in trace("LATE-1")["ingestEvents"]] == ["APPLIED"]


def test_the_trace_takes_the_same_queries_with_events_and_carriers(plant):
    empty = make_ingest_plant(run_no="RUN-2", units=1)
    client = api_client()
    client.get("/api/lines")
    counts = []
    for sn in (empty.sns[0], plant.sns[0]):
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/api/trace/units/{sn}")
        counts.append(len(queries))
    assert counts == [3, 3]


def test_the_page_of_a_unit_shows_its_events_and_carriers(plant):
    page = signed_in().get(f"/trace/units/{plant.sns[0]}/").content.decode()
    event = trace(plant.sns[0])["ingestEvents"][0]
    assert "Machine events" in page
    assert f'id="event-{event["id"]}"' in page
    assert f'href="#pass-{event["trackId"]}"' in page
    assert "1 measurement without a spec" in page
    assert 'href="/trace/carriers/PANEL-1/"' in page
    assert "Peak Temperature" in page


def test_the_trace_of_a_carrier_takes_two_queries(plant, django_assert_num_queries):
    client = api_client()
    client.get("/api/trace/carriers/PANEL-1")
    with django_assert_num_queries(2):
        assert client.get("/api/trace/carriers/PANEL-1").json()["data"]["carrierTracks"][0]["dataValues"]
    Carrier.objects.create(carrier_no="PANEL-0")
    with django_assert_num_queries(1):
        data = client.get("/api/trace/carriers/PANEL-0").json()["data"]
    assert (data["carrier"]["carrierNo"], data["carrierLoads"], data["carrierTracks"]) == ("PANEL-0", [], [])


def test_the_trace_of_a_carrier(plant):
    data = api_client().get("/api/trace/carriers/PANEL-1").json()["data"]
    assert data["carrier"]["carrierNo"] == "PANEL-1"
    assert {load["sn"] for load in data["carrierLoads"]} == set(plant.sns)
    (passed,) = data["carrierTracks"]
    assert [(unit["sn"], unit["result"]) for unit in passed["units"]] == [(sn, "PASS") for sn in plant.sns]
    assert [value["value"] for value in passed["dataValues"]] == [245]


def test_an_unknown_carrier_is_refused(plant):
    answer = api_client().get("/api/trace/carriers/PANEL-9")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "CARRIER_NOT_FOUND")
    assert signed_in().get("/trace/carriers/PANEL-9/").status_code == 404


def test_the_page_of_a_carrier_and_the_search_for_it(plant):
    client = signed_in()
    page = client.get("/trace/carriers/PANEL-1/").content.decode()
    for sn in plant.sns:
        assert f'href="/trace/units/{sn}/' in page
    assert "Peak Temperature" in page
    assert client.get("/trace/?q=panel-1")["Location"] == "/trace/carriers/PANEL-1/"
    assert "/trace/carriers/PANEL-1/" in client.get("/trace/?q=PAN").content.decode()
    assert client.get("/trace/carriers/PANEL-1/", headers={"HX-Request": "true"}).status_code == 200
