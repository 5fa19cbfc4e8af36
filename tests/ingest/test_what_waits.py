"""What an event keeps while it waits, and what it can wait for besides its unit."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import CarrierLoad, CarrierTrack, Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.production.models import Unit
from tests.factories import api_client
from tests.ingest.conftest import Send
from tests.ingest.support import (
    INSPECTING,
    REFLOWING,
    RESULT,
    IngestPlant,
    event,
    inspected,
    make_ingest_plant,
    printed,
    push,
    reflowed,
)
from tests.integration.helpers import moment

pytestmark = pytest.mark.django_db
TRANSACTED = {**INSPECTING, "transactionIdPath": "payload.transaction"}
OF_THE_CARRIER = {
    "carrierCodePath": "payload.carrier",
    "stationCodePath": "payload.station",
    "unitsPath": "payload.boards",
    "positionPath": "pos",
    "result": {**RESULT, "path": "result"},
    "waitSeconds": 60,
}


def load(client: APIClient, carrier: str, *placings: tuple[str, str]) -> None:
    units = [{"sn": sn, "position": position} for sn, position in placings]
    assert client.post(f"/api/carriers/{carrier}/load", {"units": units}).status_code == 200


def steps(sn: str) -> list[int]:
    return list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("step_no", flat=True))


def of_transaction(phase: str, transaction: str, sn: str | None = None, **ago: float) -> dict[str, Any]:
    payload = {"station": "AOI-1", "phase": phase, "transaction": transaction, "result": "OK"}
    return {**event("AUTO", payload if sn is None else {**payload, "sn": sn}), "occurredAt": moment(**ago)}


# --- what a carrier carried -------------------------------------------------------------------------------


@pytest.mark.parametrize("by_position", [False, True])
def test_a_carrier_is_read_as_it_was_at_receipt(client: APIClient, send: Send, by_position: bool) -> None:
    plant = make_ingest_plant(reflow=OF_THE_CARRIER if by_position else {**REFLOWING, "waitSeconds": 60})
    one, two, three = plant.sns
    Unit.objects.update(current_step_no=20)
    load(client, "P-1", (one, "1"), (two, "2"))
    if by_position:
        boards = [{"pos": "1", "result": "OK"}, {"pos": "2", "result": "OK"}]
        body = event("BATCH", {"carrier": "P-1", "station": "OVN-1", "boards": boards})
    else:
        body = reflowed("P-1")
    body["occurredAt"] = moment(seconds=1)
    send(body, 202)
    assert client.post("/api/carriers/P-1/unload", {}).status_code == 200
    load(client, "P-1", (three, "1"))
    Unit.objects.update(current_step_no=30)
    assert catch_up() == 1
    assert [steps(sn) for sn in plant.sns] == [[30], [30], []]
    assert CarrierTrack.objects.get().carrier.carrier_no == "P-1"
    loads = CarrierLoad.objects.filter(unloaded_at=None).values_list("unit__sn", "position")
    assert list(loads) == [(three, "1")]  # what it carries now is not what it carried then


# --- transactions -----------------------------------------------------------------------------------------


def test_an_end_that_overtakes_the_beginning_of_its_transaction_waits(send: Send) -> None:
    plant = make_ingest_plant(aoi=TRANSACTED)
    sn = plant.sns[0]
    Unit.objects.update(current_step_no=20)
    late = of_transaction("end", "T-1", seconds=1)
    kept = send(late, 202)
    assert (kept["status"], send(late, 200)["duplicate"]) == ("WAITING", True)
    assert catch_up() == 0
    send(of_transaction("start", "T-1", sn, seconds=2), 201)
    assert SettledIngestEvent.objects.get(pk=kept["eventId"]).sns == [sn]
    track = Track.objects.get()
    assert (track.result, track.is_entry_inferred) == ("PASS", False)


def test_one_whose_transaction_never_begins_is_refused_in_the_end(send: Send) -> None:
    make_ingest_plant(aoi=TRANSACTED)
    body = of_transaction("end", "T-1")
    send(body, 202)
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    assert catch_up() == 1
    kept = OpenIngestEvent.objects.get()
    assert (kept.status, kept.error_code) == ("REJECTED", "INGEST_PAYLOAD_INVALID")
    assert "60" in kept.error["message"]
    assert catch_up() == 0


def test_a_beginning_that_was_missed_is_caught_up(send: Send, client: APIClient) -> None:
    plant = make_ingest_plant(aoi=TRANSACTED)
    Unit.objects.update(current_step_no=20)
    send(of_transaction("end", "T-1", seconds=1), 202)
    push(client, of_transaction("start", "T-1", plant.sns[0], seconds=2), 201)  # nothing follows the commit
    assert catch_up() == 1
    assert Track.objects.get().result == "PASS"


def test_an_end_that_reports_on_none_of_the_units_it_names_is_refused(send: Send, refuse: Send) -> None:
    """It is not answered “try again” for ever because of the units of its transaction."""
    of_boards = {key: path for key, path in TRANSACTED.items() if key != "result"}
    plant = make_ingest_plant(aoi={**of_boards, "unitsPath": "payload.boards", "snPath": "sn"})
    Unit.objects.update(current_step_no=20)
    one, two, _three = plant.sns
    begun = {"station": "AOI-1", "phase": "start", "transaction": "T-1", "boards": [{"sn": one}]}
    send(event("AUTO", begun), 201)
    refuse(event("AUTO", {**begun, "phase": "end", "boards": []}, sn=two), "INGEST_PAYLOAD_INVALID")


def test_only_an_end_may_wait_for_its_transaction(refuse: Send) -> None:
    make_ingest_plant(aoi=TRANSACTED)
    refuse(of_transaction("start", "T-1"), "INGEST_PAYLOAD_INVALID")


def test_without_wait_seconds_it_is_refused(refuse: Send) -> None:
    make_ingest_plant(aoi={**TRANSACTED, "waitSeconds": 0})
    refuse(of_transaction("end", "T-1"), "INGEST_PAYLOAD_INVALID")


# --- who may --------------------------------------------------------------------------------------------------


def test_a_token_s_stations_count_for_the_station_that_is_implied_too() -> None:
    """A batch whose step names no station is of the only oven; it waits and is applied without its sender."""
    mapping = {key: value for key, value in REFLOWING.items() if key != "stationCodePath"}
    plant = make_ingest_plant(reflow={**mapping, "waitSeconds": 60}, ungrouped=30)
    Unit.objects.update(current_step_no=20)
    client = api_client("INTEGRATION", ["PRN-1"])
    assert push(client, reflowed("P-1", plant.sns), 403)["code"] == "PERMISSION_DENIED"
    assert not OpenIngestEvent.objects.exists()
    push(api_client("INTEGRATION", ["OVN-1"]), reflowed("P-1", plant.sns), 202)


@pytest.mark.parametrize("is_known", [True, False], ids=["kept with its station", "station unknown"])
def test_a_replay_by_another_station_s_token_does_not_end_the_wait(plant: IngestPlant, is_known: bool) -> None:
    sn = plant.sns[0]
    push(api_client("INTEGRATION"), inspected(sn, "end"), 202)
    if not is_known:
        OpenIngestEvent.objects.update(station=None)
    Unit.objects.filter(sn=sn).update(current_step_no=20)
    kept = OpenIngestEvent.objects.values().get()
    answer = api_client("ADMIN", ["PRN-1"]).post(f"/api/ingest/events/{kept['id']}/replay")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert OpenIngestEvent.objects.values().get() == kept
    own = api_client("ADMIN", ["AOI-1"]).post(f"/api/ingest/events/{kept['id']}/replay")
    assert own.status_code in (200, 202), own.content


# --- what is kept of it ---------------------------------------------------------------------------------------


def test_a_refused_event_is_found_by_the_units_in_its_payload(
    plant: IngestPlant, refuse: Send, client: APIClient
) -> None:
    refuse(printed(plant.sns[0], result="?"), "INGEST_PAYLOAD_INVALID")
    assert OpenIngestEvent.objects.get().sns == [plant.sns[0]]
    trace = client.get(f"/api/trace/units/{plant.sns[0]}").json()["data"]
    assert [one["status"] for one in trace["ingestEvents"]] == ["REJECTED"]
    refuse(printed("nobody knows me"), "UNIT_NOT_FOUND", 404)
    assert OpenIngestEvent.objects.order_by("-id")[0].sns == ["nobody knows me"]
    refuse(printed("bad\tnumber"), "UNIT_NOT_FOUND", 404)
    assert OpenIngestEvent.objects.order_by("-id")[0].sns == []  # no serial number can be that


def test_one_that_waited_in_vain_says_so(plant: IngestPlant, send: Send) -> None:
    send(inspected(plant.sns[0], "end"), 202)
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    catch_up()
    kept = OpenIngestEvent.objects.get()
    assert (kept.error_code, kept.error["details"]["waitedSeconds"]) == ("STEP_MISMATCH", 60)
    assert kept.error["details"]["missingSteps"] == [10]
    assert "60" in kept.error["message"]
    send(printed(plant.sns[0]), 201)
    assert not OpenIngestEvent.objects.exists()
