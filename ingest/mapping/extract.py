"""Reading an event by a mapping. Pure: no query, no clock.

Paths are JMESPath on the event root (`payload.device.code`); below `unitsPath` they are relative to the item.
`docs/ingest.md` describes every key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from ingest.mapping.measurements import Measurement, find_measurements
from ingest.mapping.paths import (
    invalid,
    is_same,
    list_at,
    search,
    text_at,
)
from mes import errors
from mes.platform.validators import validate_code, validate_moment

LONGEST_ID = 200
LONGEST_POSITION = 100


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What an event says about one unit, named by its serial number or by its position on the carrier.

    `problem` is what is wrong with a position's report, which counts only where there is a unit.
    """

    sn: str | None
    position: str | None = None
    result: str | None = None
    measurements: tuple[Measurement, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a mapping makes of an event. `phase` is IN, OUT or None: in and out at once."""

    units: tuple[UnitReport, ...]
    occurred_at: datetime
    station_code: str | None
    line_code: str | None
    carrier_no: str | None
    test_result_id: str | None
    transaction_id: str | None
    phase: str | None
    result: str | None = None
    measurements: tuple[Measurement, ...] = ()
    positions_without_unit: int = 0

    @property
    def sns(self) -> list[str]:
        """The serial numbers named, in order."""
        return [unit.sn for unit in self.units if unit.sn is not None]


# --- who ---------------------------------------------------------------------------------------------------


def find_names(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """Return the serial numbers and the carrier that an event names by a mapping; the envelope goes before paths."""
    if event.get("sn"):
        return [event["sn"]], text_at(mapping.get("carrierCodePath"), event)
    if event.get("sns"):
        return list(event["sns"]), text_at(mapping.get("carrierCodePath"), event)
    carrier = text_at(mapping.get("carrierCodePath"), event)
    if "unitsPath" in mapping:
        return find_names_of_items(mapping, event), carrier
    if "snListPath" in mapping:
        return [sn for sn in list_at(mapping["snListPath"], event) if isinstance(sn, str) and sn], carrier
    sn = text_at(mapping.get("snPath"), event)
    return [sn] if sn else [], carrier


def find_names_of_items(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """Return the serial numbers of the items that a mapping reads one by one; none where it reads no items."""
    items = list_at(mapping["unitsPath"], event) if "unitsPath" in mapping else []
    return [sn for item in items if (sn := text_at(mapping.get("snPath"), item))]


def find_station_code(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    """Return the station that an event reports; None where it reports none that could be read."""
    try:
        return event.get("stationCode") or text_at(mapping.get("stationCodePath"), event)
    except errors.IngestPayloadInvalid:
        return None


def find_occurred_at(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> datetime:
    """Return when an event occurred; where its mapping finds no time, what the envelope says."""
    try:
        return _occurred_at(mapping, event)
    except errors.IngestPayloadInvalid:
        return _occurred_at({}, event)


def find_line_code(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    """Return the line that an event reports; None where it reports none that could be read."""
    try:
        return text_at(mapping.get("lineCodePath"), event)
    except errors.IngestPayloadInvalid:
        return None


def is_entry(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether an event reports that units enter, or something that its mapping cannot tell from that."""
    try:
        return _phase(mapping, event) == "IN"
    except errors.IngestPayloadInvalid:
        return True


def find_transaction(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    """Return the id of the transaction that an event belongs to, where the mapping names one."""
    return text_at(mapping.get("transactionIdPath"), event)


# --- what --------------------------------------------------------------------------------------------------


def extract(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> Extracted:
    """Return everything a mapping extracts. Raises IngestPayloadInvalid naming the path that finds nothing usable."""
    names, carrier = find_names(mapping, event)
    phase = _phase(mapping, event)
    units, without_unit = _units(mapping, event, names, needs_result=phase != "IN")
    for sn in (unit.sn for unit in units if unit.sn is not None):
        _check_code(sn)
    if carrier is not None:
        _check_code(carrier)
    transaction_id = find_transaction(mapping, event)
    if transaction_id is not None and len(transaction_id) > LONGEST_ID:
        raise invalid(_("{path}: finds no transaction id").format(path=mapping["transactionIdPath"]))
    return Extracted(
        units=units,
        occurred_at=_occurred_at(mapping, event),
        station_code=event.get("stationCode") or text_at(mapping.get("stationCodePath"), event),
        line_code=text_at(mapping.get("lineCodePath"), event),
        carrier_no=carrier,
        test_result_id=find_test_result_id(mapping, event) if "testResultIdPath" in mapping else None,
        transaction_id=transaction_id,
        phase=phase,
        result=_result(mapping, event, event) if not units and phase != "IN" else None,
        measurements=find_measurements(mapping, event) if _is_of_the_carrier(mapping) else (),
        positions_without_unit=without_unit,
    )


def _is_of_the_carrier(mapping: Mapping[str, Any]) -> bool:
    """Whether measurements belong to the whole pass: a batch that does not report unit by unit."""
    return "unitsPath" not in mapping and ("carrierCodePath" in mapping or "snListPath" in mapping)


def _check_code(text: str) -> None:
    try:
        validate_code(text)
    except ValidationError as error:
        raise invalid(f"“{text[:100]}”: {' '.join(error.messages)}") from None


def _units(
    mapping: Mapping[str, Any], event: Mapping[str, Any], names: list[str], *, needs_result: bool
) -> tuple[tuple[UnitReport, ...], int]:
    """Return the units reported and how many positions of the report name none."""
    if "unitsPath" not in mapping:
        result = _result(mapping, event, event) if needs_result else None
        measurements = () if _is_of_the_carrier(mapping) else find_measurements(mapping, event)
        return tuple(UnitReport(sn, result=result, measurements=measurements) for sn in dict.fromkeys(names)), 0
    units, without = [], 0
    for item in list_at(mapping["unitsPath"], event):
        sn, position = text_at(mapping.get("snPath"), item), text_at(mapping.get("positionPath"), item)
        if sn is None and position is None:
            without += 1
            continue
        if position is not None and len(position) > LONGEST_POSITION:
            raise invalid(_("positionPath: longer than {limit} characters").format(limit=LONGEST_POSITION))
        units.append(_unit_of_item(mapping, event, item, sn, position, needs_result=needs_result))
    return tuple(units), without


def _unit_of_item(
    mapping: Mapping[str, Any],
    event: Mapping[str, Any],
    item: Any,
    sn: str | None,
    position: str | None,
    *,
    needs_result: bool,
) -> UnitReport:
    try:
        result = _result(mapping, item, event) if needs_result else None
        return UnitReport(sn, position, result, find_measurements(mapping, item))
    except errors.IngestPayloadInvalid as error:
        if sn is not None:
            raise
        return UnitReport(None, position, problem="; ".join(error.details["problems"]))


def _result(mapping: Mapping[str, Any], root: Any, event: Mapping[str, Any]) -> str:
    """Return PASS or FAIL; a mapping without `result` means that leaving is passing. Nothing unknown passes.

    Where an item says nothing at the path, what the event says there holds for each of its items.
    """
    rule = mapping.get("result")
    if rule is None:
        return "PASS"
    found = search(rule["path"], root)
    if found is None and root is not event:
        found = search(rule["path"], event)
    for verdict, words in (("PASS", rule["passValues"]), ("FAIL", rule["failValues"])):
        if any(is_same(found, word) for word in words):
            return verdict
    raise invalid(_("result.path: {found} is in neither passValues nor failValues").format(found=repr(found)[:200]))


def _phase(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    rule = mapping.get("phase")
    if rule is None:
        return None
    found = search(rule["path"], event)
    for phase, words in (("IN", rule["inValues"]), ("OUT", rule["outValues"])):
        if any(is_same(found, word) for word in words):
            return phase
    raise invalid(_("phase.path: {found} is in neither inValues nor outValues").format(found=repr(found)[:200]))


def _occurred_at(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> datetime:
    path = mapping.get("occurredAtPath")
    text = search(path, event) if path else event["occurredAt"]
    try:
        moment = msgspec.convert(text, datetime)
        validate_moment(moment)
    except (msgspec.ValidationError, ValidationError):
        reason = _("{path}: {text} is no time with an offset from UTC")
        raise invalid(reason.format(path=path or "occurredAt", text=repr(text)[:100])) from None
    return moment


def find_test_result_id(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return the id of a test result. Raises IngestPayloadInvalid when its path finds none."""
    path = str(mapping["testResultIdPath"])
    found = text_at(path, event)
    if found is None or len(found) > LONGEST_ID:
        raise invalid(_("{path}: finds no test result id").format(path=path))
    return found
