"""Reading an event by a mapping. Pure: no query, no clock.

`docs/ingest.md` describes every key. What an event says is read when it is first asked for, and each path but once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from execution.quality.defects import ReportedDefect
from ingest.mapping.defects import MOST_DEFECTS, find_defects, too_many_defects
from ingest.mapping.measurements import Blocks, Measurement, find_measurements, list_readable_measurements
from ingest.mapping.paths import EventDocument, invalid, is_same
from mes import errors
from mes.platform.validators import validate_moment, validate_name
from mes.production.serial_numbers import is_unreadable
from mes.routing import judging
from mes.routing.paths import Path
from mes.routing.step_mapping import ResultRule, StepMapping
from mes.routing.time_formats import ISO, Moment, find_zone, read_time, settle

T = TypeVar("T")
IN, OUT, DATA = "IN", "OUT", "DATA"
PASS, FAIL, SKIP = "PASS", "FAIL", "SKIP"
LONGEST_ID = 200
LONGEST_POSITION = 100
MOST_UNITS = 1000  # of one event, items that name none among them
MOST_MEASUREMENTS = judging.MOST_READINGS  # of one event, those of all its units together


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What an event says about one unit, named by its serial number or by its position on the carrier.

    `result` is PASS, FAIL, SKIP (it was not processed) or None. `problem` is what is wrong with a position's report,
    which counts only where there is a unit.
    """

    sn: str | None
    position: str | None = None
    result: str | None = None
    measurements: tuple[Measurement, ...] = ()
    problem: str | None = None
    defects: tuple[ReportedDefect, ...] = ()

    @property
    def is_skipped(self) -> bool:
        """Whether the machine says that it did not process the unit."""
        return self.result == SKIP


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """An item without a serial number that could be read: its place in the list, and what it says, as far as that can
    be read. One with a position may still be named by that, where its carrier has a unit there.
    """

    item: int
    report: UnitReport


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a mapping makes of an event. `phase` is IN, OUT, DATA (it brings values only) or None: in and out at once.

    `result`, `measurements` and `defects` are said of no single unit. `measured_without_unit` counts the measurements
    of positions without a unit. `unreadable` are items that were processed and have no serial number that could be
    read, nor a position, unless a carrier may have a unit there.
    """

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
    defects: tuple[ReportedDefect, ...] = ()
    positions_without_unit: int = 0
    measured_without_unit: int = 0
    unreadable: tuple[UnreadableItem, ...] = ()
    is_time_doubtful: bool = False

    @property
    def reports(self) -> list[UnitReport]:
        """What is said of units that were processed: of each, and without a serial number and a position of all."""
        of_all = UnitReport(None, None, self.result, self.measurements, defects=self.defects)
        said = [*self.units, *([of_all] if self.result or self.measurements or self.defects else [])]
        return [report for report in said if not report.is_skipped]

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

    # --- whether -------------------------------------------------------------------------------------------

    @property
    def holds_when(self) -> bool:
        """Whether the mapping reads the event. Only `true` counts: no other word, nor what cannot be evaluated."""
        when = self.mapping.when
        return when is None or _or_none(lambda: self.document.search(when)) is True

    def find_problem_of_when(self) -> str | None:
        """Return why `when` could not be evaluated; None where it could."""
        try:
            _found = self.mapping.when and self.document.search(self.mapping.when)
        except errors.IngestPayloadInvalid as error:
            return "; ".join(error.details["problems"])
        return None

    # --- who -----------------------------------------------------------------------------------------------

    @property
    def sns(self) -> list[str]:
        """The serial numbers of the units that the event names; the present ones, as far as they are known."""
        present = self.document.present
        return [present(sn) for sn in self.said_sns] if self.document.present_sns else self.said_sns

    @property
    def said_sns(self) -> list[str]:
        """The serial numbers as the event has them."""
        fields, mapping = self.document.fields, self.mapping
        if fields.get("sn"):
            return [fields["sn"]]
        if fields.get("sns"):
            return list(fields["sns"])
        if mapping.units_path is not None:
            return [sn for sn in self._list_said_item_sns(mapping.units_path) if sn]
        if mapping.sn_list_path is not None:
            return [sn for sn in self.document.list_at(mapping.sn_list_path) if isinstance(sn, str) and sn]
        sn = self.document.text_at(mapping.sn_path)
        return [sn] if sn else []

    @property
    def item_sns(self) -> list[str]:
        """The serial numbers of the items that the mapping reads one by one; none where it reads no items."""
        if self.mapping.units_path is None:
            return []
        return [sn for sn in self._list_item_sns(self.mapping.units_path) if sn]

    def _list_item_sns(self, items_path: Path) -> list[str | None]:
        """Return the serial number of each item, None for what the reader could not read."""
        present = self.document.present
        return [sn and present(sn) for sn in self._list_said_item_sns(items_path)]

    def _list_said_item_sns(self, items_path: Path) -> list[str | None]:
        texts = self.document.texts_at_items(items_path, self.mapping.sn_path)
        return [None if is_unreadable(sn) else sn for sn in texts]

    def find_unreadable(self) -> str | None:
        """Return what the first item has in place of a serial number that could be read; None where there is none."""
        path = self.mapping.units_path
        texts = None if path is None else _or_none(lambda: self.document.texts_at_items(path, self.mapping.sn_path))
        return next((sn for sn in texts or () if sn and is_unreadable(sn)), None)

    @property
    def carrier_no(self) -> str | None:
        """The carrier that the event names."""
        return self.document.text_at(self.mapping.carrier_code_path)

    @property
    def transaction_id(self) -> str | None:
        """The transaction that the event belongs to."""
        return self.document.text_at(self.mapping.transaction_id_path)

    @property
    def skipped(self) -> frozenset[str]:
        """The serial numbers and positions of the items of which the event says that they were not processed."""
        rule, items_path = self.mapping.result, self.mapping.units_path
        if items_path is None or rule is None or not rule.skip_values:
            return frozenset()
        reports = (report for report, _item in self._list_readable_items(items_path, IN))
        return frozenset(str(report.sn or report.position) for report in reports if report.is_skipped)

    @property
    def is_skipped(self) -> bool:
        """Whether the event says of all its units that they were not processed."""
        return _or_none(lambda: self._read_result(IN)) == SKIP

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
    def said_moment(self) -> Moment | None:
        """When the event occurred as its source says; by a mapping without a path for it, as the envelope does.

        None where neither is there: it occurred when it was received.
        """
        path, mapping = self.mapping.occurred_at_path, self.mapping
        if path is None:
            return self._said_by_envelope()
        zone = self.document.clock.time_zone
        if mapping.time_zone is not None:
            zone = find_zone(mapping.time_zone)
            if zone is None:
                raise invalid(_("timeZone: there is no time zone “{name}”").format(name=mapping.time_zone[:100]))
        return _as_moment(self.document.search(path), path.expression, mapping.time_format, zone, self.document)

    @property
    def occurred_at(self) -> datetime:
        """When the event occurred, by its source's clock put right."""
        return self._put_right(self.said_moment)

    def _said_by_envelope(self) -> Moment | None:
        text = self.document.fields.get("occurredAt")
        return (
            None if text is None else _as_moment(text, "occurredAt", ISO, self.document.clock.time_zone, self.document)
        )

    def _put_right(self, said: Moment | None) -> datetime:
        return self.document.received_at if said is None else self.document.clock.correct(said.at)

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
            return self._put_right(self._said_by_envelope())

    # --- what ----------------------------------------------------------------------------------------------

    @property
    def phase(self) -> str | None:
        """IN, OUT, DATA, or None: in and out at once."""
        rule = self.mapping.phase
        if rule is None:
            return None
        found = self.document.search(rule.path)
        for phase, words in ((IN, rule.in_values), (OUT, rule.out_values), (DATA, rule.data_values)):
            if any(is_same(found, word) for word in words):
                return phase
        reason = _("phase.path: {found} is in none of inValues, outValues and dataValues")
        raise invalid(reason.format(found=repr(found)[:200]))

    @property
    def brings_values(self) -> bool:
        """Whether the event reports values only: its units neither enter nor leave."""
        rule = self.mapping.phase
        return rule is not None and bool(rule.data_values) and _or_none(lambda: self.phase) == DATA

    def may_be_entry(self) -> bool:
        """Whether the event reports that units enter, or something that the mapping cannot tell from that."""
        try:
            return self.phase == IN
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
        """Return what the event says of each unit that was processed, whatever else in it cannot be read.

        What cannot be read of a report is left out of it. One without a serial number and a position is for all units.
        """
        phase = _or_none(lambda: self.phase)
        if self.mapping.units_path is None:
            result = _or_none(partial(self._read_result, phase))
            measured = self._list_readable_measurements(self.document.fields, self._blocks)
            sns = [*(_or_none(lambda: self.sns) or ())] or [None]
            defects = self._list_readable_defects(self.document.fields)
            reports = [UnitReport(sn, None, result, measured, None, defects) for sn in dict.fromkeys(sns)]
        else:
            of_event = self._list_readable_measurements(self.document.fields, self._blocks_of_event)
            reports = [UnitReport(None, None, None, of_event)]
            for report, item in self._list_readable_items(self.mapping.units_path, phase):
                measured = self._list_readable_measurements(item, self._blocks_of_units)
                defects = self._list_readable_defects(item)
                reports.append(replace(report, measurements=measured, defects=defects))
        return [report for report in reports if not report.is_skipped]

    def _list_readable_items(self, items_path: Path, phase: str | None) -> Iterator[tuple[UnitReport, Any]]:
        """Yield what items say of the results of units, each with the item."""
        items = _or_none(lambda: self.document.list_at(items_path)) or []
        sns = _or_none(lambda: self._list_item_sns(items_path)) or [None] * len(items)
        for item, sn in zip(items, sns, strict=False):
            position = _or_none(partial(self.document.text_in, item, self.mapping.position_path))
            if sn is not None or position is not None:
                result = _or_none(partial(self._read_result, phase, item))
                yield UnitReport(sn, position, result), item

    def _list_readable_measurements(self, root: Any, blocks: Blocks) -> tuple[Measurement, ...]:
        found = list_readable_measurements(self.mapping, self.document, root, blocks)
        return tuple(found[:MOST_MEASUREMENTS])

    def _list_readable_defects(self, root: Any) -> tuple[ReportedDefect, ...]:
        return _or_none(partial(self._defects, root)) or ()

    # --- extracting ----------------------------------------------------------------------------------------

    @property
    def _blocks(self) -> Blocks:
        return tuple(enumerate(self.mapping.measurements))

    @property
    def _blocks_of_units(self) -> Blocks:
        return [(index, rule) for index, rule in self._blocks if not rule.of_event]

    @property
    def _blocks_of_event(self) -> Blocks:
        return [(index, rule) for index, rule in self._blocks if rule.of_event]

    def _extract(self) -> Extracted:
        mapping = self.mapping
        carrier_no, sns, phase = self.carrier_no, self.sns, self.phase
        units, of_no_unit, unread = self._read_units(sns, phase, carrier_no)
        # Where no unit is named, those of the carrier or the transaction are meant, and what is said is said of each.
        is_of_all = not units and mapping.units_path is None
        measurements = self._measured(self.document.fields, self._blocks if is_of_all else self._blocks_of_event)
        defects = self._defects(self.document.fields) if is_of_all else ()
        _check_numbers(units, measurements, defects)
        _check_codes(units, carrier_no)
        transaction_id = self.transaction_id
        if transaction_id is not None and len(transaction_id) > LONGEST_ID:
            path = _expression(mapping.transaction_id_path, "transactionIdPath")
            raise invalid(_("{path}: finds no transaction id").format(path=path))
        said = self.said_moment
        return Extracted(
            units=units,
            occurred_at=self._put_right(said),
            reported_at=None if said is None else said.at,
            station_code=self.station_code,
            line_code=self.line_code,
            carrier_no=carrier_no,
            test_result_id=None if mapping.test_result_id_path is None else self.test_result_id,
            transaction_id=transaction_id,
            phase=phase,
            result=self._read_result(phase) if not units else None,
            measurements=measurements,
            defects=defects,
            positions_without_unit=len(of_no_unit),
            measured_without_unit=sum(len(each.report.measurements) for each in of_no_unit),
            unreadable=tuple(each for each in (*of_no_unit, *unread) if not each.report.is_skipped),
            is_time_doubtful=said is not None and said.is_doubtful,
        )

    def _read_units(
        self, sns: list[str], phase: str | None, carrier_no: str | None
    ) -> tuple[tuple[UnitReport, ...], list[UnreadableItem], list[UnreadableItem]]:
        """Return the units reported, the items that name none, and those that only their position may name."""
        if self.mapping.units_path is not None:
            return self._read_items(self.mapping.units_path, phase, carrier_no)
        if not sns:
            return (), [], []
        root = self.document.fields
        result, measured, defects = self._read_result(phase), self._measured_of_units(root), self._defects(root)
        return tuple(UnitReport(sn, None, result, measured, None, defects) for sn in dict.fromkeys(sns)), [], []

    def _read_items(
        self, items_path: Path, phase: str | None, carrier_no: str | None
    ) -> tuple[tuple[UnitReport, ...], list[UnreadableItem], list[UnreadableItem]]:
        units: list[UnitReport] = []
        of_no_unit: list[UnreadableItem] = []
        unread: list[UnreadableItem] = []
        items, texts = self.document.list_at(items_path), self.document.texts_at_items(items_path, self.mapping.sn_path)
        if len(items) > MOST_UNITS:
            raise _too_many_units()
        for index, (item, text) in enumerate(zip(items, texts, strict=True)):
            sn = None if text is None or is_unreadable(text) else self.document.present(text)
            position = self.document.text_in(item, self.mapping.position_path)
            if sn is None and position is None:
                of_no_unit.append(self._read_unreadable(index, item, None, phase))
                continue
            if position is not None and len(position) > LONGEST_POSITION:
                raise invalid(_("positionPath: longer than {limit} characters").format(limit=LONGEST_POSITION))
            if sn is None and (text is not None or carrier_no is None):
                unread.append(self._read_unreadable(index, item, position, phase))
            units.append(self._read_item(item, sn, position, phase))
        return tuple(units), of_no_unit, unread

    def _read_unreadable(self, index: int, item: Any, position: str | None, phase: str | None) -> UnreadableItem:
        result = _or_none(partial(self._read_result, phase, item))
        measured = self._list_readable_measurements(item, self._blocks_of_units)
        defects = self._list_readable_defects(item)
        return UnreadableItem(index, UnitReport(None, position, result, measured, None, defects))

    def _read_item(self, item: Any, sn: str | None, position: str | None, phase: str | None) -> UnitReport:
        try:
            result = self._read_result(phase, item)
            return UnitReport(sn, position, result, self._measured_of_units(item), None, self._defects(item))
        except errors.IngestPayloadInvalid as error:
            if sn is not None:
                raise
            return UnitReport(None, position, problem="; ".join(error.details["problems"]))

    def _measured_of_units(self, root: Any) -> tuple[Measurement, ...]:
        return self._measured(root, self._blocks_of_units)

    def _measured(self, root: Any, blocks: Blocks) -> tuple[Measurement, ...]:
        return find_measurements(self.mapping, self.document, root, blocks)

    def _defects(self, root: Any) -> tuple[ReportedDefect, ...]:
        return find_defects(self.mapping.defects, self.document, root)

    def _read_result(self, phase: str | None, item: Any = None) -> str | None:
        """Return PASS, FAIL or SKIP; None of units that enter, and where a report of values says nothing.

        Where an item says nothing at the path, what the event says there holds for each. A mapping without `result`
        means that leaving is passing.
        """
        rule = self.mapping.result
        if rule is None:
            return PASS if phase in (OUT, None) else None
        if phase == IN and not rule.skip_values:
            return None
        found = None if item is None else self.document.search_once(item, rule.path)
        if found is None:
            found = self.document.search(rule.path)
        if any(is_same(found, word) for word in rule.skip_values):
            return SKIP
        if phase == IN or (phase == DATA and found is None):
            return None
        return _as_verdict(rule, found)


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except errors.IngestPayloadInvalid:
        return None


def _as_verdict(rule: ResultRule, found: Any) -> str:
    """Return PASS or FAIL for a word that was found. Nothing unknown passes."""
    for verdict, words in ((PASS, rule.pass_values), (FAIL, rule.fail_values)):
        if any(is_same(found, word) for word in words):
            return verdict
    raise invalid(_("result.path: {found} is in neither passValues nor failValues").format(found=repr(found)[:200]))


def _as_moment(found: Any, expression: str, time_format: str, zone: ZoneInfo | None, document: EventDocument) -> Moment:
    """Return the instant that was found, in a format and for times without an offset in a zone."""
    said = {"path": expression, "text": repr(found)[:100], "format": time_format}
    try:
        written = read_time(found, time_format)
    except ValueError:
        reason = _("{path}: {text} is no time with an offset from UTC")
        raise invalid((reason if time_format == ISO else _("{path}: {text} is no {format}")).format(**said)) from None
    try:
        moment = settle(written, zone, near=document.received_at + document.clock.correction)
        validate_moment(moment.at)
    except (ValueError, ValidationError):
        reason = _("{path}: {text} is no time with an offset from UTC; without one, timeZone or its source must tell")
        raise invalid(reason.format(**said)) from None
    return moment


def _too_many_units() -> errors.IngestPayloadInvalid:
    return invalid(_("it names more than {most} units").format(most=MOST_UNITS))


def _check_numbers(
    units: tuple[UnitReport, ...], measurements: tuple[Measurement, ...], defects: tuple[ReportedDefect, ...]
) -> None:
    """Raise IngestPayloadInvalid for an event that is about more than one event may be."""
    if len(units) > MOST_UNITS:
        raise _too_many_units()
    if sum(len(unit.defects) for unit in units) + len(defects) > MOST_DEFECTS:
        raise too_many_defects()
    if sum(len(unit.measurements) for unit in units) + len(measurements) > MOST_MEASUREMENTS:
        raise invalid(_("it has more than {most} measurements").format(most=MOST_MEASUREMENTS))


def _check_codes(units: tuple[UnitReport, ...], carrier_no: str | None) -> None:
    """Raise IngestPayloadInvalid for a serial number, or a number of a carrier, that cannot be one."""
    codes = [unit.sn for unit in units if unit.sn is not None]
    for code in codes if carrier_no is None else [*codes, carrier_no]:
        try:
            validate_name(code)
        except ValidationError as error:
            raise invalid(f"“{code[:100]}”: {' '.join(error.messages)}") from None


def _expression(path: Path | None, key: str) -> str:
    return key if path is None else path.expression
