"""What a scan means in this plant: which thing is called so, and whether a field wants that kind of thing.

The text is read by `mes.platform.scans`; what it names is looked up in one statement, whatever kinds there are. Rooms
above tell theirs by hooks. Nothing is guessed: a text is known exactly as it is written, or it is UNKNOWN.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from mes import errors
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.hooks import Hook
from mes.platform.scans import LOT, MATERIAL, UNIT, Part, part_of, read_scan
from mes.platform.validators import validate_name


class ScanKind(TextChoices):
    """What a scan may be, as it stands in a sentence."""

    UNIT = "UNIT", _("a unit")
    RUN = "RUN", _("a run")
    CARRIER = "CARRIER", _("a carrier")
    STENCIL = "STENCIL", _("a stencil")
    PASTE_LOT = "PASTE_LOT", _("a lot")
    TOOL = "TOOL", _("a tool")
    LOT = "LOT", _("a material lot")
    MATERIAL = "MATERIAL", _("a material")
    BADGE = "BADGE", _("a badge")
    COMMAND = "COMMAND", _("a command")
    UNKNOWN = "UNKNOWN", _("unknown")


@dataclass(frozen=True)
class Meaning:
    """A thing that is called as the scan says. `code` is what it is called now; `address` its page, or blank."""

    kind: ScanKind
    code: str
    address: str = ""


@dataclass(frozen=True)
class ScanSource:
    """Things of one kind that have a table.

    `select` is SQL that yields `asked`, `code` (what it is called now) and `place` (a text) of each of them that one of
    the texts `{asked}` names, by an index. `part` is what names it on a structured label; without, it is on none.
    `address` makes the address of its page of code and place.
    """

    kind: ScanKind
    select: str
    part: Part | None = None
    address: Callable[[str, str], str] = field(default=lambda _code, _place: "")


# What has a table, in the order in which kinds are told.
sources: Hook[ScanSource] = Hook()

# read(text): what a text means of itself, as a command does, or None. Called for every text that is looked up, without
# a statement.
readers: Hook[Callable[[str], Meaning | None]] = Hook()


@dataclass(frozen=True)
class Resolved:
    """What a scan means. `code` is the text that was looked up where nothing is called so; `problems` say in words what
    is wrong with a label that cannot be read.
    """

    code: str
    meanings: Sequence[Meaning] = ()
    problems: Sequence[str] = ()

    @property
    def is_ambiguous(self) -> bool:
        """Whether several things are called so."""
        return len(self.meanings) > 1

    def choose(self) -> Meaning:
        """Return the one thing that is meant, or one of kind UNKNOWN. Raises ScanAmbiguous."""
        if self.is_ambiguous:
            raise errors.ScanAmbiguous(text=self.code, kinds=[each.kind for each in self.meanings])
        return self.meanings[0] if self.meanings else Meaning(ScanKind.UNKNOWN, self.code)


# --- what a scan means --------------------------------------------------------------------------------------

_PARTICULAR_FIRST = (UNIT, LOT)


def resolve(text: str) -> Resolved:
    """Return what a scanned text means, in one statement.

    Of a label with several parts a serial number goes before a lot, where something is called so; a material number
    counts only where it stands alone, as others would have it, too.
    """
    scan = read_scan(text)
    if scan.is_plain or scan.problems:
        return Resolved(scan.text, look_up([scan.text]).get(scan.text, ()), scan.problems)
    parts = [(part, value) for part in _PARTICULAR_FIRST if (value := part_of(scan, part))]
    if not parts and (material := part_of(scan, MATERIAL)):
        parts = [(MATERIAL, material)]
    found = look_up([value for _part, value in parts])
    for part, value in parts:
        kinds = _kinds_with(part)
        if meanings := tuple(each for each in found.get(value, ()) if each.kind in kinds):
            return Resolved(value, meanings)
    return Resolved(parts[0][1] if parts else scan.text)


def _kinds_with(part: Part) -> frozenset[ScanKind]:
    """Return the kinds that a part of a label may name: of a serial number also tools."""
    return frozenset(source.kind for source in sources if source.part and source.part.ai == part.ai)


def look_up(texts: Iterable[str]) -> Mapping[str, Sequence[Meaning]]:
    """Return what is called as each of these texts, in one statement; texts that can name nothing are not asked."""
    asked = [text for text in dict.fromkeys(texts) if _may_name(text)]
    if not asked:
        return {}
    found: dict[str, dict[ScanKind, Meaning]] = {text: {} for text in asked}
    of_kind = {source.kind: source for source in sources}
    for name, text, code, place in fetch_all(_statement(tuple(of_kind.values())), {"texts": as_json(asked)}):
        kind = ScanKind(name)
        found[text].setdefault(kind, Meaning(kind, code, of_kind[kind].address(code, place)))
    for text in asked:
        for meaning in filter(None, (read(text) for read in readers)):
            found[text].setdefault(meaning.kind, meaning)
    return {text: tuple(by_kind.values()) for text, by_kind in found.items() if by_kind}


def _may_name(text: str) -> bool:
    try:
        validate_name(text)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=8)
def _statement(of: tuple[ScanSource, ...]) -> str:
    asked = "ARRAY(SELECT jsonb_array_elements_text(%(texts)s::jsonb))"
    selects = (
        f"SELECT {place} AS rank, '{source.kind.value}' AS kind, found.asked::text, found.code::text, found.place::text"
        f" FROM ({source.select.format(asked=asked)}) AS found"
        for place, source in enumerate(of)
    )
    union = " UNION ALL ".join(selects)
    return f"SELECT kind, asked, code, coalesce(place, '') FROM ({union}) AS known ORDER BY rank"


# --- what a field takes -------------------------------------------------------------------------------------


# A lot is one, whatever is in it: of one that was registered, nobody may have said yet that it is paste.
_LOTS = (ScanKind.PASTE_LOT, ScanKind.LOT)


def check_kind(text: str, wanted: ScanKind) -> None:
    """Raise ScanTypeMismatch for what is known as something else than a field takes; one statement.

    What nothing is called is let through, and so is what is called so as well.
    """
    check_kinds([(text, wanted)])


def check_kinds(scanned: Sequence[tuple[str, ScanKind]]) -> None:
    """Check several of them, as `check_kind` does, in one statement; none where there are none."""
    known = look_up(text for text, _wanted in scanned)
    for text, wanted in scanned:
        meanings, taken = known.get(text, ()), _LOTS if wanted in _LOTS else (wanted,)
        if meanings and all(each.kind not in taken for each in meanings):
            raise errors.ScanTypeMismatch(text=text, kind=meanings[0].kind, wanted=wanted)


_NOT_FOUND: Mapping[ScanKind, type[errors.DomainError]] = {
    ScanKind.UNIT: errors.UnitNotFound,
    ScanKind.RUN: errors.RunNotFound,
    ScanKind.CARRIER: errors.CarrierNotFound,
}


@contextmanager
def scanned_as(kind: ScanKind) -> Iterator[None]:
    """Say of what is not found as a kind of thing what it is instead: raises ScanTypeMismatch in place of, for
    instance, UnitNotFound.
    """
    try:
        yield
    except _NOT_FOUND[kind] as refusal:
        check_kind(str(refusal.details.get("code", "")), kind)
        raise
