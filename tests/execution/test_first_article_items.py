"""Items of a first article that the system judges: numbers by their limits, and values that were read on the way."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierTrack, CarrierTrackUnit, DataValue, FirstArticleItem, Track
from execution.quality.inspection_fields import read_number
from mes.errors import ValidationFailed
from mes.platform.accounts.roles import Role
from mes.production.models import Unit
from mes.routing import snapshots
from mes.routing.compilation import compile_route
from mes.routing.models import FaiTemplate, RouteExecutionConfig
from tests.execution.support import assert_done, assert_refused, make_run, nothing_written, track_in, track_out
from tests.execution.test_first_article import act, begin
from tests.factories import Plant, api_client, make_plant

HEIGHT = {"itemName": "Paste height", "stepNo": 10, "lsl": 100, "usl": 140.5, "unit": "µm"}
SPEED = {"itemName": "Speed", "stepNo": 20, "specName": "Conveyor Speed"}
SLOW = {"itemName": "Slow", "stepNo": 20, "specName": "Conveyor Speed", "usl": 58}
WEIGHT = {"itemName": "Weight", "lsl": 5}
LOOKS = {"itemName": "Looks", "itemSpec": "clean", "stepNo": 10}
FREE = {"itemName": "Packing", "itemSpec": "as drawn"}


@pytest.fixture
def inspector(db: None) -> APIClient:
    return api_client(Role.QUALITY)


def make_limits_plant(*items: dict[str, Any]) -> Plant:
    plant = make_plant(units=0)
    RouteExecutionConfig.objects.filter(routing=plant.routing, step_no=10).update(requires_fai=True)
    plant.routing.fai_template = FaiTemplate.objects.create(code="FAI-1", name="First article", items=list(items))
    plant.routing.save()
    make_run(plant, run_no="RUN-2", sns=["A", "B"], authorize=False)
    return plant


def run_through(*, up_to: int, speed: float = 60.0) -> None:
    """Have the sample pass the steps up to one."""
    operator = api_client(Role.OPERATOR)
    data = {
        20: [{"specName": "Conveyor Speed", "valueNumber": speed}],
        30: [{"specName": "Supply Voltage", "valueNumber": 3.3}],
    }
    for step_no, station in ((10, "SMT-01"), (20, "REF-01"), (30, "TST-01")):
        if step_no <= up_to and (Unit.objects.get(sn="A").current_step_no or 0) <= step_no:
            assert_done(track_in(operator, station, sn="A", run_no="RUN-2"), 201)
            values = {"data": data[step_no]} if step_no in data else {}
            assert_done(track_out(operator, station, sn="A", run_no="RUN-2", **values))


def record(client: APIClient, fai: dict[str, Any], item: dict[str, Any], **said: Any) -> Any:
    return act(client, fai, "items", unitSn="A", itemName=item["itemName"], **said)


def test_a_number_is_judged_by_its_limits(inspector):
    make_limits_plant(HEIGHT, WEIGHT, LOOKS, FREE)
    fai = begin(inspector)
    with nothing_written():
        details = assert_refused(record(inspector, fai, HEIGHT, actualNumber=120), "FAI_STEP_NOT_PASSED")
        assert details == {"sn": "A", "stepNo": 10, "item": "Paste height"}
        assert_refused(record(inspector, fai, LOOKS, result="PASS"), "FAI_STEP_NOT_PASSED")
    assert_done(record(inspector, fai, FREE, result="PASS"), 201)  # of no step, and judged by nobody else
    run_through(up_to=10)
    for number, claimed, result, kept in (
        (100, None, "PASS", ""),
        (140.5, "PASS", "PASS", ""),
        (99.99, "PASS", "FAIL", "PASS"),
        (140.51, None, "FAIL", ""),
        (120, "FAIL", "PASS", "FAIL"),
    ):
        said = {"actualNumber": number} | ({"result": claimed} if claimed else {})
        item = assert_done(record(inspector, fai, HEIGHT, **said), 201)
        told = (item["result"], item["claimedResult"], item["actualNumber"], item["itemSpec"], item["actualValue"])
        assert told == (result, kept, number, "100 … 140.5 µm", f"{number} µm")
    with nothing_written():
        assert_refused(record(inspector, fai, WEIGHT, actualNumber=5), "FAI_STEP_NOT_PASSED")  # of the last step
        for wrong in ("120", True, [120], {"x": 1}):
            details = assert_refused(record(inspector, fai, HEIGHT, actualNumber=wrong), "VALIDATION_ERROR", 400)
            assert list(details) == ["actualNumber"], wrong
        assert "actualNumber" in assert_refused(record(inspector, fai, HEIGHT, result="PASS"), "VALIDATION_ERROR", 400)
        assert "result" in assert_refused(record(inspector, fai, LOOKS), "VALIDATION_ERROR", 400)
        for raw in ("NaN", "1e999", "-Infinity", "9" * 400):
            body = '{"unitSn": "A", "itemName": "Paste height", "actualNumber": ' + raw + "}"
            address = f"/api/fai/{fai['id']}/items"
            assert inspector.post(address, body, content_type="application/json").status_code == 400, raw
    run_through(up_to=30)
    assert assert_done(record(inspector, fai, WEIGHT, actualNumber=5), 201)["result"] == "PASS"
    details = assert_refused(act(inspector, fai, "complete", decision="PASS"), "FAI_ITEMS_OPEN")
    assert details["items"] == ["A: Looks"]
    assert_done(record(inspector, fai, LOOKS, result="PASS"), 201)
    assert_done(act(inspector, fai, "complete", decision="PASS"))


def test_a_value_is_read_with_its_judgement_from_the_latest_pass(inspector):
    make_limits_plant(SPEED, SLOW)
    fai = begin(inspector)
    run_through(up_to=10)
    assert_refused(record(inspector, fai, SPEED), "FAI_STEP_NOT_PASSED")
    run_through(up_to=20, speed=54.0)  # an observation fails nothing
    item = assert_done(record(inspector, fai, SPEED, result="PASS"), 201)
    told = (item["result"], item["claimedResult"], item["actualNumber"], item["actualValue"])
    assert told == ("FAIL", "PASS", 54.0, "54 cm/min")
    assert_done(api_client().post("/api/units/A/hold", {"reason": "again"}))
    assert_done(api_client().post("/api/units/A/rework", {"reason": "again", "toStepNo": 20}))
    run_through(up_to=20, speed=60.0)
    assert assert_done(record(inspector, fai, SPEED), 201)["result"] == "PASS"
    assert assert_done(record(inspector, fai, SLOW), 201)["result"] == "FAIL"  # by its own limit
    with nothing_written():
        assert_refused(record(inspector, fai, SPEED, actualNumber=59), "VALIDATION_ERROR", 400)
    value = DataValue.objects.filter(name="Conveyor Speed").latest("id")
    track, tray = value.track, Carrier.objects.create(carrier_no="TRAY-1")
    carried = CarrierTrack.objects.create(
        carrier=tray, run=track.run, step_no=20, operation_code="REFLOW", in_at=track.in_at, out_at=track.out_at
    )
    CarrierTrackUnit.objects.create(carrier_track=carried, track=track)
    DataValue.objects.filter(pk=value.pk).update(unit=None, track=None, carrier_track=carried)
    assert assert_done(record(inspector, fai, SPEED), 201)["actualNumber"] == 60.0  # its carrier's
    DataValue.objects.update(name="another")
    assert_refused(record(inspector, fai, SPEED), "REQUIRED_DATA_MISSING", 422)
    Track.objects.filter(step_no=20).update(operation_code="WASH")  # as another route has that step
    assert_refused(record(inspector, fai, SPEED), "FAI_STEP_NOT_PASSED")
    assert FirstArticleItem.objects.count() == 4


def test_what_is_of_no_template_is_as_it_was(inspector):
    plant = make_plant(units=0)
    RouteExecutionConfig.objects.filter(routing=plant.routing, step_no=10).update(requires_fai=True)
    make_run(plant, run_no="RUN-2", sns=["A"], authorize=False)
    fai = begin(inspector)
    item = assert_done(record(inspector, fai, HEIGHT, result="PASS", actualValue="118 µm"), 201)
    assert (item["result"], item["claimedResult"], item["actualNumber"]) == ("PASS", "", None)


def test_items_are_frozen_and_what_says_nothing_changes_no_digest(db):
    engineer = api_client(Role.ENGINEER)
    plant = make_plant(units=0)
    plain = [{"itemName": "Looks", "itemSpec": "clean"}]
    assert_done(engineer.post("/api/fai-templates", {"code": "FAI-1", "name": "x", "items": plain}), 201)
    assert_done(engineer.patch("/api/routes/ROUTE-1", {"faiTemplateCode": "FAI-1"}))
    before, _changed = compile_route(code="ROUTE-1")
    nothing = {"stepNo": None, "specName": "", "lsl": None, "usl": None, "unit": None}
    assert_done(engineer.patch("/api/fai-templates/FAI-1", {"items": [{**plain[0], **nothing}]}))
    same, changed = compile_route(code="ROUTE-1")
    assert (changed, same.digest) == (False, before.digest)
    assert_done(engineer.patch("/api/fai-templates/FAI-1", {"items": [HEIGHT, SPEED]}))
    version, changed = compile_route(code="ROUTE-1")
    assert changed and version.snapshot["route"]["faiItems"] == [
        {"itemName": "Paste height", "itemSpec": "", "stepNo": 10, "lsl": 100.0, "usl": 140.5, "unit": "µm"},
        {**SPEED, "itemSpec": ""},
    ]
    assert snapshots.to_document(snapshots.from_document(version.snapshot)) == version.snapshot
    wrong = [{**HEIGHT, "stepNo": 15}, {**SPEED, "specName": "Peak Pressure"}]
    assert_done(engineer.patch("/api/fai-templates/FAI-1", {"items": wrong}))
    version, _changed = compile_route(code="ROUTE-1")
    problems = [(problem["stepNo"], problem["code"]) for problem in version.errors]
    assert problems == [(15, "FAI_ITEM_STEP_NOT_FOUND"), (20, "FAI_ITEM_SPEC_NOT_FOUND")]
    assert plant.routing.code == "ROUTE-1"


def test_a_template_with_what_is_no_limit_is_refused(db):
    engineer = api_client(Role.ENGINEER)
    for wrong, place in (
        ({"lsl": "100"}, "0.lsl"),
        ({"usl": True}, "0.usl"),
        ({"lsl": 10**400}, "0.lsl"),
        ({"lsl": 5, "usl": 4.9}, "0.usl"),
        ({"stepNo": "10"}, "0.stepNo"),
        ({"stepNo": 0}, "0.stepNo"),
        ({"stepNo": 1.5}, "0.stepNo"),
        ({"specName": 7}, "0.specName"),
        ({"unit": "u" * 21}, "0.unit"),
    ):
        body = {"code": "FAI-1", "name": "x", "items": [{"itemName": "x", **wrong}]}
        details = assert_refused(engineer.post("/api/fai-templates", body), "VALIDATION_ERROR", 400)
        assert f"items.{place}" in details, (wrong, details)
    assert not FaiTemplate.objects.exists()


def test_how_people_type_numbers():
    for typed, number in (("118", 118.0), ("118,5", 118.5), (" -.5".strip(), -0.5), ("1e3", 1000.0), ("+7.", 7.0)):
        assert read_number(typed) == number
    assert read_number(" ") is None
    for typed in ("x", "nan", "inf", "1e999", "1 000", "1.000,5", "١٢", "0x10", "1_0"):
        with pytest.raises(ValidationFailed):
            read_number(typed)
