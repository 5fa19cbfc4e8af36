"""How many units of a lot are inspected, and how many of them may be nonconforming. Pure.

The tables are those of ISO 2859-1:1999 (GB/T 2828.1-2012) for single sampling, with their arrows resolved: each cell
names the letter whose plan is used. Cells on which public transcriptions differ are left blank.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

from django.utils.translation import gettext as _

from execution.quality.oqc.models import InspectionLevel, SamplingScheme, SamplingStateName
from mes.errors import ValidationFailed

TABLES = Path(__file__).parent / "tables"
SMALLEST_LOT = 2  # of the tables; of a lot of one unit that unit is inspected
LARGEST_LOT = 1_000_000  # a run is planned for no more
PRINTED = {
    SamplingStateName.NORMAL: "normal",
    SamplingStateName.TIGHTENED: "tightened",
    SamplingStateName.REDUCED: "reduced",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The sample of a lot: accepted with up to `ac` nonconforming units, not accepted from `re` on.

    `letter` is the code letter of the lot, `used_letter` the one whose plan is used; both are empty where no table is
    asked. `is_all`: every unit of the lot is inspected. `lower_ac` is the Ac of the next lower AQL, None where there is
    none to ask for.
    """

    sample_size: int
    ac: int
    re: int
    letter: str = ""
    used_letter: str = ""
    is_all: bool = False
    lower_ac: int | None = None


Cell = tuple[str, int, int, int]  # letter used, sample size, Ac, Re


def _rows(name: str) -> list[dict[str, str]]:
    with (TABLES / f"iso2859-1-{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def code_letters() -> tuple[tuple[int, Mapping[str, str]], ...]:
    """Return the smallest lot of each row of table 1, the largest first, with the letter for each level."""
    rows = [
        (int(row["lot_from"]), {level: row[level] for level in InspectionLevel.values}) for row in _rows("code-letters")
    ]
    return tuple(sorted(rows, key=lambda row: -row[0]))


@cache
def cells(state: str) -> Mapping[tuple[str, str], Cell | None]:
    """Return the plans of a state by letter and AQL; None for a blank cell."""
    return {
        (row["letter"], row["aql"]): (row["used_letter"], int(row["sample_size"]), int(row["ac"]), int(row["re"]))
        if row["sample_size"]
        else None
        for row in _rows(f"single-{PRINTED[SamplingStateName(state)]}")
    }


@cache
def aqls() -> tuple[str, ...]:
    """Return the AQLs of the tables as they are printed, the lowest first."""
    return tuple(sorted({aql for _letter, aql in cells(SamplingStateName.NORMAL)}, key=Decimal))


def printed_aql(text: str) -> str:
    """Return an AQL as the tables print it: `1` is `1.0`. Raises ValidationFailed for one that they have not."""
    try:
        number = Decimal(text) if len(text) <= 10 else None
    except InvalidOperation:
        number = None
    for aql in aqls():
        if number == Decimal(aql):
            return aql
    raise ValidationFailed({"aql": _("Must be one of %(known)s.") % {"known": ", ".join(aqls())}})


def code_letter(lot_size: int, level: str) -> str:
    """Return the code letter of a lot of two or more units."""
    return next(letters[level] for smallest, letters in code_letters() if lot_size >= smallest)


def plan_by_tables(*, lot_size: int, level: str, aql: str, state: str) -> Plan:
    """Return the plan of a lot of two or more units, by an AQL as it is printed and NORMAL, TIGHTENED or REDUCED.

    Where a cell is blank, a reduced lot is inspected by the normal plan, of a tightened one every unit with Ac 0.
    """
    letter = code_letter(lot_size, level)
    cell = cells(state)[letter, aql]
    if cell is None and state == SamplingStateName.REDUCED:
        state = SamplingStateName.NORMAL
        cell = cells(state)[letter, aql]
    if cell is None:
        return Plan(lot_size, 0, 1, letter=letter, used_letter=letter, is_all=True)
    used_letter, size, ac, re = cell
    plan = Plan(size, ac, re, letter=letter, used_letter=used_letter, lower_ac=_lower_ac(used_letter, aql, state))
    return plan if size < lot_size else replace(plan, sample_size=lot_size, is_all=True)


def _lower_ac(letter: str, aql: str, state: str) -> int | None:
    place = aqls().index(aql)
    cell = cells(state).get((letter, aqls()[place - 1])) if place else None  # no row has the letter S
    return None if cell is None else cell[2]


def plan_by_rule(
    *,
    scheme: str,
    lot_size: int,
    n: int | None = None,
    percent: Decimal | None = None,
    level: str = "",
    aql: str = "",
    state: str = SamplingStateName.NORMAL,
) -> Plan:
    """Return the plan of a lot of at least one unit by a scheme with its numbers. Not for NONE, which inspects none."""
    if scheme == SamplingScheme.ISO2859 and lot_size >= SMALLEST_LOT:
        return plan_by_tables(lot_size=lot_size, level=level, aql=aql, state=state)
    size = lot_size
    if scheme == SamplingScheme.FIXED:
        size = n or lot_size
    elif scheme == SamplingScheme.PERCENT:
        size = max(1, math.ceil(lot_size * Decimal(percent or 100) / 100))
    return Plan(min(size, lot_size), 0, 1, is_all=size >= lot_size)


def check_lot_size(lot_size: int) -> None:
    """Raise ValidationFailed for a lot that the tables do not know."""
    if not SMALLEST_LOT <= lot_size <= LARGEST_LOT:
        told = {"least": SMALLEST_LOT, "most": LARGEST_LOT}
        raise ValidationFailed({"lotSize": _("Must be a whole number from %(least)s to %(most)s.") % told})
