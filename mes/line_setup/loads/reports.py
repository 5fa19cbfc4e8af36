"""What machines report of their slots is a fact: wrong, blocked and unknown lots are recorded, too.

A report is one transaction with the same statements however many slots it tells of. A machine that reports its whole
set-up every minute changes nothing: of what is known, no mark is kept.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mes import errors
from mes.line_setup.loads import book
from mes.line_setup.loads.book import Shelves, Touch, thing_of
from mes.line_setup.loads.models import Load, LoadMark, MarkKind, MarkSource
from mes.line_setup.loads.rules import Place, Slot, Thing
from mes.line_setup.loads.services import LOTS, TOOLS, compare_marks, find_station, lock_all, record
from mes.line_setup.lots.models import LotEventKind, MaterialLot
from mes.line_setup.lots.services import Who
from mes.line_setup.lots.services import record as record_event
from mes.line_setup.tools.models import Tool, ToolKind
from mes.plant.models import Material, Station
from mes.plant.scans import ScanKind, check_kinds
from mes.platform.validators import check_new_code, validate_code, validate_line, validate_name
from mes.production import locking
from mes.status_reports.history import Report

PROGRAM_SLOT = "PROGRAM"  # of a program whose slot is not told
_KINDS = {
    "LOADED": MarkKind.LOAD,
    "SPLICED": MarkKind.SPLICE,
    "SPLICE_POINT": MarkKind.SPLICE_POINT,
    "UNLOADED": MarkKind.UNLOAD,
    "EMPTY": MarkKind.UNLOAD,
}


@dataclass(frozen=True)
class ReportedLoad:
    """What a machine did to a slot: `action` LOADED, SPLICED, SPLICE_POINT, UNLOADED or EMPTY.

    `quantity` is what it says is in the lot, `material_code` what is in a lot that nobody knows.
    """

    action: str
    slot: str = ""
    lot_id: str = ""
    tool_id: str = ""
    program: str = ""
    material_code: str = ""
    quantity: Decimal | None = None

    @property
    def place(self) -> str:
        """The slot; a program has one of its own."""
        return self.slot or (PROGRAM_SLOT if self.program else "")


@dataclass(frozen=True)
class _Known:
    """The lots and tools that are named, by their codes, as they are once they are locked."""

    lots: Mapping[str, MaterialLot]
    tools: Mapping[str, Tool]

    def thing_of(self, item: ReportedLoad) -> Thing | None:
        if item.lot_id:
            return Thing("lot", self.lots[item.lot_id].pk) if item.lot_id in self.lots else None
        if item.tool_id:
            return Thing("tool", self.tools[item.tool_id].pk) if item.tool_id in self.tools else None
        return Thing("program", item.program) if item.program else None

    def columns_of(self, item: ReportedLoad) -> dict[str, Any]:
        if item.lot_id:
            return {"lot": self.lots[item.lot_id]}
        return {"tool": self.tools[item.tool_id]} if item.tool_id else {"program": item.program}


@locking.atomically
def report_loads(report: Report, *, station_code: str, loads: Sequence[ReportedLoad]) -> int:
    """Record what a machine reports of its slots, at the time of the event; return how many marks were new.

    A lot or tool exists from its first mention. Raises StationNotFound, ScanTypeMismatch for what is known as another
    kind of thing, ValidationFailed.
    """
    _check(loads)
    station, at = find_station(station_code), report.event_time
    known = _find_known(loads)
    place = Place("station", station.pk)
    touches = [Touch(Slot(place, item.place), known.thing_of(item), at) for item in loads]
    lots, tools, shelves = lock_all(
        touches,
        [station],
        lots=[lot.pk for lot in known.lots.values()],
        tools=[tool.pk for tool in known.tools.values()],
    )
    known = _Known({lot.lot_id: lot for lot in lots.values()}, {tool.tool_id: tool for tool in tools.values()})
    known = _with_new(known, loads)
    marks = [_mark(report, station, item, shelves, known, at) for item in loads]
    news = [
        (item, mark) for item, mark, is_news in zip(loads, marks, _find_news(shelves, marks), strict=True) if is_news
    ]
    if not news:
        return 0
    kept = [mark for _item, mark in news]
    compare_marks(station, kept)
    who = Who(report.recorded_by, report.operator_id, report.source)
    for item, mark in news:
        if mark.lot is not None:
            _count(item, mark.lot, who, at)
    record(shelves, kept)
    if emptied := [mark for item, mark in news if item.action == "EMPTY" and mark.lot is None]:
        _use_up(emptied, known, who, at)
    return len(kept)


# --- what it says -------------------------------------------------------------------------------------------


def _check(loads: Sequence[ReportedLoad]) -> None:
    """Raise ValidationFailed for what cannot be a slot, a lot, a tool or a program, or is missing."""
    problems = {
        f"loads.{index}.{field}": problem for index, item in enumerate(loads) for field, problem in _find_problems(item)
    }
    if problems:
        raise errors.ValidationFailed(problems)


def _find_problems(item: ReportedLoad) -> Iterator[tuple[str, str]]:
    checks: list[tuple[str, str, Callable[[str], None]]] = [
        ("slot", item.slot, validate_code),
        ("lotId", item.lot_id, validate_name),
        ("toolId", item.tool_id, validate_name),
        ("program", item.program, validate_line),
        ("materialCode", item.material_code, validate_name),
    ]
    for field, value, check in checks:
        try:
            if value:
                check(value)
        except ValidationError as error:
            yield field, " ".join(error.messages)
    things = [value for value in (item.lot_id, item.tool_id, item.program) if value]
    if len(things) > 1:
        yield "lotId", _("Name one of a lot, a tool and a program.")
    if not things and item.action in ("LOADED", "SPLICED"):
        yield "lotId", _("Say what was loaded.")
    if not item.place and (item.action != "UNLOADED" or not things):
        yield "slot", _("Say which slot it was.")


def _find_known(loads: Sequence[ReportedLoad]) -> _Known:
    """Return the lots and tools that are known. Raises ScanTypeMismatch for codes of other things."""
    lot_ids = {item.lot_id for item in loads if item.lot_id}
    tool_ids = {item.tool_id for item in loads if item.tool_id}
    lots = {lot.lot_id: lot for lot in MaterialLot.objects.filter(lot_id__in=lot_ids)} if lot_ids else {}
    tools = {tool.tool_id: tool for tool in Tool.objects.filter(tool_id__in=tool_ids)} if tool_ids else {}
    new_lots, new_tools = sorted(lot_ids - lots.keys()), sorted(tool_ids - tools.keys())
    check_kinds([(code, ScanKind.LOT) for code in new_lots] + [(code, ScanKind.TOOL) for code in new_tools])
    return _Known(lots, tools)


def _with_new(known: _Known, loads: Sequence[ReportedLoad]) -> _Known:
    """Return what is known with what is mentioned for the first time, made in the order of the codes."""
    new_lots = {item.lot_id: item for item in loads if item.lot_id and item.lot_id not in known.lots}
    new_tools = sorted({item.tool_id for item in loads if item.tool_id} - known.tools.keys())
    lots, tools = dict(known.lots), dict(known.tools)
    if new_lots:
        codes = {item.material_code for item in new_lots.values() if item.material_code}
        materials = {material.code: material for material in Material.objects.filter(code__in=codes)} if codes else {}
        made = [_new_lot(code, new_lots[code], materials) for code in sorted(new_lots)]
        MaterialLot.objects.bulk_create(made, ignore_conflicts=True)
        lots |= {lot.lot_id: lot for lot in LOTS.filter(lot_id__in=new_lots)}
        if Load.objects.filter(lot__lot_id__in=new_lots).exists():
            raise locking.Outdated  # somebody made and loaded it meanwhile
    if new_tools:
        for code in new_tools:
            check_new_code("toolId", code)
        Tool.objects.bulk_create([Tool(tool_id=code, kind=ToolKind.OTHER) for code in new_tools], ignore_conflicts=True)
        tools |= {tool.tool_id: tool for tool in TOOLS.filter(tool_id__in=new_tools)}
        if Load.objects.filter(tool__tool_id__in=new_tools).exists():
            raise locking.Outdated
    return _Known(lots, tools)


def _new_lot(code: str, item: ReportedLoad, materials: Mapping[str, Material]) -> MaterialLot:
    check_new_code("lotId", code)
    return MaterialLot(lot_id=code, material=materials.get(item.material_code), quantity=item.quantity)


# --- what becomes of it -------------------------------------------------------------------------------------


def _mark(
    report: Report, station: Station, item: ReportedLoad, shelves: Shelves, known: _Known, at: datetime
) -> LoadMark:
    kind = _KINDS[item.action]
    if item.action == "EMPTY" and not item.lot_id:  # the one that was in use
        shelf = shelves.get(Slot(Place("station", station.pk), item.place))
        kind = MarkKind.SPLICE_POINT if shelf and len(shelf.list_there(at)) > 1 else kind
    return LoadMark(
        station=station,
        slot=item.place,
        kind=kind,
        at=at,
        quantity=item.quantity,
        source=MarkSource.MACHINE if report.source == "AUTO" else MarkSource.SCAN,
        operator=report.operator_id,
        recorded_by=report.recorded_by,
        event_id=report.event_id,
        **known.columns_of(item),
    )


def _find_news(shelves: Shelves, marks: Sequence[LoadMark]) -> list[bool]:
    """Return of each mark whether it tells what is not known; one of several of a slot or thing always does."""
    slots = Counter(mark.slot for mark in marks)
    things = Counter(thing_of(mark) for mark in marks)
    taken = any(mark.slot == "" for mark in marks)
    return [
        taken or slots[mark.slot] > 1 or things[thing_of(mark)] > 1 or book.is_news(shelves, mark) for mark in marks
    ]


def _count(item: ReportedLoad, lot: MaterialLot, who: Who, at: datetime) -> None:
    """Record what is left of a lot that comes out; of one that is loaded, the mark keeps what the machine thinks."""
    if item.action == "EMPTY":
        record_event(lot, LotEventKind.USED_UP, who=who, at=at)
    elif item.action == "UNLOADED" and item.quantity is not None:
        record_event(lot, LotEventKind.COUNTED, who=who, at=at, quantity=item.quantity)


def _use_up(emptied: Sequence[LoadMark], known: _Known, who: Who, at: datetime) -> None:
    """Use up the lots that ran out in their slots, of which the machine did not say which they were."""
    by_id = {lot.pk: lot for lot in known.lots.values()}
    ended = Load.objects.filter(closed_by__in=emptied, lot__in=by_id).order_by("-loaded_at", "-id")
    in_use = dict(ended.values_list("closed_by", "lot"))  # of several in a slot, the first
    for lot_id in sorted(set(in_use.values())):
        record_event(by_id[lot_id], LotEventKind.USED_UP, who=who, at=at)
