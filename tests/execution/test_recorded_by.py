"""Who is said to have done it is a claim; who was signed in is kept beside it, whatever the door."""

from typing import Any

from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from execution.quality.models import InspectionResult
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.status_reports.models import StatusReport
from tests.execution.support import assert_done, decide, put_at, track_in, track_out
from tests.factories import make_plant, make_user
from tests.ingest.support import inspected, make_ingest_plant, printed


def holder(name: str, role: Role = Role.ADMIN) -> APIClient:
    """Return a client with a token of this name."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_token(name=name, role=role)[1]}")
    return client


def read(sn: str = "SN-1") -> dict[str, Any]:
    person = Client()
    person.force_login(make_user(Role.OPERATOR))
    return {
        "trace": assert_done(holder("reader").get(f"/api/trace/units/{sn}")),
        "page": person.get(f"/trace/units/{sn}/").content.decode(),
    }


def test_a_pass_by_hand_keeps_the_claim_and_who_was_signed_in(db):
    make_plant()
    put_at(10)
    assert_done(track_in(holder("desk"), "SMT-01"), 201)
    assert_done(track_out(holder("handheld"), result="PASS", operatorId="olga"))
    [track] = (told := read())["trace"]["tracks"]
    assert (track["operatorId"], track["inBy"], track["outBy"]) == ("olga", "token:desk", "token:handheld")
    assert "olga" in told["page"] and "token:desk → token:handheld" in told["page"]


def test_a_person_is_kept_by_the_account(db):
    make_plant()
    put_at(10)
    person = APIClient()
    person.force_authenticate(make_user(Role.OPERATOR, username="berta"))
    assert_done(track_in(person, "SMT-01"), 201)
    assert_done(track_out(person, result="PASS", operatorId="olga"))
    track = Track.objects.get()
    assert (track.in_by, track.out_by, track.operator_out) == ("berta", "berta", "olga")


def test_values_and_their_report_keep_who_sent_them(db):
    make_plant()
    put_at(20)
    desk = holder("desk")
    track_id = assert_done(track_in(desk, "REF-01"), 201)["trackId"]
    body = {
        "eventId": "evt-1",
        "eventTime": timezone.now().isoformat(),
        "source": "MANUAL",
        "operatorId": "olga",
        "trackId": track_id,
        "data": [{"specName": "Peak Temperature", "valueNumber": 245}],
    }
    assert_done(holder("oven", Role.INTEGRATION).post("/api/integration/device-data", body), 201)
    trace = read()["trace"]
    for told in (trace["dataValues"][0], trace["deviceData"][0]):
        assert (told["operatorId"], told["recordedBy"]) == ("olga", "token:oven")
    listed = assert_done(desk.get("/api/integration/device-data"))["items"][0]
    assert (listed["operatorId"], listed["recordedBy"]) == ("olga", "token:oven")


def test_values_typed_at_track_out_keep_who_typed_them(db):
    make_plant()
    put_at(30)
    assert_done(track_in(holder("desk"), "TST-01"), 201)
    typed = [{"specName": "Supply Voltage", "valueNumber": 3.3}]
    assert_done(track_out(holder("handheld"), "TST-01", result="PASS", operatorId="olga", data=typed))
    value = DataValue.objects.get()
    assert (value.operator, value.recorded_by) == ("olga", "token:handheld")


def test_an_inspection_keeps_who_reported_it(db):
    make_plant()
    put_at(10)
    desk = holder("desk")
    assert_done(track_in(desk, "SMT-01"), 201)
    body = {
        "eventId": "evt-1",
        "eventTime": timezone.now().isoformat(),
        "source": "MANUAL",
        "operatorId": "olga",
        "runNo": "RUN-1",
        "stationCode": "SMT-01",
        "unitSn": "SN-1",
        "stepNo": 10,
        "inspectionType": "AOI",
        "result": "FAIL",
    }
    assert_done(holder("aoi").post("/api/integration/inspection-result", body), 201)
    assert (InspectionResult.objects.get().recorded_by, StatusReport.objects.get().recorded_by) == ("token:aoi",) * 2
    told = read()
    assert (told["trace"]["inspections"][0]["operatorId"], told["trace"]["inspections"][0]["recordedBy"]) == (
        "olga",
        "token:aoi",
    )
    assert "recorded by token:aoi" in told["page"]
    listed = assert_done(desk.get("/api/integration/inspection-result"))["items"][0]
    assert (listed["operatorId"], listed["recordedBy"]) == ("olga", "token:aoi")


def test_a_machine_event_and_what_it_makes_keep_who_sent_it(db):
    plant = make_ingest_plant()
    height = {"name": "Paste Height", "value": 120, "unit": "µm"}
    assert_done(
        holder("printer", Role.INTEGRATION).post("/api/ingest/events", printed(plant.sns[0], values=[height])), 201
    )
    trace = read(plant.sns[0])["trace"]
    assert (trace["tracks"][0]["inBy"], trace["tracks"][0]["outBy"]) == ("token:printer", "token:printer")
    assert {value["recordedBy"] for value in trace["dataValues"]} == {"token:printer"}
    assert trace["ingestEvents"][0]["recordedBy"] == "token:printer"


def test_an_event_that_waited_keeps_who_sent_it_and_not_what_let_it_go_on(db, django_capture_on_commit_callbacks):
    plant = make_ingest_plant()
    assert_done(holder("aoi", Role.INTEGRATION).post("/api/ingest/events", inspected(plant.sns[0], "start")), 202)
    with django_capture_on_commit_callbacks(execute=True):
        assert_done(holder("printer", Role.INTEGRATION).post("/api/ingest/events", printed(plant.sns[0])), 201)
    tracks = Track.objects.order_by("id").values_list("step_no", "in_by", "out_by")
    assert list(tracks) == [(10, "token:printer", "token:printer"), (20, "token:aoi", "")]


def test_rework_closes_a_pass_in_the_name_of_who_decided(db):
    make_plant()
    put_at(10)
    assert_done(track_in(holder("desk"), "SMT-01"), 201)
    assert_done(decide(holder("supervisor"), "hold"))
    assert_done(decide(holder("quality"), "rework"))
    assert Track.objects.get().out_by == "token:quality"
