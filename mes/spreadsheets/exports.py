"""Collections as files, in the form in which they are imported: an export imported as it is changes nothing."""

from collections.abc import Iterator
from itertools import islice
from math import isfinite
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from mes import errors
from mes.platform.http import tables
from mes.platform.http.tables import LARGEST_WHOLE
from mes.spreadsheets.catalogue import SheetCollection
from mes.spreadsheets.columns import Source, flat, write_cell

FORMATS = (Source.CSV.value, Source.XLSX.value)
MOST_ROWS = 100_000


def read_format(chosen: str) -> str:
    """Return the format that is asked for. Raises ValidationFailed."""
    if chosen not in FORMATS:
        raise errors.ValidationFailed({"format": _("Must be one of %(names)s.") % {"names": ", ".join(FORMATS)}})
    return chosen


def export(collection: SheetCollection, chosen: str, *, is_empty: bool = False) -> HttpResponseBase:
    """Return a file of a collection; an empty one has the heads only. Raises TooManyRows."""
    response: HttpResponseBase
    if not is_empty and collection.model._default_manager.order_by()[: MOST_ROWS + 1].count() > MOST_ROWS:
        raise errors.TooManyRows(most=MOST_ROWS)
    heads = [column.name for column in collection.columns]
    table: tables.Table = (heads, iter(()) if is_empty else _lines(collection, chosen))
    if chosen == Source.CSV:
        response = StreamingHttpResponse(tables.as_csv(table), content_type="text/csv; charset=utf-8")
    else:
        sheets = [(collection.name, table), (_("Columns"), _explanations(collection))]
        texts = [number for number, column in enumerate(collection.columns) if column.is_text]
        response = HttpResponse(tables.as_xlsx(sheets, typed_as_text=texts), content_type=tables.XLSX)
    response["Content-Disposition"] = content_disposition_header(True, f"{collection.name}.{chosen}")
    return response


def _lines(collection: SheetCollection, chosen: str) -> Iterator[list[Any]]:
    serializer: Any = collection.serializer()
    for thing in collection.all():
        row = flat(serializer.to_representation(thing), collection.columns)
        cells = [write_cell(column, row[column.name]) for column in collection.columns]
        yield [_in_text(cell) if chosen == Source.CSV else _in_workbook(cell) for cell in cells]


def _in_text(value: Any) -> Any:
    """Return a cell of a CSV file: whole numbers as people write them."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE else value


def _in_workbook(value: Any) -> Any:
    """Return a cell of a workbook: numbers without commas between thousands, which a program would write into a CSV
    file; one that would be rounded to infinity, because a workbook keeps 16 digits, is a text.
    """
    if isinstance(value, float) and not isfinite(float(f"{value:.16G}")):
        return repr(value)
    return float(value) if isinstance(value, int) else value


def _explanations(collection: SheetCollection) -> tables.Table:
    lines = ([column.name, _("yes") if column.is_needed else "", column.explanation] for column in collection.columns)
    notes = ([_("Note"), "", str(note)] for note in islice([collection.note], 1) if note)
    return [_("Column"), _("Needed in a new row"), _("What to type")], (
        line for part in (lines, notes) for line in part
    )
