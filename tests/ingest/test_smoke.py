"""The whole way of a unit through machines."""

import pytest

from execution.models import DataValue, Track
from ingest.models import IngestEvent
from mes.production.models import Unit
from tests.factories import api_client
from tests.ingest.support import final_test, inspected, make_ingest_plant, printed, push, reflowed

pytestmark = pytest.mark.django_db


def test_a_unit_goes_through_the_line_by_events_alone():
    plant = make_ingest_plant()
    client, sn = api_client(), plant.sns[0]
    answer = push(
        client,
        printed(sn, values=[{"name": "Paste Height", "value": 120, "unit": "µm"}, {"name": "x", "value": 1}]),
        201,
    )
    assert (answer["status"], answer["unitStatus"], len(answer["trackIds"])) == ("APPLIED", "QUEUED", 1)
    assert push(client, inspected(sn, "start"), 201)["unitStatus"] == "IN_STATION"
    assert push(client, inspected(sn, "end"), 201)["unitStatus"] == "QUEUED"
    assert push(client, reflowed("PANEL-1", [sn]), 201)["unitStatus"] == "QUEUED"
    assert push(client, final_test(sn), 201)["unitStatus"] == "DONE"
    assert list(Track.objects.order_by("id").values_list("step_no", "result")) == [
        (10, "PASS"),
        (20, "PASS"),
        (30, "PASS"),
        (40, "PASS"),
    ]
    assert DataValue.objects.count() == 3
    assert IngestEvent.objects.filter(status="APPLIED").count() == 5
    assert Unit.objects.get(sn=sn).status == "DONE"


def test_repeats_conflicts_and_refusals():
    plant = make_ingest_plant()
    client, sn = api_client(), plant.sns[0]
    body = printed(sn)
    first = push(client, body, 201)
    again = push(client, body, 200)
    assert again == {**first, "duplicate": True}
    assert push(client, {**body, "payload": {**body["payload"], "result": "NG"}}, 409)["code"] == "DEDUPE_KEY_CONFLICT"
    assert push(client, inspected(sn, "end", result="perhaps"), 422)["code"] == "INGEST_PAYLOAD_INVALID"
    assert push(client, printed("nobody"), 404)["code"] == "UNIT_NOT_FOUND"
    assert push(client, final_test(sn), 202)["status"] == "WAITING"
