"""XLSX files: bounded before anything is unpacked for good, then read.

A workbook is a zip archive, a few kilobytes of which may unpack to gigabytes, and a single cell far down and far right
makes a table of billions of cells. So the few parts that hold the first sheet are unpacked here, each no further than
the limit, whatever the archive claims of their sizes; the sheet is scanned for where its cells are; and only then it is
read, from an archive of these parts. One file at a time is read, so that several do not add up.
"""

import re
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from xml.parsers import expat

import python_calamine
from django.utils.translation import gettext as _

from mes.errors import SheetUnreadable, TooManyRows

MOST_UNPACKED = 96 * 1024 * 1024  # bytes of all parts together: a million empty rows have half of it
MOST_PARTS = 5000
MOST_ROWS = 10_000  # of an import
MOST_LINES = 100_000  # of a sheet down to its last cell that is not empty
MOST_COLUMNS = 200
MOST_CELLS = 2_000_000  # of the table down and right to the last one
MOST_ELEMENTS = 8_000_000  # of the part that holds the sheet: all cells that may be, and a million empty rows
MOST_TEXT = 32 * 1024 * 1024  # characters of all cells: thousands may refer to one long text
MOST_FAULTY = 1000
_CHUNK = 256 * 1024
_ZIP, _OLD, _PICTURES = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF")
_COMMON_PARTS = re.compile(
    r"\[Content_Types\]\.xml|_rels/\.rels|xl/(?:workbook\.xml|_rels/workbook\.xml\.rels|sharedStrings\.xml|styles\.xml)",
    re.IGNORECASE,
)
_TEXTS = "xl/sharedstrings.xml"
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

Marked = tuple[int, int, str]  # line and column from 0, what the cell has
_one_at_a_time = threading.Lock()


def is_zip(data: bytes) -> bool:
    """Whether bytes begin as an archive does."""
    return data.startswith(_ZIP)


def is_of_another_kind(data: bytes) -> bool:
    """Whether bytes begin as a file does that is no text."""
    return data.startswith(_OLD) or _is_picture(data)


def _is_picture(data: bytes) -> bool:
    return data.startswith(_PICTURES) or (data.startswith(b"BM") and b"\0" in data[:20])  # “BMK” begins a text, too


def describe(data: bytes) -> str:
    """Return what is told of a file that is called a workbook and is none."""
    if data.startswith(_OLD):
        return _("it is of an old kind (.xls), or has a password: save it as .xlsx without one.")
    if _is_picture(data):
        return _("it is a picture or a document, not a spreadsheet.")
    return _("it is no XLSX file, whatever its name says.")


def read(data: bytes) -> tuple[list[list[Any]], list[Marked]]:
    """Return the lines of the first sheet from the top, and which cells hold formulas or errors.

    Raises SheetUnreadable, TooManyRows.
    """
    with _one_at_a_time:
        try:
            return _read(data)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, KeyError, ValueError) as error:
            raise _unreadable(error) from None
        except expat.ExpatError as error:
            raise _unreadable(error) from None
        except (python_calamine.CalamineError, python_calamine.PasswordError) as error:
            raise _unreadable(error) from None


def _unreadable(error: Exception) -> SheetUnreadable:
    return SheetUnreadable(reason=_("it is no XLSX file, or a damaged one (%(error)s).") % {"error": str(error)[:100]})


def _read(data: bytes) -> tuple[list[list[Any]], list[Marked]]:
    unpacked = _Unpacker(data)
    path = _first_sheet(unpacked)
    sheet = unpacked.take(path)
    common = unpacked.take_all(_COMMON_PARTS)
    texts = next((part for name, part in common.items() if name.lower() == _TEXTS), b"")
    scan = _Scan(_lengths(texts) if texts else [])
    scan.feed(sheet)
    archive = _repack({**common, path: sheet})
    with python_calamine.load_workbook(BytesIO(archive)) as workbook:
        names = [each.name for each in workbook.sheets_metadata if each.typ == python_calamine.SheetTypeEnum.WorkSheet]
        lines = workbook.get_sheet_by_name(names[0]).to_python(skip_empty_area=False)
    return lines, scan.marked


# --- the archive --------------------------------------------------------------------------------------------


class _Unpacker:
    """Takes parts out of an archive, no more than MOST_UNPACKED bytes in all. What the archive says of sizes is asked
    first and not believed.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MOST_UNPACKED
        self._parts: dict[str, zipfile.ZipInfo] = {}
        with zipfile.ZipFile(BytesIO(data)) as archive:
            infos = archive.infolist()
        if len(infos) > MOST_PARTS:
            raise SheetUnreadable(reason=_("it has too many parts."))
        for info in infos:
            self._parts.setdefault(info.filename.lower(), info)

    def take_all(self, pattern: re.Pattern[str]) -> dict[str, bytes]:
        return {info.filename: self.take(name) for name, info in self._parts.items() if pattern.fullmatch(name)}

    def take(self, name: str) -> bytes:
        """Return a part, by its name in lower case. Raises KeyError, SheetUnreadable."""
        info = self._parts[name.lower()]
        if info.file_size > self._left:
            raise _too_large()
        if info.flag_bits & 1:
            raise SheetUnreadable(reason=_("it has a password."))
        target = bytearray()
        for piece in self._pieces(info):
            self._left -= len(piece)
            if self._left < 0:
                raise _too_large()
            target += piece
        return bytes(target)

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield a part piece by piece until its end, also beyond what the archive claims."""
        packed = self._packed(info)
        if info.compress_type == zipfile.ZIP_STORED:
            yield packed
            return
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise NotImplementedError(_("an unusual compression"))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        piece = inflate.decompress(packed, _CHUNK)
        while piece:
            yield piece
            piece = inflate.decompress(inflate.unconsumed_tail, _CHUNK)
        if not inflate.eof:
            raise EOFError(_("a part ends too early"))

    def _packed(self, info: zipfile.ZipInfo) -> bytes:
        start = info.header_offset
        head = self._data[start : start + 30]
        if head[:4] != _ZIP or len(head) < 30:
            raise zipfile.BadZipFile(_("a part is not where it should be"))
        begin = start + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        return self._data[begin : begin + info.compress_size]


def _too_large() -> SheetUnreadable:
    reason = _("unpacked it would be larger than %(most)d MiB: delete the empty rows below the last one.")
    return SheetUnreadable(reason=reason % {"most": MOST_UNPACKED // 1024 // 1024})


def _repack(parts: dict[str, bytes]) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


# --- its parts ----------------------------------------------------------------------------------------------


def _first_sheet(unpacked: _Unpacker) -> str:
    """Return the name of the part that holds the first sheet of cells."""
    workbook = _elements(unpacked.take("xl/workbook.xml"), "sheet")
    relations = {
        each.get("Id"): each for each in _elements(unpacked.take("xl/_rels/workbook.xml.rels"), "Relationship")
    }
    for sheet in workbook:
        relation = relations.get(sheet.get(f"{_OFFICE} id") or sheet.get("r:id") or _relation_id(sheet), {})
        if relation.get("Type", "").endswith("/worksheet"):
            target = relation.get("Target", "")
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    raise SheetUnreadable(reason=_("it has no sheet."))


def _relation_id(sheet: dict[str, str]) -> str | None:
    return next((value for name, value in sheet.items() if name.endswith(" id")), None)


def _elements(document: bytes, name: str) -> list[dict[str, str]]:
    """Return the attributes of all elements of a name, whatever their namespace."""
    found: list[dict[str, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == name:
            found.append(attributes)
            if len(found) > MOST_PARTS:
                raise SheetUnreadable(reason=_("it has too many parts."))

    parser = _parser()
    parser.StartElementHandler = start
    parser.Parse(document, True)
    return found


def _lengths(document: bytes) -> list[int]:
    """Return how long the texts are to which cells refer."""
    lengths: list[int] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == "si":
            lengths.append(0)

    def add(text: str) -> None:
        if lengths:
            lengths[-1] += len(text)

    parser = _parser()
    parser.StartElementHandler, parser.CharacterDataHandler = start, add
    parser.Parse(document, True)
    return lengths


def _parser() -> Any:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _refuse_doctype(*args: Any) -> None:
    raise SheetUnreadable(reason=_("it declares entities, which no spreadsheet program does."))


@dataclass
class _Scan:
    """Where the cells of a sheet are that are not empty, and which of them hold formulas or errors. `lengths` are those
    of the texts to which cells refer: each that does has a text of its own once they are read.
    """

    lengths: list[int]
    marked: list[Marked] = field(default_factory=list)
    row: int = -1  # of the element around; a cell may say that it is elsewhere
    line: int = -1
    column: int = -1
    kind: str = ""
    lines: int = 0
    last: int = -1
    elements: int = 0
    text: int = 0
    number: str = ""  # of the text to which a cell refers
    deepest: int = 0
    widest: int = 0

    def feed(self, document: bytes) -> None:
        """Scan a sheet. Raises SheetUnreadable, TooManyRows where its cells reach too far."""
        self._reader = parser = _parser()
        parser.StartElementHandler = self._start
        parser.Parse(document, True)
        if self.deepest * self.widest > MOST_CELLS:
            raise SheetUnreadable(reason=_("its cells are too far apart: delete empty lines and columns."))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if self.elements > MOST_ELEMENTS:
            raise SheetUnreadable(reason=_("it has too many cells."))
        name = tag.rpartition(" ")[2]
        if name == "row":
            number = attributes.get("r", "")
            self.row = int(number) - 1 if number else self.row + 1
            self.column = -1
        elif name == "c":
            self._start_cell(attributes)
        elif name in ("v", "is"):
            self._note_content()
            if self.kind == "s":
                self.number = ""
                self._reader.CharacterDataHandler, self._reader.EndElementHandler = self._add_number, self._end_number
        elif name == "f":
            self._note_content()
            self._mark("FORMULA")

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        self.kind = attributes.get("t", "")
        if reference is None:
            self.line, self.column = self.row, self.column + 1
            return
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise ValueError(_("a cell is nowhere"))
        self.line, self.column = int(found[2]) - 1, _column_of(found[1])

    def _add_number(self, text: str) -> None:
        self.number += text

    def _end_number(self, tag: str) -> None:
        self._reader.CharacterDataHandler = self._reader.EndElementHandler = None
        number = int(self.number) if self.number.isdecimal() and len(self.number) < 10 else -1
        if 0 <= number < len(self.lengths):
            self.text += self.lengths[number]
        else:  # refused later, or not: then it is the longest for all we know
            self.text += max(self.lengths, default=0)
        if self.text > MOST_TEXT:
            raise SheetUnreadable(reason=_("its cells have too much text."))

    def _note_content(self) -> None:
        if self.line != self.last:
            self.last, self.lines = self.line, self.lines + 1
        if self.column >= MOST_COLUMNS:
            reason = _("line %(line)d has a cell beyond column %(most)d.")
            raise SheetUnreadable(reason=reason % {"line": self.line + 1, "most": MOST_COLUMNS})
        self.widest, self.deepest = max(self.widest, self.column + 1), max(self.deepest, self.line + 1)
        if self.lines > 2 * MOST_ROWS:
            raise TooManyRows(most=MOST_ROWS)
        if self.line >= MOST_LINES:
            reason = _("line %(line)d is not empty, far below the others: delete what is there.")
            raise SheetUnreadable(reason=reason % {"line": self.line + 1})
        if self.kind == "e":
            self._mark("FAULTY_CELL")

    def _mark(self, what: str) -> None:
        place = (self.line, self.column, what)
        if len(self.marked) < MOST_FAULTY and place not in self.marked[-2:]:
            self.marked.append(place)


def _column_of(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
