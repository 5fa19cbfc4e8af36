"""The functions of paths beside JMESPath's own: texts taken apart, and numbers as machines write them."""

from time import process_time
from typing import Any

import pytest

from mes import errors
from mes.routing.path_functions import TEXT_FUNCTIONS
from mes.routing.paths import compile_path, find_path_problem

NBSP = "\u00a0"
CALLS = {
    "split": "split(a, '-')",
    "substring": "substring(a, `1`, `3`)",
    "replace": "replace(a, 'x', 'yy')",
    "trim": "trim(a)",
    "upper": "upper(a)",
    "lower": "lower(a)",
    "parse_number": "parse_number(a, ',')",
    "scan": "scan(a)",
}


def find(expression: str, text: Any) -> Any:
    assert find_path_problem(expression) is None
    return compile_path(expression).search({"a": text})


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("split(a, '-')", "PNL-7001-2", ["PNL", "7001", "2"]),
        ("split(a, '-')[-1]", "PNL", "PNL"),
        ("split(a, ', ')", "", [""]),
        ("substring(a, `4`)", "SN: 0815", "0815"),
        ("substring(a, `0`, `2`)", "SN: 0815", "SN"),
        ("substring(a, `-4`)", "SN: 0815", "0815"),
        ("substring(a, `2`, `-2`)", "[[x]]", "x"),
        ("substring(a, `9`, `12`)", "short", ""),
        ("substring(a, `1.0`)", "ab", "b"),
        ("replace(a, '_', '-')", "A_1_2", "A-1-2"),
        ("replace(a, '_', '')", "A_1", "A1"),
        ("trim(a)", " \r\nSN-1\t ", "SN-1"),
        ("upper(a)", "sn-1", "SN-1"),
        ("lower(a)", "OK", "ok"),
        ("upper(trim(split(a, ':')[1]))", "sn: abc ", "ABC"),
    ],
)
def test_texts_are_taken_apart(expression: str, text: str, found: Any) -> None:
    assert find(expression, text) == found


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("5.1", ".", 5.1),
        ("5,1", ",", 5.1),
        ("-0.50", ".", -0.5),
        ("+7", ".", 7),
        ("1.234,5", ",", 1234.5),
        ("1,234,567.25", ".", 1234567.25),
        ("1 234,5", ",", 1234.5),
        (f"1{NBSP}234{NBSP}567", ".", 1234567),
        ("1'234.5", ".", 1234.5),
        ("12 345", ",", 12345),
        ("+1.23450E-03", ".", 0.0012345),
        (".5", ".", 0.5),
        ("5.", ".", 5.0),
        ("007", ".", 7),
        ("1.234", ",", 1234),
    ],
)
def test_numbers_as_machines_write_them(text: str, decimal: str, number: float) -> None:
    assert find(f"parse_number(a, '{decimal}')", text) == pytest.approx(number, rel=1e-12)
    if decimal == ".":
        assert find("parse_number(a)", text) == pytest.approx(number, rel=1e-12)


NO_NUMBERS = [
    *("", " ", "-", ".", "5,1V", "5.1 V", "1,5", "1,23,456", "1.234.5", "1 234'567", "12345,678", "1  234", " 5", "5 "),
    *(
        "NaN",
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "1e99999",
        "0x10",
        "1_000",
        "٣",
        "５",
        "--1",
        "1-",
        "e5",
        "1e",
        "5\n",
        "9" * 101,
    ),
    *("1,234,56", ",123", "1,", "five"),
]


LABEL = "]d20108806388269617112302141728021310230214A3263-01\x1d21059\x1d240ARO4808C"


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ('scan(a).ai."21"', LABEL, "059"),
        ('scan(a).ai."10"', LABEL, "230214A3263-01"),
        ("scan(a).symbology", LABEL, "]d2"),
        ("scan(a).di.P", "[)>\x1e06\x1dPX1\x1d1TL9\x1dQ10\x1e\x04", "X1"),
        ("scan(a).text", " SN-1\r\n", "SN-1"),
        ('scan(a).ai."21"', "SN-1", None),
        ('scan(a).[length(problems), ai."21"]', "]d2019999", [1, None]),
        ('scan(a).ai."21" || scan(a).di.S || scan(a).text', "SN-1", "SN-1"),
    ],
)
def test_labels_are_read_as_everywhere(expression: str, text: str, found: Any) -> None:
    assert find(expression, text) == found


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_refuses_and_is_never_null(text: str) -> None:
    with pytest.raises(errors.IngestPayloadInvalid, match="is no number"):
        find("parse_number(a)", text)


@pytest.mark.parametrize("name", TEXT_FUNCTIONS)
def test_null_gives_null(name: str) -> None:
    assert find(CALLS[name], None) is None


@pytest.mark.parametrize("name", TEXT_FUNCTIONS)
@pytest.mark.parametrize("wrong", [7, 1.5, True, [], ["a"], {}, {"a": "b"}])
def test_what_is_no_text_refuses(name: str, wrong: Any) -> None:
    with pytest.raises(errors.IngestPayloadInvalid, match="takes a text"):
        find(CALLS[name], wrong)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "split(a, '')",
            "split(a, `1`)",
            "split(a, b)",
            "replace(a, '', 'x')",
            "replace(a, 'x', b)",
            "replace(a, b, 'x')",
        ),
        *(
            "substring(a, 'x')",
            "substring(a, `1.5`)",
            "substring(a, `true`)",
            "substring(a, b)",
            "substring(a, `0`, 'x')",
        ),
        *("parse_number(a, ';')", "parse_number(a, b)", "parse_number(a, `1`)", "parse_number(a, ['.'])", "trim(&a)"),
        *("parse_number(`[1]`)", "upper(lower(a) | [@])", "split(split(a, '-'), '-')"),
    ],
)
def test_arguments_that_do_not_fit_refuse(expression: str) -> None:
    with pytest.raises(errors.IngestPayloadInvalid):
        find(expression, "text")


@pytest.mark.parametrize(("name", "counts"), TEXT_FUNCTIONS.items())
def test_the_number_of_arguments_is_asked_when_saved_and_when_evaluated(name: str, counts: tuple[int, int]) -> None:
    least, most = counts
    for count in range(most + 3):
        expression = f"{name}({', '.join(['a'] * count)})"
        fits = least <= count <= most
        assert (find_path_problem(expression) is None) == fits
        if not fits:
            with pytest.raises(errors.IngestPayloadInvalid, match="argument"):
                compile_path(expression).search({"a": "."})


@pytest.mark.parametrize(
    "expression",
    [
        "replace(a, 'x', a)",
        f"replace(replace(a, 'x', '{'x' * 32}'), 'x', '{'x' * 43}')",
        "split(a, 'x')",
        "split(replace(a, 'x', 'yx'), 'x')[*].upper(@)",
        " || ".join(["upper(lower(a)) == 'y'"] * 20),
    ],
)
def test_a_result_that_would_be_huge_is_too_costly_before_it_is_made(expression: str) -> None:
    start = process_time()
    with pytest.raises(errors.IngestMappingTooCostly):
        find(expression, "x" * 900_000)
    assert process_time() - start < 3


def test_labels_are_costly_by_what_they_are_taken_apart_into() -> None:
    """One is not, however many parts it has; a list of them is ended in time."""
    label = "]C1" + "99A\x1d" * 1700
    assert find("scan(a).ai", label) == {"99": "A"}
    start = process_time()
    with pytest.raises(errors.IngestMappingTooCostly):
        find("a[*].scan(@).ai", [label] * 10)
    assert process_time() - start < 5
    for usual in ("SN-1" * 20, "]d20108806388269617112302141728021310230214A3263-01\x1d21059\x1d240ARO4808C"):
        assert len(find("a[*].scan(@).text", [usual] * 1000)) == 1000


def test_trimming_leaves_a_label_its_marks() -> None:
    assert find("trim(a)", " \t\u00a0\x1d21SN-1\u3000\r\n") == "\x1d21SN-1"
    assert find("scan(trim(a)).ai", " \x1d21SN-1 ") == {"21": "SN-1"}


def test_deep_nests_are_refused_when_saved() -> None:
    assert "nested deeper" in str(find_path_problem("trim(" * 60 + "a" + ")" * 60))
    assert find("trim(" * 40 + "a" + ")" * 40, " x ") == "x"
