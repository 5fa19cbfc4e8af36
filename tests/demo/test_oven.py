"""Reports of a reflow oven become device data, with the traps of the format."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from demo import oven

PAYLOADS = Path(__file__).parent.parent / "payloads"
TRANSACTION = "c94b7d28-6e0f-4a3b-8b15-20f9d3a6e714"
UNITS = [{"sn": "CB-1", "runNo": "RUN-1"}, {"sn": "CB:2#", "runNo": "RUN-2"}]
AT = "2026-01-24T09:05:00+00:00"


@pytest.fixture
def report() -> dict[str, Any]:
    """The one oven report of an array of envelopes."""
    (found,) = oven.reports_in(json.loads((PAYLOADS / "cfx_units_processed.json").read_text()))
    return found


@pytest.fixture
def body(report: dict[str, Any]) -> dict[str, Any]:
    """The same without its envelope."""
    found: dict[str, Any] = report["MessageBody"]
    return found


def test_readings_are_named_by_zone_part_and_quantity(report: dict[str, Any]) -> None:
    values = dict(oven.readings_of(report))
    assert values["Zone 1 Top Temperature"] == 166.0
    assert values["Zone 4 Bottom Temperature"] == 135.4
    assert values["Zone 2 Bottom Power Level"] == 44.0
    assert values["Conveyor Speed"] == 74.8
    assert values["O2"] == 512.0
    assert values["Vacuum Hold Time"] == 4.0
    assert values["Peak Temperature"] == 249.1
    assert len(values) == 4 * 6 + 4 + 2


def test_a_bare_body_reads_like_its_envelope(report: dict[str, Any], body: dict[str, Any]) -> None:
    assert oven.readings_of(body) == oven.readings_of(report)
    assert oven.reports_in(body) == [body]
    assert oven.reports_in(report) == [report]


def test_other_messages_are_no_reports(body: dict[str, Any]) -> None:
    other = {"MessageName": "CFX.Production.WorkCompleted", "MessageBody": body}
    assert oven.reports_in([other, {"CommonProcessData": {}}, {}, None, 7, "x"]) == []
    with pytest.raises(oven.ReportError, match="not a UnitsProcessed report"):
        oven.readings_of(other)


def test_a_whole_zone_quantity_of_several_zones_bears_the_zone(body: dict[str, Any]) -> None:
    body["CommonProcessData"]["ZoneData"][1]["Readings"].append(
        {"SubZone": "WholeZone", "ReadingType": "O2", "ReadingValue": 480}
    )
    values = dict(oven.readings_of(body))
    assert (values["Zone 2 O2"], values["Zone 3 O2"]) == (480.0, 512.0)
    assert "O2" not in values


def test_what_was_not_measured_is_no_reading(body: dict[str, Any]) -> None:
    zones = body["CommonProcessData"]["ZoneData"]
    zones[0]["Readings"] = None
    zones[1]["Readings"][0]["ReadingValue"] = None
    del body["CommonProcessData"]["ConveyorSpeed"]
    names = {reading.name for reading in oven.readings_of(body)}
    assert not names & {"Zone 1 Top Temperature", "Zone 2 Top Temperature", "Conveyor Speed"}
    assert "Zone 2 Bottom Temperature" in names


@pytest.mark.parametrize("value", ["221.0", True, float("nan"), float("inf"), [221.0]])
def test_a_value_that_is_no_number_is_refused(body: dict[str, Any], value: Any) -> None:
    body["CommonProcessData"]["ZoneData"][0]["Readings"][0]["ReadingValue"] = value
    with pytest.raises(oven.ReportError, match="Zone 1 Temperature is not a number"):
        oven.readings_of(body)


@pytest.mark.parametrize("zone", [{}, {"Zone": None}, {"Zone": {"StageSequence": "1"}}, "Zone1", None])
def test_a_zone_without_a_number_is_refused(body: dict[str, Any], zone: Any) -> None:
    body["CommonProcessData"]["ZoneData"][2] = zone
    with pytest.raises(oven.ReportError, match="Zone 3"):
        oven.readings_of(body)


@pytest.mark.parametrize("reading", [None, "hot", 7])
def test_a_reading_that_is_no_object_is_refused(body: dict[str, Any], reading: Any) -> None:
    body["CommonProcessData"]["ZoneData"][0]["Readings"][0] = reading
    with pytest.raises(oven.ReportError, match="Zone 1"):
        oven.readings_of(body)


def test_each_unit_in_the_oven_gets_an_event_of_its_own(report: dict[str, Any]) -> None:
    first, second = oven.events_of(report, UNITS, "REF-A1", 40, AT)
    assert (first["eventId"], second["eventId"]) == (f"{TRANSACTION}:CB-1", f"{TRANSACTION}:CB:2#")
    assert (first["unitSn"], first["runNo"], first["stationCode"], first["stepNo"]) == ("CB-1", "RUN-1", "REF-A1", 40)
    assert (first["source"], first["eventTime"]) == ("AUTO", AT)
    assert {"specName": "Zone 3 Top Temperature", "valueNumber": 249.1} in first["data"]
    assert second["data"] == first["data"]
    assert oven.events_of(report, [], "REF-A1", 40, AT) == []


def test_measurements_without_a_spec_are_left_out(report: dict[str, Any]) -> None:
    (event,) = oven.events_of(report, UNITS[:1], "REF-A1", 40, AT, names={"O2", "Humidity"})
    assert event["data"] == [{"specName": "O2", "valueNumber": 512.0}]
    assert oven.events_of(report, UNITS, "REF-A1", 40, AT, names={"Humidity"}) == []


def test_a_report_that_names_its_units_is_for_these_only(body: dict[str, Any]) -> None:
    body["UnitProcessData"] = [{"UnitIdentifier": "CB:2#", "UnitPositionNumber": 1, "UnitProcessData": None}]
    assert [event["unitSn"] for event in oven.events_of(body, UNITS, "REF-A1", 40, AT)] == ["CB:2#"]
    body["UnitProcessData"] = None
    assert len(oven.events_of(body, UNITS, "REF-A1", 40, AT)) == 2


def test_the_transaction_id_may_be_spelt_either_way(body: dict[str, Any]) -> None:
    body["TransactionID"] = body.pop("TransactionId")
    assert oven.transaction_of(body) == TRANSACTION


@pytest.mark.parametrize("given", [None, "", "  ", 7, "00000000-0000-0000-0000-000000000000", "{00000000}"])
def test_a_transaction_id_that_tells_nothing_apart_is_refused(body: dict[str, Any], given: Any) -> None:
    body["TransactionId"] = given
    with pytest.raises(oven.ReportError, match="id"):
        oven.events_of(body, UNITS, "REF-A1", 40, AT)
    del body["TransactionId"]
    with pytest.raises(oven.ReportError, match="no TransactionId"):
        oven.events_of(body, UNITS, "REF-A1", 40, AT)


def test_the_time_counts_only_with_an_offset(report: dict[str, Any], body: dict[str, Any]) -> None:
    moment = oven.time_of(report)
    assert moment is not None
    assert moment.isoformat() == "2026-01-24T10:02:31.482190+01:00"
    assert oven.time_of(body) is None
    for text in ("2026-01-24T10:02:31", "yesterday", None, 7):
        assert oven.time_of({**report, "TimeStamp": text}) is None


def test_a_report_is_not_changed_by_reading_it(report: dict[str, Any]) -> None:
    before = copy.deepcopy(report)
    oven.events_of(report, UNITS, "REF-A1", 40, AT, names={"O2"})
    assert report == before


def test_files_may_be_gzipped_and_broken_ones_are_refused(tmp_path: Path) -> None:
    packed, broken = tmp_path / "packed.json", tmp_path / "broken.json"
    packed.write_bytes(gzip.compress(b'[{"a": 1}]'))
    assert oven.read(packed) == [{"a": 1}]
    broken.write_bytes(gzip.compress(b"[1]")[:-9])
    for path in (broken, tmp_path / "absent.json"):
        with pytest.raises(oven.ReportError, match="cannot be read"):
            oven.read(path)
    broken.write_text("{")
    assert oven.main([str(broken), "--station", "REF-A1"]) == 1


def test_the_sample_is_a_report() -> None:
    sample = Path(oven.__file__).parent / "samples" / "units_processed.json"
    (report,) = oven.reports_in(oven.read(sample))
    assert oven.transaction_of(report) and oven.time_of(report) is None
