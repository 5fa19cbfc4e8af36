"""The columns of a sheet, taken from the interface's serializer of its rows, and what their cells say (pure).

Nothing is guessed: a cell is read as its column says, or refused with what to type instead.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from io import StringIO
from math import isfinite
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from mes.errors import DomainError, NotFound, ValidationFailed
from mes.platform.http import parsing
from mes.platform.http.master_data import OptionalCodeField
from mes.platform.http.serializers import CodeField, CodeRelatedField
from mes.platform.http.tables import cut, unguarded
from mes.routing.fields import WorkInstructionsField

LONGEST_SHOWN = 60  # characters of a cell in a message
_WHOLE = re.compile(r"[-+]?[0-9]{1,30}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,4})?", re.ASCII)
_WITH_COMMA = re.compile(r"[-+]?[0-9][0-9.' \u00a0\u202f]*,[0-9]+|[-+]?,[0-9]+", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_EMPTY_LIST = "[]"


class Source(StrEnum):
    """How rows came."""

    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


class Fault(models.TextChoices):
    """What may be wrong with a cell or a sheet, beside what the interface itself refuses."""

    BLANK_ENDS = "BLANK_ENDS", gettext_lazy("Take the blanks at its ends away.")
    CUT_OFF = "CUT_OFF", gettext_lazy("Use a CSV file for texts of this length.")
    DECIMAL_COMMA = "DECIMAL_COMMA", gettext_lazy("Write decimals with a point.")
    DUPLICATE_COLUMN = "DUPLICATE_COLUMN", gettext_lazy("Keep one of the two columns.")
    DUPLICATE_KEY = "DUPLICATE_KEY", gettext_lazy("Keep one of the two rows.")
    EMPTY = "EMPTY", gettext_lazy("Fill it in.")
    EXTRA_CELL = "EXTRA_CELL", gettext_lazy("Empty the cell, or give its column a name.")
    FAULTY_CELL = "FAULTY_CELL", gettext_lazy("Type the value instead of the error.")
    FORMULA = "FORMULA", gettext_lazy("Paste it as a value.")
    MISSING_COLUMN = "MISSING_COLUMN", gettext_lazy("Add the column.")
    NOT_A_CHOICE = "NOT_A_CHOICE", gettext_lazy("Type one of the choices.")
    NUMBER_CELL = "NUMBER_CELL", gettext_lazy("Format the column as text, and type it again.")
    SECOND_HEADER = "SECOND_HEADER", gettext_lazy("Delete the row: a sheet has one line of heads.")
    UNKNOWN_COLUMN = "UNKNOWN_COLUMN", gettext_lazy("Delete the column, or give it one of the names.")
    WRONG_TYPE = "WRONG_TYPE", gettext_lazy("Type it as the column says.")


class CellFault(Exception):
    """What is wrong with a cell."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class Kind(Enum):
    """How the cells of a column are read, with what a person is told of it."""

    CODE = gettext_lazy("A code, as text: leading zeros count.")
    TEXT = gettext_lazy("A text.")
    CHOICE = gettext_lazy("One of the choices.")
    BOOLEAN = gettext_lazy("true or false.")
    WHOLE = gettext_lazy("A whole number.")
    NUMBER = gettext_lazy("A number, decimals with a point: 5.1")
    LIST = gettext_lazy('A list: items with ; between, in "quotes" where one has a ; itself. [] is an empty list.')
    JSON = gettext_lazy("JSON.")


_TEXTS = (Kind.CODE, Kind.TEXT, Kind.CHOICE, Kind.LIST, Kind.JSON)
_KINDS: tuple[tuple[tuple[type[serializers.Field], ...], Kind], ...] = (
    ((serializers.ChoiceField,), Kind.CHOICE),
    ((serializers.BooleanField,), Kind.BOOLEAN),
    ((serializers.IntegerField,), Kind.WHOLE),
    ((serializers.FloatField, serializers.DecimalField), Kind.NUMBER),
    ((WorkInstructionsField,), Kind.JSON),
    ((serializers.ListField,), Kind.LIST),
    ((serializers.JSONField,), Kind.JSON),
    ((CodeField, CodeRelatedField, OptionalCodeField), Kind.CODE),
    ((serializers.CharField,), Kind.TEXT),
)


@dataclass(frozen=True)
class Column:
    """A column: the path of a field (`limits.usl`), and how its cells are read."""

    name: str
    kind: Kind
    field: serializers.Field

    @property
    def path(self) -> tuple[str, ...]:
        """The names that lead to the field."""
        return tuple(self.name.split("."))

    @property
    def choices(self) -> list[str]:
        """What a cell may say, where that is a choice."""
        if not isinstance(self.field, serializers.ChoiceField):
            return []
        return [str(choice) for choice in self.field.choices if choice != ""]

    @property
    def is_needed(self) -> bool:
        """Whether a new row must have it."""
        return bool(self.field.required)

    @property
    def is_text(self) -> bool:
        """Whether a spreadsheet should keep what is typed as it is typed."""
        return self.kind in _TEXTS

    @property
    def reference(self) -> tuple[type[models.Model], type[NotFound]] | None:
        """What the cell names by its code, and the refusal of a code that nothing has."""
        if not isinstance(self.field, CodeRelatedField):
            return None
        field: Any = self.field
        return field.queryset.model, field.not_found

    @property
    def explanation(self) -> str:
        """What a person may type."""
        parts = [str(self.kind.value), ", ".join(self.choices)]
        longest = getattr(self.field, "max_length", None) if self.kind in (Kind.CODE, Kind.TEXT) else None
        if longest:
            parts.append(_("At most %(longest)d characters.") % {"longest": longest})
        return " ".join(filter(None, parts))


def columns_of(serializer: serializers.Serializer) -> tuple[Column, ...]:
    """Return the columns of a serializer's rows: what it writes, nested objects field by field."""
    return tuple(_columns(serializer, ""))


def _columns(serializer: serializers.Serializer, prefix: str) -> Iterator[Column]:
    for name, field in serializer.fields.items():
        if field.read_only or field.write_only:
            continue
        if isinstance(field, serializers.Serializer):
            yield from _columns(field, f"{name}.")
            continue
        kind = next(kind for classes, kind in _KINDS if isinstance(field, classes))
        yield Column(f"{prefix}{name}", kind, field)


def flat(row: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Return a row of the interface by columns."""
    return {column.name: _plain(_at(row, column.path)) for column in columns}


def _at(row: Any, path: Sequence[str]) -> Any:
    for name in path:
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def shown(text: Any) -> str:
    """Return a cell as a message quotes it."""
    line = "".join(letter if letter.isprintable() else "�" for letter in str(text))
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"


# --- writing ------------------------------------------------------------------------------------------------


def write_cell(column: Column, value: Any) -> Any:
    """Return the cell of a value: numbers stay numbers, all else is text; None is a blank."""
    if value is None or value == "":
        return None
    if column.kind == Kind.BOOLEAN:
        return "true" if value else "false"
    if column.kind == Kind.LIST:
        return write_list(value)
    if column.kind == Kind.JSON:
        return json.dumps(value, ensure_ascii=False)
    return value


def write_list(items: Sequence[str]) -> str:
    """Return a list as the text of a cell."""
    if not items:
        return _EMPTY_LIST
    if list(items) == [_EMPTY_LIST]:
        return f'"{_EMPTY_LIST}"'
    target = StringIO()
    csv.writer(target, delimiter=";", lineterminator="").writerow(items)
    return target.getvalue()


# --- reading ------------------------------------------------------------------------------------------------


def is_blank(cell: Any) -> bool:
    """Whether nothing is in a cell."""
    return cell is None or cell == ""


def is_as_written(column: Column, cell: Any, value: Any, source: Source) -> bool:
    """Whether a cell is what an export has for this value, so that it changes nothing.

    Also where the value is one that nobody could type today: a name with a blank at its end, a number with more digits
    than a spreadsheet keeps.
    """
    if source == Source.JSON:
        return bool(type(cell) is type(value) and cell == value)
    written = write_cell(column, value)
    if is_blank(cell) or written is None:
        return is_blank(cell) and written is None
    if column.kind in (Kind.WHOLE, Kind.NUMBER):
        return _is_same_number(column, cell, written)
    if not isinstance(cell, str):
        return column.kind == Kind.BOOLEAN and cell is value
    if source == Source.CSV:
        return bool(unguarded(cell) == written)
    return _in_sheet(written) in (cell, unguarded(cell))


def _in_sheet(text: str) -> str:
    """Return a text as it comes back from a cell of a workbook."""
    return cut(text).replace("\ufffe", "_xFFFE_").replace("\uffff", "_xFFFF_")


def _is_same_number(column: Column, cell: Any, value: float) -> bool:
    try:
        read = read_cell(column, cell, Source.XLSX)
    except CellFault:
        return False
    return read == value or (isinstance(cell, float) and read == float(f"{value:.16G}"))  # as a workbook keeps it


def read_cell(column: Column, cell: Any, source: Source) -> Any:
    """Return what a cell says, as the interface takes it; what is blank empties. Raises CellFault."""
    if source == Source.JSON:
        return cell
    if is_blank(cell):
        return _empty(column)
    if isinstance(cell, str) and column.is_text:
        _refuse_cut(cell, source)
        cell = unguarded(cell)
    return _READERS[column.kind](column, cell)


def _empty(column: Column) -> Any:
    if column.field.allow_null:
        return None
    if getattr(column.field, "allow_blank", False):
        return ""
    raise CellFault(Fault.EMPTY, _("Must not be empty."))


def _refuse_cut(text: str, source: Source) -> None:
    if source == Source.XLSX and text.endswith("…") and cut(text + "…") != text + "…":
        raise CellFault(Fault.CUT_OFF, _("It is as long as a cell can be, and was cut: use a CSV file."))


def _text(cell: Any) -> str:
    """Return the text of a cell without blanks at its ends."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no text, but a date or a truth value.") % _quote(cell))
    if not isinstance(cell, str):
        message = _("%(cell)s is a number cell, whose leading zeros are lost: format it as text, and type it again.")
        raise CellFault(Fault.NUMBER_CELL, message % {"cell": _figures(cell)})
    if cell != cell.strip():
        raise CellFault(Fault.BLANK_ENDS, _("“%(cell)s” begins or ends with a blank.") % _quote(cell))
    return cell


def _quote(cell: Any) -> dict[str, str]:
    return {"cell": shown(cell)}


def _figures(number: float) -> str:
    return str(int(number)) if isinstance(number, int) or number.is_integer() else repr(number)


def _read_text(column: Column, cell: Any) -> str:
    return _text(cell)


def _read_choice(column: Column, cell: Any) -> str:
    text = _text(cell)
    if text not in column.choices:
        message = _("“%(cell)s” is none of %(choices)s.")
        raise CellFault(Fault.NOT_A_CHOICE, message % {**_quote(text), "choices": ", ".join(column.choices)})
    return text


def _read_boolean(column: Column, cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    known = _BOOLEANS.get(cell.lower()) if isinstance(cell, str) else None
    if known is None:
        raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is neither true nor false.") % _quote(cell))
    return known


def _read_whole(column: Column, cell: Any) -> int:
    if isinstance(cell, str):
        _refuse_blank_ends(cell)
        if not _WHOLE.fullmatch(cell):
            _refuse_comma(cell)
            raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no whole number.") % _quote(cell))
        return int(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not float(cell).is_integer():
        raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no whole number.") % _quote(cell))
    return int(cell)


def _read_number(column: Column, cell: Any) -> float:
    if isinstance(cell, str):
        _refuse_blank_ends(cell)
        if not _NUMBER.fullmatch(cell):
            _refuse_comma(cell)
            raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no number.") % _quote(cell))
        cell = float(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no number, but a date or a truth value.") % _quote(cell))
    if not isfinite(cell):
        raise CellFault(Fault.WRONG_TYPE, _("The number is out of range."))
    return cell


def _refuse_blank_ends(cell: str) -> None:
    if cell != cell.strip():
        raise CellFault(Fault.BLANK_ENDS, _("“%(cell)s” begins or ends with a blank.") % _quote(cell))


def _refuse_comma(cell: str) -> None:
    if _WITH_COMMA.fullmatch(cell):
        message = _("“%(cell)s” has a comma: write decimals with a point, and nothing between thousands.")
        raise CellFault(Fault.DECIMAL_COMMA, message % _quote(cell))


def _read_list(column: Column, cell: Any) -> list[str]:
    if not isinstance(cell, str):
        return [_text(cell)]
    if cell == _EMPTY_LIST:
        return []
    try:
        lines = list(csv.reader([cell], delimiter=";", strict=True))
    except csv.Error:
        lines = []
    if len(lines) != 1:
        raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no list: look at its quotes.") % _quote(cell))
    return [_text(item) for item in lines[0]]


def _read_json(column: Column, cell: Any) -> Any:
    if not isinstance(cell, str):
        if isinstance(cell, bool | int | float):
            return cell
        raise CellFault(Fault.WRONG_TYPE, _("“%(cell)s” is no JSON.") % _quote(cell))
    try:
        return parsing.decode(cell.encode())
    except ValidationFailed as refusal:
        raise CellFault(Fault.WRONG_TYPE, " ".join(map(str, refusal.details.values()))) from None
    except DomainError as refusal:
        raise CellFault(Fault.WRONG_TYPE, str(refusal).replace(_("The body"), _("The cell"))) from None


_READERS = {
    Kind.CODE: _read_text,
    Kind.TEXT: _read_text,
    Kind.CHOICE: _read_choice,
    Kind.BOOLEAN: _read_boolean,
    Kind.WHOLE: _read_whole,
    Kind.NUMBER: _read_number,
    Kind.LIST: _read_list,
    Kind.JSON: _read_json,
}
