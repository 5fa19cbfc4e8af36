"""What a scanner reads: plain text, GS1 element strings, an envelope of ISO/IEC 15434; and the part that a field means.

Pure. Nothing is guessed: without a mark of its own a text is plain, and what breaks a rule of its syntax has problems
and no parts. Application identifiers (AI), their lengths and their check digits are those of the library biip.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from biip import ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier
from biip.gs1_element_strings import GS1ElementString
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LONGEST_SYMBOL = 7089  # characters: digits in the largest QR Code (ISO/IEC 18004), more than any other symbol holds

_ENDS = " \r\n\t"
_GS, _RS, _EOT = "\x1d", "\x1e", "\x04"
_ENVELOPE = "[)>"
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")  # ISO/IEC 15424: a letter for the symbology, then how it was read
_GS1_SYMBOLOGIES = ("]C1", "]d2", "]Q3", "]e0")
_BRACKETED = re.compile(r"\(([0-9]{2,4})\)")
_DATA_IDENTIFIER = re.compile(r"([0-9]{0,3}[A-Z])(.*)", re.DOTALL)
_FORMATS = ("05", "06")
_LONGER_THAN_ANY_ELEMENT = 200  # so that reading one takes no longer in a long text


@dataclass(frozen=True)
class Scan:
    """What one scan says.

    `text`: without blank ends and without the AIM identifier; `symbology`: that identifier, such as `]d2`, or blank.
    `ai`: GS1 application identifier → value; `di`: ASC MH10.8.2 data identifier → value. Both are empty for a plain
    text, and where `problems` tell in words what breaks a rule.
    """

    text: str
    symbology: str = ""
    ai: dict[str, str] = field(default_factory=dict)
    di: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the text is one thing, taken whole."""
        return not (self.ai or self.di or self.problems)


@dataclass(frozen=True)
class Part:
    """What a field to scan into means, with the identifiers that carry it: the first that is there counts."""

    label: str | Promise
    ai: tuple[str, ...]
    di: tuple[str, ...]


UNIT = Part(gettext_lazy("serial number"), ("21",), ("S",))
# A package by its own number, before the lot of its maker, which many packages share.
LOT = Part(gettext_lazy("lot number"), ("10",), ("3S", "S", "1T"))
MATERIAL = Part(gettext_lazy("material number"), ("240",), ("P", "1P"))
TOOL = Part(gettext_lazy("serial number"), ("21",), ("S",))  # a stencil or a carrier is known by its own


class _Broken(Exception):
    """The text breaks a rule of its own syntax; the argument says which."""


def read_scan(text: str) -> Scan:
    """Return what a scan says. Quick for a text of any length; raises nothing."""
    text = text.strip(_ENDS)
    aim = _AIM.match(text)
    symbology = aim.group() if aim else ""
    text = text[len(symbology) :]
    try:
        parts = list(_read_parts(text, is_gs1=symbology in _GS1_SYMBOLOGIES))
        ai = _collect(parts, "ai")
        return Scan(text, symbology, ai, _collect(parts, "di"))
    except _Broken as broken:
        return Scan(text, symbology, problems=(str(broken),))


def is_marked(text: str) -> bool:
    """Whether a text says of itself that it is a label, or how it was read: it is no name as it stands."""
    scan = read_scan(text)
    return bool(scan.symbology) or not scan.is_plain


def take_part(text: str, part: Part) -> str:
    """Return what a scanned text says for a field: its part, or the whole of a plain text.

    Raises ValidationError, in words, where the scan is structured and does not have that part, or is broken.
    """
    scan = read_scan(text)
    if scan.is_plain:
        return scan.text
    if scan.problems:
        raise ValidationError(_("This label cannot be read: %(why)s") % {"why": " ".join(scan.problems)}, "scan_broken")
    found = part_of(scan, part)
    if found is None:
        raise ValidationError(_missing(scan, part), "scan_without_part")
    return found


def part_of(scan: Scan, part: Part) -> str | None:
    """Return what a structured scan says for a field, if it does."""
    values = [scan.ai.get(name) for name in part.ai] + [scan.di.get(name) for name in part.di]
    return next(filter(None, values), None)


def _missing(scan: Scan, part: Part) -> str:
    wanted = [f"({name})" for name in part.ai] + list(part.di)
    there = [f"({name})" for name in scan.ai] + list(scan.di)
    message = _("This label has no %(part)s (%(wanted)s), but %(there)s. Scan another one, or type it.")
    return message % {"part": part.label, "wanted": ", ".join(wanted), "there": ", ".join(there)}


# --- the syntaxes -----------------------------------------------------------------------------------------

_Part = tuple[str, str, str]  # "ai" or "di", identifier, value


def _read_parts(text: str, *, is_gs1: bool) -> Iterator[_Part]:
    """Yield the parts of a text, none of a plain one."""
    is_envelope = text.startswith(_ENVELOPE)
    is_bracketed = _BRACKETED.match(text) is not None
    is_gs1 = is_gs1 or text.startswith(_GS)
    if not (is_envelope or is_bracketed or is_gs1):
        return
    if len(text) > LONGEST_SYMBOL:
        raise _Broken(_("It is longer than any symbol, %(most)d characters.") % {"most": LONGEST_SYMBOL})
    if is_envelope:
        yield from _read_envelope(text)
    elif is_bracketed:
        yield from _read_bracketed(text)
    else:
        yield from _read_elements(text.removeprefix(_GS))


def _read_envelope(text: str) -> Iterator[_Part]:
    """Read `[)>` RS, formats that each end with RS, EOT (ISO/IEC 15434)."""
    if not text.startswith(_ENVELOPE + _RS):
        raise _Broken(_("RS is missing behind “[)>”; does the scanner pass on control characters?"))
    if not text.endswith(_RS + _EOT):
        raise _Broken(_("It does not end with RS EOT: a part may be missing."))
    for content in text[len(_ENVELOPE + _RS) : -len(_RS + _EOT)].split(_RS):
        code, separator, fields = content[:2], content[2:3], content[3:]
        if code not in _FORMATS or separator != _GS:
            raise _Broken(_("Only formats 05 and 06 are known, followed by GS."))
        yield from (_read_elements(fields) if code == "05" else _read_data_identifiers(fields))


def _read_data_identifiers(fields: str) -> Iterator[_Part]:
    """Read fields of ASC MH10.8.2, parted by GS. One without data, or empty, says nothing; real labels have such."""
    for content in filter(None, fields.split(_GS)):
        match = _DATA_IDENTIFIER.fullmatch(content)
        if match is None:
            raise _Broken(_("“%(field)s” begins with no data identifier.") % {"field": _short(content)})
        identifier, value = match.groups()
        if not all(map(str.isprintable, value)):
            raise _Broken(_("Field %(name)s has control characters.") % {"name": identifier})
        yield "di", identifier, value


def _read_bracketed(text: str) -> Iterator[_Part]:
    """Read elements as people read them: `(01)09521234543213(10)ABC`."""
    pieces = _BRACKETED.split(text)[1:]
    for identifier, value in zip(pieces[::2], pieces[1::2], strict=True):
        element, rest = _read_element(identifier + value)
        if rest or element.ai.ai != identifier or "(" in value:  # a bracket that begins something else was cut
            raise _Broken(_does_not_fit(identifier))
        yield "ai", identifier, element.value


def _read_elements(text: str) -> Iterator[_Part]:
    """Read elements in a row (GS1 General Specifications 7.8). One without a fixed length ends with GS or the text."""
    rest = text
    while True:
        element, rest = _read_element(rest)
        yield "ai", element.ai.ai, element.value
        if rest.startswith(_GS):
            rest = rest[1:]  # allowed behind any element, and of no meaning behind the last
        elif rest and element.ai.separator_required:
            raise _Broken(_does_not_fit(element.ai.ai))
        if not rest:
            return


def _read_element(text: str) -> tuple[GS1ElementString, str]:
    """Return the first element of a text, checked, and what is behind it."""
    head = text[:_LONGER_THAN_ANY_ELEMENT]
    if not head.split(_GS, 1)[0].isascii():  # a pattern's `\d` knows the digits of all scripts
        raise _Broken(_("“%(text)s” has characters that GS1 does not know.") % {"text": _short(text)})
    try:
        element = GS1ElementString.extract(head)
    except ParseError:
        raise _Broken(_why_unread(head)) from None
    if element.gtin_error or element.sscc_error or element.gln_error:
        raise _Broken(_("The number of (%(ai)s) is wrong: check its check digit.") % {"ai": element.ai.ai})
    return element, text[len(element) :]


def _why_unread(text: str) -> str:
    """Return what is wrong with a text that begins with no element: its identifier, or what follows that."""
    try:
        return _does_not_fit(GS1ApplicationIdentifier.extract(text).ai)
    except ParseError:
        return _("“%(text)s” begins with no application identifier of GS1.") % {"text": _short(text)}


def _does_not_fit(identifier: str) -> str:
    return _("The content of (%(ai)s) has a wrong length or wrong characters.") % {"ai": identifier}


def _collect(parts: list[_Part], kind: str) -> dict[str, str]:
    """Return the values of one kind by identifier; two of one name that differ mean nothing certain."""
    values: dict[str, str] = {}
    for _kind, name, value in parts:
        if _kind != kind:
            continue
        if values.setdefault(name, value) != value:
            raise _Broken(_("%(name)s stands there twice with different content.") % {"name": name})
    return values


def _short(text: str) -> str:
    """Return the beginning of a text, fit to be shown."""
    shown = "".join(character if character.isprintable() else "␣" for character in text[:20])
    return shown + "…" if len(text) > 20 else shown
