"""A list as a file: all that is asked for, with the columns that are chosen."""

from collections.abc import Iterator
from typing import Any

import msgspec
import structlog
from django.db import Error
from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.platform.http import tables
from mes.platform.lists.selection import Selection

MOST_ROWS = 100_000  # of a workbook

logger = structlog.get_logger(__name__)


def as_file(selection: Selection, chosen: str) -> HttpResponseBase:
    """Return all rows as `csv`, which has no limit, or `xlsx`. Raises TooManyRows for more than a workbook holds."""
    listing = selection.listing
    if chosen == "xlsx" and selection.loose is None and selection.count_to(MOST_ROWS) > MOST_ROWS:
        raise errors.TooManyRows(most=MOST_ROWS)
    heads = [str(column.label) for column in selection.asked.columns]
    name = f"{listing.name}-{timezone.localtime():%Y-%m-%d-%H%M}"
    return tables.answer(
        chosen,
        name=name,
        table=lambda: (heads, _until_it_breaks(_lines(selection))),
        sheets=lambda: [(str(listing.title), (heads, _bounded(_lines(selection))))],
    )


def _lines(selection: Selection) -> Iterator[list[Any]]:
    for row in selection.every():
        yield [_cell(column.value_of(row)) for column in selection.asked.columns]


def _bounded(lines: Iterator[list[Any]]) -> Iterator[list[Any]]:
    for number, line in enumerate(lines):
        if number == MOST_ROWS:
            raise errors.TooManyRows(most=MOST_ROWS)
        yield line


def _until_it_breaks(lines: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Yield lines; where reading breaks off, say so in the last: the head of the answer is sent already."""
    try:
        yield from lines
    except Error:
        logger.exception("an export broke off")
        yield [_("INCOMPLETE: reading broke off here. Ask for the file again.")]


def _cell(value: Any) -> Any:
    """Return a value as a cell: numbers stay numbers, what no cell can hold is written as in JSON."""
    if isinstance(value, bool | list | dict):
        return msgspec.json.encode(value).decode()
    return value
