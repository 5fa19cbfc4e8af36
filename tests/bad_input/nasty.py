"""What nobody should send: bodies, values of fields, names in addresses, parameters, fields of forms."""

import json
import zlib
from collections.abc import Mapping
from typing import TypeVar

from tests.thoroughness import examples

Value = TypeVar("Value", str, bytes)

HUGE_NUMBER = "1" + "0" * 400

BODIES: dict[str, bytes] = {
    "not JSON": b"nonsense",
    "half of it": b'{"a": [1, 2',
    "an array": b"[]",
    "an array of objects": b"[{}]",
    "a string": b'"text"',
    "a number": b"12",
    "null": b"null",
    "true": b"true",
    "NaN": b'{"a": NaN}',
    "only NaN": b"NaN",
    "infinity": b"[-Infinity, Infinity]",
    "1e999": b'{"a": 1e999}',
    "a huge integer": b'{"a": ' + HUGE_NUMBER.encode() + b"}",
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and open": b'{"a": ' + b"[" * 100_000,
    "deep below a field": b'{"a": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "NUL in a value": b'{"a": "x\\u0000y"}',
    "NUL in a key": b'{"x\\u0000y": 1}',
    "a raw NUL": b'{"a": "\x00"}',
    "a lone surrogate in a value": b'{"a": "\\ud800"}',
    "a lone surrogate in a key": b'{"\\udfff": 1}',
    "a lone surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "an unknown field": b'{"nobody knows this": 1}',
    "an empty key": b'{"": ""}',
    "prototype": b'{"__proto__": {}, "__class__": "x", "pk": 1, "id": "1"}',
    "trailing text": b"{} {}",
    "a comment": b"{} // x",
    "many keys": json.dumps({f"k{n}": n for n in range(2_000)}).encode(),
}

PARTS = examples(6, 1)


def part_of(values: Mapping[str, Value], *place: object) -> dict[str, Value]:
    """Return a sixth of values for a place, the same one each time: together the places get all of them many times.

    In `script/long` (LINEKEEPER_THOROUGH) each place gets all.
    """
    first = zlib.crc32(repr(tuple(map(str, place))).encode()) % PARTS
    return {name: value for number, (name, value) in enumerate(values.items()) if number % PARTS == first}


VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "an empty string": '""',
    "a blank": '" "',
    "a word": '"x"',
    "a number in a string": '"1"',
    "an array": "[]",
    "an object": "{}",
    "nested": '[{"a": [null]}, [[]]]',
    "zero": "0",
    "minus one": "-1",
    "a fraction": "0.5",
    "2**31": str(2**31),
    "2**63": str(2**63),
    "-2**63-1": str(-(2**63) - 1),
    "10**400": HUGE_NUMBER,
    "1e308": "1e308",
    "1e999": "1e999",
    "NaN": "NaN",
    "NUL": '"a\\u0000b"',
    "a surrogate": '"a\\ud83db"',
    "a control character": '"a\\u0007b\\u0085"',
    "a slash": '"a/b"',
    "blank ends": '" a "',
    "100 kB": json.dumps("x" * 100_000),
    "unicode": '"\\u00e9\\ud83d\\ude00\\u202e\\u0301"',
    "many": json.dumps([1] * 2_000),
    "an old time": '"0001-01-01T00:00:00+14:00"',
    "a late time": '"9999-12-31T23:59:59-14:00"',
    "a time of no zone": '"2026-01-24T10:00:00"',
    "a date": '"2026-02-30"',
}

NAMES: dict[str, str] = {
    "dots": "SN.1..x",
    "two dots": "..",
    "encoded dots": "%2E%2E",
    "plus": "A+B",
    "colon": "A:B",
    "hash": "A%23B",
    "blank": "A%20B",
    "percent": "100%25",
    "a broken escape": "100%",
    "question mark": "A%3FB",
    "slash": "A%2FB",
    "backslash": "A%5CB",
    "unicode": "%C3%A9%F0%9F%98%80",
    "raw unicode": "é😀",
    "right to left": "%E2%80%AE",
    "not UTF-8": "%FF%FE",
    "a surrogate in UTF-8": "%ED%A0%80",
    "NUL": "A%00B",
    "a line break": "A%0D%0AB",
    "a control character": "%7F",
    "C1 control": "%C2%85",
    "quotes": "'%22;--",
    "huge": "x" * 5_000,
    "a huge number": "9" * 400,
    "2**63": str(2**63),
    "a negative number": "-1",
    "another script's digit": "%D9%A3",
    "a fraction": "1.0",
    "an exponent": "1e3",
    "json": "%7B%7D",
    "format": "x.json",
}

QUERIES: dict[str, str] = {
    **{name: text for name, text in NAMES.items() if name != "two dots"},
    "empty": "",
    "blank ends": "%20x%20",
    "a time of no zone": "2026-01-01T00:00:00",
    "an impossible date": "2026-02-30",
    "the last day": "9999-12-31",
    "the first day": "0001-01-01",
    "a late time": "9999-12-31T23:59:59-14:00",
    "true": "true",
    "zero": "0",
    "2**31": str(2**31),
    "a cursor": "cD0x",
    "a cursor of text": "cD14",  # p=x
    "a cursor of NUL": "cD0lMDA%3D",  # p=%00
    "a cursor backwards": "cj0xJnA9LTE%3D",  # r=1&p=-1
    "a cursor with an offset": "bz05OTk5OTk5OTk5OTk5OTk5OTk5OTk%3D",  # o=999…
    "a cursor beyond": "cD05MjIzMzcyMDM2ODU0Nzc1ODA4",  # p=2**63
    "no base64": "%%%",
}

DEEP = 1200
FORM_VALUES = {
    "nothing": "",
    "NUL": "a\0b",
    "control characters": "\x1b[2J\x7f\r\n",
    "a lone surrogate": "\ud800",
    "a number that is too large": "9" * 400,
    "not a number": "NaN",
    "other digits": "٣",
    "markup": "<script>alert(1)</script>\"'{{ 7*7 }}%s",
    "deep JSON": "[" * DEEP + "]" * DEEP,
    "JSON with NUL": '{"a": "\\u0000"}',
    "JSON with a lone surrogate": '{"a": "\\ud800"}',
    "JSON of another kind": '[1, null, {"x": NaN}]',
    "very long": "x" * 5_000,
    "a time of another year": "99999-99-99T99:99",
}
ALONE = {
    name: FORM_VALUES[name]
    for name in ("NUL", "a lone surrogate", "deep JSON", "JSON with NUL", "a number that is too large")
}
