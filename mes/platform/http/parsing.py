"""From the bytes of a request to checked values: limits first, then one decode, then what PostgreSQL cannot keep.

No body of any kind may become a server error: whatever is wrong with it is answered with 400, 413 or 415.
"""

import codecs
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice, takewhile
from typing import IO, Any, TypeVar

import msgspec
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from mes.errors import ParseFailed, PayloadTooLarge, ValidationFailed

T = TypeVar("T")

WHOLE_BODY = "body"  # the name under which errors of the body itself, not of one field, are reported

_JSON_TYPES = ("application/json",)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACES_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_BAD_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")  # of NUL or of a surrogate, perhaps
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HUGE_INTEGER = re.compile(rb"[0-9]{309}")  # more than a double can hold, perhaps
_EIGHT_DIGITS = re.compile(rb"[0-9]{8}")
_MOST_FAULTS = 20  # as many as anybody reads
_SURROGATE = re.compile("[\ud800-\udfff]")
_MESSAGE = re.compile(r"(?P<reason>.*?)(?: - at `(?:key` in `)?\$(?P<path>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<fault>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


# --- reading ----------------------------------------------------------------------------------------------


def read_body(request: HttpRequest | Request, *, limit: int | None = None) -> bytes:
    """Return the JSON body, or b"" if there is none. Never reads more than `limit` bytes (default: MES_BODY_LIMIT)."""
    limit = settings.MES_BODY_LIMIT if limit is None else limit
    check_length(request, limit)
    if content_length(request) <= 0:
        return b""
    media_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES:
        raise UnsupportedMediaType(media_type or _("(none)"))
    return without_bom(request.body)


def without_bom(body: bytes) -> bytes:
    """Return a body without the byte order mark that some systems write before UTF-8: RFC 8259, 8.1, lets us."""
    return body.removeprefix(codecs.BOM_UTF8)


def check_length(request: HttpRequest | Request, limit: int) -> None:
    """Raise PayloadTooLarge for a body that says it is longer: it may have been left unread, and look empty."""
    if content_length(request) > limit:
        raise PayloadTooLarge(limit=limit)


def content_length(request: HttpRequest | Request) -> int:
    """Return how long a body says it is; 0 where it says nothing."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


class JSONParser(BaseParser):
    """JSON for Django REST framework. A view takes larger bodies by an attribute `body_limit`."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the decoded body."""
        context = parser_context or {}
        limit = getattr(context.get("view"), "body_limit", None)
        return decode(read_body(context["request"], limit=limit))


class UnreadJSON(BaseParser):
    """For views whose service decodes the body itself, once: leaves it unread.

    With no parser at all, the CSRF check of a session, which looks for a form's fields, would answer 415.
    """

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Return no fields."""
        return {}


# --- decoding ---------------------------------------------------------------------------------------------


def decode(body: bytes) -> Any:
    """Decode any JSON value. An empty body counts as `{}`."""
    body = body or b"{}"
    _check_encoding(body)
    value = _decode_plain(body)
    _check_depth(body)
    if _is_suspicious(body):
        _check_values(value)
    return value


def _decode_plain(body: bytes) -> Any:
    """Decode what needs no closer look, or gets it elsewhere."""
    try:
        return _decoder(Any).decode(body)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError as error:
        raise _describe_decode_error(body, error) from None


def split(body: bytes, *, most: int) -> list[bytes]:
    """Return the `events` of a body unread: what is wrong within one is its own. Raises what is wrong around them.

    A body with more than `most` is refused without making anything of them.
    """
    kind = _batch_type(most)
    for text in (body, _SURROGATE_ESCAPE.sub(rb"\\u0041", body)):  # lone surrogates fail even unread
        try:
            events = _parts_of(_decoder(kind).decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        _check_count(events, most)
        return events if text is body else _corresponding_parts(events, text, body)
    events = _parts_of(decode_as(body, kind))  # says what is wrong
    _check_count(events, most)
    return events


@cache
def _batch_type(most: int) -> Any:
    """Return the type of a body with a place for each of so many events, and for one more, by which more are seen.

    The decoder passes over what there is no place for. A list would be made in full before its length is looked at:
    millions of events fit into a body.
    """
    places = [(f"event_{number}", msgspec.Raw, msgspec.Raw()) for number in range(most + 1)]
    return msgspec.defstruct("Batch", [("events", msgspec.defstruct("Events", places, array_like=True))])


def _parts_of(batch: Any) -> list[bytes]:
    return list(takewhile(bool, map(bytes, msgspec.structs.astuple(batch.events))))


def _check_count(events: Sequence[bytes], most: int) -> None:
    if not 1 <= len(events) <= most:
        raise ValidationFailed({"events": _("Must be a list of 1 to %(most)d events.") % {"most": most}})


def _corresponding_parts(parts: Sequence[bytes], text: bytes, other: bytes) -> list[bytes]:
    """Return what stands in `other` where the parts stand, in order, in a text of the same length."""
    parts_of_other, end = [], 0
    for part in parts:
        start = text.index(part, end)
        end = start + len(part)
        parts_of_other.append(other[start:end])
    return parts_of_other


def decoder_of_parts(body: bytes) -> Callable[[bytes], Any]:
    """Return what decodes the parts of a body that was split: where nothing in all of it needs a closer look, each of
    them is spared that.
    """
    try:
        _check_encoding(body)
        _check_depth(body)
    except ParseFailed:
        return decode
    return decode if _is_suspicious(body) else _decode_plain


def decode_as(body: bytes, type: type[T]) -> T:
    """Decode and validate in one go. Fields that do not fit raise `ValidationFailed` with dotted paths."""
    body = body or b"{}"
    kind: Any = type
    _check_encoding(body)
    try:
        value: T = _decoder(kind).decode(body)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.ValidationError as error:
        raise ValidationFailed(describe(error)) from None
    except msgspec.DecodeError as error:
        raise _describe_decode_error(body, error) from None
    _check_depth(body)
    if _is_suspicious(body):
        decode(body)  # also what the type does not ask for must be sound
    return value


def convert(value: Any, type: type[T]) -> T:
    """Validate what `decode` returned. Fields that do not fit raise `ValidationFailed` with dotted paths."""
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise ValidationFailed(describe(error)) from None


def describe(error: msgspec.ValidationError) -> dict[str, str]:
    """Turn "Object missing required field `x` - at `$.data[0]`" into {"data.0.x": "This field is required."}."""
    match = _MESSAGE.fullmatch(str(error))
    reason, place = (match["reason"], match["path"]) if match else (str(error), None)
    parts = [part for part in re.split(r"[.\[\]]+", place or "") if part]
    field = _FIELD.fullmatch(reason)
    if field:
        parts.append(field["name"])
        reason = _("Unknown field.") if field["fault"] == "contains unknown" else _("This field is required.")
    return {".".join(parts) or WHOLE_BODY: reason}


@cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type)


# --- what may not be in a body ----------------------------------------------------------------------------


def _check_encoding(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ParseFailed(_("it is not UTF-8 (byte %(position)d).") % {"position": error.start}) from None


def _too_deep() -> ParseFailed:
    return ParseFailed(_("it is nested deeper than %(limit)d levels.") % {"limit": settings.MES_DEPTH_LIMIT})


def _check_depth(body: bytes) -> None:
    """Refuse nesting beyond the limit. Works on bytes, because typed decoding skips what it does not want."""
    limit = settings.MES_DEPTH_LIMIT
    if body.count(b"[") + body.count(b"{") <= limit:
        return
    brackets = _brackets(body)
    for _level in range(limit):  # each round takes away the innermost level
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise _too_deep()


def _brackets(body: bytes) -> bytes:
    """All brackets of the structure, braces written as brackets, without those inside strings."""
    if b"\\" not in body:
        structure = body.translate(_BRACES_AS_BRACKETS, _NOT_STRUCTURE).replace(b'""', b"")
        if b'"' not in structure:  # no string holds a bracket: every quote stood beside its partner
            return structure
    return _STRING.sub(b"", body).translate(_BRACES_AS_BRACKETS, _NOT_STRUCTURE)


def _describe_decode_error(body: bytes, error: msgspec.DecodeError) -> ParseFailed | ValidationFailed:
    """Say why a body is no JSON. Lone surrogates are the one fault that has a path."""
    if _is_suspicious(body):
        _check_depth(body)
        try:
            _check_values(json.loads(body))
        except ValidationFailed as failed:
            return failed
        except (ValueError, RecursionError):
            pass
    if isinstance(error, msgspec.ValidationError):
        return ParseFailed(_("a number is out of range."))
    reason = str(error).removeprefix("JSON is malformed: ")
    return ParseFailed(_("it ends too early.") if "truncated" in reason else f"{reason}.")


def _is_suspicious(body: bytes) -> bool:
    """Whether the decoded value must be walked. Fast for what machines really send."""
    if b"\\u" in body and _BAD_ESCAPE.search(body):
        return True
    # 309 digits in a row hold at least eight of every 38th byte.
    return bool(_EIGHT_DIGITS.search(body[::38]) and _HUGE_INTEGER.search(body))


def _check_values(value: Any) -> None:
    faults = dict(islice(_faults(value, ()), _MOST_FAULTS))
    if faults:
        raise ValidationFailed(faults)


def _faults(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of every string and number that the database cannot keep."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _text_faults(key, path)
            yield from _faults(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, (*path, str(index)))
    elif isinstance(value, str):
        yield from _text_faults(value, path)
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        yield _printable_path(path), _("The number is out of range.")


def _text_faults(text: str, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if "\0" in text:
        yield _printable_path(path), _("NUL characters are not allowed.")
    elif _SURROGATE.search(text):
        yield _printable_path(path), _("Lone surrogates are not allowed.")


def _printable_path(path: tuple[str, ...]) -> str:
    dotted = ".".join(path) or WHOLE_BODY
    return _SURROGATE.sub("\ufffd", dotted).replace("\0", "\ufffd")
