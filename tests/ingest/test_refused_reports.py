"""A failing report is never without effect: where it is refused, the unit is held."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from execution import carriers, dispositions
from execution.carriers import Placing
from execution.models import Disposition, DispositionAction
from ingest import candidates
from ingest.candidates import forget
from ingest.models import OpenIngestEvent
from ingest.processing import catch_up
from mes.plant.models import Equipment, Station
from mes.platform.accounts.roles import Role
from mes.production.models import Run, RunStatus, Unit
from tests.factories import api_client, make_spec, make_user, put_runs
from tests.ingest.conftest import Send
from tests.ingest.support import (
    PRINTING,
    REFLOWING,
    RESULT,
    event,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    push,
)

pytestmark = pytest.mark.django_db
LOW = {"name": "Supply Voltage", "value": 3.0, "unit": "V"}  # KEY, 3.2..3.4


def put(sn: str, step_no: int, status: str = "QUEUED", held_from: str = "") -> None:
    Unit.objects.filter(sn=sn).update(current_step_no=step_no, status=status, held_from=held_from)


def state(sn: str) -> tuple[str, str, int | None]:
    unit = Unit.objects.get(sn=sn)
    return unit.status, unit.held_from, unit.current_step_no


def holds(sn: str) -> list[tuple[int | None, bool]]:
    """Return what each hold of a unit was about: the step, and whether it names an open event."""
    decisions = Disposition.objects.filter(unit__sn=sn, action=DispositionAction.HOLD).order_by("id")
    open_events = set(OpenIngestEvent.objects.values_list("pk", flat=True))
    return [(each.about_step_no, each.about_event_id in open_events) for each in decisions]


FAILING = {
    "claimed FAIL": {"result": "NG"},
    "KEY value outside its limits": {"values": [LOW]},
    "both": {"result": "NG", "values": [LOW]},
    "and what does not fit beside it": {"values": [LOW, {"name": "Supply Voltage", "value": "3.3"}, {"value": 1}]},
    "FAIL, and values that cannot be read": {"result": "NG", "values": [{"value": 1}, 7]},
}
PASSING = {"passing": {}, "an unknown word": {"result": "?"}, "a value that does not fit": {"values": [{"value": 1}]}}


@pytest.mark.parametrize("said", [pytest.param(said, id=name) for name, said in FAILING.items()])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((20, "QUEUED", ""), ("ON_HOLD", "QUEUED", 20), id="before the step, and it may not wait"),
        pytest.param((20, "OUT_FAILED", ""), ("ON_HOLD", "OUT_FAILED", 20), id="failed at another step"),
        pytest.param((40, "DONE", ""), ("ON_HOLD", "DONE", 40), id="done"),
        pytest.param((20, "ON_HOLD", "QUEUED"), ("ON_HOLD", "QUEUED", 20), id="held"),
        pytest.param((40, "OUT_FAILED", ""), ("OUT_FAILED", "", 40), id="failed at this step"),
        pytest.param((40, "ON_HOLD", "OUT_FAILED"), ("ON_HOLD", "OUT_FAILED", 40), id="failed at this step, and held"),
        pytest.param((40, "SCRAPPED", ""), ("SCRAPPED", "", 40), id="scrapped"),
    ],
)
def test_a_failing_report_that_is_refused_holds_its_unit(
    send: Send, before: tuple[int, str, str], after: tuple[str, str, int], said: dict[str, Any]
) -> None:
    plant = make_ingest_plant(test={**TESTING_AT_ONCE})
    sn = plant.sns[0]
    put(sn, *before)
    body = final_test(sn, **said)
    error = send(body, None)
    assert "code" in error, error
    assert state(sn) == after
    stays = after in (before[1:] + before[:1],) and "QUEUED" not in before
    assert holds(sn) == ([] if stays else [(40, True)])
    assert (error["details"].get("held") == [sn]) == (after[0] == "ON_HOLD")
    kept = OpenIngestEvent.objects.get()
    assert kept.error["details"].get("held") == error["details"].get("held")


@pytest.mark.parametrize("said", [pytest.param(said, id=name) for name, said in PASSING.items()])
@pytest.mark.parametrize("status", ["QUEUED", "DONE", "OUT_FAILED"])
def test_any_other_report_that_is_refused_moves_and_holds_nobody(send: Send, status: str, said: dict[str, Any]) -> None:
    plant = make_ingest_plant(test={**TESTING_AT_ONCE})
    sn = plant.sns[0]
    put(sn, 20, status)
    error = send(final_test(sn, **said), None)
    assert "held" not in error["details"]
    assert (state(sn), Disposition.objects.count()) == ((status, "", 20), 0)


TESTING_AT_ONCE = {**PRINTING, "testResultIdPath": "payload.testId"}


def test_the_same_report_again_holds_nobody_twice_and_another_one_does(send: Send) -> None:
    plant = make_ingest_plant(test={**TESTING_AT_ONCE})
    sn = plant.sns[0]
    put(sn, 20)
    body = final_test(sn, result="NG")
    for _time in range(3):
        send(body, 409)
    assert holds(sn) == [(40, True)]
    dispositions.release_unit(sn=sn, reason="looked at", by="quality")
    send(body, 409)
    assert state(sn) == ("QUEUED", "", 20)  # somebody decided about this very report
    send(final_test(sn, result="NG"), 409)
    assert state(sn) == ("ON_HOLD", "QUEUED", 20)


def test_a_wait_that_ends_holds_the_unit(send: Send) -> None:
    plant = make_ingest_plant()
    sn = plant.sns[0]
    send(final_test(sn, result="NG"), 202)
    assert (state(sn), holds(sn)) == (("QUEUED", "", 10), [])
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    catch_up()
    assert OpenIngestEvent.objects.get().status == "REJECTED"
    assert (state(sn), holds(sn)) == (("ON_HOLD", "QUEUED", 10), [(40, True)])


def test_whatever_forbids_it_holds(send: Send) -> None:
    plant = make_ingest_plant()
    first, second, third = plant.sns
    printer = Station.objects.get(code="PRN-1")
    Equipment.objects.create(code="EQ-P", name="Printer", station=printer, status="down")
    assert send(printed(first, result="NG"), 409)["code"] == "EQUIPMENT_UNAVAILABLE"
    Equipment.objects.all().delete()
    late = printed(second, result="NG") | {"occurredAt": (timezone.now() + timedelta(hours=1)).isoformat()}
    assert send(late, 422)["code"] == "EVENT_TIME_IN_FUTURE"
    put_runs(RunStatus.ON_HOLD)
    send(printed(third, result="NG"), 409)
    assert [state(sn)[0] for sn in plant.sns] == ["ON_HOLD"] * 3


@pytest.mark.parametrize(
    ("status", "named", "code"),
    [
        pytest.param("COMPLETED", {}, "INGEST_MAPPING_MISSING", id="its run is closed, and no run is open"),
        pytest.param("COMPLETED", {"runNo": "RUN-9"}, "RUN_NOT_FOUND", id="and a run is named that is none"),
        pytest.param("IN_PROGRESS", {"runNo": "RUN-9"}, "RUN_NOT_FOUND", id="a run is named that is none"),
    ],
)
def test_what_no_open_or_named_run_reads_is_read_by_the_route_of_the_unit(
    send: Send, status: str, named: dict[str, str], code: str
) -> None:
    plant = make_ingest_plant()
    first, second, _third = plant.sns
    Unit.objects.update(current_step_no=40, status="DONE")
    put_runs(status)
    forget()
    error = send(final_test(first, result="NG") | named, None)
    assert (error["code"], error["details"].get("held")) == (code, [first])
    assert state(first) == ("ON_HOLD", "DONE", 40)
    assert holds(first) == [(40, True)]
    assert "held" not in send(final_test(second) | named, None)["details"]
    assert send(final_test("NOBODY", result="NG") | named, None)["code"] == code


def test_a_unit_that_the_envelope_names_is_held_however_long_ago_its_run_ended(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "ENDED_RUNS", 0)  # others ended since
    first, second, _third = make_ingest_plant().sns
    Unit.objects.update(current_step_no=40, status="DONE")
    Run.objects.update(status="COMPLETED")
    forget()
    assert send({**final_test(first, result="NG"), "sn": first}, None)["details"]["held"] == [first]
    assert send({**final_test(second, result="NG"), "sns": [second]}, None)["details"]["held"] == [second]


def test_of_a_panel_that_is_refused_only_the_bad_board_is_held(send: Send) -> None:
    """By serial number, and by position on a carrier that carries them."""
    items = {**REFLOWING, "unitsPath": "payload.boards", "snPath": "sn", "positionPath": "position"}
    items |= {"result": {**RESULT, "path": "result"}, "batchPolicy": "ALL_OR_NOTHING"}
    plant = make_ingest_plant(reflow={key: value for key, value in items.items() if key != "snListPath"})
    first, second, third = plant.sns
    reports = [{"sn": first, "result": "OK"}, {"sn": second, "result": "NG"}, {"sn": third, "result": "OK"}]
    error = send(event("BATCH", {"station": "OVN-1", "boards": reports}), 409)  # they were not printed yet
    assert error["details"]["held"] == [second]
    assert [state(sn)[0] for sn in plant.sns] == ["QUEUED", "ON_HOLD", "QUEUED"]
    placings = [Placing(sn, str(position)) for position, sn in enumerate((first, third), start=1)]
    carriers.load(carrier_no="PALLET-9", placings=placings)
    reports = [{"position": "1", "result": "OK"}, {"position": "2", "result": "NG"}]
    error = send(event("BATCH", {"carrier": "PALLET-9", "station": "OVN-1", "boards": reports}), 409)
    assert error["details"]["held"] == [third]


def test_a_bad_board_that_a_partial_batch_leaves_out_is_held(send: Send) -> None:
    items = {**REFLOWING, "unitsPath": "payload.boards", "snPath": "sn", "batchPolicy": "PARTIAL"}
    items |= {"result": {**RESULT, "path": "result"}}
    plant = make_ingest_plant(reflow={key: value for key, value in items.items() if key != "snListPath"})
    first, second, third = plant.sns
    put(first, 30)
    reports = [{"sn": first, "result": "OK"}, {"sn": second, "result": "NG"}, {"sn": third, "result": "OK"}]
    answer = send(event("BATCH", {"station": "OVN-1", "boards": reports}), 201)
    assert [(item["sn"], item.get("held")) for item in answer["skipped"]] == [(second, True), (third, None)]
    assert [state(sn)[0] for sn in plant.sns] == ["QUEUED", "ON_HOLD", "QUEUED"]
    assert Disposition.objects.get().about_event_id == int(answer["eventId"])


def test_what_is_said_of_a_whole_carrier_is_said_of_each_unit_on_it(send: Send) -> None:
    plant = make_ingest_plant()
    carriers.load(carrier_no="PALLET-9", placings=[Placing(sn, str(no)) for no, sn in enumerate(plant.sns[:2])])
    too_hot = [{"name": "Peak Temperature", "value": 300.0}]
    error = send(event("BATCH", {"carrier": "PALLET-9", "station": "OVN-1", "result": "OK", "values": too_hot}), 409)
    assert error["details"]["held"] == sorted(plant.sns[:2])


def test_the_step_that_the_report_was_about_is_where_rework_begins(send: Send) -> None:
    plant = make_ingest_plant(units=1)
    sn = plant.sns[0]
    put(sn, 40, "DONE")
    send(printed(sn, result="NG"), 409)
    assert holds(sn) == [(10, True)]
    unit = dispositions.rework_unit(sn=sn, reason="print again", by="quality")
    assert (unit.status, unit.current_step_no) == ("QUEUED", 10)


def test_an_inspection_that_begins_says_nothing_against_its_unit(send: Send) -> None:
    plant = make_ingest_plant()
    sn = plant.sns[0]
    put(sn, 40, "DONE")
    send(inspected(sn, "start", result="NG"), 409)
    assert state(sn) == ("DONE", "", 40)
    send(inspected(sn, "end", result="NG"), 409)
    assert state(sn) == ("ON_HOLD", "DONE", 40)


def test_a_value_whose_alarm_holds_is_failing(send: Send, db: None) -> None:
    make_spec("PRINT", "Pressure", item_type="OBSERVATION", alarm_min=1, alarm_max=5, alarm_action="HOLD")
    plant = make_ingest_plant()
    sn = plant.sns[0]
    put(sn, 40, "DONE")
    send(printed(sn, values=[{"name": "Pressure", "value": 4}]), 409)
    assert state(sn)[0] == "DONE"
    send(printed(sn, values=[{"name": "Pressure", "value": 9}]), 409)
    assert state(sn)[0] == "ON_HOLD"
    assert "Pressure" in Unit.objects.get(sn=sn).hold_reason


def test_a_token_of_another_station_holds_nobody() -> None:
    plant = make_ingest_plant()
    put(plant.sns[0], 40, "DONE")
    limited = api_client("INTEGRATION", ["TST-1"])
    assert push(limited, printed(plant.sns[0], result="NG"))["code"] == "PERMISSION_DENIED"
    assert state(plant.sns[0])[0] == "DONE"


def test_a_unit_that_there_is_not_is_held_by_nobody(send: Send) -> None:
    make_ingest_plant()
    error = send(printed("NEVER-MADE", result="NG"), None)
    assert "held" not in error["details"]


def test_the_page_of_a_held_unit_leads_to_the_report_that_held_it(send: Send) -> None:
    plant = make_ingest_plant()
    sn = plant.sns[0]
    put(sn, 40, "DONE")
    send(printed(sn, result="NG"), 409)
    browser = Client()
    browser.force_login(make_user(Role.ADMIN))
    page = browser.get(f"/trace/units/{sn}/").content.decode()
    assert "LINE reported at step 10: result FAIL" in page
    address = f"/ingest/events/?q={sn}"
    assert f'href="{address}"' in page
    assert "STEP_MISMATCH" in browser.get(address).content.decode()
