"""Codes and moments, value by value."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.core.exceptions import ValidationError

from mes.platform.validators import CODE_PATTERN, validate_code, validate_moment, validate_name

GOOD = [
    "A",
    "x" * 100,
    "SMT 01",
    "a.b+c:d#e%f",
    "锡膏-01",
    "é",
    "a..b",
    "0",
    "a/b",
    "hold",
    "hold/1",
    "a/b/c",
    "A/.x",
    "🙂",
]
BAD_SINCE_EVER = ["", "x" * 101, " a", "a ", "\u3000a", "a\0b", "a\tb", "a\nb", "a\x7fb", "a\x85b", "a\ud800b"]
# What codes of earlier releases could be, and new ones cannot.
BAD_BY_NOW = [
    "a\u200bb",  # Cf: zero width space
    "\ufeffa",  # Cf: byte order mark
    "a\u00adb",  # Cf: soft hyphen
    "a\ue000b",  # Co: private use
    "a\u0378b",  # Cn: not assigned
    "a\u2028b",  # Zl
    "a\u2029b",  # Zp
    "a\u00a0b",  # Zs, which is not the space
    "a\u3000b",
    "e\u0301",  # decomposed
    "\u212b",  # ANGSTROM SIGN, which is Å in NFC
    ".",
    "..",
]
SLASHES = [
    "/a",
    "a/",
    "a//b",
    "/",
    "a/./b",
    "../a",
    "a/..",
    "a/hold",
    "a/units",
    "a/units/b",
    "resolve-unit/a",
    "export",
]


@pytest.mark.parametrize("code", GOOD)
def test_codes_of_any_letters_are_accepted(code: str) -> None:
    validate_code(code)
    validate_name(code)


@pytest.mark.parametrize("code", [*BAD_SINCE_EVER, *BAD_BY_NOW, *SLASHES])
def test_codes_that_an_address_or_a_label_cannot_carry_are_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        validate_code(code)


@pytest.mark.parametrize("code", BAD_BY_NOW)
def test_what_exists_is_found_by_the_name_it_has(code: str) -> None:
    validate_name(code)


@pytest.mark.parametrize("code", BAD_SINCE_EVER)
def test_what_never_was_a_code_names_nothing(code: str) -> None:
    with pytest.raises(ValidationError):
        validate_name(code)


@pytest.mark.parametrize("code", [code for code in GOOD if code.isascii()])
def test_the_pattern_of_the_interface_says_the_same(code: str) -> None:
    assert re.search(CODE_PATTERN, code)


@pytest.mark.parametrize("code", ["", " a", "a ", "a\nb", "/a", "a/", "a//b"])
def test_the_pattern_of_the_interface_refuses_as_well(code: str) -> None:
    assert not re.search(CODE_PATTERN, code)


@pytest.mark.parametrize("moment", [datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 12, 31, tzinfo=UTC)])
def test_moments_in_range_are_accepted(moment: datetime) -> None:
    validate_moment(moment)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001
        datetime(1899, 12, 31, tzinfo=UTC),
        datetime(2201, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_moments_without_offset_or_out_of_range_are_refused(moment: datetime) -> None:
    with pytest.raises(ValidationError):
        validate_moment(moment)
