"""Reading an event by a mapping. Pure: no query, no clock.

`docs/ingest.md` describes every key. What an event says is read when it is first asked for, and each path but once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from execution.data import judging
from ingest.mapping.measurements import Measurement, find_measurements, list_readable_measurements
from ingest.mapping.paths import EventDocument, invalid, is_same
from mes import errors
from mes.platform.validators import validate_code, validate_moment
from mes.routing.paths import Path
from mes.routing.step_mapping import ResultRule, StepMapping

T = TypeVar("T")
LONGEST_ID = 200
LONGEST_POSITION = 100
MOST_UNITS = 1000  # of one event
MOST_MEASUREMENTS = judging.MOST_READINGS  # of one event, those of all its units together


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
    reported_at: datetime | None  # as the source says it; None where it says no time
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
    def reports(self) -> list[UnitReport]:
        """What is said of units that leave: of each, and without a serial number and a position of all."""
        if self.phase == "IN":
            return []
        of_all = UnitReport(None, None, self.result, self.measurements)
        return [*self.units, *([of_all] if self.result or self.measurements else [])]

    @property
    def sns(self) -> list[str]:
        """The serial numbers named, in order."""
        return [unit.sn for unit in self.units if unit.sn is not None]


class EventReading:
    """What an event says, read by a mapping. The envelope goes before paths.

    Everything raises IngestPayloadInvalid, naming the path, for what cannot be read; `find_…` returns None for it.
    """

    __slots__ = ("_extracted", "document", "mapping")

    def __init__(self, document: EventDocument, mapping: StepMapping) -> None:
        self.document = document
        self.mapping = mapping
        self._extracted: Extracted | None = None

    # --- who -----------------------------------------------------------------------------------------------

    @property
    def sns(self) -> list[str]:
        """The serial numbers of the units that the event names."""
        fields, mapping = self.document.fields, self.mapping
        if fields.get("sn"):
            return [fields["sn"]]
        if fields.get("sns"):
            return list(fields["sns"])
        if mapping.units_path is not None:
            return self.item_sns
        if mapping.sn_list_path is not None:
            return [sn for sn in self.document.list_at(mapping.sn_list_path) if isinstance(sn, str) and sn]
        sn = self.document.text_at(mapping.sn_path)
        return [sn] if sn else []

    @property
    def item_sns(self) -> list[str]:
        """The serial numbers of the items that the mapping reads one by one; none where it reads no items."""
        if self.mapping.units_path is None:
            return []
        return [sn for sn in self.document.texts_at_items(self.mapping.units_path, self.mapping.sn_path) if sn]

    @property
    def carrier_no(self) -> str | None:
        """The carrier that the event names."""
        return self.document.text_at(self.mapping.carrier_code_path)

    @property
    def transaction_id(self) -> str | None:
        """The transaction that the event belongs to."""
        return self.document.text_at(self.mapping.transaction_id_path)

    @property
    def test_result_id(self) -> str:
        """The id of the test result that the event reports; a mapping without a path for it finds none."""
        path = self.mapping.test_result_id_path
        test_result_id = self.document.text_at(path)
        if test_result_id is None or len(test_result_id) > LONGEST_ID:
            raise invalid(_("{path}: finds no test result id").format(path=_expression(path, "testResultIdPath")))
        return test_result_id

    # --- where and when ------------------------------------------------------------------------------------

    @property
    def station_code(self) -> str | None:
        """The station that the event reports."""
        return self.document.fields.get("stationCode") or self.document.text_at(self.mapping.station_code_path)

    @property
    def line_code(self) -> str | None:
        """The line that the event reports."""
        return self.document.text_at(self.mapping.line_code_path)

    @property
    def reported_at(self) -> datetime | None:
        """When the event occurred as its source says; by a mapping without a path for it, as the envelope does.

        None where neither is there: it occurred when it was received.
        """
        path = self.mapping.occurred_at_path
        text = self.document.fields.get("occurredAt") if path is None else self.document.search(path)
        return None if path is None and text is None else _as_moment(text, _expression(path, "occurredAt"))

    @property
    def occurred_at(self) -> datetime:
        """When the event occurred, by its source's clock put right."""
        return self._put_right(self.reported_at)

    def _put_right(self, said: datetime | None) -> datetime:
        return self.document.received_at if said is None else self.document.clock.correct(said)

    def find_station_code(self) -> str | None:
        """Return the station that the event reports; None where it reports none that could be read."""
        try:
            return self.station_code
        except errors.IngestPayloadInvalid:
            return None

    def find_line_code(self) -> str | None:
        """Return the line that the event reports; None where it reports none that could be read."""
        try:
            return self.line_code
        except errors.IngestPayloadInvalid:
            return None

    def occurred_at_or_sent(self) -> datetime:
        """Return when the event occurred; where the mapping finds no time, what the envelope says."""
        try:
            return self.occurred_at
        except errors.IngestPayloadInvalid:
            text = self.document.fields.get("occurredAt")
            return self._put_right(None if text is None else _as_moment(text, "occurredAt"))

    # --- what ----------------------------------------------------------------------------------------------

    @property
    def phase(self) -> str | None:
        """IN, OUT, or None: in and out at once."""
        rule = self.mapping.phase
        if rule is None:
            return None
        found = self.document.search(rule.path)
        for phase, words in (("IN", rule.in_values), ("OUT", rule.out_values)):
            if any(is_same(found, word) for word in words):
                return phase
        raise invalid(_("phase.path: {found} is in neither inValues nor outValues").format(found=repr(found)[:200]))

    def may_be_entry(self) -> bool:
        """Whether the event reports that units enter, or something that the mapping cannot tell from that."""
        try:
            return self.phase == "IN"
        except errors.IngestPayloadInvalid:
            return True

    def extract(self) -> Extracted:
        """Return everything that the mapping extracts. Raises IngestPayloadInvalid naming the first path that finds
        nothing usable.
        """
        if self._extracted is None:
            self._extracted = self._extract()
        return self._extracted

    def list_readable_reports(self) -> list[UnitReport]:
        """Return what the event says of each unit, whatever else in it cannot be read; nothing of units that enter.

        What cannot be read of a report is left out of it. One without a serial number and a position is for all units.
        """
        if _or_none(lambda: self.phase) == "IN":
            return []
        reports: list[UnitReport] = []
        if self.mapping.units_path is None or self.mapping.measures_batch:
            result = _or_none(self._read_result) if self.mapping.units_path is None else None
            measured = self._list_readable_measurements(self.document.fields)
            sns: list[str | None] = [None]
            if self.mapping.units_path is None:
                sns = [*(_or_none(lambda: self.sns) or ())] or sns
            reports += [UnitReport(sn, None, result, measured) for sn in dict.fromkeys(sns)]
        if self.mapping.units_path is not None:
            reports += self._list_readable_items(self.mapping.units_path)
        return reports

    def _list_readable_items(self, items_path: Path) -> Iterator[UnitReport]:
        items = _or_none(lambda: self.document.list_at(items_path)) or []
        sns = _or_none(lambda: self.document.texts_at_items(items_path, self.mapping.sn_path)) or [None] * len(items)
        for item, sn in zip(items, sns, strict=False):
            position = _or_none(partial(self.document.text_in, item, self.mapping.position_path))
            if sn is not None or position is not None:
                result = _or_none(partial(self._read_result_of_item, item))
                yield UnitReport(sn, position, result, self._list_readable_measurements(item))

    def _list_readable_measurements(self, root: Any) -> tuple[Measurement, ...]:
        found = list_readable_measurements(self.mapping, self.document, root)
        return tuple(found[:MOST_MEASUREMENTS])

    def _extract(self) -> Extracted:
        mapping = self.mapping
        carrier_no, sns, phase = self.carrier_no, self.sns, self.phase
        units, without_unit = self._read_units(sns, needs_result=phase != "IN")
        measurements = self._read_measurements() if mapping.measures_batch else ()
        _check_numbers(units, measurements)
        _check_codes(units, carrier_no)
        transaction_id = self.transaction_id
        if transaction_id is not None and len(transaction_id) > LONGEST_ID:
            path = _expression(mapping.transaction_id_path, "transactionIdPath")
            raise invalid(_("{path}: finds no transaction id").format(path=path))
        return Extracted(
            units=units,
            occurred_at=self.occurred_at,
            reported_at=self.reported_at,
            station_code=self.station_code,
            line_code=self.line_code,
            carrier_no=carrier_no,
            test_result_id=None if mapping.test_result_id_path is None else self.test_result_id,
            transaction_id=transaction_id,
            phase=phase,
            result=self._read_result() if not units and phase != "IN" else None,
            measurements=measurements,
            positions_without_unit=without_unit,
        )

    def _read_units(self, sns: list[str], *, needs_result: bool) -> tuple[tuple[UnitReport, ...], int]:
        """Return the units reported and how many positions of the report name none."""
        if self.mapping.units_path is not None:
            return self._read_items(self.mapping.units_path, needs_result=needs_result)
        result = self._read_result() if needs_result else None
        measurements = () if self.mapping.measures_batch else self._read_measurements()
        return tuple(UnitReport(sn, result=result, measurements=measurements) for sn in dict.fromkeys(sns)), 0

    def _read_items(self, items_path: Path, *, needs_result: bool) -> tuple[tuple[UnitReport, ...], int]:
        units, without_unit = [], 0
        items = self.document.list_at(items_path)
        for item, sn in zip(items, self.document.texts_at_items(items_path, self.mapping.sn_path), strict=True):
            position = self.document.text_in(item, self.mapping.position_path)
            if sn is None and position is None:
                without_unit += 1
                continue
            if position is not None and len(position) > LONGEST_POSITION:
                raise invalid(_("positionPath: longer than {limit} characters").format(limit=LONGEST_POSITION))
            units.append(self._read_item(item, sn, position, needs_result=needs_result))
        return tuple(units), without_unit

    def _read_item(self, item: Any, sn: str | None, position: str | None, *, needs_result: bool) -> UnitReport:
        try:
            result = self._read_result_of_item(item) if needs_result else None
            return UnitReport(sn, position, result, find_measurements(self.mapping, self.document, item))
        except errors.IngestPayloadInvalid as error:
            if sn is not None:
                raise
            return UnitReport(None, position, problem="; ".join(error.details["problems"]))

    def _read_measurements(self) -> tuple[Measurement, ...]:
        rule = self.mapping.measurements
        return () if rule is None else find_measurements(self.mapping, self.document, self.document.fields)

    def _read_result(self) -> str:
        """Return PASS or FAIL; a mapping without `result` means that leaving is passing."""
        rule = self.mapping.result
        return "PASS" if rule is None else _as_verdict(rule, self.document.search(rule.path))

    def _read_result_of_item(self, item: Any) -> str:
        """Return PASS or FAIL. Where an item says nothing at the path, what the event says there holds for each."""
        rule = self.mapping.result
        if rule is None:
            return "PASS"
        found = self.document.search_in(item, rule.path)
        return _as_verdict(rule, self.document.search(rule.path) if found is None else found)


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except errors.IngestPayloadInvalid:
        return None


def _as_verdict(rule: ResultRule, found: Any) -> str:
    """Return PASS or FAIL for a word that was found. Nothing unknown passes."""
    for verdict, words in (("PASS", rule.pass_values), ("FAIL", rule.fail_values)):
        if any(is_same(found, word) for word in words):
            return verdict
    raise invalid(_("result.path: {found} is in neither passValues nor failValues").format(found=repr(found)[:200]))


def _as_moment(text: Any, expression: str) -> datetime:
    try:
        moment = msgspec.convert(text, datetime)
        validate_moment(moment)
    except (msgspec.ValidationError, ValidationError):
        reason = _("{path}: {text} is no time with an offset from UTC")
        raise invalid(reason.format(path=expression, text=repr(text)[:100])) from None
    return moment


def _check_numbers(units: tuple[UnitReport, ...], measurements: tuple[Measurement, ...]) -> None:
    """Raise IngestPayloadInvalid for an event that is about more than one event may be."""
    if len(units) > MOST_UNITS:
        raise invalid(_("it names more than {most} units").format(most=MOST_UNITS))
    if sum(len(unit.measurements) for unit in units) + len(measurements) > MOST_MEASUREMENTS:
        raise invalid(_("it has more than {most} measurements").format(most=MOST_MEASUREMENTS))


def _check_codes(units: tuple[UnitReport, ...], carrier_no: str | None) -> None:
    """Raise IngestPayloadInvalid for a serial number, or a number of a carrier, that cannot be one."""
    codes = [unit.sn for unit in units if unit.sn is not None]
    for code in codes if carrier_no is None else [*codes, carrier_no]:
        try:
            validate_code(code)
        except ValidationError as error:
            raise invalid(f"“{code[:100]}”: {' '.join(error.messages)}") from None


def _expression(path: Path | None, key: str) -> str:
    return key if path is None else path.expression
