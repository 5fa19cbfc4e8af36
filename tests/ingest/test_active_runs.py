"""Machines that know no run number: by when it happened, everything lands in the run that was active then."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Track
from execution.quality.models import InspectionResult
from ingest.mapping.presets import list_presets
from ingest.models import OpenIngestEvent
from mes.production import line_acts
from mes.production.decision_models import RunActivation
from mes.production.models import Run, Unit
from mes.production_counts.models import CountReport, CountStream
from tests.factories import api_client, make_line, make_run, make_station, put_runs
from tests.ingest import test_cfx_examples as cfx
from tests.ingest import test_ingest_page as page
from tests.ingest.conftest import Send
from tests.ingest.support import REFLOWING, IngestPlant, event, inspected, make_ingest_plant, printed, push, reflowed
from tests.ingest.test_presets import make_route_of, preset_of, sample, station_in
from tests.ingest.test_statements import count

pytestmark = pytest.mark.django_db


@pytest.fixture
def line() -> IngestPlant:
    """Line SMT-A with two runs of one route, which take what comes; none is active."""
    plant = make_ingest_plant(units=0)
    make_run(plant.version, plant.run.line, run_no="RUN-2", plan_qty=1000)
    put_runs("IN_PROGRESS")
    return plant


def activate(run_no: str | None, at: datetime | None = None, station: str | None = None) -> None:
    line_acts.set_active_run(line_code="SMT-A", run_no=run_no, at=at, station_code=station, by="test")


def ago(**fields: float) -> datetime:
    return timezone.now() - timedelta(**fields)


def runs_of_tracks() -> dict[str, str]:
    return dict(Track.objects.order_by("id").values_list("unit__sn", "run__run_no"))


# --- changeovers -------------------------------------------------------------------------------------------


def active_at(changeovers: list[tuple[datetime, str]], at: datetime) -> str:
    return next(run_no for since, run_no in reversed(changeovers) if since <= at)


def test_what_lags_lands_in_the_run_that_was_active_when_it_happened(line: IngestPlant, client: APIClient) -> None:
    """Several hundred boards, inspections and counts, up to 20 minutes late and in any order: none in a wrong run."""
    random = Random(4711)
    now = timezone.now().replace(microsecond=0)
    changeovers = [(now - timedelta(minutes=130 - 10 * n), f"RUN-{1 + n % 2}") for n in range(12)]
    for at, run_no in changeovers:
        activate(run_no, at)
    boards = {f"B-{n}": now - timedelta(seconds=random.randrange(1, 7200)) for n in range(200)}
    for n, (at, _run_no) in enumerate(changeovers[1:]):  # at the very moment, and just before
        boards[f"AT-{n}"], boards[f"BEFORE-{n}"] = at, at - timedelta(milliseconds=1)
    arrivals = sorted(boards, key=lambda sn: boards[sn] + timedelta(seconds=random.randrange(1200)))
    reports = [{**printed(sn), "occurredAt": boards[sn].isoformat()} for sn in arrivals]
    answer = client.post("/api/ingest/events/batch", {"events": reports})
    assert answer.json()["data"]["counts"] == {"APPLIED": len(boards)}, answer.content[:2000]
    assert runs_of_tracks() == {sn: active_at(changeovers, at) for sn, at in boards.items()}

    inspections = random.sample(sorted(boards), 40)
    for n, sn in enumerate(inspections):
        body = {"eventId": f"aoi-{n}", "eventTime": timezone.now().isoformat(), "source": "AUTO", "unitSn": sn}
        body |= {"stationCode": "PRN-1", "stepNo": 10, "inspectionType": "AOI", "result": "PASS"}
        assert client.post("/api/integration/inspection-result", body).status_code == 201
    rows = InspectionResult.objects.values_list("track__unit__sn", "track__run__run_no")
    assert dict(rows) == {sn: active_at(changeovers, boards[sn]) for sn in inspections}

    minutes = random.sample(range(1, 119), 100)
    windows = {f"cnt-{minute}": now - timedelta(minutes=minute) for minute in minutes}
    answer = client.post("/api/integration/device-data/batch", {"events": [counted(*w) for w in windows.items()]})
    assert [each["status"] for each in answer.json()["data"]["results"]] == ["CREATED"] * 100
    run_of = dict(CountStream.objects.values_list("id", "run__run_no"))
    found = {report.window_start: run_of[report.stream_id] for report in CountReport.objects.all()}
    assert found == {start: active_at(changeovers, start) for start in windows.values()}


def counted(event_id: str, start: datetime, **fields: Any) -> dict[str, Any]:
    end = start + timedelta(minutes=1)
    window = {"windowStart": start.isoformat(), "windowEnd": end.isoformat(), "mode": "DELTA", "boardsOut": 1}
    body = {"eventId": event_id, "eventTime": timezone.now().isoformat(), "source": "AUTO", "stationCode": "PRN-1"}
    return {**body, "stepNo": 10, "production": window, **fields}


def test_a_window_over_a_changeover_belongs_to_where_it_ends(line: IngestPlant, client: APIClient) -> None:
    changed = ago(minutes=30)
    activate("RUN-1", ago(hours=1))
    activate("RUN-2", changed)
    for event_id, seconds in (("a", 60), ("b", 30)):
        start = changed - timedelta(seconds=seconds)
        assert client.post("/api/integration/device-data", counted(event_id, start)).status_code == 201
    assert list(CountStream.objects.order_by("id").values_list("run__run_no", flat=True)) == ["RUN-1", "RUN-2"]


def test_a_count_where_no_run_was_active(line: IngestPlant, client: APIClient) -> None:
    activate("RUN-1", ago(minutes=10))
    answer = client.post("/api/integration/device-data", counted("a", ago(minutes=20)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NO_ACTIVE_RUN")
    answer = client.post("/api/integration/device-data", counted("b", ago(minutes=5), stationCode="X"))
    assert answer.json()["error"]["code"] == "STATION_NOT_FOUND"


# --- machine events ----------------------------------------------------------------------------------------


def test_a_new_board_is_made_in_the_active_run(line: IngestPlant, send: Send) -> None:
    assert send(printed("NEW"), 404)["code"] == "UNIT_NOT_FOUND"
    kept = OpenIngestEvent.objects.get()
    activate("RUN-2", ago(minutes=5))
    processing_of(kept, send)
    assert runs_of_tracks() == {"NEW": "RUN-2"}


def processing_of(kept: OpenIngestEvent, send: Send) -> None:
    send(kept.payload, 201)


def test_that_of_the_station_comes_before_that_of_the_line(line: IngestPlant, send: Send) -> None:
    activate("RUN-1", ago(minutes=5))
    activate("RUN-2", ago(minutes=5), station="PRN-1")
    send(printed("A"), 201)
    activate(None, station="PRN-1")
    send(printed("B"), 201)
    assert runs_of_tracks() == {"A": "RUN-2", "B": "RUN-1"}


def test_a_known_unit_goes_on_in_its_run_whatever_is_active(line: IngestPlant, send: Send) -> None:
    activate("RUN-1", ago(minutes=5))
    send(printed("A"), 201)
    activate("RUN-2")
    send(inspected("A", "start"), 201)
    assert set(Track.objects.values_list("run__run_no", flat=True)) == {"RUN-1"}


def test_a_new_board_at_a_later_step_is_unknown(line: IngestPlant, send: Send) -> None:
    activate("RUN-1", ago(minutes=5))
    assert send(inspected("NEW", "start"), 404)["code"] == "UNIT_NOT_FOUND"
    assert send(reflowed("P-1", ["NEW"]), 404)["code"] == "UNIT_NOT_FOUND"
    assert not Unit.objects.exists()


def test_a_run_with_registered_units_takes_no_other(send: Send) -> None:
    plant = make_ingest_plant(units=1)
    activate("RUN-1", ago(minutes=5))
    assert send(printed("NEW"), 404)["code"] == "UNIT_NOT_FOUND"
    send(printed(plant.sns[0]), 201)


def test_a_run_that_is_ended_by_now_takes_no_new_board(line: IngestPlant, send: Send) -> None:
    activate("RUN-1", ago(minutes=5))
    put_runs("COMPLETED", run_no="RUN-1")
    assert send(printed("NEW"), 409)["code"] == "RUN_CLOSED"
    assert not Unit.objects.exists()


def test_a_unit_that_left_its_run_before_it_was_made_is_taken(line: IngestPlant, send: Send) -> None:
    Unit.objects.create(sn="FREE", work_order=line.run.work_order)
    activate("RUN-2", ago(minutes=5))
    send(printed("FREE"), 201)
    assert runs_of_tracks() == {"FREE": "RUN-2"}


def test_an_event_names_no_station(line: IngestPlant, send: Send) -> None:
    activate("RUN-1", ago(minutes=5))
    answer = send(event("AUTO", {"sn": "NEW", "result": "OK", "values": []}), None)
    assert answer["code"] in ("UNIT_NOT_FOUND", "INGEST_PAYLOAD_INVALID")
    assert not Unit.objects.exists()


def test_a_new_board_costs_what_it_costs_with_a_run_number(line: IngestPlant, client: APIClient) -> None:
    activate("RUN-1", ago(minutes=5))
    push(client, printed("A"), 201)
    named = count(client, {**printed("B"), "runNo": "RUN-1"})
    assert count(client, printed("C")) <= named + 2  # which run it is, on its way and when its units are made
    assert count(client, inspected("C", "start")) == 3


# --- the only oven -------------------------------------------------------------------------------------------

OVEN = {key: value for key, value in REFLOWING.items() if key != "stationCodePath"} | {"lineCodePath": "payload.line"}


def test_new_boards_in_the_only_oven_are_made_in_the_active_run_of_its_line(send: Send, client: APIClient) -> None:
    make_ingest_plant(units=0, only=30, ungrouped=30, reflow=OVEN)
    assert send(reflowed("P-0", ["A", "B"]), 404)["code"] == "UNIT_NOT_FOUND"
    activate("RUN-1", ago(minutes=5))
    send(reflowed("P-1", ["A", "B"]), 201)
    assert runs_of_tracks() == {"A": "RUN-1", "B": "RUN-1"}
    Unit.objects.update(status="QUEUED", current_step_no=30)
    named = count(client, {**reflowed("P-2", ["A", "B"]), "stationCode": "OVN-1"})
    Unit.objects.update(status="QUEUED", current_step_no=30)
    assert count(client, reflowed("P-3", ["A", "B"])) == named + 1  # which oven it is


def test_of_two_ovens_the_line_tells_which(send: Send) -> None:
    plant = make_ingest_plant(units=0, only=30, ungrouped=30, reflow=OVEN)
    line = make_line("SMT-B")
    make_station("OVN-2", line=line, station_type="BATCH")
    make_run(plant.version, line, run_no="RUN-B", plan_qty=9)
    activate("RUN-1", ago(minutes=5))
    line_acts.set_active_run(line_code="SMT-B", run_no="RUN-B", at=ago(minutes=5), by="test")
    send(reflowed("P-1", ["A"], line="SMT-A"), 201)
    send(reflowed("P-2", ["B"], line="SMT-B"), 201)
    assert runs_of_tracks() == {"A": "RUN-1", "B": "RUN-B"}
    assert send(reflowed("P-3", ["C"]), 404)["code"] == "UNIT_NOT_FOUND"


# --- presets and captured messages ---------------------------------------------------------------------------

Reports = list[dict[str, Any]]


def sample_of(code: str) -> Reports:
    """Make a route for a preset; return its sample, after what a sample refers to."""
    preset = preset_of(code)
    make_route_of(preset)
    if code in ("cfx-units-processed", "cfx-work-completed"):
        started = sample(preset_of("cfx-work-started"))
        body, transaction = preset.event["payload"]["MessageBody"], started["payload"]["MessageBody"]
        transaction["TransactionID"] = body.get("TransactionID") or body["TransactionId"]
        started["payload"]["Source"] = preset.event["payload"]["Source"]
        return [started, sample(preset)]
    return [sample(preset)]


def captured(code: str, *names: str) -> Reports:
    """Make a route for a preset; return messages of one transaction as they were captured."""
    preset = preset_of(code)
    bodies = [cfx.body_of(name) for name in names]
    sns = next(filter(None, map(cfx.sns_in, bodies)), ["OVEN-PANEL-1", "OVEN-PANEL-2"])
    cfx.make_route_of(preset, sns)
    station = station_in(preset)
    if code == "cfx-work-started" and names[0] != "WorkStarted-1":
        names, bodies = ("WorkStarted-1", *names), [cfx.started_with(bodies[0], sns), *bodies]
    for body in bodies[1:]:
        body["TransactionID" if "TransactionID" in body else "TransactionId"] = bodies[0]["TransactionID"]
    return [
        cfx.message(name, body, event_type=preset.station_type, station=station)
        for name, body in zip(names, bodies, strict=True)
    ]


def on_a_pallet() -> Reports:
    """Make a route for pallets with a loaded one; return what the machine says of it."""
    reports = captured("cfx-on-pallets", "WorkStarted-1", "WorkCompleted-1")
    cfx.load(list(Unit.objects.order_by("sn").values_list("sn", flat=True)))
    return reports


def of_tester(file: str, example: str, **fields: Any) -> Reports:
    """Make a route for records of a tester; return one."""
    page.start(page.example_with(example), station_type="TEST", station="FCT-1", specs=page.VOLTS)
    record = json.loads((page.ROOT / "tests" / "payloads" / file).read_text())
    return [event("TEST", {**record, **fields})]


MILLISECONDS = int(timezone.now().timestamp() * 1000)
PRESETS = {preset.code for preset in list_presets()}
REAL: dict[str, Callable[[], Reports]] = {
    **{code: partial(sample_of, code) for code in sorted(PRESETS - {"cfx-on-pallets"})},
    "cfx-on-pallets": on_a_pallet,
    **{
        f"WorkStarted {name} WorkCompleted": partial(captured, "cfx-work-started", name, "WorkCompleted-1")
        for name in ("WorkStarted-1", "UnitsProcessed-1", "UnitsProcessed-2", "UnitsInspected-1", "UnitsTested-1")
    },
    "UnitsInspected-3": partial(captured, "cfx-units-inspected", "UnitsInspected-3"),
    "UnitsTested-1": partial(captured, "cfx-units-tested", "UnitsTested-1"),
    "openhtf": partial(
        of_tester, "openhtf.json", "dut_id", start_time_millis=MILLISECONDS - 4000, end_time_millis=MILLISECONDS
    ),
    "wsjf": partial(of_tester, "wsjf.json", "numericMeas", start=timezone.now().isoformat()),
}


def tracks_of(reports: Reports, *, run_no: str | None) -> list[tuple[Any, ...]]:
    """Return the tracks that reports make, of which nothing else stays."""
    with transaction.atomic():
        for body in reports:
            answer = api_client().post("/api/ingest/events", body if run_no is None else {**body, "runNo": run_no})
            assert answer.status_code == 201, answer.content
        rows = Track.objects.order_by("unit__sn", "id")
        fields = ("unit__sn", "run__run_no", "step_no", "station__code", "result", "in_at", "out_at", "attempt")
        tracks = list(rows.values_list(*fields))
        transaction.set_rollback(True)
    return tracks


@pytest.mark.parametrize("is_registered", [True, False], ids=["registered", "made on the fly"])
@pytest.mark.parametrize("made_by", REAL.values(), ids=REAL)
def test_real_input_makes_the_same_tracks_with_and_without_a_run_number(
    made_by: Callable[[], Reports], is_registered: bool
) -> None:
    reports = made_by()
    if made_by is not on_a_pallet and not is_registered:  # what is loaded onto a pallet is known
        Unit.objects.all().delete()
        Run.objects.update(units_registered=False)
    RunActivation.objects.all().delete()
    activate("RUN-1", ago(days=399))
    named, unnamed = (tracks_of(reports, run_no=run_no) for run_no in ("RUN-1", None))
    assert named == unnamed != []
