"""What paths may call besides JMESPath's own functions: texts taken apart, and numbers as machines write them. Pure.

Null gives null: what an event does not say stays unsaid. Anything else that does not fit raises JMESPathError.
"""

import re
from collections.abc import Callable
from dataclasses import asdict
from math import isfinite
from typing import Any

from django.utils.translation import gettext as _
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature

from mes.platform.scans import LONGEST_SYMBOL, read_scan

CHARACTERS_OF_STEP = 16  # a text of so many costs a step
STEPS_OF_PART = 40  # of a label that is taken apart, beside those of its characters

# Our functions: how many arguments each takes, at least and at most.
TEXT_FUNCTIONS: dict[str, tuple[int, int]] = {
    "lower": (1, 1),
    "parse_number": (1, 2),
    "replace": (3, 3),
    "scan": (1, 1),
    "split": (2, 2),
    "substring": (2, 3),
    "trim": (1, 1),
    "upper": (1, 1),
}

_ANY: dict[str, Any] = {"types": []}
_AND_MORE: dict[str, Any] = {"types": [], "variadic": True}
_LONGEST_NUMBER = 100  # characters
_BLANKS = " \u00a0\u202f"
# Every blank but the separators of labels, which Python takes for blanks: a leading GS tells a label from a name.
_BLANK_ENDS = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and not "\x1c" <= sign <= "\x1f")
_APOSTROPHES = "'\u2019"


def _number_pattern(decimal: str, other: str) -> re.Pattern[str]:
    """Return the pattern of a number: plain digits, or groups of three parted by one and the same sign."""
    point, apart = re.escape(decimal), re.escape(other + _BLANKS + _APOSTROPHES)
    grouped = rf"[0-9]{{1,3}}(?P<apart>[{apart}])[0-9]{{3}}(?:(?P=apart)[0-9]{{3}})*"
    digits = rf"(?:(?:[0-9]+|{grouped})(?P<fraction>{point}[0-9]*)?|{point}[0-9]+)"
    return re.compile(rf"[+-]?{digits}(?P<exponent>[eE][+-]?[0-9]{{1,4}})?")


_NUMBERS = {".": _number_pattern(".", ","), ",": _number_pattern(",", ".")}
_APART = {decimal: str.maketrans("", "", other + _BLANKS + _APOSTROPHES) for decimal, other in ((".", ","), (",", "."))}


class UnfitArgument(JMESPathError):
    """An argument that a function cannot be given."""


class TextFunctions(Functions):
    """JMESPath's functions and ours. `spend` counts what it costs to make a result, before that is made."""

    spend: Callable[[int], None]

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        """Call a function. Raises UnfitArgument for more arguments than one of ours takes; JMESPath asks for enough."""
        most = TEXT_FUNCTIONS.get(function_name, (0, len(resolved_args)))[1]
        if len(resolved_args) > most:
            raise UnfitArgument(
                _("%(name)s() takes at most %(most)d arguments") % {"name": function_name, "most": most}
            )
        return super().call_function(function_name, resolved_args)

    @signature(_ANY, _ANY)
    def _func_split(self, text: Any, separator: Any) -> list[str] | None:
        sought = _as_sought(separator, "split")
        if text is None:
            return None
        self.spend(_as_text(text, "split").count(sought))
        return _as_text(text, "split").split(sought)

    @signature(_ANY, _AND_MORE)
    def _func_substring(self, text: Any, start: Any, end: Any = None) -> str | None:
        bounds = slice(_as_index(start), None if end is None else _as_index(end))
        return None if text is None else _as_text(text, "substring")[bounds]

    @signature(_ANY, _ANY, _ANY)
    def _func_replace(self, text: Any, old: Any, new: Any) -> str | None:
        sought, instead = _as_sought(old, "replace"), _as_text(new, "replace")
        if text is None:
            return None
        self.spend(_as_text(text, "replace").count(sought) * (1 + len(instead) // CHARACTERS_OF_STEP))
        return _as_text(text, "replace").replace(sought, instead)

    @signature(_ANY)
    def _func_trim(self, text: Any) -> str | None:
        return None if text is None else _as_text(text, "trim").strip(_BLANK_ENDS)

    @signature(_ANY)
    def _func_upper(self, text: Any) -> str | None:
        return None if text is None else _as_text(text, "upper").upper()

    @signature(_ANY)
    def _func_lower(self, text: Any) -> str | None:
        return None if text is None else _as_text(text, "lower").lower()

    @signature(_ANY)
    def _func_scan(self, text: Any) -> dict[str, Any] | None:
        if text is None:
            return None
        self.spend(len(_as_text(text, "scan")))
        scan = read_scan(_as_text(text, "scan"))  # quick for a plain text; no label is longer than a symbol
        if not scan.is_plain and len(scan.text) <= LONGEST_SYMBOL:
            self.spend(2 * len(scan.text) + STEPS_OF_PART * sum(map(scan.text.count, "(\x1d")))
        return {**asdict(scan), "problems": list(scan.problems)}

    @signature(_AND_MORE)
    def _func_parse_number(self, text: Any, decimal: Any = ".") -> int | float | None:
        return None if text is None else parse_number(_as_text(text, "parse_number"), decimal)


def parse_number(text: str, decimal: Any = ".") -> int | float:
    """Return the number that a text writes, with `.` or `,` before its fraction. The other of them, a blank or an
    apostrophe may part groups of three digits. Raises UnfitArgument for anything else, such as `5,1V`.
    """
    pattern = _NUMBERS.get(decimal) if isinstance(decimal, str) else None
    if pattern is None:
        raise UnfitArgument(_("parse_number() takes “.” or “,” as its second argument"))
    match = pattern.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is not None:
        plain = text.translate(_APART[decimal]).replace(",", ".")
        is_whole = "." not in plain and match["exponent"] is None
        number = int(plain) if is_whole else float(plain)
        if isfinite(number):
            return number
    raise UnfitArgument(_("parse_number(): %(text)s is no number") % {"text": repr(text[:50])})


def _as_text(argument: Any, function: str) -> str:
    if not isinstance(argument, str):
        said = {"name": function, "given": repr(argument)[:50]}
        raise UnfitArgument(_("%(name)s() takes a text, not %(given)s") % said)
    return argument


def _as_sought(argument: Any, function: str) -> str:
    """Return a text to be looked for; an empty one would be everywhere."""
    if _as_text(argument, function) == "":
        raise UnfitArgument(_("%(name)s() cannot look for an empty text") % {"name": function})
    return str(argument)


def _as_index(argument: Any) -> int:
    is_number = isinstance(argument, int | float) and not isinstance(argument, bool)
    if not is_number or argument != argument // 1:
        raise UnfitArgument(_("substring() counts by whole numbers, not %(given)s") % {"given": repr(argument)[:50]})
    return int(argument)
