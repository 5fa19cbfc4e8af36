"""Sheets to print: what is scanned at stations instead of touched, each as a label with its barcodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers

from execution.quality.defect_codes.catalogue import Catalogue, KnownCode
from execution.quality.defect_fields import DesignatorField
from execution.station_page import barcodes
from execution.station_page.barcodes import Barcode, Symbology
from execution.station_page.commands import Command, CommandKind
from execution.station_page.queries import LOOKED_AT, USED_SINCE
from mes.errors import ValidationFailed
from mes.platform.database.prepared import fetch_all
from mes.platform.sign_in.models import Badge

MOST_LABELS = 300  # on a sheet
MOST_USED = 24

USED_CODES = f"""
    SELECT code FROM (SELECT code FROM execution_defect WHERE found_at >= %(since)s::timestamptz
                       ORDER BY found_at DESC LIMIT {LOOKED_AT}) AS found
     GROUP BY code ORDER BY count(*) DESC, code
"""


@dataclass(frozen=True)
class Label:
    """What is printed of a command: what it means, its text for people, and its symbols."""

    title: str
    command: Command
    symbols: Sequence[Barcode]


@dataclass(frozen=True)
class Sheet:
    """Labels, and how many more there would be."""

    title: str
    labels: Sequence[Label]
    more: int = 0


def _make_sheet(title: str, named: Iterable[tuple[str, Command]], wanted: Sequence[Symbology]) -> Sheet:
    every = list(named)
    labels = [_make_label(name, command, wanted) for name, command in every[:MOST_LABELS]]
    return Sheet(title, labels, more=len(every) - len(labels))


def _make_label(title: str, command: Command, wanted: Sequence[Symbology]) -> Label:
    lines = barcodes.draw_code_128(command.text) if Symbology.CODE_128 in wanted else None
    is_matrix = Symbology.DATA_MATRIX in wanted or lines is None
    symbols = (lines, barcodes.draw_data_matrix(command.text) if is_matrix else None)
    return Label(title, command, [symbol for symbol in symbols if symbol is not None])


def make_commands(wanted: Sequence[Symbology]) -> Sheet:
    """Return the sheet of what stands alone: pass, fail, cancel."""
    names = {CommandKind.PASS: _("Pass"), CommandKind.FAIL: _("Fail"), CommandKind.CANCEL: _("Cancel")}
    return _make_sheet(_("Commands"), ((name, Command(kind)) for kind, name in names.items()), wanted)


# --- defects ----------------------------------------------------------------------------------------------------


def list_branches(codes: Catalogue) -> list[KnownCode]:
    """Return the codes that have others below them, by level and code."""
    parents = {known.parent for known in codes.codes.values() if known.parent is not None}
    return sorted(map(codes.codes.__getitem__, parents), key=lambda known: (codes.depth_of(known.code), known.code))


def make_defects(codes: Catalogue, named: Sequence[str], wanted: Sequence[Symbology], *, title: str) -> Sheet:
    """Return the sheet of these codes, as far as people can name them, in this order."""
    known = (codes.codes[code] for code in dict.fromkeys(named) if code in codes.codes)
    active = ((each.name, Command(CommandKind.DEFECT, each.code)) for each in known if each.is_active)
    return _make_sheet(title, active, wanted)


def list_most_used() -> list[str]:
    """Return the codes that were found most of late, the most used first; one statement, whose cost does not grow."""
    given = {"since": timezone.now() - USED_SINCE}
    return [code for (code,) in fetch_all(USED_CODES, given)][:MOST_USED]


# --- designators ------------------------------------------------------------------------------------------------


def read_designators(text: str) -> list[str]:
    """Return what was typed, parted by blanks, commas or semicolons, each once and as it is kept of a defect.

    Raises ValidationFailed for one that no defect may have.
    """
    field, found = DesignatorField(), list[str]()
    for part in text.replace(",", " ").replace(";", " ").split():
        try:
            found.append(field.run_validation(part))
        except serializers.ValidationError as problem:
            said = f"“{part[:50]}”: {' '.join(map(str, problem.detail))}"
            raise ValidationFailed({"designators": said}) from problem
    return list(dict.fromkeys(found))


def make_designators(designators: Sequence[str], wanted: Sequence[Symbology]) -> Sheet:
    """Return the sheet of places on the board."""
    named = ((designator, Command(CommandKind.DESIGNATOR, designator)) for designator in designators)
    return _make_sheet(_("Designators"), named, wanted)


# --- badges -----------------------------------------------------------------------------------------------------


def list_badges() -> list[Badge]:
    """Return the badges of people who may sign in, by name."""
    badges = Badge.objects.filter(user__is_active=True).select_related("user")
    return sorted(badges, key=lambda badge: (name_of(badge).casefold(), badge.code))


def name_of(badge: Badge) -> str:
    """Return what its person is called."""
    return badge.user.get_full_name() or badge.user.get_username()


def make_badges(badges: Iterable[Badge], wanted: Sequence[Symbology]) -> Sheet:
    """Return the sheet of badges."""
    named = ((name_of(badge), Command(CommandKind.BADGE, badge.code)) for badge in badges)
    return _make_sheet(_("Badges"), named, wanted)
