"""Barcodes to print, drawn as paths: Code 128 for readers of lines, Data Matrix for cameras. Pure.

A symbol is black on white with its quiet zone, in every theme. Sizes are those that a hand scanner reads at arm's
length; a text that would make a Code 128 wider than a label, or is not ASCII, has a Data Matrix only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from django.db import models
from django.utils.translation import gettext_lazy as _
from pystrich.code128 import Code128Encoder
from pystrich.datamatrix import DataMatrixData, DataMatrixEncoder


class Symbology(models.TextChoices):
    """What a text is printed as."""

    CODE_128 = "CODE_128", _("Code 128")
    DATA_MATRIX = "DATA_MATRIX", _("Data Matrix")


@dataclass(frozen=True, slots=True)
class Barcode:
    """A symbol. `columns` and `rows` are its modules with the quiet zone, `path` draws the dark ones (SVG); `width` and
    `height` are in mm.
    """

    symbology: Symbology
    text: str
    columns: int
    rows: int
    path: str
    width: float
    height: float


# Whole dots of printers of 300 and 600 dpi.
MODULES = (0.3387, 0.254)  # mm: the widths of a Code 128's narrowest bar, the better first
WIDEST = 95.0  # mm, of a Code 128 on a label
HEIGHT = 14.0  # mm, of its bars
DOT = 0.6773  # mm, of a Data Matrix
_LONGEST_LINES = 60  # characters: more make no symbol that is narrow enough


@lru_cache(maxsize=2048)
def draw_code_128(text: str) -> Barcode | None:
    """Return a text as a Code 128, None where it has none that fits."""
    if not text.isascii() or len(text) > _LONGEST_LINES:
        return None
    marks = Code128Encoder(text, {"show_label": False}).get_rect_marks()
    module = next((each for each in MODULES if marks.width * each <= WIDEST), None)
    if module is None:
        return None
    path = _as_path((x, 0, width, 1) for x, _y, width, _height in marks.marks)
    return Barcode(Symbology.CODE_128, text, marks.width, 1, path, round(marks.width * module, 2), HEIGHT)


@lru_cache(maxsize=2048)
def draw_data_matrix(text: str) -> Barcode:
    """Return a text as a Data Matrix (ECC 200)."""
    marks = DataMatrixEncoder(DataMatrixData(text, auto_encoding=True)).get_rect_marks()
    width, height = round(marks.width * DOT, 2), round(marks.height * DOT, 2)
    return Barcode(Symbology.DATA_MATRIX, text, marks.width, marks.height, _as_path(marks.marks), width, height)


def _as_path(rectangles: Iterable[tuple[int, int, int, int]]) -> str:
    return "".join(f"M{x} {y}h{width}v{height}h-{width}z" for x, y, width, height in rectangles)
