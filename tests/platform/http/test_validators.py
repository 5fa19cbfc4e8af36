"""Codes and moments, value by value."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.core.exceptions import ValidationError

from mes.platform.validators import validate_code, validate_moment


@pytest.mark.parametrize("code", ["A", "x" * 100, "SMT 01", "a.b+c:d#e%f", "锡膏-01", "é", "..", "0"])
def test_codes_of_any_letters_are_accepted(code: str) -> None:
    validate_code(code)


@pytest.mark.parametrize(
    "code", ["", "x" * 101, " a", "a ", "\u3000a", "a/b", "a\0b", "a\tb", "a\nb", "a\x7fb", "a\x85b", "a\ud800b"]
)
def test_codes_that_a_url_or_a_label_cannot_carry_are_refused(code: str) -> None:
    with pytest.raises(ValidationError):
        validate_code(code)


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
