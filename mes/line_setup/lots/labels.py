"""Labels of suppliers: format 06 of ISO/IEC 15434, as reels of most makers have them. Pure.

Some scanners, and people, spell its control characters out: `{RS} {GS} {EOT}`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mes import errors
from mes.line_setup.lots.models import MOST
from mes.plant.models import LONGEST_PART
from mes.platform.scans import LONGEST_SYMBOL, LOT, part_of, read_scan
from mes.platform.validators import validate_code

_SPELT = {"{RS}": "\x1e", "{GS}": "\x1d", "{EOT}": "\x04"}
_SPELT_OUT = re.compile("|".join(map(re.escape, _SPELT)), re.IGNORECASE)
LONGEST_LABEL = LONGEST_SYMBOL * max(map(len, _SPELT))
_QUANTITY = re.compile(r"[0-9]{1,10}(\.[0-9]{1,4})?", re.ASCII)
MATERIAL, MANUFACTURER_PART, QUANTITY, SUPPLIER_LOT = "P", "1P", "Q", "1T"
DATE_CODES = ("9D", "10D")


@dataclass(frozen=True)
class Label:
    """What a label says of a package. Texts that it does not have are blank."""

    lot_id: str
    quantity: Decimal
    material_code: str = ""
    manufacturer_part: str = ""
    supplier_lot: str = ""
    date_code: str = ""


def read_label(text: str) -> Label:
    """Return what a label says. Raises LabelUnreadable."""
    if len(text) > LONGEST_LABEL:
        raise _unreadable(_("It is longer than any symbol, %(most)d characters.") % {"most": LONGEST_SYMBOL})
    scan = read_scan(_SPELT_OUT.sub(lambda match: _SPELT[match.group().upper()], text))
    if scan.problems:
        raise _unreadable(" ".join(scan.problems))
    if not scan.di:
        raise _unreadable(_("It is no label of format 06 of ISO/IEC 15434."))
    lot_id = part_of(scan, LOT)
    if not lot_id:
        raise _unreadable(_("It has no lot (3S, S or 1T)."))
    if not (scan.di.get(MATERIAL) or scan.di.get(MANUFACTURER_PART)):
        raise _unreadable(_("It has no material (P or 1P)."))
    return Label(
        lot_id=_lot_id(lot_id),
        quantity=_quantity(scan.di.get(QUANTITY, "")),
        material_code=_short(MATERIAL, scan.di),
        manufacturer_part=_short(MANUFACTURER_PART, scan.di),
        supplier_lot=_short(SUPPLIER_LOT, scan.di),
        date_code=next(filter(None, (_short(name, scan.di) for name in DATE_CODES)), ""),
    )


def _lot_id(text: str) -> str:
    try:
        validate_code(text)
    except ValidationError as error:
        raise _unreadable(_("Its lot can be no code: %(why)s") % {"why": " ".join(error.messages)}) from None
    return text


def _quantity(text: str) -> Decimal:
    if not text:
        raise _unreadable(_("It has no quantity (Q)."))
    quantity = Decimal(text) if _QUANTITY.fullmatch(text) else Decimal()
    if not 0 < quantity <= MOST:
        raise _unreadable(_("Its quantity (Q) is no number above 0, or too large."))
    return quantity


def _short(name: str, parts: dict[str, str]) -> str:
    text = parts.get(name, "").strip()
    if len(text) > LONGEST_PART:
        raise _unreadable(_("%(name)s is longer than %(most)d characters.") % {"name": name, "most": LONGEST_PART})
    return text


def _unreadable(why: str) -> errors.LabelUnreadable:
    return errors.LabelUnreadable(why=why)
