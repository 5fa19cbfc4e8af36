"""IPC-CFX reports of a reflow oven as device data.


A `UnitsProcessed` report says what the oven measured, seldom for which units: those that are in the oven just then.
It becomes one event for each of them. Measurements that the step has no spec for are left out and counted.
"""

import argparse
import gzip
import json
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from demo.client import Client, Refused, SignInRefused, Unreachable

MESSAGE = "UnitsProcessed"
WHOLE_ZONE = "WholeZone"
PATIENCE = 10.0  # seconds to wait for the server


class ReportError(Exception):
    """The report cannot be used; the message says why."""


class Reading(NamedTuple):
    """One measurement, under the name of the spec it belongs to."""

    name: str
    value: float


# --- the report: pure ---------------------------------------------------------------------------------------


def reports_in(document: Any) -> list[dict[str, Any]]:
    """Return the oven reports of a document: a bare body, an envelope, or an array of these among other messages."""
    messages = document if isinstance(document, list) else [document]
    return [message for message in messages if isinstance(message, dict) and _is_report(message)]


def readings_of(report: Mapping[str, Any]) -> list[Reading]:
    """Return all measurements of a report, named like `Zone 1 Top Temperature`, `Conveyor Speed`, `O2`.

    What is measured for a whole zone bears the zone's name only where several zones measure it. The highest zone
    temperature comes as `Peak Temperature`. Raises ReportError.
    """
    process = _process_of(report)
    zoned = list(_zone_readings(process))
    shared = Counter(kind for _stage, part, kind, _value in zoned if part == WHOLE_ZONE)
    readings = [
        Reading(_name(stage, part, kind, is_only=shared[kind] == 1), value) for stage, part, kind, value in zoned
    ]
    speed = process.get("ConveyorSpeed")
    if speed is not None:
        readings.append(Reading("Conveyor Speed", _number(speed, "ConveyorSpeed")))
    temperatures = [value for _stage, _part, kind, value in zoned if kind == "Temperature"]
    if temperatures:
        readings.append(Reading("Peak Temperature", max(temperatures)))
    return readings


def events_of(
    report: Mapping[str, Any],
    units: Sequence[Mapping[str, Any]],
    station: str,
    step_no: int,
    at: str,
    *,
    names: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return one device-data event for each unit (`sn`, `runNo`) in the oven; `at` is its time, with an offset.

    Given `names`, other measurements are left out; where none is left there is no event. A report that names its
    units is for these only. Raises ReportError.
    """
    transaction = transaction_of(report)
    readings = [reading for reading in readings_of(report) if names is None or reading.name in names]
    named = units_named_by(report)
    if not readings:
        return []
    return [
        {
            "eventId": f"{transaction}:{unit['sn']}",
            "eventTime": at,
            "source": "AUTO",
            "runNo": unit["runNo"],
            "unitSn": unit["sn"],
            "stationCode": station,
            "stepNo": step_no,
            "data": [{"specName": reading.name, "valueNumber": reading.value} for reading in readings],
            "meta": {"format": "IPC-CFX", "overallResult": _body_of(report).get("OverallResult")},
        }
        for unit in units
        if not named or unit["sn"] in named
    ]


def transaction_of(report: Mapping[str, Any]) -> str:
    """Return the transaction's id, however its key is spelt. Raises ReportError if it cannot tell reports apart."""
    found = [value for key, value in _body_of(report).items() if key.lower() == "transactionid"]
    transaction = found[0] if found else None
    if not isinstance(transaction, str) or not transaction.strip():
        raise ReportError("The report has no TransactionId, so its events would have no unique id.")
    if not re.sub(r"[0{}()\s-]", "", transaction):
        raise ReportError("The report's TransactionId is all zeros; events made from it would not have a unique id.")
    return transaction.strip()


def reportable(specs: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the names of the specs that an oven may report: numbers collected by a device."""
    return {spec["name"] for spec in specs if spec["method"] == "AUTO" and spec["dataType"] == "NUMBER"}


def units_named_by(report: Mapping[str, Any]) -> set[str]:
    """Return the units that the report names; usually it names none."""
    units = _body_of(report).get("UnitProcessData")
    found = [unit.get("UnitIdentifier") for unit in units or [] if isinstance(unit, dict)]
    return {identifier for identifier in found if isinstance(identifier, str) and identifier}


def time_of(report: Mapping[str, Any]) -> datetime | None:
    """Return when the report was made, if its envelope says so with an offset."""
    text = report.get("TimeStamp") if "MessageBody" in report else None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.utcoffset() is not None else None


def _body_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    body = message.get("MessageBody", message)
    return body if isinstance(body, dict) else {}


def _is_report(message: Mapping[str, Any]) -> bool:
    if "MessageBody" in message and str(message.get("MessageName", MESSAGE)).rpartition(".")[2] != MESSAGE:
        return False
    process = _body_of(message).get("CommonProcessData")
    return isinstance(process, dict) and isinstance(process.get("ZoneData"), list)


def _process_of(report: Mapping[str, Any]) -> Mapping[str, Any]:
    if not _is_report(report):
        raise ReportError("This is not a UnitsProcessed report of a reflow oven: it has no CommonProcessData.ZoneData.")
    process: Mapping[str, Any] = _body_of(report)["CommonProcessData"]
    return process


def _zone_readings(process: Mapping[str, Any]) -> Iterator[tuple[int, str, str, float]]:
    """Yield (stage, part of the zone, kind, value); what was not measured is null or absent."""
    for index, zone in enumerate(process["ZoneData"], 1):
        stage = _stage_of(zone, index)
        for reading in zone.get("Readings") or []:
            if not isinstance(reading, dict):
                raise ReportError(f"Zone {stage} has a reading that is not an object: {reading!r}")
            value, kind = reading.get("ReadingValue"), str(reading.get("ReadingType") or "")
            if value is not None and kind:
                part = str(reading.get("SubZone") or WHOLE_ZONE)
                yield stage, part, kind, _number(value, f"Zone {stage} {kind}")


def _stage_of(zone: Any, index: int) -> int:
    place = zone.get("Zone") if isinstance(zone, dict) else None
    stage = place.get("StageSequence") if isinstance(place, dict) else None
    if not isinstance(stage, int) or isinstance(stage, bool):
        raise ReportError(f"Zone {index} of the report has no StageSequence.")
    return stage


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ReportError(f"{place} is not a number: {value!r}")
    return float(value)


def _name(stage: int, part: str, kind: str, *, is_only: bool) -> str:
    if part == WHOLE_ZONE:
        return _words(kind) if is_only else f"Zone {stage} {_words(kind)}"
    return f"Zone {stage} {_words(part)} {_words(kind)}"


def _words(name: str) -> str:
    """Turn `VacuumHoldTime` into `Vacuum Hold Time`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


# --- the command --------------------------------------------------------------------------------------------


def send(client: Client, report: Mapping[str, Any], *, station: str, at: datetime | None = None) -> str:
    """Send a report for the units that are in the oven; return what was done. Raises ReportError, Refused.

    Every unit is tried; what the server refuses of it is told by the ReportError at the end.
    """
    transaction, readings, named = transaction_of(report), readings_of(report), units_named_by(report)
    made_at = at or time_of(report)
    moment = (made_at or datetime.now(UTC)).isoformat()
    inside = client.get("stations", station, "queue")["inStation"]
    meant = [unit for unit in inside if not named or unit["sn"] in named]
    units = [unit for unit in meant if made_at is None or datetime.fromisoformat(unit["inAt"]) <= made_at]
    sent, refused = 0, ""
    for unit in units:
        names = reportable(client.get("stations", station, "unit", unit["sn"], "data-specs")["specs"])
        for event in events_of(report, [unit], station, unit["stepNo"], moment, names=names):
            try:
                client.post("integration", "device-data", body=event)
                sent += len(event["data"])
            except Refused as refusal:
                refused += f"\n{unit['sn']}: {refusal}"
    summary = f"{transaction}: {sent} values sent for {len(units)} of the {len(inside)} units in {station}"
    if len(meant) > len(units):
        summary += f", {len(meant) - len(units)} of which came in after the report was made"
    if refused:
        raise ReportError(f"{summary}.{refused}")
    return f"{summary}; {len(units) * len(readings) - sent} measurements without a spec left out."


def read(path: Path) -> Any:
    """Return the JSON of a file, which may be gzipped as on the wire. Raises ReportError."""
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)
    except (OSError, ValueError, EOFError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Send the reports of a file; 0 when all could be sent."""
    parser = argparse.ArgumentParser(prog="python -m demo.oven", description="Send IPC-CFX reports of a reflow oven.")
    parser.add_argument("report", type=Path, help="a file with a message, an envelope or an array of envelopes")
    parser.add_argument("--station", required=True, help="the code of the oven's station")
    parser.add_argument("--at", type=_moment, help="when it was measured (default: the envelope's time, else now)")
    parser.add_argument("--url", default=os.environ.get("LINEKEEPER_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("LINEKEEPER_TOKEN", ""), help="default: LINEKEEPER_TOKEN")
    options = parser.parse_args(arguments)
    try:
        reports = reports_in(read(options.report))
        if not reports:
            raise ReportError(f"{options.report} holds no UnitsProcessed report of a reflow oven.")
        with closing(Client(options.url, options.token, patience=PATIENCE)) as client:
            return max([_send_and_say(client, report, options) for report in reports])
    except (ReportError, SignInRefused, Unreachable, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _send_and_say(client: Client, report: Mapping[str, Any], options: argparse.Namespace) -> int:
    try:
        print(send(client, report, station=options.station, at=options.at))
    except (ReportError, Refused) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("needs an offset")
    return moment


if __name__ == "__main__":
    sys.exit(main())
