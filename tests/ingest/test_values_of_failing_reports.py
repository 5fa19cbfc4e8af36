"""Values never save a board: a report that fails its unit is taken, without those of its values that do not fit."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from ingest.models import IngestEvent
from mes.production.models import Unit
from tests.execution.support import track_in, track_out
from tests.factories import make_spec
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, event, final_test, make_ingest_plant, printed

pytestmark = pytest.mark.django_db
LOW = {"name": "Supply Voltage", "value": 3.0, "unit": "V"}  # KEY, required, 3.2..3.4
WRONG = {
    "of another type": {"name": "Current", "value": "much", "unit": "A"},
    "in a unit of measure that nobody converts": {"name": "Current", "value": 1.0, "unit": "furlong"},
    "collected by hand": {"name": "Colour", "value": "green"},
}
WRONGLY = [pytest.param(value, id=name) for name, value in WRONG.items()]


@pytest.fixture
def tested(db: None) -> IngestPlant:
    """Return a plant whose units are at the tester, which measures two further values."""
    make_spec("TEST", "Current", item_type="OBSERVATION", unit="A")
    make_spec("TEST", "Colour", item_type="OBSERVATION", data_type="TEXT", method="MANUAL")
    plant = make_ingest_plant()
    Unit.objects.update(current_step_no=40)
    return plant


def passes(sn: str) -> list[tuple[str, str]]:
    return list(Track.objects.filter(unit__sn=sn).order_by("id").values_list("result", "result_override"))


@pytest.mark.parametrize("wrong", WRONGLY)
@pytest.mark.parametrize(
    ("said", "closed"),
    [
        pytest.param({"result": "NG", "values": []}, ("FAIL", ""), id="claimed FAIL"),
        pytest.param({"values": [LOW]}, ("FAIL", "DATA"), id="KEY value outside its limits"),
    ],
)
def test_a_failing_report_is_taken_without_the_values_that_do_not_fit(
    tested: IngestPlant, send: Send, said: dict[str, Any], closed: tuple[str, str], wrong: dict[str, Any]
) -> None:
    sn = tested.sns[0]
    answer = send(final_test(sn, **{**said, "values": [wrong, *said["values"]]}), 201)
    assert passes(sn) == [closed]
    [problem] = answer["problems"]
    assert wrong["name"] in problem
    kept = IngestEvent.objects.get()
    assert kept.unmapped_count == 1
    assert kept.normalized["problems"] == [problem]
    assert DataValue.objects.count() == len(said["values"])


@pytest.mark.parametrize("wrong", WRONGLY)
def test_a_passing_report_is_refused_for_them(tested: IngestPlant, refuse: Send, wrong: dict[str, Any]) -> None:
    good = {**LOW, "value": 3.3}
    body = final_test(tested.sns[0], values=[good, wrong])
    code = {"much": "DATA_TYPE_MISMATCH", 1.0: "INGEST_PAYLOAD_INVALID", "green": "SPEC_NOT_AUTO"}[wrong["value"]]
    refuse(body, code)


def test_a_pass_that_is_forced_to_fail_needs_no_required_data(db: None, send: Send, client: APIClient) -> None:
    """By a machine, and by hand."""
    make_spec("TEST", "Current", lsl=0, usl=1)
    plant = make_ingest_plant()
    Unit.objects.update(current_step_no=40)
    machine, hand, _third = plant.sns
    send(final_test(machine, values=[{"name": "Current", "value": 9}]), 201)
    assert passes(machine) == [("FAIL", "DATA")]
    track_in(client, "TST-1", hand)
    data = [{"specName": "Current", "valueNumber": 0.5}]
    assert track_out(client, "TST-1", hand, data=data).json()["error"]["code"] == "REQUIRED_DATA_MISSING"
    data = [{"specName": "Current", "valueNumber": 9}]
    assert track_out(client, "TST-1", hand, data=data).json()["data"]["resultOverride"] == "DATA"


def test_by_hand_a_failing_pass_is_closed_without_what_does_not_fit(tested: IngestPlant, client: APIClient) -> None:
    sn = tested.sns[0]
    track_in(client, "TST-1", sn)
    wrong = [{"specName": "Current", "valueText": "much"}]
    volts = {"specName": "Supply Voltage", "valueNumber": 3.3}
    answer = track_out(client, "TST-1", sn, data=[volts, *wrong])
    assert answer.json()["error"]["code"] == "DATA_TYPE_MISMATCH"
    answer = track_out(client, "TST-1", sn, data=[{**volts, "valueNumber": 3.0}, *wrong]).json()["data"]
    assert (answer["result"], answer["problems"]) == ("FAIL", ["Values of another type than their spec's: Current"])


def test_a_held_value_takes_its_report_along(db: None, send: Send) -> None:
    make_spec("PRINT", "Pressure", item_type="OBSERVATION", alarm_min=1, alarm_max=5, alarm_action="HOLD")
    plant = make_ingest_plant()
    sn = plant.sns[0]
    wrong = {"name": "Paste Height", "value": "high"}
    answer = send(printed(sn, values=[{"name": "Pressure", "value": 9}, wrong]), 201)
    assert (answer["unitStatus"], len(answer["problems"])) == ("ON_HOLD", 1)
    assert passes(sn) == [("PASS", "")]


@pytest.mark.parametrize("volts", [[3.3, 3.0], [3.0, 3.3]])
def test_of_two_values_at_one_instant_the_worse_counts(tested: IngestPlant, send: Send, volts: list[float]) -> None:
    values = [{**LOW, "value": value} for value in volts]
    send(final_test(tested.sns[0], values=values), 201)
    assert passes(tested.sns[0]) == [("FAIL", "DATA")]


@pytest.mark.parametrize("early", [3.3, 3.0])
def test_of_two_values_at_one_instant_by_two_doors_the_worse_counts(
    tested: IngestPlant, client: APIClient, early: float
) -> None:
    """Of device data and of who tracks it out; the later one counts where it is later."""
    for sn, apart, counts in ((tested.sns[0], 0, 3.0), (tested.sns[1], 1, 6.3 - early)):
        track_id = track_in(client, "TST-1", sn).json()["data"]["trackId"]
        at = timezone.now()
        reading = {"specName": "Supply Voltage", "valueNumber": early, "collectedAt": at.isoformat()}
        body = {"eventId": f"evt-{sn}", "eventTime": at.isoformat(), "source": "AUTO", "trackId": track_id}
        assert client.post("/api/integration/device-data", {**body, "data": [reading]}).status_code == 201
        data = [{"specName": "Supply Voltage", "valueNumber": 6.3 - early}]
        out = track_out(client, "TST-1", sn, data=data, at=(at + timedelta(seconds=apart)).isoformat())
        assert out.json()["data"]["result"] == ("FAIL" if counts == 3.0 else "PASS")


def test_a_value_of_the_whole_carrier_that_does_not_fit_is_left_out_once(db: None, send: Send) -> None:
    plant = make_ingest_plant()
    Unit.objects.update(current_step_no=30)
    body = {"carrier": "PALLET-1", "sns": plant.sns, "station": "OVN-1"}
    values = [{"name": "Peak Temperature", "value": "hot"}]
    assert send(event("BATCH", {**body, "result": "OK", "values": values}), 422)["code"] == "DATA_TYPE_MISMATCH"
    answer = send(event("BATCH", {**body, "result": "NG", "values": values}), 201)
    assert len(answer["problems"]) == 1
    assert IngestEvent.objects.exclude(status="REJECTED").get().unmapped_count == 1
    assert set(Unit.objects.values_list("status", flat=True)) == {"OUT_FAILED"}
