import pytest

from mes import errors
from mes.platform.http.whole_numbers import LARGEST, id_or_raise, whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        (str(LARGEST), LARGEST),
        (str(LARGEST + 1), None),
        ("9" * 5000, None),
        ("", None),
        ("-1", None),
        ("1.0", None),
        (" 1", None),
        ("1\n", None),
        ("\u0661", None),
        ("\u00b2", None),
    ],
)
def test_a_whole_number_is_ascii_digits_within_a_column(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_an_id_that_can_be_no_row_is_refused() -> None:
    assert id_or_raise("12", errors.EventNotFound) == 12
    with pytest.raises(errors.EventNotFound) as refusal:
        id_or_raise(str(LARGEST + 1), errors.EventNotFound)
    assert refusal.value.details == {"code": str(LARGEST + 1)}
