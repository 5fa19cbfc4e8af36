"""The mappings on the page about machine events: each may be said, and reads what the page says that it reads."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import DataValue, Defect, Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.production.models import Unit
from mes.routing.compilation import compile_route
from mes.routing.mapping_problems import COMMON_KEYS, PARTS, TYPE_KEYS, find_mapping_problems
from mes.routing.path_functions import TEXT_FUNCTIONS
from tests.factories import (
    make_config,
    make_group,
    make_line,
    make_operation,
    make_route,
    make_run,
    make_spec,
    make_station,
)
from tests.ingest.conftest import Send
from tests.ingest.support import event

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ingest.md").read_text()
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
MAPPINGS = [json.loads(block) for block in BLOCKS if "stationCodePath" in block]


def example_with(word: str) -> Any:
    """Return the mapping of the page in which a word stands."""
    (found,) = (mapping for mapping in MAPPINGS if word in json.dumps(mapping))
    return found


def start(
    mapping: Any, *, station_type: str = "AUTO", station: str = "M-1", specs: list[dict[str, Any]] | None = None
) -> None:
    """Make a route of one step that the mapping reads, and a run with the units SN-1 and SN-2."""
    line, group, operation = make_line("SMT-A"), make_group("MACHINES"), make_operation("STEP")
    make_station(station, line=line, group=group, station_type=station_type)
    for fields in specs or []:
        make_spec(operation, **fields)
    routing = make_route(code="R-1", steps=[(10, operation.code)])
    make_config(routing, step_no=10, station_type=station_type, station_group=group, ingest_mapping=mapping)
    version, _changed = compile_route(code="R-1")
    assert version.status == "READY", version.errors
    make_run(version, line, run_no="RUN-1", sns=["SN-1", "SN-2"])


def results() -> dict[str, tuple[str, str]]:
    tracks = Track.objects.order_by("id").values_list("unit__sn", "result", "result_override")
    return {sn: (result, override) for sn, result, override in tracks}


def values() -> list[tuple[str, str, float]]:
    rows = DataValue.objects.order_by("unit__sn", "name")
    return [(row.unit.sn, row.name, round(row.value_number, 6)) for row in rows]


@pytest.mark.parametrize("mapping", MAPPINGS, ids=range(len(MAPPINGS)))
def test_every_mapping_of_the_page_may_be_said(mapping: Any) -> None:
    station_type = (mapping if isinstance(mapping, dict) else mapping[0]).get("eventType", "AUTO")
    assert find_mapping_problems(mapping, station_type=station_type) == []


def test_every_key_and_function_has_its_place_on_the_page() -> None:
    for key in COMMON_KEYS.union(*TYPE_KEYS.values()):
        assert re.search(rf"^\| (`\w+`, )?`{key}`", PAGE, re.MULTILINE), key
    for part, keys in PARTS.items():
        (row,) = re.findall(rf"^\| `{part}`.*$", PAGE, re.MULTILINE)
        assert all(key in row for key in keys), part
    assert all(f"`{function}(" in PAGE for function in TEXT_FUNCTIONS)


@pytest.mark.django_db
def test_several_messages(send: Send) -> None:
    start(example_with("board-in"))
    for sn, verdict in (("SN-1", "nok"), ("SN-2", "ok")):
        send(event("AUTO", {"type": "board-in", "board": sn, "machine": "M-1"}), 201)
        send(event("AUTO", {"type": "report", "machine": "M-1", "report": {"serial": sn, "verdict": verdict}}), 201)
        send(event("AUTO", {"type": "board-out", "board": sn, "machine": "M-1"}), 201)
    assert results() == {"SN-1": ("FAIL", "REPORT"), "SN-2": ("PASS", "")}
    left_out = event(
        "AUTO", {"type": "report", "machine": "M-1", "report": {"serial": "SN-2", "verdict": "not inspected"}}
    )
    assert send(left_out, 201)["leftOut"] == 1
    assert send(event("AUTO", {"type": "heartbeat"}), 422)["code"] == "INGEST_MAPPING_MISSING"


@pytest.mark.django_db
def test_measurements(send: Send) -> None:
    start(
        example_with("volumes"),
        specs=[{"name": "A1 volume", "unit": "%"}, {"name": "T", "unit": "°C"}, {"name": "p", "unit": "hPa"}],
    )
    climate = [{"name": "T", "value": "71,6", "unit": "[degF]"}, {"name": "p", "value": "1.013,2", "unit": "mbar"}]
    boards = [
        {"sn": sn, "result": "OK", "volumes": [{"pad": "A1", "percent": n}]} for n, sn in ((98, "SN-1"), (99, "SN-2"))
    ]
    send(event("AUTO", {"machine": "M-1", "boards": boards, "climate": climate}), 201)
    assert values() == [
        (sn, name, value)
        for n, sn in ((98, "SN-1"), (99, "SN-2"))
        for name, value in (("A1 volume", n), ("T", 22), ("p", 1013.2))
    ]


@pytest.mark.django_db
def test_defects(send: Send) -> None:
    start(example_with("payload.faults"))
    faults = [{"code": "BRIDGE", "part": "U3", "pin": "4", "text": "seen twice"}]
    send(event("AUTO", {"sn": "SN-1", "machine": "M-1", "result": "NG", "faults": faults}), 201)
    assert list(Defect.objects.values_list("code", "location", "remark")) == [("BRIDGE", "U3.4", "seen twice")]


@pytest.mark.django_db
def test_times(send: Send) -> None:
    start(example_with("payload.date"))
    at = timezone.now().replace(microsecond=0) - timedelta(minutes=5)
    shown = timezone.localtime(at, timezone=ZoneInfo("Europe/Berlin"))
    payload = {"date": shown.strftime("%d.%m.%Y"), "time": shown.strftime("%H:%M:%S")}
    send(event("AUTO", {"sn": "SN-1", "machine": "M-1", "result": "OK", **payload}), 201)
    assert Track.objects.get().out_at == at


# --- records of testers -----------------------------------------------------------------------------------

VOLTS = [{"name": "rail_5v", "unit": "V", "lsl": 4.9, "usl": 5.1}, {"name": "rail_3v3", "unit": "V"}]


def openhtf(**fields: Any) -> dict[str, Any]:
    at = int(timezone.now().timestamp() * 1000)
    record = json.loads((ROOT / "tests" / "payloads" / "openhtf.json").read_text())
    return event("TEST", {**record, "start_time_millis": at - 4000, "end_time_millis": at, **fields})


@pytest.mark.django_db
def test_a_failing_record_of_openhtf_is_taken_without_what_is_no_number(send: Send) -> None:
    start(example_with("dut_id"), station_type="TEST", station="FCT-1", specs=VOLTS)
    body = openhtf()
    answer = send(body, 201)
    assert results() == {"SN-1": ("FAIL", "")}
    assert values() == [("SN-1", "rail_5v", 5.02)]
    assert SettledIngestEvent.objects.get(pk=answer["eventId"]).unmapped_count == 4  # all five are accounted for
    assert Defect.objects.get().code == "rail_3v3"
    track = Track.objects.get()
    assert track.out_at is not None
    assert int(track.out_at.timestamp() * 1000) == body["payload"]["end_time_millis"]


@pytest.mark.django_db
def test_a_passing_record_of_openhtf_with_what_is_no_number_is_refused(send: Send) -> None:
    start(example_with("dut_id"), station_type="TEST", station="FCT-1", specs=VOLTS)
    passing = json.loads(json.dumps(openhtf(outcome="PASS")).replace('"FAIL"', '"UNSET"'))
    assert send(passing, 422)["code"] == "DATA_TYPE_MISMATCH"
    assert not Track.objects.exists()


@pytest.mark.django_db
def test_a_passing_record_of_openhtf_with_a_measurement_that_failed_fails(send: Send) -> None:
    start(example_with("dut_id"), station_type="TEST", station="FCT-1", specs=VOLTS)
    send(openhtf(outcome="PASS"), 201)
    assert results() == {"SN-1": ("FAIL", "DEFECT")}


@pytest.mark.django_db
def test_a_record_with_a_bare_nan_is_no_json_and_is_kept(client: APIClient) -> None:
    start(example_with("dut_id"), station_type="TEST", station="FCT-1", specs=VOLTS)
    text = json.dumps(openhtf()).replace('"nan"', "NaN")
    answer = client.post("/api/ingest/events", text, content_type="application/json")
    assert answer.status_code == 400
    assert OpenIngestEvent.objects.get().status == "REJECTED"
    assert not Track.objects.exists()


@pytest.mark.django_db
def test_a_record_of_wats(send: Send) -> None:
    specs = [*VOLTS, {"name": "idle", "unit": "mA", "usl": 100}, {"name": "sleep", "unit": "mA"}]
    start(example_with("numericMeas"), station_type="TEST", station="FCT-1", specs=specs)
    record = json.loads((ROOT / "tests" / "payloads" / "wsjf.json").read_text())
    send(event("TEST", {**record, "start": timezone.now().isoformat()}), 201)
    assert results() == {"SN-1": ("FAIL", "")}
    assert values() == [("SN-1", "idle", 120.5), ("SN-1", "rail_5v", 5.02), ("SN-1", "sleep", 1.5)]
    assert list(Defect.objects.values_list("code", "remark")) == [("rails", "idle current too high")]
    assert Unit.objects.get(sn="SN-1").status == "OUT_FAILED"
