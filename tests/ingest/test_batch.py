"""BATCH events and carriers: which units, all or nothing, what the carrier's values do."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import CarrierLoad, CarrierTrack, DataValue, Disposition, Track
from mes.platform.outbox.models import MesEvent
from mes.production.models import Run, Unit
from tests.execution.support import track_in
from tests.factories import api_client
from tests.ingest.conftest import Send
from tests.ingest.support import (
    MEASUREMENTS,
    REFLOWING,
    RESULT,
    IngestPlant,
    event,
    make_ingest_plant,
    printed,
    reflowed,
)

pytestmark = pytest.mark.django_db
PARTIAL = {**REFLOWING, "batchPolicy": "PARTIAL"}
BY_POSITION = {
    "carrierCodePath": "payload.carrier",
    "stationCodePath": "payload.station",
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "positionPath": "pos",
    "result": {**RESULT, "path": "result"},
    "measurements": {**MEASUREMENTS, "itemsPath": "values"},
}


@pytest.fixture
def plant(db: None) -> IngestPlant:
    """Three units wait for the oven."""
    return waiting_for_the_oven()


def waiting_for_the_oven(**mappings: Any) -> IngestPlant:
    plant = make_ingest_plant(**mappings)
    Unit.objects.update(current_step_no=30)
    return plant


def load(client: APIClient, carrier: str, *units: Any, status: int = 200) -> Any:
    """Load units, named by SN or (SN, position)."""
    placings = [{"sn": one} if isinstance(one, str) else {"sn": one[0], "position": one[1]} for one in units]
    answer = client.post(f"/api/carriers/{carrier}/load", {"units": placings})
    assert answer.status_code == status, answer.content
    return answer.json().get("data") or answer.json()["error"]


def boards(carrier: str, *items: dict[str, Any]) -> dict[str, Any]:
    """An oven report with an entry for each board."""
    each = [{"result": "OK", "values": [], **item} for item in items]
    return event("BATCH", {"carrier": carrier, "station": "OVN-1", "boards": each})


def statuses(plant: IngestPlant) -> list[tuple[str, int | None]]:
    return [
        (unit.status, unit.current_step_no) for unit in Unit.objects.filter(sn__in=plant.sns).order_by("id").iterator()
    ]


def loads() -> list[tuple[str, str, str]]:
    """Return what is on carriers now: (carrier, unit, position)."""
    rows = CarrierLoad.objects.filter(unloaded_at=None).order_by("carrier_id", "position", "id")
    return list(rows.values_list("carrier__carrier_no", "unit__sn", "position"))


# --- which units ------------------------------------------------------------------------------------------


def test_a_list_of_units_is_what_the_carrier_carries(plant: IngestPlant, send: Send) -> None:
    answer = send(reflowed("PANEL-1", plant.sns[:2]), 201)
    assert (len(answer["trackIds"]), answer["unitStatus"]) == (2, None)
    assert statuses(plant) == [("QUEUED", 40), ("QUEUED", 40), ("QUEUED", 30)]
    assert [(carrier, sn) for carrier, sn, _position in loads()] == [("PANEL-1", sn) for sn in plant.sns[:2]]
    passed = CarrierTrack.objects.get()
    assert (passed.step_no, passed.station.code, passed.in_at) == (30, "OVN-1", passed.out_at)
    assert set(passed.unit_tracks.values_list("track__unit__sn", flat=True)) == set(plant.sns[:2])
    assert set(Track.objects.values_list("source", "result")) == {("BATCH", "PASS")}


def test_without_a_list_the_carrier_s_units_are_meant(plant: IngestPlant, send: Send, client: APIClient) -> None:
    load(client, "PANEL-1", *plant.sns[:2])
    assert len(send(reflowed("PANEL-1"), 201)["trackIds"]) == 2
    assert statuses(plant)[2] == ("QUEUED", 30)


def test_an_empty_carrier(plant: IngestPlant, refuse: Send) -> None:
    refuse(reflowed("PANEL-1"), "INGEST_PAYLOAD_INVALID")
    refuse(reflowed("PANEL-1", []), "INGEST_PAYLOAD_INVALID")


def test_units_named_twice_are_one(plant: IngestPlant, send: Send) -> None:
    assert len(send(reflowed("PANEL-1", [plant.sns[0]] * 2), 201)["trackIds"]) == 1


def test_positions_are_looked_up_on_the_carrier(db: None, send: Send, client: APIClient) -> None:
    plant = waiting_for_the_oven(reflow=BY_POSITION)
    load(client, "PANEL-1", (plant.sns[0], "1"), (plant.sns[1], "2"))
    items: list[dict[str, Any]] = [{"pos": 1}, {"pos": "2", "result": "NG"}, {"pos": "3"}]
    answer = send(boards("PANEL-1", *items), 201)
    assert len(answer["trackIds"]) == 2
    assert statuses(plant) == [("QUEUED", 40), ("OUT_FAILED", 30), ("QUEUED", 30)]
    kept = client.get(f"/api/ingest/events/{answer['eventId']}").json()["data"]
    assert kept["normalized"]["positionsWithoutUnit"] == 1
    assert loads() == [("PANEL-1", plant.sns[0], "1"), ("PANEL-1", plant.sns[1], "2")]


def test_each_unit_has_its_own_result_and_values(db: None, send: Send) -> None:
    plant = waiting_for_the_oven(reflow=BY_POSITION)
    peak = {"name": "Peak Temperature", "value": 251.0}
    one, two, _three = plant.sns
    send(boards("PANEL-1", {"sn": one, "pos": "1", "values": [peak]}, {"sn": two, "pos": "2"}), 201)
    assert statuses(plant)[:2] == [("OUT_FAILED", 30), ("QUEUED", 40)]
    assert DataValue.objects.get().track.unit.sn == one


@pytest.mark.parametrize(
    "items",
    [
        [{"pos": "1", "sn": "RUN-1-SN-1"}, {"pos": "1", "sn": "RUN-1-SN-2"}],
        [{"pos": "1", "sn": "RUN-1-SN-1"}, {"pos": "2", "sn": "RUN-1-SN-1"}],
        [{"pos": "x" * 101, "sn": "RUN-1-SN-1"}],
        [{"sn": "RUN-1-SN-1", "result": None}],
        [{"pos": "9"}],
    ],
)
def test_reports_that_cannot_be_true(db: None, refuse: Send, items: list[dict[str, Any]]) -> None:
    waiting_for_the_oven(reflow=BY_POSITION)
    refuse(boards("PANEL-1", *items), "INGEST_PAYLOAD_INVALID")


def test_units_of_several_runs(plant: IngestPlant, refuse: Send, client: APIClient) -> None:
    other = make_ingest_plant(run_no="RUN-2", units=1)
    Unit.objects.update(current_step_no=30)
    refuse(reflowed("PANEL-1", [plant.sns[0], other.sns[0]]), "RUN_MISMATCH", 409)
    load(client, "PANEL-2", plant.sns[0], other.sns[0])
    refuse(reflowed("PANEL-2"), "RUN_MISMATCH", 409)


@pytest.mark.parametrize("policy", ["ALL_OR_NOTHING", "PARTIAL"])
def test_a_unit_that_is_in_no_run_is_not_waited_for(db: None, refuse: Send, send: Send, policy: str) -> None:
    """It was registered for a run that ended before it was made."""
    plant = waiting_for_the_oven(reflow={**REFLOWING, "batchPolicy": policy, "waitSeconds": 60})
    one, homeless, _three = plant.sns
    Unit.objects.filter(sn=homeless).update(run=None, current_step_no=None)
    if policy == "PARTIAL":
        answer = send(reflowed("PANEL-1", [one, homeless]), 201)
        assert answer["skipped"] == [{"sn": homeless, "code": "UNIT_RUN_NOT_FOUND"}]
    else:
        refuse(reflowed("PANEL-1", [one, homeless]), "UNIT_RUN_NOT_FOUND", 404)


def test_a_report_on_none_of_the_units_named_means_no_others(db: None, refuse: Send, client: APIClient) -> None:
    """Not those of the carrier either, which are meant only where nobody is named."""
    plant = waiting_for_the_oven(reflow={key: path for key, path in BY_POSITION.items() if key != "result"})
    one, two, three = plant.sns
    load(client, "PANEL-1", (one, "1"), (two, "2"))
    refuse({**boards("PANEL-1"), "sn": three}, "INGEST_PAYLOAD_INVALID")


def test_a_position_may_not_smuggle_in_a_unit_of_another_run(db: None, refuse: Send, client: APIClient) -> None:
    plant = waiting_for_the_oven(reflow=BY_POSITION)
    other = make_ingest_plant(run_no="RUN-2", units=1, reflow=BY_POSITION)
    Unit.objects.update(current_step_no=30)
    assert track_in(client, "OVN-1", other.sns[0], "RUN-2").status_code == 201
    load(client, "PANEL-1", (other.sns[0], "2"))
    refuse(boards("PANEL-1", {"sn": plant.sns[0], "pos": "1"}, {"pos": "2"}), "UNIT_RUN_MISMATCH", 409)


# --- policies ---------------------------------------------------------------------------------------------


def test_all_or_nothing_leaves_nothing(plant: IngestPlant, refuse: Send) -> None:
    Unit.objects.filter(sn=plant.sns[2]).update(status="OUT_FAILED")
    refuse(reflowed("PANEL-1", plant.sns), "UNIT_OUT_FAILED", 409)
    Unit.objects.filter(sn=plant.sns[2]).update(status="QUEUED", current_step_no=20)
    assert refuse(reflowed("PANEL-1", plant.sns), "STEP_MISMATCH", 409)["details"]["missingSteps"] == [20]
    Unit.objects.filter(sn=plant.sns[2]).update(current_step_no=40)
    refuse(reflowed("PANEL-1", plant.sns), "STEP_MISMATCH", 409)
    refuse(reflowed("PANEL-1", [*plant.sns[:2], "nobody"]), "UNIT_NOT_FOUND", 404)
    assert Run.objects.get().status == "AUTHORIZED"


def test_a_partial_batch_applies_what_it_can(db: None, send: Send) -> None:
    plant = waiting_for_the_oven(reflow=PARTIAL)
    one, two, _three = plant.sns
    Unit.objects.filter(sn=one).update(status="OUT_FAILED")
    Unit.objects.filter(sn=two).update(current_step_no=20)
    answer = send(reflowed("PANEL-1", plant.sns), 201)
    assert answer["skipped"] == [{"sn": one, "code": "UNIT_OUT_FAILED"}, {"sn": two, "code": "STEP_MISMATCH"}]
    assert statuses(plant) == [("OUT_FAILED", 30), ("QUEUED", 20), ("QUEUED", 40)]
    assert (Track.objects.count(), Run.objects.get().status) == (1, "IN_PROGRESS")
    assert len(loads()) == 3  # it carried them all the same


def test_a_unit_left_out_after_it_entered_does_not_start_the_run(db: None, send: Send) -> None:
    """The first unit enters, starts the run and cannot leave: the second starts it again."""
    plant = waiting_for_the_oven(reflow={**BY_POSITION, "batchPolicy": "PARTIAL"})
    wrong = [{"name": "Peak Temperature", "value": "hot"}]
    answer = send(boards("PANEL-1", {"sn": plant.sns[0], "values": wrong}, {"sn": plant.sns[1]}), 201)
    assert answer["skipped"] == [{"sn": plant.sns[0], "code": "DATA_TYPE_MISMATCH"}]
    assert Run.objects.get().status == "IN_PROGRESS"
    assert MesEvent.objects.filter(event_type="TRACK_IN").count() == 1


def test_a_partial_batch_of_which_nothing_applies_is_refused(db: None, refuse: Send) -> None:
    plant = waiting_for_the_oven(reflow=PARTIAL)
    Unit.objects.update(status="OUT_FAILED")
    refuse(reflowed("PANEL-1", plant.sns), "UNIT_OUT_FAILED", 409)
    refuse(reflowed("PANEL-1", [plant.sns[0]]), "UNIT_OUT_FAILED", 409)
    refuse(reflowed("PANEL-1", ["nobody"]), "UNIT_NOT_FOUND", 404)
    Unit.objects.update(status="QUEUED", current_step_no=20)
    refuse(reflowed("PANEL-1", plant.sns), "STEP_MISMATCH", 409)


# --- the carrier's values ---------------------------------------------------------------------------------


def hot(carrier: str, sns: list[str] | None, value: Any) -> dict[str, Any]:
    return reflowed(carrier, sns, values=[{"name": "Peak Temperature", "value": value}])


def test_values_of_each_carrier_are_on_its_pass(plant: IngestPlant, send: Send) -> None:
    send(hot("PANEL-1", plant.sns, 245.0), 201)
    value = DataValue.objects.get()
    assert (value.carrier_track_id, value.track_id) == (CarrierTrack.objects.get().pk, None)


def test_a_key_failure_of_the_carrier_fails_all_its_units(plant: IngestPlant, send: Send) -> None:
    send(hot("PANEL-1", plant.sns, 252.0), 201)
    assert statuses(plant) == [("OUT_FAILED", 30)] * 3
    assert set(Track.objects.values_list("result", "claimed_result", "result_override")) == {("FAIL", "PASS", "DATA")}
    assert not MesEvent.objects.filter(event_type="DATA_ALARM").exists()


def test_rework_after_a_late_failure_of_the_carrier_goes_to_the_step_it_passed(
    plant: IngestPlant, send: Send, client: APIClient
) -> None:
    one, two, _three = plant.sns
    send(reflowed("PANEL-1", [one, two]), 201)
    late = {
        "eventId": "late",
        "eventTime": timezone.now().isoformat(),
        "source": "AUTO",
        "carrierTrackId": str(CarrierTrack.objects.get().pk),
        "operationCode": "REFLOW",
        "data": [{"specName": "Peak Temperature", "valueNumber": 252}],
    }
    answer = client.post("/api/integration/device-data", late)
    assert (answer.status_code, answer.json()["data"]["judge"]) == (201, "FAIL")
    assert statuses(plant)[:2] == [("ON_HOLD", 40), ("ON_HOLD", 40)]
    answer = client.post(f"/api/units/{one}/rework", {"reason": "again"})
    assert answer.json()["data"] == {"sn": one, "status": "QUEUED", "currentStepNo": 30}


def test_an_alarm_of_the_carrier_holds_all_its_units_after_they_moved(plant: IngestPlant, send: Send) -> None:
    send(hot("PANEL-1", plant.sns[:2], 256.0), 201)
    held = Unit.objects.filter(sn__in=plant.sns[:2])
    assert set(held.values_list("status", "held_from")) == {("ON_HOLD", "OUT_FAILED")}
    assert statuses(plant)[2] == ("QUEUED", 30)
    assert Disposition.objects.filter(action="HOLD").count() == 2
    alarm = MesEvent.objects.get(event_type="DATA_ALARM")
    assert "Peak Temperature" in str(alarm.payload)


def test_a_wrong_value_of_the_carrier_leaves_nothing(plant: IngestPlant, refuse: Send) -> None:
    refuse(hot("PANEL-1", plant.sns, "245"), "DATA_TYPE_MISMATCH")


def test_required_values_may_be_on_the_carrier(db: None, send: Send, refuse: Send) -> None:
    from mes.specs.models import DataCollectionSpec
    from tests.factories import make_spec

    make_spec("REFLOW", "O2", trigger_type="EACH_CARRIER", is_required=True)
    plant = waiting_for_the_oven()
    assert DataCollectionSpec.objects.filter(is_required=True, operation__code="REFLOW").count() == 1
    refuse(hot("PANEL-1", plant.sns, 245.0), "REQUIRED_DATA_MISSING")
    send(reflowed("PANEL-1", plant.sns, values=[{"name": "O2", "value": 500}]), 201)


def test_a_value_of_a_batch_without_a_carrier_is_each_unit_s(plant: IngestPlant, send: Send) -> None:
    body = reflowed("PANEL-1", plant.sns)
    body["payload"].pop("carrier")
    send(body, 201)
    assert DataValue.objects.filter(track__isnull=False).count() == 3
    assert not CarrierTrack.objects.exists()


# --- carriers ---------------------------------------------------------------------------------------------


def test_a_carrier_whose_units_changed_is_loaded_truthfully(plant: IngestPlant, send: Send, client: APIClient) -> None:
    one, two, three = plant.sns
    load(client, "PANEL-1", (one, "1"), (two, "2"))
    load(client, "PANEL-2", (three, "1"))
    send(reflowed("PANEL-1", [two, three]), 201)
    assert loads() == [("PANEL-1", three, ""), ("PANEL-1", two, "2")]
    assert CarrierLoad.objects.count() == 4  # what stayed was not loaded again
    assert CarrierLoad.objects.get(unit__sn=one).unloaded_at is not None


def test_a_late_event_undoes_no_later_loading(plant: IngestPlant, send: Send, client: APIClient) -> None:
    one, two, three = plant.sns
    late, other = reflowed("PANEL-1", [one]), reflowed("PANEL-3", [two])
    load(client, "PANEL-1", (three, "1"))
    load(client, "PANEL-2", two)
    send(late, 201)
    send(other, 201)
    assert loads() == [("PANEL-1", three, "1"), ("PANEL-2", two, "")]
    assert CarrierTrack.objects.get(carrier__carrier_no="PANEL-1").unit_tracks.get().track.unit.sn == one


def test_a_late_event_loads_no_carrier_that_was_emptied_since(
    plant: IngestPlant, send: Send, client: APIClient
) -> None:
    one, two, _three = plant.sns
    send(reflowed("PANEL-1", [one]), 201)
    late = reflowed("PANEL-1", [two])
    for _again in range(2):  # the second time nothing is on it
        assert client.post("/api/carriers/PANEL-1/unload", {}).status_code == 200
    send(late, 201)
    assert statuses(plant)[:2] == [("QUEUED", 40)] * 2
    assert loads() == []


def test_boards_that_changed_places(db: None, send: Send, client: APIClient) -> None:
    plant = waiting_for_the_oven(reflow=BY_POSITION)
    one, two, _three = plant.sns
    load(client, "PANEL-1", (one, "1"), (two, "2"))
    send(boards("PANEL-1", {"sn": one, "pos": "2"}, {"sn": two, "pos": "1"}), 201)
    assert loads() == [("PANEL-1", two, "1"), ("PANEL-1", one, "2")]


def test_loading_and_unloading(plant: IngestPlant, client: APIClient) -> None:
    one, two, three = plant.sns
    answer = load(client, "PANEL 1", (one, "1"), (two, "2"))
    assert answer == {
        "carrierNo": "PANEL 1",
        "units": [{"sn": one, "position": "1"}, {"sn": two, "position": "2"}],
    }
    load(client, "PANEL 1", (one, "1"))  # again
    assert CarrierLoad.objects.count() == 2
    load(client, "PANEL 1", (one, "2"), (two, "1"))  # changing places
    assert [(sn, position) for _carrier, sn, position in loads()] == [(two, "1"), (one, "2")]
    assert "units.0.position" in load(client, "PANEL 1", (three, "1"), status=400)["details"]
    assert "units.1.position" in load(client, "P2", (three, "1"), (one, "1"), status=400)["details"]
    assert "units.1.sn" in load(client, "P2", (three, "1"), (three, "2"), status=400)["details"]
    assert load(client, "P2", "nobody", status=404)["code"] == "UNIT_NOT_FOUND"
    load(client, "P2", two)
    assert [carrier for carrier, _sn, _position in loads()] == ["PANEL 1", "P2"]

    def unload(carrier: str, body: dict[str, Any], status: int = 200) -> Any:
        answer = client.post(f"/api/carriers/{carrier}/unload", body)
        assert answer.status_code == status, answer.content
        return answer.json().get("data") or answer.json()["error"]

    load(client, "PANEL 1", three)
    assert [unit["sn"] for unit in unload("PANEL 1", {"sns": [one]})["units"]] == [three]
    assert unload("PANEL 1", {})["units"] == []
    assert unload("PANEL 1", {"sns": ["nobody"]})["units"] == []
    assert unload("P9", {}, 404)["code"] == "CARRIER_NOT_FOUND"


@pytest.mark.parametrize(
    "body", [{}, {"units": []}, {"units": [{}]}, {"units": [{"sn": ""}]}, {"units": ["x"]}, {"units": None}, []]
)
def test_malformed_loads(plant: IngestPlant, client: APIClient, body: Any) -> None:
    assert client.post("/api/carriers/P1/load", body).status_code == 400
    assert client.post(f"/api/carriers/{'x' * 101}/load", {"units": [{"sn": "a"}]}).status_code == 400


def test_who_may_load(plant: IngestPlant) -> None:
    body = {"units": [{"sn": plant.sns[0]}]}
    assert api_client("QUALITY").post("/api/carriers/P1/load", body).status_code == 403
    for role in ("OPERATOR", "INTEGRATION"):
        assert api_client(role).post("/api/carriers/P1/load", body).status_code == 200


# --- what is not there ------------------------------------------------------------------------------------


def test_a_position_without_a_unit_may_say_anything(db: None, send: Send, refuse: Send, client: APIClient) -> None:
    plant = waiting_for_the_oven(reflow=BY_POSITION)
    load(client, "PANEL-1", (plant.sns[0], "1"))
    nothing: dict[str, Any] = {"pos": "2", "result": "EMPTY", "values": [{"value": 1}]}
    refuse(boards("PANEL-1", {"pos": "1", "result": "EMPTY"}, nothing), "INGEST_PAYLOAD_INVALID")
    answer = send(boards("PANEL-1", {"pos": "1"}, nothing), 201)
    assert len(answer["trackIds"]) == 1
    kept = client.get(f"/api/ingest/events/{answer['eventId']}").json()["data"]
    assert kept["normalized"]["positionsWithoutUnit"] == 1


def test_units_are_made_on_the_fly_only_where_the_run_is_named(client: APIClient, refuse: Send, send: Send) -> None:
    plant = make_ingest_plant(units=0)
    send({**printed("NEW-1"), "runNo": "RUN-1"}, 201)
    refuse(printed("NEW-2"), "UNIT_NOT_FOUND", 404)
    assert Unit.objects.filter(run=plant.run).count() == 1


def test_a_batch_of_known_and_unknown_units_makes_none_without_a_run(db: None, refuse: Send, send: Send) -> None:
    make_ingest_plant(units=0, only=30)
    send({**reflowed("P-1", ["NEW-1"]), "runNo": "RUN-1"}, 201)
    Unit.objects.update(current_step_no=30, status="QUEUED")
    refuse(reflowed("P-1", ["NEW-1", "NEW-2"]), "UNIT_NOT_FOUND", 404)
    send({**reflowed("P-1", ["NEW-1", "NEW-2"]), "runNo": "RUN-1"}, 201)
